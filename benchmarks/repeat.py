"""Twice the same: work-budget runs under every condition, and timed runs against their own verification.

    python benchmarks/repeat.py --data FOLDER [--set NAME] [--runs 20] [--timed 10]

Runs of one set with `--work 20` must end in one digest: idle, with both cores loaded, with one worker and with two,
killed at random moments and resumed. Then as many of the smallest sets as asked for are run with `--time 15s`, and
`forgeline verify` makes each of them again.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from minute import TARGET, smallest

from forgeline.testing import busy_cores

COMMAND = [sys.executable, "-m", "forgeline"]
CONDITIONS = ("idle", "loaded", "one worker", "loaded, one worker", "killed and resumed")
REFUSED = 3
"""Exit code of a run that a gate stopped."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="folder with <set>/train.csv.gz")
    options.add_argument("--set", default="churn_5000")
    options.add_argument("--work", default="20")
    options.add_argument("--runs", type=int, default=20)
    options.add_argument("--timed", type=int, default=10)
    asked = options.parse_args()
    data = asked.data.resolve()
    draw = random.Random(0)
    digests = []
    for number in range(asked.runs):
        condition = CONDITIONS[number % len(CONDITIONS)]
        began = time.perf_counter()
        digests.append(counted(data / asked.set, asked.work, condition, draw))
        print(f"{condition:<22}{digests[-1][:16]}  {time.perf_counter() - began:6.1f} s", flush=True)
    equal = []
    for name in smallest(data, 2 * asked.timed):
        if len(equal) < asked.timed and (verdict := verified(data / name)) is not None:
            equal.append(verdict)
            print(f"{name:<28}verify {'equal' if verdict else 'DIFFERS'}", flush=True)
    figures = {"runs": len(digests), "digests": len(set(digests)), "timed": len(equal), "verified": sum(equal)}
    holds = len(set(digests)) == 1 and all(equal) and len(equal) == asked.timed
    print(json.dumps({"figures": figures, "holds": holds}))
    return 0 if holds else 1


def counted(folder: Path, work: str, condition: str, draw: random.Random) -> str:
    """The digest of one run under a condition, in a store of its own."""
    command = ["run", str(folder / "train.csv.gz"), "--target", TARGET, "--work", work]
    command += ["--set", "budget.workers=1"] if "one worker" in condition else []
    with tempfile.TemporaryDirectory() as place, busy_cores() if "loaded" in condition else nullcontext():
        if "killed" in condition:
            killed = kill_later(command, Path(place), draw.uniform(2, 15))
            command = ["resume", "latest"] if killed else command
        return str(answer(command, Path(place))["digest"])


def kill_later(command: list[str], place: Path, seconds: float) -> bool:
    """Start a run and SIGKILL it after a while; whether there is a run to resume."""
    process = subprocess.Popen([*COMMAND, *command], cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return any((place / ".forgeline" / "runs").glob("*"))


def verified(folder: Path) -> bool | None:
    """Whether a timed run is made again bit by bit; None where a gate stopped it."""
    with tempfile.TemporaryDirectory() as place:
        command = ["run", str(folder / "train.csv.gz"), "--target", TARGET, "--time", "15s"]
        if answer(command, Path(place)) == {}:
            return None
        return bool(answer(["verify", "latest"], Path(place))["equal"])


def answer(command: list[str], place: Path) -> dict[str, Any]:
    """What a verb prints with --json; nothing where a gate stopped it."""
    done = subprocess.run([*COMMAND, *command, "--json"], cwd=place, capture_output=True, text=True)
    if done.returncode == REFUSED:
        return {}
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
