"""Trains a model that learns in steps on the rows of a table, with checkpoints of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from forgeline.engine.seeds import Seed
from forgeline.kinds import Fitted, OneShot, Stepped, TrainRows

if TYPE_CHECKING:
    import torch

    from forgeline.engine.feed import Batch

JUDGED_ROWS = 4096
"""Held rows that are judged at once."""


def fitted(built: OneShot | Stepped, rows: TrainRows, seed: Seed, folder: Path) -> Fitted:
    """A trained model: in one call, or in steps, with checkpoints in `folder` as long as it takes."""
    if hasattr(built, "fit"):
        return built.fit(rows)
    made = in_steps(built, rows, seed, folder)
    shutil.rmtree(folder)
    return made


def in_steps(built: Stepped, rows: TrainRows, seed: Seed, folder: Path) -> Fitted:
    """Train on all rows; where held rows are given, the weights that suited them best are kept.

    It goes on from the checkpoints in `folder`. Errors: engine.recipe.Preempted, engine.recipe.StepFailed.
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

    vault = Vault(Folder(folder))
    journal = Journal(folder / "metrics.jsonl", COLUMNS)
    try:
        with Notice().signals() as notice:
            outcome = train(built, feed, recipe, seed, vault, journal, judge=judge if held else None, notice=notice)
    finally:
        vault.close()
    return built.fitted(outcome.steps / recipe.steps, outcome.best_step)


def loss_of(built: Stepped, module: torch.nn.Module, held: Batch) -> float:
    """The mean loss of rows, some at a time."""
    rows = len(held["y"])
    parts = [{name: each[at : at + JUDGED_ROWS] for name, each in held.items()} for at in range(0, rows, JUDGED_ROWS)]
    weights = [built.weight(part) for part in parts]
    return sum(float(built.loss(module, part)) * weight for part, weight in zip(parts, weights)) / sum(weights)
