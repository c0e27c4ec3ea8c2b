import time

import numpy as np
import pytest

from forgeline import workspace
from forgeline.engine.clock import Clock
from forgeline.engine.seeds import Seed
from forgeline.engine.store import Store, WorkLog
from forgeline.engine.workers import Workers
from forgeline.errors import BadInput
from forgeline.workspace import Workspace


@pytest.fixture
def work(tmp_path):
    store = Store(tmp_path / ".forgeline")
    store.open()
    folder = store.runs / "r1"
    folder.mkdir()
    log = WorkLog(folder / "work.log")
    return Workspace(folder, store, tmp_path, Clock(None), Seed(0), Workers(1, 2**30), log)


def test_arrays_come_back_as_they_were(work):
    for array in (np.arange(6).reshape(2, 3)[:, ::2], np.array([1.5, np.nan]), np.zeros((0, 2), np.uint8)):
        ref = work.put_array(array, "x.npy")
        assert ref.name == "x.npy"
        assert ref.size_bytes == len(work.get(ref))
        back = work.array(ref)
        assert back.dtype == array.dtype
        assert np.array_equal(back, array, equal_nan=array.dtype == float)


def test_a_changed_artefact_is_refused(work):
    ref = work.put(b"abc", "x")
    (work.artefacts.folder / ref.digest).write_bytes(b"abd")
    with pytest.raises(BadInput, match="artefact was changed"):
        work.get(ref)


def test_a_note_is_found_again_with_the_seconds_used(work):
    line = work.note("choice", stage="compress", members=["a"])
    assert line["elapsed"] >= 0
    assert WorkLog(work.log.path).lines == [line]
    assert work.decided("choice", stage="compress") == line
    assert work.decided("choice", stage="train") is None


def test_a_replay_is_followed_where_the_run_has_not_decided(work):
    work.replay = [{"do": "choice", "stage": "compress", "members": ["theirs"]}]
    assert work.decided("choice", stage="compress")["members"] == ["theirs"]
    work.note("choice", stage="compress", members=["ours"])
    assert work.decided("choice", stage="compress")["members"] == ["ours"]


def test_a_look_begins_only_within_its_share_of_the_time_and_a_replay_does_without_it_too(work):
    assert work.affords("labels", stage="assess", share=0.25)
    work.clock = Clock(10.0, started=time.time() - 2)
    assert work.affords("labels", stage="assess", share=0.25)
    work.clock = Clock(10.0, started=time.time() - 3)
    assert not work.affords("labels", stage="assess", share=0.25)
    assert [(line["do"], line["what"]) for line in work.log.lines] == [("skip", "labels")]
    work.clock = Clock(10.0, started=time.time() - 1)
    assert work.affords("pairs", stage="refine", share=0.25, seconds=1.0)
    assert not work.affords("filter", stage="refine", share=0.25, seconds=2.0)
    work.clock, work.replay = Clock(None), [{"do": "skip", "stage": "assess", "what": "proxies"}]
    assert not work.affords("labels", stage="assess", share=0.25)
    assert not work.affords("proxies", stage="assess", share=0.25)
    assert work.affords("copies", stage="assess", share=0.25)


def test_what_is_said_goes_to_stderr_and_nowhere_when_quiet(work, capsys):
    work.say("hello")
    assert capsys.readouterr() == ("", "hello\n")
    work.quiet = True
    work.say("hello")
    assert capsys.readouterr() == ("", "")


def test_progress_without_a_terminal_is_a_plain_line_now_and_then(work, capsys):
    with work.progress("train", 3) as bar:
        bar.step("linear-1")
        assert capsys.readouterr().err == ""
        bar.every_seconds = 0.0
        bar.step("linear-1")
    assert capsys.readouterr().err == "  train: 2 of 3 linear-1\n"


def test_progress_on_a_terminal_is_redrawn_and_removed(work, capsys, monkeypatch):
    monkeypatch.setattr(workspace.sys.stderr, "isatty", lambda: True, raising=False)
    with work.progress("train", 2) as bar:
        bar.step("linear-1")
    said = capsys.readouterr().err
    assert "1/2" in said
    assert "━" * 8 + "╌" * 8 in said
    assert said.endswith("\r\033[K")
