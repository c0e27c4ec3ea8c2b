"""Numbers written in another unit than the rest of their column: thousands, inches, pounds, degrees."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from forgeline.engine import forest
from forgeline.engine.conversions import CONVERSIONS, Conversion
from forgeline.engine.empirical import member
from forgeline.engine.outliers import outside
from forgeline.engine.probe import sample
from forgeline.engine.seeds import Seed
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.scale",)
round = 1


class Moved(NamedTuple):
    """Rows in another unit, how far each is from the others' (in spreads), and the change of unit."""

    rows: np.ndarray
    score: np.ndarray
    way: Conversion


def check(
    table: View,
    target: pl.Series | None,
    *,
    most_columns: int = 6,
    most_rows: int = 2500,
    apart: float = 6.0,
) -> Iterator[Finding]:
    """`quality.scale`: after a change of unit the rows are like the others; score is how far out they are now.

    First by the column alone (`engine.outliers`): other decimals, or a group of its own. Then, where the column is
    wider than the factor, by a model of the other columns: rows that lie a factor from what it says, `apart` times the
    usual error at least. Factors that are smaller than both the column's spread and the model's error stay hidden.
    Of very many columns the first are looked at.
    """
    wide = []
    for name in (name for name in table.cells.first if table.cells.is_number(name)):
        found = outside(table.cells, name, ratios=True)
        if found is not None and found.conversion is not None:
            value_N = table.cells.numbers(name)
            rows = np.flatnonzero(member(value_N, found.value_V, found.far_V))
            yield finding(table, name, Moved(rows, found.distance(value_N[rows]), found.conversion))
        elif found is None and breadth(table, name) > np.log(4):
            wide.append(name)
    for name in sorted(wide, key=lambda name: -breadth(table, name))[:most_columns]:
        moved = by_others(table, name, most_rows, apart)
        if moved is not None:
            yield finding(table, name, moved)


def finding(table: View, name: str, moved: Moved) -> Finding:
    """The finding of one column."""
    share = len(moved.rows) / table.all.height
    return Finding(
        code="quality.scale",
        severity="warn",
        says=f"{name} is in another unit in {len(moved.rows):,} of {table.all.height:,} rows ({share:.2%}): "
        f"the others times {moved.way.says}",
        columns=[name],
        rows=table.keep_rows(moved.rows, moved.score),
        numbers={"rows": len(moved.rows), "share": share, "factor": moved.way.factor, "shift": moved.way.shift},
        fix=Fix(
            do="drop_rows", columns=[name], says="convert these cells to the unit of the others, or leave the rows out"
        ),
    )


def breadth(table: View, name: str) -> float:
    """Log of the ratio of the highest to the lowest of the middle 99 %; 0 where values are not positive or few."""
    ordered_N = table.cells.ordered(name)
    low, high = int(0.005 * len(ordered_N)), int(0.995 * len(ordered_N))
    if len(ordered_N) < 200 or ordered_N[int(0.02 * len(ordered_N))] <= 0 or len(np.unique(ordered_N[::7])) < 12:
        return 0.0
    return float(np.log(ordered_N[min(high, len(ordered_N) - 1)] / max(ordered_N[low], 1e-300)))


# ---------------------------------------------------------------- by the other columns


def by_others(table: View, name: str, most_rows: int, apart: float) -> Moved | None:
    """Rows that lie a known factor from what the other columns say."""
    value_N = table.cells.numbers(name)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_N = np.log(np.where(value_N > 0, value_N, np.nan))
    known = table.train_ids[~np.isnan(log_N[table.train_ids])]
    known = known[sample(len(known), most_rows, Seed(0).child("scale", name))]
    others = [other for other in table.cells.first if other != name]
    if len(known) < 200 or not others:
        return None
    x_NF = np.column_stack([encoded(table, other) for other in others])
    models = [fit(x_NF[known[fold::2]], log_N[known[fold::2]]) for fold in (0, 1)]
    error_S = np.empty(len(known))
    for fold in (0, 1):
        error_S[fold::2] = log_N[known[fold::2]] - models[1 - fold].predict(x_NF[known[fold::2]], num_threads=1)
    centre = float(np.median(error_S))
    spread = 1.4826 * float(np.median(np.abs(error_S - centre)))
    way = factor(error_S - centre, spread, apart)
    if way is None:
        return None
    said_N = np.mean([model.predict(x_NF, num_threads=1) for model in models], axis=0)
    error_N = np.nan_to_num((log_N - said_N - centre) / np.log(way.factor))
    rows = np.flatnonzero((error_N > 0.5) & (error_N < 1.5))
    return Moved(rows, error_N[rows] * abs(np.log(way.factor)) / spread, way)


def encoded(table: View, name: str) -> np.ndarray:
    """A column as numbers, float32 [N]: values, or levels by falling frequency; NaN where missing."""
    if table.cells.is_number(name) or table.cells.is_date(name):
        return np.asarray(np.clip(table.cells.numbers(name), -3e38, 3e38).astype(np.float32))
    code_N = table.cells.codes(name).astype(np.float32)
    return np.where(code_N < 0, np.float32(np.nan), code_N)


def fit(x_NF: np.ndarray, y_N: np.ndarray) -> Any:
    """A quick model of a value."""
    options: dict[str, Any] = {"learning_rate": 0.2, "lambda_l2": 0.0, "min_data_in_leaf": 10}
    return forest.grow(x_NF, y_N, aim="regression_l1", trees=30, **options)


def factor(error_S: np.ndarray, spread: float, apart: float, *, least: int = 8) -> Conversion | None:
    """The factor around whose logarithm errors gather, and nearly none between it and the rest."""
    best, most = None, 0
    for ways in CONVERSIONS:
        step = float(np.log(ways[0].factor)) if not ways[0].shift else 0.0
        if abs(step) < max(apart * spread, 0.3):
            continue
        place_S = error_S / step
        near = int((np.abs(place_S - 1) < max(3 * spread / abs(step), 0.02)).sum())
        band = int(((place_S > 0.5) & (place_S < 1.5)).sum())
        between = int(((place_S > 0.35) & (place_S < 0.65)).sum())
        mirrored = int(((place_S < -0.5) & (place_S > -1.5)).sum())
        least_rows = max(least, 0.004 * len(error_S))
        if near >= max(least_rows, 0.85 * band, 10 * between, 5 * mirrored) and near > most:
            best, most = ways[0], near
    return best
