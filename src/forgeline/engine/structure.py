"""Structure nobody declared: entities with several rows, an order in time, and copies.

No target is looked at, so all rows may be. What is compared are pairs of rows: those of one entity with those of the
next (`engine.entities`), and those that follow one another in time with those some way off (`engine.time_order`).
Shapes: N rows, L distinct values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from forgeline.engine.cells import Cells
from forgeline.engine.entities import coarsest, entity, promising, repeats
from forgeline.engine.evidence import Clue, Pairs
from forgeline.engine.names import named_entity, named_time
from forgeline.engine.time_order import moments, persistence, row_order, tells, time_of


@dataclass(frozen=True)
class Structure:
    """What was found in the features of all rows; no target is looked at.

    How sure is a score of evidence, not a measured frequency: independent clues (the name, resemblance, order) are
    joined as 1 − Π(1 − clue). Below `least_sure` nothing is reported; from .8 on one clue is strong or two agree.
    """

    group: str = ""
    """Column that names an entity with several rows; empty when there is none."""
    group_sure: float = 0.0
    """How sure, 0 to 1."""
    time: str = ""
    """Column that the rows are ordered by in time; empty when there is none."""
    time_sure: float = 0.0
    entities: int = 0
    """Distinct values of `group`."""
    rows_per_entity: float = 0.0
    """Mean over the entities."""
    resemblance: float = 0.0
    """Mean over the other columns of 1 − (difference within an entity) ÷ (difference to the next entity)."""
    moments: int = 0
    """Distinct values of `time`."""
    persistence: float = 0.0
    """Median over entities of the share of the whole time that one spans; 0 without both."""
    row_order: float = 0.0
    """How much rows that follow one another in the file resemble each other where no column says why."""
    copies: int = 0
    """Clusters of rows that are alike in every feature."""
    by: str = ""
    """The column that an honest split goes by: `time` or `group`, or none.

    Of both: time where the entities stay (few, with many rows over most of the time, like stations), since later
    rows are of the same ones; else group.
    """

    @property
    def panel(self) -> bool:
        """Whether entities were observed over time."""
        return bool(self.group and self.time)


def find(
    frame: pl.DataFrame,
    cells: Cells,
    *,
    least_rows: int = 60,
    least_entities: int = 20,
    least_rows_per_entity: float = 1.5,
    least_sure: float = 0.6,
    least_order: float = 0.4,
    least_moments: int = 8,
    most_pairs: int = 1_000,
    most_columns: int = 40,
    most_candidates: int = 20,
    seed: int = 0,
) -> Structure:
    """The entity column, the time column and copies, from features of all rows.

    At most `most_candidates` columns (of very many the first are looked at) are tried as entities, each on
    `most_pairs` pairs of rows and `most_columns` other columns: the cost hardly grows with the rows.
    """
    if frame.height < least_rows:
        return Structure()
    pairs = Pairs(cells, np.random.default_rng(seed), most_pairs, most_columns)
    time = time_of(cells, pairs, least_sure, least_moments)
    asides = (time.name,) if time else ()
    moment_N = moments(cells, time.name) if time else np.zeros(0)
    candidates = [
        name
        for name in cells.first
        if not (time and tells(cells, name, moment_N))
        and (named_time(name) <= 0 or named_entity(name) > 0)
        and repeats(cells, name, least_entities, least_rows_per_entity)
    ]
    candidates = sorted(candidates, key=lambda name: -named_entity(name))[:most_candidates]
    clues = [entity(cells, pairs, name, asides) for name in candidates if promising(cells, pairs, name, asides)]
    group = coarsest(cells, pairs, clues, least_sure)
    found = described(cells, group, time)
    if not found.time:
        strength = row_order(cells, pairs, group.name if group else "")
        found = replace(found, row_order=strength if strength >= least_order else 0.0)
    return replace(found, copies=copies(cells))


def described(cells: Cells, group: Clue | None, time: Clue | None) -> Structure:
    """The numbers of what was found."""
    found = Structure()
    if time:
        moments_N = moments(cells, time.name)
        count = len(np.unique(moments_N[~np.isnan(moments_N)]))
        found = replace(found, time=time.name, time_sure=time.sure, moments=count, by=time.name)
    if group:
        counts_L = cells.levels(group.name).counts
        found = replace(
            found,
            group=group.name,
            group_sure=group.sure,
            entities=len(counts_L),
            rows_per_entity=float(counts_L.mean()),
            resemblance=group.resemblance,
            by=group.name,
        )
    if group and time:
        stays = persistence(cells.codes(group.name), moments(cells, time.name))
        lasting = stays >= 0.5 and found.rows_per_entity >= 20
        found = replace(found, persistence=stays, by=time.name if lasting else group.name)
    return found


def copies(cells: Cells, *, most_rows: int = 200_000) -> int:
    """Clusters of rows that are alike in every column; not counted (0) in more than so many rows."""
    if cells.rows > most_rows or not cells.names or any(cells.distinct(name) == cells.rows for name in cells.first):
        return 0
    key_N: np.ndarray = np.zeros(cells.rows, np.uint64)
    for name in cells.first:
        key_N = (key_N ^ cells.codes(name).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key_N ^= key_N >> np.uint64(29)
    key_N.sort()
    same_N = np.diff(key_N) == 0
    return int((same_N & ~np.r_[False, same_N[:-1]]).sum()) if len(same_N) else 0
