import numpy as np
import pytest

from forgeline.engine import stats
from forgeline.engine.seeds import Seed


def mean(y_N, p_NK, weight_N):
    return float(np.average(y_N, weights=weight_N))


def nothing(count):
    return np.zeros((count, 1))


def test_wilson_matches_the_worked_example():
    # Newcombe 1998, table I: 81 of 263
    assert stats.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert stats.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert stats.wilson(0, 0) == (0.0, 1.0)


def test_ratio_interval_matches_the_worked_example():
    # 15 of 100 against 30 of 100: se = √(1/15 − 1/100 + 1/30 − 1/100) = √0.08
    ratio, low, high = stats.ratio_interval(15, 100, 30, 100)
    assert ratio == 0.5
    assert (low, high) == pytest.approx((0.5 * np.exp(-1.959964 * 0.08**0.5), 0.5 * np.exp(1.959964 * 0.08**0.5)))


def test_ratio_interval_of_no_success_starts_at_zero():
    ratio, low, high = stats.ratio_interval(0, 50, 25, 50)
    assert ratio == low == 0
    assert 0 < high < 0.5
    assert np.isnan(stats.ratio_interval(3, 50, 0, 50)).all()


@pytest.mark.parametrize("rows", [200, 4 * stats.MOST_ROWS])
def test_bootstrap_of_a_mean_is_as_wide_as_theory_says(rows):
    y = np.random.default_rng(1).normal(size=rows)
    low, high = stats.bootstrap(mean, y, nothing(rows), None, Seed(5), draws=1000)
    reach = 1.96 * y.std() / rows**0.5
    assert low == pytest.approx(y.mean() - reach, abs=0.15 * reach)
    assert high == pytest.approx(y.mean() + reach, abs=0.15 * reach)


def test_bootstrap_covers_the_truth_as_often_as_it_says():
    draw = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        y = draw.normal(size=80)
        low, high = stats.bootstrap(mean, y, nothing(80), None, Seed(trial), draws=100)
        covered += low <= 0 <= high
    assert 0.91 <= covered / 200 <= 0.98


def test_bootstrap_is_a_function_of_its_seed_and_heeds_weights():
    y, weight = np.array([0.0, 1.0] * 50), np.array([0.0, 2.0] * 50)
    assert stats.bootstrap(mean, y, nothing(100), None, Seed(1)) == stats.bootstrap(
        mean, y, nothing(100), None, Seed(1)
    )
    assert stats.bootstrap(mean, y, nothing(100), None, Seed(1)) != stats.bootstrap(
        mean, y, nothing(100), None, Seed(2)
    )
    assert stats.bootstrap(mean, y, nothing(100), weight, Seed(1)) == (1.0, 1.0)


def test_draws_that_cannot_be_scored_are_left_out():
    def undefined(y_N, p_NK, weight_N):
        return float("nan") if y_N.min() == 1 else 0.25

    assert stats.bootstrap(undefined, np.array([0.0, 1.0, 1.0]), nothing(3), None, Seed(0)) == (0.25, 0.25)
    assert np.isnan(stats.bootstrap(undefined, np.ones(3), nothing(3), None, Seed(0))).all()


def test_a_paired_difference_is_sharper_than_two_intervals():
    draw = np.random.default_rng(4)
    y = draw.normal(size=500)
    near = (y + draw.normal(size=500))[:, None]
    far = near + 0.1

    def bias(y_N, p_NK, weight_N):
        return float(np.average(p_NK[:, 0] - y_N, weights=weight_N))

    difference, low, high = stats.paired_difference(bias, y, far, near, None, Seed(0))
    assert (difference, low, high) == pytest.approx((0.1, 0.1, 0.1))


def test_of_two_classes_the_positive_one_is_predicted_from_one_half_on():
    assert stats.predicted(np.array([[0.5, 0.5], [0.6, 0.4]])).tolist() == [1, 0]
    assert stats.predicted(np.array([[0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])).tolist() == [0, 2]


def test_confusion_counts_weight_by_true_and_predicted_class():
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    assert stats.confusion(np.array([0, 0, 1]), p, np.array([1.0, 2.0, 4.0])).tolist() == [
        [1.0, 2.0],
        [0.0, 4.0],
    ]
