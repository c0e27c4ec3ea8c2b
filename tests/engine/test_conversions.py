import numpy as np
import pytest

from forgeline.engine.conversions import FAHRENHEIT, Outside, decimals, on_grid, unit
from forgeline.engine.empirical import distinct


def outside(value_N, least):
    value_V, count_V = distinct(np.sort(value_N))
    return Outside(value_V, count_V, value_V > least)


def test_a_conversion_is_undone():
    assert FAHRENHEIT[0].undo(np.array([32.0, 212])) == pytest.approx([0, 100])


def test_values_that_are_like_the_bulk_in_another_unit_have_it_and_others_have_none():
    draw = np.random.default_rng(1)
    bulk_N = draw.normal(170, 10, 2000).round(0)
    assert unit(outside(np.append(bulk_N, 100 * draw.normal(170, 10, 200).round(0)), 1000)).factor == 100
    assert unit(outside(np.append(bulk_N, draw.uniform(1500, 90_000, 200)), 1000)) is None


def test_decimals_are_those_a_value_is_written_with():
    assert decimals(np.array([1.25, 3, 4000, np.pi / 100])).tolist() == [2, 0, -3, 10]
    assert on_grid(np.array([1.25, 1.2, 3]), 1).tolist() == [False, True, True]
