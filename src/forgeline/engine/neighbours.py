"""Rows as points, and the nearest of each, found among many in about N log N.

Numbers are in standard deviations, each category at a corner, so that another category is 1 away.
Shapes: N rows, F columns, E dimensions of the points, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from forgeline.engine import split
from forgeline.engine.cells import cell_hashes
from forgeline.engine.duplicates import collision
from forgeline.engine.seeds import Seed

ABSENT = -1
"""Stands for no partner."""


@dataclass(frozen=True)
class Points:
    """Rows as points, and as hashes of their cells."""

    x_NE: np.ndarray
    """float32."""
    part_NF: np.ndarray
    """uint64: equal exactly where the cells are."""
    information_F: np.ndarray
    """Nats that an agreement in a column is worth: -log of the chance that two rows agree."""

    def __len__(self) -> int:
        return len(self.x_NE)


@dataclass(frozen=True)
class Nearest:
    """The nearest row found for each row; distance inf where there is none."""

    partner_N: np.ndarray
    distance_N: np.ndarray


def points(frame: pl.DataFrame, *, corners: int = 8, seed: Seed) -> Points:
    """The rows of a frame; of a category with more levels than `corners` each level is a random direction."""
    parts = [cell_hashes(frame[name]) for name in frame.columns]
    blocks = [
        block
        for name, part_N in zip(frame.columns, parts, strict=True)
        for block in axes(frame[name], part_N, corners, seed.child("axes", name))
    ]
    x_NE = np.column_stack(blocks) if blocks else np.zeros((frame.height, 0))
    part_NF = np.column_stack(parts)
    information_F = np.array([-np.log(collision(part_NF[:, at])) for at in range(part_NF.shape[1])])
    return Points(x_NE.astype(np.float32), part_NF, information_F)


def axes(values: pl.Series, part_N: np.ndarray, corners: int, seed: Seed) -> list[np.ndarray]:
    """The dimensions that a column adds, each [N] or [N, some]."""
    if values.dtype in (pl.String, pl.Boolean, pl.Binary):
        return [category(part_N, corners, seed)]
    number_N = np.array(values.to_physical().cast(pl.Float64).fill_null(np.nan).to_numpy())
    known_N = np.isfinite(number_N)
    if not known_N.any():
        return []
    center = number_N[known_N].mean()
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(number_N[known_N].std())
        z_N = np.where(known_N, number_N - center, 0.0) / (spread if 0 < spread < np.inf else 1.0)
    gaps = [] if known_N.all() else [(~known_N).astype(np.float64)]
    return [np.clip(np.nan_to_num(z_N), -1e6, 1e6), *gaps]


def category(part_N: np.ndarray, corners: int, seed: Seed) -> np.ndarray:
    """Corners at a distance of 1 from each other, [N, dimensions]; missing is a level."""
    _, code_N = np.unique(part_N, return_inverse=True)
    levels = int(code_N.max(initial=0)) + 1
    if levels <= corners:
        return np.asarray(np.eye(levels)[code_N] / np.sqrt(2))
    corner_LE = seed.generator().normal(size=(levels, corners))
    corner_LE /= np.linalg.norm(corner_LE, axis=1, keepdims=True) * np.sqrt(2)
    return np.asarray(corner_LE[code_N])


def nearest(
    these: Points,
    side_N: np.ndarray | None = None,
    *,
    width: float,
    tables: int = 8,
    window: int = 2,
    sketch: int = 10,
    seed: Seed,
) -> Nearest:
    """The nearest row that grid hashing finds: sure below a quarter of `width`, by luck above (Datar et al. 2004).

    In each table rows are put in order by the cell of three random projections, then along a fourth, and compared
    with the next `window` rows. With `side_N`, only pairs of different sides count.
    """
    rows, dimensions = these.x_NE.shape
    partner_N, best_N = np.full(rows, ABSENT), np.full(rows, np.inf)
    if rows < 2 or not dimensions:
        return Nearest(partner_N, best_N)
    sketch_NK = project(these.x_NE, sketch, seed.child("sketch"))
    hashed_NK = project(these.x_NE, 3 * sketch, seed.child("hashed"))
    for table in range(tables):
        order = cells_in_order(hashed_NK, width, seed.child("table", table))
        for a_P, b_P in neighbours(order, window, side_N):
            rough_P = ((sketch_NK[a_P] - sketch_NK[b_P]) ** 2).sum(axis=1)
            worth = np.flatnonzero((rough_P < 4 * width**2) & (rough_P < 9 * np.maximum(best_N[a_P], best_N[b_P]) ** 2))
            a_P, b_P = a_P[worth], b_P[worth]
            keep_better(partner_N, best_N, a_P, b_P, distance(these.x_NE, a_P, b_P))
    return Nearest(partner_N, best_N)


def project(x_NE: np.ndarray, dimensions: int, seed: Seed) -> np.ndarray:
    """Random projection that keeps distances on average (Johnson and Lindenstrauss 1984), float32 [N, dimensions]."""
    if x_NE.shape[1] <= dimensions:
        return x_NE
    direction_EK = seed.generator().normal(size=(x_NE.shape[1], dimensions)) / np.sqrt(dimensions)
    return np.asarray(x_NE @ direction_EK.astype(np.float32))


def cells_in_order(x_NE: np.ndarray, width: float, seed: Seed, *, along: int = 3) -> np.ndarray:
    """Rows in order of their grid cell along random directions, and along one more within a cell."""
    draw = seed.generator()
    direction_EK = draw.normal(size=(x_NE.shape[1], along + 1)).astype(np.float32)
    place_NK = x_NE @ direction_EK
    cell_NK = np.floor(place_NK[:, :along] / width + draw.random(along)).astype(np.int64)
    key_N = np.zeros(len(x_NE), np.uint64)
    for at in range(along):
        key_N = split.mix(key_N + cell_NK[:, at].view(np.uint64))
    return np.asarray(np.lexsort((place_NK[:, along], key_N)))


def neighbours(order: np.ndarray, window: int, side_N: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows at most `window` apart in an order; each pair once, of different sides where there are sides."""
    for step in range(1, min(window, len(order) - 1) + 1):
        a_P, b_P = order[:-step], order[step:]
        if side_N is not None:
            across = side_N[a_P] != side_N[b_P]
            a_P, b_P = a_P[across], b_P[across]
        yield a_P, b_P


def distance(x_NE: np.ndarray, a_P: np.ndarray, b_P: np.ndarray) -> np.ndarray:
    """Euclidean distance of each pair, float64 [P]."""
    return np.asarray(np.sqrt(((x_NE[a_P] - x_NE[b_P]) ** 2).sum(axis=1, dtype=np.float64)))


def keep_better(
    partner_N: np.ndarray, best_N: np.ndarray, a_P: np.ndarray, b_P: np.ndarray, cost_P: np.ndarray
) -> None:
    """Note each pair with both its rows where it is the best so far; the earlier partner wins a tie."""
    for here_P, there_P in ((a_P, b_P), (b_P, a_P)):
        order = np.lexsort((there_P, cost_P, here_P))
        first = order[np.append(True, here_P[order][1:] != here_P[order][:-1])] if len(order) else order
        better = first[cost_P[first] < best_N[here_P[first]]]
        best_N[here_P[better]], partner_N[here_P[better]] = cost_P[better], there_P[better]


def usual_distance(
    these: Points,
    rows_Q: np.ndarray,
    among: np.ndarray,
    *,
    rank: int = 4,
    most_distances: int = 16_000_000,
    dimensions: int = 12,
    seed: Seed,
) -> np.ndarray:
    """About the distance from each of some rows to its `rank`-th nearest row `among` others, float64 [Q].

    Distances are taken in a random projection, and of others in the same of 64 bunches only the nearest counts.
    """
    most = max(64, most_distances // max(len(rows_Q), 1))
    chosen = among if len(among) <= most else np.sort(seed.generator().permutation(among)[:most])
    chosen = chosen[: len(chosen) // 64 * 64] if len(chosen) > 64 * rank else chosen
    flat_NK = project(these.x_NE, dimensions, seed.child("usual"))
    flat_NK = np.asarray(flat_NK - flat_NK.mean(axis=0), np.float32)
    square_N = (flat_NK**2).sum(axis=1)
    others_KM = np.ascontiguousarray(-2 * flat_NK[chosen].T)
    place_N = np.full(len(flat_NK), ABSENT)
    place_N[chosen] = np.arange(len(chosen))
    found_Q = np.empty(len(rows_Q))
    for start in range(0, len(rows_Q), 512):
        some = rows_Q[start : start + 512]
        near_QM = flat_NK[some] @ others_KM
        near_QM += square_N[chosen]
        itself = np.flatnonzero(place_N[some] >= 0)
        near_QM[itself, place_N[some[itself]]] = np.inf
        if len(chosen) > 64 * rank:
            near_QM = near_QM.reshape(len(some), len(chosen) // 64, 64).min(axis=1)
        nth = min(rank, near_QM.shape[1]) - 1
        found_Q[start : start + 512] = np.partition(near_QM, nth, axis=1)[:, nth] + square_N[some]
    return np.sqrt(np.maximum(found_Q, 0))
