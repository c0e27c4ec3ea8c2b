"""The contest of candidates: how they are scored and weighed, what they take, and who else may enter.

Rests on units; the train stage holds the contest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from forgeline import catalog, kinds, models, records
from forgeline.engine import ensemble
from forgeline.engine.controller import PROBES, Key
from forgeline.records import Candidate, Member, Unit

if TYPE_CHECKING:
    from forgeline.units import Bench

Results = Mapping[Key, Unit | None]
SEARCHED = "found by the search"
"""Why a candidate competes that the plan did not name."""
GROWN = "with more rows"
"""Why a candidate competes again."""
ADMITTED = (SEARCHED, GROWN)
"""Reasons of those that the plan did not name."""
GROWTH = 4
"""How many times as many rows a candidate is given when it competes again."""
UNIT_SECONDS = 0.15
"""Seconds that a unit takes beside its counted work, to be read, drawn and stored."""
PRIOR = 0.5
"""Work units, at a second each, that what was measured of the pace is weighed against."""
WEIGHED_ROWS = 5_000
"""Rows of the probed folds that candidates are weighed on while the contest goes on."""


def at(shape: kinds.Shape, share: float) -> kinds.Shape:
    """The shape of a share of the rows."""
    return shape if share == 1 else replace(shape, rows=max(1, int(shape.rows * share)))


def expected(family: str, setting: kinds.Setting, shape: kinds.Shape, done: float) -> records.Cost:
    """The cost of a setting of which a share `done` of all steps is expected to be needed."""
    cost: records.Cost = catalog.load("families", family).cost(shape, setting)
    return msgspec.structs.replace(cost, work=cost.work * done, seconds=cost.seconds * done)


def at_share(candidate: Candidate, shape: kinds.Shape, share: float, why: str = "") -> Candidate:
    """The candidate on a share of the rows, `name@share`, at the price that this has."""
    cost = expected(candidate.family, candidate.setting, at(shape, share), candidate.done)
    base = candidate.name.partition("@")[0]
    name = base if share == 1 else f"{base}@{share:g}"
    return msgspec.structs.replace(candidate, name=name, cost=cost, share=share, why=why or candidate.why)


@dataclass
class Judge:
    """Scores candidates and weighs them against each other, by the plan's metric on out-of-fold predictions."""

    plan: records.Plan
    bench: Bench

    @property
    def metric(self) -> Any:
        """The metric of the plan."""
        return catalog.load("metrics", self.plan.facts.metric)

    @property
    def sign(self) -> float:
        """What makes the metric a loss."""
        return -1.0 if self.plan.facts.higher_is_better else 1.0

    def scored(self, members: list[Member]) -> list[Member]:
        """The members with their score on the rows that all of them were judged on."""
        data = self.bench.data
        rows_N = models.judged(members, data)
        p_MNK = (models.out_of_fold(each, data, self.bench.work, rows_N) for each in members)
        scores = [models.score(self.metric, p_NK, data, rows_N) for p_NK in p_MNK]
        return [msgspec.structs.replace(each, score=score) for each, score in zip(members, scores)]

    def choose(self, members: list[Member], *, most: int = models.SELECTION_ROWS) -> np.ndarray:
        """Greedy weights on an even sample of the rows that all of them were judged on."""
        data, work = self.bench.data, self.bench.work
        rows_N = models.sample(models.judged(members, data), most)
        return self.greedy([models.out_of_fold(each, data, work, rows_N) for each in members], rows_N)

    def weigh(self, names: Sequence[str], results: Results) -> dict[str, float]:
        """Weights of candidates on the rows of the folds that all were probed on."""
        rows_N = self.probed_rows()
        p_MNK = [self.probed(name, results, rows_N) for name in names]
        return dict(zip(names, self.greedy(p_MNK, rows_N).tolist()))

    def probed_rows(self) -> np.ndarray:
        """A sample of the rows of the folds that candidates are probed on."""
        return models.sample(np.flatnonzero(self.bench.data.fold_N < PROBES), WEIGHED_ROWS)

    def probed(self, name: str, results: Results, rows_N: np.ndarray) -> np.ndarray:
        """What a candidate's probes say of some rows that they were held out from."""
        units = [unit for (other, fold), unit in results.items() if other == name and fold < PROBES and unit]
        family = self.bench.candidates[name].family
        member = Member(candidate=name, family=family, weight=1.0, units=units, score=0.0)
        return models.out_of_fold(member, self.bench.data, self.bench.work, rows_N)

    def loss(self, p_NK: np.ndarray, rows_N: np.ndarray) -> float:
        """The metric as a loss; on rows that it cannot score (of one class, say) the log loss or squared error."""
        data = self.bench.data
        value = self.sign * models.score(self.metric, p_NK, data, rows_N)
        if math.isnan(value):
            plain = catalog.load("metrics", "rmse" if data.task == "regression" else "log_loss")
            value = models.score(plain, p_NK, data, rows_N)
        return value

    def greedy(self, p_MNK: list[np.ndarray], rows_N: np.ndarray) -> np.ndarray:
        """Weights of the greedy ensemble."""
        steps = ensemble.steps_for(len(rows_N))
        return ensemble.greedy_weights(p_MNK, lambda p_NK: self.loss(p_NK, rows_N), steps=steps)


@dataclass
class Purse:
    """What units take and what may still be spent: work units, or seconds of one core under a time budget."""

    bench: Bench
    limit: float | None
    """Work units; None under a time budget."""
    remaining: Callable[[], float]
    """Seconds until fold models must be ended."""
    paces: Mapping[str, float] = field(default_factory=dict)
    """Of families that were looked at before the plan: what a second by the price list was measured to take."""

    def price(self, name: str, results: Results) -> float:
        """What one more fold of a candidate takes: what its own folds took, else its predicted cost.

        A prediction is corrected by the steps that the family's candidates needed so far, up to all steps of the
        setting, and by the pace: what a counted work unit took, in the family or, where nothing is known of it, in all;
        of a family that was looked at before the plan, what was measured then, until units of its own tell more.
        """
        own = [self.spent(unit) for (other, _), unit in results.items() if unit and other == name]
        if own:
            return sum(own) / len(own)
        candidate = self.bench.candidates[name]
        done = [unit for unit in results.values() if unit]
        akin = [unit for unit in done if self.bench.candidates[unit.candidate].family == candidate.family]
        predicted = sum(self.bench.candidates[unit.candidate].cost.work for unit in akin)
        needed = sum(unit.work for unit in akin) / predicted if akin else 1.0
        fixed = UNIT_SECONDS if self.limit is None else 0.0
        looked = self.paces.get(candidate.family)
        telling = akin or (done if looked is None else [])
        counted = sum(unit.work for unit in telling)
        taken = sum(max(self.spent(unit) - fixed, 0.0) for unit in telling)
        pace = (taken + PRIOR * (1.0 if looked is None else looked)) / (counted + PRIOR)
        return fixed + min(candidate.cost.work * needed, candidate.cost.work / candidate.done) * pace

    def left(self, named: Sequence[Key], results: Results) -> float:
        """What may still be spent beside the units that are under way."""
        running = sum(self.price(name, results) for name, fold in named if (name, fold) not in results)
        if self.limit is not None:
            return self.limit - sum(self.spent(unit) for unit in results.values() if unit) - running
        return self.remaining() * self.bench.work.workers.count - running / 2

    def spent(self, unit: Unit) -> float:
        """What a unit took."""
        return unit.work if self.limit is not None else self.bench.seconds[unit.candidate, unit.fold]


@dataclass
class Search:
    """Who enters when all candidates are through: settings of the family that promises most for what it takes."""

    judge: Judge
    shape: kinds.Shape
    memory_bytes: int
    """What one worker may hold."""
    at_once: int = 4
    rounds: int = 0
    vain: int = 0
    """Rounds in a row that took nothing off the loss."""
    best: float | None = None
    """The lowest loss so far."""
    asked: dict[str, int] = field(default_factory=dict)
    grown: set[str] = field(default_factory=set)
    """Those that were given more rows."""

    def __call__(self, results: Results, *, least_gain: float = 1e-4) -> list[str]:
        """Names of new entrants; none once the ensemble has stopped gaining. First those that may have more rows."""
        probed = self.probed(results)
        if not probed:
            return []
        weights = self.judge.weigh(probed, results)
        if grown := self.grow(weights):
            return grown
        rows_N = self.judge.probed_rows()
        mixed = ensemble.mean([self.judge.probed(name, results, rows_N) for name in probed], list(weights.values()))
        loss = self.judge.loss(mixed, rows_N)
        gained = self.best is None or loss < self.best - least_gain * abs(self.best)
        self.vain = 0 if gained else self.vain + 1
        self.best = loss if self.best is None else min(self.best, loss)
        family = self.family(weights)
        if family is None or self.vain >= self.patience:
            return []
        self.rounds += 1
        self.asked[family] = self.asked.get(family, 0) + 1
        return self.enter(family, probed, results)

    def grow(self, weights: Mapping[str, float], *, most: int = 2) -> list[str]:
        """The heaviest candidates that did not have all rows, again with GROWTH times as many, as memory allows."""
        bench = self.judge.bench
        names: list[str] = []
        for name in sorted(weights, key=lambda name: -weights[name]):
            one = bench.candidates[name]
            if weights[name] > 0 and one.share < 1 and len(names) < most:
                more = at_share(one, self.shape, min(1.0, GROWTH * one.share), GROWN)
                planned = more.name in bench.candidates and bench.candidates[more.name].why not in ADMITTED
                if not planned and more.name not in self.grown and more.cost.memory_bytes <= self.memory_bytes:
                    bench.admit(more)
                    names.append(more.name)
        self.grown |= set(names)
        return names

    @property
    def patience(self) -> int:
        """Vain rounds that end the search: more where there are rows enough to tell small gains."""
        return 1 if self.shape.rows < 1_000 else 2 if self.shape.rows < 5_000 else 3

    def probed(self, results: Results) -> list[str]:
        """Candidates that were probed on all folds for it."""
        folds = range(PROBES)
        return [name for name in self.judge.bench.candidates if all(results.get((name, fold)) for fold in folds)]

    def family(self, weights: Mapping[str, float]) -> str | None:
        """The family whose weight in the ensemble is largest for its cost and for how often it was asked before."""
        candidates = self.judge.bench.candidates
        promise: dict[str, float] = {}
        for name, weight in weights.items():
            one = candidates[name]
            if catalog.load("families", one.family).space(self.shape).ranges:
                share = (weight + 0.01) / (0.05 + one.cost.work) ** 0.5
                promise[one.family] = max(promise.get(one.family, 0.0), share)
        return max(promise, key=lambda each: promise[each] / (1 + self.asked.get(each, 0)), default=None)

    def enter(self, family: str, probed: Sequence[str], results: Results) -> list[str]:
        """New candidates of a family, known to the bench."""
        from forgeline.engine.search import suggest

        bench = self.judge.bench
        module = catalog.load("families", family)
        rows_N = self.judge.probed_rows()
        own = [name for name in probed if bench.candidates[name].family == family]
        losses = {name: self.judge.loss(self.judge.probed(name, results, rows_N), rows_N) for name in own}
        tried = [(bench.candidates[name].setting, losses[name]) for name in own]
        seed = bench.work.seed.child("train", "search", self.rounds)
        best = bench.candidates[min(own, key=lambda name: losses[name])]
        names = []
        for number, values in enumerate(suggest(module.space(self.shape).ranges, tried, self.at_once, seed), 1):
            setting = best.setting | values
            name, done = f"{family}-search-{self.rounds}-{number}", done_of(best, setting)
            cost = expected(family, setting, self.shape, done)
            found = Candidate(name=name, family=family, setting=setting, cost=cost, fits=True, why=SEARCHED, done=done)
            found = found if best.share == 1 else at_share(found, self.shape, best.share)
            bench.admit(found)
            names.append(found.name)
        return names


def done_of(best: Candidate, setting: kinds.Setting) -> float:
    """The share of its steps that a setting like the best will need: at half the rate twice as many."""
    if best.done == 1:
        return 1.0
    return min(1.0, best.done * float(best.setting.get("rate", 1.0)) / float(setting.get("rate", 1.0)))
