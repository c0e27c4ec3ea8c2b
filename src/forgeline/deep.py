"""Trains a model that learns in steps on the rows of a table, with checkpoints of its own."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from forgeline import catalog
from forgeline.engine.seeds import Seed
from forgeline.history import METRICS, PROGRESS, progress
from forgeline.kinds import Fitted, OneShot, Stepped, TrainRows

if TYPE_CHECKING:
    import torch

    from forgeline.engine.feed import Batch
    from forgeline.engine.stepped import Method, Progress

JUDGED_ROWS, JUDGED_PICTURES = 4096, 512
"""Held rows that are judged at once, and rows with pictures."""


def fitted(built: OneShot | Stepped, rows: TrainRows, seed: Seed, folder: Path) -> Fitted:
    """A trained model: in one call, or in steps, with metrics and checkpoints in `folder`.

    Whoever has stored the model may delete the folder. Errors: engine.recipe.Preempted, engine.recipe.StepFailed.
    """
    return built.fit(rows) if hasattr(built, "fit") else in_steps(built, rows, seed, folder)


def in_steps(built: Stepped, rows: TrainRows, seed: Seed, folder: Path) -> Fitted:
    """Train on all rows; where held rows are given, the weights that suited them best are kept.

    It goes on from the checkpoints in `folder`.
    """
    import torch

    from forgeline.engine.checkpoint import Vault
    from forgeline.engine.feed import Resident
    from forgeline.engine.journal import Journal
    from forgeline.engine.loop import train
    from forgeline.engine.notice import Notice
    from forgeline.engine.order import Order
    from forgeline.engine.places import Folder
    from forgeline.engine.telling import COLUMNS

    torch.set_num_threads(1)
    feed = Resident(built.begin(rows), Order(len(rows.x_NF), seed), built.batch)
    recipe = built.recipe if rows.steps is None else replace(built.recipe, ends=rows.steps, check_every=1 << 62)
    held = None if rows.held is None else built.tensors(rows.held)

    def judge(module: torch.nn.Module) -> float:
        assert held is not None
        return loss_of(built, module, held)

    vault, journal = Vault(Folder(folder)), Journal(folder / METRICS, COLUMNS)
    looking_on = [Shown(folder)]
    judging = judge if held else None
    try:
        with Notice().signals() as notice:
            outcome = train(
                *(built, feed, recipe, seed, vault, journal),
                judge=judging,
                methods=[method_of(each) for each in getattr(built, "methods", [])],
                observers=looking_on,
                notice=notice,
            )
    finally:
        vault.close()
    return built.fitted(outcome.steps / recipe.steps, outcome.best_step)


def method_of(asked: dict[str, Any]) -> Method:
    """A method by its name and options."""
    options = {key: value for key, value in asked.items() if key != "use"}
    method: Method = catalog.load("methods", asked["use"]).build(**options)
    return method


@dataclass
class Shown:
    """Leaves where training is, and the seconds it took so far, for whoever looks on from another process."""

    folder: Path

    def __post_init__(self) -> None:
        self.began = time.perf_counter() - seconds_so_far(self.folder)

    def told(self, told: Progress) -> None:
        """Whole or not at all; not flushed, as it is out of date in a second, and no reason to stop on a full disk."""
        draft = self.folder / f"{PROGRESS}.part"
        with suppress(OSError):
            draft.write_bytes(msgspec.json.encode(vars(told) | {"seconds": time.perf_counter() - self.began}))
            draft.replace(self.folder / PROGRESS)


def seconds_so_far(folder: Path) -> float:
    """Seconds that a unit was trained before it was interrupted, to about one."""
    return float(progress(folder).get("seconds", 0.0))


def loss_of(built: Stepped, module: torch.nn.Module, held: Batch) -> float:
    """The mean loss of rows, some at a time."""
    rows, most = len(held["y"]), JUDGED_PICTURES if any(each.ndim == 4 for each in held.values()) else JUDGED_ROWS
    parts = [{name: each[at : at + most] for name, each in held.items()} for at in range(0, rows, most)]
    weights = [built.weight(part) for part in parts]
    return sum(float(built.loss(module, part)) * weight for part, weight in zip(parts, weights)) / sum(weights)
