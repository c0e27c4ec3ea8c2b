"""Whether another column tells some rows from the others: then they are a part of the world, not an error.

Shapes: N rows, S of them looked at, V distinct values, C codes.
"""

import numpy as np

from forgeline.engine.cells import Cells
from forgeline.engine.empirical import member
from forgeline.engine.probe import auc
from forgeline.engine.seeds import Seed


def explained(cells: Cells, name: str, value_V: np.ndarray, far_V: np.ndarray) -> bool:
    """Whether some other column tells the rows outside from the others."""
    value_N = cells.numbers(name)
    others = [other for other in cells.names if other != name]
    return given_away(cells, others, member(value_N, value_V, far_V), ~np.isnan(value_N))


def given_away(
    cells: Cells, names: list[str], far_N: np.ndarray, known_N: np.ndarray, *, least: float = 0.6, most_rows: int = 2400
) -> bool:
    """Whether one of some columns tells rows from the other known ones: AUC above `least`, and beyond chance."""
    rows = chosen(far_N, known_N, most_rows)
    far_S = far_N[rows]
    fold_S = Seed(0).child("explained").generator().integers(0, 2, len(rows))
    # Each fold has half of the rows, and what one gives away by chance, so does the other.
    chance = 3.2 * np.sqrt(1 / (6 * max(far_S.sum(), 1)))
    return any(told(binned(cells, name, rows), far_S, fold_S) > max(least, 0.5 + chance) for name in names)


def chosen(far_N: np.ndarray, known_N: np.ndarray, most: int) -> np.ndarray:
    """A sample of rows inside and outside, sorted."""
    draw = Seed(0).child("rows").generator()
    far, near = np.flatnonzero(far_N), np.flatnonzero(known_N & ~far_N)
    some = [
        part if len(part) <= size else draw.choice(part, size, replace=False)
        for part, size in ((far, most // 3), (near, most))
    ]
    return np.sort(np.concatenate(some))


def binned(cells: Cells, name: str, rows: np.ndarray, *, bins: int = 16) -> np.ndarray:
    """int64 [S]: the level or the bin of each row of a column; 0 is missing."""
    if not (cells.is_number(name) or cells.is_date(name)):
        return np.asarray(np.minimum(cells.codes(name)[rows], 60).astype(np.int64) + 1)
    value_S = cells.numbers(name)[rows]
    known = value_S[~np.isnan(value_S)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.zeros(0)
    return np.where(np.isnan(value_S), 0, np.searchsorted(edges, value_S) + 1)


def told(code_S: np.ndarray, far_S: np.ndarray, fold_S: np.ndarray) -> float:
    """AUC of being outside, from the share outside among rows of the same code in the other fold."""
    width = int(code_S.max(initial=0)) + 1
    found = []
    for fold in (0, 1):
        train, held = fold_S != fold, fold_S == fold
        all_C = np.bincount(code_S[train], minlength=width)
        far_C = np.bincount(code_S[train], far_S[train], minlength=width)
        rate_C = (far_C + far_S.mean()) / (all_C + 1)
        found.append(auc(rate_C[code_S[held]], far_S[held]))
    known = [one for one in found if one == one]
    return float(np.mean(known)) if known else 0.5
