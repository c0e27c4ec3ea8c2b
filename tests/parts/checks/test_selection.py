from dataclasses import replace

import numpy as np

from forgeline.engine import ledger
from forgeline.engine.ledger import Entry, Ledger
from forgeline.parts.checks import selection
from forgeline.testing import odd_frame, view

ALL, TRAIN, TEST = range(100), range(75), range(75, 100)


def written(*steps, **inflation):
    """A ledger of (step, verb, rows, other fields)."""
    sets = {ledger.digest(np.asarray(rows)): ledger.pack(np.asarray(rows), 100) for _, _, rows, _ in steps}
    entries = [
        Entry(step=step, verb=verb, rows=len(rows), digest=ledger.digest(np.asarray(rows)), **fields)
        for step, verb, rows, fields in steps
    ]
    return Ledger(rows=100, entries=entries, sets=sets, **inflation)


CLEAN = written(
    ("StandardScaler", "fit", TRAIN, {}),
    ("SelectKBest", "select", TRAIN, {"uses": [0], "saw_target": True}),
    ("Tree", "fit", TRAIN, {"uses": [0, 1], "setting": "a"}),
    ("Tree", "score", TEST, {"uses": [0, 1], "model": 2}),
)


def findings(book):
    table, target = view(odd_frame(), target="two")
    return list(selection.check(replace(table, ledger=book), target))


def test_a_clean_ledger_or_none():
    assert findings(None) == []
    assert findings(CLEAN) == []


def test_a_selection_by_all_rows():
    select, tree = ("SelectKBest", "select", ALL, {"saw_target": True}), ("Tree", "fit", TRAIN, {"uses": [0]})
    (found,) = findings(written(select, tree, ("Tree", "score", TEST, {"uses": [0], "model": 1})))
    assert (found.code, found.severity, found.numbers["overlap"]) == ("leak.selection", "block", 1.0)
    assert "SelectKBest saw 100% of the test rows, and their target," in found.says
