"""Whole lines over texts and pictures, killed and resumed: each must end in the digest of the undisturbed one.

    python benchmarks/line_kills.py [--kills 10] [--quick]

Texts and pictures are made up (tests/helpers), the networks and their encoder small, so that a line takes seconds and
is killed while networks train as well as anywhere else. A line is killed (SIGKILL, main process; its workers follow)
after a random share of the files and lines that the undisturbed one leaves, then resumed to its end.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))

TEXTS = '["tfidf", "frozen", {use = "finetuned", epochs = 2.0, batch = 16}, {use = "transformer", width = 32}]'
PICTURES = '["linear", {use = "convnet", width = 8, stages = 2, batch = 32, epochs = 6.0}]'


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=10, help="of each kind")
    options.add_argument("--quick", action="store_true", help="one of each")
    asked = options.parse_args()
    kills = 1 if asked.quick else asked.kills
    moments = random.Random(7)
    equal = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        for kind, command in (("texts", texts(Path(place))), ("pictures", pictures(Path(place)))):
            calm = Path(place) / f"{kind}-calm"
            digest, seconds = forgeline(calm, command)
            far = files_in(calm) - 12  # the release's own files come in one instant, at the end
            found = []
            for number in range(kills):
                folder = Path(place) / f"{kind}-{number}"
                folder.mkdir()
                kill(folder, command, max(1, int(far * (number + moments.random()) / kills)), moments)
                there = any((folder / ".forgeline" / "runs").glob("*"))
                found.append(forgeline(folder, ["resume", "latest"] if there else command)[0])
                shutil.rmtree(folder)
            equal[kind] = sum(each == digest for each in found)
            print(f"{kind}: {equal[kind]} of {kills} end in {digest[:12]} (undisturbed in {seconds:.0f} s)", flush=True)
    holds = all(count == kills for count in equal.values())
    print(json.dumps({"kills": kills, "equal": equal, "holds": holds}))
    return 0 if holds else 1


def texts(place: Path) -> list[str]:
    """The command of a line over texts, and what it reads."""
    import polars as pl
    import said

    said_, about = said.sentences(700)
    pl.DataFrame({"text": said_, "about": about}).write_csv(place / "texts.csv")
    encoder = said.write_encoder(place / "encoder")
    more = ["--set", f"refine.encoder={encoder}", "--set", f"train.families={TEXTS}"]
    return ["run", str(place / "texts.csv"), "--target", "about", "--work", "150", *more]


def pictures(place: Path) -> list[str]:
    """The command of a line over pictures, and what it reads."""
    import drawn

    source = drawn.write_idx(place, "train", *drawn.bars(900))
    return ["run", str(source), "--target", "label", "--work", "60", "--set", f"train.families={PICTURES}"]


def forgeline(folder: Path, command: list[str]) -> tuple[str, float]:
    """A verb to its end: the release's digest, and seconds."""
    folder.mkdir(exist_ok=True)
    began = time.perf_counter()
    asked = [sys.executable, "-m", "forgeline", *command, "--json"]
    done = subprocess.run(asked, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout)["digest"], time.perf_counter() - began


def files_in(folder: Path) -> int:
    """How far a run is, as a number that grows: its records, artefacts, checkpoints and lines of work."""
    run = next((folder / ".forgeline" / "runs").glob("*"), None)
    if run is None:
        return 0
    log = run / "work.log"
    lines = log.read_bytes().count(b"\n") if log.exists() else 0
    return lines + sum(len(files) for _, _, files in os.walk(run))  # which passes over what is gone meanwhile


def kill(folder: Path, command: list[str], files: int, moments: random.Random) -> None:
    """Start a verb and kill it a moment after the run is so far; sooner, where it was through by then."""
    asked = [sys.executable, "-m", "forgeline", *command]
    while True:
        process = subprocess.Popen(asked, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and files_in(folder) < files:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            return
        files -= 2
        shutil.rmtree(folder / ".forgeline")


if __name__ == "__main__":
    sys.exit(main())
