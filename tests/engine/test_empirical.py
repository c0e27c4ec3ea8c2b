import numpy as np
import pytest

from forgeline.engine.empirical import distance, distinct, member, middle


def test_distance_of_samples_is_that_of_scipy():
    from scipy.stats import ks_2samp

    draw = np.random.default_rng(7)
    first, second = np.sort(draw.normal(size=50).round(1)), np.sort(draw.normal(0.5, 1, 80).round(1))
    mine = distance(*distinct(first), *distinct(second))
    assert mine == pytest.approx(ks_2samp(first, second).statistic)


def test_a_value_that_many_rows_share_tells_nothing_of_the_spread():
    assert middle(np.array([0.0, 1, 2, 3, 4]), np.array([9, 1, 1, 1, 1])) == pytest.approx((2, 1.4826))


def test_rows_are_found_by_their_value():
    value_V, far_V = np.array([1.0, 2, 30]), np.array([False, False, True])
    assert member(np.array([30.0, 2, np.nan, 30]), value_V, far_V).tolist() == [True, False, False, True]
