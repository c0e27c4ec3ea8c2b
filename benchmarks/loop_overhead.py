"""What the training loop costs over a bare PyTorch loop, beside Fabric, Accelerate and Lightning's Trainer.

    python benchmarks/loop_overhead.py [--pairs 120] [--environments FOLDER] [--quick]

A tiny perceptron and a small transformer. All systems get the same batches from the same source and the same
optimizer; forgeline keeps its metrics log, observers and checkpoints on, the others have theirs off. Runs are short,
so that the two of a round meet the same machine, and interleaved; the rivals take part in every fourth round. The time
of a step is that between the first warm batch and the last one. Printed: the median of the ratios to the bare loop of
the same round, its 95 % interval over rounds (bootstrap), the rivals' the same. The rivals live in an environment that
the script makes. Run it alone on the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
RIVALS = ["lightning==2.6.6", "accelerate==1.15.0"]
TARGET = 1.03
WARM = 0.1
"""Share of the steps that are made before time is taken."""
RIVALS_EVERY = 4
"""Rounds between two in which the rivals take part."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--pairs", type=int, default=120)
    options.add_argument("--environments", type=Path, default=HERE / ".rivals")
    options.add_argument("--quick", action="store_true", help="ten rounds, forgeline alone")
    options.add_argument("--inside", action="store_true", help="for itself: measure in this environment")
    asked = options.parse_args()
    if asked.inside or asked.quick:
        return measured(10 if asked.quick else asked.pairs, rivals=not asked.quick)
    python = environment(asked.environments / "loops")
    return subprocess.run([python, __file__, "--inside", "--pairs", str(asked.pairs)]).returncode


def environment(folder: Path) -> str:
    """Python of an environment with the rivals and this project, made once."""
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        print(f"making {folder}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "-c", str(HERE.parent / "constraints.txt")]
        subprocess.run([*install, "-e", f"{HERE.parent}[deep]", *RIVALS], check=True)
        (folder / "made").touch()
    return str(python)


def measured(pairs: int, *, rivals: bool) -> int:
    """Measure here."""
    import numpy as np
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    ours = {"bare": bare, "forgeline": forgeline}
    systems = ours | ({"fabric": fabric, "accelerate": accelerate, "trainer": trainer} if rivals else {})
    figures: dict[str, dict[str, object]] = {}
    holds = True
    for name, (task, steps) in {"perceptron": (Perceptron, 500), "transformer": (Transformer, 60)}.items():
        ratios: dict[str, list[float]] = {system: [] for system in systems}
        bases = []
        for round_ in range(pairs + 1):
            some = list(ours if round_ % RIVALS_EVERY else systems)
            seconds = {each: systems[each](task(), steps) for each in (some if round_ % 2 else reversed(some))}
            if round_:  # the first one warms up
                bases.append(seconds["bare"])
                for system in some:
                    ratios[system].append(seconds[system] / seconds["bare"])
        print(f"{name}: bare {1e6 * np.median(bases):.0f} µs a step, {pairs} rounds of {steps} steps", flush=True)
        for system in [each for each in systems if each != "bare"]:
            ratio = np.array(ratios[system])
            low, high = interval(ratio)
            print(f"  {system:<12}{np.median(ratio):.3f}  [{low:.3f}, {high:.3f}]", flush=True)
            figures.setdefault(name, {})[system] = [float(np.median(ratio)), low, high]
        holds = holds and figures[name]["forgeline"][0] <= TARGET
    print(json.dumps({"pairs": pairs, "target": TARGET, "ratios": figures, "holds": holds}))
    return 0 if holds else 1


def interval(ratio) -> tuple[float, float]:
    """95 % of the median, by the bootstrap over rounds."""
    import numpy as np

    draw = np.random.default_rng(0)
    medians = np.median(draw.choice(ratio, (4000, len(ratio))), axis=1)
    return tuple(float(each) for each in np.quantile(medians, [0.025, 0.975]))


# ---------------------------------------------------------------- tasks


class Perceptron:
    """64 → 64 → 64 → 10, batches of 32."""

    classes, rows, batch = 10, 4096, 32

    def __init__(self) -> None:
        import torch
        from torch import nn

        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        self.data = {"x": torch.randn(self.rows, 64), "y": torch.randint(0, 10, (self.rows,))}

    def optimizer(self):
        import torch

        return torch.optim.AdamW(self.module.parameters(), lr=1e-3)

    def loss(self, module, batch):
        import torch

        return torch.nn.functional.cross_entropy(module(batch["x"]), batch["y"])

    def weight(self, batch):
        return float(len(batch["y"]))


class Transformer(Perceptron):
    """Two layers of 64 units on 32 tokens, batches of 8."""

    classes, rows, batch = 100, 1024, 8

    def __init__(self) -> None:
        import torch
        from torch import nn

        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
        encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.module = nn.Sequential(nn.Embedding(100, 64), encoder, nn.Linear(64, 100), nn.Flatten(0, 1))
        tokens = torch.randint(0, 100, (self.rows, 33))
        self.data = {"x": tokens[:, :-1], "y": tokens[:, 1:].contiguous()}

    def loss(self, module, batch):
        import torch

        return torch.nn.functional.cross_entropy(module(batch["x"]), batch["y"].flatten())


def source(task):
    """The batches that every system gets, and the times at which they were asked for."""
    from forgeline.engine.feed import Resident
    from forgeline.engine.order import Order
    from forgeline.engine.seeds import Seed

    class Timed(Resident):
        times: list[float]

        def take(self, step):
            self.times.append(time.perf_counter())
            return super().take(step)

    feed = Timed(task.data, Order(task.rows, Seed(0)), task.batch)
    feed.times = []
    return feed


def pace(feed) -> float:
    """Seconds a step."""
    warm = int(WARM * len(feed.times))
    return (feed.times[-1] - feed.times[warm]) / (len(feed.times) - 1 - warm)


# ---------------------------------------------------------------- systems


def bare(task, steps: int) -> float:
    """Plain PyTorch."""
    return driven(task, steps, task.module, task.optimizer(), lambda loss: loss.backward())


def driven(task, steps: int, module, optimizer, backward) -> float:
    """Five lines; seconds a step."""
    feed = source(task)
    for step in range(steps):
        batch = feed.take(step)
        optimizer.zero_grad()
        backward(task.loss(module, batch))
        optimizer.step()
    return pace(feed)


def forgeline(task, steps: int) -> float:
    """With all that it does by default: metrics of every step, progress, checkpoints."""
    from forgeline.engine.checkpoint import Vault
    from forgeline.engine.interval import Interval
    from forgeline.engine.journal import Journal
    from forgeline.engine.loop import train
    from forgeline.engine.places import Folder
    from forgeline.engine.recipe import Recipe
    from forgeline.engine.seeds import Seed
    from forgeline.engine.telling import COLUMNS

    feed = source(task)
    with tempfile.TemporaryDirectory() as place:
        vault = Vault(Folder(Path(place)), interval=Interval(first=0.2))
        journal = Journal(Path(place) / "metrics.jsonl", COLUMNS)
        train(task, feed, Recipe(steps=steps), Seed(0), vault, journal)
        vault.close()
    return pace(feed)


def fabric(task, steps: int) -> float:
    """Lightning Fabric, nothing logged, nothing saved."""
    from lightning.fabric import Fabric

    made = Fabric(accelerator="cpu", devices=1)
    module, optimizer = made.setup(task.module, task.optimizer())
    return driven(task, steps, module, optimizer, made.backward)


def accelerate(task, steps: int) -> float:
    """Hugging Face Accelerate, nothing logged, nothing saved."""
    from accelerate import Accelerator

    made = Accelerator(cpu=True)
    module, optimizer = made.prepare(task.module, task.optimizer())
    return driven(task, steps, module, optimizer, made.backward)


def trainer(task, steps: int) -> float:
    """Lightning's Trainer, nothing logged, nothing saved."""
    import logging
    import warnings

    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.module = task.module

        def training_step(self, batch, place):
            return task.loss(self.module, batch)

        def configure_optimizers(self):
            return task.optimizer()

    feed = source(task)
    silent = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    made = lightning.Trainer(accelerator="cpu", devices=1, max_steps=steps, **silent)
    made.fit(Module(), Batches(feed, steps))
    return pace(feed)


class Batches:
    """The source as something to iterate over."""

    def __init__(self, feed, steps: int) -> None:
        self.feed, self.steps = feed, steps

    def __iter__(self):
        return (self.feed.take(step) for step in range(self.steps))

    def __len__(self) -> int:
        return self.steps


if __name__ == "__main__":
    sys.exit(main())
