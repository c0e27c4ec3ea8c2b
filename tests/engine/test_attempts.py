import signal

import pytest

from forgeline.engine.attempts import PREEMPTED, Attempts, Spent


def ends_with(*codes):
    left = iter(codes)
    return lambda: next(left)


def counting():
    steps = iter(range(1000))
    return lambda: next(steps)


def test_preemptions_do_not_count_as_errors(tmp_path):
    attempts = Attempts(tmp_path / "attempts.json", errors=0)
    attempts.run(ends_with(PREEMPTED, -signal.SIGKILL, -signal.SIGTERM, 137, 0), counting())
    assert attempts.ended["preemptions"] == 4
    assert "errors" not in attempts.ended


def test_an_error_stops_at_once(tmp_path):
    attempts = Attempts(tmp_path / "attempts.json")
    with pytest.raises(Spent, match="1 errors, 0 allowed; the last attempt ended with exit code 1"):
        attempts.run(ends_with(PREEMPTED, 1, 0), counting())


def test_each_budget_is_spent_by_itself(tmp_path):
    attempts = Attempts(tmp_path / "attempts.json", preemptions=2, errors=2)
    with pytest.raises(Spent, match="3 preemptions, 2 allowed"):
        attempts.run(ends_with(1, PREEMPTED, 1, PREEMPTED, -signal.SIGKILL), counting())


def test_counts_outlive_the_machine(tmp_path):
    with pytest.raises(Spent):
        Attempts(tmp_path / "attempts.json", preemptions=1).run(ends_with(PREEMPTED, PREEMPTED), counting())
    with pytest.raises(Spent, match="3 preemptions, 1 allowed"):
        Attempts(tmp_path / "attempts.json", preemptions=1).run(ends_with(PREEMPTED), counting())


def test_who_gets_no_further_is_not_started_for_ever(tmp_path):
    attempts = Attempts(tmp_path / "attempts.json")
    with pytest.raises(Spent, match="3 attempts ended with SIGKILL and got no further than 7"):
        attempts.run(lambda: -signal.SIGKILL, lambda: 7)
