import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from forgeline.engine.workers import Job, Usage, Workers, environment, no_main_module

JOBS = """
import ctypes, os, sys, time

def double(*, x):
    return 2 * x

def fail(*, text):
    raise ValueError(text)

def sleep(*, seconds, mark=""):
    if mark:
        open(mark, "w").write(str(os.getpid()))
    time.sleep(seconds)

def leave(*, code):
    os._exit(code)

def crash():
    ctypes.string_at(0)

def hold(*, size_bytes):
    held = []
    for step in range(size_bytes >> 20):
        held.append(bytearray(os.urandom(1 << 10) * (1 << 10)))
        time.sleep(0.001)
    time.sleep(60)

def large():
    return bytes(50_000_000)

def closed():
    return lambda: 0

def threads():
    return {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}

def steps(*, mark):
    import signal
    going = []
    signal.signal(signal.SIGTERM, lambda number, frame: going.append(number))
    open(mark, "w").close()
    while not going:
        time.sleep(0.01)
    time.sleep(0.5)
    open(mark, "w").write("saved")

def main_module():
    return sys.modules["__main__"].__name__, hasattr(sys.modules["__main__"], "pytest")
"""


@pytest.fixture(scope="session")
def jobs_folder(tmp_path_factory):
    """A module that workers can import."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "forgeline_jobs.py").write_text(JOBS)
    sys.path.insert(0, str(folder))
    with environment({"PYTHONPATH": str(folder)}):
        yield folder
    sys.path.remove(str(folder))


@pytest.fixture
def work(jobs_folder):
    def work(*calls, count=2, memory_bytes=2**31, seconds=60.0):
        workers = Workers(count, memory_bytes)
        jobs = [Job(f"{place}", f"forgeline_jobs:{name}", given) for place, (name, given) in enumerate(calls)]
        ends = time.monotonic() + seconds
        outcomes = list(workers.run(jobs, lambda: ends - time.monotonic()))
        return {int(each.job.name): each for each in outcomes}, workers

    return work


def gone(pid):
    """Whether a process has ended, waiting at most ten seconds."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        with suppress(psutil.TimeoutExpired):
            process.wait(10)
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def test_every_job_has_one_outcome(work):
    outcomes, workers = work(*(("double", {"x": x}) for x in range(5)))
    assert {place: each.value for place, each in outcomes.items()} == {x: 2 * x for x in range(5)}
    assert {each.lost for each in outcomes.values()} == {""}
    assert all(0 < each.seconds < 60 for each in outcomes.values())
    usage = workers.take_usage()
    assert usage.peak_bytes == max(each.peak_bytes for each in outcomes.values()) > 2**20
    assert usage.cpu_seconds == pytest.approx(sum(each.cpu_seconds for each in outcomes.values()))
    assert workers.take_usage() == Usage()


def test_what_is_next_is_decided_when_a_worker_is_free(jobs_folder):
    """Each job doubles the last answer, so it can only be given once that is known."""
    workers, answers = Workers(2, 2**31), [1]
    asked = []

    def give():
        if len(asked) < len(answers) <= 4:
            asked.append(answers[-1])
            return Job(f"{len(asked)}", "forgeline_jobs:double", {"x": answers[-1]})
        return None

    for outcome in workers.feed(give, lambda: 60.0):
        answers.append(outcome.value)
    assert asked == [1, 2, 4, 8]


def test_an_error_is_told_with_its_type_and_the_others_go_on(work):
    outcomes, _ = work(("fail", {"text": "no such level"}), ("double", {"x": 1}), ("double", {"y": 1}))
    assert (outcomes[0].value, outcomes[0].lost) == (None, "ValueError: no such level")
    assert outcomes[1].value == 2
    assert outcomes[2].lost.startswith("TypeError")


@pytest.mark.parametrize(
    ("call", "code"), [(("leave", {"code": 7}), 7), (("crash", {}), -signal.SIGSEGV), (("closed", {}), 1)]
)
def test_a_worker_that_dies_is_lost_with_its_exit_code(work, call, code):
    outcomes, _ = work(call, ("double", {"x": 1}))
    assert outcomes[0].lost == f"the worker died (exit code {code})"
    assert [outcomes[place].exit_code for place in range(2)] == [code, None]
    assert outcomes[1].value == 2


def test_late_workers_are_killed_and_waiting_jobs_never_start(work, tmp_path):
    marks = [tmp_path / f"mark{place}" for place in range(3)]
    calls = [("sleep", {"seconds": 60, "mark": str(mark)}) for mark in marks]
    began = time.monotonic()
    outcomes, _ = work(*calls, count=2, seconds=2.0)
    assert time.monotonic() - began < 5
    assert [outcomes[place].lost for place in range(3)] == ["time"] * 3
    assert outcomes[2].seconds == 0.0
    assert [mark.exists() for mark in marks] == [True, True, False]
    assert all(gone(int(mark.read_text())) for mark in marks[:2])


def test_a_job_that_takes_longer_than_it_may_is_killed_and_the_others_go_on(jobs_folder):
    slow = Job("slow", "forgeline_jobs:sleep", {"seconds": 30}, seconds=0.3)
    jobs = [slow, Job("quick", "builtins:dict", {"a": 1})]
    found = {outcome.job.name: outcome for outcome in Workers(2, 2**31).run(jobs, lambda: float("inf"))}
    assert (found["slow"].lost, found["quick"].value) == ("time", {"a": 1})
    assert found["slow"].seconds < 10


def test_a_worker_over_its_memory_is_killed(work):
    outcomes, _ = work(("hold", {"size_bytes": 2**30}), ("double", {"x": 1}), memory_bytes=200 * 2**20)
    assert outcomes[0].lost == "memory"
    assert 200 * 2**20 < outcomes[0].peak_bytes < 2**30
    assert outcomes[1].value == 2


def test_an_answer_larger_than_a_pipe_arrives(work):
    assert work(("large", {}))[0][0].value == bytes(50_000_000)


def test_whoever_stops_listening_leaves_no_worker_behind(jobs_folder, tmp_path):
    mark = tmp_path / "mark"
    jobs = [
        Job("quick", "forgeline_jobs:double", {"x": 1}),
        Job("slow", "forgeline_jobs:sleep", {"seconds": 60, "mark": str(mark)}),
    ]
    outcomes = Workers(2, 2**31).run(jobs, lambda: 60.0)
    assert next(outcomes).value == 2
    while not (mark.exists() and mark.read_text()):
        time.sleep(0.01)
    outcomes.close()
    assert gone(int(mark.read_text()))


def test_workers_are_asked_to_go_before_they_are_killed(jobs_folder, tmp_path):
    mark, workers = tmp_path / "mark", Workers(2, 2**31)
    jobs = iter(
        [Job("steps", "forgeline_jobs:steps", {"mark": str(mark)}), Job("quick", "forgeline_jobs:double", {"x": 1})]
    )
    for _ in workers.feed(lambda: next(jobs, None), lambda: 60.0):
        while not mark.exists():
            time.sleep(0.01)
        break
    assert mark.read_text() == "saved"


def test_something_may_be_done_meanwhile(jobs_folder):
    workers, calls = Workers(1, 2**31), []
    jobs = iter([Job("sleep", "forgeline_jobs:sleep", {"seconds": 0.5})])
    assert [each.lost for each in workers.feed(lambda: next(jobs, None), lambda: 60.0, lambda: calls.append(1))] == [""]
    assert len(calls) > 3


def test_workers_have_one_thread_each_and_this_process_keeps_its_own(work):
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    assert set(work(("threads", {}))[0][0].value.values()) == {"1"}
    assert os.environ.get("OPENBLAS_NUM_THREADS") == before


def test_the_callers_script_is_not_run_again(work):
    assert work(("main_module", {}))[0][0].value[1] is False
    main = sys.modules["__main__"]
    with no_main_module():
        assert sys.modules["__main__"] is not main
    assert sys.modules["__main__"] is main


def test_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("FORGELINE_A", "old")
    monkeypatch.delenv("FORGELINE_B", raising=False)
    with environment({"FORGELINE_A": "new", "FORGELINE_B": "new"}):
        assert (os.environ["FORGELINE_A"], os.environ["FORGELINE_B"]) == ("new", "new")
    assert os.environ["FORGELINE_A"] == "old"
    assert "FORGELINE_B" not in os.environ


PARENT = """
import sys
from forgeline.engine.workers import Job, Usage, Workers

jobs = [Job("slow", "forgeline_jobs:sleep", {"seconds": 120, "mark": sys.argv[1]})]
list(Workers(1, 2**31).run(jobs, lambda: 120.0))
"""


def parent(folder, mark, **options):
    """A process with a sleeping worker; both process ids."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(mark)],
        env=os.environ | {"PYTHONPATH": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    ends = time.monotonic() + 30
    while not (mark.exists() and mark.read_text()):
        assert time.monotonic() < ends
        time.sleep(0.02)
    return process, int(mark.read_text())


def test_a_worker_leaves_when_its_parent_is_killed(jobs_folder, tmp_path):
    process, worker = parent(jobs_folder, tmp_path / "mark")
    family = [each.pid for each in psutil.Process(process.pid).children(recursive=True)]
    assert worker in family
    process.kill()
    process.communicate(timeout=30)
    assert all(gone(pid) for pid in family)


def test_ctrl_c_is_the_parents_to_answer(jobs_folder, tmp_path):
    process, worker = parent(jobs_folder, tmp_path / "mark", start_new_session=True)
    os.kill(worker, signal.SIGINT)
    time.sleep(0.3)
    assert psutil.Process(worker).status() != psutil.STATUS_ZOMBIE
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert said.count("KeyboardInterrupt") == 1
    assert "forgeline_jobs" not in said
    assert gone(worker)
