from types import SimpleNamespace

import pytest

from forgeline import catalog, kinds, spec
from forgeline.errors import BadInput
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
    with pytest.raises(BadInput, match=r"Did you mean roc_auc\?"):
        plan.metric_for("roc_acu", "binary")


def test_at_most_twelve_candidates_and_the_cheapest_first():
    found = plan.candidates(spec.Train(), SHAPE, WORK)
    assert 3 <= len(found) <= plan.MOST_CANDIDATES
    assert {each.family for each in found} == set(catalog.names("families"))
    first = {each.family: place for place, each in reversed(list(enumerate(found)))}
    costs = [found[place].cost.work for place in sorted(first.values())]
    assert costs == sorted(costs)
    assert len({each.name for each in found}) == len(found)


def test_each_familys_own_order_is_kept():
    found = plan.candidates(spec.Train(), SHAPE, WORK)
    for family in catalog.names("families"):
        names = [each.name for each in found if each.family == family]
        assert names == [f"{family}-{place + 1}" for place in range(len(names))]


def test_a_family_with_a_setting_competes_with_that_one():
    train = spec.Train(families=["linear", {"use": "lightgbm", "trees": 7}])
    found = {each.name: each for each in plan.candidates(train, SHAPE, WORK)}
    assert found["lightgbm-1"].setting["trees"] == 7
    assert found["lightgbm-1"].setting.keys() == catalog.load("families", "lightgbm").space(SHAPE).points[0].keys()
    assert {each.family for each in found.values()} == {"linear", "lightgbm"}


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
        plan.candidates(spec.Train(families=families), SHAPE, WORK)


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
    judged = plan.judge(candidates, 5, spec.Budget(work=100, memory="1GB"), WORK)
    assert [each.fits for each in judged] == [True, False]
    assert judged[1].why == "needs 0.60 GB of 0.50 GB"


def test_a_candidate_keeps_all_but_its_verdict():
    before = priced("a", 1.0)
    after = plan.decided(before, False, "too dear")
    assert (after.name, after.cost, after.fits, after.why) == ("a", before.cost, False, "too dear")
