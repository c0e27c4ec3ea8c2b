import numpy as np
import polars as pl
import pytest

from forgeline import mending, testing
from forgeline.parts.checks import hidden_missing
from forgeline.testing import view

ROWS = 1000


def draw() -> np.random.Generator:
    return np.random.default_rng(11)


def columns() -> dict[str, np.ndarray]:
    """Columns without a marker."""
    made = draw()
    return {
        "age": made.integers(17, 91, ROWS),
        "skin": made.integers(7, 60, ROWS),
        "score": made.normal(size=ROWS),
        "price": np.exp(made.normal(3, 0.4, ROWS)),
        "count": made.poisson(4, ROWS),
        "flag": made.integers(0, 2, ROWS),
        "grade": made.integers(1, 6, ROWS),
    }


@pytest.mark.parametrize(
    ("name", "marker", "text"),
    [
        ("age", -1, "-1"),
        ("age", 0, "0"),
        ("age", 999, "999"),
        ("skin", 0, "0"),
        ("skin", -200, "-200"),
        ("score", -999, "-999.0"),
        ("score", 99, "99.0"),
        ("price", 0, "0.0"),
        ("price", 1e20, pl.Series([1e20]).cast(pl.String)[0]),
        ("price", 12345, "12345.0"),
        ("count", -1, "-1"),
        ("count", 9999, "9999"),
        ("flag", 99, "99"),
        ("grade", -9, "-9"),
    ],
)
@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_markers_among_numbers_are_found_and_mended(name, marker, text, share):
    values = columns()[name]
    rows = np.sort(draw().choice(ROWS, int(share * ROWS), replace=False))
    values[rows] = marker
    table, _ = view(pl.DataFrame({name: values}))
    (found,) = hidden_missing.check(table, None)
    assert (found.code, found.columns, found.fix.markers) == ("quality.hidden_missing", [name], [text])
    assert table.keep_rows.kept[-1][0].tolist() == rows.tolist()
    assert mending.mended(table.all, found.fix)[name].is_null().arg_true().to_list() == rows.tolist()


def test_two_markers_in_one_column_are_both_found():
    values = columns()["age"]
    values[:40], values[40:70], values[70:90] = -999, -1, 9999
    (found,) = hidden_missing.check(*view(pl.DataFrame({"age": values})))
    assert found.fix.markers == ["-999", "-1", "9999"]


def test_three_of_4000_rows_are_enough_of_a_famous_negative_number():
    values = draw().integers(0, 90, 4 * ROWS)
    values[[7, 70, 700]] = -1
    (found,) = hidden_missing.check(*view(pl.DataFrame({"months": values})))
    assert (found.fix.markers, found.numbers["cells"]) == (["-1"], 3)


def test_a_famous_number_amid_others_is_found_where_its_neighbours_are_rare():
    values = draw().integers(0, 1_000_000, ROWS)
    values[:50] = 9999
    (found,) = hidden_missing.check(*view(pl.DataFrame({"amount": values})))
    assert found.fix.markers == ["9999"]


@pytest.mark.parametrize("name", columns())
def test_honest_numbers_are_clean(name):
    assert not list(hidden_missing.check(*view(pl.DataFrame({name: columns()[name]}))))


def honest() -> dict[str, np.ndarray]:
    """Columns that look as if they had a marker."""
    made = draw()
    gains = np.where(made.random(ROWS) < 0.9, 0, np.exp(made.normal(8, 1.2, ROWS))).astype(int)
    rain = np.where(made.random(ROWS) < 0.7, 0.0, 0.2 + made.exponential(3, ROWS))
    return {
        "no gain": gains,
        "capped": np.minimum(made.integers(17, 130, ROWS), 90),
        "capped at 99": np.minimum(made.poisson(60, ROWS) + made.integers(0, 50, ROWS), 99),
        "rain": rain,
        "scaled": np.where(made.random(ROWS) < 0.5, -0.8363, made.exponential(1, ROWS)),
        "sign": made.integers(-1, 2, ROWS),
        "delay": made.integers(-2, 9, ROWS),
        "outliers": np.append(made.normal(size=ROWS - 5), [50, 60, 75, 90, 1e3]),
    }


@pytest.mark.parametrize("name", honest())
def test_what_only_looks_like_a_marker_is_clean(name):
    assert not list(hidden_missing.check(*view(pl.DataFrame({name: honest()[name]}))))


@pytest.mark.parametrize(
    "word", ["unknown", "UNKNOWN", "Not Available", "not_applicable", "n/a", "missing", "-", "--", "unbekannt", "#N/A"]
)
def test_words_that_mean_missing_are_found(word):
    cities = [["Rome", "Oslo", "Bern"][at % 3] for at in range(ROWS)]
    cities[5] = cities[600] = word
    table, _ = view(pl.DataFrame({"city": cities}))
    (found,) = hidden_missing.check(table, None)
    assert (found.fix.do, found.fix.markers) == ("missing", [word])
    assert table.keep_rows.kept[-1][0].tolist() == [5, 600]


def test_none_is_a_marker_among_colours_and_a_level_among_degrees():
    colours = [["red", "blue", "green", "none"][at % 4] for at in range(ROWS)]
    degrees = [["mild", "severe", "moderate", "none"][at % 4] for at in range(ROWS)]
    debtors = [["none", "guarantor", "applicant", "none"][at % 4] for at in range(ROWS)]
    frame = pl.DataFrame({"colours": colours, "degrees": degrees, "debtors": debtors})
    (found,) = hidden_missing.check(*view(frame))
    assert found.columns == ["colours"]


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("religion", ["Christian", "Muslim", "Hindu"]),
        ("faith", ["Catholic", "Jewish"]),
        ("disability", ["deaf", "blind"]),
    ],
)
def test_people_may_have_no_religion_and_no_disability(name, levels):
    values = draw().choice([*levels, "other", "none"], ROWS).tolist()
    assert not list(hidden_missing.check(*view(pl.DataFrame({name: values}))))


def test_a_number_among_words_is_a_marker_and_a_test_result_is_none():
    frame = pl.DataFrame(
        {
            "city": ["-999" if at % 20 == 0 else ["Rome", "Oslo", "Bern"][at % 3] for at in range(ROWS)],
            "result": ["+" if at % 3 else "-" for at in range(ROWS)],
        }
    )
    (found,) = hidden_missing.check(*view(frame))
    assert (found.columns, found.fix.markers) == (["city"], ["-999"])


def test_it_keeps_the_contract():
    testing.check_check(hidden_missing)
