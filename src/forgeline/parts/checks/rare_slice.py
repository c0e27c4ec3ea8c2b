"""Groups with too few rows to learn from that behave otherwise than the model of all rows says."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from forgeline.engine import identities
from forgeline.engine.cells import Levels
from forgeline.engine.probe import Probe
from forgeline.kinds import View
from forgeline.records import Finding

codes = ("quality.rare_slice",)
round = 2
DATE = r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ].*)?$"


class Slice(NamedTuple):
    """Rows of one value of a column, or of several small ones: how far the target is from what is said, how surely."""

    column: str
    levels: tuple[int, ...]
    rows: np.ndarray
    gap: float
    z: float
    known: bool = False
    """Whether it is the constant predictor that is off: the other columns may well tell."""
    learnt: bool = False
    """Whether the model of all columns learnt it, and is off only were these rows of another value."""


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
    most_learnt: float = 0.02,
    least_learnt: float = 0.25,
) -> Iterator[Finding]:
    """`quality.rare_slice`: values of a category that hold less than `most_share` of the training rows.

    Every table has rare values. Reported are those whose target is, out of fold, `least_gap` away from what the
    model of all columns says (as a share, or in standard deviations), or whose squared error is that much above that of
    all rows, beyond what chance and their number explain. Values of fewer than `few_rows` rows are also judged
    together, `least_few` of them at least: whether the rows of one value are off on the same side. Where they hold more
    than the share `most_few` of the rows, as names of entities do, they are no rare ones; it
    is a note where a model of the other columns knows what they are like. Neither numbers, dates nor names of entities
    (`structure.group`) are cut into slices. Where a model could learn a value of at most the share `most_learnt`, it is
    asked what it says of these rows with other values of the column: reported if that is `least_learnt` off.
    """
    if table.probe is None or target is None:
        return
    probe, entities = table.probe, named(table)
    few: list[list[Slice]] = []
    alone: list[Slice] = []
    for name in (name for name in probe.names if probe.is_category(name) and name not in entities):
        counts = probe.cells.levels(name).counts
        if measured(probe.cells.levels(name)):
            continue
        small = np.flatnonzero((counts >= 2) & (counts < few_rows))
        if len(small) >= least_few and counts[counts < few_rows].sum() <= most_few * counts.sum():
            few.append([together(name, small, probe, known) for known in (False, True)])
        rare = np.flatnonzero((counts >= least_rows) & (counts <= min(most_share * len(probe.y_P), most_rows)))
        alone += [judged(name, int(level), probe.cells.codes(name), residuals(probe)) for level in rare]
    least = least_z + np.sqrt(2 * np.log(max(2 * len(few) + len(alone), 1)))  # the largest of so many chances
    found = chosen(few, alone, least, least_gap)
    seen = {(one.column, level) for one in found for level in one.levels}
    quiet = [one for one in alone if (one.column, one.levels[0]) not in seen]
    quiet = [one for one in quiet if len(one.rows) <= most_learnt * len(probe.y_P)]
    again = [one for one in learnt(probe, quiet) if one.z > least and one.gap > least_learnt]
    for one in [*found, *sorted(again, key=lambda one: -one.z)][:most_findings]:
        yield finding(table, one)


def learnt(probe: Probe, slices: list[Slice], *, most: int = 40, folds: int = 2) -> list[Slice]:
    """The slices, the largest `most`, as a model is off that is told they have other values of their column."""
    slices = sorted(slices, key=lambda one: -len(one.rows))[:most]
    if not slices:
        return []
    usual_PK, train = probe.out_of_fold().p_SK, probe.rows_S
    said = [usual_PK[one.rows] for one in slices]
    for fold in range(folds):
        rows = train[probe.fold_P[train] % folds != fold]
        if len(rows) < 20 or (probe.task != "regression" and len(np.unique(probe.y_P[rows])) < probe.outputs):
            return []
        model = probe.fit(probe.names, probe.matrix(probe.names, rows), probe.y_P[rows])
        for place, one in enumerate(slices):
            held = probe.fold_P[one.rows] % folds == fold
            if held.any():
                said[place] = said[place].copy()
                said[place][held] = model.predict(elsewhere(probe, one, one.rows[held]))
    loss = float((differences(probe, usual_PK)[0] ** 2).mean())
    return [of_rows(one, *differences(probe, p_RK, one.rows), loss, learnt=True) for one, p_RK in zip(slices, said)]


def elsewhere(probe: Probe, one: Slice, rows: np.ndarray) -> np.ndarray:
    """The features of some rows, with values of the slice's column that other rows have, in their order."""
    x_RF = probe.matrix(probe.names, rows)
    feature_P = probe.feature(one.column)
    others_P = np.delete(feature_P, one.rows)
    if len(others_P):
        x_RF[:, probe.names.index(one.column)] = others_P[np.linspace(0, len(others_P) - 1, len(rows)).astype(int)]
    return x_RF


def chosen(few: list[list[Slice]], alone: list[Slice], least_z: float, least_gap: float) -> list[Slice]:
    """Those surely and far enough off, the surest first; a column's small values once, and not each again."""

    def off(slices: list[Slice]) -> list[Slice]:
        return [one for one in slices if one.z > least_z and one.gap > least_gap]

    kept = [one for both in few for one in off(both)[:1]]
    seen = {(one.column, level) for one in kept for level in one.levels}
    kept += [one for one in off(alone) if (one.column, one.levels[0]) not in seen]
    return sorted(kept, key=lambda one: -one.z)


def named(table: View) -> set[str]:
    """Columns that name entities or moments, or say what is the same in all rows of one."""
    codes = ("structure.group", "structure.time", "quality.identifier")
    return {table.group, table.time, *(name for one in table.found if one.code in codes for name in one.columns)}


def measured(levels: Levels) -> bool:
    """Whether most cells of a text column are numbers or dates, which a few other cells made text."""
    if levels.values.dtype != pl.String:
        return False
    either = levels.values.cast(pl.Float64, strict=False).is_not_null() | levels.values.str.contains(DATE)
    return bool(2 * levels.counts[either.to_numpy()].sum() >= levels.counts.sum())


def residuals(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Target less what is said, and its variance by the model, each float64 [P, K]; values in standard deviations."""
    return differences(probe, probe.out_of_fold().p_SK)


def differences(
    probe: Probe, p_SK: np.ndarray, rows: np.ndarray | slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Target less what is said of some rows."""
    y_P = probe.y_P[rows]
    if probe.task == "regression":
        spread = float(probe.y_P.std()) or 1.0
        error_PK = (y_P[:, None] - p_SK) / spread
        return error_PK, np.full(error_PK.shape, float((error_PK**2).mean()))
    truth_PK = np.eye(p_SK.shape[1])[y_P]
    return truth_PK - p_SK, np.maximum(p_SK * (1 - p_SK), 0.002)


def raw(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """The same of the constant predictor: what the column itself tells."""
    y_P = probe.y_P
    return differences(probe, np.tile(probe.constant(y_P), (len(y_P), 1)))


def judged(name: str, level: int, code_P: np.ndarray, residual: tuple[np.ndarray, np.ndarray]) -> Slice:
    """How far a slice's target is from what the model says."""
    rows = np.flatnonzero(code_P == level)
    error_PK, variance_PK = residual
    loss = float((error_PK**2).mean())
    return of_rows(Slice(name, (level,), rows, 0.0, 0.0), error_PK[rows], variance_PK[rows], loss)


def of_rows(one: Slice, error_RK: np.ndarray, variance_RK: np.ndarray, loss: float, *, learnt: bool = False) -> Slice:
    """A slice with how far its rows are off, at the class where that is surest; `loss`: mean squared error of all."""
    # Where a slice has other rules, and not only another rate, rows are wrong on both sides of what is said.
    wrong_R = (error_RK**2).mean(axis=1) - loss
    excess = float(wrong_R.mean())
    excess_z = excess * len(wrong_R) ** 0.5 / (float(wrong_R.std()) or 1.0)
    gap_K = np.abs(error_RK.mean(axis=0))
    z_K = gap_K * len(wrong_R) / np.sqrt(variance_RK.sum(axis=0))
    surest = int(np.argmax(z_K))
    gap, z = float(gap_K[surest]), float(z_K[surest])
    if excess > gap and excess_z > z:
        gap, z = excess, excess_z
    return one._replace(gap=gap, z=z, learnt=learnt)


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
    level = identities.personal(first, one.column) or first
    what = f"{one.column} = {level} has {len(one.rows):,} training rows ({share:.2%})"
    off = f"{table.target_name} is {one.gap:.2f} ({unit}) off what a model says"
    if len(one.levels) > 1:
        what = f"{one.column} has {len(one.levels):,} small values in {len(one.rows):,} training rows ({share:.2%})"
        off = f"{off} in each"
    if one.learnt:
        off = f"{off} of such rows elsewhere"
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
