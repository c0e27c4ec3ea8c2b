import numpy as np
import polars as pl

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
    assert check(people({"f": 0.45, "m": 0.5}), least_ratio=0.95) != []


def test_what_chance_would_explain_is_a_note():
    (found,) = check(people({"f": 0.3, "m": 0.4}, rows=40))
    assert found.severity == "note"
    assert "chance" in found.says


def test_small_groups_are_refused_and_said_so():
    frame = pl.concat([people({"f": 0.5, "m": 0.5}), people({"x": 0.0}, rows=29)])
    (found,) = check(frame)
    assert (found.code, found.severity) == ("bias.group_too_small", "note")
    assert "x (29)" in found.says


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


def test_groups_that_do_not_differ_raise_a_warning_in_at_most_one_case_in_twenty():
    draw = np.random.default_rng(9)
    warned = 0
    for _ in range(200):
        frame = pl.DataFrame({"g": draw.choice(list("abcde"), 400), "y": draw.random(400) < 0.2})
        warned += any(found.severity == "warn" for found in check(frame, "y", ["g"], True))
    assert warned <= 17  # 5% of 200, and two standard errors


def test_nothing_to_compare_without_a_target():
    assert not list(base_rates.check(*view(pl.DataFrame({"sex": ["f", "m"]}), protected=["sex"])))
