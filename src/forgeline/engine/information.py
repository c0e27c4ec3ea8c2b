"""How much a column tells about the target: binned mutual information and its G-test.

Shapes: N rows, X bins of the column, Y classes or bins of the target.
"""

from __future__ import annotations

import msgspec
import numpy as np

from forgeline.engine import words
from forgeline.engine.arrays import MISSING_DATE, Arrays


class Information(msgspec.Struct, frozen=True):
    """Mutual information with the target in nats, and the probability of so much by chance alone."""

    nats: float
    p_value: float


def informative(arrays: Arrays, rows_N: np.ndarray, y_N: np.ndarray, task: str, *, alpha: float = 0.05) -> list[str]:
    """Columns that tell more of the target, on the given rows, than chance does in a share `alpha` of cases.

    `y_N` is aligned with `rows_N`. Each column is judged by itself, so that share of useless columns is kept. Free
    text, which hardly says the same thing twice, is kept as it is, and so are pictures.
    """
    found = information(arrays, rows_N, y_N, task)
    kept = {*words.texts_of(arrays, rows_N), *arrays.pictures}
    return [name for name in arrays.columns if name in kept or found[name].p_value < alpha]


def information(
    arrays: Arrays,
    rows_N: np.ndarray,
    y_N: np.ndarray,
    task: str,
    *,
    bins: int = 16,
    target_bins: int = 10,
    top: int = 64,
) -> dict[str, Information]:
    """What each column tells about `y_N` (class indices, or values of a regression target).

    Numbers and dates are cut into quantile bins, missing is a bin of its own; of categories the `top` most
    frequent levels are kept apart.
    """
    target_N = quantile_bins(y_N, target_bins) if task == "regression" else y_N
    found = {}
    for index, name in enumerate(arrays.numbers):
        found[name] = mutual_information(quantile_bins(arrays.numbers_NA[rows_N, index], bins), target_N)
    for index, name in enumerate(arrays.categories):
        found[name] = mutual_information(frequent_codes(arrays.codes_NC[rows_N, index], top), target_N)
    for index, name in enumerate(arrays.dates):
        micros_N = arrays.dates_ND[rows_N, index]
        values_N = np.where(micros_N == MISSING_DATE, np.nan, micros_N)
        found[name] = mutual_information(quantile_bins(values_N, bins), target_N)
    return found


def quantile_bins(x_N: np.ndarray, bins: int) -> np.ndarray:
    """Index of each value's quantile bin, at most `bins` of them; NaN falls into one more."""
    known = x_N[~np.isnan(x_N)]
    if not len(known):
        return np.zeros(len(x_N), np.int64)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    codes_N: np.ndarray = np.where(np.isnan(x_N), len(edges) + 1, np.searchsorted(edges, x_N, side="left"))
    return codes_N


def frequent_codes(code_N: np.ndarray, top: int) -> np.ndarray:
    """Codes from 0, missing (-1) among them; all but the `top` most frequent become one."""
    _, code_N, counts = np.unique(code_N, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    ranked_N: np.ndarray = np.minimum(rank, top)[code_N]
    return ranked_N


def mutual_information(x_N: np.ndarray, y_N: np.ndarray) -> Information:
    """Plug-in mutual information of two columns of codes from 0, and the p-value of the G-test on them."""
    wide = int(y_N.max()) + 1
    counts_XY = np.bincount(x_N * wide + y_N, minlength=(int(x_N.max()) + 1) * wide).reshape(-1, wide)
    return Information(nats(counts_XY), g_test(pooled(counts_XY)))


def nats(counts_XY: np.ndarray) -> float:
    """Mutual information of a table of counts."""
    p_XY = counts_XY / counts_XY.sum()
    independent_XY = p_XY.sum(axis=1, keepdims=True) * p_XY.sum(axis=0, keepdims=True)
    seen_XY = p_XY > 0
    return max(0.0, float(np.sum(p_XY[seen_XY] * np.log(p_XY[seen_XY] / independent_XY[seen_XY]))))


def g_test(counts_XY: np.ndarray) -> float:
    """Probability of so much information in independent columns, with Williams' correction for few rows.

    Sokal and Rohlf, Biometry, 3rd edition (1995), section 17.4.
    """
    from scipy.special import chdtrc

    freedom = (counts_XY.shape[0] - 1) * (counts_XY.shape[1] - 1)
    if freedom == 0:
        return 1.0
    rows = counts_XY.sum()
    spread = [float(np.sum(rows / counts_XY.sum(axis=axis)) - 1) for axis in (0, 1)]
    correction = 1 + spread[0] * spread[1] / (6 * rows * freedom)
    return float(chdtrc(freedom, 2 * rows * nats(counts_XY) / correction))


def pooled(counts_XY: np.ndarray, *, least: float = 3.0, least_class: float = 5.0) -> np.ndarray:
    """The table with its rarest classes merged, then its rarest bins, until `least` is expected in every cell.

    Otherwise columns with many rare levels look informative by chance. (In 400 null draws each of 24 kinds, at
    alpha = 0.05: up to 0.22 unpooled, up to 0.08 with an expected count of 2, up to 0.065 with 5.)
    """
    counts_XY = merged(counts_XY.T, least_class).T
    rarest = counts_XY.sum(axis=0).min() / counts_XY.sum()
    return merged(counts_XY, least / rarest)


def merged(counts_XY: np.ndarray, least: float) -> np.ndarray:
    """The table without empty rows, its rarest added up until each has at least `least`, or one is left."""
    totals = counts_XY.sum(axis=1)
    rows = [counts_XY[index] for index in np.argsort(totals, kind="stable") if totals[index]]
    while len(rows) > 1 and rows[0].sum() < least:
        rows[1] = rows[0] + rows[1]
        rows = sorted(rows[1:], key=lambda row: int(row.sum()))
    return np.array(rows)
