"""Learns the portfolio: which settings to try, in which order, from what they gave on many tables.

    python benchmarks/portfolio.py collect --data FOLDER --cache CACHE [--sets NAME …] [--points NAME …]
    python benchmarks/portfolio.py learn --cache CACHE [-o src/forgeline/portfolio.json]

`collect` fits every point of POINTS on the first two of five folds of every set, through forgeline's own stages and
workers, and keeps out-of-fold and test predictions, counted work and steps outside the repository. `learn` orders the
points by greedy gain of the ensemble's score for the work they take, for tables of several sizes. It also learns the
orders without each fifth of the families of sets (results/portfolio_left_out.json, which benchmarks/minute.py uses),
and prints how these do on the families that they have not seen, beside random orders of the same points.
"""

import argparse
import hashlib
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from minute import TARGET, family, task_of

from forgeline import models, records, runner, session, spec, units
from forgeline.engine import arrays as tables
from forgeline.engine import encode
from forgeline.engine.controller import Listed
from forgeline.engine.ensemble import steps_for
from forgeline.engine.store import Store, WorkLog
from forgeline.parts.families import catboost, extra_trees, kernel, lightgbm, linear, network
from forgeline.records import Candidate

FAMILIES = {
    module.__name__.rpartition(".")[2]: module for module in (catboost, extra_trees, kernel, lightgbm, linear, network)
}


def boosting(
    rate: float, leaves: int, columns: float, rows: float, least: int, penalty: float, extra: bool = False
) -> dict[str, Any]:
    """LightGBM until held-out rows have enough."""
    shape = {"leaves": leaves, "columns": columns, "rows": rows, "least": least, "penalty": penalty, "extra": extra}
    return {"family": "lightgbm", "setting": {"trees": 4000 if rate < 0.05 else 2000, "rate": rate} | shape}


def of(family: str, **setting: Any) -> dict[str, Any]:
    """A family's default but for what is said."""
    return {"family": family, "setting": setting}


POINTS: dict[str, dict[str, Any]] = {
    "linear-1": of("linear"),
    "lightgbm-1": boosting(0.1, 31, 1.0, 1.0, 20, 0.0),
    "lightgbm-2": boosting(0.05, 31, 0.6, 0.8, 10, 1.0),
    "lightgbm-3": boosting(0.05, 31, 0.9, 1.0, 10, 1.0, extra=True),
    "lightgbm-4": boosting(0.03, 63, 0.5, 0.8, 20, 1.0),
    "lightgbm-5": boosting(0.1, 2, 0.5, 0.8, 5, 0.0),
    "lightgbm-6": boosting(0.05, 127, 0.3, 0.8, 5, 1.0),
    "lightgbm-7": boosting(0.05, 63, 0.2, 0.8, 3, 1.0),
    "catboost-1": of("catboost", trees=1500, rate=0.08, depth=6),
    "catboost-2": of("catboost", trees=1500, rate=0.05, depth=8),
    "catboost-3": of("catboost", trees=2000, rate=0.1, depth=4),
    "catboost-4": of("catboost", trees=3000, rate=0.03, depth=6),
    "catboost-5": of("catboost", trees=600, rate=0.2, depth=6),
    "extra_trees-1": of("extra_trees"),
    "extra_trees-2": of("extra_trees", columns=0.5),
    "extra_trees-3": of("extra_trees", least=1),
    "extra_trees-4": of("extra_trees", columns=1.0),
    "kernel-1": of("kernel", reach=0.5, penalty=0.03),
    "kernel-2": of("kernel", reach=2.0, penalty=0.03),
    "kernel-3": of("kernel", reach=0.1, penalty=0.01),
    "kernel-4": of("kernel", reach=0.5, penalty=0.3),
    "network-1": of("network"),
    "network-2": of("network", bins=2, width=128, dropout=0.3),
    "network-3": of("network", layers=1, width=128),
    "network-4": of("network", layers=1, width=320, bins=16),
    "network-5": of("network", width=128, bins=48),
    "network-6": of("network", layers=3, width=256),
    "network-7": of("network", width=192, bins=8, dropout=0.05, epochs=80),
}
"""What is tried."""
DEAREST = 100.0
"""Points of which one fold is predicted to take more work units than this are left out for a set."""
PROBED = 2
PARTS = 5
SHIPPED = Path(__file__).parent.parent / "src" / "forgeline" / "portfolio.json"
LEFT_OUT = Path(__file__).parent / "results" / "portfolio_left_out.json"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("verb", choices=["collect", "learn"])
    options.add_argument("--data", type=Path)
    options.add_argument("--cache", type=Path, required=True)
    options.add_argument("--sets", nargs="*", default=[])
    options.add_argument("--points", nargs="*", default=[])
    options.add_argument("-o", "--out", type=Path)
    asked = options.parse_args()
    if asked.verb == "learn":
        sets = [Table.load(path) for path in sorted(asked.cache.glob("*")) if (path / "test" / "y.npy").exists()]
        values = {each.name: Values(each) for each in sets}
        write(
            asked.out or SHIPPED,
            learned(sets, values, f"Learned on {len(sets)} public tables by benchmarks/portfolio.py."),
        )
        with ProcessPoolExecutor() as pool:
            parts = list(pool.map(without, [sets] * PARTS, range(PARTS)))
        left_out = {family(each.name): parts[part_of(family(each.name))] for each in sets}
        write(LEFT_OUT, left_out)
        report(sets, values, left_out)
    if asked.verb == "collect":
        names = asked.sets or sorted(path.parent.name for path in asked.data.glob("*/task.json"))
        for name in sorted(names, key=lambda name: (asked.data / name / "train.csv.gz").stat().st_size):
            began = time.perf_counter()
            found = collect(asked.data / name, asked.cache, asked.points or list(POINTS))
            print(f"{name:<28}{found:>5} units {time.perf_counter() - began:>8.1f} s", flush=True)


# ---------------------------------------------------------------- collecting


def collect(folder: Path, cache: Path, points: list[str]) -> int:
    """Fit what is not there yet; how many units there are."""
    store = Store(cache / folder.name)
    run = opened(folder, store)
    work = session.workspace(
        run.folder, run.ask, store, WorkLog(run.folder / "work.log"), session.now(), quiet=True, replay=None
    )
    snapshot, refinement = (one(run, kind) for kind in (records.Snapshot, records.Refinement))
    shape = models.shape_of(snapshot, refinement)
    candidates = {name: candidate(name, shape) for name in points}
    points = [name for name in points if candidates[name].cost.work <= DEAREST]
    bench = units.Bench(refinement, candidates, models.data_of(snapshot, refinement, work), work)
    order = [(name, fold) for name in points for fold in range(PROBED)]
    work.log.lines[:] = [line for line in work.log.lines if line["do"] != "close"]
    work.log.path.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in work.log.lines))
    done = bench.fit(Listed(order), "train", lambda: float("inf"), lambda units: None)
    for lost, why in bench.lost.items():
        print(f"  lost: {folder.name} {lost}: {why}", flush=True)
    answer(done, snapshot, refinement, work, cache / folder.name)
    return len(done)


def opened(folder: Path, store: Store) -> session.Run:
    """The set's run up to its plan."""
    if store.run_ids():
        return session.Run(store.runs / store.run_ids()[-1])
    asked = {
        "snapshot": {"source": str(folder / "train.csv.gz"), "target": TARGET},
        "split": {"file": str(folder / "test.csv.gz")},
        "budget": {"memory": "16GB"},
        "gates": {"findings.blocking": ">= 0"},  # rows that both files hold are no matter here
    }
    if task_of(folder) == "regression":
        asked["snapshot"]["types"] = {TARGET: "number"}
    return session.start(
        spec.check(asked), base=Path.cwd(), store=store, until="refine", started=session.now(), quiet=True
    )


def one(run: session.Run, kind: type) -> Any:
    return next(record for record in runner.read_all(run.folder) if isinstance(record, kind))


def candidate(name: str, shape: Any) -> Candidate:
    point = POINTS[name]
    module = FAMILIES[point["family"]]
    setting = module.space(shape).points[0] | point["setting"]
    cost = module.cost(shape, setting)
    return Candidate(name=name, family=point["family"], setting=setting, cost=cost, fits=True, why="")


def answer(done: dict, snapshot: Any, refinement: Any, work: Any, place: Path) -> None:
    """Keep what every unit says of the test rows, through its graph on encoded rows."""
    facts = refinement.facts
    frame = work.frame(snapshot.facts.test_digest)
    frame = frame.filter(frame[snapshot.facts.target].is_not_null())
    rows = tables.from_frame(frame, [(each.name, each.kind) for each in facts.inputs])
    y_N = models.target_of(frame, snapshot)
    everyone, encoded = np.arange(len(y_N)), {}
    for (name, fold), unit in done.items():
        path = place / "test" / f"{name}.{fold}.npy"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if fold not in encoded:
            encoded[fold] = encode.transform(encode.decode(work.get(facts.recipes[fold])), rows, everyone)
        p_NK = models.open_session(work.get(unit.model)).run(None, {"x": encoded[fold]})[0]
        np.save(path, p_NK * unit.scale + unit.center if not facts.classes else p_NK)
    np.save(place / "test" / "y.npy", y_N)


# ---------------------------------------------------------------- learning


@dataclass
class Table:
    """What was collected of one set: for each point what it says of each row's truth, and what it took.

    For classes the probability of the true class, for numbers the value, in standard units.
    """

    name: str
    task: str
    rows: int
    names: list[str]
    held_MN: np.ndarray
    test_MN: np.ndarray
    y_held_N: np.ndarray
    y_test_N: np.ndarray
    work_M: np.ndarray
    done_M: np.ndarray
    """Share of the predicted work that was done."""

    @classmethod
    def load(cls, place: Path, *, most: int = 2000) -> "Table":
        run = session.Run(next((place / "runs").glob("*")))
        snapshot, refinement = (one(run, kind) for kind in (records.Snapshot, records.Refinement))
        files = {ref.name: ref.digest for ref in refinement.facts.table} | {"folds.npy": refinement.facts.folds.digest}
        y_N, fold_N = (np.load(run.folder / "artefacts" / files[name]) for name in ("target.npy", "folds.npy"))
        shape = models.shape_of(snapshot, refinement)
        found: dict[str, dict[int, Any]] = {}
        for line in WorkLog(run.folder / "work.log").lines:
            if line["do"] == "unit":
                found.setdefault(line["unit"]["candidate"], {})[line["unit"]["fold"]] = line["unit"]
        names = [name for name in POINTS if {0, 1} <= found.get(name, {}).keys()]
        y_test_N = np.load(place / "test" / "y.npy")
        rows = [np.flatnonzero(fold_N == fold) for fold in range(PROBED)]
        some = [each[np.linspace(0, len(each) - 1, min(len(each), most // PROBED)).astype(int)] for each in rows]
        places = [np.searchsorted(each, few) for each, few in zip(rows, some)]
        truth = Truth.of(str(snapshot.facts.task), y_N)

        def held(name: str) -> np.ndarray:
            units = [found[name][fold] for fold in range(PROBED)]
            parts = [
                np.load(run.folder / "artefacts" / unit["predictions"]["digest"])[at] for unit, at in zip(units, places)
            ]
            return truth.told(np.concatenate(parts), y_N[np.concatenate(some)])

        def test(name: str) -> np.ndarray:
            parts = [np.load(place / "test" / f"{name}.{fold}.npy") for fold in range(PROBED)]
            return truth.told(np.mean(parts, axis=0), y_test_N)

        work = {name: np.mean([found[name][fold]["work"] for fold in range(PROBED)]) for name in names}
        return cls(
            name=place.name,
            task="values" if snapshot.facts.task == "regression" else "classes",
            rows=shape.rows,
            names=names,
            held_MN=np.stack([held(name) for name in names]).astype(np.float32),
            test_MN=np.stack([test(name) for name in names]).astype(np.float32)[:, :4000],
            y_held_N=truth.scaled(y_N[np.concatenate(some)]),
            y_test_N=truth.scaled(y_test_N)[:4000],
            work_M=np.array([work[name] for name in names]),
            done_M=np.array([work[name] / candidate(name, shape).cost.work for name in names]),
        )

    def loss(self, p_N: np.ndarray, y_N: np.ndarray) -> float:
        """Log loss, or RMSE in standard units."""
        if self.task == "classes":
            return float(-np.log(np.clip(p_N, 1e-15, 1)).mean())
        return float(np.sqrt(np.mean((p_N - y_N) ** 2)))

    def ensemble(self, chosen: list[int]) -> float:
        """Test loss of the greedy ensemble of some points, weighed on held-out rows, as `greedy_weights` does."""
        p_MN, steps = self.held_MN[chosen], steps_for(len(self.y_held_N))
        total_N, picks, reached = np.zeros(p_MN.shape[1]), [], []
        for step in range(1, steps + 1):
            losses_M = self.losses((total_N + p_MN) / step)
            picks.append(int(losses_M.argmin()))
            reached.append(float(losses_M.min()))
            total_N = total_N + p_MN[picks[-1]]
        enough = next(place for place, each in enumerate(reached, 1) if each <= min(reached) * (1 + 1e-6))
        weights_M = np.bincount(picks[:enough], minlength=len(chosen)) / enough
        return self.loss(weights_M @ self.test_MN[chosen], self.y_test_N)

    def losses(self, p_MN: np.ndarray) -> np.ndarray:
        """What `loss` says of each row of predictions, on the held-out rows."""
        if self.task == "classes":
            return np.asarray(-np.log(np.clip(p_MN, 1e-15, 1)).mean(axis=1))
        return np.asarray(np.sqrt(np.mean((p_MN - self.y_held_N) ** 2, axis=1)))


@dataclass(frozen=True)
class Truth:
    """Predictions as what they say of the truth."""

    classes: bool
    middle: float
    spread: float

    @classmethod
    def of(cls, task: str, y_N: np.ndarray) -> "Truth":
        values = task == "regression"
        return cls(not values, float(y_N.mean()) if values else 0.0, float(y_N.std()) if values else 1.0)

    def scaled(self, y_N: np.ndarray) -> np.ndarray:
        return (y_N - self.middle) / self.spread

    def told(self, p_NK: np.ndarray, y_N: np.ndarray) -> np.ndarray:
        return p_NK[np.arange(len(y_N)), y_N] if self.classes else self.scaled(p_NK[:, 0])


CENTRES = {1_500: 600, 6_000: 3_000, None: 14_000}
"""Rows up to which an order serves, and the rows it is learned around."""
OTHER_TASK = 0.25
"""What a table of the other kind of task counts."""
WORST = 2.0
"""What no point at all is worth, and what none can be worse than: see `Values`."""
LEAST_WEIGHT = 0.05
"""Tables that count less are not looked at."""
OVERHEAD = 0.4
"""Work units that a probe costs beside its fit: a process, reading, encoding, drawing the graph."""
MOST = 16
"""Points of one order."""


def part_of(group: str) -> int:
    """Families are left out in PARTS parts, by the hash of their names."""
    return int(hashlib.sha256(group.encode()).hexdigest(), 16) % PARTS


def without(sets: list[Table], part: int) -> list[dict[str, Any]]:
    """The orders that the families of the other parts give."""
    kept = [each for each in sets if part_of(family(each.name)) != part]
    orders: list[dict[str, Any]] = learned(kept, {each.name: Values(each) for each in kept}, "")["orders"]
    return orders


def write(path: Path, found: Any) -> None:
    """A readable JSON file."""
    path.write_text(json.dumps(found, indent=1) + "\n")


def learned(sets: list[Table], values: dict[str, "Values"], about: str) -> dict[str, Any]:
    """The portfolio: an order for each kind of task and size."""
    orders = [
        {"task": task, "most_rows": most, "names": order(sets, values, task, centre), "rows": centre}
        for task in ("classes", "values")
        for most, centre in CENTRES.items()
    ]
    points = {name: point | {"done": done(sets, name)} for name, point in POINTS.items()}
    return {"about": about, "points": points, "orders": orders}


def done(sets: list[Table], name: str) -> float:
    """Share of a point's predicted work that it took, the median over tables."""
    shares = [float(each.done_M[each.names.index(name)]) for each in sets if name in each.names]
    return round(min(1.0, float(np.median(shares))), 3)


class Values:
    """What sets of points are worth on one table: 0 as good as all points together, 1 as LightGBM's defaults alone."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.known: dict[tuple[int, ...], float] = {}
        self.best = table.ensemble(list(range(len(table.names))))
        plain = table.ensemble([table.names.index("lightgbm-1")]) if "lightgbm-1" in table.names else 2 * self.best
        self.scale = max(plain - self.best, 0.0) + 0.02 * abs(self.best)

    def of(self, names: list[str]) -> float:
        chosen = tuple(sorted(self.table.names.index(name) for name in names if name in self.table.names))
        if not chosen:
            return WORST
        if chosen not in self.known:
            self.known[chosen] = min(WORST, (self.table.ensemble(list(chosen)) - self.best) / self.scale)
        return self.known[chosen]


def order(sets: list[Table], values: dict[str, Values], task: str, centre: int) -> list[str]:
    """Points by greedy gain for their work: tables count by how near they are in size and in the kind of task."""
    weight = {each.name: nearness(each, task, centre) for each in sets}
    sets = [each for each in sets if weight[each.name] >= LEAST_WEIGHT]
    weight = {each.name: weight[each.name] for each in sets}
    chosen: list[str] = []
    while len(chosen) < MOST:
        best, best_rate = "", 0.0
        for name in (each for each in POINTS if each not in chosen):
            able = [each for each in sets if name in each.names]
            total = sum(weight[each.name] for each in able)
            if total < 0.5 * sum(weight.values()):
                continue
            gains = [values[each.name].of(chosen) - values[each.name].of([*chosen, name]) for each in able]
            gain = sum(weight[each.name] * got for each, got in zip(able, gains)) / total
            work = sum(weight[each.name] * float(each.work_M[each.names.index(name)]) for each in able) / total
            rate = gain / (OVERHEAD + work)
            if rate > best_rate:
                best, best_rate = name, rate
        if not best:
            break
        chosen.append(best)
    return chosen


def nearness(table: Table, task: str, centre: int) -> float:
    """What a table counts: a bell over the logarithm of its rows, less for the other kind of task."""
    away = np.log2(table.rows / centre)
    return float(np.exp(-0.5 * (away / 1.5) ** 2)) * (1.0 if table.task == task else OTHER_TASK)


# ---------------------------------------------------------------- judging what was learned


def report(sets: list[Table], values: dict[str, Values], left_out: dict[str, Any]) -> None:
    """What is reached on sets the order has not seen, for shares of all its points' work, beside random orders."""
    draw = np.random.default_rng(0)
    heads = "".join(f"{share:>8.0%}" for share in SHARES)
    print(f"{'value (1: LightGBM alone, 0: all points)':<42}{'learned' + heads:>40}   {'random' + heads:>40}")
    rows = []
    for table in sets:
        most = next(most for most in CENTRES if most is None or table.rows <= most)
        orders = left_out[family(table.name)]
        names = next(each["names"] for each in orders if each["task"] == table.task and each["most_rows"] == most)
        shuffled = [draw.permutation(names).tolist() for _ in range(5)]
        total = sum(float(table.work_M[table.names.index(name)]) for name in names if name in table.names)
        own = [spent(table, values[table.name], names, share * total) for share in SHARES]
        other = [[spent(table, values[table.name], each, share * total) for share in SHARES] for each in shuffled]
        rows.append([*own, *np.mean(other, axis=0)])
        print(f"{table.name:<42}" + "".join(f"{value:>8.3f}" for value in rows[-1]), flush=True)
    mean = np.mean(rows, axis=0)
    print(f"{'mean':<42}" + "".join(f"{value:>8.3f}" for value in mean))
    ours, random = np.split(mean, 2)
    holds = bool((ours <= random).all())
    print(json.dumps({"shares": SHARES, "learned": ours.tolist(), "random": random.tolist(), "holds": holds}))


SHARES = (0.1, 0.25, 0.5, 0.75)


def spent(table: Table, values: Values, names: list[str], work: float) -> float:
    """Value of the points that so much work pays for, in order; a point that is too dear is passed over."""
    bought = []
    for name in (each for each in names if each in table.names):
        price = float(table.work_M[table.names.index(name)])
        if price <= work:
            work -= price
            bought.append(name)
    return values.of(bought)


if __name__ == "__main__":
    main()
