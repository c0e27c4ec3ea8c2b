from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from forgeline.engine import time_order
from forgeline.engine.cells import Cells


@pytest.mark.parametrize(
    ("form", "first"), [("%d/%m/%Y %H:%M", "01/01/2020 00:00"), ("%Y%m%dT%H%M%S", "20200101T000000")]
)
def test_texts_that_spell_dates_are_read(form, first):
    taken = [datetime(2020, 1, 1) + at * timedelta(hours=1) for at in range(2_000)]
    frame = pl.DataFrame({"taken": taken}).with_columns(pl.col("taken").dt.strftime(form))
    assert frame["taken"][0] == first
    moment_N = time_order.moments(Cells(frame), "taken")
    assert (np.diff(moment_N) == 3600e6).all()


def test_parts_of_years_go_by_the_alphabet():
    frame = pl.DataFrame({"term": ["2014B", "2013J", None, "2013B"]})
    assert time_order.is_moment_text(Cells(frame), "term")
    np.testing.assert_array_equal(time_order.moments(Cells(frame), "term"), [2, 1, np.nan, 0])
