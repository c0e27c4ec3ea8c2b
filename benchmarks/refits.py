"""What ships of a candidate: the mean of its fold models, or fits on all rows with one, two or four seeds?

    python benchmarks/refits.py --data FOLDER [--sets NAME …] [--most-rows 20000]

For one point of each family, on the sets that benchmarks/minute.py does not show to rivals: test loss of the mean of
five fold models, and of fits on all rows whose steps are the mean of what the first two folds chose. Printed are means
over sets of log(loss / loss of the fold models), with standard errors, by rows and family, and of the greedy ensemble.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from minute import VISIBLE, drawn
from portfolio import FAMILIES, POINTS, one, opened

from forgeline import fitting, kinds, models, records, session
from forgeline.engine import arrays as tables
from forgeline.engine import encode
from forgeline.engine.ensemble import greedy_weights, mean, steps_for
from forgeline.engine.seeds import Seed
from forgeline.engine.store import Store, WorkLog

CHOSEN = ("lightgbm-2", "catboost-1", "extra_trees-1", "network-1", "kernel-1")
SEEDS = (1, 2, 4)
FOLDS, PROBED = 5, 2
EDGES = (0, 1_500, 10_000, 10**9)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--sets", nargs="*", default=[])
    options.add_argument("--most-rows", type=int, default=20_000)
    asked = options.parse_args()
    data = asked.data.resolve()
    rows = {name: json.loads((data / name / "task.json").read_text())["train"] for name in drawn(data)[VISIBLE:]}
    names = asked.sets or sorted((name for name in rows if rows[name] <= asked.most_rows), key=lambda name: rows[name])
    found: dict[str, tuple[int, dict[str, dict[str, float]]]] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            table = Table.of(data / name, Path(place))
            found[name] = len(table.y_N), losses(table)
        ratios = {each: f"{100 * np.log(of['4 fits'] / of['folds']):+.2f}%" for each, of in found[name][1].items()}
        print(f"{name:<28}{found[name][0]:>7} rows  four fits against folds: {ratios}", flush=True)
    report(found)


@dataclass
class Table:
    """A set's rows, encoded by nothing yet."""

    rows: tables.Arrays
    test: tables.Arrays
    y_N: np.ndarray
    y_test_N: np.ndarray
    task: Any
    outputs: int

    @classmethod
    def of(cls, folder: Path, place: Path) -> "Table":
        store = Store(place)
        run = opened(folder, store)
        log = WorkLog(run.folder / "work.log")
        work = session.workspace(run.folder, run.ask, store, log, session.now(), quiet=True, replay=None)
        snapshot, refinement = (one(run, kind) for kind in (records.Snapshot, records.Refinement))
        frame = work.frame(snapshot.facts.test_digest)
        frame = frame.filter(frame[snapshot.facts.target].is_not_null())
        test = tables.from_frame(frame, [(each.name, each.kind) for each in refinement.facts.inputs])
        data = models.data_of(snapshot, refinement, work)
        y_test_N = models.target_of(frame, snapshot)
        return cls(models.table(refinement, work), test, data.y_N, y_test_N, data.task, data.outputs)

    def loss(self, p_NK: np.ndarray, y_N: np.ndarray) -> float:
        """Log loss or RMSE."""
        if self.task == "regression":
            return float(np.sqrt(np.mean((p_NK[:, 0] - y_N) ** 2)))
        return float(-np.log(np.clip(p_NK[np.arange(len(y_N)), y_N], 1e-15, 1)).mean())

    def folds(self) -> np.ndarray:
        """A fold of each row, stratified by class or by rank."""
        order_N = np.argsort(self.y_N + 1e-9 * Seed(0).generator().normal(size=len(self.y_N)))
        fold_N = np.empty(len(self.y_N), np.int64)
        fold_N[order_N] = np.arange(len(self.y_N)) % FOLDS
        return fold_N


def fit(table: Table, point: str, train_N: np.ndarray, held_N: np.ndarray, steps: int | None, seed: Seed) -> Any:
    """(test predictions, held-out predictions, steps) of one fit; without held-out rows they are of no row."""
    target_NY = encode.target_columns(table.y_N[train_N], table.outputs)
    recipe = encode.fit(table.rows, train_N, None, target_NY)
    y_train, present, center, scale = fitting.standardised(table.y_N[train_N], table.task)
    x_NF = encode.transform(recipe, table.rows, train_N, target_NY if recipe.means else None)
    shape = kinds.Shape(len(train_N), x_NF.shape[1], table.task, len(present) or 1, recipe.flags)
    held_NF, held = encode.transform(recipe, table.rows, held_N), None
    if steps is None and len(held_N):
        y_held = np.searchsorted(present, table.y_N[held_N]) if present else (table.y_N[held_N] - center) / scale
        held = kinds.TrainRows(held_NF, y_held, None, shape)
    module = FAMILIES[POINTS[point]["family"]]
    setting = module.space(shape).points[0] | POINTS[point]["setting"]
    given = kinds.TrainRows(x_NF, y_train, None, shape, held, steps)
    fitted = module.build(shape, setting, seed).fit(given)

    def answers(x_NF: np.ndarray) -> np.ndarray:
        p_NK = fitting.spread_array(fitted.predict(x_NF), present, table.outputs, table.task)
        return p_NK * scale + center if table.task == "regression" else p_NK

    everyone = np.arange(len(table.y_test_N))
    return answers(encode.transform(recipe, table.test, everyone)), answers(held_NF), getattr(fitted, "steps", None)


def losses(table: Table) -> dict[str, dict[str, float]]:
    """Point, or `ensemble`, → what ships → test loss."""
    fold_N, everyone = table.folds(), np.arange(len(table.y_N))
    tests: dict[str, dict[str, np.ndarray]] = {}
    held: dict[str, np.ndarray] = {}
    for point in CHOSEN:
        steps: list[int] = []
        parts, held[point] = [], np.zeros((len(everyone), table.outputs))
        for fold in range(FOLDS):
            known = round(np.mean(steps)) if fold >= PROBED and steps else None
            out_N = np.flatnonzero(fold_N == fold)
            seed = Seed(0).child(point, fold)
            test_NK, held[point][out_N], chosen = fit(table, point, np.flatnonzero(fold_N != fold), out_N, known, seed)
            parts.append(test_NK)
            steps += [chosen] if fold < PROBED and chosen else []
        tests[point] = {"folds": np.mean(parts, axis=0)}
        known = round(np.mean(steps)) if steps else None
        none_N = everyone[:0]
        fits = [fit(table, point, everyone, none_N, known, Seed(1).child(point, at))[0] for at in range(max(SEEDS))]
        tests[point] |= {f"{count} fits": np.mean(fits[:count], axis=0) for count in SEEDS}
    weights = greedy_weights(
        [held[point] for point in CHOSEN], lambda p_NK: table.loss(p_NK, table.y_N), steps=steps_for(len(table.y_N))
    )
    found = {
        point: {name: table.loss(p_NK, table.y_test_N) for name, p_NK in of.items()} for point, of in tests.items()
    }
    mixed = {name: mean([tests[point][name] for point in CHOSEN], weights) for name in tests[CHOSEN[0]]}
    own = [tests[point][ships(POINTS[point]["family"])] for point in CHOSEN]
    mixed["as shipped"] = mean(own, weights)
    return found | {"ensemble": {name: table.loss(p_NK, table.y_test_N) for name, p_NK in mixed.items()}}


def ships(family: str) -> str:
    """What forgeline ships of a family for tables of fewer than ten thousand rows."""
    count = getattr(FAMILIES[family], "REFITS", 1)
    return f"{count} fits" if count else "folds"


def report(found: dict[str, tuple[int, dict[str, dict[str, float]]]]) -> None:
    figures: dict[str, Any] = {}
    for low, high in itertools.pairwise(EDGES):
        of = [losses for rows, losses in found.values() if low <= rows < high]
        if not of:
            continue
        print(f"\n{len(of)} sets of {low:,} rows and more; percent of the loss of the mean of fold models")
        for point in of[0]:
            cells = []
            for what in list(of[0][point])[1:]:
                ratio = 100 * np.log([each[point][what] / each[point]["folds"] for each in of])
                error = ratio.std(ddof=1) / len(ratio) ** 0.5 if len(ratio) > 1 else float("nan")
                cells.append(f"{what} {ratio.mean():+.2f} ± {error:.2f} (less on {np.mean(ratio < 0):.2f})")
                figures.setdefault(f"{low}", {}).setdefault(point, {})[what] = round(float(ratio.mean()), 3)
            print(f"  {point:<16}" + "   ".join(cells))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
