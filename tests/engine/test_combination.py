import numpy as np
import pytest

from forgeline.engine import combination

DRAW = np.random.default_rng(6)


def find(x_NF, y_N, most=8):
    return combination.find(x_NF, y_N, most=most, tolerance=1e-6)


@pytest.mark.parametrize("columns", [5, 30, 300])
def test_the_columns_that_make_the_target_are_found(columns):
    x = DRAW.normal(size=(240, columns))
    assert find(x, 2 * x[:, 1] - x[:, 4] + 3) == [1, 4]


def test_no_more_columns_than_asked_for():
    x = DRAW.normal(size=(200, 9))
    assert find(x, x.sum(axis=1), most=9) == list(range(9))
    assert find(x, x.sum(axis=1), most=8) == []


def test_large_offsets_and_scales_do_not_hide_a_sum():
    x = DRAW.normal(size=(200, 4)) * [1e-6, 1.0, 1e6, 1.0] + [0, 1e9, 0, -1e5]
    assert find(x, 1e6 * x[:, 0] + 1e-6 * x[:, 2]) == [0, 2]


def test_columns_that_do_not_vary_are_left_out():
    x = np.column_stack([np.full(100, 0.1), DRAW.normal(size=100)])
    assert find(x, x[:, 1] + 5) == [1]
    assert find(x[:, :1], x[:, 1]) == []


def test_noise_is_no_combination():
    x = DRAW.normal(size=(200, 20))
    assert find(x, DRAW.normal(size=200)) == []
    assert find(x, x[:, 0] + 1e-4 * DRAW.normal(size=200)) == []


def test_a_fit_speaks_in_the_units_of_the_columns():
    x = DRAW.normal(size=(50, 2)) + 100
    found = combination.fit(x, 3 * x[:, 0] - x[:, 1] + 7)
    assert [*found.coefficients, found.intercept] == pytest.approx([3, -1, 7])
    assert found.residual < 1e-12


def test_the_sample_is_bounded_and_repeats():
    rows = combination.sample(1_000_000, 20)
    assert len(set(rows.tolist())) == combination.MOST_ROWS
    assert (rows == combination.sample(1_000_000, 20)).all()
    assert len(combination.sample(1_000_000, 10_000)) == 2000
