"""What each part is worth: the line with one part off at a time, at equal work, judged on sealed test rows.

    python benchmarks/ablation.py --data FOLDER [--work 15] [--sets NAME …] [--variants NAME …]

Each run is a fresh process with the portfolio that was learned without the set's family. A part is taken off by
replacing one function of the program that is measured; nothing in the program knows of it. Printed: for each variant
the mean over sets of log(loss / loss of the whole line), its standard error, the median, and on how many sets it was
worse. It holds where the portfolio's order is better than an order drawn at random.
"""

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from minute import TARGET, drawn, task_of, unseen

SETS = 10
ROWS = (1_000, 40_000)
"""Sets with fewer training rows tell little, with more take long."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--work", type=float, default=15.0)
    options.add_argument("--sets", nargs="*", default=[])
    options.add_argument("--variants", nargs="*", default=list(VARIANTS))
    options.add_argument("--one", nargs=2, metavar=("VARIANT", "SET"), help="for itself: one run, its loss as JSON")
    asked = options.parse_args()
    data = asked.data.resolve()
    if asked.one:
        print(json.dumps(one(asked.one[0], data / asked.one[1], asked.work)))
        return 0
    sets = asked.sets or [name for name in drawn(data) if ROWS[0] <= rows_of(data / name) <= ROWS[1]][:SETS]
    losses: dict[str, dict[str, float]] = {}
    for name in sets:
        for variant in ["whole", *asked.variants]:
            losses.setdefault(variant, {})[name] = run(variant, name, data, asked.work)
        told = "  ".join(f"{each} {losses[each][name]:.5g}" for each in losses)
        print(f"{name:<28}{told}", flush=True)
    report(losses, asked.work)
    return 0


def rows_of(folder: Path) -> int:
    return int(json.loads((folder / "task.json").read_text())["train"])


def run(variant: str, name: str, data: Path, work: float) -> float:
    """Test loss of one run, in a process of its own."""
    command = [sys.executable, __file__, "--data", str(data), "--work", str(work), "--one", variant, name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{variant} on {name}: {done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def one(variant: str, folder: Path, work: float) -> float:
    """The line without a part; log loss or RMSE on the test file."""
    from forgeline import records, runner, session, spec
    from forgeline.engine.store import Store

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        regression = task_of(folder) == "regression"
        asked: dict[str, Any] = {
            "snapshot": {"source": str(folder / "train.csv.gz"), "target": TARGET},
            "split": {"file": str(folder / "test.csv.gz")},
            "plan": {"portfolio": str(unseen(folder.name, place)), "experience": "off"},
            "budget": {"work": work},
            "compress": {"most_loss": 0.0},
            "gates": {"findings.blocking": ">= 0"},
        }
        if regression:
            asked["snapshot"]["types"] = {TARGET: "number"}
        VARIANTS.get(variant, lambda asked: None)(asked)
        run = session.start(
            spec.check(asked), base=place, store=Store(place / "store"), started=session.now(), quiet=True
        )
        found = next(each for each in runner.read_all(run.folder) if isinstance(each, records.Evaluation))
        return float(found.numbers["test.rmse" if regression else "test.log_loss"].value or math.nan)


# ---------------------------------------------------------------- parts taken off


def random_order(seed: int) -> Callable[[dict[str, Any]], None]:
    """The portfolio's points in an order drawn at random."""

    def off(asked: dict[str, Any]) -> None:
        path = Path(asked["plan"]["portfolio"])
        found = json.loads(path.read_text())
        for order in found["orders"]:
            names = list(found["points"])
            random.Random(seed).shuffle(names)
            order["names"] = names[: len(order["names"])]
        path.write_text(json.dumps(found))

    return off


def no_probes(asked: dict[str, Any]) -> None:
    """Every candidate is finished on all folds, in the portfolio's order."""
    from forgeline import contest, units
    from forgeline.engine import controller

    for module in (contest, controller, units):
        module.PROBES = 5


def no_search(asked: dict[str, Any]) -> None:
    """Nothing enters that the portfolio does not name."""
    from forgeline import contest

    contest.Search.__call__ = lambda self, results, **more: []


def no_ensemble(asked: dict[str, Any]) -> None:
    """The best candidate alone."""
    from forgeline.engine import ensemble

    def best(p_MNK: Any, loss: Any, **more: Any) -> Any:
        return np.eye(len(p_MNK))[int(np.argmin([loss(p_NK) for p_NK in p_MNK]))]

    ensemble.greedy_weights = best


def equal_steps(asked: dict[str, Any]) -> None:
    """The greedy ensemble takes 25 steps however few the rows."""
    from forgeline.engine import ensemble

    ensemble.steps_for = lambda rows, **more: 25


def no_calibration(asked: dict[str, Any]) -> None:
    """Probabilities as the ensemble gives them."""
    from forgeline import models
    from forgeline.records import Calibration

    models.calibrate = lambda p_NK, data, rows_N: Calibration(method="none", why="taken off")


def no_refit(asked: dict[str, Any]) -> None:
    """Fold models ship, however many rows there are."""
    from forgeline.stages import train

    train.seeds_for = lambda family, data: 0


def no_means(asked: dict[str, Any]) -> None:
    """Categories without the target's means."""
    from forgeline.engine import encode

    encode.fit_means = lambda *given, **more: None


def no_pairs(asked: dict[str, Any]) -> None:
    """Numbers without their sums, differences, products and ratios."""
    from forgeline.engine import arithmetic

    arithmetic.LEAST_ROWS = 10**12


def without(*families: str) -> Callable[[dict[str, Any]], None]:
    """All families but some."""

    def off(asked: dict[str, Any]) -> None:
        every = ("linear", "lightgbm", "catboost", "extra_trees", "network")
        asked["train"] = {"families": [name for name in every if name not in families]}

    return off


VARIANTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "random order 1": random_order(1),
    "random order 2": random_order(2),
    "no probes": no_probes,
    "no search": no_search,
    "no ensemble": no_ensemble,
    "25 steps": equal_steps,
    "no calibration": no_calibration,
    "no refit": no_refit,
    "no target means": no_means,
    "no pairs": no_pairs,
    "no network": without("network"),
    "no catboost": without("catboost"),
    "no extra_trees": without("extra_trees"),
}
"""Name → what changes the spec, or the program in its own process, before the run."""


# ---------------------------------------------------------------- the report


def report(losses: dict[str, dict[str, float]], work: float) -> None:
    """Relative losses against the whole line."""
    whole = losses["whole"]
    told = f"at {work:g} work units, {len(whole)} sets"
    print(f"\n{'without':<20}{'mean':>10}{'error':>10}{'median':>10}{'worse':>8}   {told}")
    figures = {}
    for variant, found in losses.items():
        if variant == "whole":
            continue
        ratio = np.array([math.log(found[name] / whole[name]) for name in whole])
        error = float(ratio.std(ddof=1) / math.sqrt(len(ratio))) if len(ratio) > 1 else math.nan
        worse = int((ratio > 1e-9).sum())
        print(f"{variant:<20}{ratio.mean():>+10.4f}{error:>10.4f}{np.median(ratio):>+10.4f}{worse:>5} of {len(ratio)}")
        middle = round(float(np.median(ratio)), 5)
        figures[variant] = {"mean": round(float(ratio.mean()), 5), "error": round(error, 5), "median": middle}
        figures[variant] |= {"worse": worse}
    holds = all(figure["mean"] > 0 for variant, figure in figures.items() if variant.startswith("random order"))
    print(json.dumps({"work": work, "sets": list(whole), "figures": figures, "losses": losses, "holds": holds}))


if __name__ == "__main__":
    sys.exit(main())
