"""Which columns, and which pairs of numbers, models see: recipes fitted without each fold, judged by a small model.

Shapes: N training rows, F folds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forgeline import catalog, kinds
from forgeline.engine import arithmetic, encode, ensemble, information
from forgeline.engine import arrays as tables
from forgeline.engine.seeds import Seed
from forgeline.engine.workers import Job
from forgeline.records import Number, Ref

if TYPE_CHECKING:
    from forgeline.engine.arrays import Arrays
    from forgeline.engine.encode import Recipe
    from forgeline.workspace import Workspace

QUICK_ROWS = 20_000
"""Rows that small models are judged on."""
LEAST_GAIN = 0.001
"""Share of the loss that pairs of numbers must take off at least."""
FILTER_SHARE, PAIRS_SHARE = 0.3, 0.4
"""Shares of a time limit that may be gone once the filter, and pairs of numbers, are judged."""
QUICK: dict[str, Any] = {
    **{"trees": 40, "rate": 0.1, "leaves": 15, "columns": 1.0, "rows": 1.0, "least": 20, "penalty": 1.0},
    "extra": False,
}
"""A small boosted forest: what columns are judged with."""


@dataclass(frozen=True)
class Material:
    """The training rows that recipes are fitted to."""

    arrays: Arrays
    y_N: np.ndarray
    fold_N: np.ndarray
    task: kinds.Task
    table: list[Ref]
    """Where workers find these arrays."""
    work: Workspace

    @property
    def outputs(self) -> int:
        """Classes, or 1 for a value."""
        return 1 if self.task == "regression" else int(self.y_N.max()) + 1

    @property
    def fold_count(self) -> int:
        """Folds of the training rows."""
        return int(self.fold_N.max()) + 1

    @cached_property
    def views(self) -> list[tuple[str, np.ndarray]]:
        """(name, rows) of what each recipe sees: all folds but one, and last all rows."""
        folds = [(f"train fold {fold}", np.flatnonzero(self.fold_N != fold)) for fold in range(self.fold_count)]
        return [*folds, ("train", np.arange(len(self.y_N)))]

    def targets(self, rows_N: np.ndarray) -> np.ndarray | None:
        """What means of categories are means of."""
        return encode.target_columns(self.y_N[rows_N], self.outputs)


@dataclass(frozen=True)
class Verdict:
    """What models see, and why."""

    recipes: list[Recipe]
    kept: bool
    """Whether what was judged stays."""
    why: str
    """Empty where there was nothing to judge."""
    numbers: dict[str, Number] = field(default_factory=dict)
    losses_F: np.ndarray | None = None
    """What a small model of these recipes loses without each fold, where it was asked."""


def fitted(material: Material) -> tuple[list[Recipe], list[Recipe]]:
    """Recipes of all columns, and of those that carry information about the target."""
    plain, filtered = [], []
    for _, rows_N in material.views:
        target_NY = material.targets(rows_N)
        recipe = encode.fit(material.arrays, rows_N, None, target_NY)
        chosen = information.informative(material.arrays, rows_N, material.y_N[rows_N], material.task)
        plain.append(recipe)
        filtered.append(encode.fit(material.arrays, rows_N, chosen, target_NY) if chosen else recipe)
    return plain, filtered


def judge_filter(material: Material, plain: list[Recipe], filtered: list[Recipe]) -> Verdict:
    """Keep the filter only if the cross-validated score of a small model does not fall without the columns."""
    if all(with_all.columns == fewer.columns for with_all, fewer in zip(plain, filtered, strict=True)):
        return Verdict(plain, False, "every column carries information about the target")
    seconds = small_seconds(material, [plain, filtered])
    if not material.work.affords("the filter", stage="refine", share=FILTER_SHARE, seconds=seconds):
        return Verdict(plain, False, "not kept: the time budget was too short to judge it")
    losses_RF = small_losses(material, [plain, filtered])
    before, after = (float(each) for each in losses_RF.mean(axis=1))
    kept = after <= before
    says = "kept" if kept else "not kept"
    why = f"{says}: the cross-validated loss of a small model goes from {before:.5f} to {after:.5f}"
    numbers = {"filter.loss_change": change(before, after, material)}
    return Verdict(filtered if kept else plain, kept, why, numbers, losses_RF[int(kept)])


def judge_pairs(material: Material, recipes: list[Recipe], losses_F: np.ndarray | None) -> Verdict:
    """Keep pairs of numbers only if a small model's loss falls, by more than its standard error over the folds.

    `losses_F`: what that model loses without them, where it is known.
    """
    numbers = [piece for piece in recipes[-1].numbers if piece.value]
    few_rows = len(material.y_N) < arithmetic.LEAST_ROWS
    if few_rows or material.outputs > arithmetic.MOST_CLASSES or len(numbers) < 2:
        return Verdict(recipes, False, "")
    seconds = small_seconds(material, [recipes])
    if not material.work.affords("pairs of numbers", stage="refine", share=PAIRS_SHARE, seconds=seconds):
        return Verdict(recipes, False, "not asked: the time budget was too short")
    wider = []
    for (_, rows_N), recipe in zip(material.views, recipes, strict=True):
        target_NY = material.targets(rows_N)
        assert target_NY is not None
        wider.append(encode.with_pairs(recipe, material.arrays, rows_N, target_NY, material.task))
    if not any(recipe.pairs for recipe in wider):
        return Verdict(recipes, False, "no pair of numbers tells what the columns do not")
    losses_RF = small_losses(material, [wider] if losses_F is not None else [recipes, wider])
    before_F, after_F = losses_RF[0] if losses_F is None else losses_F, losses_RF[-1]
    gain_F = before_F - after_F
    error = float(gain_F.std(ddof=1) / np.sqrt(len(gain_F))) if len(gain_F) > 1 else 0.0
    kept = bool(gain_F.mean() > max(error, LEAST_GAIN * before_F.mean()))
    before, after = float(before_F.mean()), float(after_F.mean())
    why = f"{'kept' if kept else 'not kept'}: the cross-validated loss of a small model goes from {before:.5f} to "
    why += f"{after:.5f}, with a standard error of {error:.5f}"
    return Verdict(wider if kept else recipes, kept, why, {"pairs.loss_change": change(before, after, material)})


def change(before: float, after: float, material: Material) -> Number:
    """By how much a small model's loss changes, and on how many rows."""
    return Number(value=after - before, n=min(QUICK_ROWS, len(material.y_N)))


# ---------------------------------------------------------------- the small model


def small_setting(outputs: int) -> dict[str, Any]:
    """The small model: beyond ten classes it has fewer steps, each of which is one tree a class."""
    return QUICK | {"trees": math.ceil(QUICK["trees"] * min(1.0, 10 / outputs))}


def small_seconds(material: Material, several: list[list[Recipe]]) -> float:
    """What `small_losses` is expected to take."""
    rows, outputs = min(QUICK_ROWS, len(material.y_N)), material.outputs
    cost = catalog.load("families", "lightgbm").cost
    whole = [recipes[-1] for recipes in several]
    shapes = [kinds.Shape(rows, len(each.features), material.task, outputs, each.flags) for each in whole]
    work = sum(cost(shape, small_setting(outputs)).work for shape in shapes)
    return float(work * material.fold_count / material.work.workers.count)


def small_losses(material: Material, several: list[list[Recipe]]) -> np.ndarray:
    """Held-out loss of a small model of each of several recipes without each fold, on a sample [recipes, F]."""
    fold_N, work = material.fold_N, material.work
    picked = np.linspace(0, len(fold_N) - 1, min(QUICK_ROWS, len(fold_N))).astype(int)
    jobs = [
        Job(
            f"quick fold {fold + 1}",
            "forgeline.recipes:fold_losses",
            {
                "table": {ref.name: str(work.artefacts.folder / ref.digest) for ref in material.table},
                "recipes": [encode.encode(recipes[fold]) for recipes in several],
                "train_N": picked[fold_N[picked] != fold],
                "held_N": picked[fold_N[picked] == fold],
                "task": material.task,
                "seed": work.seed.child("refine", "filter"),
            },
        )
        for fold in range(material.fold_count)
    ]
    outcomes = work.workers.run(jobs, lambda: float("inf"))
    losses = {outcome.job.name: outcome.answer() for outcome in outcomes}
    return np.array([losses[job.name] for job in jobs]).T


def fold_losses(
    *,
    table: dict[str, str],
    recipes: list[bytes],
    train_N: np.ndarray,
    held_N: np.ndarray,
    task: kinds.Task,
    seed: Seed,
) -> list[float]:
    """In a worker: held-out loss of a small model of each recipe (log loss, or squared error in units of variance)."""
    files = {name: Path(path) for name, path in table.items()}
    arrays, y_N = tables.load(files), np.load(files["target.npy"])
    outputs = 1 if task == "regression" else int(y_N.max()) + 1
    weight_N = np.load(files["weight.npy"]) if "weight.npy" in files else None
    train_weight, held_weight = (None if weight_N is None else weight_N[rows] for rows in (train_N, held_N))
    if task == "regression":
        y_N = (y_N - y_N[train_N].mean()) / (y_N[train_N].std() or 1.0)

    def loss(recipe: Recipe) -> float:
        target_NY = encode.target_columns(y_N[train_N], outputs) if recipe.means else None
        x_NF = encode.transform(recipe, arrays, train_N, target_NY)
        shape = kinds.Shape(len(train_N), x_NF.shape[1], task, outputs)
        model = catalog.load("families", "lightgbm").build(shape, small_setting(outputs), seed)
        p_NK = model.fit(kinds.TrainRows(x_NF, y_N[train_N], train_weight, shape)).predict(
            encode.transform(recipe, arrays, held_N)
        )
        if task == "regression":
            return float(np.average((p_NK[:, 0] - y_N[held_N]) ** 2, weights=held_weight))
        return ensemble.log_loss(p_NK, y_N[held_N], held_weight)

    return [loss(encode.decode(recipe)) for recipe in recipes]
