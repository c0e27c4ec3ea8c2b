from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from forgeline import models
from forgeline.records import Calibration, Member, Ref, Unit
from forgeline.stages import compress
from forgeline.stages.compress import Option, counted_choice, price, saved

NONE = Calibration(method="none")


def option(*names, loss=0.0, size_bytes=100, flops=10.0):
    members = [Member(candidate=name, family="f", weight=1.0, units=[], score=0.0) for name in names]
    return Option(members, NONE, loss, size_bytes, flops, (size_bytes, flops))


def test_what_is_saved_is_the_mean_of_bytes_and_operations():
    assert saved(option(), option(size_bytes=50, flops=10.0)) == pytest.approx(0.25)
    assert saved(option(), option(size_bytes=50, flops=5.0)) == pytest.approx(0.5)


def test_the_cheapest_loss_goes_first_and_gains_before_all():
    whole = option("a", "b", "c", size_bytes=100, flops=100.0)
    dear = option("a", "b", loss=0.001, size_bytes=90, flops=90.0)
    cheap = option("a", "c", loss=0.002, size_bytes=10, flops=10.0)
    gain = option("b", "c", loss=-0.001, size_bytes=95, flops=95.0)
    ranked = sorted([dear, cheap, gain], key=lambda each: price(whole, each))
    assert ranked == [gain, cheap, dear]


def test_of_two_gains_the_one_that_saves_more_goes_first():
    whole = option(size_bytes=100, flops=100.0)
    little, much = (option(loss=-0.001, size_bytes=size, flops=float(size)) for size in (90, 10))
    assert price(whole, much) < price(whole, little)


def test_the_fewest_bytes_are_chosen_then_the_fewest_operations():
    options = [option("a", size_bytes=9, flops=1.0), option("b", size_bytes=5, flops=8.0)]
    assert counted_choice(options).names == ["b"]
    assert counted_choice([*options, option("c", size_bytes=5, flops=7.0)]).names == ["c"]


def test_what_is_too_large_does_not_ship_whatever_the_loss():
    ask = 0.01, 50
    whole, half, quarter = (
        option("a", "b", "c", size_bytes=100),
        option("a", "b", loss=0.03, size_bytes=50),
        option("a", loss=0.2, size_bytes=25),
    )
    assert compress.affordable([whole, half, quarter], *ask) == [half]
    assert compress.affordable([whole, option("a", "b", loss=0.001, size_bytes=40)], *ask)[0].loss == 0.001
    assert compress.affordable([whole], *ask) == [whole]  # there is nothing smaller
    roomy = 0.13, 20_000_000
    assert compress.affordable([whole, half, quarter], *roomy) == [whole, half]


def test_a_small_saving_allows_a_small_loss():
    whole = option("a", "b", size_bytes=100, flops=100.0)
    little = option("a", loss=0.0011, size_bytes=50, flops=50.0)
    much = option("b", loss=0.0011, size_bytes=10, flops=10.0)
    assert compress.affordable([whole, little, much], 0.002, 20_000_000) == [whole, much]


def test_size_is_that_of_the_graphs():
    refs = [Ref(digest=str(at) * 64, size_bytes=7) for at in range(2)]
    units = [Unit(candidate="a", fold=fold, model=refs[fold], predictions=refs[0], share=1.0) for fold in (0, 1)]
    member = Member(candidate="a", family="f", weight=1.0, units=units, score=0.0)
    assert compress.size_of([member, member]) == 28
    twice = msgspec.structs.replace(member, refits=[units[0], units[0]])
    assert compress.size_of([twice]) == 7


def test_fewer_models_of_the_largest_members_ship_before_a_member_goes():
    def member(name, size):
        refs = [Ref(digest=f"{name}{at}" * 32, size_bytes=size) for at in range(5)]
        units = [Unit(candidate=name, fold=at, model=ref, predictions=ref, share=1.0) for at, ref in enumerate(refs)]
        return Member(candidate=name, family="f", weight=0.5, units=units, score=0.0)

    members = [member("a", 10), member("b", 2)]
    assert compress.fewer(members, 60) == members
    assert [len(each.shipped) for each in compress.fewer(members, 35)] == [2, 5]
    few = compress.fewer(members, 1)
    assert [len(each.shipped) for each in few] == [1, 1]
    assert [each.shipped[0].fold for each in few] == [0, 1]  # together they know all rows
    assert [unit.fold for unit in compress.fewer(members, 35)[1].shipped] == [0, 1, 2, 3, 4]
    six = [member(name, 1) for name in "abcdef"]
    assert [unit.fold for each in compress.fewer(six, 12) for unit in each.shipped] == [
        0,
        1,
        2,
        3,
        4,
        0,
        1,
        2,
        3,
        4,
        0,
        1,
    ]


def test_room_that_a_member_leaves_is_for_models_of_the_others(monkeypatch):
    def member(name, size):
        refs = [Ref(digest=f"{name}{at}" * 32, size_bytes=size) for at in range(5)]
        units = [Unit(candidate=name, fold=at, model=ref, predictions=ref, share=1.0) for at, ref in enumerate(refs)]
        return Member(candidate=name, family="f", weight=0.5, units=units, score=0.0)

    draw = np.random.default_rng(0)
    y_N = draw.normal(size=200)
    answers = {"a": y_N + draw.normal(size=200), "b": y_N + 0.1 * draw.normal(size=200)}
    monkeypatch.setattr(compress.models, "out_of_fold", lambda member, *_: answers[member.candidate][:, None])
    candidates = [SimpleNamespace(name=name, cost=SimpleNamespace(flops_per_row=100.0)) for name in "ab"]
    facts = SimpleNamespace(members=[member("a", 10), member("b", 10)], metric="rmse", searched=[], calibration=NONE)
    data = models.Data(y_N=y_N, weight_N=None, fold_N=np.arange(200) % 5, task="regression", outputs=1)
    plan = SimpleNamespace(facts=SimpleNamespace(candidates=candidates))
    whole, alone = compress.frontier(50, SimpleNamespace(facts=facts), plan, None, data, None)
    assert [len(each.shipped) for each in whole.members] == [2, 3]
    assert (whole.size_bytes, whole.flops, whole.whole) == (50, 500.0, (100, 1000.0))
    assert (alone.names, len(alone.members[0].shipped)) == (["b"], 5)
    assert saved(whole, alone) == pytest.approx(0.5)


def test_latency_percentiles_are_measured_numbers():
    found = compress.seconds(np.arange(101) / 1000, 99)
    assert (found.value, found.unit, found.n, found.measured) == (pytest.approx(0.099), "s", 101, True)
