"""The fit ledger of the line's own stages: which rows each recipe, filter and model saw, and what was scored with it.

It is judged by the rules that a user's pipeline is judged by (engine.ledger), so a leak of our own would be a
finding like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forgeline import records
from forgeline.engine import ledger as book
from forgeline.engine import split as sealing
from forgeline.engine.ledger import Entry, Ledger, Verb
from forgeline.records import Finding

if TYPE_CHECKING:
    from forgeline.workspace import Workspace


class Writer:
    """Entries in order, and the sets of rows they name."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.entries: list[Entry] = []
        self.sets: dict[str, str] = {}

    def add(self, step: str, verb: Verb, ids: np.ndarray, **more: object) -> int:
        """One entry; its place."""
        digest = book.digest(ids)
        if digest not in self.sets:
            self.sets[digest] = book.pack(ids, self.rows)
        plain = Entry(step=step, verb=verb, rows=len(ids), digest=digest, **more)  # type: ignore[arg-type]
        self.entries.append(plain)
        return len(self.entries) - 1


def ledger(
    snapshot: records.Snapshot,
    assessment: records.Assessment,
    refinement: records.Refinement,
    compression: records.Compression,
    work: Workspace,
) -> Ledger:
    """What was fitted on which rows, and what was scored: each fold by models of the others, the test once."""
    facts = snapshot.facts
    files = {ref.name: ref for ref in refinement.facts.table}
    ids_N, fold_N = work.array(files["ids.npy"]), work.array(refinement.facts.folds)
    test_ids = sealed_rows(assessment, facts, work)
    writer = Writer(facts.rows + facts.test_rows)
    for fold in range(refinement.facts.fold_count):
        seen, held = ids_N[fold_N != fold], ids_N[fold_N == fold]
        scored(writer, compression, fold, seen, held, inside=book.FOLDS)
    if len(test_ids):
        scored(writer, compression, refinement.facts.fold_count, ids_N, test_ids, inside="")
    return Ledger(rows=writer.rows, entries=writer.entries, sets=writer.sets)


def scored(
    writer: Writer, compression: records.Compression, fold: int, seen: np.ndarray, held: np.ndarray, *, inside: str
) -> None:
    """Recipe, filter and the ensemble fitted on some rows, and its score on others."""
    recipe = writer.add("impute and encode", "fit", seen)
    chosen = writer.add("filter by mutual information", "select", seen, saw_target=True)
    uses = [recipe, chosen]
    names = ", ".join(member.candidate for member in compression.facts.kept)
    model = writer.add(f"ensemble of {names}", "fit", seen, saw_target=True, uses=uses, setting=names)
    writer.add(f"ensemble of {names}", "score", held, saw_target=True, uses=uses, model=model, inside=inside)


def sealed_rows(assessment: records.Assessment, facts: records.SnapshotFacts, work: Workspace) -> np.ndarray:
    """Ids of the sealed rows; those of a test file of the user's own come after the snapshot's rows."""
    if assessment.facts.test_digest is None:
        return np.zeros(0, np.int64)
    if facts.test_digest:
        return np.arange(facts.rows, facts.rows + facts.test_rows)
    return np.flatnonzero(work.array(assessment.facts.split) == sealing.TEST)


def findings(kept: Ledger) -> list[Finding]:
    """The leaks that the ledger shows: none, as long as the line does what it says."""
    return [
        Finding(code=verdict.code, severity=verdict.severity, says=verdict.says, numbers=verdict.numbers)
        for verdict in book.judge(kept)
    ]
