"""train: candidates on folds in killable workers, then a greedy weighted mean of them, calibrated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from forgeline import catalog, models, records, spec
from forgeline.engine import ensemble, stats
from forgeline.errors import BudgetSpent, Stop
from forgeline.models import Data
from forgeline.records import Calibration, Member, Number, Table, Unit
from forgeline.units import Bench, Key

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

REFIT_ROWS = 10_000
"""From here on members are trained again on all rows: a fifth of the size and time of the mean of five fold
models, which is steadier where rows are few."""


def train(
    budget: spec.Budget,
    snapshot: records.Snapshot,
    refinement: records.Refinement,
    plan: records.Plan,
    work: Workspace,
) -> records.Training:
    """The best ensemble the budget allows. Errors: BudgetSpent when no candidate finished all its folds."""
    data = models.data_of(snapshot, refinement, work)
    bench = Bench(refinement, plan, data, work)
    reserve = Reserve(snapshot, bench)
    folds = refinement.facts.fold_count
    order = [(each.name, fold) for each in plan.facts.candidates if each.fits for fold in range(folds)]
    units = bench.fit(order, "train", lambda: work.clock.remaining - reserve.seconds(), reserve.update)
    tried = scored(complete(units, plan, folds), plan, data, work)
    if not tried:
        raise nothing_finished(bench.lost, plan, budget)
    weights = choose(tried, bench)
    members = [msgspec.structs.replace(each, weight=float(weight)) for each, weight in zip(tried, weights)]
    chosen = [member for member in members if member.weight > 0]
    p_NK = models.mean([models.out_of_fold(member, data, work) for member in chosen], chosen)
    picked = models.sample(len(p_NK))
    calibration = models.calibrate(p_NK[picked], data, picked)
    p_NK = models.calibrated(p_NK, calibration)
    chosen = refit(chosen, bench, reserve)
    return record(chosen, members, calibration, p_NK, bench.lost, plan, data, work)


def refit(chosen: list[Member], bench: Bench, reserve: Reserve) -> list[Member]:
    """The members trained on all rows as well, where the table is large enough and the time is left."""
    if not refits(bench.data):
        return chosen
    everything = bench.refinement.facts.fold_count
    order = [(member.candidate, everything) for member in chosen]
    units = bench.fit(order, "refit", lambda: bench.work.clock.remaining - reserve.closing(), lambda done: None)
    return [msgspec.structs.replace(each, refit=units.get((each.candidate, everything))) for each in chosen]


# ---------------------------------------------------------------- time


class Reserve:
    """Seconds to keep for what comes after the fold models; nothing without a time limit.

    Then an ensemble is chosen, perhaps trained again on all rows, and asked about every test row, with and
    without compression, and about some training rows. So the ensemble of the candidates finished so far is
    chosen each time one more is.
    """

    def __init__(self, snapshot: records.Snapshot, bench: Bench) -> None:
        self.bench = bench
        facts, workers = snapshot.facts, bench.work.workers
        test_rows = facts.test_rows or facts.rows - facts.left_out - len(bench.data.y_N)
        self.rows = (2 * test_rows + 5_000) / workers.count + (test_rows if bench.work.predict else 0)
        """Rows that one core is to be asked about."""
        self.complete = 0
        self.pace = self.refit = 0.0
        """Seconds a row that the ensemble takes on one core; seconds to train it on all rows."""

    def closing(self, *, fixed: float = 2.5, safety: float = 1.5) -> float:
        """Seconds for everything after training; at most four tenths of the limit."""
        limit, data = self.bench.work.clock.limit, self.bench.data
        if limit is None:
            return 0.0
        selection = 4e-6 * min(len(data.y_N), models.SELECTION_ROWS) * data.outputs
        return float(min(fixed + selection + safety * self.rows * self.pace, 0.4 * limit))

    def seconds(self) -> float:
        """Seconds to keep while fold models are trained; at most half of the limit."""
        limit = self.bench.work.clock.limit
        return 0.0 if limit is None else min(self.closing() + 1.2 * self.refit, 0.5 * limit)

    def update(self, done: dict[Key, Unit]) -> None:
        """Choose again when one more candidate is complete."""
        bench = self.bench
        folds = bench.refinement.facts.fold_count
        members = complete(done, bench.plan, folds)
        if bench.work.clock.limit is None or len(members) == self.complete:
            return
        self.complete = len(members)
        weights = choose(members, bench, most=5_000)
        chosen = {member.candidate for member, weight in zip(members, weights) if weight > 0}
        lines = [line for line in bench.work.log.lines if line["do"] == "unit" and line["unit"]["candidate"] in chosen]
        shipped = folds if refits(bench.data) else 1
        self.pace = sum(float(line["predict_seconds_per_row"]) for line in lines) / shipped
        longest = max((float(line["seconds"]) for line in lines), default=0.0)
        together = sum(float(line["seconds"]) for line in lines) / folds / bench.work.workers.count
        self.refit = max(longest, together) * folds / (folds - 1) if refits(bench.data) else 0.0


def refits(data: Data) -> bool:
    """Whether members are trained again on all rows, which then ship in place of their fold models."""
    return len(data.y_N) >= REFIT_ROWS


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


def choose(tried: list[Member], bench: Bench, *, most: int = models.SELECTION_ROWS) -> np.ndarray:
    """Greedy weights on an even sample of the out-of-fold predictions."""
    data = bench.data
    metric = catalog.load("metrics", bench.plan.facts.metric)
    picked = models.sample(len(data.y_N), most)
    sign = -1.0 if metric.higher_is_better else 1.0
    p_MNK = [models.out_of_fold(member, data, bench.work)[picked] for member in tried]
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
    interval = stats.bootstrap(metric.score, data.y_N, p_NK, data.weight_N, work.seed.child("train", "interval"))
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
