"""train: candidates on folds in killable workers, then a greedy weighted mean of them, calibrated."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from forgeline import catalog, history, models, records, spec
from forgeline.contest import ADMITTED, GROWN, Judge, Purse, Search
from forgeline.engine import stats
from forgeline.engine.controller import PROBES, Controller, Key, Lagged, Listed
from forgeline.errors import BudgetSpent, Stop
from forgeline.kinds import Shape
from forgeline.models import Data
from forgeline.records import Calibration, Candidate, Curve, Member, Number, Table, Unit
from forgeline.units import Bench

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

MANY_ROWS, VERY_MANY_ROWS = 10_000, 100_000
"""Between them several fits on all rows would take long and gain little: fold models ship. Beyond, one fit does."""
INTERVALS = 0.04
"""Seconds that the intervals of the scores take for each of several classes."""
LARGEST = 20.0
"""Megabytes of an ensemble that count; what is larger is mostly made smaller before it is drawn."""
FEWEST = 2
"""Of several fits on all rows so many must be there, or the fold models ship: one alone is no better than they are."""
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
    shape = models.shape_of(snapshot, refinement, models.quantile_of(plan.facts.metric))
    bench = Bench(refinement, {each.name: each for each in plan.facts.candidates}, data, work, shape.quantile)
    judge = Judge(plan, bench)
    units = hold(budget, shape, judge, Reserve(snapshot, judge))
    finished = complete(units, judge)
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
    shutil.rmtree(work.checkpoints, ignore_errors=True)  # of units that the end of the time has cut off
    return record(chosen, members, calibration, models.calibrated(p_NK, calibration), rows_N, bench, plan)


def hold(budget: spec.Budget, shape: Shape, judge: Judge, reserve: Reserve) -> dict[Key, Unit]:
    """The contest: units until the budget is spent, or nothing more is to be gained."""
    bench, clock = judge.bench, judge.bench.work.clock
    memory = bench.work.workers.memory_bytes
    fitting = [each for each in bench.candidates.values() if each.cost.memory_bytes <= memory]
    found = [each for each in fitting if each.why in ADMITTED]
    timed = budget.units is None
    if not fitting:
        return {}

    def remaining() -> float:
        return clock.remaining - reserve.seconds()

    purse = Purse(bench, budget.units, remaining, judge.plan.facts.paces)
    search = Search(judge, shape, memory)
    if timed:
        search.rounds, search.grown = len(found), {each.name for each in found if each.why == GROWN}
    controller: Controller[Unit] = Controller(
        # what a search found before the run was resumed: under a work budget it will be found again, in its turn
        entrants=[each.name for each in fitting if timed or each not in found],
        folds=bench.refinement.facts.fold_count,
        price=purse.price,
        left=purse.left,
        weigh=judge.weigh,
        search=search,
        closing=lambda name: 0.0 if timed else REFIT_COST * seeds_for(bench.candidates[name].family, bench.data),
        anyhow=timed,
        beside=[each.name for each in fitting if each.family == BASELINE][:1],
    )
    schedule = controller if timed else Lagged(controller, LAG)

    def told(done: dict[Key, Unit]) -> None:
        if not bench.work.log.find("usable") and whole(done, controller.folds):
            bench.work.note("usable", stage="train")
        reserve.update(done)

    began = remaining()

    def share() -> float:
        return bench.spent / budget.units if budget.units else 1 - remaining() / max(began, 1e-9)

    return bench.fit(schedule, "train", remaining, told, share)


def whole(done: dict[Key, Unit], folds: int) -> bool:
    """Whether some candidate has all its folds: from then on there is a model to ship."""
    return any(count >= folds for count in Counter(name for name, _ in done).values())


def refit(chosen: list[Member], bench: Bench, reserve: Reserve) -> list[Member]:
    """The members trained on all rows as well, once with each seed, as far as the time goes."""
    everything = bench.refinement.facts.fold_count
    seeds = {each.candidate: seeds_for(each.family, bench.data) for each in chosen}
    keys = [(name, everything + seed) for seed in range(max(seeds.values())) for name in seeds if seed < seeds[name]]
    order: Listed[Unit] = Listed(keys)
    units = bench.fit(order, "refit", lambda: bench.work.clock.remaining - reserve.closing(), lambda done: None)
    again: dict[str, list[Unit]] = {name: [] for name in seeds}
    for (name, _), unit in units.items():
        again[name].append(unit)
    enough = {name: found if len(found) >= min(seeds[name], FEWEST) else [] for name, found in again.items()}
    return [msgspec.structs.replace(each, refits=enough[each.candidate]) for each in chosen]


def seeds_for(family: str, data: Data) -> int:
    """How many times a member is trained again on all rows, to ship in place of its fold models; 0: they ship."""
    wanted, rows = int(getattr(catalog.load("families", family), "REFITS", 1)), len(data.y_N)
    if wanted <= 1 or rows < MANY_ROWS:
        return wanted
    return 0 if rows <= VERY_MANY_ROWS else 1


# ---------------------------------------------------------------- what is left


def sees(family: str) -> tuple[str, ...]:
    """Kinds of raw columns that a family's models are given."""
    found: tuple[str, ...] = getattr(catalog.load("families", family), "SEES", ())
    return found


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
        again = models.again(self.bench.refinement)
        self.rows = (2 * test_rows + again) / workers.count + (test_rows if self.bench.work.predict else 0)
        """Rows that one core is to be asked about."""
        encoder = models.architecture_of(self.bench.refinement.facts.encoder)
        lengths = self.bench.refinement.facts.tokens.values()
        self.reading = sum(map(encoder.flops, lengths)) / models.ANSWERING if encoder else 0.0
        """Seconds that a pretrained encoder, as it is, takes for a row's texts."""
        self.expected = max((self.answering(each) for each in self.bench.candidates.values()), default=0.0)
        """Seconds a row that networks on raw columns are expected to take, until one of them is complete."""
        self.shown = any(each.kind == "image" for each in self.bench.refinement.facts.inputs)
        """Whether rows have pictures, which are read and decoded before a model is asked."""
        self.complete = 0, 0
        """Candidates that are complete, and their folds, when it was last asked."""
        self.pace = self.refit = self.megabytes = self.choosing = 0.0
        """Seconds a row that the ensemble takes on one core; seconds to train it on all rows; size of its graphs;
        seconds to choose its weights."""
        self.update(done or {})

    def answering(self, candidate: Candidate) -> float:
        """Seconds a row of a candidate that takes long; its folds all ship."""
        kinds = sees(candidate.family)
        if "embedded" in kinds:
            return self.reading
        flops = candidate.cost.flops_per_row * self.bench.refinement.facts.fold_count
        return (
            flops / models.ANSWERING if kinds and hasattr(catalog.load("families", candidate.family), "brief") else 0.0
        )

    def closing(self, *, megabyte: float = 0.27, weights: float = 0.08) -> float:
        """Seconds for everything after training; at most four tenths of the limit.

        A megabyte of graphs is drawn, stored, read and opened several times, in `megabyte` seconds altogether; one of
        the weights of an encoder, which are few nodes, in `weights` seconds.
        """
        limit, outputs = self.bench.work.clock.limit, self.bench.data.outputs
        if limit is None:
            return 0.0
        pace = max(self.pace, self.expected) + (models.DECODING if self.shown else 0.0)
        asking = megabyte * min(self.megabytes, LARGEST) + models.SAFETY * self.rows * pace
        asking += weights * max(0.0, self.megabytes - LARGEST)
        judging = models.SAFETY * self.choosing + (INTERVALS * outputs if outputs > 2 else 0.0)
        return float(min(models.CLOSING + judging + asking, 0.4 * limit))

    def seconds(self) -> float:
        """Seconds to keep while fold models are trained; at most half of the limit."""
        limit = self.bench.work.clock.limit
        return 0.0 if limit is None else min(self.closing() + 1.2 * self.refit, 0.5 * limit)

    def update(self, done: dict[Key, Unit]) -> None:
        """Choose again when one more candidate is complete."""
        bench = self.bench
        folds = bench.refinement.facts.fold_count
        members = complete(done, self.judge)
        known = len(members), len(members[0].units) if members else 0
        if bench.work.clock.limit is None or known == self.complete:
            return
        self.complete = known
        began, most = time.perf_counter(), 5_000
        weights = self.judge.choose(members, most=most)
        rows = min(len(bench.data.y_N), models.SELECTION_ROWS)
        self.choosing = (time.perf_counter() - began) * max(1.0, rows / most)
        chosen = [member for member, weight in zip(members, weights) if weight > 0]
        if any(self.answering(bench.candidates[member.candidate]) > self.reading for member in members):
            self.expected = 0.0
        reads = any("embedded" in sees(member.family) for member in chosen)
        self.pace, self.megabytes, each = self.reading if reads else 0.0, 0.0, [0.0]
        for member in chosen:
            keys = [(unit.candidate, unit.fold) for unit in member.units]
            seeds = seeds_for(member.family, bench.data)
            shipped = seeds / len(keys) if seeds else 1.0
            self.pace += shipped * sum(bench.paces[key] for key in keys)
            self.megabytes += shipped * sum(unit.model.size_bytes for unit in member.units) / 1e6
            each.append(min(seeds, FEWEST) * sum(bench.seconds[key] for key in keys) / len(keys))
        self.refit = max(*each, sum(each) / bench.work.workers.count) * folds / (folds - 1)


# ---------------------------------------------------------------- ensemble


def complete(units: dict[Key, Unit], judge: Judge) -> list[Member]:
    """Candidates whose folds are all done, in the order they competed; where there is none, those with most folds.

    Under a time budget the baseline is soon done, and would stand alone: what has PROBES folds or more goes before it.
    """
    bench, timed = judge.bench, judge.plan.facts.work_limit is None
    every = range(bench.refinement.facts.fold_count)
    folds = {name: [fold for fold in every if (name, fold) in units] for name in bench.candidates}
    others = [own for name, own in folds.items() if bench.candidates[name].family != BASELINE and len(own) >= PROBES]
    common = max(others if others and timed else folds.values(), key=len)
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
    held = plan.numbers.get("plan.memory", Number(value=None)).value
    large = held is not None and all(each.cost.memory_bytes > held for each in plan.facts.candidates)
    remedy = "a larger [budget] memory" if large or reasons == ["memory"] else f"more than {asked}"
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
            searched=[each for each in bench.candidates.values() if each.why in ADMITTED],
        ),
        numbers={
            f"train.{name}": records.scored(float(metric.score(y_N, p_NK, weight_N)), interval, len(p_NK)),
            "train.work": Number(value=bench.spent, unit="work units"),
            "train.members": Number(value=len(chosen), unit="candidates"),
        },
        findings=[lost_finding(lost)] if broken(lost) else [],
        tables=[table(members, name, len(models.judged(members, data))), *size_curve(members, bench, name)],
        curves=curves(chosen, work),
    )


def curves(chosen: list[Member], work: Workspace) -> list[Curve]:
    """How the members that were trained in steps have learned: each one's first fold model."""
    known = [
        (unit.candidate, unit.fold, unit.metrics) for member in chosen for unit in member.units[:1] if unit.metrics
    ]
    drawn = [history.curve(f"{name} fold {fold + 1}", history.lines(work.get(ref))) for name, fold, ref in known]
    return [each for each in drawn if each is not None]


def broken(lost: dict[str, str]) -> dict[str, str]:
    """Units that did not end because of the clock."""
    return {name: why for name, why in lost.items() if why != "time"}


def lost_finding(lost: dict[str, str]) -> records.Finding:
    """Says which units failed, and why."""
    failed = broken(lost)
    says = "; ".join(f"{name}: {why}" for name, why in sorted(failed.items()))
    return records.Finding(code="train.lost", severity="warn", says=says[:2000], numbers={"units": len(failed)})


def size_curve(members: list[Member], bench: Bench, metric: str) -> list[Table]:
    """Scores by the number of rows, of settings that competed with several; no table where none did."""
    of = {member.candidate: bench.candidates[member.candidate] for member in members}
    bases = [name.partition("@")[0] for name in of]
    rows: list[list[str | float | int | bool | None]] = [
        [base, round(of[member.candidate].share * len(bench.data.y_N)), member.score]
        for member, base in sorted(zip(members, bases), key=lambda pair: (pair[1], of[pair[0].candidate].share))
        if bases.count(base) > 1
    ]
    note = "rows before a fold is held out"
    return [Table(title="Size curve", columns=["setting", "rows", metric], rows=rows, note=note)] if rows else []


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
