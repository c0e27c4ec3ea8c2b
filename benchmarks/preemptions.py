"""What checkpoints cost, how fast a process that is asked to go has saved, and how many steps preemptions waste.

    python benchmarks/preemptions.py [--megabytes 100] [--seconds 60] [--preemptions 40] [--quick]

Stall: share of the time that the loop loses to checkpoints of so many megabytes (weights and Adam's moments) at the
interval it chooses. Leaving: seconds from SIGTERM to the end of the process, everything saved. Waste: the same training
is preempted at the same random moments, once with notice (SIGTERM, some grace, SIGKILL) and once without (SIGKILL), so
that only periodic checkpoints are left; steps that were made beyond those that were needed. Time between preemptions is
made short and the interval told so, as Young and Daly would have it; waste is compared, not its absolute value.
"""

import argparse
import json
import mmap
import os
import random
import signal
import statistics
import struct
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from forgeline.engine.checkpoint import Vault
from forgeline.engine.feed import Resident
from forgeline.engine.interval import Interval
from forgeline.engine.journal import Journal
from forgeline.engine.loop import train
from forgeline.engine.notice import Notice
from forgeline.engine.order import Order
from forgeline.engine.places import Folder
from forgeline.engine.recipe import Preempted, Recipe
from forgeline.engine.seeds import Seed
from forgeline.engine.telling import COLUMNS

STALL, LEAVING, WASTE = 0.02, 1.0, -0.8


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--megabytes", type=float, default=100.0)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--preemptions", type=int, default=40)
    options.add_argument("--quick", action="store_true")
    asked = options.parse_args()
    if asked.quick:
        asked.seconds, asked.preemptions = 8.0, 8
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        stall = stalled(asked.megabytes, asked.seconds, Path(place) / "stall")
        leaving = [left(asked.megabytes, Path(place) / f"leaving-{turn}") for turn in range(3 if asked.quick else 10)]
        print(f"SIGTERM to saved: median {statistics.median(leaving):.2f} s, longest {max(leaving):.2f} s", flush=True)
        periodic = wasted(asked.preemptions, Path(place) / "periodic", notice=False)
        noticed = wasted(asked.preemptions, Path(place) / "noticed", notice=True)
    change = noticed / periodic - 1
    print(f"steps wasted by {asked.preemptions} preemptions: {periodic} without notice, {noticed} with: {change:+.0%}")
    figures = {"stall": stall, "leaving": leaving, "wasted": [periodic, noticed], "change": change}
    holds = stall <= STALL and max(leaving) <= LEAVING and change <= WASTE
    print(json.dumps({"megabytes": asked.megabytes, **figures, "holds": holds}))
    return 0 if holds else 1


class Wide:
    """A network whose checkpoint (weights, two moments) has so many megabytes."""

    classes = 10

    def __init__(self, megabytes: float) -> None:
        torch.manual_seed(0)
        width = int((megabytes * 1e6 / 12 / 2) ** 0.5)
        self.module = nn.Sequential(nn.Linear(32, width), nn.ReLU(), nn.Linear(width, 2 * width), nn.ReLU())
        self.module.append(nn.Linear(2 * width, 10))
        self.data = {"x": torch.randn(512, 32), "y": torch.randint(0, 10, (512,))}

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.module.parameters(), lr=1e-4)

    def loss(self, module, batch) -> torch.Tensor:
        return nn.functional.cross_entropy(module(batch["x"]), batch["y"])

    def weight(self, batch) -> float:
        return float(len(batch["y"]))


class Counted(Resident):
    """Counts the steps that are begun, in a file that outlives the process."""

    counter: mmap.mmap

    def take(self, step: int):
        self.counter[:8] = struct.pack("<q", struct.unpack("<q", self.counter[:8])[0] + 1)
        return super().take(step)


def fit(task: Wide, folder: Path, steps: int, interval: Interval, notice: Notice, *, ends: float = 1e18) -> Vault:
    """Train in a folder, or go on there; until a moment at most."""
    folder.mkdir(exist_ok=True)
    feed = Counted(task.data, Order(512, Seed(0)), 32)
    counter = folder.with_suffix(".steps")
    if not counter.exists():
        counter.write_bytes(bytes(8))
    with counter.open("r+b") as file:
        feed.counter = mmap.mmap(file.fileno(), 8)
    vault = Vault(Folder(folder), interval=interval)
    journal = Journal(folder / "metrics.jsonl", COLUMNS)

    class Ends:
        def told(self, progress) -> None:
            if time.perf_counter() > ends:
                notice.ask("time")

    try:
        train(task, feed, Recipe(steps=steps), Seed(0), vault, journal, notice=notice, observers=[Ends()])
    finally:
        vault.close()
    return vault


def stalled(megabytes: float, seconds: float, folder: Path) -> float:
    """Share of the time that saving took from the loop, and what it slowed down beside it."""
    interval, notice, began = Interval(), Notice(), time.perf_counter()
    with suppress(Preempted):
        fit(Wide(megabytes), folder, 10**9, interval, notice, ends=began + seconds)
    took = time.perf_counter() - began
    saves = 1 + max(0, int((took - interval.first) / interval.seconds))
    share = saves * (interval.cost or 0.0) / took
    print(f"checkpoints of {megabytes:.0f} MB: {interval.cost:.3f} s each, every {interval.seconds:.1f} s, {share:.2%}")
    return share


def left(megabytes: float, folder: Path) -> float:
    """Seconds from SIGTERM to the end of a process that trains."""
    child = os.fork()
    if not child:
        try:
            with Notice().signals() as notice:
                fit(Wide(megabytes), folder, 10**9, Interval(first=1.0), notice)
        except Preempted:
            os._exit(0)
        os._exit(1)
    time.sleep(3.0)
    began = time.perf_counter()
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    took = time.perf_counter() - began
    if status:
        raise SystemExit(f"the process did not leave in order: {status}")
    saved = Vault(Folder(folder)).newest()
    if saved is None or (folder.with_suffix(".steps")).read_bytes() != struct.pack("<q", saved.facts["step"] + 1):
        print(f"saved step {saved and saved.facts['step']}", flush=True)
    return took


def wasted(preemptions: int, folder: Path, *, notice: bool, mean: float = 1.5, grace: float = 2.0) -> int:
    """Steps that were made beyond those that counted, over so many preemptions at random moments."""
    draw = random.Random(1)
    for _ in range(preemptions):
        child = os.fork()
        if not child:
            interval = Interval(failures=3600.0 / mean, hours=1.0, first=0.3, most=0.5)
            try:
                with Notice().signals() as asked:
                    fit(Wide(1.0), folder, 10**9, interval, asked if notice else Notice())
            except Preempted:
                os._exit(0)
            os._exit(1)
        time.sleep(0.3 + draw.expovariate(1 / mean))
        if not (notice and leaves(child, grace)):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    made = struct.unpack("<q", folder.with_suffix(".steps").read_bytes())[0]
    saved = Vault(Folder(folder)).newest()
    return made - (0 if saved is None else saved.facts["step"])


def leaves(child: int, grace: float) -> bool:
    """Whether a process that is asked to go is gone within so many seconds."""
    os.kill(child, signal.SIGTERM)
    ends = time.perf_counter() + grace
    while time.perf_counter() < ends:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return True
        time.sleep(0.005)
    return False


if __name__ == "__main__":
    sys.exit(main())
