"""Groups with too few rows to learn from that behave otherwise than the model of all rows says."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from forgeline.engine.probe import Probe
from forgeline.kinds import View
from forgeline.records import Finding

round = 2


class Slice(NamedTuple):
    """Rows of one value of a column, or of several small ones: how far the target is from what is said, how surely."""

    column: str
    levels: tuple[int, ...]
    rows: np.ndarray
    gap: float
    z: float
    known: bool = False
    """Whether it is the constant predictor that is off: the other columns may well tell."""


def check(
    table: View,
    target: pl.Series | None,
    *,
    most_share: float = 0.1,
    most_rows: int = 400,
    least_rows: int = 8,
    few_rows: int = 30,
    least_few: int = 3,
    most_few: float = 0.5,
    least_gap: float = 0.12,
    least_z: float = 3.0,
    most_findings: int = 10,
) -> Iterator[Finding]:
    """`quality.rare_slice`: values of a category that hold less than `most_share` of the training rows.

    Every table has rare values. Reported are those whose target is, out of fold, `least_gap` away from what the
    model of all columns says (as a share, or in standard deviations), or whose squared error is that much above that of
    all rows, beyond what chance and their number explain. Values of fewer than `few_rows` rows are also judged
    together, `least_few` of them at least: whether the rows of one value are off on the same side. Where they hold more
    than the share `most_few` of the rows, as names of entities do, they are no rare ones; it
    is a note where a model of the other columns knows what they are like. Neither numbers nor the names of entities
    (`structure.group`) are cut into slices.
    """
    if table.probe is None or target is None:
        return
    probe, entities = table.probe, named(table)
    few: list[list[Slice]] = []
    alone: list[Slice] = []
    for name in (name for name in probe.names if probe.is_category(name) and name not in entities):
        counts = probe.cells.levels(name).counts
        small = np.flatnonzero((counts >= 2) & (counts < few_rows))
        if len(small) >= least_few and counts[counts < few_rows].sum() <= most_few * counts.sum():
            few.append([together(name, small, probe, known) for known in (False, True)])
        rare = np.flatnonzero((counts >= least_rows) & (counts <= min(most_share * len(probe.y_P), most_rows)))
        alone += [judged(name, int(level), probe.cells.codes(name), residuals(probe)) for level in rare]
    least = least_z + np.sqrt(2 * np.log(max(2 * len(few) + len(alone), 1)))  # the largest of so many chances
    for one in chosen(few, alone, least, least_gap)[:most_findings]:
        yield finding(table, one)


def chosen(few: list[list[Slice]], alone: list[Slice], least_z: float, least_gap: float) -> list[Slice]:
    """Those surely and far enough off, the surest first; a column's small values once, and not each again."""

    def off(slices: list[Slice]) -> list[Slice]:
        return [one for one in slices if one.z > least_z and one.gap > least_gap]

    kept = [one for both in few for one in off(both)[:1]]
    seen = {(one.column, level) for one in kept for level in one.levels}
    kept += [one for one in off(alone) if (one.column, one.levels[0]) not in seen]
    return sorted(kept, key=lambda one: -one.z)


def named(table: View) -> set[str]:
    """Columns that name entities, or say what is the same in all rows of one."""
    codes = ("structure.group", "quality.identifier")
    return {table.group, *(name for one in table.found if one.code in codes for name in one.columns)}


def residuals(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Target less what is said, and its variance by the model, each float64 [P, K]; values in standard deviations."""
    return differences(probe, probe.out_of_fold().p_SK)


def differences(probe: Probe, p_SK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Target less what is said."""
    y_P = probe.y_P
    if probe.task == "regression":
        spread = float(y_P.std()) or 1.0
        error_PK = (y_P[:, None] - p_SK) / spread
        return error_PK, np.full(error_PK.shape, float((error_PK**2).mean()))
    truth_PK = np.eye(p_SK.shape[1])[y_P]
    return truth_PK - p_SK, np.maximum(p_SK * (1 - p_SK), 0.002)


def raw(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """The same of the constant predictor: what the column itself tells."""
    y_P = probe.y_P
    return differences(probe, np.tile(probe.constant(y_P), (len(y_P), 1)))


def judged(name: str, level: int, code_P: np.ndarray, residual: tuple[np.ndarray, np.ndarray]) -> Slice:
    """How far a slice's target is from what the model says, at the class where that is surest."""
    rows = np.flatnonzero(code_P == level)
    error_PK, variance_PK = residual
    # Where a slice has other rules, and not only another rate, rows are wrong on both sides of what is said.
    square_P = (error_PK**2).mean(axis=1)
    wrong_P = square_P[rows] - square_P.mean()
    excess = float(wrong_P.mean())
    excess_z = excess * len(rows) ** 0.5 / (float(wrong_P.std()) or 1.0)
    gap_K = np.abs(error_PK[rows].mean(axis=0))
    z_K = gap_K * len(rows) / np.sqrt(variance_PK[rows].sum(axis=0))
    surest = int(np.argmax(z_K))
    if excess > gap_K[surest] and excess_z > z_K[surest]:
        return Slice(name, (level,), rows, excess, excess_z)
    return Slice(name, (level,), rows, float(gap_K[surest]), float(z_K[surest]))


def together(name: str, few: np.ndarray, probe: Probe, known: bool) -> Slice:
    """How far the targets of several small slices are from what the model says, each by itself, on average.

    Were they as said, the product of two rows' errors in one slice would be nought on average; its root is the gap.
    """
    residual = raw(probe) if known else residuals(probe)
    code_P = probe.cells.codes(name)
    rows = np.flatnonzero(np.isin(code_P, few))
    place_R = np.searchsorted(few, code_P[rows])
    size_L = np.bincount(place_R, minlength=len(few)).astype(float)
    pairs = float((size_L * (size_L - 1)).sum())
    gap, z = 0.0, 0.0
    for error_R, variance_R in zip(residual[0][rows].T, residual[1][rows].T, strict=True):
        sum_L, square_L = (np.bincount(place_R, part, len(few)) for part in (error_R, error_R**2))
        known_L, known_square_L = (np.bincount(place_R, part, len(few)) for part in (variance_R, variance_R**2))
        product = float((sum_L**2 - square_L).sum())
        sure = product / np.sqrt(2 * float((known_L**2 - known_square_L).sum()))
        if sure > z:
            gap, z = float(np.sqrt(product / pairs)), float(sure)
    return Slice(name, tuple(few.tolist()), rows, gap, z, known)


def finding(table: View, one: Slice) -> Finding:
    """The finding of one slice, or of a column's small ones; training rows only."""
    assert table.probe is not None
    share = len(one.rows) / len(table.probe.y_P)
    rows = table.train_ids[table.probe.rows_P[one.rows]]
    unit = "standard deviations" if table.task == "regression" else "in share"
    first = table.probe.cells.levels(one.column).values[one.levels[0]]
    what = f"{one.column} = {first} has {len(one.rows):,} training rows ({share:.2%})"
    off = f"{table.target_name} is {one.gap:.2f} ({unit}) off what a model says"
    if len(one.levels) > 1:
        what = f"{one.column} has {len(one.levels):,} small values in {len(one.rows):,} training rows ({share:.2%})"
        off = f"{off} in each"
    if one.known:
        off = f"{table.target_name} is {one.gap:.2f} ({unit}) from its mean in each, though other columns tell why"
    return Finding(
        code="quality.rare_slice",
        severity="note" if one.known else "warn",
        says=f"{what}, too few to learn from: {off}",
        columns=[one.column],
        rows=table.keep_rows(rows, np.full(len(rows), one.z)),
        numbers={"rows": len(rows), "share": share, "gap": one.gap, "z": one.z, "values": float(len(one.levels))},
    )
