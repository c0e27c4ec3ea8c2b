from datetime import datetime

import numpy as np
import polars as pl
import pytest

from forgeline.engine import split
from forgeline.engine.cells import WIDE, Cells

FRAME = pl.DataFrame(
    {
        "count": ["b", "a", None, "b", "c", "a"],
        "n": [3, 1, 3, None, 2, 3],
        "x": [0.5, None, float("inf"), 0.5, -1.0, 0.5],
        "t": [True, False, None, True, True, False],
        "d": [datetime(2024, 1, 1), None, datetime(2023, 1, 1), *[datetime(2024, 1, 1)] * 3],
    }
)
CELLS = Cells(FRAME)


@pytest.mark.parametrize(
    ("name", "values", "counts"),
    [
        ("count", ["b", "a", "c"], [2, 2, 1]),
        ("n", [3, 1, 2], [3, 1, 1]),
        ("t", [True, False], [3, 2]),
        ("d", [datetime(2024, 1, 1), datetime(2023, 1, 1)], [4, 1]),
    ],
)
def test_levels_come_commonest_first_whatever_a_column_is_called(name, values, counts):
    levels = CELLS.levels(name)
    assert dict(zip(levels.values.to_list(), levels.counts.tolist(), strict=True)) == dict(zip(values, counts))
    assert levels.counts.tolist() == counts
    assert CELLS.distinct(name) == len(values)


@pytest.mark.parametrize("name", ["count", "n", "t", "d"])
def test_codes_lead_to_the_level_of_each_cell(name):
    values = CELLS.levels(name).values.to_list()
    assert [None if code < 0 else values[code] for code in CELLS.codes(name)] == FRAME[name].to_list()


def test_numbers_are_missing_where_they_are_none_or_infinite():
    assert np.isnan(CELLS.numbers("x")).tolist() == [False, True, True, False, False, False]
    assert CELLS.ordered("x").tolist() == [-1.0, 0.5, 0.5, 0.5]
    assert CELLS.distinct("x") == 3  # infinity is a value
    assert (CELLS.missing("x"), CELLS.missing("n")) == (1, 1)


def test_rows_of_some_levels():
    values = CELLS.levels("count").values
    assert CELLS.where("count", (values == "b").to_numpy()).tolist() == [0, 3]
    assert CELLS.where("count", [values.to_list().index("a")]).tolist() == [1, 5]


def test_a_column_of_nothing_has_no_level():
    cells = Cells(pl.DataFrame({"a": pl.Series([None, None], dtype=pl.String)}))
    assert (len(cells.levels("a")), cells.codes("a").tolist(), cells.distinct("a")) == (0, [-1, -1], 0)


def test_rows_are_keyed_as_the_split_keys_them_with_a_column_beside_too():
    beside = pl.Series("y", ["p", "q", None, "p", "q", "p"])
    assert (CELLS.row_keys() == split.keys(FRAME, FRAME.columns)).all()
    assert (CELLS.row_keys(beside) == split.keys(FRAME.with_columns(beside), [*FRAME.columns, "y"])).all()


def test_keys_of_a_wide_frame_are_of_all_columns_and_of_the_first():
    frame = pl.DataFrame({f"x{at}": [1, 1, 1] for at in range(WIDE)} | {"last": [1, 2, 2]})
    cells = Cells(frame)
    assert (cells.row_keys() == split.keys(frame, frame.columns)).all()
    assert (cells.first_keys() == split.keys(frame, frame.columns[:WIDE])).all()
