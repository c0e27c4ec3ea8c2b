"""Columns that repeat the target, in other words, rounded or with a few cells altered, or add up to it (leakage)."""

from collections.abc import Iterator, Set
from typing import Literal

import numpy as np
import polars as pl

from forgeline.engine import combination, giveaway
from forgeline.engine.cells import WIDE
from forgeline.kinds import View
from forgeline.records import Finding, Fix

Severity = Literal["block", "warn"]
codes = ("leak.target_copy",)
needs = ("target",)

SMALLEST, LARGEST = 1e-150, 1e150
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
    least_agreement: float = 0.88,
    least_recall: float = 0.75,
    block_agreement: float = 0.8,
) -> Iterator[Finding]:
    """`leak.target_copy`, on training rows. `columns` names the whole set, and no smaller one will do.

    tolerance: largest norm of the residual, relative to the target's. least_varied: rows that must differ from
    the target's commonest value, so that chance cannot copy it. A near copy agrees with the target by at least
    least_agreement beyond chance (Cohen's kappa); or in least_recall of the rows of each class, and goes with no other
    column once the target is known: a warning below block_agreement.
    """
    if target is None or len(target) < least_rows or varied(target) < least_varied:
        return
    recurs = 2 * target.n_unique() <= len(target)
    rest, copies = [], {}
    for values in table.train:
        says = alone(values, target, recurs, tolerance, least_varied)
        if says:
            copies[values.name] = says
        else:
            rest.append(values)
    sums = list(together(rest, target, tolerance, most_columns))
    summed = {name for one in sums for name in one.columns}
    near, agreements = Near(table, target, least_agreement, least_recall), {}
    for values in rest[:WIDE]:
        agreement = 0.0 if values.name in summed else near.agreement(values.name)
        if agreement:
            agreements[values.name] = {"agreement": agreement}
            copies[values.name] = near_copy(values.name, target.name, agreement, block_agreement)
    yield from sums
    for name, says in copies.items():
        numbers = agreements.get(name, {})
        severity: Severity = "warn" if numbers.get("agreement", 1.0) < block_agreement else "block"
        yield finding([name], says, giving(table, name, copies.keys() - {name}) | numbers, severity)


def near_copy(name: str, target: str, agreement: float, high: float) -> str:
    """What a near copy is said to be."""
    if agreement >= high:
        return f"{name} is {target} in other words but for a few cells: they agree by {agreement:.3f}"
    return f"{name} agrees with {target} by {agreement:.3f} and goes with no other column: it may have been made of it"


def varied(target: pl.Series) -> int:
    """Rows that do not have the commonest value."""
    return len(target) - int(target.alias("value").value_counts(name="rows")["rows"].to_numpy().max())


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


class Near:
    """How far columns agree with the target where they do not repeat it in every row."""

    def __init__(self, table: View, target: pl.Series, least_agreement: float, least_recall: float) -> None:
        self.table, self.cells = table, table.train_cells
        self.least_agreement, self.least_recall = least_agreement, least_recall
        self.regression = table.task == "regression"
        self.rows = len(target)
        if self.regression:
            order = np.argsort(target.to_numpy(), kind="stable")
            self.rank_N = middle_ranks(target.to_numpy(), order)
        else:
            self.rank_N = target.alias("rank").rank("dense").to_numpy().astype(np.int64) - 1

    def agreement(self, name: str) -> float:
        """Cohen's kappa of a near copy; 0 for any other column."""
        if self.cells.distinct(name) < 2 or 2 * self.cells.missing(name) > self.rows:
            return 0.0
        return self.of_values(name) if self.regression else self.of_classes(name)

    def of_classes(self, name: str, *, most_rare: float = 0.02) -> float:
        """A near copy has as many levels as there are classes, rare ones aside, and each goes with one class."""
        count = int(self.rank_N.max()) + 1
        counts = self.cells.levels(name).counts
        known = int(counts.sum())
        if not count <= len(counts) <= 50 or counts[count:].sum() > most_rare * known or counts[count - 1] < 5:
            return 0.0
        code_N = self.cells.codes(name)
        seen = (code_N >= 0) & (code_N < count)
        pairs_KL = np.bincount(self.rank_N[seen] * count + code_N[seen], minlength=count**2).reshape(count, count)
        match_K = pairs_KL.argmax(axis=1)
        if len(set(match_K)) < count:
            return 0.0
        pairs_KK = pairs_KL[:, match_K] / max(pairs_KL.sum(), 1)
        chance = float(pairs_KK.sum(axis=1) @ pairs_KK.sum(axis=0))
        kappa = (float(np.trace(pairs_KK)) - chance) / max(1 - chance, 1e-9)
        recall = float((np.diag(pairs_KK) / np.maximum(pairs_KK.sum(axis=1), 1e-9)).min())
        if kappa >= self.least_agreement and recall >= self.least_recall:
            return kappa
        return kappa if recall >= self.least_recall and self.apart(name) else 0.0

    def apart(self, name: str) -> bool:
        """Whether a column goes with no other one once the target is known."""
        probe = self.table.probe
        if probe is None or name not in probe.names:
            return False
        return giveaway.apart(probe, name, giveaway.evidence(probe, probe.solo(name).p_SK))

    def of_values(self, name: str, *, slack: float = 0.02) -> float:
        """A near copy puts the rows in the order of the target: each level has the ranks that are its turn."""
        if self.cells.is_date(name) or (self.cells.is_text(name) and len(self.cells.levels(name)) > 50):
            return 0.0
        best = 0.0
        for code_N in self.orders(name):
            known = code_N >= 0
            rank_M = middle_ranks(self.rank_N[known], np.argsort(self.rank_N[known], kind="stable"))
            counts_L = np.bincount(code_N[known])
            share_L = counts_L / counts_L.sum()
            last_L = np.cumsum(share_L)
            inside = np.abs(rank_M - (last_L - share_L / 2)[code_N[known]]) <= share_L[code_N[known]] / 2 + slack
            chance = float((share_L * np.minimum(share_L + 2 * slack, 1)).sum())
            if len(counts_L) >= 3 and share_L.max() <= 0.7:
                best = max(best, (float(inside.mean()) - chance) / (1 - chance))
        return best if best >= self.least_agreement else 0.0

    def orders(self, name: str) -> Iterator[np.ndarray]:
        """Levels by the target's mean, or numbers rising and falling: int64 [N], -1 for missing."""
        code_N = self.cells.codes(name).astype(np.int64)
        known = code_N >= 0
        mean_L = np.bincount(code_N[known], self.rank_N[known]) / np.maximum(np.bincount(code_N[known]), 1)
        if len(mean_L) <= 50:
            keys = [mean_L]
        else:
            value_L = self.cells.levels(name).values.to_physical().cast(pl.Float64).to_numpy()
            keys = [value_L, -value_L]
            tau = np.abs(np.corrcoef(np.argsort(np.argsort(value_L)), mean_L)[0, 1])
            if not tau >= 0.8:
                return
        for key_L in keys:
            place_L = np.argsort(np.argsort(key_L, kind="stable"), kind="stable")
            yield np.where(known, place_L[code_N], -1)


def middle_ranks(value_N: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Ranks from 0 to 1, of equal values their middle [N]."""
    first_N = np.searchsorted(value_N[order], value_N, side="left")
    last_N = np.searchsorted(value_N[order], value_N, side="right")
    return np.asarray((first_N + last_N) / 2 / max(len(value_N), 1))


def giving(table: View, name: str, others: Set[str]) -> dict[str, float]:
    """The inflation that a copy brings, other copies set aside, where quick models can tell."""
    probe = table.probe
    if (
        probe is None
        or name not in probe.names
        or len(probe.names) < 2 + len(others)
        or np.abs(probe.y_N).max() >= LARGEST
    ):
        return {}
    return giveaway.inflation(probe, name, others).numbers()


def numbers(values: pl.Series) -> np.ndarray | None:
    """Numbers, or true and false, as float64; None if one is missing, or too large or all too small to be squared."""
    if values.null_count() or not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        return None
    value_N = values.cast(pl.Float64).to_numpy()
    largest = float(np.abs(value_N).max(initial=0.0))
    return value_N if largest == 0 or SMALLEST < largest < LARGEST else None


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


def finding(columns: list[str], says: str, numbers: dict[str, float], severity: Severity = "block") -> Finding:
    """The finding; its fix drops the whole set."""
    fix = Fix(do="drop", columns=columns, says="known only together with the target")
    return Finding(code="leak.target_copy", severity=severity, says=says, columns=columns, numbers=numbers, fix=fix)
