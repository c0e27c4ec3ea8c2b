"""Units that are trained in steps: taken away in the middle, gone on with, and drawn."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import polars as pl
import psutil
import pytest

pytestmark = pytest.mark.alone

pytest.importorskip("torch")

COMMAND = [sys.executable, "-m", "forgeline"]
SPEC = """
[snapshot]
source = "data.csv"
target = "y"
[train]
families = [{use = "tabm", width = 32, members = 4, batch = 16, epochs = 300, rate = 0.001, bins = 4}]
[budget]
work = 26
"""


def folder_with(folder):
    generator = np.random.default_rng(5)
    x = generator.normal(size=(500, 3))
    y = np.where(x[:, 0] * x[:, 1] + x[:, 2] + generator.normal(size=500) > 0, "yes", "no")
    folder.mkdir()
    pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y}).write_csv(folder / "data.csv")
    (folder / "forgeline.toml").write_text(SPEC)
    return folder


def started(folder, *arguments, **options):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*COMMAND, *arguments], cwd=folder, text=True, **pipes, **options)


def ended(process):
    out, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    return json.loads(out)


def wait_for(folder, pattern, since=0.0):
    """The first file of a run that matches and was written since, as soon as there is one."""
    ends = time.monotonic() + 100
    while time.monotonic() < ends:
        for path in sorted(folder.glob(f".forgeline/runs/*/{pattern}")):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime > since:
                    return path
        time.sleep(0.01)
    raise AssertionError(f"no {pattern}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = folder_with(tmp_path_factory.mktemp("steps") / "calm")
    return folder, ended(started(folder, "run", "--json"))


@pytest.mark.slow
def test_a_run_that_was_asked_to_go_goes_on_in_the_middle_of_a_fold(undisturbed, tmp_path):
    folder = folder_with(tmp_path / "asked")
    process = started(folder, "run")
    unit = wait_for(folder, "checkpoints/*/progress.json").parent
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "forgeline resume" in said
    before = int((unit / "latest").read_text().split("-")[1])
    assert before > 0
    page = (unit.parents[1] / "report.html").read_text()
    assert "Interrupted in training" in page
    assert 'http-equiv="refresh"' not in page
    stopped = time.time()
    process = started(folder, "resume", "latest", "--json")
    first = json.loads(wait_for(folder, f"checkpoints/{unit.name}/progress.json", stopped).read_bytes())
    assert first["step"] > before
    assert first["seconds"] > 1  # with those before
    assert ended(process)["digest"] == undisturbed[1]["digest"]


@pytest.mark.slow
def test_workers_save_when_all_of_a_group_are_asked_to_go(tmp_path):
    folder = folder_with(tmp_path / "group")
    process = started(folder, "run", start_new_session=True)
    unit = wait_for(folder, "checkpoints/*/progress.json").parent
    told = json.loads((unit / "progress.json").read_bytes())
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert int((unit / "latest").read_text().split("-")[1]) >= told["step"]


@pytest.mark.slow
def test_a_worker_that_somebody_kills_is_started_again(undisturbed, tmp_path):
    folder = folder_with(tmp_path / "killed")
    process = started(folder, "run", "--json")
    for number in (signal.SIGKILL, signal.SIGTERM):
        since = time.time()
        wait_for(folder, "checkpoints/*/progress.json", since)
        os.kill(worker_of(process.pid), number)
        attempts = json.loads(wait_for(folder, "checkpoints/*/attempts.json", since).read_bytes())
        assert attempts["preemptions"] > 0
    done = ended(process)
    assert done["digest"] == undisturbed[1]["digest"]
    record = json.loads((folder / ".forgeline/runs" / done["run"] / "05-train.json").read_text())
    assert not [each for each in record["findings"] if each["code"] == "train.lost"]


def worker_of(pid):
    """The process of a worker: a child of the forkserver that has used most time."""
    found = {}
    for each in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            if each.ppid() != pid:
                found[each.pid] = sum(each.cpu_times()[:2])
    return max(found, key=found.get)


@pytest.mark.slow
def test_curves_are_in_the_record_and_nothing_is_left_behind(undisturbed):
    folder, done = undisturbed
    run = folder / ".forgeline/runs" / done["run"]
    record = json.loads((run / "05-train.json").read_text())
    curve = next(each for each in record["curves"] if each["title"] == "tabm-1 fold 1")
    assert curve["y_label"] == "loss on held rows"
    assert len(curve["x"]) == len(curve["y"]) == len(curve["against"]) > 5
    assert not (run / "checkpoints").exists()
    assert "tabm-1 fold 1" in (run / "report.html").read_text()
