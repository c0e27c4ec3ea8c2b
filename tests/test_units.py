import json
import signal

import pytest

from forgeline.engine.attempts import PREEMPTED
from forgeline.engine.workers import Job, Outcome
from forgeline.units import another


@pytest.fixture
def lost(tmp_path):
    def lost(why, *, code=None, share=1.0, seconds=4.0):
        job = Job("tabm-1 fold 1", "x:y", {"checkpoints": str(tmp_path / "tabm-1 fold 1"), "share": share}, 10.0)
        return Outcome(job, None, why, seconds, 0, 0.0, code)

    return lost


def test_over_its_memory_it_is_tried_with_half_the_rows_down_to_the_least(lost, tmp_path):
    (tmp_path / "tabm-1 fold 1").mkdir()
    half = another(lost("memory"), 0.1)
    assert half.arguments == {"share": 0.5, "checkpoints": str(tmp_path / "tabm-1 fold 1, 0.5 of the rows")}
    assert not (tmp_path / "tabm-1 fold 1").exists()
    assert another(lost("memory", share=0.15), 0.1) is None


@pytest.mark.parametrize("code", [PREEMPTED, -signal.SIGTERM, -signal.SIGKILL])
def test_taken_away_it_goes_on_where_it_was_for_the_seconds_that_are_left(lost, tmp_path, code):
    again = another(lost("the worker died", code=code), 0.1)
    assert again.arguments["checkpoints"] == str(tmp_path / "tabm-1 fold 1")
    assert again.seconds == 6.0
    assert json.loads((tmp_path / "tabm-1 fold 1" / "attempts.json").read_text())["preemptions"] == 1


@pytest.mark.parametrize(("why", "code"), [("time", None), ("ValueError: x", None), ("the worker died", 1)])
def test_late_or_broken_it_stays_lost(lost, why, code):
    assert another(lost(why, code=code), 0.1) is None


def test_taken_away_without_getting_on_it_is_lost_in_the_end(lost, tmp_path):
    died = lost("the worker died", code=-signal.SIGKILL, seconds=0.0)
    assert [another(died, 0.1) is None for _ in range(3)] == [False, False, True]


def test_taken_away_while_it_gets_on_it_is_not(lost, tmp_path):
    for step in range(1, 20):
        (tmp_path / "tabm-1 fold 1").mkdir(exist_ok=True)
        (tmp_path / "tabm-1 fold 1" / "latest").write_text(f"step-{step:012d}-ab12cd34")
        assert another(lost("the worker died", code=PREEMPTED), 0.1) is not None
