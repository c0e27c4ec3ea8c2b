"""Columns that repeat the target exactly, alone or as a linear combination (leakage)."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import combination
from forgeline.kinds import View
from forgeline.records import Finding, Fix

LARGEST = 1e150
PREFIX = 1000
"""Rows looked at first: they settle almost every column."""


def check(
    table: View,
    target: pl.Series | None,
    *,
    tolerance: float = 1e-6,
    most_columns: int = 12,
    least_rows: int = 40,
    least_varied: int = 5,
) -> Iterator[Finding]:
    """`leak.target_copy`, on training rows. `columns` names the whole set, and no smaller one will do.

    tolerance: largest norm of the residual, relative to the target's. least_varied: rows that must differ from
    the target's commonest value, so that chance cannot copy it.
    """
    if target is None or len(target) < least_rows:
        return
    if len(target) - target.value_counts()["count"].max() < least_varied:  # type: ignore[operator]  # a count
        return
    found = set()
    recurs = 2 * target.n_unique() <= len(target)
    for name in table.train.columns:
        says = alone(table.train[name], target, recurs, tolerance)
        if says:
            found.add(name)
            yield finding([name], says)
    if tame(target):
        rest = exact_numbers(table.train.drop(found))
        yield from together(rest, target, tolerance, most_columns)


def alone(values: pl.Series, target: pl.Series, recurs: bool, tolerance: float) -> str:
    """How a column gives the target away by itself; empty when it does not.

    Where the target's values do not recur, every column without repeats would be a recoding of it: none counts.
    """
    if recurs and recodes(values, target):
        return (
            f"{values.name} has one value for each value of {target.name}: it is {target.name} in other words"
        )
    present = values.is_not_null()
    if 2 * int(present.sum()) < len(values):
        return ""
    known, truth = values.filter(present), target.filter(present)
    if recurs and values.null_count() and recodes(known, truth):
        return f"where {values.name} is known, it is {target.name} in other words"
    if affine(known, truth, tolerance):
        return f"{values.name} is {target.name} up to scale and offset"
    return ""


def recodes(values: pl.Series, target: pl.Series) -> bool:
    """Whether values and target map one to one, null being a value."""
    for rows in (PREFIX, len(target)):
        a, b = values.head(rows).alias("a"), target.head(rows).alias("b")
        distinct = b.n_unique()
        if a.n_unique() != distinct or pl.DataFrame([a, b]).n_unique() != distinct:
            return False
    return distinct > 1


def affine(values: pl.Series, target: pl.Series, tolerance: float) -> bool:
    """Whether target = intercept + slope · values."""
    if not tame(values) or not tame(target):
        return False
    x_N1, y_N = values.cast(pl.Float64).to_numpy()[:, None], target.cast(pl.Float64).to_numpy()
    return all(combination.fit(x_N1[:rows], y_N[:rows]).residual <= tolerance for rows in (PREFIX, len(y_N)))


def tame(values: pl.Series) -> bool:
    """Whether the values are numbers, or true and false, that can be squared and summed; none missing."""
    if not values.dtype.is_numeric() and values.dtype != pl.Boolean:
        return False
    return not values.null_count() and bool((values.cast(pl.Float64).abs() < LARGEST).all())


def exact_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """The numeric columns without missing or infinite values, as float64."""
    return pl.DataFrame([values.cast(pl.Float64) for values in frame if tame(values)])


def together(frame: pl.DataFrame, target: pl.Series, tolerance: float, most: int) -> Iterator[Finding]:
    """Each set of columns that adds up to the target; sets do not share columns."""
    y_N = target.cast(pl.Float64).to_numpy()
    while frame.width:
        rows_N = combination.sample(len(y_N), frame.width)
        chosen = combination.find(frame[rows_N].to_numpy(), y_N[rows_N], most=most, tolerance=tolerance)
        if not chosen:
            return
        columns = [frame.columns[place] for place in chosen]
        fit = combination.fit(frame[columns].to_numpy(), y_N)
        if fit.residual <= tolerance:
            says = f"{target.name} = {formula(fit, columns)} in all {len(y_N):,} training rows"
            yield finding(columns, says, {"residual": fit.residual})
        frame = frame.drop(columns)


def formula(fit: combination.Fit, columns: list[str]) -> str:
    """`casual + registered`, `2.5 · hours + 10`."""
    terms = [
        name if f"{by:.6g}" == "1" else f"{by:.6g} · {name}"
        for by, name in zip(fit.coefficients, columns, strict=True)
    ]
    scale = max(abs(by) for by in fit.coefficients)
    terms += [f"{fit.intercept:.6g}"] if abs(fit.intercept) > 1e-6 * scale else []
    return " + ".join(terms).replace("+ -", "− ")


def finding(columns: list[str], says: str, numbers: dict[str, float] | None = None) -> Finding:
    """A blocking finding; its fix drops the whole set."""
    fix = Fix(
        do="drop", columns=columns, says=f"drop {', '.join(columns)}: known only together with the target"
    )
    return Finding(
        code="leak.target_copy", severity="block", says=says, columns=columns, numbers=numbers or {}, fix=fix
    )
