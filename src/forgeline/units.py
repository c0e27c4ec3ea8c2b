"""Units of work: one candidate without one fold, fitted in a worker, logged, never done twice.

Shapes: N training rows, F features, K outputs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from forgeline import catalog, kinds, models, records
from forgeline.engine import arrays as tables
from forgeline.engine import encode
from forgeline.engine.controller import PROBES, Key, Listed, Schedule
from forgeline.engine.graph import Graph
from forgeline.engine.seeds import Seed
from forgeline.engine.store import Artefacts
from forgeline.engine.workers import Job, Outcome
from forgeline.models import Data
from forgeline.records import Candidate, Ref, Unit

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

SMALLEST_SHARE = 0.1
"""A unit that goes over its memory is tried with half its rows, down to this share of those it was to have."""
CHECKED_ROWS = 4096
"""Rows on which every graph is compared with its model."""
TOLERANCE = 1e-5
"""Largest difference between a model and its graph: probabilities, or values in standard deviations."""


@dataclass
class Bench:
    """Where units are fitted, and what they are fitted from."""

    refinement: records.Refinement
    candidates: dict[str, Candidate]
    """Everything that may be fitted, by name."""
    data: Data
    work: Workspace
    quantile: float | None = None
    """Regression: the quantile to predict; None: the mean."""
    lost: dict[str, str] = field(default_factory=dict)
    """Unit → why it is not there."""

    seconds: dict[Key, float] = field(default_factory=dict)
    """Seconds that each finished unit took."""
    paces: dict[Key, float] = field(default_factory=dict)
    """Seconds that each finished unit's graph takes for a row."""

    works: dict[Key, float] = field(default_factory=dict)
    """Work units that were counted of each finished unit."""

    @property
    def timed(self) -> bool:
        """Whether the clock decides."""
        return self.work.clock.limit is not None

    @property
    def spent(self) -> float:
        """Work units that were counted so far; the sum is the same in whatever order units came back."""
        return math.fsum(self.works.values())

    def __post_init__(self) -> None:
        """Read what was found and measured before this process began, or in the run that is replayed."""
        for line in [*self.work.replay, *self.work.log.lines]:
            if line["do"] == "searched":
                found = msgspec.convert(line["candidate"], Candidate)
                self.candidates[found.name] = found
        for line in self.work.log.lines:
            if line["do"] == "unit":
                self.measured(line)

    def admit(self, candidate: Candidate) -> None:
        """Let a candidate compete that the plan did not name, and keep it in the work log."""
        if candidate.name not in self.candidates:
            self.candidates[candidate.name] = candidate
            self.work.note("searched", stage="train", candidate=candidate)

    def measured(self, line: dict[str, Any]) -> None:
        """Keep what a line of the work log says of its unit."""
        key = line["unit"]["candidate"], line["unit"]["fold"]
        self.seconds[key] = float(line["seconds"])
        self.paces[key] = float(line["predict_seconds_per_row"])

    def fit(
        self,
        schedule: Schedule[Unit],
        phase: str,
        remaining: Callable[[], float],
        told: Callable[[dict[Key, Unit]], None],
        share: Callable[[], float] | None = None,
    ) -> dict[Key, Unit]:
        """Finished units in the order of the schedule; what the work log has is not done again.

        The schedule sees the finished units, and None of those that were lost. Where `remaining` comes to 0 the rest is
        left; the log's `close` line says what was finished and what was lost, which a replay follows. `told` hears of
        every finished unit; `share` says how much of the budget is gone.
        """
        closed = self.work.decided("close", stage="train", phase=phase)
        if closed:
            schedule = Listed([(name, fold) for name, fold in closed["units"]])
            self.lost |= closed.get("lost", {})
        desk = Desk(self, schedule, finished_units(self.work), told)
        with self.work.progress(phase, len(closed["units"]) if closed else 0, None if closed else share) as bar:
            for outcome in self.work.workers.feed(desk.give, remaining):
                if unit := desk.take(outcome):
                    bar.step(unit.candidate)
        finished = {key: unit for key in desk.named if (unit := desk.results.get(key))}
        if not self.work.log.find("close", stage="train", phase=phase):
            units = [list(key) for key in finished]
            self.work.note("close", stage="train", phase=phase, units=units, lost=self.lost)
        return finished

    def job(self, candidate: Candidate, fold: int, share: float, steps: int | None) -> Job:
        """The call that fits one unit in a worker."""
        facts = self.refinement.facts
        arguments = {
            "artefacts": str(self.work.artefacts.folder),
            "table": {ref.name: ref.digest for ref in facts.table},
            "folds": facts.folds.digest,
            "recipe": facts.recipes[min(fold, facts.fold_count)].digest,
            "candidate": candidate.name,
            "family": candidate.family,
            "setting": candidate.setting,
            "fold": fold,
            "share": share,
            "steps": steps,
            "task": self.data.task,
            "outputs": self.data.outputs,
            "quantile": self.quantile,
            "seed": (self.work.seed.root, self.work.seed.path),
        }
        what = f"all rows {fold - facts.fold_count + 1}" if fold >= facts.fold_count else f"fold {fold + 1}"
        return Job(f"{candidate.name} {what}", "forgeline.units:fit_unit", arguments)


@dataclass
class Desk:
    """Where units are given out and come back to."""

    bench: Bench
    schedule: Schedule[Unit]
    before: dict[Key, Unit]
    """Units that were finished before this process began."""
    told: Callable[[dict[Key, Unit]], None]
    named: list[Key] = field(default_factory=list)
    results: dict[Key, Unit | None] = field(default_factory=dict)
    again: list[Job] = field(default_factory=list)

    def give(self) -> Job | None:
        """The next unit to fit; one that went over its memory comes first, with fewer rows."""
        if self.again:
            return self.again.pop()
        while (key := self.schedule.next(self.named, self.results)) is not None:
            self.named.append(key)
            if key not in self.before:
                patience = self.schedule.patience(key, self.named, self.results) if self.bench.timed else math.inf
                return replace(self.job(*key), seconds=patience)
            self.finish(key, self.before[key])
        return None

    def job(self, name: str, fold: int) -> Job:
        """The job that fits a unit; a replayed one is given the rows it had and, but for probes, the steps."""
        bench = self.bench
        replayed = replayed_unit(name, fold, bench.work)
        candidate = bench.candidates[name]
        share = candidate.share if replayed is None else float(replayed["share"])
        steps = self.steps(name, fold) if replayed is None or fold < PROBES else replayed["steps"]
        return bench.job(candidate, fold, share, steps)

    def steps(self, name: str, fold: int) -> int | None:
        """The mean of the last steps that the probes chose; the probes themselves choose their own."""
        if fold < PROBES:
            return None
        known = self.before | self.results  # the fit on all rows comes in a phase of its own
        found = [known.get((name, probe)) for probe in range(PROBES)]
        steps = [unit.steps for unit in found if unit and unit.steps]
        return max(1, round(sum(steps) / len(steps))) if steps else None

    def take(self, outcome: Outcome) -> Unit | None:
        """The unit that came back, logged; None where it was lost, or is tried again."""
        arguments, work = outcome.job.arguments, self.bench.work
        key = arguments["candidate"], arguments["fold"]
        if outcome.value is not None:
            unit = msgspec.convert(outcome.value["unit"], Unit)
            seconds = round(outcome.seconds, 3)
            self.bench.measured(work.note("unit", stage="train", unit=unit, seconds=seconds, **timing(outcome)))
            self.finish(key, unit)
            return unit
        least = SMALLEST_SHARE * self.bench.candidates[arguments["candidate"]].share
        if outcome.lost == "memory" and arguments["share"] / 2 >= least:
            smaller = arguments | {"share": arguments["share"] / 2}
            self.again.append(Job(outcome.job.name, outcome.job.call, smaller))
        else:
            self.bench.lost[outcome.job.name] = outcome.lost
            self.results[key] = None
        return None

    def finish(self, key: Key, unit: Unit) -> None:
        """Tell everyone."""
        self.results[key] = unit
        self.bench.works[key] = unit.work
        self.told({key: unit for key, unit in self.results.items() if unit})


def finished_units(work: Workspace) -> dict[tuple[str, int], Unit]:
    """Units of this run's work log whose files are whole."""
    lines = [line for line in work.log.lines if line["do"] == "unit"]
    units = [msgspec.convert(line["unit"], Unit) for line in lines]
    return {
        (unit.candidate, unit.fold): unit
        for unit in units
        if work.artefacts.holds(unit.model.digest) and work.artefacts.holds(unit.predictions.digest)
    }


def timing(outcome: Outcome) -> dict[str, Any]:
    """What a unit measured on its way; never decides anything but when to stop."""
    return {
        "peak_bytes": outcome.peak_bytes,
        "predict_seconds_per_row": outcome.value["predict_seconds_per_row"],
    }


def replayed_unit(candidate: str, fold: int, work: Workspace) -> dict[str, Any] | None:
    """The unit of that name in the log that is replayed."""
    lines = [line["unit"] for line in work.replay if line["do"] == "unit"]
    found = [each for each in lines if each["candidate"] == candidate and each["fold"] == fold]
    return found[-1] if found else None


def fit_unit(
    *,
    artefacts: str,
    table: dict[str, str],
    folds: str,
    recipe: str,
    candidate: str,
    family: str,
    setting: dict[str, Any],
    fold: int,
    share: float,
    steps: int | None,
    task: kinds.Task,
    outputs: int,
    quantile: float | None,
    seed: tuple[int, tuple[str | int, ...]],
) -> dict[str, Any]:
    """In a worker: fit one candidate without one fold, predict that fold, check the graph, store both.

    Where no row is of the fold, all are trained on, and the graph is checked on some of them.
    """
    store = Artefacts(Path(artefacts))
    files = {name: store.folder / digest for name, digest in table.items()}
    rows = tables.load(files)
    y_N = np.load(files["target.npy"])
    weight_N = np.load(files["weight.npy"]) if "weight.npy" in files else None
    fold_N = np.load(store.folder / folds)
    fitted_recipe = encode.decode(store.get(recipe))
    train_N, held_N = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
    own = Seed(*seed).child("train", candidate, fold)
    if share < 1:
        train_N = np.sort(own.child("share").generator().choice(train_N, int(share * len(train_N)), replace=False))
    y_train, present, center, scale = standardised(y_N[train_N], task)
    target_NY = encode.target_columns(y_N[train_N], outputs) if fitted_recipe.means else None
    x_train = encode.transform(fitted_recipe, rows, train_N, target_NY)
    narrow = task_of(task, present)
    shape = kinds.Shape(len(train_N), x_train.shape[1], narrow, len(present) or 1, fitted_recipe.flags, quantile)
    probe_N = held_N if len(held_N) else train_N[:CHECKED_ROWS]
    x_probe = encode.transform(fitted_recipe, rows, probe_N)
    held = None
    if steps is None and len(held_N):
        judged_N = np.isin(y_N[held_N], present) if present else np.ones(len(held_N), bool)
        y_held = np.searchsorted(present, y_N[held_N]) if present else (y_N[held_N] - center) / scale
        some = None if weight_N is None else weight_N[held_N][judged_N]
        held = kinds.TrainRows(x_probe[judged_N], y_held[judged_N], some, shape) if judged_N.any() else None
    train_weight = None if weight_N is None else weight_N[train_N]
    given = kinds.TrainRows(x_train, y_train, train_weight, shape, held, steps)
    module = catalog.load("families", family)
    fitted = module.build(shape, setting, own).fit(given)
    del x_train, given
    scores_NK = spread_array(np.asarray(fitted.predict(x_probe), dtype=np.float64), present, outputs, task)
    graph = Graph()
    scores = fitted.graph(graph, graph.input("x", "float", x_probe.shape[1]))
    graph.output(spread(graph, scores, present, outputs, task), "scores", "float", outputs)
    model = graph.model()
    pace = check_graph(model, x_probe, scores_NK)
    scores_NK = (scores_NK * scale + center if task == "regression" else scores_NK)[: len(held_N)]
    data = tables.npy(scores_NK)
    unit = Unit(
        candidate=candidate,
        fold=fold,
        model=Ref(digest=store.put(model), size_bytes=len(model), name="fragment.onnx"),
        predictions=Ref(digest=store.put(data), size_bytes=len(data), name="predictions.npy"),
        share=share,
        center=center,
        scale=scale,
        steps=getattr(fitted, "steps", None),
        work=float(module.cost(shape, setting).work * getattr(fitted, "done", 1.0)),
    )
    return {"unit": msgspec.to_builtins(unit), "predict_seconds_per_row": pace}


def standardised(y_N: np.ndarray, task: str) -> tuple[np.ndarray, list[int], float, float]:
    """(targets as the family sees them, classes that are present, center, scale)."""
    if task == "regression":
        center, scale = float(y_N.mean()), float(y_N.std()) or 1.0
        return (y_N - center) / scale, [], center, scale
    present, codes_N = np.unique(y_N, return_inverse=True)
    return codes_N.astype(np.int64), [int(each) for each in present], 0.0, 1.0


def task_of(task: kinds.Task, present: list[int]) -> kinds.Task:
    """A fold may have fewer classes than the table: two of them make a binary task."""
    return "binary" if task != "regression" and len(present) == 2 else task


def spread(graph: Graph, scores: str, present: list[int], outputs: int, task: str) -> str:
    """Scores with a zero column for each class that this fold's training rows lacked."""
    if task == "regression" or len(present) == outputs:
        return scores
    zero = graph.add("Mul", graph.add("Gather", scores, graph.constant([0], np.int64), axis=1), graph.constant([[0.0]]))
    places = [present.index(each) if each in present else len(present) for each in range(outputs)]
    both = graph.add("Concat", scores, zero, axis=1)
    return graph.add("Gather", both, graph.constant(places, np.int64), axis=1)


def spread_array(scores_NK: np.ndarray, present: list[int], outputs: int, task: str) -> np.ndarray:
    """Twin of `spread`."""
    if task == "regression" or len(present) == outputs:
        return scores_NK
    wide_NK = np.zeros((len(scores_NK), outputs))
    wide_NK[:, present] = scores_NK
    return wide_NK


def check_graph(model: bytes, x_NF: np.ndarray, scores_NK: np.ndarray, *, most_rows: int = CHECKED_ROWS) -> float:
    """Compare the graph with the model on held-out rows; the graph's seconds a row. Errors: ArithmeticError."""
    x_NF, scores_NK = x_NF[:most_rows], scores_NK[:most_rows]
    if not len(x_NF):
        return 0.0
    session = models.open_session(model)
    given = x_NF if len(x_NF) > 1 else np.repeat(x_NF, 2, axis=0)
    began = time.perf_counter()
    answers = session.run(None, {"x": given})[0][: len(x_NF)]
    seconds = time.perf_counter() - began
    worst = float(np.abs(answers - scores_NK).max())
    if not worst <= TOLERANCE:
        raise ArithmeticError(f"the graph differs from the model by {worst:.2e}")
    return seconds / len(x_NF)
