import datetime

import numpy as np
import polars as pl
import pytest

from forgeline.engine import arrays
from forgeline.engine.arrays import MISSING, MISSING_DATE, token
from forgeline.serving import reader


def frame():
    return pl.DataFrame(
        {
            "x": [1.5, None, float("inf"), 1e300],
            "n": [2**53, -1, None, 0],
            "yes": [True, None, False, True],
            "city": [" Ulm", "Bonn ", None, " "],
            "day": [datetime.date(1970, 1, 2), None, datetime.date(1969, 12, 31), datetime.date(2000, 1, 1)],
        }
    )


KINDS = [("x", "number"), ("yes", "category"), ("n", "number"), ("city", "category"), ("day", "date")]


def test_columns_become_arrays_by_kind():
    found = arrays.from_frame(frame(), KINDS)
    assert found.columns == ["x", "n", "yes", "city", "day"]
    np.testing.assert_array_equal(found.numbers_NA[:, 0], np.array([1.5, np.nan, np.nan, np.nan], np.float32))
    np.testing.assert_array_equal(found.numbers_NA[:, 1], np.array([2**53, -1, np.nan, 0], np.float32))
    assert found.levels == [["false", "true"], ["Bonn", "Ulm"]]
    assert found.codes_NC.tolist() == [[1, 1], [-1, 0], [0, -1], [1, -1]]
    assert found.dates_ND[:, 0].tolist() == [86_400_000_000, MISSING_DATE, -86_400_000_000, 946_684_800_000_000]
    assert [part.dtype for part in (found.numbers_NA, found.codes_NC, found.dates_ND)] == ["f4", "i4", "i8"]


@pytest.mark.parametrize(
    ("dtype", "values", "levels"),
    [
        (pl.Int64, [10, 5, None], ["10", "5"]),
        (pl.Float64, [5.0, -0.0, float("nan"), 0.1, float("-inf")], ["-inf", "0", "0.1", "5"]),
        (pl.Categorical, ["b", "a", None], ["a", "b"]),
        (pl.Date, [datetime.date(2024, 5, 17)], ["2024-05-17"]),
        (pl.String, [None, ""], []),
    ],
)
def test_any_type_can_be_a_category(dtype, values, levels):
    codes, found = arrays.codes(pl.Series(values, dtype=dtype))
    assert found == levels
    assert [found[code] if code >= 0 else MISSING for code in codes] == [token(value) for value in values]


@pytest.mark.parametrize("value", [True, False, 5, -3, 5.0, -0.0, 0.1, 1e22, " a b ", "", None, float("nan"), "05"])
def test_the_rule_is_the_readers(value):
    dtype = {bool: "bool", int: "int64", float: "float64"}.get(type(value), "text")
    cells, _ = reader.convert([value], "category", dtype, frozenset(), MISSING)
    assert cells.tolist() == [token(value)]


def test_dates_of_any_unit_and_zone_are_microseconds_utc():
    noon = datetime.datetime(1969, 7, 20, 12)
    micros = -14_212_800_000_000
    for unit in ("ms", "us", "ns"):
        assert arrays.dates(pl.Series([noon], dtype=pl.Datetime(unit))).tolist() == [micros]
    zoned = pl.Series([noon]).dt.replace_time_zone("Etc/GMT-2")
    assert arrays.dates(zoned).tolist() == [micros - 7_200_000_000]
    assert arrays.dates(pl.Series([micros, None])).tolist() == [micros, MISSING_DATE]


def test_take_keeps_order_and_levels():
    part = arrays.from_frame(frame(), KINDS).take(np.array([3, 0]))
    assert part.rows == 2
    assert part.numbers_NA[:, 1].tolist() == [0, 2**53]
    assert part.levels == [["false", "true"], ["Bonn", "Ulm"]]


@pytest.mark.parametrize("kinds", [KINDS, [("x", "number")], []])
def test_save_and_load_give_the_same(kinds, tmp_path):
    kept = arrays.from_frame(frame(), kinds)
    files = arrays.save(kept)
    assert files == arrays.save(kept)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = arrays.load({name: tmp_path / name for name in files})
    assert arrays.save(found) == files
    assert (found.columns, found.levels, found.rows) == (kept.columns, kept.levels, 4)
    if kinds:
        assert isinstance(found.numbers_NA, np.memmap)
