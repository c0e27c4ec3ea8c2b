import numpy as np
import polars as pl

from forgeline.engine.cells import Cells
from forgeline.engine.empirical import distinct
from forgeline.engine.explained import explained


def test_rows_are_explained_by_a_column_that_tells_them_and_by_no_other():
    draw = np.random.default_rng(1)
    x_N = np.append(draw.normal(size=1900), draw.uniform(10, 30, 100))
    frame = pl.DataFrame({"x": x_N, "z": draw.normal(size=2000)})
    value_V, _ = distinct(np.sort(x_N))
    assert not explained(Cells(frame), "x", value_V, value_V > 10)
    told = frame.with_columns(kind=pl.when(pl.col("x") > 10).then(pl.lit("castle")).otherwise(pl.lit("house")))
    assert explained(Cells(told), "x", value_V, value_V > 10)
