from datetime import datetime

import numpy as np
import polars as pl

from forgeline.engine import profile


def test_summary_of_each_kind():
    assert profile.summary(pl.Series([3.0, 1.0, np.inf, None, 2.0])) == (1.0, 2.0, 3.0, None)
    assert profile.summary(pl.Series(["b", "a", "b", None])) == (None, None, None, "b (50%)")
    assert profile.summary(pl.Series([True, False, True])).commonest == "true (67%)"
    days = pl.Series([datetime(2024, 1, day) for day in (1, 3, 5)]).cast(pl.Datetime("us"))
    assert profile.summary(days)[:3] == ("2024-01-01 00:00:00", "2024-01-03 00:00:00", "2024-01-05 00:00:00")


def test_summary_of_nothing():
    for dtype in (pl.String, pl.Float64, pl.Datetime("us"), pl.Boolean):
        assert profile.summary(pl.Series([None, None], dtype=dtype)) == (None, None, None, None)


def test_bars_of_whole_numbers_hold_whole_numbers():
    edges, counts = profile.bars(pl.Series([0, 1, 1, 1]))
    assert (edges, counts) == ([-0.5, 0.5, 1.5], [1.0, 3.0])
    edges, counts = profile.bars(pl.Series(range(48)), bins=24)
    assert edges[:2] == [-0.5, 1.5]
    assert counts == [2.0] * 24


def test_bars_leave_out_what_is_missing_or_infinite():
    edges, counts = profile.bars(pl.Series([0.0, 1.0, None, -np.inf, 0.9]), bins=2)
    assert (edges, counts) == ([0.0, 0.5, 1.0], [1.0, 2.0])
    assert profile.bars(pl.Series([5.0, 5.0])) == ([], [])
    assert profile.bars(pl.Series([-1.7e308, 1.7e308])) == ([], [])


def test_levels_come_in_their_order_or_by_count():
    assert profile.levels(pl.Series(["b", "a", "b"])) == (["b", "a"], [2.0, 1.0])
    assert profile.levels(pl.Series([True, True, False]), [False, True]) == (["false", "true"], [1.0, 2.0])
    names, counts = profile.levels(pl.Series([f"{at % 30:02d}" for at in range(60)]))
    assert len(names) == profile.MOST_LEVELS
    assert (names[-1], sum(counts)) == ("other", 60)
