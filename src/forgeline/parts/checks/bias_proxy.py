"""Columns that give a protected attribute away, so that leaving the attribute out would not make a model blind to it.

Shapes: N rows, V values or bins of the column, G groups of the attribute.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import groups
from forgeline.engine.groups import Grouping
from forgeline.engine.seeds import Seed
from forgeline.engine.stats import normal_quantile
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("bias.proxy",)
needs = ("protected",)

MOST_LEVELS = 1_000
"""Levels of a column that are told apart; rarer ones are one. Attributes with more than a tenth of it are left out."""
REMEDY = (
    "decide whether the column may be used; leaving only the attribute out does not hide it. Later stages offer "
    "dropping it, adversarial training, and losses constrained to equal rates"
)


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_auc: float = 0.85,
    most_rows: int = 10_000,
    bins: int = 32,
    least_rows: int = groups.LEAST_ROWS,
) -> Iterator[Finding]:
    """`bias.proxy`: by this column alone groups are told apart with a ROC AUC of `least_auc`, out of sample.

    The AUC is the mean over the attribute's groups of each against the rest, half of the training rows asked of the
    other half; 0.9 is a copy that is wrong in 10% of the rows of each group. At most `most_rows` rows are read
    (the AUC of groups of 1,000 rows is then known to ±0.02). Rows of one entity stay in one half.
    """
    if not table.protected or not table.train.height:
        return
    draw = Seed(0).child("bias.proxy").generator()
    rows_N = np.sort(draw.permutation(table.train.height)[:most_rows])
    half_N = halves(table, rows_N, draw)
    given = groups.groupings(table.train_cells, table.protected)
    attributes = [sampled(one, rows_N) for one in given if len(one.names) <= MOST_LEVELS // 10]
    chosen = [
        one for one in table.all.columns if one not in table.protected and not (table.group and one == table.group)
    ]
    for column in chosen:
        code_N = coded(table, column, rows_N, bins)
        found = {}
        for attribute in attributes:
            auc, low, high = tells(code_N, attribute, half_N, least_rows)
            if auc >= least_auc:
                found[attribute.attribute] = (auc, low, high)
        if found:
            yield finding(column, found)


def halves(table: View, rows_N: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """0 or 1 for each row; rows of one group of the split stay together."""
    if not table.group or table.group not in table.train.columns:
        return draw.integers(0, 2, len(rows_N))
    code_N = table.train_cells.codes(table.group)[rows_N]
    return np.asarray(draw.integers(0, 2, int(code_N.max(initial=0)) + 2)[code_N])


def sampled(grouping: Grouping, rows_N: np.ndarray) -> Grouping:
    """The groups of some rows."""
    return Grouping(grouping.columns, grouping.names, grouping.code_N[rows_N], grouping.missing)


def coded(table: View, column: str, rows_N: np.ndarray, bins: int) -> np.ndarray:
    """int64 [N]: the value of each row; of many numbers or dates the quantile bin. Missing is a value too."""
    cells, at_N = table.cells, table.train_ids[rows_N]
    number = cells.is_number(column) or cells.is_date(column)
    if not number or cells.distinct(column) <= bins:
        return np.asarray(np.minimum(cells.codes(column)[at_N], MOST_LEVELS) + 1, np.int64)
    value_N = cells.numbers(column)[at_N]
    known = value_N[~np.isnan(value_N)]
    shares = np.linspace(0, 1, bins + 1)[1:-1]
    edges = np.unique(np.quantile(known, shares, method="lower")) if len(known) else np.zeros(0)
    return np.where(np.isnan(value_N), 0, np.searchsorted(edges, value_N, side="left") + 1)


def tells(code_N: np.ndarray, attribute: Grouping, half_N: np.ndarray, least_rows: int) -> tuple[float, float, float]:
    """Mean ROC AUC over the groups with its interval (Hanley and McNeil 1982); 0 where fewer than two can be judged."""
    width, size = int(code_N.max()) + 1, len(attribute.names)
    count = np.bincount((half_N * width + code_N) * size + attribute.code_N, minlength=2 * width * size)
    count_HVG = count.reshape(2, width, size).astype(float)
    judged = [at for at in np.flatnonzero(count_HVG.sum(axis=(0, 1)) >= least_rows) if at not in attribute.missing]
    aucs, errors = [], []
    for at in judged if len(judged) > 1 else []:
        for half in (0, 1):
            auc, error = told(count_HVG[1 - half], count_HVG[half], int(at))
            if np.isfinite(auc):
                aucs.append(auc)
                errors.append(error)
    if not aucs:
        return 0.0, 0.0, 0.0
    reach = normal_quantile(0.95) * float(np.sqrt(np.sum(np.square(errors)))) / len(aucs)
    auc = float(np.mean(aucs))
    return auc, max(0.0, auc - reach), min(1.0, auc + reach)


def told(learned_VG: np.ndarray, asked_VG: np.ndarray, at: int) -> tuple[float, float]:
    """ROC AUC of one group against the rest among the asked rows, scored by its share among the learned ones."""
    rows_V = learned_VG.sum(axis=1)
    prior = learned_VG[:, at].sum() / max(rows_V.sum(), 1)
    score_V = (learned_VG[:, at] + 2 * prior) / (rows_V + 2)
    positives, negatives = asked_VG[:, at].sum(), asked_VG.sum() - asked_VG[:, at].sum()
    if not positives or not negatives:
        return float("nan"), float("nan")
    scores, place_V = np.unique(score_V, return_inverse=True)
    positive_S = np.bincount(place_V, asked_VG[:, at], len(scores))
    negative_S = np.bincount(place_V, asked_VG.sum(axis=1) - asked_VG[:, at], len(scores))
    auc = float(positive_S @ (np.cumsum(negative_S) - negative_S / 2) / (positives * negatives))
    two, both = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (two - auc**2) + (negatives - 1) * (both - auc**2)
    return auc, float(np.sqrt(max(spread, 0.0) / (positives * negatives)))


def finding(column: str, found: dict[str, tuple[float, float, float]]) -> Finding:
    """The warning of one column."""
    named = ", ".join(f"{name} (AUC {auc:.2f} [{low:.2f}, {high:.2f}])" for name, (auc, low, high) in found.items())
    auc, low, high = max(found.values())
    return Finding(
        code="bias.proxy",
        severity="warn",
        says=f"{column} gives away {named}; 0.5 tells nothing, 1 everything",
        columns=[column],
        numbers={"auc": auc, "low": low, "high": high, **{f"auc {name}": each[0] for name, each in found.items()}},
        fix=Fix(do="drop", columns=[column], says=REMEDY),
    )
