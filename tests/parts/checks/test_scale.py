import numpy as np
import polars as pl

from forgeline.parts.checks import outlier, scale
from forgeline.testing import view


def heights(draw, rows=2000):
    return draw.normal(170, 9, rows).round(0)


def test_rows_in_another_unit_are_named_with_the_factor():
    draw = np.random.default_rng(1)
    value_N = heights(draw)
    bad = np.arange(0, 2000, 20)
    value_N[bad] *= 1000
    table, target = view(pl.DataFrame({"height": value_N}))
    (found,) = scale.check(table, target)
    assert (found.code, found.columns, found.numbers["factor"]) == ("quality.scale", ["height"], 1000)
    assert set(table.keep_rows.kept[-1][0]) == set(bad)
    assert not list(outlier.check(table, target))


def test_a_column_wider_than_the_factor_is_judged_by_the_others():
    draw = np.random.default_rng(2)
    size_N = draw.lognormal(0, 2.5, 3000)
    price_N = size_N * draw.lognormal(0, 0.1, 3000)
    bad = np.arange(0, 3000, 20)
    price_N[bad] *= 100
    table, target = view(pl.DataFrame({"size": size_N, "price": price_N}))
    found = [one for one in scale.check(table, target) if one.columns == ["price"]]
    assert [one.numbers["factor"] for one in found] == [100]
    place = next(at for at, (rows, _) in enumerate(table.keep_rows.kept) if len(np.setdiff1d(bad, rows)) < 10)
    assert len(np.intersect1d(table.keep_rows.kept[place][0], bad)) >= 0.95 * len(table.keep_rows.kept[place][0])


def test_wide_and_narrow_columns_in_one_unit_are_clean():
    draw = np.random.default_rng(3)
    size_N = draw.lognormal(0, 2, 2000)
    frame = pl.DataFrame({"size": size_N, "price": size_N * draw.lognormal(0, 0.3, 2000), "height": heights(draw)})
    assert not list(scale.check(*view(frame)))
