"""The line keeps a fit ledger of its own, and is judged by it like anyone's pipeline."""

import msgspec
import numpy as np
import pytest

from forgeline import bookkeeping
from forgeline.engine import ledger as book


def kept(run):
    """The ledger in a run's evaluation."""
    evaluation = next(record for record in run.records if record.stage == "evaluate")
    file = run.folder / "artefacts" / evaluation.facts.ledger.digest
    return evaluation, msgspec.json.decode(file.read_bytes(), type=book.Ledger)


@pytest.mark.parametrize("target", ["hired", "grade", "pay"])
def test_the_lines_own_ledger_shows_no_leak(runs, target):
    evaluation, ledger = kept(runs[target])
    assert {entry.verb for entry in ledger.entries} == {"fit", "select", "score"}
    assert bookkeeping.findings(ledger) == []
    assert not [finding for finding in evaluation.findings if finding.code.startswith("leak.")]


def test_a_filter_that_had_seen_the_test_rows_would_be_a_finding(runs):
    _, ledger = kept(runs["hired"])
    everyone = np.arange(ledger.rows)
    digest = book.digest(everyone)
    entries = [
        msgspec.structs.replace(entry, digest=digest, rows=ledger.rows) if entry.verb == "select" else entry
        for entry in ledger.entries
    ]
    leaking = book.Ledger(
        rows=ledger.rows, entries=entries, sets=ledger.sets | {digest: book.pack(everyone, ledger.rows)}
    )
    assert [(one.code, one.severity) for one in bookkeeping.findings(leaking)] == [("leak.selection", "block")]
