from dataclasses import replace

import numpy as np

from forgeline.engine import ledger
from forgeline.engine.ledger import Entry, Ledger
from forgeline.parts.checks import fit_ledger
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


def prepared(step, verb, rows, **inflation):
    """A ledger of a step before a tree that is fitted on the training rows and scored on the others."""
    first = (step, verb, rows, {"saw_target": verb == "select"})
    tree = ("Tree", "fit", TRAIN, {"uses": [0]}), ("Tree", "score", TEST, {"uses": [0], "model": 1})
    return written(first, *tree, **inflation)


def many(models):
    """A ledger of so many models that are scored on the same rows."""
    steps = []
    for at in range(models):
        steps.append(("Tree", "fit", TRAIN, {"setting": str(at)}))
        steps.append(("Tree", "score", TEST, {"model": 2 * at}))
    return written(*steps)


def findings(book, **options):
    table, target = view(odd_frame(), target="two")
    return list(fit_ledger.check(replace(table, ledger=book), target, **options))


def test_nothing_without_a_ledger():
    assert findings(None) == []


def test_nothing_in_a_clean_ledger():
    clean = written(
        ("StandardScaler", "fit", TRAIN, {}),
        ("SelectKBest", "select", TRAIN, {"uses": [0], "saw_target": True}),
        ("Tree", "fit", TRAIN, {"uses": [0, 1], "setting": "a"}),
        ("Tree", "score", TEST, {"uses": [0, 1], "model": 2}),
    )
    assert findings(clean) == []


def test_a_score_of_the_fitted_rows():
    (found,) = findings(written(("Tree", "fit", ALL, {}), ("Tree", "score", ALL, {"model": 0})))
    assert (found.code, found.severity, found.numbers["overlap"]) == ("leak.no_test_set", "block", 1.0)
    assert (found.fix.do, found.fix.says) == ("split", "score on rows that no step was fitted on: split first")


def test_a_scaler_of_all_rows():
    (found,) = findings(prepared("StandardScaler", "fit", ALL))
    assert (found.code, found.severity, found.numbers["overlap"]) == ("leak.preprocessing", "warn", 1.0)
    assert (found.fix.do, found.fix.says) == ("split", fit_ledger.PIPELINE)
    effect = ledger.Inflation(value=0.03, low=0.02, high=0.04, metric="AUC", how="measured")
    (found,) = findings(prepared("StandardScaler", "fit", ALL, inflation={"leak.preprocessing": effect}))
    assert (found.severity, found.numbers["inflation"], found.numbers["inflation_low"]) == ("block", 0.03, 0.02)


def test_a_selection_by_all_rows():
    (found,) = findings(prepared("SelectKBest", "select", ALL))
    assert (found.code, found.severity, found.numbers["overlap"]) == ("leak.selection", "block", 1.0)
    assert (found.fix.do, found.fix.says) == ("split", fit_ledger.PIPELINE)
    assert "SelectKBest saw 100% of the test rows, and their target," in found.says


def test_many_models_on_the_same_rows():
    assert findings(many(2)) == []
    (found,) = findings(many(4))
    assert (found.code, found.severity, found.numbers["models"]) == ("leak.test_reuse", "block", 4)
    assert found.fix.says == "choose by cross-validation on the training rows, and score the chosen model once"


def test_options_say_from_where_on_a_leak_counts():
    assert findings(many(4), most_models=4) == []
    scaler = prepared("StandardScaler", "fit", range(85))
    assert findings(scaler, least_overlap=0.5) == []
    (found,) = findings(scaler, least_effect=0.001)
    assert (found.code, found.severity, found.numbers["overlap"]) == ("leak.preprocessing", "block", 0.4)
