import json
import os
import subprocess
import sys

import msgspec
import pytest

from forgeline.engine import store
from forgeline.engine.store import Artefacts, Store, WorkLog, hold_run, read_lines, sha256, write_atomic
from forgeline.errors import BadInput, Busy


@pytest.fixture
def place(tmp_path):
    place = Store(tmp_path / ".forgeline")
    place.open()
    return place


def finish(place, run, made=None, stage="plan"):
    """A run's folder with one record."""
    folder = place.runs / run
    folder.mkdir(exist_ok=True)
    (folder / "spec.toml").write_text("")
    (folder / f"04-{stage}.json").write_text(json.dumps({"stage": stage, "made": made or {"seed": 0}}))
    return folder


def key(made):
    return sha256(msgspec.json.encode(made, order="sorted"))


# ---------------------------------------------------------------- files


def test_a_file_is_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "deep" / "file"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"old")]


def test_a_write_that_is_killed_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    code = (
        "import os, pathlib, sys\n"
        "from forgeline.engine import store\n"
        "store.os.fsync = lambda handle: os.kill(os.getpid(), 9)\n"
        "store.write_atomic(pathlib.Path(sys.argv[1]), b'new' * 1000)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], timeout=60).returncode == -9
    assert path.read_bytes() == b"old"
    assert [each.suffix for each in tmp_path.iterdir() if each != path] == [".tmp"]


def test_artefacts_are_named_by_their_bytes(tmp_path):
    files = Artefacts(tmp_path / "artefacts")
    digest = files.put(b"abc")
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.put(b"abc") == digest
    assert (files.get(digest), files.holds(digest), files.holds("0" * 64)) == (b"abc", True, False)


def test_an_artefact_that_was_changed_or_is_gone_is_refused(tmp_path):
    files = Artefacts(tmp_path)
    digest = files.put(b"abc")
    (tmp_path / digest).write_bytes(b"abd")
    assert not files.holds(digest)
    with pytest.raises(BadInput, match="artefact was changed"):
        files.get(digest)
    (tmp_path / digest).unlink()
    with pytest.raises(BadInput, match="artefact is gone"):
        files.get(digest)


def test_an_artefact_is_copied_between_runs_and_mends_a_torn_one(tmp_path):
    theirs, ours = Artefacts(tmp_path / "a"), Artefacts(tmp_path / "b")
    digest = theirs.put(b"abc")
    ours.copy(digest, theirs)
    ours.copy(digest, theirs)
    assert ours.get(digest) == b"abc"
    (tmp_path / "b" / digest).unlink()
    (tmp_path / "b" / digest).write_bytes(b"ab")
    ours.copy(digest, theirs)
    assert ours.get(digest) == b"abc"
    assert theirs.get(digest) == b"abc"


# ---------------------------------------------------------------- the work log


def test_a_log_reads_back_in_order(tmp_path):
    log = WorkLog(tmp_path / "work.log")
    assert (log.lines, log.elapsed, log.find("unit")) == ([], 0.0, None)
    for fold in range(3):
        log.append({"do": "unit", "fold": fold, "elapsed": fold / 2})
    again = WorkLog(tmp_path / "work.log")
    assert again.lines == log.lines
    assert [line["fold"] for line in again.lines] == [0, 1, 2]
    assert again.find("unit")["fold"] == 2
    assert again.find("unit", fold=1) == {"do": "unit", "fold": 1, "elapsed": 0.5}
    assert again.find("choice") is None
    assert again.elapsed == 1.0


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_last_line_is_not_read_and_does_not_swallow_the_next(tmp_path, cut):
    path = tmp_path / "work.log"
    whole = b'{"do": "a"}\n'
    path.write_bytes(whole + whole[:cut])
    log = WorkLog(path)
    torn = [] if cut < 11 else [{"do": "a"}]  # only the line break is missing from the last
    assert log.lines == [{"do": "a"}, *torn]
    log.append({"do": "b"})
    assert WorkLog(path).lines == [{"do": "a"}, *torn, {"do": "b"}]


def test_a_log_that_two_processes_write_loses_nothing(tmp_path):
    path = tmp_path / "work.log"
    code = (
        "import pathlib, sys\n"
        "from forgeline.engine.store import WorkLog\n"
        "log = WorkLog(pathlib.Path(sys.argv[1]))\n"
        "for i in range(100): log.append({'do': 'x', 'who': sys.argv[2], 'i': i})\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(path), who]) for who in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    lines = list(read_lines(path))
    for who in "ab":
        assert [line["i"] for line in lines if line["who"] == who] == list(range(100))


# ---------------------------------------------------------------- locks

HOLD = """
import pathlib, sys
from forgeline.engine.store import Store, hold_run
from forgeline.errors import Busy
store, how = Store(pathlib.Path(sys.argv[1])), sys.argv[2]
context = hold_run(store.runs / "r1") if how == "run" else store.lock(alone=how == "alone")
try:
    with context:
        print("held", flush=True)
        sys.stdin.read()
except Busy as error:
    print(error, flush=True)
"""


@pytest.fixture
def another(place):
    """Another process that holds the store or a run; closed at the end."""
    started = []

    def another(how):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(place.root), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield another
    for process in started:
        process.communicate(timeout=60)


def test_runs_share_a_store_and_cleaning_wants_it_alone(place, another):
    assert another("shared")[1] == "held"
    with place.lock():
        assert "is in use by a run" in another("alone")[1]
    with pytest.raises(Busy, match="in use by a run"), place.lock(alone=True):
        pass


def test_nothing_runs_while_a_store_is_cleaned(place, another):
    process, said = another("alone")
    assert said == "held"
    with pytest.raises(Busy), place.lock():
        pass
    process.kill()
    process.wait()
    with place.lock():
        pass


def test_two_processes_never_work_on_one_run(place, another):
    finish(place, "r1")
    process, said = another("run")
    assert said == "held"
    with pytest.raises(Busy, match="run r1 is in use by another process"), hold_run(place.runs / "r1"):
        pass
    process.kill()
    process.wait()
    with hold_run(place.runs / "r1"):
        assert "run r1 is in use" in another("run")[1]


def test_a_store_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write the store"):
        Store(tmp_path / "file" / ".forgeline").open()


# ---------------------------------------------------------------- runs


def test_find(place, tmp_path):
    for name in ("20240101-a", "20240102-b", "20240103-b"):
        finish(place, name)
    assert place.run_ids() == ["20240101-a", "20240102-b", "20240103-b"]
    assert place.find("latest").name == "20240103-b"
    assert place.find("20240102").name == "20240102-b"
    assert place.find(str(place.runs / "20240101-a")) == place.runs / "20240101-a"
    with pytest.raises(BadInput, match=r"202401 is the beginning of 3 runs"):
        place.find("202401")
    with pytest.raises(BadInput, match=r"no run 20240102-x.*Did you mean 20240102-b\?"):
        place.find("20240102-x")
    with pytest.raises(BadInput, match="There are no runs here yet"):
        Store(tmp_path / "empty").find("latest")


def test_find_released(place):
    (finish(place, "20240101-a") / "release").mkdir()
    finish(place, "20240102-b")
    assert place.find_released("latest").name == "20240101-a"
    with pytest.raises(BadInput, match="run 20240102-b has no release"):
        place.find_released("20240102-b")


# ---------------------------------------------------------------- the index


def test_lookup_finds_the_newest_run_first(place):
    for run in ("r1", "r2"):
        finish(place, run)
        place.remember(run, "plan", "k")
    place.remember("r1", "train", "other")
    assert place.lookup("k") == ["r2", "r1"]
    assert place.lookup("none") == []


MADE = {"ask": {"compress": {"most_loss": 1e-06}, "budget": {"work": 1e16}}, "seed": 0, "forgeline": "größe"}


@pytest.mark.parametrize("harm", ["delete", "garbage", "cut", "no table"])
def test_the_index_is_rebuilt_from_the_records(place, harm):
    finish(place, "r1", MADE)
    place.remember("r1", "plan", key(MADE))
    path = place.root / "index.sqlite"
    if harm == "delete":
        path.unlink()
    elif harm == "garbage":
        path.write_bytes(b"garbage" * 1000)
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        path.write_bytes(b"")
    assert place.lookup(key(MADE)) == ["r1"]
    place.remember("r1", "plan", "more")
    assert place.lookup("more") == ["r1"]


def test_a_record_that_cannot_be_read_does_not_spoil_the_index(place):
    finish(place, "r1", MADE)
    (place.runs / "r1" / "05-train.json").write_text('{"stage": "train", "ma')
    assert place.lookup(key(MADE)) == ["r1"]


def test_a_removed_run_is_forgotten(place):
    folder = finish(place, "r1")
    place.remember("r1", "plan", "k")
    place.remove(folder)
    assert (folder.exists(), place.lookup("k")) == (False, [])


# ---------------------------------------------------------------- reads of the test set


def test_reads_are_counted_by_test_set_and_evaluation(place):
    assert [place.count_read("t1", key) for key in ("e1", "e1", "e2", "e1")] == [1, 1, 2, 2]
    assert place.count_read("t2", "e1") == 1
    assert Store(place.root).count_read("t1", "e3") == 3


def test_reads_outlive_the_run_that_read(place):
    folder = finish(place, "r1")
    place.count_read("t1", "e1")
    place.remove(folder)
    place.collect()
    assert place.count_read("t1", "e2") == 2


# ---------------------------------------------------------------- gc


def test_collect_deletes_what_nothing_names(place):
    folder = finish(place, "r1", {"inputs": {"a": "a" * 64}})
    (folder / "spec.toml").write_text(f'[snapshot]\nsource = "snapshot:{"c" * 64}"\n')
    WorkLog(folder / "work.log").append({"do": "unit", "model": "d" * 64})
    for name in "acb":
        (place.snapshots / (name * 64)).mkdir()
    for name in "adb":
        write_atomic(folder / "artefacts" / (name * 64), b"12345")
    (folder / ".x.1.tmp").write_bytes(b"123")
    (place.runs / "half").mkdir()
    (place.root / "verify" / "r1-00").mkdir(parents=True)
    result = place.collect()
    assert result["bytes"] == 8
    assert sorted(result["removed"]) == [
        *("runs/half", "runs/r1/.x.1.tmp", f"runs/r1/artefacts/{'b' * 64}", f"snapshots/{'b' * 64}"),
        "verify/r1-00",
    ]
    assert {each.name for each in place.snapshots.iterdir()} == {"a" * 64, "c" * 64}
    assert {each.name for each in (folder / "artefacts").iterdir()} == {"a" * 64, "d" * 64}
    assert place.collect() == {"bytes": 0, "removed": []}


def test_size_bytes(tmp_path):
    write_atomic(tmp_path / "a" / "b", b"12")
    write_atomic(tmp_path / "c", b"345")
    assert (store.size_bytes(tmp_path), store.size_bytes(tmp_path / "c")) == (5, 3)
