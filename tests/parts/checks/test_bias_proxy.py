import numpy as np
import polars as pl
import pytest

from forgeline.parts.checks import bias_proxy
from forgeline.testing import view


def people(groups="fm", shares=None, rows=1500, right=0.9, seed=3):
    """A column that names the group in `right` of the rows, and one that tells nothing."""
    draw = np.random.default_rng(seed)
    group = draw.choice(list(groups), rows, p=shares)
    other = draw.choice(list(groups), rows)
    return pl.DataFrame(
        {
            "sex": group,
            "club": np.where(draw.random(rows) < right, group, other),
            "pay": draw.normal(size=rows),
            "key": [f"row {at}" for at in range(rows)],
        }
    )


def check(frame, protected=("sex",), **more):
    table, target = view(frame, protected=protected, **more)
    return list(bias_proxy.check(table, target))


@pytest.mark.parametrize(
    ("groups", "shares"), [("fm", None), ("fm", [0.1, 0.9]), ("abcd", None), ("abc", [0.1, 0.2, 0.7])]
)
def test_a_column_that_names_the_group_in_most_rows_is_found(groups, shares):
    (found,) = check(people(groups, shares))
    assert (found.code, found.severity, found.columns) == ("bias.proxy", "warn", ["club"])
    assert 0.88 < found.numbers["auc"] < 1
    assert found.numbers["low"] < found.numbers["auc"] < found.numbers["high"]
    assert (found.fix.do, found.fix.columns) == ("drop", ["club"])


def test_a_number_that_names_the_group_is_found():
    frame = people(right=0.0)
    height = np.where(frame["sex"] == "f", 165, 185) + np.random.default_rng(1).normal(0, 6, frame.height)
    (found,) = check(frame.with_columns(height=height))
    assert found.columns == ["height"]
    assert found.numbers["auc sex"] == pytest.approx(0.99, abs=0.01)


def test_columns_that_tell_little_are_clean():
    assert check(people(right=0.4)) == []


def test_a_key_of_many_values_tells_nothing_of_rows_it_was_not_learned_from():
    draw = np.random.default_rng(4)
    frame = pl.DataFrame({"sex": draw.choice(["f", "m"], 600), "key": draw.integers(0, 500, 600)})
    assert check(frame) == []


def test_other_protected_columns_are_no_proxies():
    assert check(people(), protected=("sex", "club")) == []


def test_repeats_of_a_person_do_not_make_a_proxy():
    person = np.arange(900) // 10
    sex_of = np.random.default_rng(5).choice(["f", "m"], 90)
    town_of = np.random.default_rng(6).permutation(90)
    frame = pl.DataFrame({"sex": sex_of[person], "person": person, "town": [f"t{at}" for at in town_of[person]]})
    assert check(frame, group="person") == []
    assert [found.columns for found in check(frame)] == [["town"]]


def test_only_training_rows_count():
    frame = people(right=0.0)
    frame = frame.with_columns(club=pl.Series(np.where(np.arange(frame.height) < 1000, frame["sex"], frame["club"])))
    assert check(frame, test=range(1000)) == []


def test_small_groups_are_not_judged():
    frame = pl.DataFrame({"sex": ["f"] * 500 + ["q"] * 20, "club": ["x"] * 500 + ["y"] * 20})
    assert check(frame) == []
