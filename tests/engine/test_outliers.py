import numpy as np
import polars as pl
import pytest

from forgeline.engine.cells import Cells
from forgeline.engine.empirical import member
from forgeline.engine.outliers import outside


def cells(value_N, **more):
    return Cells(pl.DataFrame({"x": value_N, **more}))


def far_rows(found, value_N):
    return np.flatnonzero(member(np.asarray(value_N, float), found.value_V, found.far_V))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_gross_errors_on_both_sides_are_found_row_by_row(share):
    draw = np.random.default_rng(1)
    value_N = draw.normal(50, 5, 4000)
    bad = np.sort(draw.choice(4000, int(share * 4000), replace=False))
    value_N[bad] = 50 + draw.choice([-1, 1], len(bad)) * draw.uniform(8, 20, len(bad)) * 5
    found = outside(cells(value_N), "x")
    assert found.conversion is None
    rows = far_rows(found, value_N)
    assert len(np.intersect1d(rows, bad)) >= 0.95 * max(len(rows), len(bad))


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_errors_on_one_side_make_those_on_the_other_certain(share):
    draw = np.random.default_rng(1)
    value_N = draw.gamma(1.2, 10, 3000).round(2)
    bad = np.sort(draw.choice(3000, int(share * 3000), replace=False))
    value_N[bad] = value_N.mean() + draw.choice([-1, 1], len(bad)) * draw.uniform(8, 20, len(bad)) * value_N.std()
    rows = far_rows(outside(cells(value_N), "x"), value_N)
    assert len(np.intersect1d(rows, bad)) >= 0.9 * max(len(rows), len(bad))


def test_only_what_lies_like_the_errors_of_the_other_side_is_one():
    draw = np.random.default_rng(2)
    value_N = np.append(draw.lognormal(0, 1, 3000), -draw.uniform(20, 60, 150))
    rows = far_rows(outside(cells(value_N), "x"), value_N)
    assert set(rows) == set(range(3000, 3150))


def test_heaps_of_few_rows_near_the_bulk_are_clean():
    draw = np.random.default_rng(3)
    value_N = np.where(draw.random(213) < 0.6, draw.normal(130, 17, 213).round(-1), draw.normal(130, 17, 213).round(0))
    assert outside(cells(value_N), "x") is None
    low_N = np.append(draw.normal(100, 10, 380), draw.uniform(75, 78, 20))  # beyond a gap, but no further than others
    assert outside(cells(low_N), "x") is None


def test_large_numbers_that_are_rounded_are_clean():
    draw = np.random.default_rng(5)
    value_N = draw.lognormal(7, 1, 5000)
    value_N = np.where(value_N > 3000, value_N.round(-2), value_N.round(0))
    assert outside(cells(value_N), "x") is None


@pytest.mark.parametrize(
    "honest",
    [
        lambda draw: draw.lognormal(0, 1.5, 4000),
        lambda draw: draw.standard_t(3, 4000),
        lambda draw: draw.pareto(1.5, 4000),
        lambda draw: np.where(draw.random(4000) < 0.9, 0, draw.lognormal(8, 1, 4000)),
        lambda draw: np.concatenate([draw.normal(0, 1, 2500), draw.normal(9, 1, 1500)]),
        lambda draw: draw.poisson(2, 4000).astype(float),
        lambda draw: draw.uniform(0, 1, 4000).round(3),
        lambda draw: draw.integers(0, 3, 4000).astype(float),
    ],
)
def test_honest_columns_have_nothing_outside(honest):
    assert outside(cells(honest(np.random.default_rng(2))), "x") is None


@pytest.mark.parametrize("factor", [1000, 0.001, 100, 0.01, 2.54, 0.45359237])
def test_rows_in_another_unit_are_found_with_the_factor(factor):
    draw = np.random.default_rng(3)
    value_N = draw.normal(170, 10, 4000).round(0)
    bad = np.sort(draw.choice(4000, 200, replace=False))
    value_N[bad] *= factor
    found = outside(cells(value_N), "x")
    assert found.conversion.factor == pytest.approx(factor)
    rows = far_rows(found, value_N)
    assert len(np.intersect1d(rows, bad)) >= 0.95 * max(len(rows), len(bad))


def test_a_value_of_many_rows_is_so_in_the_other_unit_too():
    draw = np.random.default_rng(3)
    value_N = np.where(draw.random(4000) < 0.5, 40, draw.normal(42, 8, 4000).round(0))
    bad = np.sort(draw.choice(4000, 200, replace=False))
    value_N[bad] *= 100
    found = outside(cells(value_N), "x")
    assert found.conversion.factor == 100
    assert set(far_rows(found, value_N)) == set(bad)


@pytest.mark.parametrize("rows", [250, 500, 1000])
def test_small_numbers_of_as_many_digits_as_large_ones_are_clean(rows):
    draw = np.random.default_rng(rows)
    value_N = np.array([float(f"{value:.3g}") for value in draw.uniform(-1.75, 1.75, rows)])
    assert outside(cells(value_N), "x", ratios=True) is None


def test_a_far_group_that_another_column_gives_away_is_no_error():
    draw = np.random.default_rng(5)
    value_N = np.concatenate([draw.normal(0, 1, 3800), draw.uniform(10, 30, 200)])
    kind_N = ["house"] * 3800 + ["castle"] * 200
    assert outside(cells(value_N), "x") is not None
    assert outside(cells(value_N, kind=kind_N), "x") is None


def test_one_value_repeated_far_out_is_a_marker_and_no_outlier():
    draw = np.random.default_rng(6)
    value_N = np.concatenate([draw.normal(0, 1, 3800), np.full(200, -999.0)])
    assert outside(cells(value_N), "x") is None
