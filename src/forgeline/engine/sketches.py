"""Sketches of columns for monitoring: how many rows fall in which bin, never a row.

Some rows choose the bins; only the others are counted in them. Counts of the rows that chose the bins would be
biased (the commonest of many levels owes some of its rank to luck), and a test against new data would raise
false alarms. Every bin and level is chosen by several rows, edges lie between the values of rows, and outer
bins are open: no smallest or largest value is kept unless many rows share it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from forgeline.engine.arrays import MISSING, MISSING_DATE
from forgeline.engine.seeds import Seed

Values = pl.Series | np.ndarray
Sketch = dict[str, Any]

CHOOSING = 1_000
"""Rows that choose the bins: so many, or a tenth where that is more, or half where that is less."""
MOST_BINS = 20
LEAST_IN_BIN = 10
"""Fewest choosing rows in a bin: as many again, or more, are counted in it."""
MOST_LEVELS = 64
LEAST_OF_LEVEL = 5
"""Fewest choosing rows of a level that is named; rarer ones are pooled."""
TIME_UNITS = [86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1]
"""Microseconds of a day, an hour, a minute, a second and one."""


def sketch(
    columns: Mapping[str, tuple[str, Values]],
    predictions: np.ndarray | None = None,
    *,
    classes: Sequence[Any] = (),
    target: np.ndarray | None = None,
) -> dict[str, Any]:
    """Everything monitoring needs to know of the training rows, as plain JSON, the same on every machine.

    columns: name → (kind, values); missing is NaN or infinite, null or MISSING, NaT or MISSING_DATE.
    predictions: [n, classes] probabilities or [n] values: what the model that ships answers for rows it did not
    learn from (`n` is free). Not out-of-fold answers: the mean of fold models spreads less than each of them.
    classes: labels in the order of the probabilities; of two, the last is the positive one. None: regression.
    target: class index, or value, of each row.
    """
    rows = len(next(iter(columns.values()))[1]) if columns else 0
    chosen, counted = parts(rows)
    made: dict[str, Any] = {"rows": rows, "counted": len(counted)}
    made["columns"] = {
        name: sketch_column(kind, take(values, chosen), take(values, counted))
        for name, (kind, values) in columns.items()
    }
    made["predictions"] = {} if predictions is None else sketch_predictions(predictions, classes)
    made["target"] = None if target is None else sketch_target(target, classes)
    return made


def parts(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the rows that choose the bins and of those that are counted; a fixed random choice."""
    order = Seed(0).child("sketch", rows).generator().permutation(rows)
    size = min(rows // 2, max(CHOOSING, rows // 10))
    return np.sort(order[:size]), np.sort(order[size:])


def sketch_column(kind: str, choosing: Values, counting: Values) -> Sketch:
    """The sketch of one column: bins from the one set of rows, counts of the other."""
    bins = choose_bins(kind, choosing)
    return {**bins, **count(bins, counting)}


def sketch_predictions(predictions: np.ndarray, classes: Sequence[Any]) -> dict[str, Sketch]:
    """Sketches of what the model answers, by the name `predict` gives it."""
    p_NK = predictions.reshape(len(predictions), -1)
    chosen, counted = parts(len(p_NK))
    return {
        name: sketch_column("number", p_NK[chosen, at], p_NK[counted, at])
        for name, at in prediction_columns(classes, p_NK.shape[1])
    }


def prediction_columns(classes: Sequence[Any], width: int) -> list[tuple[str, int]]:
    """Name and position of each prediction worth watching: of two classes, the positive one only."""
    if not classes:
        return [("prediction", 0)]
    names = [f"probability_{label_text(label)}" for label in classes]
    return [(names[-1], width - 1)] if len(names) == 2 else list(zip(names, range(width), strict=True))


def label_text(label: Any) -> str:
    """A label as it is written: `true` for True."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def sketch_target(target: np.ndarray, classes: Sequence[Any]) -> Sketch:
    """Base rates of the classes, or the sketch of the values."""
    if not classes:
        chosen, counted = parts(len(target))
        return sketch_column("number", target[chosen], target[counted])
    counts = np.bincount(target.astype(np.int64), minlength=len(classes))
    levels = [label_text(label) for label in classes]
    return {"kind": "category", "levels": levels, "counts": counts.tolist(), "other": 0, "missing": 0}


def choose_bins(kind: str, values: Values) -> Sketch:
    """Bins that suit the values: `edges` between numbers or dates (outer bins open), or `levels`."""
    found = present(kind, values)
    if isinstance(found, pl.Series):
        return {"kind": kind, "levels": common_levels(found)}
    return {"kind": kind, "edges": quantile_edges(found)}


def present(kind: str, values: Values) -> Values:
    """The values that are not missing: float32 numbers (as the model reads them), texts, or microseconds."""
    if kind == "number":
        with np.errstate(over="ignore"):
            numbers = np.asarray(values, dtype=np.float64).astype(np.float32)
        return numbers[np.isfinite(numbers)]
    if kind == "category":
        levels = texts(values)
        return levels.filter(levels != MISSING)
    return microseconds(values)


def texts(values: Values) -> pl.Series:
    """Levels as text, null where missing."""
    if isinstance(values, pl.Series):
        return values.cast(pl.String)
    return pl.Series(values.tolist(), dtype=pl.String)


def microseconds(values: Values) -> np.ndarray:
    """int64 microseconds of the dates that are not missing."""
    if isinstance(values, pl.Series):
        found = values.drop_nulls()
        values = (found.cast(pl.Datetime("us")) if found.dtype.is_temporal() else found).cast(pl.Int64).to_numpy()
    elif values.dtype.kind == "M":
        values = values.astype("datetime64[us]").astype(np.int64)  # NaT becomes MISSING_DATE
    moments: np.ndarray = values[values != MISSING_DATE]
    return moments


def take(values: Values, rows: np.ndarray) -> Values:
    """The values of these rows."""
    return values.gather(rows) if isinstance(values, pl.Series) else values[rows]


def common_levels(values: pl.Series) -> list[str]:
    """The commonest levels, most rows first, ties by text."""
    counts = values.value_counts(name="rows").filter(pl.col("rows") >= LEAST_OF_LEVEL)
    level = counts.columns[0]
    return counts.sort(["rows", level], descending=[True, False])[level].head(MOST_LEVELS).to_list()


def quantile_edges(values: np.ndarray) -> list[float]:
    """Edges that cut present values into at most 20 bins; a value that many share is cut off from beyond."""
    if not len(values):
        return []
    distinct, counts = np.unique(values, return_counts=True)
    edges = [between(distinct[at].item(), distinct[at + 1].item()) for at in cuts(counts)]
    low, high = distinct[0].item(), distinct[-1].item()
    below = [between(low - step(low), low)] if counts[0] >= LEAST_IN_BIN else []
    above = [between(high, high + step(high))] if counts[-1] >= LEAST_IN_BIN else []
    return below + edges + above


def cuts(counts: np.ndarray) -> list[int]:
    """Positions in a run of counts after which to cut, so that every piece holds enough rows."""
    upto = np.cumsum(counts)
    size = max(LEAST_IN_BIN, math.ceil(upto[-1] / MOST_BINS))
    found: list[int] = []
    at = int(np.searchsorted(upto, size))
    while at < len(counts) and upto[-1] - upto[at] >= LEAST_IN_BIN:
        found.append(at)
        at = int(np.searchsorted(upto, upto[at] + size))
    return found


def step(value: float) -> float:
    """How far beyond a shared smallest or largest value counts as another value: 0.1 %, or a day."""
    return TIME_UNITS[0] if isinstance(value, int) else max(abs(value), 1.0) / 1000


def between(low: float, high: float) -> float:
    """The number of fewest digits, or the moment of the largest unit, in the middle half of (low, high).

    >>> between(37.0, 38.0), between(0.1, 0.2)
    (37.5, 0.15)
    """
    middle, margin = low + (high - low) / 2, (high - low) / 4
    ways = moments_near(low, int(high)) if isinstance(low, int) else decimals_near(middle, high - low)
    return next((way for way in ways if low + margin <= way <= high - margin), low)


def decimals_near(middle: float, gap: float) -> Iterator[float]:
    """The middle of a gap, rounded to more and more digits."""
    first = math.ceil(math.log10(gap))
    return (float(f"{round(middle / 10.0**e)}e{e}") for e in range(first, first - 4, -1))


def moments_near(low: int, high: int) -> Iterator[int]:
    """The middle of a gap, rounded to days, hours, minutes, seconds and microseconds."""
    middle = (low + high) // 2
    return ((middle + unit // 2) // unit * unit for unit in TIME_UNITS)


def count(bins: Sketch, values: Values) -> Sketch:
    """`counts` of the values in a sketch's bins, and how many are missing (and of `other` levels)."""
    found = present(bins["kind"], values)
    missing = len(values) - len(found)
    if isinstance(found, pl.Series):
        counts = level_counts(bins["levels"], found)
        return {"counts": counts, "other": len(found) - sum(counts), "missing": missing}
    place = np.searchsorted(np.asarray(bins["edges"]), found, side="left")
    return {"counts": np.bincount(place, minlength=len(bins["edges"]) + 1).tolist(), "missing": missing}


def level_counts(levels: list[str], values: pl.Series) -> list[int]:
    """Rows of each level."""
    table = values.value_counts(name="rows")
    rows = dict(zip(table.to_series(0).to_list(), table["rows"].to_list(), strict=True))
    return [rows.get(level, 0) for level in levels]
