"""train: candidates on folds in killable workers, out-of-fold predictions, a greedy weighted mean, calibration."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from forgeline import catalog, kinds, models, records, spec
from forgeline.engine import arrays as tables
from forgeline.engine import encode, ensemble, stats
from forgeline.engine.graph import Graph
from forgeline.engine.seeds import Seed
from forgeline.engine.store import Artefacts
from forgeline.engine.workers import Job, Outcome
from forgeline.errors import BudgetSpent, Stop
from forgeline.models import Data
from forgeline.records import Calibration, Candidate, Member, Number, Ref, Table, Unit

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

SMALLEST_SHARE = 0.1
"""A unit that goes over its memory is tried with half its rows, down to this share of them."""
TOLERANCE = 1e-5
"""Largest difference between a model and its graph: probabilities, or values in standard deviations."""


def train(
    budget: spec.Budget,
    snapshot: records.Snapshot,
    refinement: records.Refinement,
    plan: records.Plan,
    work: Workspace,
) -> records.Training:
    """The best ensemble the budget allows. Errors: BudgetSpent when no candidate finished all its folds."""
    data = models.data_of(snapshot, refinement, work)
    units, lost = fit_units(snapshot, refinement, plan, data, work)
    tried = scored(complete(units, plan, refinement.facts.fold_count), plan, data, work)
    if not tried:
        raise nothing_finished(lost, plan, budget)
    weights = choose(tried, catalog.load("metrics", plan.facts.metric), data, work)
    members = [msgspec.structs.replace(each, weight=float(weight)) for each, weight in zip(tried, weights)]
    chosen = [member for member in members if member.weight > 0]
    p_NK = models.mean([models.out_of_fold(member, data, work) for member in chosen], chosen)
    picked = models.sample(len(p_NK))
    calibration = models.calibrate(p_NK[picked], data, picked)
    p_NK = models.calibrated(p_NK, calibration)
    return record(chosen, members, calibration, p_NK, lost, plan, data, work)


# ---------------------------------------------------------------- units


def fit_units(
    snapshot: records.Snapshot, refinement: records.Refinement, plan: records.Plan, data: Data, work: Workspace
) -> tuple[dict[tuple[str, int], Unit], dict[str, str]]:
    """Finished units by (candidate, fold), and why the others were lost; what the work log has is not redone.

    The work order is candidate after candidate. Under a work budget all of it is done; under a time budget as
    much as the clock allows, and the log's `close` line says how much that was, which a replay follows.
    """
    order = [
        (each.name, fold)
        for each in plan.facts.candidates
        if each.fits
        for fold in range(refinement.facts.fold_count)
    ]
    closed = work.decided("close", stage="train")
    if closed:
        order = [(name, fold) for name, fold in closed["units"]]
    done = finished_units(work)
    missing = [key for key in order if key not in done]
    lost: dict[str, str] = {}
    with work.progress("train", len(order)) as bar:
        bar.done = len(order) - len(missing)
        reserve = Reserve(snapshot, plan, data, work)
        for key, unit in run_units(missing, reserve, refinement, plan, data, lost, work):
            done[key] = unit
            bar.step(key[0])
            reserve.update(done, refinement.facts.fold_count)
    finished = {key: done[key] for key in order if key in done}
    if not work.log.find("close", stage="train"):
        work.note("close", stage="train", units=[list(key) for key in finished])
    return finished, lost


def finished_units(work: Workspace) -> dict[tuple[str, int], Unit]:
    """Units of this run's work log whose files are whole."""
    lines = [line for line in work.log.lines if line["do"] == "unit"]
    units = [msgspec.convert(line["unit"], Unit) for line in lines]
    return {
        (unit.candidate, unit.fold): unit
        for unit in units
        if work.artefacts.holds(unit.model.digest) and work.artefacts.holds(unit.predictions.digest)
    }


def run_units(
    order: Sequence[tuple[str, int]],
    reserve: Reserve,
    refinement: records.Refinement,
    plan: records.Plan,
    data: Data,
    lost: dict[str, str],
    work: Workspace,
) -> Iterator[tuple[tuple[str, int], Unit]]:
    """Fit units in workers and log each; those over their memory are tried again with fewer rows."""
    settings = {each.name: each for each in plan.facts.candidates}
    jobs = [
        job(settings[name], fold, share_of(name, fold, work), refinement, data, work) for name, fold in order
    ]
    while jobs:
        again = []
        for outcome in work.workers.run(jobs, lambda: work.clock.remaining - reserve.seconds()):
            arguments = outcome.job.arguments
            key = (arguments["candidate"], arguments["fold"])
            if outcome.value is not None:
                unit = msgspec.convert(outcome.value["unit"], Unit)
                work.note(
                    "unit", stage="train", unit=unit, seconds=round(outcome.seconds, 3), **timing(outcome)
                )
                yield key, unit
            elif outcome.lost == "memory" and arguments["share"] / 2 >= SMALLEST_SHARE:
                again.append(
                    Job(outcome.job.name, outcome.job.call, arguments | {"share": arguments["share"] / 2})
                )
            else:
                lost[outcome.job.name] = outcome.lost
        jobs = again


def timing(outcome: Outcome) -> dict[str, Any]:
    """What a unit measured on its way; never decides anything but when to stop."""
    return {
        "peak_bytes": outcome.peak_bytes,
        "predict_seconds_per_row": outcome.value["predict_seconds_per_row"],
    }


def share_of(candidate: str, fold: int, work: Workspace) -> float:
    """The share of rows that a replayed run had to make do with; else all."""
    lines = [line["unit"] for line in work.replay if line["do"] == "unit"]
    found = [each["share"] for each in lines if each["candidate"] == candidate and each["fold"] == fold]
    return float(found[-1]) if found else 1.0


class Reserve:
    """Seconds to keep for what comes after training; nothing without a time limit.

    The later stages choose an ensemble and ask it about every test row, with and without compression, and about
    some training rows. So the ensemble of the candidates finished so far is chosen each time one more is.
    """

    def __init__(self, snapshot: records.Snapshot, plan: records.Plan, data: Data, work: Workspace) -> None:
        self.plan, self.data, self.work = plan, data, work
        facts = snapshot.facts
        test_rows = facts.test_rows or facts.rows - facts.left_out - len(data.y_N)
        self.rows = (2 * test_rows + 5_000) / work.workers.count + (test_rows if work.predict else 0)
        """Rows that one core is to be asked about."""
        self.complete = 0
        self.pace = 0.0
        """Seconds a row that the ensemble takes, on one core."""

    def seconds(self, *, fixed: float = 2.5, safety: float = 1.5) -> float:
        """At most four tenths of the limit."""
        if self.work.clock.limit is None:
            return 0.0
        selection = 4e-6 * min(len(self.data.y_N), models.SELECTION_ROWS) * self.data.outputs
        asked = self.rows * self.pace
        return min(fixed + selection + safety * asked, 0.4 * self.work.clock.limit)

    def update(self, done: dict[tuple[str, int], Unit], folds: int) -> None:
        """Choose again when one more candidate is complete."""
        members = complete(done, self.plan, folds)
        if self.work.clock.limit is None or len(members) == self.complete:
            return
        self.complete = len(members)
        weights = choose(
            members, catalog.load("metrics", self.plan.facts.metric), self.data, self.work, most=5_000
        )
        chosen = {member.candidate for member, weight in zip(members, weights) if weight > 0}
        lines = [line for line in self.work.log.lines if line["do"] == "unit"]
        self.pace = sum(
            float(line["predict_seconds_per_row"]) for line in lines if line["unit"]["candidate"] in chosen
        )


def job(
    candidate: Candidate, fold: int, share: float, refinement: records.Refinement, data: Data, work: Workspace
) -> Job:
    """The call that fits one unit in a worker."""
    facts = refinement.facts
    arguments = {
        "artefacts": str(work.artefacts.folder),
        "table": {ref.name: ref.digest for ref in facts.table},
        "folds": facts.folds.digest,
        "recipe": facts.recipes[fold].digest,
        "candidate": candidate.name,
        "family": candidate.family,
        "setting": candidate.setting,
        "fold": fold,
        "share": share,
        "task": data.task,
        "outputs": data.outputs,
        "seed": (work.seed.root, work.seed.path),
    }
    return Job(f"{candidate.name} fold {fold + 1}", "forgeline.stages.train:fit_unit", arguments)


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
    task: kinds.Task,
    outputs: int,
    seed: tuple[int, tuple[str | int, ...]],
) -> dict[str, Any]:
    """In a worker: fit one candidate without one fold, predict that fold, check the graph, store both."""
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
        train_N = np.sort(
            own.child("share").generator().choice(train_N, int(share * len(train_N)), replace=False)
        )
    y_train, present, center, scale = standardised(y_N[train_N], task)
    x_train = encode.transform(fitted_recipe, rows, train_N)
    shape = kinds.Shape(len(train_N), x_train.shape[1], task_of(task, present), len(present) or 1)
    given = kinds.TrainRows(x_train, y_train, None if weight_N is None else weight_N[train_N], shape)
    fitted = catalog.load("families", family).build(shape, setting, own).fit(given)
    del x_train, given
    x_held = encode.transform(fitted_recipe, rows, held_N)
    scores_NK = np.asarray(fitted.predict(x_held), dtype=np.float64)
    graph = Graph()
    scores = fitted.graph(graph, graph.input("x", "float", x_held.shape[1]))
    graph.output(spread(graph, scores, present, outputs, task), "scores", "float", outputs)
    model = graph.model()
    scores_NK = spread_array(scores_NK, present, outputs, task)
    pace = check_graph(model, x_held, scores_NK)
    if task == "regression":
        scores_NK = scores_NK * scale + center
    data = tables.npy(scores_NK)
    unit = Unit(
        candidate=candidate,
        fold=fold,
        model=Ref(digest=store.put(model), size_bytes=len(model), name="fragment.onnx"),
        predictions=Ref(digest=store.put(data), size_bytes=len(data), name="predictions.npy"),
        share=share,
        center=center,
        scale=scale,
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
    zero = graph.add(
        "Mul", graph.add("Gather", scores, graph.constant([0], np.int64), axis=1), graph.constant([[0.0]])
    )
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


def check_graph(model: bytes, x_NF: np.ndarray, scores_NK: np.ndarray, *, most_rows: int = 4096) -> float:
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


# ---------------------------------------------------------------- ensemble


def complete(units: dict[tuple[str, int], Unit], plan: records.Plan, folds: int) -> list[Member]:
    """Candidates whose folds are all done, in work order."""
    members = []
    for each in plan.facts.candidates:
        own = [units[each.name, fold] for fold in range(folds) if (each.name, fold) in units]
        if len(own) == folds:
            members.append(Member(candidate=each.name, family=each.family, weight=0.0, units=own, score=0.0))
    return members


def scored(members: list[Member], plan: records.Plan, data: Data, work: Workspace) -> list[Member]:
    """The members with their cross-validated score in the plan's metric."""
    metric = catalog.load("metrics", plan.facts.metric)
    return [
        msgspec.structs.replace(
            member, score=float(metric.score(data.y_N, models.out_of_fold(member, data, work), data.weight_N))
        )
        for member in members
    ]


def choose(
    tried: list[Member], metric: Any, data: Data, work: Workspace, *, most: int = models.SELECTION_ROWS
) -> np.ndarray:
    """Greedy weights on an even sample of the out-of-fold predictions."""
    picked = models.sample(len(data.y_N), most)
    sign = -1.0 if metric.higher_is_better else 1.0
    p_MNK = [models.out_of_fold(member, data, work)[picked] for member in tried]
    return ensemble.greedy_weights(p_MNK, lambda p_NK: sign * models.score(metric, p_NK, data, picked))


# ---------------------------------------------------------------- the record


def nothing_finished(lost: dict[str, str], plan: records.Plan, budget: spec.Budget) -> Stop:
    """Why there is no model, and what to do; a candidate that broke is no matter of budget."""
    reasons = sorted(set(lost.values()))
    errors = [reason for reason in reasons if reason not in ("time", "memory")]
    if errors:
        return Stop(f"no candidate finished its folds: {errors[0]}")
    priced = [f"{each.name} {each.why}" for each in plan.facts.candidates if not each.fits][:1]
    because = f" (lost to {' and '.join(reasons)})" if reasons else f" ({priced[0]})" if priced else ""
    asked = f"--time {budget.time}" if budget.time else f"--work {budget.units:g}"
    remedy = "a larger [budget] memory" if reasons == ["memory"] else f"more than {asked}"
    return BudgetSpent(f"the budget ended before any candidate finished its folds{because}. Give {remedy}.")


def record(
    chosen: list[Member],
    members: list[Member],
    calibration: Calibration,
    p_NK: np.ndarray,
    lost: dict[str, str],
    plan: records.Plan,
    data: Data,
    work: Workspace,
) -> records.Training:
    """What train gives."""
    name = plan.facts.metric
    metric = catalog.load("metrics", name)
    value = float(metric.score(data.y_N, p_NK, data.weight_N))
    interval = stats.bootstrap(
        metric.score, data.y_N, p_NK, data.weight_N, work.seed.child("train", "interval")
    )
    costs = {each.name: each.cost.work for each in plan.facts.candidates}
    spent = sum(costs[member.candidate] * len(member.units) for member in members)
    tried = {member.candidate for member in members}
    unfinished = [each.name for each in plan.facts.candidates if each.fits and each.name not in tried]
    return records.Training(
        facts=records.TrainingFacts(
            members=chosen,
            calibration=calibration,
            tried=members,
            predictions=work.put_array(p_NK, "predictions.npy"),
            metric=name,
            work=spent,
            unfinished=unfinished,
        ),
        numbers={
            f"train.{name}": records.scored(value, interval, len(p_NK)),
            "train.work": Number(value=spent, unit="work units"),
            "train.members": Number(value=len(chosen), unit="candidates"),
        },
        findings=[lost_finding(lost)] if broken(lost) else [],
        tables=[table(members, name, data)],
    )


def broken(lost: dict[str, str]) -> dict[str, str]:
    """Units that did not end because of the clock."""
    return {name: why for name, why in lost.items() if why != "time"}


def lost_finding(lost: dict[str, str]) -> records.Finding:
    """Says which units failed, and why."""
    failed = broken(lost)
    says = "; ".join(f"{name}: {why}" for name, why in sorted(failed.items()))
    return records.Finding(code="train.lost", severity="warn", says=says[:2000], numbers={"units": len(failed)})


def table(members: list[Member], metric: str, data: Data) -> Table:
    """Every candidate that finished, its score and its weight."""
    rows: list[list[str | float | int | bool | None]] = [
        [
            member.candidate,
            member.score,
            member.weight,
            sum(unit.model.size_bytes for unit in member.units),
            min(unit.share for unit in member.units),
        ]
        for member in members
    ]
    columns = ["candidate", metric, "weight", "bytes", "least share of rows"]
    return Table(
        title="Candidates that finished",
        columns=columns,
        rows=rows,
        note=f"on {len(data.y_N)} out-of-fold rows",
    )
