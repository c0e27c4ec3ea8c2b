"""What a column holds, in a few figures: its range, its commonest value, its bars."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

MOST_LEVELS = 12
OTHER = "other"
WIDEST = 1e300
"""Ranges beyond it, near the end of what a float64 holds, are not drawn."""

Label = str | bool | int | float


class Summary(NamedTuple):
    """Least, median and most of numbers and dates, and the commonest value of categories; null where none."""

    least: str | float | None = None
    median: str | float | None = None
    most: str | float | None = None
    commonest: str | None = None


def summary(values: pl.Series) -> Summary:
    """The figures of one column, of its values that are neither missing nor infinite."""
    if values.dtype == pl.Datetime:
        whole = values.dt.truncate("1s") if values.null_count() < len(values) else values
        return Summary(*(str(one) if one is not None else None for one in (whole.min(), whole.median(), whole.max())))
    if values.dtype.is_numeric():
        numbers = finite(values)
        return Summary(numbers.min(), numbers.median(), numbers.max())  # type: ignore[arg-type]  # they are numbers
    counted = by_count(values)
    if not counted.height:
        return Summary()
    level, count = counted.row(0)
    return Summary(commonest=f"{level} ({count / len(values):.0%})")


def finite(values: pl.Series) -> pl.Series:
    """The values that are neither missing nor infinite."""
    present = values.drop_nulls()
    return present.filter(present.is_finite()) if values.dtype.is_float() else present


def by_count(values: pl.Series) -> pl.DataFrame:
    """Each value as text and its count, the commonest first, equal ones by name."""
    present = values.drop_nulls().cast(pl.String).alias("level")
    return present.value_counts().sort(["count", "level"], descending=[True, False])


def bars(values: pl.Series, bins: int = 24) -> tuple[list[float], list[float]]:
    """Edges and counts of equal bins over the finite values, whole ones for integers; none without a range."""
    numbers = finite(values).cast(pl.Float64).to_numpy()
    if not len(numbers) or not 0 < np.ptp(numbers / 2) < WIDEST:
        return [], []
    least, most = numbers.min(), numbers.max()
    if values.dtype.is_integer():
        width = np.ceil((most - least + 1) / bins)
        bins = int(np.ceil((most - least + 1) / width))
        least, most = least - 0.5, least - 0.5 + bins * width
    counts, edges = np.histogram(numbers, bins=bins, range=(least, most))
    return edges.tolist(), counts.astype(float).tolist()


def levels(values: pl.Series, order: Sequence[Label] = ()) -> tuple[list[str], list[float]]:
    """Levels and their counts: in the given order, or the commonest first with the rest as `other`."""
    counted = by_count(values)
    names, counts = counted["level"].to_list(), counted["count"].cast(pl.Float64).to_list()
    if len(names) > MOST_LEVELS:
        rest = sum(counts[MOST_LEVELS - 1 :])
        return [*names[: MOST_LEVELS - 1], OTHER], [*counts[: MOST_LEVELS - 1], rest]
    place = {str(label).lower() if isinstance(label, bool) else str(label): at for at, label in enumerate(order)}
    pairs = sorted(zip(names, counts, strict=True), key=lambda pair: place.get(pair[0], len(place)))
    return [name for name, _ in pairs], [count for _, count in pairs]
