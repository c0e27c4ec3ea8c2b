"""Groups of people or things: how many there are, how often an outcome falls to each, and how far apart they are.

Shapes: N rows, G groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import lgamma

import numpy as np
import polars as pl

from forgeline.engine.cells import Cells
from forgeline.engine.stats import normal_quantile, ratio_interval, wilson

LEAST_ROWS = 30
"""Groups with fewer rows are not compared."""
MOST_VALUES = 10
"""Numbers with more distinct values than this are grouped by their quartiles."""
MOST_CROSSED = 100
"""Attributes with more groups than this are not crossed with others."""
MOST_PAIRED = 200
"""The largest groups, of which every pair is compared; of more groups only the two with extreme rates are."""
MISSING = "missing"
TIMES = " × "
NAN = float("nan")


# ---------------------------------------------------------------- who is in which group


@dataclass(frozen=True)
class Grouping:
    """Every row in one group: by one attribute, or by two."""

    columns: tuple[str, ...]
    names: list[str]
    code_N: np.ndarray
    """int64: the place of each row's group among the names."""
    missing: frozenset[int] = frozenset()
    """Places of groups whose attribute is missing."""

    @property
    def attribute(self) -> str:
        """Its name: the column, or both."""
        return TIMES.join(self.columns)

    @property
    def rows_G(self) -> np.ndarray:
        """int64: rows of each group."""
        return np.bincount(self.code_N, minlength=len(self.names))


def quartiles(values: pl.Series) -> list[float]:
    """The edges that part a column into groups: its quartiles if it holds many numbers or dates, else none."""
    if not (values.dtype.is_numeric() or values.dtype == pl.Datetime) or values.n_unique() <= MOST_VALUES:
        return []
    finite = values.to_physical().cast(pl.Float64)
    finite = finite.filter(finite.is_finite())
    return sorted({float(np.quantile(finite, share)) for share in (0.25, 0.5, 0.75)}) if len(finite) else []


def edge_names(edges: Sequence[float], dtype: pl.DataType) -> list[str]:
    """What the groups between edges are called."""
    is_date = dtype == pl.Datetime
    texts = [str(np.datetime64(int(edge), "us").astype("datetime64[D]")) if is_date else f"{edge:g}" for edge in edges]
    return [f"up to {texts[0]}", *(f"{low} to {high}" for low, high in pairwise(texts)), f"above {texts[-1]}"]


def places(values: pl.Series, edges: Sequence[float]) -> np.ndarray:
    """int64 [N]: between which edges each value lies; those missing lie after the last."""
    place_N = np.searchsorted(edges, values.to_physical().fill_null(0).to_numpy(), side="left")
    place_N[values.is_null().to_numpy()] = len(edges) + 1
    return place_N


def label(values: pl.Series, edges: Sequence[float]) -> pl.Series:
    """The name of each row's group, as text: its value, or between which edges it lies."""
    if not edges:
        return values.cast(pl.String).fill_null(MISSING)
    return pl.Series([*edge_names(edges, values.dtype), MISSING]).gather(places(values, edges))


def grouping(cells: Cells, name: str) -> Grouping:
    """The groups of one attribute: its values, quartiles of many numbers, and one of the missing."""
    values = cells.frame[name]
    if edges := quartiles(values):
        names, code_N = edge_names(edges, values.dtype), places(values, edges)
    else:
        names = cells.levels(name).values.cast(pl.String).to_list()
        code_N = cells.codes(name).astype(np.int64)
        code_N[code_N < 0] = len(names)
    if not cells.missing(name):
        return Grouping((name,), names, code_N)
    return Grouping((name,), [*names, MISSING], code_N, frozenset([len(names)]))


def crossed(first: Grouping, second: Grouping) -> Grouping:
    """The groups of two attributes at once; those without a row are left out."""
    width = len(second.names)
    both_N = first.code_N * width + second.code_N
    there = np.flatnonzero(np.bincount(both_N, minlength=len(first.names) * width))
    names = [f"{first.names[at // width]}{TIMES}{second.names[at % width]}" for at in there]
    missing = [i for i, at in enumerate(there) if at // width in first.missing or at % width in second.missing]
    place = np.zeros(len(first.names) * width, np.int64)
    place[there] = np.arange(len(there))
    return Grouping((*first.columns, *second.columns), names, place[both_N], frozenset(missing))


def groupings(data: pl.DataFrame | Cells, attributes: Iterable[str]) -> list[Grouping]:
    """The groups of each attribute."""
    cells = data if isinstance(data, Cells) else Cells(data)
    return [grouping(cells, name) for name in dict.fromkeys(attributes)]


def intersections(singles: Sequence[Grouping]) -> list[Grouping]:
    """The groups of each two attributes; attributes with very many groups are left out."""
    few = [one for one in singles if len(one.names) <= MOST_CROSSED]
    return [crossed(first, second) for first, second in combinations(few, 2)]


# ---------------------------------------------------------------- how often an outcome falls to them


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
    """How an outcome is spread over the groups of one attribute, or of two."""

    attribute: str
    columns: tuple[str, ...]
    outcome: str
    groups: list[Group]
    """Those compared, the lowest rate first."""
    refused: list[Group]
    """Those with too few rows."""
    ratio: float
    """Lowest rate over highest; nan when fewer than two groups can be compared, or none has the outcome."""
    low: float
    high: float
    difference: float
    """Statistical parity difference: lowest rate less the highest."""
    difference_low: float
    difference_high: float
    surest: tuple[int, int]
    """Places of the two groups that chance explains least: the pair whose ratio has the lowest upper end."""
    surest_ratio: float
    surest_low: float
    surest_high: float
    surest_p: float
    """Probability that chance makes so much for any pair: Fisher's, times the comparisons; at most 1."""
    level: float


def count(grouping: Grouping, outcome_N: np.ndarray) -> list[Group]:
    """The groups, by name, with their rows and how many of these have the outcome (bool [N])."""
    positives_G = np.bincount(grouping.code_N[outcome_N], minlength=len(grouping.names))
    each = zip(grouping.names, grouping.rows_G.tolist(), positives_G.tolist(), strict=True)
    return [Group(name, rows, positives) for name, rows, positives in sorted(each) if rows]


def impact(
    grouping: Grouping,
    outcome: str,
    outcome_N: np.ndarray,
    *,
    comparisons: int = 1,
    level: float = 0.95,
    least_rows: int = LEAST_ROWS,
) -> Impact:
    """Disparate-impact ratio of an attribute: the lowest base rate over the highest.

    The two groups are picked for being extreme, so the intervals are Bonferroni's over all pairs of groups, times
    other `comparisons` made beside it: where no group differs those of the ratio lie below 1 in at most 1 − level
    of cases, whichever pair is looked at. A tiny group may have the most extreme rate and show nothing; so the pair
    that chance explains least is named too. In small groups the interval is too short, up to thrice the error at
    99%; `surest_p` is exact.
    """
    groups = count(grouping, outcome_N)
    kept = sorted((group for group in groups if group.rows >= least_rows), key=lambda group: group.rate)
    refused = [group for group in groups if group.rows < least_rows]
    ratio, difference, pair, sure, chance = (NAN, NAN, NAN), (NAN, NAN, NAN), (0, 0), (NAN, NAN, NAN), NAN
    if len(kept) > 1:
        pairs = comparisons * len(kept) * (len(kept) - 1) / 2
        strict = 1 - (1 - level) / pairs
        ratio = ratio_of(kept[0], kept[-1], strict)
        difference = difference_of(kept[0], kept[-1], strict)
        pair = surest(kept, strict)
        sure = ratio_of(kept[pair[0]], kept[pair[1]], strict)
        chance = min(1.0, pairs * exact_p(kept[pair[0]], kept[pair[1]]))
    return Impact(
        grouping.attribute, grouping.columns, outcome, kept, refused, *ratio, *difference, pair, *sure, chance, level
    )


def ratio_of(group: Group, base: Group, level: float) -> tuple[float, float, float]:
    """The ratio of two groups' rates with its interval."""
    return ratio_interval(group.positives, group.rows, base.positives, base.rows, level)


def difference_of(group: Group, base: Group, level: float) -> tuple[float, float, float]:
    """The difference of two groups' rates with its interval."""
    return difference_interval(group.positives, group.rows, base.positives, base.rows, level)


def difference_interval(
    successes: float, n: float, base_successes: float, base_n: float, level: float = 0.95
) -> tuple[float, float, float]:
    """The difference of two shares with its hybrid score interval (Newcombe 1998, method 10)."""
    share, base = successes / n, base_successes / base_n
    low, high = wilson(successes, n, level)
    base_low, base_high = wilson(base_successes, base_n, level)
    gap = share - base
    return gap, gap - np.hypot(share - low, base_high - base), gap + np.hypot(high - share, base - base_low)


def exact_p(group: Group, base: Group) -> float:
    """Probability of so low a share against the base's, by chance, twice the one-sided (Fisher 1935)."""
    rows, positives = group.rows + base.rows, group.positives + base.positives
    hit = group.positives
    chance = np.exp(choose(positives, hit) + choose(rows - positives, group.rows - hit) - choose(rows, group.rows))
    total = float(chance)
    while hit and chance > 1e-12 * total:  # each smaller count from the one before
        left = base.rows - (positives - hit)
        chance *= hit * left / ((positives - hit + 1) * (group.rows - hit + 1))
        total += float(chance)
        hit -= 1
    return min(1.0, 2 * total)


def choose(n: int, k: int) -> float:
    """Logarithm of the number of ways to choose k of n."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def surest(groups: Sequence[Group], level: float) -> tuple[int, int]:
    """Places of the pair (lower rate, higher rate) whose ratio has the lowest upper end, by Katz' interval.

    Pairs whose difference surely is one too, by Newcombe's, come first: it is not fooled by small groups.
    """
    if len(groups) > MOST_PAIRED or not groups[-1].positives:
        return 0, len(groups) - 1
    rows_G, positives_G = (np.array([getattr(one, of) for one in groups], float) for of in ("rows", "positives"))
    add_G1 = np.where(positives_G == 0, 0.5, 0.0)[:, None]
    a, b, c, d = positives_G[:, None] + add_G1, rows_G[:, None] + add_G1, positives_G + add_G1, rows_G + add_G1
    with np.errstate(divide="ignore", invalid="ignore"):
        reach_GG = normal_quantile(level) * np.sqrt(np.maximum(1 / a - 1 / b + 1 / c - 1 / d, 0))
        high_GG = np.log(a / b) - np.log(c / d) + reach_GG
    lower_GG = np.triu(np.ones(high_GG.shape, bool), 1) & (positives_G > 0)
    bounds_G2 = np.array([wilson(one.positives, one.rows, level) for one in groups])
    rate_G = positives_G / rows_G
    gap_GG = np.hypot((bounds_G2[:, 1] - rate_G)[:, None], rate_G - bounds_G2[:, 0])
    differ_GG = lower_GG & (rate_G[:, None] - rate_G + gap_GG < 0)
    high_GG = np.where(differ_GG if differ_GG.any() else lower_GG, high_GG, np.inf)
    if high_GG[0, -1] <= high_GG.min() + 1e-9:  # of equals the extreme pair
        return 0, len(groups) - 1
    least, most = divmod(int(high_GG.argmin()), len(groups))
    return least, most


def worst(
    grouping: Grouping, outcomes: Mapping[str, np.ndarray], *, comparisons: int = 1, level: float = 0.95
) -> Impact:
    """Of several outcomes the impact that chance explains least."""
    each = [
        impact(grouping, name, outcome_N, comparisons=len(outcomes) * comparisons, level=level)
        for name, outcome_N in outcomes.items()
    ]
    return min(each, key=lambda one: (np.isnan(one.surest_high), one.surest_high))


def impacts(data: pl.DataFrame | Cells, attributes: Sequence[str], outcomes: Mapping[str, np.ndarray]) -> list[Impact]:
    """The impact on each attribute's groups; of several outcomes the one that chance explains least."""
    return [worst(one, outcomes) for one in groupings(data, attributes)]


def outcomes(target: pl.Series, positive: object, classes: Sequence[object]) -> dict[str, np.ndarray]:
    """What may fall to a row, by name, bool [N]: the positive class, each class, or more than the median."""
    if not classes:
        return {f"{target.name} above its median": (target > target.median()).to_numpy()}
    wanted = [positive] if positive is not None else list(classes)
    return {f"{target.name} = {one}": (target == one).to_numpy() for one in wanted}


# ---------------------------------------------------------------- all of it, to be shown


@dataclass(frozen=True)
class Line:
    """One group, as a report shows it; None where nothing is judged."""

    group: str
    rows: int
    share: float
    """Of all rows."""
    rate: float | None
    low: float | None
    high: float | None
    ratio: float | None
    """Its rate over the highest."""
    difference: float | None
    """Its rate less the highest."""
    refused: bool
    """Too few rows to judge."""


@dataclass(frozen=True)
class Summary:
    """The groups of one attribute, or of two at once: those judged first, the lowest rate first."""

    attribute: str
    columns: tuple[str, ...]
    outcome: str
    """Empty without a target."""
    lines: list[Line]
    impact: Impact | None


def summary(
    data: pl.DataFrame | Cells, attributes: Sequence[str], outcomes: Mapping[str, np.ndarray], *, level: float = 0.95
) -> list[Summary]:
    """Each attribute, then each two at once: rows, shares, base rates with intervals, ratios, parity differences.

    `outcomes` may be empty: then only rows and shares are told.
    """
    singles = groupings(data, attributes)
    crossings = intersections(singles)
    return [summarised(one, outcomes, 1, level) for one in singles] + [
        summarised(one, outcomes, len(crossings), level) for one in crossings
    ]


def summarised(grouping: Grouping, outcomes: Mapping[str, np.ndarray], comparisons: int, level: float) -> Summary:
    """The summary of one grouping."""
    total = max(len(grouping.code_N), 1)
    if not outcomes:
        counted = sorted(zip((-grouping.rows_G).tolist(), grouping.names, strict=True))
        lines = [bare(Group(name, -rows, 0), total, -rows < LEAST_ROWS) for rows, name in counted if rows]
        return Summary(grouping.attribute, grouping.columns, "", lines, None)
    found = worst(grouping, outcomes, comparisons=comparisons, level=level)
    top = found.groups[-1].rate if found.groups else 0.0
    lines = [line(group, total, top, level) for group in found.groups]
    lines += [bare(group, total, True) for group in found.refused]
    return Summary(grouping.attribute, grouping.columns, found.outcome, lines, found)


def line(group: Group, total: int, top: float, level: float) -> Line:
    """The line of a group that is judged."""
    low, high = wilson(group.positives, group.rows, level)
    ratio = group.rate / top if top else None
    return Line(group.name, group.rows, group.rows / total, group.rate, low, high, ratio, group.rate - top, False)


def bare(group: Group, total: int, refused: bool) -> Line:
    """The line of a group of which only the rows are told."""
    return Line(group.name, group.rows, group.rows / total, None, None, None, None, None, refused)
