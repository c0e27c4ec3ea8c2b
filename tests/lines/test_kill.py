"""Kill it anywhere: what a run has finished is kept, and it ends in the same release."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forgeline.testing import busy_cores

pytestmark = pytest.mark.alone
KILLS, TIMED_KILLS = 3, 1
COMMAND = [sys.executable, "-m", "forgeline"]
WORK = ["run", "data.csv", "--target", "bought", "--work", "1"]


@pytest.fixture(scope="module")
def data() -> pl.DataFrame:
    generator = np.random.default_rng(5)
    x, city = generator.normal(size=(400, 3)), generator.choice(["Oslo", "Rome", "Lima"], 400)
    bought = generator.random(400) < 1 / (1 + np.exp(-(x[:, 0] + x[:, 1] * (city == "Rome"))))
    columns = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "city": city, "bought": np.where(bought, "yes", "no")}
    return pl.DataFrame(columns)


def folder_with(data: pl.DataFrame, folder: Path) -> Path:
    folder.mkdir()
    data.write_csv(folder / "data.csv")
    return folder


def forgeline(folder: Path, *arguments: str) -> dict:
    """One verb to its end; what --json prints."""
    done = subprocess.run([*COMMAND, *arguments, "--json"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run_names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".forgeline" / "runs").glob("*"))


def files_in(folder: Path) -> int:
    """How far a run is, as a number that only grows: its records, artefacts and lines of work."""
    run = next((folder / ".forgeline" / "runs").glob("*"), None)
    if run is None:
        return 0
    log = run / "work.log"
    lines = log.read_bytes().count(b"\n") if log.exists() else 0
    return lines + sum(1 for path in run.rglob("*") if path.is_file())


def kill_at(folder: Path, arguments: list[str], files: int, moments: random.Random) -> None:
    """Start a verb, SIGKILL it a moment after the run is so far; once more, sooner, where it was through by then."""
    while not killed(folder, arguments, files, moments.uniform(0, 0.05)):
        files -= 2
        shutil.rmtree(folder / ".forgeline")
        assert files > 0, "the run ended before it could be killed"


def killed(folder: Path, arguments: list[str], files: int, wait_seconds: float) -> bool:
    """Whether a verb could be killed after the run was so far."""
    process = subprocess.Popen([*COMMAND, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and files_in(folder) < files:
        time.sleep(0.002)
    time.sleep(wait_seconds)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_runs_end_in_the_undisturbed_release(data, tmp_path):
    calm = folder_with(data, tmp_path / "calm")
    undisturbed = forgeline(calm, *WORK)
    far = files_in(calm) - 12  # the release's own files come in one instant, at the end
    moments = random.Random(3)
    digests = []
    for index in range(KILLS):
        folder = folder_with(data, tmp_path / f"killed-{index}")
        kill_at(folder, WORK, int(far * (index + moments.random()) / KILLS), moments)
        ended = forgeline(folder, "resume", "latest") if run_names(folder) else forgeline(folder, *WORK)
        digests.append(ended["digest"])
    assert digests == [undisturbed["digest"]] * KILLS


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_timed_runs_equal_their_own_verification(data, tmp_path):
    moments = random.Random(4)
    for index in range(TIMED_KILLS):
        folder = folder_with(data, tmp_path / f"timed-{index}")
        timed = ["run", "data.csv", "--target", "bought", "--time", "15s"]
        kill_at(folder, timed, 8 + 12 * index, moments)
        ended = forgeline(folder, "resume", "latest") if run_names(folder) else forgeline(folder, *timed)
        verified = forgeline(folder, "verify", "latest")
        assert verified["equal"], verified
        assert verified["release"]["recorded"] == verified["release"]["made_again"] == ended["digest"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_work_runs_are_equal_idle_and_under_load(data, tmp_path):
    idle = forgeline(folder_with(data, tmp_path / "idle"), *WORK)
    with busy_cores():
        loaded = forgeline(folder_with(data, tmp_path / "loaded"), *WORK)
    assert idle["digest"] == loaded["digest"]
    other_seed = forgeline(folder_with(data, tmp_path / "seed"), *WORK, "--seed", "1")
    assert other_seed["digest"] != idle["digest"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [10, 20])
def test_time_is_kept_to_the_second(data, tmp_path, seconds):
    many = pl.concat([data.with_columns(pl.col("a") + shift / 97) for shift in range(40)])
    folder = folder_with(many, tmp_path / "timed")
    began = time.perf_counter()
    ended = forgeline(folder, "run", "data.csv", "--target", "bought", "--time", f"{seconds}s")
    assert time.perf_counter() - began <= seconds + 1
    assert ended["release"]
