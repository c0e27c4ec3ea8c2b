import numpy as np
import polars as pl
import pytest

from forgeline.engine import groups


def test_many_numbers_are_grouped_by_quartile_and_few_by_value():
    ages = pl.Series("age", [*range(40), None])
    edges = groups.quartiles(ages)
    assert edges == [9.75, 19.5, 29.25]
    named = groups.label(ages, edges)
    assert named[[0, 9, 10, 39, 40]].to_list() == [
        "up to 9.75",
        "up to 9.75",
        "9.75 to 19.5",
        "above 29.25",
        "missing",
    ]
    codes = pl.Series("race", [1, 2, 3, None])
    assert groups.label(codes, groups.quartiles(codes)).to_list() == ["1", "2", "3", "missing"]


def test_edges_of_one_frame_name_the_groups_of_another():
    edges = groups.quartiles(pl.Series(range(40)))
    assert groups.label(pl.Series([-5, 1000]), edges).to_list() == ["up to 9.75", "above 29.25"]


def test_impact_compares_the_extremes_and_refuses_small_groups():
    values = pl.Series("g", ["a"] * 100 + ["b"] * 100 + ["c"] * 100 + ["d"] * 29)
    outcome = np.concatenate([np.arange(100) < 10, np.arange(100) < 40, np.arange(100) < 20, np.ones(29, bool)])
    found = groups.impact("g", values, "yes", outcome)
    assert [group.name for group in found.groups] == ["a", "c", "b"]
    assert [group.name for group in found.refused] == ["d"]
    assert found.ratio == pytest.approx(0.25)
    # Katz' interval at 1 − 0.05/3, for the three pairs: z = 2.39398
    reach = 2.393980 * (1 / 10 - 1 / 100 + 1 / 40 - 1 / 100) ** 0.5
    assert (found.low, found.high) == pytest.approx((0.25 * np.exp(-reach), 0.25 * np.exp(reach)), rel=1e-6)


def test_one_group_has_nothing_to_compare_with():
    found = groups.impact("g", pl.Series(["a"] * 50), "yes", np.ones(50, bool))
    assert np.isnan([found.ratio, found.low, found.high]).all()


def test_outcomes_by_task():
    target = pl.Series("pay", [1.0, 2.0, 3.0])
    assert {name: mask.tolist() for name, mask in groups.outcomes(target, None, []).items()} == {
        "pay above its median": [False, False, True]
    }
    target = pl.Series("y", ["a", "b", "c"])
    assert list(groups.outcomes(target, None, ["a", "b", "c"])) == ["y = a", "y = b", "y = c"]
    assert list(groups.outcomes(target, "b", ["a", "b"])) == ["y = b"]
