from dataclasses import replace

import numpy as np

from forgeline.engine import ledger
from forgeline.engine.ledger import Entry, Ledger
from forgeline.parts.checks import test_reuse
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
    return list(test_reuse.check(replace(table, ledger=book), target))


def test_a_clean_ledger_or_none():
    assert findings(None) == []
    assert findings(CLEAN) == []


def test_many_models_on_the_same_rows():
    steps = []
    for at in range(4):
        steps.append(("Tree", "fit", TRAIN, {"setting": str(at)}))
        steps.append(("Tree", "score", TEST, {"model": 2 * at}))
    assert findings(written(*steps[:4])) == []
    (found,) = findings(written(*steps))
    assert (found.code, found.severity, found.numbers["models"]) == ("leak.test_reuse", "block", 4)
