import numpy as np
import pytest
from scipy import stats

from forgeline.engine.order import Order
from forgeline.engine.seeds import Seed


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 64, 100, 1000, 4097])
def test_every_epoch_has_every_row_once(rows):
    order = Order(rows, Seed(3))
    for epoch in range(3):
        assert sorted(order.take(epoch * rows, rows)) == list(range(rows))


def test_any_place_can_be_asked_for_by_itself():
    order = Order(1000, Seed(3))
    whole = order.take(0, 3500)
    assert np.array_equal(np.concatenate([order.take(at, 7) for at in range(0, 3500, 7)]), whole)
    assert np.array_equal(order.take(995, 10), whole[995:1005])


def test_epochs_and_seeds_differ():
    first, second = Order(1000, Seed(3)).take(0, 2000).reshape(2, -1)
    other = Order(1000, Seed(4)).take(0, 1000)
    assert (first == second).mean() < 0.01
    assert (first == other).mean() < 0.01


def test_a_place_may_hold_any_row():
    rows = 20
    found = np.stack([Order(rows, Seed(seed)).take(0, rows) for seed in range(2000)])
    for place in range(rows):
        assert stats.chisquare(np.bincount(found[:, place], minlength=rows)).pvalue > 1e-4


def test_neighbours_are_strangers():
    order = Order(4096, Seed(3)).take(0, 4096)
    assert stats.pearsonr(order[:-1], order[1:]).pvalue > 1e-3
    apart = np.abs(np.diff(order)) / 4096
    assert apart.mean() == pytest.approx(1 / 3, abs=0.02)  # of two uniform numbers


def test_far_places_cost_what_near_ones_do():
    order = Order(10**9, Seed(3))
    found = order.take(10**12 + 5, 64)
    assert len(set(found)) == 64
    assert found.max() < 10**9
