"""train: candidates on folds in killable workers, then a greedy weighted mean of them, calibrated."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from forgeline import catalog, models, records, spec
from forgeline.contest import SEARCHED, Judge, Purse, Search
from forgeline.engine import stats
from forgeline.engine.controller import Controller, Key, Lagged, Listed
from forgeline.errors import BudgetSpent, Stop
from forgeline.models import Data
from forgeline.records import Calibration, Member, Number, Table, Unit
from forgeline.units import Bench

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

REFIT_ROWS = 10_000
"""From here on members are trained again on all rows: a fifth of the size and time of the mean of five fold
models, which is steadier where rows are few."""
REFIT_COST = 1.25
"""What a refit takes, in folds."""
BASELINE = "linear"
"""The family whose first candidate is always finished, for evaluate to compare with."""
LAG = 4
"""Units that are named before the result of one is looked at, under a work budget: whatever the number of workers."""


def train(
    budget: spec.Budget,
    snapshot: records.Snapshot,
    refinement: records.Refinement,
    plan: records.Plan,
    work: Workspace,
) -> records.Training:
    """The best ensemble the budget allows. Errors: BudgetSpent when no candidate finished a fold."""
    data = models.data_of(snapshot, refinement, work)
    bench = Bench(refinement, {each.name: each for each in plan.facts.candidates}, data, work)
    judge = Judge(plan, bench)
    units = hold(budget, snapshot, judge, Reserve(snapshot, judge))
    finished = complete(units, bench)
    if not finished:
        raise nothing_finished(bench.lost, plan, budget)
    tried = judge.scored(finished)
    weights = judge.choose(tried)
    members = [msgspec.structs.replace(each, weight=float(weight)) for each, weight in zip(tried, weights)]
    chosen = [member for member in members if member.weight > 0]
    rows_N = models.judged(chosen, data)
    p_NK = models.mean([models.out_of_fold(member, data, work, rows_N) for member in chosen], chosen)
    calibration = models.calibrate(p_NK, data, rows_N)
    chosen = refit(chosen, bench, Reserve(snapshot, judge, units))
    return record(chosen, members, calibration, models.calibrated(p_NK, calibration), rows_N, bench, plan)


def hold(budget: spec.Budget, snapshot: records.Snapshot, judge: Judge, reserve: Reserve) -> dict[Key, Unit]:
    """The contest: units until the budget is spent, or nothing more is to be gained."""
    bench, clock = judge.bench, judge.bench.work.clock
    fitting = [each for each in bench.candidates.values() if fits_memory(each, budget, bench.work)]
    found = [each for each in fitting if each.why == SEARCHED]
    timed = budget.units is None
    if not fitting:
        return {}

    def remaining() -> float:
        return clock.remaining - reserve.seconds()

    purse = Purse(bench, budget.units, remaining)
    controller: Controller[Unit] = Controller(
        # what a search found before the run was resumed: under a work budget it will be found again, in its turn
        entrants=[each.name for each in fitting if timed or each not in found],
        folds=bench.refinement.facts.fold_count,
        price=purse.price,
        left=purse.left,
        weigh=judge.weigh,
        search=Search(judge, models.shape_of(snapshot, bench.refinement), rounds=len(found) if timed else 0),
        closing=0.0 if timed or not refits(bench.data) else REFIT_COST,
        anyhow=timed,
        beside=[each.name for each in fitting if each.family == BASELINE][:1],
    )
    schedule = controller if timed else Lagged(controller, LAG)

    def told(done: dict[Key, Unit]) -> None:
        if not bench.work.log.find("usable") and whole(done, controller.folds):
            bench.work.note("usable", stage="train")
        reserve.update(done)

    return bench.fit(schedule, "train", remaining, told)


def whole(done: dict[Key, Unit], folds: int) -> bool:
    """Whether some candidate has all its folds: from then on there is a model to ship."""
    return any(count >= folds for count in Counter(name for name, _ in done).values())


def fits_memory(candidate: records.Candidate, budget: spec.Budget, work: Workspace) -> bool:
    """Whether a worker may hold it."""
    memory = budget.memory_bytes // work.workers.count if budget.memory_bytes else work.workers.memory_bytes
    return candidate.cost.memory_bytes <= memory


def refit(chosen: list[Member], bench: Bench, reserve: Reserve) -> list[Member]:
    """The members trained on all rows as well, where the table is large enough and the time is left."""
    if not refits(bench.data):
        return chosen
    everything = bench.refinement.facts.fold_count
    order: Listed[Unit] = Listed([(member.candidate, everything) for member in chosen])
    units = bench.fit(order, "refit", lambda: bench.work.clock.remaining - reserve.closing(), lambda done: None)
    return [msgspec.structs.replace(each, refit=units.get((each.candidate, everything))) for each in chosen]


def refits(data: Data) -> bool:
    """Whether members are trained again on all rows, which then ship in place of their fold models."""
    return len(data.y_N) >= REFIT_ROWS


# ---------------------------------------------------------------- what is left


class Reserve:
    """Seconds to keep for what comes after the fold models; nothing without a time limit.

    Then an ensemble is chosen, perhaps trained again on all rows, and asked about every test row, with and
    without compression, and about some training rows. So the ensemble of the candidates finished so far is
    chosen each time one more is.
    """

    def __init__(self, snapshot: records.Snapshot, judge: Judge, done: dict[Key, Unit] | None = None) -> None:
        self.judge, self.bench = judge, judge.bench
        facts, workers = snapshot.facts, self.bench.work.workers
        test_rows = facts.test_rows or facts.rows - facts.left_out - len(self.bench.data.y_N)
        self.rows = (2 * test_rows + 5_000) / workers.count + (test_rows if self.bench.work.predict else 0)
        """Rows that one core is to be asked about."""
        self.complete = 0
        self.pace = self.refit = 0.0
        """Seconds a row that the ensemble takes on one core; seconds to train it on all rows."""
        self.update(done or {})

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
        members = complete(done, bench)
        if bench.work.clock.limit is None or len(members) == self.complete:
            return
        self.complete = len(members)
        weights = self.judge.choose(members, most=5_000)
        chosen = [member for member, weight in zip(members, weights) if weight > 0]
        keys = [(unit.candidate, unit.fold) for member in chosen for unit in member.units]
        shipped = folds if refits(bench.data) else 1
        self.pace = sum(bench.paces[key] for key in keys) / shipped
        together = sum(bench.seconds[key] for key in keys) / folds / bench.work.workers.count
        longest = max((bench.seconds[key] for key in keys), default=0.0)
        self.refit = max(longest, together) * folds / (folds - 1) if refits(bench.data) else 0.0


# ---------------------------------------------------------------- ensemble


def complete(units: dict[Key, Unit], bench: Bench) -> list[Member]:
    """Candidates whose folds are all done, in the order they competed; where there is none, those with most folds."""
    every = range(bench.refinement.facts.fold_count)
    folds = {name: [fold for fold in every if (name, fold) in units] for name in bench.candidates}
    common = max(folds.values(), key=len)
    return [
        Member(
            candidate=name,
            family=bench.candidates[name].family,
            weight=0.0,
            units=[units[name, fold] for fold in common],
            score=0.0,
        )
        for name, own in folds.items()
        if common and set(common) <= set(own)
    ]


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
    rows_N: np.ndarray,
    bench: Bench,
    plan: records.Plan,
) -> records.Training:
    """What train gives."""
    data, work, lost = bench.data, bench.work, bench.lost
    name = plan.facts.metric
    metric = catalog.load("metrics", name)
    y_N, weight_N = data.y_N[rows_N], None if data.weight_N is None else data.weight_N[rows_N]
    interval = stats.bootstrap(metric.score, y_N, p_NK, weight_N, work.seed.child("train", "interval"))
    tried = {member.candidate for member in members}
    unfinished = [name for name in bench.candidates if name not in tried]
    return records.Training(
        facts=records.TrainingFacts(
            members=chosen,
            calibration=calibration,
            tried=members,
            predictions=work.put_array(p_NK, "predictions.npy"),
            metric=name,
            work=bench.spent,
            unfinished=unfinished,
            searched=[each for each in bench.candidates.values() if each.why == SEARCHED],
        ),
        numbers={
            f"train.{name}": records.scored(float(metric.score(y_N, p_NK, weight_N)), interval, len(p_NK)),
            "train.work": Number(value=bench.spent, unit="work units"),
            "train.members": Number(value=len(chosen), unit="candidates"),
        },
        findings=[lost_finding(lost)] if broken(lost) else [],
        tables=[table(members, name, len(models.judged(members, data)))],
    )


def broken(lost: dict[str, str]) -> dict[str, str]:
    """Units that did not end because of the clock."""
    return {name: why for name, why in lost.items() if why != "time"}


def lost_finding(lost: dict[str, str]) -> records.Finding:
    """Says which units failed, and why."""
    failed = broken(lost)
    says = "; ".join(f"{name}: {why}" for name, why in sorted(failed.items()))
    return records.Finding(code="train.lost", severity="warn", says=says[:2000], numbers={"units": len(failed)})


def table(members: list[Member], metric: str, judged: int) -> Table:
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
        note=f"on {judged} out-of-fold rows",
    )
