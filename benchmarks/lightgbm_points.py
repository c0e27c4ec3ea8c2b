"""In which order LightGBM's settings are worth trying: what each takes off the best held-out loss for its time.

    python benchmarks/lightgbm_points.py FOLDER [--quick]

FOLDER holds `<name>/train.csv.gz` and `<name>/task.json` (`{"task": …}`, target `target_y`). Sets of 3,000 to 60,000
rows, at most ten classes and a name without "adult" are used: 15,000 rows of each, two of three folds. Losses (log
loss, or root mean squared error) are relative to LightGBM's defaults on the same folds; the order is greedy, by gain
in the mean log of the best loss so far, for a second of one core. Its target: the shipped order, up to the setting
that a docstring says is put last by judgement, is the one printed first.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import polars as pl

from forgeline.engine import arrays, encode, tables
from forgeline.engine.seeds import Seed
from forgeline.kinds import Shape, TrainRows
from forgeline.parts.families import lightgbm

MISSING = ["", "?", "NA", "nan", "NaN"]
OTHERS = {
    "2500 × 8": (2500, 0.02, 8, 0.3, 0.8, 20, 0.0),
    "600 × 31, slower": (600, 0.03, 31, 0.4, 0.8, 20, 1.0),
}
ROWS = 15_000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--quick", action="store_true", help="the first two sets of each kind")
    asked = options.parse_args()
    orders = {}
    for kind, shipped in (("classes", lightgbm.MIDDLE_CLASSES), ("values", lightgbm.MIDDLE_VALUES)):
        settings = {f"{each[0]} × {each[2]}": each for each in (lightgbm.DEFAULT, *shipped)} | OTHERS
        measured = {}
        for folder in sorted(path for path in asked.folder.iterdir() if (path / "task.json").exists()):
            if not (asked.quick and len(measured) == 2) and (found := losses(folder, kind, settings)):
                measured[folder.name] = found
        print(f"\n{kind}: loss relative to the defaults")
        for name, found in measured.items():
            print(f"  {name:<28}" + "  ".join(f"{key} {loss:.3f}" for key, (loss, _) in found.items()))
        orders[kind] = greedy(list(measured.values()), list(settings))
        print("  order: " + ", ".join(f"{key} ({gain:.4f}/s)" for key, gain in orders[kind]))
    shipped_last = {"classes": ["600 × 31"], "values": []}
    holds = True
    for kind, points in (("classes", lightgbm.MIDDLE_CLASSES), ("values", lightgbm.MIDDLE_VALUES)):
        names = [f"{each[0]} × {each[2]}" for each in points]
        printed = [key for key, _ in orders[kind] if key in names and key not in shipped_last[kind]]
        holds &= printed == [name for name in names if name not in shipped_last[kind]]
    print(json.dumps({"orders": orders, "holds": holds}))


def losses(folder: Path, kind: str, settings: dict[str, tuple]) -> dict[str, tuple[float, float]]:
    """Setting → (loss relative to the first setting's, seconds); nothing for a set of another kind or size."""
    task = json.loads((folder / "task.json").read_text())["task"]
    if "adult" in folder.name or (task == "regression") != (kind == "values"):
        return {}
    frame, facts = tables.settle(tables.read([folder / "train.csv.gz"], MISSING).frame, {}, MISSING)
    if not 3_000 <= frame.height <= 60_000:
        return {}
    frame = frame.sample(min(frame.height, ROWS), seed=0)
    y, outputs = truth(frame["target_y"], task)
    if outputs > 10:
        return {}
    rows = arrays.from_frame(frame, [(fact.name, fact.kind) for fact in facts if fact.name != "target_y"])
    fold = np.random.default_rng(0).permutation(len(y)) % 3
    found = {key: [] for key in settings}
    for held in (0, 1):
        train_N, held_N = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        recipe = encode.fit(rows, train_N)
        x, x_held = encode.transform(recipe, rows, train_N), encode.transform(recipe, rows, held_N)
        shape = Shape(len(train_N), x.shape[1], task, outputs, recipe.flags)
        for key, setting in settings.items():
            began = time.perf_counter()
            point = lightgbm.point(setting, (2 / max(outputs, 2)) ** 0.5)
            fitted = lightgbm.build(shape, point, Seed(0)).fit(TrainRows(x, y[train_N], None, shape))
            found[key].append((loss(fitted.predict(x_held), y[held_N]), time.perf_counter() - began))
    mean = {key: np.mean(pairs, axis=0) for key, pairs in found.items()}
    base = next(iter(mean.values()))[0]
    return {key: (float(value / base), float(seconds)) for key, (value, seconds) in mean.items()}


def truth(target: pl.Series, task: str) -> tuple[np.ndarray, int]:
    """(class index or standardised value, outputs)."""
    if task == "regression":
        y = target.cast(pl.Float64).to_numpy()
        return (y - y.mean()) / y.std(), 1
    y = np.unique(target.cast(pl.String).to_numpy(), return_inverse=True)[1].astype(np.int64)
    return y, int(y.max()) + 1


def loss(p: np.ndarray, y: np.ndarray) -> float:
    """Log loss, or root mean squared error."""
    if p.shape[1] == 1:
        return float(np.sqrt(np.mean((p[:, 0] - y) ** 2)))
    return float(-np.mean(np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1))))


def greedy(measured: list[dict[str, tuple[float, float]]], keys: list[str]) -> list[tuple[str, float]]:
    """(setting, gain a second), after the first, which is the default."""
    value = np.array([[found[key][0] for key in keys] for found in measured])
    seconds = np.array([[found[key][1] for key in keys] for found in measured]).mean(axis=0)
    best, left, order = value[:, 0], set(range(1, len(keys))), []
    while left:
        gain = {j: float((np.log(best) - np.log(np.minimum(best, value[:, j]))).mean() / seconds[j]) for j in left}
        pick = max(sorted(gain), key=gain.__getitem__)
        order.append((keys[pick], gain[pick]))
        left.discard(pick)
        best = np.minimum(best, value[:, pick])
    return order


if __name__ == "__main__":
    main()
