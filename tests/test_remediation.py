import numpy as np
import polars as pl
import pytest

from forgeline import remediation
from forgeline.records import Finding, Fix, Ref, Rows
from forgeline.testing import view

ROWS = 1500
DRAW = np.random.default_rng(3)
X = DRAW.normal(size=(ROWS, 3))
Y = np.where(X[:, 0] + X[:, 1] + 0.5 * DRAW.normal(size=ROWS) > 0, "yes", "no")
FLIPPED = np.arange(0, ROWS, 4)
SPOILT = np.arange(1, ROWS, 3)


def table(*, flip=False):
    """Two columns that tell, one that does not, one that gives the target away; some cells spoilt."""
    a = X[:, 0].copy()
    a[SPOILT] = -999.0
    y = Y.copy()
    if flip:
        y[FLIPPED] = np.where(y[FLIPPED] == "yes", "no", "yes")
    leak = np.where(np.random.default_rng(4).random(ROWS) < 0.03, "?", np.char.add("is ", y))
    return pl.DataFrame({"a": a, "b": X[:, 1], "c": X[:, 2], "leak": leak, "y": y})


def leak(severity):
    fix = Fix(do="drop", columns=["leak"])
    return Finding(
        code="leak.proxy", severity=severity, says="x", columns=["leak"], numbers={"inflation": 0.1}, fix=fix
    )


MARKER = Finding(
    code="quality.hidden_missing",
    severity="warn",
    says="x",
    columns=["a"],
    fix=Fix(do="missing", columns=["a"], markers=["-999.0"]),
)
NOISE = Finding(code="quality.constant", severity="note", says="x", columns=["c"], fix=Fix(do="drop", columns=["c"]))
RIGHT = [str(each) for each in Y[FLIPPED]]
NAMED = pl.DataFrame({"row": FLIPPED, "score": np.ones(len(FLIPPED)), "value": RIGHT})
LABELS = Finding(
    code="label.error",
    severity="warn",
    says="x",
    rows=Rows(count=len(FLIPPED), ref=Ref(digest="d", size_bytes=1)),
    fix=Fix(do="relabel"),
)


def queue(frame, *found, **options):
    shown, _ = view(frame, target="y", positive="yes")
    return remediation.queue(shown, found, lambda rows: NAMED, **options)


def test_a_leak_comes_first_because_it_tells_nothing_once_deployed():
    found = queue(table(), NOISE, MARKER, leak("block"))
    assert found.order[0] == 2
    assert found.gains[2].low > 0.2
    assert found.order[-1] == 0
    assert found.gains[0].value < 0.02
    assert found.whole.value > 0.7 * found.gains[2].value


def test_a_suspected_leak_counts_half():
    sure, doubted = (queue(table(), leak(severity)) for severity in ("block", "warn"))
    assert doubted.gains[0].value == pytest.approx(sure.gains[0].value / 2, rel=0.1)
    assert doubted.whole.value == pytest.approx(doubted.gains[0].value)


def test_labels_are_mended_by_what_is_suggested_and_judged_on_rows_nobody_doubts():
    frame = table(flip=True).drop("leak")
    found = queue(frame, MARKER, LABELS)
    assert found.order == [1, 0]
    assert found.gains[1].low > 0.02


def test_without_findings_nothing_is_to_be_gained_and_skill_is_known():
    found = queue(table().drop("leak"))
    assert (found.order, found.whole.value) == ([], 0)
    assert 0.2 < found.skill.low < found.skill.high < 0.7


def test_what_is_not_about_learning_is_not_in_the_queue():
    aside = [
        Finding(code=code, severity="warn", says="x", columns=["b"], fix=Fix(do=do, columns=["b"]))
        for code, do in (("bias.proxy", "reweigh"), ("privacy.identifier", "drop"), ("structure.group", "split"))
    ]
    assert queue(table().drop("leak"), *aside).order == []


def test_beyond_the_most_trials_what_is_at_stake_decides():
    found = queue(table(), MARKER, leak("block"), most_trials=1)
    assert found.gains[1].why == ""
    assert "not tried" in found.gains[0].why


def test_without_time_no_more_is_tried():
    found = queue(table(), MARKER, leak("block"), may_try=lambda number: number < 1)
    assert found.gains[1].why == ""
    assert found.gains[0].why == "not tried: the time budget was too short"


def test_values_are_queued_too():
    frame = table().drop("leak").with_columns(y=pl.Series(X[:, 0] * 3 + X[:, 1]))
    found = queue_of_values(frame)
    assert found.gains[0].value >= 0
    assert 0.3 < found.skill.value < 1.1


def queue_of_values(frame):
    shown, _ = view(frame, target="y")
    return remediation.queue(shown, [MARKER, NOISE], lambda rows: NAMED)


def test_twice_the_same():
    assert queue(table(), MARKER, leak("block")) == queue(table(), MARKER, leak("block"))


def test_a_noisy_trial_is_drawn_towards_what_is_at_stake():
    calm, wild = (remediation.drawn((0.5, error), 0.3, 1.0) for error in (0.001, 0.2))
    assert calm.value == pytest.approx(0.5, abs=0.01)
    assert 0.3 < wild.value < 0.45
    assert remediation.drawn((-0.5, 0.001), 0.3, 1.0).value == 0


def test_a_trial_within_its_error_of_nothing_counts_as_nothing():
    small, large = (remediation.drawn((mean, 0.02), 0.3, 1.0) for mean in (0.015, 0.05))
    assert small.value == 0.0 < small.high
    assert large.value == pytest.approx(0.05, abs=0.01)
