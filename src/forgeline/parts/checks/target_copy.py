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
    if target is None or len(target) < least_rows or varied(target) < least_varied:
        return
    recurs = 2 * target.n_unique() <= len(target)
    rest = []
    for values in table.train:
        says = alone(values, target, recurs, tolerance, least_varied)
        if says:
            yield finding([values.name], says)
        else:
            rest.append(values)
    yield from together(rest, target, tolerance, most_columns)


def varied(target: pl.Series) -> int:
    """Rows that do not have the commonest value."""
    return len(target) - int(target.value_counts()["count"].to_numpy().max())


def alone(values: pl.Series, target: pl.Series, recurs: bool, tolerance: float, least_varied: int) -> str:
    """How a column by itself gives the target away, everywhere or where it is known; empty if it does not."""
    says = same(values, target, recurs, tolerance)
    if says or not 0 < 2 * values.null_count() <= len(values):
        return says
    known = values.is_not_null()
    truth = target.filter(known)
    says = same(values.filter(known), truth, recurs, tolerance) if varied(truth) >= least_varied else ""
    return f"where it is known, {says}" if says else ""


def same(values: pl.Series, target: pl.Series, recurs: bool, tolerance: float) -> str:
    """In what way the values are the target; empty when they are not.

    Only a target whose values recur can be recoded: else any column without repeats would be a recoding.
    """
    if recurs and one_to_one(values, target):
        return f"{values.name} is {target.name} in other words: each value of one goes with one of the other"
    x_N, y_N = numbers(values), numbers(target)
    if x_N is not None and y_N is not None and scaled(x_N, y_N, tolerance):
        return f"{values.name} is {target.name} up to scale and offset"
    return ""


def one_to_one(values: pl.Series, target: pl.Series) -> bool:
    """Whether each value goes with one value of the target and back, null being a value."""
    for rows in (PREFIX, len(target)):
        distinct = target.head(rows).n_unique()
        if values.head(rows).n_unique() != distinct:
            return False
        pairs = pl.DataFrame([values.head(rows).alias("value"), target.head(rows).alias("target")])
        if pairs.n_unique() != distinct:
            return False
    return distinct > 1


def numbers(values: pl.Series) -> np.ndarray | None:
    """Numbers, or true and false, as float64; None if one is missing or too large to be squared and summed."""
    if values.null_count() or not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        return None
    value_N = values.cast(pl.Float64).to_numpy()
    return value_N if (np.abs(value_N) < LARGEST).all() else None


def scaled(x_N: np.ndarray, y_N: np.ndarray, tolerance: float) -> bool:
    """Whether y = intercept + slope · x."""
    return all(combination.fit(x_N[:rows, None], y_N[:rows]).residual <= tolerance for rows in (PREFIX, len(y_N)))


def together(rest: list[pl.Series], target: pl.Series, tolerance: float, most: int) -> Iterator[Finding]:
    """Each set of columns that adds up to the target; sets do not share columns."""
    y_N = numbers(target)
    arrays = {values.name: numbers(values) for values in rest} if y_N is not None else {}
    columns = {name: x_N for name, x_N in arrays.items() if x_N is not None}
    while columns and y_N is not None:
        rows_N = combination.sample(len(y_N), len(columns))
        x_NF = np.column_stack([x_N[rows_N] for x_N in columns.values()])
        chosen = combination.find(x_NF, y_N[rows_N], most=most, tolerance=tolerance)
        if not chosen:
            return
        names = [list(columns)[place] for place in chosen]
        fit = combination.fit(np.column_stack([columns.pop(name) for name in names]), y_N)
        if fit.residual <= tolerance:
            says = f"{target.name} = {formula(fit, names)} in all {len(y_N):,} training rows"
            yield finding(names, says, {"residual": fit.residual})


def formula(fit: combination.Fit, columns: list[str]) -> str:
    """`casual + registered`, `2.5 · hours + 10`."""
    terms = [
        name if f"{by:.6g}" == "1" else f"{by:.6g} · {name}" for by, name in zip(fit.coefficients, columns, strict=True)
    ]
    scale = max(abs(by) for by in fit.coefficients)
    terms += [f"{fit.intercept:.6g}"] if abs(fit.intercept) > 1e-6 * scale else []
    return " + ".join(terms).replace("+ -", "− ")


def finding(columns: list[str], says: str, numbers: dict[str, float] | None = None) -> Finding:
    """A blocking finding; its fix drops the whole set."""
    fix = Fix(do="drop", columns=columns, says="known only together with the target")
    return Finding(
        code="leak.target_copy", severity="block", says=says, columns=columns, numbers=numbers or {}, fix=fix
    )
