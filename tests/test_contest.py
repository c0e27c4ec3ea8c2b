from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from forgeline import catalog, contest, kinds
from forgeline.engine.seeds import Seed
from forgeline.models import Data
from forgeline.records import Candidate, Cost, Ref, Unit

DRAW = np.random.default_rng(3)
ROWS = 200


def candidate(name, family, work=1.0, **setting):
    cost = Cost(work=work, seconds=work, memory_bytes=1, size_bytes=1, flops_per_row=1.0)
    return Candidate(name=name, family=family, setting=setting, cost=cost, fits=True, why="")


class Pen:
    """A bench and a workspace that hold arrays by name."""

    def __init__(self, candidates, noise, folds=4):
        y_N = DRAW.normal(size=ROWS)
        self.data = Data(y_N, None, np.arange(ROWS) % folds, "regression", 1)
        self.candidates = {each.name: each for each in candidates}
        self.refinement = SimpleNamespace(facts=SimpleNamespace(fold_count=folds))
        self.arrays, self.admitted, self.seconds = {}, [], {}
        self.results = {}
        for name, spread in noise.items():
            for fold in range(2):
                held_N = y_N[self.data.fold_N == fold]
                self.arrays[f"{name} {fold}"] = (held_N + spread * DRAW.normal(size=len(held_N)))[:, None]
                ref = Ref(digest=f"{name} {fold}", size_bytes=1)
                unit = Unit(candidate=name, fold=fold, model=ref, predictions=ref, share=1.0, work=2.0)
                self.results[name, fold] = unit
                self.seconds[name, fold] = 4.0
        self.work = SimpleNamespace(
            array=lambda ref: self.arrays[ref.digest], seed=Seed(0), workers=SimpleNamespace(count=2)
        )

    def admit(self, one):
        self.candidates[one.name] = one
        self.admitted.append(one)


def judge(pen):
    return contest.Judge(SimpleNamespace(facts=SimpleNamespace(metric="rmse", higher_is_better=False)), pen)


def test_weights_go_to_who_was_close_on_the_probed_folds():
    pen = Pen([candidate("a", "linear"), candidate("b", "linear")], {"a": 0.1, "b": 5.0})
    weights = judge(pen).weigh(["a", "b"], pen.results)
    assert weights["a"] == pytest.approx(1.0)
    rows_N = judge(pen).probed_rows()
    assert set(pen.data.fold_N[rows_N]) == {0, 1}
    assert judge(pen).loss(judge(pen).probed("a", pen.results, rows_N), rows_N) == pytest.approx(0.1, rel=0.3)


# ---------------------------------------------------------------- what may be spent


def test_under_a_work_budget_counted_work_is_spent():
    b = msgspec.structs.replace(candidate("b", "linear", 3.0), done=0.25)
    whole = msgspec.structs.replace(b, name="d", done=0.75)
    pen = Pen([candidate("a", "linear"), b, candidate("c", "kernel", 3.0), whole], {"a": 1.0})
    purse = contest.Purse(pen, 20.0, lambda: float("inf"))
    assert purse.price("a", pen.results) == 2.0
    assert purse.price("b", pen.results) == 6.0  # its family needs twice the steps that are predicted
    assert purse.price("d", pen.results) == 4.0  # but never more than all
    assert purse.price("c", pen.results) == 3.0  # nothing is known of its family
    named = [*pen.results, ("b", 0)]
    assert purse.left(named, pen.results) == 20 - 4 - 6


def test_under_a_time_budget_seconds_of_all_workers_are():
    pen = Pen([candidate("a", "linear"), candidate("c", "kernel", 3.0)], {"a": 1.0})
    purse = contest.Purse(pen, None, lambda: 10.0)
    assert purse.price("a", pen.results) == 4.0
    seen = (2 * (4.0 - contest.UNIT_SECONDS) + contest.PRIOR) / (2 * 2.0 + contest.PRIOR)
    assert purse.price("c", pen.results) == pytest.approx(contest.UNIT_SECONDS + 3.0 * seen)  # as slow as the others
    assert purse.left([*pen.results, ("c", 0)], pen.results) == 10 * 2 - purse.price("c", pen.results) / 2


def test_a_family_that_was_looked_at_before_the_plan_has_its_own_pace_until_its_units_tell():
    pen = Pen([candidate("a", "linear"), candidate("c", "kernel", 3.0)], {"a": 1.0})
    purse = contest.Purse(pen, None, lambda: 10.0, {"kernel": 0.25, "linear": 0.25})
    assert purse.price("c", {}) == purse.price("c", pen.results) == contest.UNIT_SECONDS + 3.0 * 0.25
    akin = Pen([candidate("a", "linear"), candidate("b", "linear", 3.0)], {"a": 1.0})
    purse = contest.Purse(akin, None, lambda: 10.0, {"linear": 0.25})
    seen = (2 * (4.0 - contest.UNIT_SECONDS) + 0.25 * contest.PRIOR) / (2 * 2.0 + contest.PRIOR)
    assert purse.price("b", akin.results) == pytest.approx(contest.UNIT_SECONDS + 3.0 * seen)


# ---------------------------------------------------------------- the search

SHAPE = kinds.Shape(2_000, 5, "regression", 1)


def searching(noise, **more):
    default = dict(catalog.load("families", "lightgbm").space(SHAPE).points[0])
    settings = [default | {"leaves": leaves} for leaves in (31, 15, 7)]
    candidates = [candidate(f"lightgbm-{place}", "lightgbm", **each) for place, each in enumerate(settings)]
    candidates += [candidate("linear-0", "linear", penalty=1.0)]
    pen = Pen(candidates, noise)
    return contest.Search(judge(pen), SHAPE, 10**9, **more), pen


def test_new_settings_are_of_the_family_that_has_weight():
    search, pen = searching({"lightgbm-0": 0.1, "lightgbm-1": 0.5, "linear-0": 9.0})
    names = search(pen.results)
    assert names == [f"lightgbm-search-1-{number}" for number in (1, 2, 3, 4)]
    module = catalog.load("families", "lightgbm")
    for one in pen.admitted:
        assert one.why == contest.SEARCHED
        assert one.setting.keys() == module.space(SHAPE).points[0].keys()
        assert one.cost == module.cost(SHAPE, one.setting)


def test_without_anyone_who_was_probed_there_is_nobody_to_learn_from():
    search, pen = searching({})
    assert search(pen.results) == []


def test_a_searched_setting_is_priced_by_the_steps_that_the_best_was_expected_to_need():
    search, pen = searching({"lightgbm-0": 0.1, "linear-0": 9.0})
    best = pen.candidates["lightgbm-0"]
    pen.candidates["lightgbm-0"] = msgspec.structs.replace(best, done=0.2)
    assert search(pen.results)
    for one in pen.admitted:
        assert one.done == pytest.approx(min(1.0, 0.2 * best.setting["rate"] / one.setting["rate"]))
        whole = catalog.load("families", "lightgbm").cost(SHAPE, one.setting).work
        assert one.cost.work == pytest.approx(one.done * whole)


def test_rows_that_the_metric_cannot_score_are_judged_by_their_loss():
    pen = Pen([candidate("a", "linear")], {"a": 0.1})
    pen.data = Data(np.zeros(ROWS, int), None, np.arange(ROWS) % 4, "binary", 2)
    asked = contest.Judge(SimpleNamespace(facts=SimpleNamespace(metric="roc_auc", higher_is_better=True)), pen)
    sure, unsure = (np.tile([1 - p, p], (ROWS, 1)) for p in (0.1, 0.4))
    assert 0 < asked.loss(sure, np.arange(ROWS)) < asked.loss(unsure, np.arange(ROWS))


def test_who_promises_most_on_few_rows_competes_again_with_more():
    search, pen = searching({"lightgbm-0": 0.1, "lightgbm-1": 0.5, "linear-0": 9.0})
    search.shape = kinds.Shape(800_000, 5, "regression", 1)
    whole = {name: contest.at_share(one, search.shape, 1.0) for name, one in pen.candidates.items()}
    pen.candidates |= {name: contest.at_share(one, search.shape, 1 / 16) for name, one in whole.items()}
    pen.candidates["linear-0"] = whole["linear-0"]
    first = search(pen.results)
    assert first[0] == "lightgbm-0@0.25"
    grown = pen.candidates[first[0]]
    assert (grown.share, grown.why) == (0.25, contest.GROWN)
    assert 2 < grown.cost.work / pen.candidates["lightgbm-0"].cost.work < 5
    assert not set(search(pen.results)) & set(first)
    resumed, _ = searching({})
    resumed.judge, resumed.shape = search.judge, search.shape
    assert resumed(pen.results) == first  # found again, in its turn, when a run goes on after a kill
    small, _ = searching({})
    small.judge, small.shape, small.memory_bytes = search.judge, search.shape, 1
    assert not set(small(pen.results)) & set(first)


def test_a_family_that_was_asked_often_gives_way():
    search, pen = searching({"lightgbm-0": 0.5, "linear-0": 0.5})
    families = [name.partition("-")[0] for _ in range(6) for name in search(pen.results)[:1]]
    assert set(families[:3]) == {"lightgbm", "linear"}


def test_it_ends_after_vain_rounds_more_of_them_where_rows_are_many():
    for rows, vain in ((500, 1), (3_000, 2), (50_000, 3)):
        search, pen = searching({"lightgbm-0": 0.1})
        search.shape = kinds.Shape(rows, 5, "regression", 1)
        rounds = [bool(search(pen.results)) for _ in range(6)]
        assert rounds == [True] * vain + [False] * (6 - vain)


def test_nothing_is_searched_where_no_family_has_ranges():
    search, pen = searching({"lightgbm-0": 0.1})
    pen.candidates = {"lightgbm-0": candidate("lightgbm-0", "extra_trees")}
    assert search(pen.results) == []
