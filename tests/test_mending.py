from datetime import datetime

import numpy as np
import polars as pl
import pytest

from forgeline.mending import cast, mended, missing, read_as, relabelled, without_rows
from forgeline.records import Fix

INF = float("inf")


def test_numbers_become_texts_and_texts_numbers():
    assert cast(pl.Series([1, None]), "category").to_list() == ["1", None]
    assert cast(pl.Series(["1", "x"]), "number").to_list() == [1.0, None]


@pytest.mark.parametrize(
    ("values", "markers", "left"),
    [
        ([1.0, INF, None], ["inf"], [1.0, None, None]),
        ([1.0, INF, None], ["-"], [1.0, INF, None]),
        ([1.0, -999.0, 5.0], ["-999"], [1.0, None, 5.0]),
        ([1, -999, 5], ["-999.0"], [1, None, 5]),
        (["a", "unknown"], ["unknown"], ["a", None]),
        ([datetime(2020, 5, 1), datetime(1900, 1, 1)], ["1900-01-01"], [datetime(2020, 5, 1), None]),
    ],
)
def test_markers_become_missing_in_every_kind_of_column(values, markers, left):
    assert missing(pl.Series(values), markers).to_list() == left


def test_a_fix_touches_its_columns_only():
    frame = pl.DataFrame({"a": ["x", "X"], "b": ["x", "X"]})
    assert mended(frame, Fix(do="map", columns=["a", "gone"], values={"X": "x"})).rows() == [("x", "x"), ("x", "X")]
    assert mended(frame, Fix(do="drop", columns=["a"])).equals(frame)


def test_rows_are_named_by_their_place_in_the_snapshot():
    frame, ids_N = without_rows(pl.DataFrame({"a": [1, 2, 3]}), np.array([10, 20, 30]), np.array([20, 99]))
    assert (frame["a"].to_list(), ids_N.tolist()) == ([1, 3], [10, 30])


@pytest.mark.parametrize(
    ("target", "values", "after"),
    [
        (["yes", "no", "no"], ["yes"], ["yes", "no", "yes"]),
        ([1, 0, 0], ["1"], [1, 0, 1]),
        ([1.5, 2.0, 9.0], ["2.5"], [1.5, 2.0, 2.5]),
        ([True, False, False], ["true"], [True, False, True]),
    ],
)
def test_labels_are_replaced_in_their_own_type(target, values, after):
    before = pl.Series(target)
    found = relabelled(before, np.array([4, 5, 8]), np.array([8]), values)
    assert found.to_list() == after
    assert found.dtype == before.dtype
    assert before.to_list() == target
    assert relabelled(before, np.array([4, 5, 8]), np.array([7]), values).to_list() == target


def test_a_text_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="'two' cannot be read as Int64"):
        read_as(["1", "two"], pl.Int64())
