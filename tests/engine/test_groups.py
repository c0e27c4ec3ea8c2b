import numpy as np
import polars as pl
import pytest

from forgeline.engine import groups
from forgeline.engine.cells import Cells


def grouping(values, name="g"):
    return groups.grouping(Cells(pl.DataFrame({name: values})), name)


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


def test_dates_are_grouped_by_quartile():
    days = pl.Series(np.arange(40) * 86_400_000_000).cast(pl.Datetime("us"))
    named = groups.label(days, groups.quartiles(days))
    assert (named[0], named[39]) == ("up to 1970-01-10", "above 1970-01-30")


@pytest.mark.parametrize(
    "values",
    [[*range(40), None], [1, 2, 3, None], ["b", "a", None, "b"], [True, False, None], [0.5, 0.25, 0.5], ["", "count"]],
)
def test_a_grouping_names_each_row_as_label_does(values):
    series = pl.Series("g", values)
    found = grouping(values)
    assert [found.names[code] for code in found.code_N] == groups.label(series, groups.quartiles(series)).to_list()
    assert [found.names[at] for at in found.missing] == (["missing"] if None in values else [])


def test_two_attributes_are_crossed_where_there_are_rows():
    first, second = grouping(["f", "f", "m", None], "sex"), grouping(["x", "y", "y", "y"], "race")
    both = groups.crossed(first, second)
    assert both.attribute == "sex × race"
    assert [both.names[code] for code in both.code_N] == ["f × x", "f × y", "m × y", "missing × y"]
    assert [both.names[at] for at in both.missing] == ["missing × y"]
    assert both.rows_G.tolist() == [1, 1, 1, 1]


def test_attributes_of_very_many_groups_are_not_crossed():
    many = grouping([str(at) for at in range(200)])
    assert groups.intersections([many, grouping(["a"] * 200, "h")]) == []


def test_impact_compares_the_extremes_and_refuses_small_groups():
    values = ["a"] * 100 + ["b"] * 100 + ["c"] * 100 + ["d"] * 29
    outcome = np.concatenate([np.arange(100) < 10, np.arange(100) < 40, np.arange(100) < 20, np.ones(29, bool)])
    found = groups.impact(grouping(values), "yes", outcome)
    assert [group.name for group in found.groups] == ["a", "c", "b"]
    assert [group.name for group in found.refused] == ["d"]
    assert found.ratio == pytest.approx(0.25)
    # Katz' interval at 1 − 0.05/3, for the three pairs: z = 2.39398
    reach = 2.393980 * (1 / 10 - 1 / 100 + 1 / 40 - 1 / 100) ** 0.5
    assert (found.low, found.high) == pytest.approx((0.25 * np.exp(-reach), 0.25 * np.exp(reach)), rel=1e-6)
    assert found.surest == (0, 2)
    assert found.difference == pytest.approx(-0.3)
    assert found.difference_low < -0.3 < found.difference_high < 0


def test_the_surest_pair_is_not_always_the_extreme_one():
    values = ["tiny"] * 30 + ["low"] * 2000 + ["high"] * 2000
    outcome = np.concatenate([np.arange(30) < 5, np.arange(2000) < 400, np.arange(2000) < 800])
    found = groups.impact(grouping(values), "yes", outcome)
    assert [group.name for group in found.groups] == ["tiny", "low", "high"]
    assert (found.surest, found.surest_ratio) == ((1, 2), 0.5)
    assert found.surest_high < found.high


def test_newcombe_interval_is_that_of_the_paper():
    # Newcombe 1998, table II (a), method 10: 56/70 − 48/80
    assert groups.difference_interval(56, 70, 48, 80) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_exact_chance_is_that_of_scipy():
    from scipy.stats import fisher_exact

    for low, n, high, m in [(3, 40, 20, 60), (0, 30, 9, 100), (400, 2000, 800, 2000), (5, 9, 5, 9)]:
        expected = 2 * fisher_exact([[low, n - low], [high, m - high]], alternative="less").pvalue
        found = groups.exact_p(groups.Group("a", n, low), groups.Group("b", m, high))
        assert found == pytest.approx(min(1, expected), rel=1e-6)


def test_one_group_has_nothing_to_compare_with():
    found = groups.impact(grouping(["a"] * 50), "yes", np.ones(50, bool))
    assert np.isnan([found.ratio, found.low, found.high, found.difference, found.surest_high]).all()


def test_outcomes_by_task():
    target = pl.Series("pay", [1.0, 2.0, 3.0])
    assert {name: mask.tolist() for name, mask in groups.outcomes(target, None, []).items()} == {
        "pay above its median": [False, False, True]
    }
    target = pl.Series("y", ["a", "b", "c"])
    assert list(groups.outcomes(target, None, ["a", "b", "c"])) == ["y = a", "y = b", "y = c"]
    assert list(groups.outcomes(target, "b", ["a", "b"])) == ["y = b"]


def test_the_summary_tells_every_group_of_each_attribute_and_of_both():
    frame = pl.DataFrame({"sex": ["f"] * 100 + ["m"] * 110, "race": (["x"] * 50 + ["y"] * 50) * 2 + ["z"] * 10})
    outcome = np.concatenate([np.arange(100) < 20, np.arange(110) < 44])
    sex, race, both = groups.summary(frame, ["sex", "race"], {"hired = yes": outcome})
    assert [line.group for line in sex.lines] == ["f", "m"]
    first = sex.lines[0]
    assert (first.rows, first.share, first.rate, first.refused) == (100, 100 / 210, 0.2, False)
    assert (first.ratio, first.difference) == (pytest.approx(0.5), pytest.approx(-0.2))
    assert first.low < 0.2 < first.high
    assert (race.lines[-1].group, race.lines[-1].rate, race.lines[-1].refused) == ("z", None, True)
    assert (both.columns, [line.group for line in both.lines][-1]) == (("sex", "race"), "m × z")
    bare = groups.summary(frame, ["sex"], {})[0]
    assert [(line.group, line.rate) for line in bare.lines] == [("m", None), ("f", None)]
