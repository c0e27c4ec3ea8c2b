"""Killed at any instant, a training run ends in the same bits as one that was left alone.

    python benchmarks/kills.py [--kills 1000] [--seed 0] [--quick]

A small network (batch norm, dropout, mixed labels, clipping, moving averages, early best weights) is trained with a
checkpoint every few steps. Each run is killed (SIGKILL) at a random instant, also while it saves and while it starts
again; after half of the kills a random file of its folder is truncated or has a bit flipped. Then it is started until
it ends, and its digest (weights, optimizer, methods, numbers, metrics log) is compared with the undisturbed run's.
Processes are forked from this one, which has imported torch: so a run takes tenths of a second.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from forgeline.engine.checkpoint import Vault
from forgeline.engine.feed import Resident
from forgeline.engine.interval import Interval
from forgeline.engine.journal import Journal
from forgeline.engine.loop import train
from forgeline.engine.order import Order
from forgeline.engine.places import Folder
from forgeline.engine.recipe import Recipe
from forgeline.engine.resuming import digest
from forgeline.engine.schedules import cosine, warmed
from forgeline.engine.seeds import Seed
from forgeline.engine.telling import COLUMNS
from forgeline.parts.methods import clip, ema, label_smoothing, mixup

ROWS, FEATURES, BATCH, STEPS = 512, 10, 32, 120


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--quick", action="store_true", help="20 kills")
    asked = options.parse_args()
    torch.set_num_threads(1)
    Network().optimizer()  # imports what every run would import
    draw, began = random.Random(asked.seed), time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        figures = trial(20 if asked.quick else asked.kills, draw, Path(place))
    figures["seconds"] = round(time.perf_counter() - began, 1)
    figures["holds"] = figures["equal"] == figures["runs"]
    print(json.dumps(figures))
    return 0 if figures["holds"] else 1


def trial(kills: int, draw: random.Random, place: Path) -> dict[str, float]:
    """Runs with a kill each, or several, until there were so many."""
    undisturbed, took = place / "undisturbed", time.perf_counter()
    run(undisturbed, None)
    took = time.perf_counter() - took
    expected = (undisturbed / "digest").read_text()
    print(f"undisturbed: {took:.2f} s, digest {expected[:12]}", flush=True)
    figures = {"runs": 0, "kills": 0, "equal": 0, "in_a_save": 0, "damaged": 0, "fell_back": 0}
    while figures["kills"] < kills:
        folder = place / f"run-{figures['runs']}"
        while draw.random() < 0.6 or not folder.exists():
            if not run(folder, draw.uniform(0, 1.1 * took)):
                break  # it was done before it could be killed
            figures["kills"] += 1
            figures["in_a_save"] += any(folder.glob(".draft-*"))
            if draw.random() < 0.5:
                figures["damaged"] += damage(folder, draw)
        run(folder, None)
        figures["runs"] += 1
        figures["equal"] += (folder / "digest").read_text() == expected
        figures["fell_back"] += int((folder / "skipped").read_text())
        if (folder / "digest").read_text() != expected:
            print(f"run {figures['runs']} differs: {folder}", flush=True)
        if figures["runs"] % 100 == 0:
            print(json.dumps(figures), flush=True)
    return figures


def run(folder: Path, seconds: float | None) -> bool:
    """Start it or go on with it in a process of its own; whether it was killed after so many seconds."""
    child = os.fork()
    if not child:
        try:
            trained(folder)
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise SystemExit(f"{folder}: exit code {os.WEXITSTATUS(status)}")
    return False


def trained(folder: Path) -> None:
    """In the child: train, or go on; write the digest."""
    seed, task = Seed(1), Network()
    vault = Vault(Folder(folder), interval=Interval(first=0.0, hours=0.0, most=0.5))
    journal = Journal(folder / "metrics.jsonl", COLUMNS)
    recipe = Recipe(steps=STEPS, schedule=warmed(cosine, 0.1), check_every=15)
    methods = [label_smoothing.build(), mixup.build(), clip.build(), ema.build(decay=0.95)]
    feed = Resident(task.data, Order(ROWS, seed), BATCH)
    train(task, feed, recipe, seed, vault, journal, judge=task.judge, methods=methods)
    (folder / "skipped").write_text(str(len(vault.skipped)))
    draft = folder / ".digest"
    draft.write_text(digest(vault.newest(), journal.path))
    draft.rename(folder / "digest")
    vault.close()


def damage(folder: Path, draw: random.Random) -> int:
    """Truncate a file, or flip one of its bits: a checkpoint's, best weights', the journal, `latest`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    if not files:
        return 0
    path = draw.choice(files)
    data = bytearray(path.read_bytes())
    if draw.random() < 0.5:
        data = data[: draw.randrange(len(data))]
    else:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)
    return 1


@dataclass
class Network:
    """Three classes of made-up rows."""

    classes: int = 3

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        layers = [nn.Linear(FEATURES, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3)]
        self.module = nn.Sequential(*layers)
        x = torch.randn(ROWS, FEATURES)
        y = torch.bucketize(x[:, 0] + x[:, 1] * x[:, 2], torch.tensor([-0.5, 0.5]))
        self.data = {"x": x, "y": y}

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.module.parameters(), lr=0.01)

    def loss(self, module, batch) -> torch.Tensor:
        return nn.functional.cross_entropy(module(batch["x"]), batch["y"])

    def weight(self, batch) -> float:
        return float(len(batch["y"]))

    def judge(self, module) -> float:
        return float(self.loss(module, self.data))


if __name__ == "__main__":
    sys.exit(main())
