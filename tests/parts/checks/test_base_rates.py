import numpy as np
import polars as pl
import pytest

from forgeline.parts.checks import base_rates
from forgeline.testing import view


def people(rates, rows=400):
    """Each group has exactly its rate of `yes`."""
    groups = [name for name in rates for _ in range(rows)]
    labels = ["yes" if at < rate * rows else "no" for rate in rates.values() for at in range(rows)]
    return pl.DataFrame({"sex": groups, "hired": labels})


def check(frame, target="hired", protected=("sex",), positive="yes", **options):
    return list(base_rates.check(*view(frame, target=target, protected=protected, positive=positive), **options))


def test_unequal_rates_break_the_four_fifths_rule():
    (found,) = check(people({"f": 0.25, "m": 0.5}))
    assert (found.code, found.severity, found.columns) == ("bias.disparate_impact", "warn", ["sex"])
    assert found.numbers["ratio"] == 0.5
    assert 0.4 < found.numbers["low"] < 0.5 < found.numbers["high"] < 0.62
    assert found.numbers["rate f"] == 0.25
    assert found.fix.do == "reweigh"


def test_rates_above_the_rule_are_clean():
    assert check(people({"f": 0.45, "m": 0.5})) == []
    assert check(people({"f": 0.45, "m": 0.5}, rows=4000)) == []
    assert check(people({"f": 0.45, "m": 0.5}, rows=4000), least_ratio=0.95) != []


def test_what_chance_would_explain_is_not_found():
    assert check(people({"f": 0.3, "m": 0.4}, rows=40)) == []


def test_small_groups_are_not_compared():
    assert check(pl.concat([people({"f": 0.5, "m": 0.5}), people({"x": 0.0}, rows=29)])) == []


def test_parity_difference_has_an_interval():
    (found,) = check(people({"f": 0.25, "m": 0.5}))
    assert found.numbers["difference"] == -0.25
    assert -0.32 < found.numbers["difference low"] < -0.25 < found.numbers["difference high"] < -0.18


def test_a_large_group_is_found_beside_a_tiny_one_of_extreme_rate():
    frame = pl.concat([people({"f": 0.25, "m": 0.5}), people({"x": 0.2}, rows=30)])
    (found,) = check(frame)
    assert "25.0% of sex = f but 50.0% of m" in found.says
    assert found.numbers["ratio"] == 0.4


def crossed(rates, rows=300):
    """Each cell of sex and race has exactly its rate of `yes`."""
    parts = [people({sex: rate}, rows).with_columns(race=pl.lit(race)) for (sex, race), rate in rates.items()]
    return pl.concat(parts)


def test_an_intersection_that_its_attributes_hide_is_found():
    frame = crossed({("f", "x"): 0.2, ("f", "y"): 0.6, ("m", "x"): 0.6, ("m", "y"): 0.2})
    (found,) = check(frame, protected=("sex", "race"))
    assert (found.severity, found.columns) == ("warn", ["sex", "race"])
    assert "neither attribute shows it alone" in found.says


def test_an_intersection_that_says_no_more_than_its_attributes_is_not_found():
    frame = crossed({("f", "x"): 0.25, ("f", "y"): 0.25, ("m", "x"): 0.5, ("m", "y"): 0.5})
    assert [found.columns for found in check(frame, protected=("sex", "race"))] == [["sex"]]


def test_an_intersection_surely_worse_than_its_attributes_is_a_note():
    frame = crossed({("f", "x"): 0.05, ("f", "y"): 0.3, ("m", "x"): 0.4, ("m", "y"): 0.6}, rows=1000)
    severities = [(found.severity, found.columns) for found in check(frame, protected=("sex", "race"))]
    assert severities == [("warn", ["sex"]), ("warn", ["race"]), ("note", ["sex", "race"])]


def test_only_training_rows_count():
    frame = people({"f": 0.5, "m": 0.5})
    sealed = frame.with_row_index().filter((pl.col("sex") == "f") & (pl.col("hired") == "yes"))["index"]
    table, target = view(frame, target="hired", test=sealed, protected=["sex"], positive="yes")
    assert [found.code for found in base_rates.check(table, target)] == ["bias.disparate_impact"]


def test_numbers_are_grouped_by_quartile_and_values_by_their_median():
    age = np.arange(400)
    frame = pl.DataFrame({"age": age, "pay": age * 1.5})
    (found,) = check(frame, target="pay", protected=["age"], positive=None)
    assert found.numbers["ratio"] == 0
    assert found.says.startswith("pay above its median falls to 0.0% of age = ")
    assert "100.0% of above 299.25" in found.says


def test_several_classes_are_each_compared():
    frame = people({"f": 0.5, "m": 0.5}).with_columns(
        pl.when((pl.col("sex") == "m") & (pl.col("hired") == "no"))
        .then(pl.lit("never"))
        .otherwise("hired")
        .alias("hired")
    )
    (found,) = check(frame, positive=None)
    assert found.says.startswith("hired = n")
    assert found.numbers["ratio"] == 0


EQUAL = (0.2, 0.2, 0.2, 0.2, 0.2)
UNEQUAL = (0.02, 0.03, 0.05, 0.3, 0.6)


@pytest.mark.parametrize(("rows", "rate", "shares"), [(400, 0.2, EQUAL), (400, 0.03, EQUAL), (2000, 0.5, UNEQUAL)])
def test_groups_that_do_not_differ_are_named_in_at_most_one_case_in_twenty(rows, rate, shares):
    draw = np.random.default_rng(9)
    named = 0
    for _ in range(200):
        frame = pl.DataFrame({"g": draw.choice(list("abcde"), rows, p=shares), "y": draw.random(rows) < rate})
        named += bool(check(frame, "y", ["g"], True))
    assert named <= 17  # 5% of 200, and two standard errors


def test_intersections_of_groups_that_do_not_differ_are_named_in_at_most_one_case_in_a_hundred():
    draw = np.random.default_rng(10)
    named = 0
    for _ in range(200):
        columns = {name: draw.choice(list("abc"), 600) for name in ("g", "h", "i")}
        frame = pl.DataFrame({**columns, "y": draw.random(600) < 0.3})
        named += any(len(found.columns) > 1 for found in check(frame, "y", ["g", "h", "i"], True))
    assert named <= 5  # 1% of 200, and two standard errors


def test_nothing_to_compare_without_a_target():
    assert not list(base_rates.check(*view(pl.DataFrame({"sex": ["f", "m"]}), protected=["sex"])))
