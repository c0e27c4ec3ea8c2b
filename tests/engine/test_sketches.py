"""Sketches: which bins are chosen, what is counted, what is not told."""

import json

import numpy as np
import polars as pl
import pytest

from forgeline.engine.sketches import between, choose_bins, count, cuts, parts, prediction_columns, sketch


def test_the_roundest_number_in_the_middle_of_a_gap():
    assert [between(37.0, 38.0), between(0.0, 1000.0), between(0.1, 0.2)] == [37.5, 500.0, 0.15]
    assert between(-3.0, 5.0) == 0.0
    assert between(1e-42, 3e-42) == 2e-42
    day = 86_400_000_000
    assert between(3 * day, 9 * day) == 6 * day
    assert between(0, 8) == 4


def test_cuts_leave_ten_rows_in_every_piece():
    assert cuts(np.ones(30, int)) == [9, 19]
    assert cuts(np.ones(19, int)) == []
    assert cuts(np.array([95, 5])) == []
    assert cuts(np.array([1, 50, 1, 30, 18])) == [1, 3]


def test_numbers_are_cut_between_distinct_values_and_a_shared_end_is_cut_off_from_beyond():
    values = np.repeat([0.0, 1.0, 5.0], [10, 20, 30])
    assert choose_bins("number", values)["edges"] == [-0.0005, 0.5, 3.0, 5.002]
    assert choose_bins("number", np.r_[-99.0, values, 99.0])["edges"] == [0.5, 3.0]


def test_rows_are_counted_in_the_bins_with_missing_apart():
    bins = {"kind": "number", "edges": [0.5, 2.5]}
    values = np.array([0, 1, 2, 3, -7, np.nan, np.inf, 1e300])
    assert count(bins, values) == {"counts": [2, 2, 1], "missing": 3}
    levels = {"kind": "category", "levels": ["a", "b"]}
    assert count(levels, pl.Series(["b", None, "c", "b", "\0"])) == {"counts": [0, 2], "other": 1, "missing": 2}
    assert count(levels, np.array(["a", None, "d"], object)) == {"counts": [1, 0], "other": 1, "missing": 1}


def test_dates_count_the_same_however_they_are_stored():
    moments = np.array(["2024-01-01", "NaT", "2024-03-01", "2024-03-02"], dtype="datetime64[D]")
    bins = {"kind": "date", "edges": [int(np.datetime64("2024-02-01", "us").astype(int))]}
    expected = {"counts": [1, 2], "missing": 1}
    assert count(bins, moments) == expected
    assert count(bins, pl.Series(moments)) == expected
    assert count(bins, moments.astype("datetime64[us]").astype(np.int64)) == expected


def test_the_commonest_levels_are_named_and_rare_ones_pooled():
    values = pl.Series(["b"] * 9 + ["a"] * 9 + ["c"] * 5 + ["d"] * 4)
    assert choose_bins("category", values)["levels"] == ["a", "b", "c"]
    many = pl.Series([f"{level:03}" for level in range(100)] * 5)
    assert choose_bins("category", many)["levels"] == [f"{level:03}" for level in range(64)]


def test_the_rows_that_choose_the_bins_are_not_counted():
    for rows, choosing in ((0, 0), (1, 0), (60, 30), (5_000, 1_000), (50_000, 5_000)):
        chosen, counted = parts(rows)
        assert len(chosen) == choosing
        assert sorted([*chosen, *counted]) == list(range(rows))
    made = sketch({"x": ("number", np.arange(60.0))})
    assert made["rows"] == 60
    assert sum(made["columns"]["x"]["counts"]) == made["counted"] == 30


def test_a_sketch_is_plain_json_and_the_same_every_time():
    rng = np.random.default_rng(0)
    columns = {
        "x": ("number", rng.normal(size=300).astype(np.float32)),
        "c": ("category", pl.Series(rng.choice(["a", "b", None], 300).tolist(), dtype=pl.String)),
        "d": ("date", pl.Series(np.arange(300)).cast(pl.Datetime("us"))),
    }
    p_NK = rng.dirichlet([1, 1, 1], 80)
    target = rng.integers(0, 3, 300)
    made = [sketch(columns, p_NK, classes=["r", "s", "t"], target=target) for _ in range(2)]
    assert json.dumps(made[0]) == json.dumps(made[1])
    assert set(made[0]["predictions"]) == {"probability_r", "probability_s", "probability_t"}
    assert made[0]["target"]["counts"] == np.bincount(target).tolist()


def test_predictions_are_called_as_predict_calls_them():
    assert prediction_columns([], 1) == [("prediction", 0)]
    assert prediction_columns(["no", "yes"], 2) == [("probability_yes", 1)]
    assert prediction_columns(["no", "yes"], 1) == [("probability_yes", 0)]
    assert prediction_columns([False, True], 2) == [("probability_true", 1)]
    assert [name for name, _ in prediction_columns([1, 2, 3], 3)] == [f"probability_{label}" for label in (1, 2, 3)]


def test_no_value_of_a_single_row_is_told():
    values = np.random.default_rng(1).lognormal(size=4_000).astype(np.float32)
    edges = sketch({"income": ("number", values)})["columns"]["income"]["edges"]
    assert not set(edges) & set(values.tolist())
    assert values.min() < edges[0]
    assert values.max() > edges[-1]
    names = pl.Series([f"person {row}" for row in range(4_000)])
    assert sketch({"name": ("category", names)})["columns"]["name"]["levels"] == []


@pytest.mark.parametrize("values", [np.full(50, np.nan), np.empty(0), np.full(50, 3.0)])
def test_columns_with_little_to_tell(values):
    made = sketch({"x": ("number", values)})["columns"]["x"]
    assert sum(made["counts"]) + made["missing"] == len(values) - len(values) // 2
