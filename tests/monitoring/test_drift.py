"""Drift: the stated false-alarm rate holds, real changes are found, sizes are the textbook's."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom, chi2, chi2_contingency, fisher_exact

from forgeline.engine.sketches import count, sketch
from forgeline.monitoring.drift import (
    bin_name,
    compare,
    excess,
    holm,
    homogeneity,
    join,
    judge,
    p_value,
    stability_index,
    variation_distance,
)

DRAWS = 200
FALSE_ALARM = 0.05
MOST_ALARMS = int(binom.ppf(0.99, DRAWS, FALSE_ALARM))
"""So many of 200 draws raise an alarm in one of a hundred such tests, if the stated rate holds just so."""
ZIPF = 1 / np.arange(1, 501)


def draw(rng, rows):
    """Rows of one fixed distribution: smooth, tied, rare, of many levels, often missing."""
    return {
        "smooth": ("number", rng.normal(size=rows)),
        "tied": ("number", rng.poisson(1.5, rows).astype(float)),
        "flag": ("number", (rng.random(rows) < 0.02).astype(float)),
        "spike": ("number", np.where(rng.random(rows) < 0.6, 0.0, rng.exponential(size=rows))),
        "gaps": ("number", np.where(rng.random(rows) < 0.03, np.nan, rng.random(rows))),
        "levels": ("category", pl.Series(rng.integers(0, 300, rows)).cast(pl.String)),
        "zipf": ("category", pl.Series(rng.choice(500, rows, p=ZIPF / ZIPF.sum())).cast(pl.String)),
        "when": ("date", rng.integers(0, 10**15, rows)),
    }


def drifts(reference, columns):
    pairs = [(name, reference["columns"][name], values) for name, (_, values) in columns.items()]
    return judge([compare(name, "input", old, {**old, **count(old, new)}) for name, old, new in pairs], FALSE_ALARM)


@pytest.mark.parametrize(("old", "new"), [(60, 30), (3_000, 40), (200, 3_000), (2_500, 2_500)])
def test_unchanged_data_raises_an_alarm_no_more_often_than_stated(old, new):
    rng = np.random.default_rng([old, new])
    alarms = sum(any(drift.alarm for drift in drifts(sketch(draw(rng, old)), draw(rng, new))) for _ in range(DRAWS))
    assert alarms <= MOST_ALARMS


def test_each_kind_of_change_is_found_and_named():
    rng = np.random.default_rng(3)
    columns = draw(rng, 300)
    columns["smooth"] = ("number", rng.normal(1.0, size=300))
    columns["flag"] = ("number", (rng.random(300) < 0.5).astype(float))
    columns["gaps"] = ("number", np.where(rng.random(300) < 0.3, np.nan, rng.random(300)))
    columns["zipf"] = ("category", pl.Series(["unseen"] * 300))
    columns["when"] = ("date", rng.integers(10**15, 2 * 10**15, 300))
    found = {drift.column: drift for drift in drifts(sketch(draw(rng, 20_000)), columns)}
    assert {name for name, drift in found.items() if drift.alarm} == {"smooth", "flag", "gaps", "zipf", "when"}
    assert found["flag"].says.startswith("-0.0005 to 0.5: 98.")
    assert found["gaps"].says.startswith("missing: 3.")
    assert found["zipf"].says.startswith("other levels: ")
    assert found["zipf"].size > 0.5


def test_a_value_never_seen_before_is_noticed_in_a_constant_column():
    reference = sketch({"x": ("number", np.full(100_000, 7.0))})
    (drift,) = drifts(reference, {"x": ("number", np.r_[np.full(290, 7.0), np.full(10, 8.0)])})
    assert drift.alarm
    assert drift.size == pytest.approx(10 / 300)


def test_a_column_without_bins_is_never_an_alarm():
    reference = sketch({"x": ("category", pl.Series([f"id {row}" for row in range(100)]))})
    (drift,) = drifts(reference, {"x": ("category", pl.Series([f"new {row}" for row in range(100)]))})
    assert (drift.p, drift.size, drift.alarm) == (1.0, 0.0, False)


def test_chi_square_is_the_textbooks():
    counts_2B = np.array([[120.0, 90, 40, 30], [70, 80, 45, 25]])
    rows = counts_2B.sum()
    statistic = chi2_contingency(counts_2B, correction=False).statistic
    assert homogeneity(counts_2B) == pytest.approx(chi2.sf(statistic * (rows - 1) / rows, 3), rel=1e-12)
    assert p_value(counts_2B) == homogeneity(counts_2B)
    assert homogeneity(np.array([[3.0], [4.0]])) == 1.0


def test_excess_is_fishers_exact_test():
    found = excess(np.array([7.0, 23.0]), np.array([9.0, 121.0]))
    assert found[0] == pytest.approx(fisher_exact([[7, 2], [23, 98]], alternative="greater").pvalue)


def test_sparse_neighbours_are_joined_until_ten_rows_are_expected():
    counts_2B = np.array([[6.0, 6, 12, 6, 30, 3], [6, 6, 12, 6, 30, 3]])
    joined = [[12, 12, 39], [12, 12, 39]]
    assert join(counts_2B, counts_2B[0]).tolist() == joined
    assert join(counts_2B[:, :1], counts_2B[0, :1]).tolist() == [[6], [6]]


def test_holm_is_worked_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]


def test_sizes_are_worked_by_hand():
    counts_2B = np.array([[50.0, 50, 0], [200, 600, 200]])
    assert variation_distance(counts_2B) == pytest.approx(0.3)
    old, new = np.array([50.5, 50.5, 0.5]) / 101.5, np.array([200.5, 600.5, 200.5]) / 1001.5
    assert stability_index(counts_2B) == pytest.approx(sum((new - old) * np.log(new / old)))


def test_bins_are_called_what_they_hold():
    number = {"kind": "number", "edges": [0.5, 2.0], "counts": [1, 1, 1]}
    assert [bin_name(number, at) for at in range(5)] == ["≤ 0.5", "0.5 to 2", "> 2", "other levels", "missing"]
    date = {"kind": "date", "edges": [0, 90_000_000_000], "counts": [1, 1, 1]}
    assert bin_name(date, 1) == "1970-01-01 to 1970-01-02 01:00:00"
    assert bin_name({"kind": "category", "levels": ["a"], "counts": [3]}, 0) == "'a'"
    assert bin_name({"kind": "number", "edges": [], "counts": [9]}, 0) == "present"
