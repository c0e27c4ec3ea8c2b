"""Entities with several rows, such as patients who come again: whether a column names them.

An entity's rows resemble one another in other columns far more than rows of the next entity do; the next one in the
order of its names, because rows of neighbouring values of an ordinary number (age, a sensor's reading) resemble one
another too.
Shapes: N rows, L distinct values, E entities, P pairs, C columns compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from forgeline.engine.cells import Cells
from forgeline.engine.evidence import Clue, Pairs, joined
from forgeline.engine.names import named_entity


def repeats(
    cells: Cells, name: str, least_entities: int, least_rows_per_entity: float, most_share: float = 0.2
) -> bool:
    """Whether a column could name entities: many values, each in a few rows, none in too many.

    Where few rows repeat a value, the name must say that it is a key (a student in two courses); copies count once.
    """
    if not is_code(cells, name) or cells.missing(name) > 0.5 * cells.rows:
        return False
    counts_L = cells.levels(name).counts
    known = int(counts_L.sum())
    if len(counts_L) < least_entities or counts_L[0] > most_share * known:
        return False
    if known >= least_rows_per_entity * len(counts_L):
        return True
    return named_entity(name) > 0 and repeated(cells, name) >= max(20.0, 0.01 * known)


def repeated(cells: Cells, name: str) -> int:
    """How many rows share their value with another one that is no copy of them."""
    code_N = cells.codes(name)[np.unique(cells.row_keys(), return_index=True)[1]]
    counts_L = np.bincount(code_N[code_N >= 0])
    return int(counts_L[counts_L > 1].sum())


def is_code(cells: Cells, name: str) -> bool:
    """Text, whole numbers, or numbers in equal steps, as whole numbers are after scaling."""
    if cells.is_date(name) or not (cells.is_text(name) or cells.is_number(name)):
        return False
    if cells.is_text(name):
        return True
    if cells.distinct(name) > 0.9 * cells.rows and named_entity(name) <= 0:
        return False
    level_L = np.unique(cells.ordered(name))
    if len(level_L) < 3:
        return False
    whole = bool((level_L == np.round(level_L)).all())
    return (whole or stepped(level_L)) and (named_entity(name) > 0 or dealt(level_L))


def stepped(level_L: np.ndarray, *, least_filled: float = 0.5) -> bool:
    """Whether numbers go in equal steps without many gaps, as counters do after scaling."""
    step_L = np.diff(level_L) / np.diff(level_L).min()
    return bool((np.abs(step_L - np.round(step_L)) < 0.02).all() and len(step_L) >= least_filled * step_L.sum())


def dealt(level_L: np.ndarray, *, most_uneven: float = 0.2) -> bool:
    """Whether numbers are spread evenly, as names that were dealt out; what is measured has a middle and tails."""
    place_L = (level_L - level_L[0]) / (level_L[-1] - level_L[0])
    return bool(np.abs(place_L - np.linspace(0, 1, len(place_L))).max() <= most_uneven)


def promising(
    cells: Cells, pairs: Pairs, name: str, asides: Sequence[str], *, few: int = 200, least: float = 0.03
) -> bool:
    """A short look: whether the name speaks for it, or a few rows of a value resemble one another at all."""
    if named_entity(name) > 0:
        return True
    others = [other for other in pairs.names if other != name and other not in asides][:20]
    left_P, right_P, next_P = neighbours(cells, pairs, name, few)
    lift_C, _ = pairs.lift(pairs.matrix(others, left_P, right_P), pairs.matrix(others, left_P, next_P))
    return bool(len(lift_C)) and float(np.maximum(lift_C, -0.1).mean()) >= least


def entity(
    cells: Cells,
    pairs: Pairs,
    name: str,
    asides: Sequence[str],
    *,
    low: float = 0.1,
    high: float = 0.33,
    many: int = 30,
    too_many: int = 500,
    least_columns: int = 3,
) -> Clue:
    """How sure a column's values are entities.

    Resemblance counts from a mean of `low` over the other columns, and wholly from `high`; fewer than
    `least_columns` columns that show it are a dependency between columns. With over `many` rows a value it must be
    seen in columns that vary within the value: constant ones are what a category has, too. With over `too_many`
    only the name can speak.
    """
    others = [other for other in pairs.names if other != name and other not in asides]
    left_P, right_P, next_P = neighbours(cells, pairs, name, pairs.most)
    near_PC = pairs.matrix(others, left_P, right_P)
    differ_P = (np.nan_to_num(near_PC) > 0).any(axis=1)  # copies resemble one another for another reason
    near_PC = near_PC[differ_P]
    lift_C, errors = pairs.lift(near_PC, pairs.matrix(others, left_P, next_P))
    rows_each = float(cells.levels(name).counts.mean())
    if rows_each > many and len(lift_C):
        lift_C = lift_C * ((np.nan_to_num(near_PC) > 0).mean(axis=0) > 0.02)
    breadth = float(np.maximum(lift_C, 0).mean()) if len(lift_C) else 0.0
    shown = errors >= 4 and rows_each <= too_many and int((lift_C >= 0.1).sum()) >= least_columns
    values = 0.9 * float(np.clip((breadth - low) / (high - low), 0, 1)) if shown else 0.0
    said = named_entity(name)
    values *= 0.5 if said < 0 else 1.0
    order = 0.3 if values > 0.2 and contiguous(cells, name) else 0.0
    return Clue(name, joined(max(said, 0.0), values, order), breadth)


def neighbours(
    cells: Cells, pairs: Pairs, name: str, most: int, *, most_rows: int = 200_000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, another row of the same value each, and a row of the next value: three int64 [P].

    Values take turns, so that those with many rows do not outweigh the others. Of many rows those of some values
    are read, drawn in runs so that neighbours stay neighbours.
    """
    codes_N, values = cells.codes(name), cells.levels(name).values
    place_L = np.empty(len(values) + 1, np.int64)
    place_L[values.to_physical().arg_sort().to_numpy()] = np.arange(len(values))
    place_L[-1] = -1  # missing
    if cells.rows > most_rows:
        runs = pairs.draw.random(len(values) // 8 + 1) < most_rows / cells.rows
        place_L = np.where(runs[place_L // 8], place_L, -1)
    place_N = place_L[codes_N]
    rows_N = np.flatnonzero(place_N >= 0)
    rows_N = rows_N[pairs.draw.permutation(len(rows_N))]
    rows_N = rows_N[np.argsort(place_N[rows_N], kind="stable")]
    first_N = np.diff(place_N[rows_N], prepend=-1) > 0
    start_E, entity_N = np.flatnonzero(first_N), np.cumsum(first_N) - 1
    turn_N = np.arange(len(rows_N)) - start_E[entity_N]
    second_P = by_turn(turn_N, most, pairs.draw)
    size_E = np.diff(start_E, append=len(rows_N))
    next_P = (entity_N[second_P] + 1) % max(len(start_E), 1)
    return rows_N[second_P - 1], rows_N[second_P], rows_N[start_E[next_P] + turn_N[second_P] % size_E[next_P]]


def by_turn(turn_N: np.ndarray, most: int, draw: np.random.Generator) -> np.ndarray:
    """Positions of at most so many rows that are not the first of their entity, low turns before high ones."""
    second = np.flatnonzero(turn_N > 0)
    if len(second) <= most:
        return second
    second = second[draw.permutation(len(second))]
    return second[np.argsort(turn_N[second], kind="stable")[:most]]


def contiguous(cells: Cells, name: str, *, least: float = 0.7) -> bool:
    """Whether rows of one value stand together in the file."""
    codes_N = cells.codes(name)[:200_000]
    expected = float(((cells.levels(name).counts / cells.rows) ** 2).sum())
    possible = 1 - len(cells.levels(name)) / cells.rows
    same = float((np.diff(codes_N) == 0).mean())
    return possible > 0 and (same - expected) / possible >= least


def coarsest(cells: Cells, pairs: Pairs, clues: Sequence[Clue], least_sure: float) -> Clue | None:
    """The surest clue, or what its entities are part of (a visit of a patient), or what it is an attribute of.

    What the surest is an attribute of may have half the evidence: the attribute's is its own, too.
    """
    ranked = sorted(clues, key=lambda one: -one.sure)
    if not ranked or ranked[0].sure < least_sure:
        return None
    best = ranked[0]
    for clue in ranked[1:]:
        if clue.sure >= least_sure and holds(cells, clue.name, best.name):
            best = clue if across(cells, pairs, clue, best) else best
        elif clue.sure >= least_sure / 2 and holds(cells, best.name, clue.name):
            best = best if across(cells, pairs, best, clue) else replace(clue, sure=best.sure)
    return best


def across(cells: Cells, pairs: Pairs, coarse: Clue, fine: Clue) -> bool:
    """Whether rows of one coarse value resemble one another also where the fine value differs.

    Two visits of a patient do; two patients of one age do not.
    """
    others = [name for name in pairs.names if name not in (coarse.name, fine.name)]
    left_P, right_P, next_P = neighbours(cells, pairs, coarse.name, 4 * pairs.most)
    differ = np.flatnonzero(cells.codes(fine.name)[left_P] != cells.codes(fine.name)[right_P])[: pairs.most]
    near_PC, far_PC = (pairs.matrix(others, left_P[differ], row_P[differ]) for row_P in (right_P, next_P))
    lift_C, errors = pairs.lift(near_PC, far_PC)
    return errors >= 4 and float(np.maximum(lift_C, 0).mean()) >= 0.5 * fine.resemblance


def holds(cells: Cells, coarse: str, fine: str, *, least: float = 0.99) -> bool:
    """Whether one column has fewer values, and each value of the other that several rows have goes with one of them."""
    if len(cells.levels(coarse)) >= len(cells.levels(fine)):
        return False
    several = np.flatnonzero(cells.levels(fine).counts > 1)
    fine_N, coarse_N = cells.codes(fine).astype(np.int64), cells.codes(coarse).astype(np.int64)
    kept_N = np.isin(fine_N, several)
    pairs = len(np.unique(fine_N[kept_N] * (len(cells.levels(coarse)) + 1) + coarse_N[kept_N]))
    return bool(0 < least * pairs <= len(several))
