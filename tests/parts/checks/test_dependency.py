import numpy as np
import polars as pl
import pytest

from forgeline.parts.checks import dependency
from forgeline.testing import view


def towns(rows=2000):
    draw = np.random.default_rng(1)
    code_N = draw.integers(0, 20, rows)
    return draw, code_N, np.array([f"town {code % 9}" for code in code_N], dtype=object)


def test_rows_that_break_a_rule_are_named():
    draw, code_N, town_N = towns()
    bad = np.arange(0, 2000, 20)
    town_N[bad] = [f"town {(code + 1 + draw.integers(0, 8)) % 9}" for code in code_N[bad] % 9]
    table, target = view(pl.DataFrame({"count": code_N, "row": town_N}, schema_overrides={"row": pl.String}))
    (found,) = dependency.check(table, target)
    rows, scores = table.keep_rows.kept[-1]
    assert (found.code, found.columns) == ("quality.dependency", ["row", "count"])
    assert set(rows) == set(bad)
    assert scores.min() > 0.8


def test_exact_rules_and_categories_that_merely_go_together_are_clean():
    draw, code_N, town_N = towns()
    # Half of the towns decide the weather, the others do not.
    weather_N = [f"w{code % 4}" if code < 10 else f"w{draw.integers(0, 4)}" for code in code_N]
    frame = pl.DataFrame(
        {"code": code_N, "town": town_N, "weather": weather_N, "odd": draw.integers(0, 5, 2000)},
        schema_overrides={"town": pl.String},
    )
    assert not list(dependency.check(*view(frame)))


def sizes(even=True, rows=4000):
    """Four letters of two sizes, and 5 % of the rows with the other one: of all letters alike, or of one."""
    draw = np.random.default_rng(2)
    letter_N = draw.integers(0, 4, rows)
    small_N = letter_N % 2 == 0
    bad = draw.random(rows) < (0.05 if even else 0.2 * (letter_N == 1))
    return pl.DataFrame({"letter": letter_N.astype(str), "size": np.where(small_N ^ bad, "small", "large")}), bad


def test_few_values_are_enough_where_errors_are_even():
    frame, bad = sizes()
    table, target = view(frame)
    (found,) = dependency.check(table, target)
    assert found.columns == ["size", "letter"]
    assert set(table.keep_rows.kept[-1][0]) == set(np.flatnonzero(bad))
    assert not list(dependency.check(*view(sizes(even=False)[0])))


def test_of_few_values_what_another_column_tells_is_no_error():
    frame, bad = sizes()
    told_N = np.where(bad, np.random.default_rng(3).normal(3, 1, 4000), np.random.default_rng(4).normal(0, 1, 4000))
    assert not list(dependency.check(*view(frame.with_columns(told=told_N))))


@pytest.mark.parametrize("rows", [500, 4000])
def test_a_rule_that_only_some_values_break_is_none(rows):
    draw = np.random.default_rng(5)
    day_N = draw.integers(0, 365, rows)
    month_N, season_N = day_N // 31, (day_N + 11) // 92  # seasons turn within a month
    frame = pl.DataFrame({"month": month_N, "season": season_N.astype(str)})
    assert not list(dependency.check(*view(frame)))
