from types import SimpleNamespace

import pytest

from forgeline import catalog, kinds, networks, portfolio, spec
from forgeline.errors import BadInput
from forgeline.portfolio import Order, Point, Portfolio
from forgeline.records import Candidate, Cost
from forgeline.stages import plan

SHAPE = kinds.Shape(1000, 20, "binary", 2)
WORK = SimpleNamespace(workers=SimpleNamespace(memory_bytes=10**9, count=2))


def priced(name, work, memory_bytes=10**6):
    cost = Cost(work=work, seconds=work, memory_bytes=memory_bytes, size_bytes=1, flops_per_row=1.0)
    return Candidate(name=name, family=name, setting={}, cost=cost, fits=True, why="")


def test_metrics_suit_the_task():
    assert [plan.metric_for("", task) for task in ("binary", "multiclass", "regression")] == [
        *("log_loss", "log_loss", "rmse"),
    ]
    assert plan.metric_for("roc_auc", "binary") == "roc_auc"
    with pytest.raises(BadInput, match=r"metric rmse does not score a binary task.*Known: accuracy"):
        plan.metric_for("rmse", "binary")
    assert plan.metric_for("pinball@90", "regression") == "pinball@90"
    with pytest.raises(BadInput, match=r"metric pinball@90 does not score a binary task"):
        plan.metric_for("pinball@90", "binary")
    with pytest.raises(BadInput, match=r"Did you mean roc_auc\?"):
        plan.metric_for("roc_acu", "binary")


LEARNED = Portfolio(
    about="made up",
    points={
        "boosting": Point("lightgbm", {"leaves": 7}, 0.5),
        "straight": Point("linear"),
        "forest": Point("extra_trees"),
    },
    orders=[
        Order("classes", 2000, ["straight", "boosting", "forest"]),
        Order("classes", None, ["boosting", "straight"]),
        Order("values", None, ["boosting"]),
    ],
)


def test_the_portfolios_order_for_the_size_and_task():
    def names(shape):
        return [each.name for each in plan.candidates(spec.Train(families=["linear", "lightgbm"]), shape, LEARNED)]

    assert names(SHAPE) == ["straight", "boosting"]
    assert names(kinds.Shape(3000, 20, "binary", 2)) == ["boosting", "straight"]
    assert names(kinds.Shape(3000, 20, "regression", 1))[0] == "boosting"


def test_a_point_is_the_familys_default_but_for_what_it_says_and_costs_what_will_be_needed():
    (found,) = plan.from_portfolio(LEARNED, ["lightgbm"], SHAPE)
    module = catalog.load("families", "lightgbm")
    assert found.setting == module.space(SHAPE).points[0] | {"leaves": 7}
    assert found.cost.work == pytest.approx(module.cost(SHAPE, found.setting).work / 2)


def test_a_family_that_the_portfolio_does_not_know_competes_with_its_own_points():
    found = plan.candidates(spec.Train(families=["kernel", "lightgbm"]), SHAPE, LEARNED)
    names = [each.name for each in found]
    assert [name for name in names if name.startswith("kernel")] == ["kernel-1", "kernel-2", "kernel-3"]
    assert names.count("boosting") == 1


def test_families_that_compete_unasked_are_in_the_shipped_portfolio_unless_it_learned_that_they_give_nothing():
    learned = portfolio.read(None)
    found = plan.candidates(spec.Train(), SHAPE, learned)
    able = [name for name in catalog.names("families") if catalog.load("families", name).space(SHAPE).points]
    competing = {name for name in able if plan.competes(name)}
    entered = {each.family for each in found}
    assert entered <= competing
    assert all(plan.knows(learned, name) for name in competing - entered)
    assert {"linear", "lightgbm", "network", "extra_trees"} <= entered
    assert len({each.name for each in found}) == len(found)


def test_a_family_with_a_setting_competes_with_that_one():
    train = spec.Train(families=["linear", {"use": "lightgbm", "trees": 7}])
    found = {each.name: each for each in plan.candidates(train, SHAPE, LEARNED)}
    assert found["lightgbm-1"].setting["trees"] == 7
    assert found["lightgbm-1"].setting.keys() == catalog.load("families", "lightgbm").space(SHAPE).points[0].keys()
    assert {each.family for each in found.values()} == {"linear", "lightgbm"}


def test_a_family_whose_package_is_missing_is_left_out_or_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(catalog.load("families", "catboost"), "REQUIRES", ("no_such_package", "boost"))
    assert not plan.competes("catboost")
    assert plan.competes("linear")
    assert not plan.competes("neighbours")  # it keeps rows
    assert not plan.competes("tabm")  # it says so
    with pytest.raises(BadInput, match=r"needs the package no_such_package.*forgeline\[boost\]"):
        plan.families(spec.Train(families=["catboost"]))


def test_a_torch_that_is_broken_is_told_before_anything_is_done(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(plan.compatible, "complaint", lambda: ("torch 2.1 is too old", "Install a newer one."))
    with pytest.raises(BadInput, match=r"family tabm: torch 2\.1 is too old. Install a newer one"):
        plan.families(spec.Train(families=["tabm"]))
    assert plan.families(spec.Train(families=["linear"])) == [("linear", {})]


@pytest.mark.parametrize(
    ("families", "says"),
    [
        (["liner"], r"Did you mean linear\?"),
        ([{"trees": 3}], "a family is named by `use`"),
        ([{"use": "lightgbm", "tres": 3}], r"lightgbm has no option tres.*Did you mean trees\?"),
    ],
)
def test_families_that_cannot_be(families, says):
    with pytest.raises(BadInput, match=says):
        plan.candidates(spec.Train(families=families), SHAPE, LEARNED)


def test_what_fits_the_work_in_order():
    """Five folds of 1, 3, 1 and 0.5 units against 10: the second is too dear, the later ones still fit."""
    judged = plan.judge(
        [priced("a", 1.0), priced("b", 3.0), priced("c", 0.5), priced("d", 0.5)], 5, spec.Budget(work=10), WORK
    )
    assert [each.fits for each in judged] == [True, False, True, True]
    assert judged[1].why == "needs 15.00 work units, 5.00 are left"
    assert judged[3].why == "2.50 work units, 0.00 left after it"


def test_under_a_time_budget_all_may_try():
    judged = plan.judge([priced("a", 1e9)], 5, spec.Budget(time="60s"), WORK)
    assert judged[0].fits


def test_what_fits_the_memory_of_one_worker():
    candidates = [priced("small", 1.0, 4 * 10**8), priced("large", 1.0, 6 * 10**8)]
    assert [each.fits for each in plan.judge(candidates, 5, spec.Budget(work=100), WORK)] == [True, True]
    small = SimpleNamespace(workers=SimpleNamespace(memory_bytes=5 * 10**8, count=2))
    judged = plan.judge(candidates, 5, spec.Budget(work=100), small)
    assert [each.fits for each in judged] == [True, False]
    assert judged[1].why == "needs 0.60 GB of 0.50 GB"


def many(rows, families=("linear", "extra_trees", "network")):
    shape = kinds.Shape(rows, 20, "regression", 1)
    return shape, plan.candidates(spec.Train(families=list(families)), shape, LEARNED)


def test_small_tables_are_never_sampled():
    shape, candidates = many(30_000)
    assert plan.sampled(candidates, shape, 5, 0.1, 10**12) == candidates


def test_large_tables_begin_with_the_share_of_rows_that_the_budget_bears():
    shape, candidates = many(4_000_000)
    everything = plan.sampled(candidates, shape, 2, 10_000, 10**12)
    assert everything[:2] == candidates[:2]
    begun = plan.sampled(candidates, shape, 2, 120, 10**12)
    cheapest = min((each for each in begun if each.family != "linear"), key=lambda each: each.cost.work)
    assert cheapest.share in (1 / 4, 1 / 16, 1 / 64, 1 / 256)
    assert 2 * cheapest.cost.work <= 120 / 8
    assert cheapest.name.endswith(f"@{cheapest.share:g}")


def test_what_a_worker_cannot_hold_gets_fewer_rows():
    shape, candidates = many(4_000_000, ["network"])
    (first, *_) = plan.sampled(candidates, shape, 2, 10**9, 10**9)
    assert first.share < 1
    assert first.cost.memory_bytes <= 10**9
    assert first.share * shape.rows >= 10_000


@pytest.mark.parametrize(("part", "replaced"), [(1.1, None), (0.5, True), (0.05, False), (0.03, False)])
def test_the_first_candidate_is_bounded_where_the_budget_could_end_before_it(part, replaced):
    """A fiftieth of its trees are expected to be needed; three times as many stand for all of them."""
    shape = kinds.Shape(10_000, 20, "regression", 1)
    first, other = (plan.candidate(name, "lightgbm", BOOSTING, shape, 0.02) for name in ("first", "other"))
    allowed = 4 * part * 5 * first.cost.work / first.done
    head, *rest = plan.opened([first, other], shape, 5, allowed)
    if replaced is None:
        assert [head, *rest] == [first, other]
        return
    assert head.name == "first-brief"
    assert head.cost.work / head.done == pytest.approx(part * first.cost.work / first.done, rel=0.2)
    assert head.cost.work == pytest.approx(min(first.cost.work, head.cost.work / head.done), rel=0.01)
    assert rest == ([other] if replaced else [first, other])


BOOSTING = {
    **{"trees": 2000, "rate": 0.1, "leaves": 31, "columns": 1.0, "rows": 1.0, "least": 20, "penalty": 0.0},
    "extra": False,
}


def test_what_is_brief_goes_before_the_baseline():
    shape = kinds.Shape(10_000, 20, "binary", 2)
    straight = plan.candidate("straight", "linear", {"penalty": 1.0}, shape)
    first = plan.candidate("first", "lightgbm", BOOSTING, shape, 0.02)
    opened = plan.opened([straight, first], shape, 5, first.cost.work / first.done)
    assert [each.name for each in opened] == ["first-brief", "straight", "first"]


def test_a_family_that_cannot_be_brief_opens_as_it_is():
    shape, candidates = many(30_000, ["linear"])
    assert plan.opened(candidates, shape, 5, 1e-6) == candidates


def test_what_is_left_is_kept_for_a_replay():
    notes = []
    work = SimpleNamespace(
        decided=lambda do, **where: notes[-1] if notes else None,
        note=lambda do, **fields: notes.append(fields),
        clock=SimpleNamespace(remaining=50.0),
        workers=SimpleNamespace(count=2),
    )
    assert plan.allowance(spec.Budget(work=7), work) == 7
    assert not notes
    assert plan.allowance(spec.Budget(time="60s"), work) == 100
    work.clock.remaining = 3.0
    assert plan.allowance(spec.Budget(time="60s"), work) == 100


def test_a_family_that_is_asked_for_twice_has_two_names():
    asked = spec.Train(families=["lightgbm", {"use": "lightgbm", "trees": 5}, {"use": "lightgbm", "trees": 9}])
    learned = portfolio.Portfolio("", {"lightgbm-1": Point("lightgbm")}, [Order("classes", None, ["lightgbm-1"])])
    found = {each.name: each.setting["trees"] for each in plan.candidates(asked, SHAPE, learned)}
    assert sorted(found) == ["lightgbm-1", "lightgbm-1.2", "lightgbm-1.3"]
    assert set(found.values()) == {5, 9, 100}


def test_a_portfolio_that_sets_what_a_family_has_not_is_refused():
    learned = Portfolio("", {"a": Point("network", {"widht": 9})}, [Order("classes", None, ["a"])])
    with pytest.raises(BadInput, match=r"point a sets widht.*Did you mean width\?"):
        plan.candidates(spec.Train(families=["network"]), SHAPE, learned)


def test_a_value_that_makes_no_sense_is_refused():
    with pytest.raises(BadInput, match="lightgbm cannot have least = 0"):
        plan.candidates(spec.Train(families=[{"use": "lightgbm", "least": 0}]), SHAPE, LEARNED)


def test_a_candidate_keeps_all_but_its_verdict():
    before = priced("a", 1.0)
    after = plan.decided(before, False, "too dear")
    assert (after.name, after.cost, after.fits, after.why) == ("a", before.cost, False, "too dear")


@pytest.mark.parametrize(("cores", "most"), [(None, 0.2), (1, 0.2), (2, 0.15), (16, 0.01875)])
def test_a_fold_of_pictures_ends_in_time_on_any_number_of_cores(cores, most):
    """Three folds: two probes at once, then the third; none may take longer than its part of the clock."""
    shape = kinds.Shape(40_000, 196, "multiclass", 10, None, None, ((28, 28, 1),))
    train = spec.Train(families=["linear", "convnet"])
    priced = plan.candidates(train, shape, LEARNED)
    allowed = 3_000.0
    found, _ = networks.ordered(priced, {}, shape, 3, allowed, cores, None)
    assert found[0].family == "linear"
    assert found[1].family == "convnet"
    assert found[1].cost.work <= 1.02 * most * allowed
    assert found[1].cost.work >= 0.8 * most * allowed
    named = spec.Train(families=["linear", {"use": "convnet", "width": 40}])
    kept, _ = networks.ordered(
        plan.candidates(named, shape, LEARNED), {"convnet": True}, shape, 3, allowed, cores, None
    )
    assert [each.setting["width"] for each in kept if each.family == "convnet"] == [40]


def test_a_measured_pace_changes_the_steps_that_a_network_is_given():
    """Twice as slow as the price list says: half the work fits; twice as fast: twice as much."""
    shape = kinds.Shape(40_000, 196, "multiclass", 10, None, None, ((28, 28, 1),))
    train = spec.Train(families=["convnet"])
    priced = plan.candidates(train, shape, LEARNED)

    def works(pace):
        paces = None if pace is None else {"convnet": pace}
        found, _ = networks.ordered(priced, {}, shape, 3, 3_000.0, 2, None, paces)
        return [each.cost.work for each in found[:1]]

    assert works(1.0) == works(None)
    assert works(2.0) == pytest.approx([each / 2 for each in works(1.0)], rel=0.1)
    assert works(0.5) == pytest.approx([each * 2 for each in works(1.0)], rel=0.1)
    named = spec.Train(families=[{"use": "convnet", "width": 40}])
    asked = plan.candidates(named, shape, LEARNED)
    assert networks.ordered(asked, {"convnet": True}, shape, 3, 3_000.0, 2, None, {"convnet": 2.0})[0] == asked
