"""Groups of people or things: how often an outcome falls to each, and how far apart the groups are.

Shapes: N rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from forgeline.engine.stats import ratio_interval

LEAST_ROWS = 30
"""Groups with fewer rows are not compared."""
MOST_VALUES = 10
"""Numbers with more distinct values than this are grouped by their quartiles."""
MISSING = "missing"


@dataclass(frozen=True)
class Group:
    """One group and how often the outcome fell to it."""

    name: str
    rows: int
    positives: int

    @property
    def rate(self) -> float:
        """Share of its rows that have the outcome."""
        return self.positives / self.rows


@dataclass(frozen=True)
class Impact:
    """How an outcome is spread over the groups of one attribute."""

    attribute: str
    outcome: str
    groups: list[Group]
    """Those compared, the lowest rate first."""
    refused: list[Group]
    """Those with too few rows."""
    ratio: float
    """Lowest rate over highest; nan when fewer than two groups can be compared, or none has the outcome."""
    low: float
    high: float
    level: float


def quartiles(values: pl.Series) -> list[float]:
    """The edges that part a column into groups: its quartiles if it holds many numbers, else none."""
    if not values.dtype.is_numeric() or values.n_unique() <= MOST_VALUES:
        return []
    finite = values.cast(pl.Float64)
    finite = finite.filter(finite.is_finite())
    return sorted({float(np.quantile(finite, share)) for share in (0.25, 0.5, 0.75)})


def label(values: pl.Series, edges: Sequence[float]) -> pl.Series:
    """The name of each row's group, as text: its value, or between which edges it lies."""
    if not edges:
        return values.cast(pl.String).fill_null(MISSING)
    names = [f"up to {edges[0]:g}"]
    names += [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    names += [f"above {edges[-1]:g}"]
    place = np.searchsorted(edges, values.fill_null(0).to_numpy(), side="left")
    return pl.select(
        pl.when(values.is_null()).then(pl.lit(MISSING)).otherwise(pl.Series(names).gather(place))
    ).to_series()


def count(label_N: pl.Series, outcome_N: np.ndarray) -> list[Group]:
    """The groups, by name, with their rows and how many of these have the outcome (bool [N])."""
    frame = pl.DataFrame({"group": label_N, "outcome": outcome_N}).group_by("group")
    counted = frame.agg(pl.len(), pl.col("outcome").sum()).sort("group")
    return [Group(name, rows, positives) for name, rows, positives in counted.iter_rows()]


def impact(
    attribute: str,
    values: pl.Series,
    outcome: str,
    outcome_N: np.ndarray,
    *,
    comparisons: int = 1,
    level: float = 0.95,
) -> Impact:
    """Disparate-impact ratio of an attribute: the lowest base rate over the highest.

    The two groups are picked for being extreme, so the interval is Bonferroni's over all pairs of groups, times
    other `comparisons` made beside it: where no group differs it lies below 1 in at most 1 − level of cases.
    """
    groups = count(label(values, quartiles(values)), outcome_N)
    kept = sorted((group for group in groups if group.rows >= LEAST_ROWS), key=lambda group: group.rate)
    refused = [group for group in groups if group.rows < LEAST_ROWS]
    ratio = low = high = float("nan")
    if len(kept) > 1:
        pairs = comparisons * len(kept) * (len(kept) - 1) / 2
        least, most = kept[0], kept[-1]
        strict = 1 - (1 - level) / pairs
        ratio, low, high = ratio_interval(least.positives, least.rows, most.positives, most.rows, strict)
    return Impact(attribute, outcome, kept, refused, ratio, low, high, level)


def impacts(frame: pl.DataFrame, attributes: Sequence[str], outcomes: Mapping[str, np.ndarray]) -> list[Impact]:
    """The impact on each attribute's groups; of several outcomes the one with the lowest upper bound."""
    found = []
    for attribute in attributes:
        each = [
            impact(attribute, frame[attribute], name, outcome_N, comparisons=len(outcomes))
            for name, outcome_N in outcomes.items()
        ]
        found.append(min(each, key=lambda one: (np.isnan(one.high), one.high)))
    return found


def outcomes(target: pl.Series, positive: object, classes: Sequence[object]) -> dict[str, np.ndarray]:
    """What may fall to a row, by name, bool [N]: the positive class, each class, or more than the median."""
    if not classes:
        return {f"{target.name} above its median": (target > target.median()).to_numpy()}
    wanted = [positive] if positive is not None else list(classes)
    return {f"{target.name} = {one}": (target == one).to_numpy() for one in wanted}
