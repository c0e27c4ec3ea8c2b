"""Which rows are sealed away, and by what: what the spec says, else the structure that was found.

Shapes: N rows of the snapshot.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forgeline import records, spec
from forgeline.engine import split as sealing
from forgeline.engine.cells import Cells
from forgeline.engine.structure import Structure
from forgeline.engine.time_order import moments
from forgeline.errors import BadInput

if TYPE_CHECKING:
    import polars as pl

    from forgeline.engine.rows import RowSource

LEAST_TEST_ROWS = 2
FOLLOW = 0.8
"""How sure a structure must be before the split follows it unasked."""
NOTHING = "none"
"""`[split] by = "none"`: no structure is followed, unless a column has that name."""


@dataclass(frozen=True)
class Partition:
    """The sealed split."""

    side_N: np.ndarray
    """uint8: 0 train, 1 test, 2 left out for want of a target."""
    group: str
    time: str
    how: str
    """In a sentence."""

    @property
    def learns_N(self) -> np.ndarray:
        """Which rows are training rows, bool [N]."""
        return np.asarray(self.side_N == sealing.TRAIN)


def part(split: spec.Split, facts: records.SnapshotFacts, table: RowSource, found: Structure) -> Partition:
    """The rows' sides. Errors: BadInput when `by` is no column, or the training rows have nothing to tell apart."""
    group, time, unasked = followed(split, facts, found)
    side_N = np.zeros(table.rows, np.uint8)
    if not split.file and time:
        side_N = sealing.last(moments_of(table.column(time)), split.share)
    elif not split.file:
        sides = [sealing.holdout(frame, features(facts), split.share, group) for frame in table.parts()]
        side_N = np.concatenate(sides)
    if facts.target:
        target = table.column(facts.target)
        side_N[target.is_null().to_numpy()] = sealing.LEFT_OUT
        target = target.filter(side_N == sealing.TRAIN)
        if unasked and hopeless(target, facts):
            return part(split, facts, table, Structure())
        check_training_rows(target, split, facts)
    return Partition(side_N, group, time, sentence(split, group, time, unasked))


def moments_of(times: pl.Series) -> pl.Series:
    """When each row was, as numbers that grow with time, null where unknown."""
    import polars as pl

    return pl.Series(moments(Cells(times.to_frame()), times.name)).fill_nan(None)


def followed(split: spec.Split, facts: records.SnapshotFacts, found: Structure) -> tuple[str, str, bool]:
    """(group column, time column, whether they were found rather than asked for)."""
    known = [column.name for column in facts.columns if column.name != facts.target]
    if split.by and split.by in known:
        by_time = kind_of(split.by, facts) == "date"
        return ("", split.by, False) if by_time else (split.by, "", False)
    if split.by and split.by != NOTHING:
        what = "the target cannot decide the split" if split.by == facts.target else f"no column {split.by}"
        raise BadInput(what, where="[split] by", asked=split.by, known=[*known, NOTHING])
    sure = found.time_sure if found.by == found.time else found.group_sure
    if split.by or split.file or not found.by or sure < FOLLOW:
        return "", "", False
    return ("", found.by, True) if found.by == found.time else (found.by, "", True)


def features(facts: records.SnapshotFacts) -> list[str]:
    """Columns a model may read: not the target, the weight or kept identifiers."""
    aside = {facts.target, facts.weight, *facts.keep}
    return [column.name for column in facts.columns if column.name not in aside]


def kind_of(name: str, facts: records.SnapshotFacts) -> str:
    """A column's kind; empty for no column."""
    return next((column.kind for column in facts.columns if column.name == name), "")


def hopeless(target: pl.Series, facts: records.SnapshotFacts) -> bool:
    """Whether no row, or one class, is left to learn from."""
    return len(target) == 0 or (bool(facts.classes) and target.n_unique() == 1)


def check_training_rows(target: pl.Series, split: spec.Split, facts: records.SnapshotFacts) -> None:
    """Raise BadInput where sealing leaves one class, or no row at all, to learn from."""
    if hopeless(target, facts):
        left = f"only {target.name} = {target[0]}" if len(target) else "no row"
        raise BadInput(
            f"the split leaves {left} to learn from",
            where="[split]",
            remedy=f"Choose another column than {split.by} for `by`."
            if split.by
            else "Add rows, or set another share.",
        )


def sentence(split: spec.Split, group: str, time: str, found: bool) -> str:
    """How rows were sealed."""
    if split.file:
        return f"the test is {split.file}; nothing is set aside"
    why = "; nobody asked for it: the data shows this structure, and [split] by says otherwise" if found else ""
    if time:
        return f"the last {split.share:.0%} of the rows by {time}{why}"
    if group:
        return f"{split.share:.0%} of the groups of {group}, by a hash of their name{why}"
    return f"{split.share:.0%} of the rows, by a hash of their features: equal rows stay together"


def sides(parted: Partition, split: spec.Split, facts: records.SnapshotFacts) -> dict[str, Any]:
    """How rows were sealed, by which column, and how many there are on each side."""
    return {
        "split_how": parted.how,
        "train_rows": int(parted.learns_N.sum()),
        "test_rows": facts.test_rows if split.file else int((parted.side_N == sealing.TEST).sum()),
        "group": parted.group,
        "time": parted.time,
    }


def sealed(parted: Partition, split: spec.Split, facts: records.SnapshotFacts) -> dict[str, Any]:
    """`test_digest`, the identity of the sealed rows, or `test_why` there is none."""
    if split.file:
        why = "" if facts.test_labelled else "the test file has no labels"
        return {"test_digest": facts.test_digest if facts.test_labelled else None, "test_why": why}
    if not facts.target:
        return {"test_digest": None, "test_why": "no target was named"}
    rows = np.flatnonzero(parted.side_N == sealing.TEST)
    if len(rows) < LEAST_TEST_ROWS:
        says = f"the split sealed {len(rows)} of {len(parted.side_N):,} rows: too few"
        return {"test_digest": None, "test_why": says}
    identity = hashlib.sha256(facts.digest.encode() + rows.astype("<i8").tobytes())
    return {"test_digest": identity.hexdigest(), "test_why": ""}
