import numpy as np
import polars as pl
import pytest

from forgeline.parts.checks import representation
from forgeline.testing import view


def people(counts):
    return pl.DataFrame({"race": [name for name, rows in counts.items() for _ in range(rows)]})


def check(counts, test=(), **options):
    table, target = view(people(counts), protected=["race"], test=test)
    return list(representation.check(table, target, **options))


@pytest.mark.parametrize("others", [1, 2, 3, 5, 7])
def test_a_group_of_one_in_twenty_is_found_whatever_the_number_of_others(others):
    counts = {f"group {at}": 1900 // others for at in range(others)} | {"thin": 100}
    (found,) = check(counts)
    assert (found.code, found.columns) == ("bias.representation", ["race"])
    assert "thin" in found.says
    assert found.numbers["rows thin"] == 100
    assert found.fix.do == "reweigh"


def test_a_group_of_one_in_fifty_is_a_warning_when_one_group_has_nearly_all():
    (found,) = check({"many": 1960, "thin": 40})
    assert found.severity == "warn"
    assert found.numbers["share"] == 0.02
    assert found.numbers["low"] < 0.02 < found.numbers["high"]


def test_even_and_uneven_but_ample_groups_are_clean():
    assert check({"f": 700, "m": 300}) == []
    assert check(dict.fromkeys("abcdefghijkl", 100)) == []
    assert check({"a": 500, "b": 300, "c": 200}) == []


def test_a_stray_value_is_no_group():
    assert check({"f": 2000, "m": 2000, "q": 3}) == []


def test_missing_is_no_group():
    table, _ = view(pl.DataFrame({"race": ["a"] * 500 + ["b"] * 500 + [None] * 60}), protected=["race"])
    assert list(representation.check(table, None)) == []


def test_what_is_left_to_judge_by_is_told():
    counts = {"a": 600, "b": 600, "thin": 100}
    test = np.concatenate([np.arange(0, 1200, 5), np.arange(1200, 1300, 5)])
    (found,) = check(counts, test=test)
    assert found.severity == "warn"
    assert "about 20 rows of thin are held back" in found.says


def test_a_given_population_decides():
    population = ("race=a=0.5", "race=b=0.3", "race=c=0.2")
    assert check({"a": 500, "b": 300, "c": 200}, population=population) == []
    (found,) = check({"a": 700, "b": 200, "c": 100}, population=population)
    assert "c 10.0% (100 rows) of 20.0% in the population" in found.says
    assert "b 20.0%" in found.says
