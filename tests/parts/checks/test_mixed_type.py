import numpy as np
import polars as pl
import pytest

from forgeline import testing
from forgeline.parts.checks import mixed_type
from forgeline.testing import view

ROWS = 400
NUMBERS = [f"{value:.1f}" for value in np.random.default_rng(2).normal(50, 9, ROWS)]


@pytest.mark.parametrize("odd", ["12 kg", "abc", "1,5", "about 30", "unknown"])
def test_text_in_a_fifth_of_the_numbers_is_found(odd):
    values = [odd if at % 5 == 0 else number for at, number in enumerate(NUMBERS)]
    table, _ = view(pl.DataFrame({"size": values}))
    (found,) = mixed_type.check(table, None)
    assert (found.code, found.columns, found.numbers["cells"]) == ("quality.mixed_type", ["size"], ROWS // 5)
    assert (found.fix.do, found.fix.to) == ("cast", "number")
    assert table.keep_rows.kept[-1][0].tolist() == list(range(0, ROWS, 5))


def test_numbers_among_words_are_found():
    values = [NUMBERS[at] if at % 20 == 0 else ["red", "green", "blue"][at % 3] for at in range(ROWS)]
    table, _ = view(pl.DataFrame({"colour": values}))
    (found,) = mixed_type.check(table, None)
    assert (found.columns, found.fix) == (["colour"], None)
    assert table.keep_rows.kept[-1][0].tolist() == list(range(0, ROWS, 20))


@pytest.mark.parametrize("written", ["{} kg", "{}%", "$ {}", "1,{:0>3}.5"])
def test_numbers_written_as_text_are_found(written):
    values = [written.format(at % 90 + 10) for at in range(ROWS)]
    (found,) = mixed_type.check(*view(pl.DataFrame({"a": values})))
    assert found.numbers["cells"] == 0
    assert "numbers written as text" in found.says


def test_what_the_snapshot_tells_of_is_not_told_twice():
    values = ["abc" if at % 20 == 0 else number for at, number in enumerate(NUMBERS)]
    assert not list(mixed_type.check(*view(pl.DataFrame({"size": values}))))


@pytest.mark.parametrize(
    "values",
    [
        [["1", "2", "3", "more"][at % 4] for at in range(ROWS)],
        [f"{at % 20 + 1}th" for at in range(ROWS)],
        [f"V{at % 50}" if at % 4 == 0 else str(200 + at % 70) for at in range(ROWS)],
        [f"{at % 40}{'abc'[at % 7 % 3]}" if at % 3 == 0 else str(at % 40) for at in range(ROWS)],
        [f"{['PC', 'A/5', 'SOTON/OQ'][at % 3]} {at}" if at % 4 == 0 else str(9 * at) for at in range(ROWS)],
        [["0-10%", "10-20%", "20-30%"][at % 3] for at in range(ROWS)],
        [["36 months", "60 months"][at % 2] for at in range(ROWS)],
        [["red", "green"][at % 2] for at in range(ROWS)],
    ],
)
def test_codes_and_levels_are_clean(values):
    assert not list(mixed_type.check(*view(pl.DataFrame({"a": values}))))


def test_it_keeps_the_contract():
    testing.check_check(mixed_type)
