"""Rows that are almost another row: found among many in about N log N, and judged by what is natural for the table.

Rows are points: numbers in standard deviations, each category at a corner, so that another category is 1 away.
Shapes: N rows, F columns, E dimensions of the points, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forgeline.engine import split
from forgeline.engine.cells import WIDE
from forgeline.engine.seeds import Seed

if TYPE_CHECKING:
    from forgeline.engine.probe import Probe

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


# ---------------------------------------------------------------- points


def points(frame: pl.DataFrame, *, corners: int = 8, seed: Seed) -> Points:
    """The rows of a frame; of a category with more levels than `corners` each level is a random direction."""
    parts = [cell_hashes(frame[name], name) for name in frame.columns]
    blocks = [
        block
        for name, part_N in zip(frame.columns, parts, strict=True)
        for block in axes(frame[name], part_N, corners, seed.child("axes", name))
    ]
    x_NE = np.column_stack(blocks) if blocks else np.zeros((frame.height, 0))
    part_NF = np.column_stack(parts)
    information_F = np.array([-np.log(collision(part_NF[:, at])) for at in range(part_NF.shape[1])])
    return Points(x_NE.astype(np.float32), part_NF, information_F)


def cell_hashes(values: pl.Series, name: str) -> np.ndarray:
    """A hash of each cell that the sum of several columns' hashes may be told apart by, uint64 [N]."""
    return split.mix(split.bits(values) ^ np.uint64(split.text_hash(f"column {name}")))


def collision(hash_N: np.ndarray) -> float:
    """The chance that two rows agree; that of half a pair where none does."""
    ordered = np.sort(hash_N)
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    count = np.diff(np.append(starts, len(ordered))).astype(np.float64)
    pairs = max(len(hash_N) * (len(hash_N) - 1), 1)
    return float(max((count * (count - 1)).sum(), 1.0) / pairs) if len(hash_N) > 1 else 1.0


def axes(values: pl.Series, part_N: np.ndarray, corners: int, seed: Seed) -> list[np.ndarray]:
    """The dimensions that a column adds, each [N] or [N, some]."""
    if values.dtype == pl.String or values.dtype == pl.Boolean:
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


# ---------------------------------------------------------------- search


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


# ---------------------------------------------------------------- exact repeats


def row_keys(frame: pl.DataFrame) -> np.ndarray:
    """Equal where whole rows are, uint64 [N]."""
    return split.keys(frame, frame.columns)


@dataclass(frozen=True)
class Repeats:
    """Rows that repeat an earlier row, and how many of them chance would bring."""

    later: np.ndarray
    """The repeats, int64."""
    first_N: np.ndarray
    """The first row that is equal to each row; itself where there is none before."""
    copies_N: np.ndarray
    """How many rows share each row's values."""
    chance: float
    """Repeats that chance would bring; NaN where it was not worked out."""

    @property
    def beyond(self) -> float:
        """Repeats that chance does not explain; 0 where it may explain all."""
        slack = 2 * self.chance + 4 * np.sqrt(self.chance) + 3
        return float(len(self.later) - self.chance) if len(self.later) > slack else 0.0


def repeats(frame: pl.DataFrame, *, least_share: float = 0.002) -> Repeats:
    """Rows equal to an earlier one in every column; chance is worked out where they are `least_share` or more."""
    if frame.width > WIDE and len(np.unique(row_keys(frame[:, :WIDE]))) == frame.height:
        alone_N = np.arange(frame.height)  # rows that differ in the first columns differ
        return Repeats(alone_N[:0], alone_N, np.ones(frame.height, np.int64), float("nan"))
    _, first, position_N, count = np.unique(row_keys(frame), return_index=True, return_inverse=True, return_counts=True)
    later = np.flatnonzero(first[position_N] != np.arange(frame.height))
    worth = len(later) and len(later) >= least_share * frame.height
    chance = by_chance(frame, first, count, len(later)) if worth else float("nan")
    return Repeats(later, first[position_N], count[position_N], chance)


def by_chance(frame: pl.DataFrame, first: np.ndarray, count: np.ndarray, later: int, *, most_odds: float = 10) -> float:
    """How many repeats chance would bring, given how many rows differ in one column only.

    Rows that meet by chance are among many that almost meet: pairs that differ in one column alone are to equal
    pairs as disagreement to agreement in that column. Copies have no such company. The largest of the
    columns' estimates counts, over distinct rows, and over all pairs so that values met often count as often.
    """
    part_NF = np.column_stack([cell_hashes(frame[name], name) for name in frame.columns])
    total_N = part_NF.sum(axis=1, dtype=np.uint64)
    equal_pairs = float((count * (count - 1.0) / 2).sum())
    single = share = 0.0
    for at in range(part_NF.shape[1]):
        agree = collision(part_NF[:, at])
        odds = min(most_odds, agree / (1 - agree)) if agree < 1 else 0.0
        _, rest = np.unique((total_N - part_NF[:, at])[first], return_inverse=True)
        distinct, rows = np.bincount(rest).astype(np.float64), np.bincount(rest, count)
        single = max(single, odds * float((distinct * (distinct - 1) / 2).sum()))
        share = max(share, odds * float(rows @ rows - count @ count) / 2 / equal_pairs)
    return max(single, later * min(1.0, share))


# ---------------------------------------------------------------- what copies do to a score


def gain_of_shared(probe: Probe, unit_N: np.ndarray, *, most_rows: int = 8_000, folds: int = 4) -> Gain:
    """How much better a random split looks than one that keeps the rows of each unit together.

    `unit_N`: the unit of every training row. Whole units are drawn, so that copies are as frequent as in the table.
    """
    unit_P = unit_N[probe.rows_P]
    rows = probe.rows_S
    if len(unit_P) > most_rows:
        drawn_P = split.mix(unit_P.astype(np.uint64) + np.uint64(probe.seed.child("units").integer))
        rows = np.sort(np.argsort(drawn_P, kind="stable")[:most_rows])
    apart_S = (probe.seed.child("random folds").generator().permutation(len(rows)) % folds).astype(np.uint8)
    _, first, position_S = np.unique(unit_P[rows], return_index=True, return_inverse=True)
    names = tuple(probe.names)
    together = probe.crossed(names, rows, apart_S[first][position_S])
    apart = probe.crossed(names, rows, apart_S)
    # Only rows with copies gain by them: what the two models say of the others differs by luck.
    shared_S = np.bincount(position_S)[position_S] > 1
    leaked_SK = np.where(shared_S[:, None], apart.p_SK, together.p_SK)
    return Gain.of(probe, leaked_SK, together.p_SK, probe.y_P[rows], apart_S, share=float(shared_S.mean()))


def gain_of_copied(probe: Probe, share: float, *, folds: int = 3) -> Gain:
    """How much better a score looks when a share of the rows it is taken on are training rows too."""
    honest = probe.cross(folds=folds)
    rows, names = honest.rows_S, tuple(probe.names)
    fold_S = probe.fold_P[rows] % folds
    copied_S = probe.seed.child("copied").generator().random(len(rows)) < share
    x_SF, y_S = probe.matrix(names, rows), probe.y_P[rows]
    p_SK = honest.p_SK.copy()
    for fold in np.unique(fold_S):
        train = np.flatnonzero((fold_S != fold) | copied_S)
        if len(train) >= 10 and (probe.task == "regression" or len(np.unique(y_S[train])) > 1):
            p_SK[fold_S == fold] = probe.fit(names, x_SF[train], y_S[train]).predict(x_SF[fold_S == fold])
    leaked_SK = np.where(copied_S[:, None], p_SK, honest.p_SK)
    return Gain.of(probe, leaked_SK, honest.p_SK, y_S, fold_S, share=share)


@dataclass(frozen=True)
class Gain:
    """What a leak adds to a score, with a 95 % interval over folds."""

    inflation: float
    low: float
    high: float
    honest: float

    @classmethod
    def of(
        cls,
        probe: Probe,
        leaked_SK: np.ndarray,
        honest_SK: np.ndarray,
        y_S: np.ndarray,
        fold_S: np.ndarray,
        share: float,
    ) -> Gain:
        """Of two predictions of the same rows, compared in parts; at most what knowing the share would add."""
        parts = [fold_S == fold for fold in np.unique(fold_S)]
        pairs = [(probe.score(honest_SK[part], y_S[part]), probe.score(leaked_SK[part], y_S[part])) for part in parts]
        known_FS = np.array([pair for pair in pairs if np.isfinite(pair).all()]).reshape(-1, 2)
        if not len(known_FS):
            return cls(0.0, 0.0, 0.0, probe.floor)
        honest = float(known_FS[:, 0].mean())
        more = known_FS[:, 1] - known_FS[:, 0]
        error = 2 * float(more.std(ddof=1)) / np.sqrt(len(more)) if len(more) > 1 else abs(float(more[0]))
        most = max(0.0, (1 - honest) * share * (1 if probe.task == "regression" else 2))
        middle = float(np.clip(more.mean(), 0, most))
        return cls(middle, float(np.clip(middle - error, 0, most)), float(np.clip(middle + error, 0, most)), honest)

    @property
    def numbers(self) -> dict[str, float]:
        """As a finding carries it."""
        return {"inflation": self.inflation, "low": self.low, "high": self.high, "honest": self.honest}


# ---------------------------------------------------------------- almost repeats


@dataclass(frozen=True)
class Copies:
    """Rows that are almost another row, far closer than is natural for the table."""

    row_P: np.ndarray
    """The later row of each pair, int64."""
    partner_P: np.ndarray
    closeness_P: np.ndarray
    """How many times nearer the partner is than is natural for the row."""


def copies(
    frame: pl.DataFrame,
    side_N: np.ndarray | None = None,
    *,
    least_share: float = 0.004,
    least_rows: int = 6,
    seed: Seed,
) -> Copies:
    """Rows (no two of them equal) that are almost another row; with `side_N`, a row of the other side.

    Two ways to be a copy: a small distance in all columns, or agreement cell by cell in all but a few.
    Either must stand apart: many more rows as close as that, than the rows a little less close lead one to expect.
    """
    names = [name for name in frame.columns if not is_key(frame[name])]
    least = max(float(least_rows), least_share * frame.height)
    if frame.height < 20 or not names:
        return Copies(*(np.zeros(0, np.int64),) * 2, np.zeros(0))
    if len(names) < frame.width:
        return but_for_keys(frame.select(names), side_N, least, seed)
    return apart(frame, side_N, least, seed)


def apart(frame: pl.DataFrame, side_N: np.ndarray | None, least: float, seed: Seed) -> Copies:
    """The copies among rows of which no two are equal."""
    these = points(frame, seed=seed)
    near, factor_N = by_distance(these, side_N, least, seed)
    same, less_N = by_agreement(these, side_N, least, seed)
    partner_N = np.where(factor_N > 0, near.partner_N, same.partner_N)
    closeness_N = np.where(factor_N > 0, factor_N, less_N)
    row_P = np.flatnonzero(closeness_N > 0)
    return Copies(row_P, partner_N[row_P], closeness_N[row_P])


def but_for_keys(frame: pl.DataFrame, side_N: np.ndarray | None, least: float, seed: Seed) -> Copies:
    """The copies among rows that may be equal, as the columns that number them were left out.

    Equal ones are copies too where they are more than chance brings.
    """
    key_N = row_keys(frame) if side_N is None else row_keys(frame.with_columns(pl.Series(side_N).alias("\x00side")))
    _, first = np.unique(key_N, return_index=True)
    first.sort()
    found = apart(frame[first], None if side_N is None else side_N[first], least, seed)
    near = Copies(first[found.row_P], first[found.partner_P], found.closeness_P)
    equal = repeats(frame)
    later = equal.later if side_N is None else equal.later[side_N[equal.later] != side_N[equal.first_N[equal.later]]]
    if not equal.beyond or len(later) < least:
        return near
    row_P = np.append(later, near.row_P)
    once = np.unique(row_P, return_index=True)[1]
    return Copies(
        row_P[once],
        np.append(equal.first_N[later], near.partner_P)[once],
        np.append(np.full(len(later), 1e6), near.closeness_P)[once],
    )


def is_key(values: pl.Series, *, distinct: float = 0.95) -> bool:
    """Whether a column numbers or names the rows, so that copies would differ in it: text or dense whole numbers."""
    if values.dtype == pl.String:
        return values.n_unique() >= distinct * len(values)
    if not values.dtype.is_integer() or values.null_count():
        return False
    low, high = int(values.min()), int(values.max())  # type: ignore[arg-type]
    return (
        high - low < 3 * len(values) and high - low >= len(values) // 2 and values.n_unique() >= distinct * len(values)
    )


def is_later(partner_N: np.ndarray, side_N: np.ndarray | None) -> np.ndarray:
    """Rows whose partner comes before them, bool [N]; with sides, those of side 1."""
    rows = np.arange(len(partner_N))
    return (partner_N >= 0) & ((partner_N < rows) if side_N is None else (side_N == 1))


def by_distance(
    these: Points, side_N: np.ndarray | None, least: float, seed: Seed, *, most_share: float = 0.22
) -> tuple[Nearest, np.ndarray]:
    """How many times nearer than usual the nearest row is, float64 [N]; 0 where that is natural."""
    rows = len(these)
    everyone = np.arange(rows)
    among = everyone if side_N is None else np.flatnonzero(side_N == 0)
    some = np.sort(seed.child("some").generator().permutation(rows)[:300])
    usual = float(np.median(usual_distance(these, some, among, seed=seed)))
    factor_N = np.zeros(rows)
    if usual <= 0:
        return Nearest(np.full(rows, ABSENT), np.full(rows, np.inf)), factor_N
    near = nearest(these, side_N, width=usual / 2, seed=seed)
    suspects = np.flatnonzero((near.distance_N < usual / 2) & is_later(near.partner_N, side_N))
    if len(suspects) < least:
        return near, factor_N
    usual_Q = usual_distance(these, suspects, among, seed=seed)
    log_Q = np.log10(np.maximum(usual_Q, 1e-12) / np.maximum(near.distance_N[suspects], 1e-9))
    edge = stands_apart(
        log_Q, np.arange(0.5, 1.65, 0.1), 0.2, least, most_share * (rows if side_N is None else (side_N == 1).sum())
    )
    chosen = log_Q > edge
    factor_N[suspects[chosen]] = 10 ** log_Q[chosen]
    return near, factor_N


def by_agreement(
    these: Points,
    side_N: np.ndarray | None,
    least: float,
    seed: Seed,
    *,
    least_columns: int = 5,
    most_chance: float = 0.15,
    most_share: float = 0.3,
) -> tuple[Nearest, np.ndarray]:
    """For rows that differ from another in one cell only, the information they share over what they do not.

    float64 [N]; 0 where chance brings such pairs: as many as the rows that differ in one more column lead one
    to expect (see `by_chance`), judged for each column by itself.
    """
    rows, columns = these.part_NF.shape
    partner_N, factor_N = np.full(rows, ABSENT), np.zeros(rows)
    near = Nearest(partner_N, np.full(rows, np.inf))
    if columns < least_columns:
        return near, factor_N
    total_N = these.part_NF.sum(axis=1, dtype=np.uint64)
    found = [one_apart(total_N - these.part_NF[:, at], side_N) for at in range(columns)]
    likely = [at for at in np.argsort([len(later) for later, _ in found], kind="stable") if len(found[at][0])]
    pairs = [equal_pairs(total_N - these.part_NF[:, at]) for at in range(columns)]
    kept = chance = 0.0
    order = seed.child("beside").generator().permutation(columns)
    for at in likely if sum(len(later) for later, _ in found) >= least else ():
        later, partner = found[at]
        expected = one_more(these, total_N, at, order, pairs)
        if pairs[at] <= 3 * expected + 2 * np.sqrt(expected) or len(later) > most_share * (
            rows if side_N is None else (side_N == 1).sum()
        ):
            continue
        kept, chance = kept + len(later), chance + len(later) * expected / pairs[at]
        partner_N[later] = partner
        shared = float(these.information_F.sum() - these.information_F[at])
        factor_N[later] = np.maximum(factor_N[later], 1 + shared / max(these.information_F[at], 0.01))
    if kept < least or chance > most_chance * kept:
        factor_N[:] = 0
    return near, factor_N


def one_apart(rest_N: np.ndarray, side_N: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose rest equals that of an earlier row (of side 0, with sides), and that row."""
    order = np.argsort(rest_N, kind="stable")
    if side_N is not None:
        order = order[np.lexsort((side_N[order], rest_N[order]))]
    starts = np.append(True, rest_N[order][1:] != rest_N[order][:-1])
    first = order[starts][np.cumsum(starts) - 1]
    paired = (order != first) if side_N is None else (side_N[order] == 1) & (side_N[first] == 0)
    return order[paired], first[paired]


def one_more(
    these: Points,
    total_N: np.ndarray,
    at: int,
    order: np.ndarray,
    alone: list[float],
    *,
    columns: int = 12,
    most_odds: float = 10,
) -> float:
    """Pairs that chance would make differ in column `at` alone: the largest of some other columns' estimates.

    `alone`: how many pairs differ in each column alone.
    """
    largest = 0.0
    for other in [other for other in order if other != at][:columns]:
        agree = float(np.exp(-these.information_F[other]))
        odds = min(most_odds, agree / (1 - agree)) if agree < 1 else 0.0
        both = equal_pairs(total_N - these.part_NF[:, at] - these.part_NF[:, other]) - alone[at] - alone[other]
        largest = max(largest, odds * both)
        if 3 * largest > alone[at]:
            break
    return largest


def equal_pairs(hash_N: np.ndarray) -> float:
    """How many pairs of rows have equal hashes."""
    _, count = np.unique(hash_N, return_counts=True)
    return float((count * (count - 1.0) / 2).sum())


def stands_apart(
    value_Q: np.ndarray, edges: np.ndarray, step: float, least: float, most: float, *, most_natural: float = 0.1
) -> float:
    """The edge beyond which values are a crowd of their own; inf where there is none.

    A natural tail falls off: what lies beyond an edge is foretold from the steps before it, as a geometric row.
    An edge serves where that explains at most `most_natural` of what does lie beyond.
    """
    best, found = 0.0, np.inf
    for edge in edges:
        beyond = int((value_Q > edge).sum())
        natural = foretold(value_Q, float(edge), step)
        gain = beyond - 1.5 * natural
        natural += 1.5 * np.sqrt(natural) if beyond < 50 else 0.0
        if least <= beyond <= most and natural <= most_natural * beyond and gain > best:
            best, found = gain, float(edge)
    return found


def foretold(value_Q: np.ndarray, edge: float, step: float) -> float:
    """How many values a natural tail has beyond an edge, from the three steps before it.

    From the last two steps; or, where the values beyond gather in a peak of their own that may reach into the last
    step, from the two before that.
    """
    count = [int(((value_Q > edge - (at + 1) * step) & (value_Q <= edge - at * step)).sum()) for at in range(3)]
    ratio = min(0.8, (count[0] + 0.5) / (count[1] + 1))
    natural = max(0.1, count[0] * ratio / (1 - ratio))
    peak = np.histogram(value_Q, edge + step * np.arange(11))[0].max()
    if peak > 1.5 * count[0] + 3 * np.sqrt(count[0]):
        ratio = min(0.8, (count[1] + 0.5) / (count[2] + 1))
        natural = min(natural, max(0.1, count[1] * ratio**2 / (1 - ratio)))
    return float(natural)
