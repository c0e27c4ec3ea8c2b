"""A small perceptron that the training loop drives, and everything around it."""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest


def perceptron(sizes, *, drop=0.2, norm=False):
    from torch import nn

    layers = []
    for inside, outside in pairwise(sizes):
        layers += [
            nn.Linear(inside, outside),
            *([nn.BatchNorm1d(outside)] if norm else []),
            nn.ReLU(),
            nn.Dropout(drop),
        ]
    return nn.Sequential(*layers[: -3 if norm else -2])


@dataclass
class Small:
    """Two classes of ROWS rows that a perceptron learns to tell apart."""

    drop: float = 0.2
    norm: bool = False
    rate: float = 0.01
    rows: int = 200
    device: str = "cpu"
    classes: int = 2
    wrong_at: int | None = None
    module: Any = None
    calls: int = 0
    fails: Any = None
    """Called with the number of the loss that is asked for, and the batch, before it is given."""
    data: dict = field(default_factory=dict)

    def __post_init__(self):
        import torch

        torch.manual_seed(5)
        x = torch.randn(self.rows, 6)
        self.data = {"x": x, "y": (x[:, 0] + x[:, 1] * x[:, 2] > 0).long()}
        self.module = perceptron([6, 16, 2], drop=self.drop, norm=self.norm).to(self.device)

    def optimizer(self):
        import torch

        return torch.optim.AdamW(self.module.parameters(), lr=self.rate)

    def loss(self, module, batch):
        import torch

        self.calls += 1
        if self.fails is not None:
            self.fails(self.calls, batch)
        return torch.nn.functional.cross_entropy(module(batch["x"]), batch["y"])

    def weight(self, batch):
        return float(len(batch["y"]))

    def judge(self, module):
        import torch

        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(module(self.data["x"]), self.data["y"]))


@dataclass
class Bench:
    """Trains `Small` in a folder: the same arguments in the same folder go on where they were."""

    folder: Path
    interval: float = 1e9
    """Seconds between checkpoints."""
    url: str = ""
    """Where checkpoints go instead of the folder."""

    def train(self, task, recipe, **others):
        from forgeline.engine.checkpoint import Vault
        from forgeline.engine.feed import Resident
        from forgeline.engine.interval import Interval
        from forgeline.engine.journal import Journal
        from forgeline.engine.loop import train
        from forgeline.engine.order import Order
        from forgeline.engine.places import place_of
        from forgeline.engine.seeds import Seed
        from forgeline.engine.telling import COLUMNS

        seed = Seed(3)
        feed = others.pop("feed", None) or Resident(task.data, Order(task.rows, seed), 20, 4000)
        self.journal = Journal(self.folder / "metrics.jsonl", COLUMNS)
        place, interval = place_of(self.url or self.folder), Interval(first=self.interval, hours=1e-9)
        self.vault = Vault(place, beside=[self.journal.path], interval=interval)
        try:
            return train(
                task, feed, recipe, seed, self.vault, self.journal, **{"judge": getattr(task, "judge", None)} | others
            )
        finally:
            self.vault.close()

    def digest(self):
        from forgeline.engine.resuming import digest

        return digest(self.vault.newest(), self.journal.path)


@pytest.fixture
def small():
    return Small


@pytest.fixture
def bench(tmp_path):
    def made(name="run", **options):
        return Bench(tmp_path / name, **options)

    return made
