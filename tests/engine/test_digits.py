import numpy as np
import polars as pl

from forgeline.engine.cells import Cells
from forgeline.engine.empirical import member
from forgeline.engine.outliers import outside


def odd(value_N):
    return outside(Cells(pl.DataFrame({"x": value_N})), "x")


def test_numbers_with_zeros_where_others_have_none_are_in_another_unit():
    draw = np.random.default_rng(4)
    value_N = draw.lognormal(7, 0.8, 5000).round(0)
    assert odd(value_N) is None
    bad = np.sort(draw.choice(5000, 250, replace=False))
    value_N[bad] *= 10
    found = odd(value_N)
    rows = np.flatnonzero(member(value_N, found.value_V, found.far_V))
    assert found.conversion.factor == 10
    assert len(np.intersect1d(rows, bad)) >= 0.95 * len(rows)
    assert len(np.intersect1d(rows, bad)) >= 0.7 * len(bad)  # the others lie among rows of which every tenth has one


def test_degrees_are_told_by_their_decimals_and_every_fifth_by_its_neighbours():
    draw = np.random.default_rng(4)
    value_N = draw.normal(20, 4, 4000).round(0)
    bad = np.sort(draw.choice(4000, 400, replace=False))
    value_N[bad] = value_N[bad] * 1.8 + 32
    found = odd(value_N)
    assert (found.conversion.factor, found.conversion.shift) == (1.8, 32)
    rows = np.flatnonzero(member(value_N, found.value_V, found.far_V))
    assert len(np.intersect1d(rows, bad)) >= 0.95 * max(len(rows), len(bad))


def test_finer_decimals_tell_another_unit_amid_the_bulk():
    draw = np.random.default_rng(5)
    value_N = draw.lognormal(4, 0.5, 4000).round(0)
    bad = np.sort(draw.choice(4000, 200, replace=False))
    value_N[bad] *= 2.54
    found = odd(value_N)
    assert found.conversion.factor == 2.54
    rows = np.flatnonzero(member(value_N, found.value_V, found.far_V))
    assert len(np.intersect1d(rows, bad)) >= 0.9 * max(len(rows), len(bad))
