import numpy as np
import polars as pl

from forgeline.parts.checks import outlier, scale
from forgeline.testing import view


def test_rows_far_from_the_rest_are_named_with_how_far_they_are():
    draw = np.random.default_rng(1)
    value_N = draw.normal(100, 10, 2000)
    bad = np.arange(0, 2000, 20)
    value_N[bad] = 100 + 10 * draw.uniform(8, 20, 100)
    table, target = view(pl.DataFrame({"count": value_N, "row": draw.normal(size=2000)}))
    (found,) = outlier.check(table, target)
    rows, scores = table.keep_rows.kept[-1]
    assert (found.code, found.severity, found.columns) == ("quality.outlier", "warn", ["count"])
    assert set(rows) == set(bad)
    assert 7 < scores.min() <= scores.max() < 22
    assert not list(scale.check(table, target))


def test_a_heavy_tail_is_clean():
    draw = np.random.default_rng(2)
    frame = pl.DataFrame({"income": draw.lognormal(10, 1, 3000), "age": draw.integers(18, 90, 3000)})
    assert not list(outlier.check(*view(frame)))
