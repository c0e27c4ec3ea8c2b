import doctest

import pytest

from forgeline.board import figures
from forgeline.records import Number


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(figures).failed == 0


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "", "0"),
        (-0.25, "", "-0.25"),
        (1234.56, "", "1,235"),
        (0.00004, "", "4.000e-05"),
        (12_800, "FLOPs", "12,800 FLOPs"),
        (59.97, "s", "1 min 0 s"),
        (0.000213, "s", "0.213 ms"),
        (1_450_000, "bytes", "1.45 MB"),
        (2.5e13, "bytes", "25 TB"),
    ],
)
def test_quantity(value, unit, shown):
    assert figures.quantity(value, unit) == shown


def test_a_number_and_its_interval_have_the_same_decimals():
    number = Number(value=0.9, low=0.89124, high=0.9088, level=0.95, unit="ratio")
    assert figures.value_text(number) == "0.9000 ratio"
    assert figures.interval_text(number) == "[0.8912, 0.9088] 95 %"


def test_what_is_null_is_unknown_and_never_zero():
    number = Number(value=None, low=0.0, high=1.0, why="no counter")
    assert (figures.value_text(number), figures.interval_text(number)) == ("unknown", "")


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, "—"),
        (True, "yes"),
        (False, "no"),
        ("<b>", "<b>"),
        (["a", 2], "a, 2"),
        ({"rate": 0.05}, "rate = 0.05"),
        ({}, "—"),
    ],
)
def test_cell_text(cell, shown):
    assert figures.cell_text(cell) == shown


def test_a_tiny_value_in_a_column_is_not_rounded_to_zero():
    assert figures.aligned([12.5, 0.0000123]) == ["12.50", "1.230e-05"]
