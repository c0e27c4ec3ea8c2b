import math

import pytest

from forgeline.engine.interval import Interval


def test_the_first_one_comes_soon():
    assert Interval().seconds == 2.0


def test_is_that_of_young_and_daly():
    interval = Interval(failures=2, hours=1)
    interval.learn(10.0)
    assert interval.seconds == pytest.approx(max(math.sqrt(2 * 10 * 1800), 10 / 0.02))
    interval = Interval(failures=1, hours=100)
    interval.learn(0.5)
    assert interval.seconds == pytest.approx(math.sqrt(2 * 0.5 * 360_000))


def test_saving_never_takes_more_than_its_share():
    interval = Interval(failures=1000, hours=1, most=0.02)
    interval.learn(1.0)
    assert interval.seconds == 50.0


def test_one_dear_save_is_forgotten_slowly():
    interval = Interval()
    for cost in (1.0, 8.0, 1.0, 1.0):
        interval.learn(cost)
    assert interval.cost == pytest.approx(8 * 0.7**2)
