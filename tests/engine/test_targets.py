import polars as pl
import pytest

from forgeline.engine import targets


def aim(counts, first=3):
    """The task of a whole-number target with so many rows of each value in a row."""
    return targets.aim(pl.Series("count", [first + grade for grade, rows in enumerate(counts) for _ in range(rows)]))


@pytest.mark.parametrize("counts", [[10, 53, 681, 638, 199, 18], [1, 5, 40, 90, 30, 20, 2], [2, 30, 30, 30, 9, 9, 1]])
def test_grades_with_one_peak_between_rare_ends_are_a_quantity(counts):
    found = aim(counts)
    assert found.task == "regression"
    assert "one peak between rare ends" in found.why


@pytest.mark.parametrize(
    "counts",
    [
        [100, 101, 99, 100, 100, 101, 98],  # digits
        [115, 39, 25, 25, 9, 5],  # one frequent class, then ever rarer ones
        [10, 53, 681, 638, 18],  # too few to be a scale
        [10, 600, 53, 638, 199, 18],  # two peaks
        [300, 400, 681, 638, 199, 18],  # an end that is not rare
    ],
)
def test_codes_of_classes_are_not_grades(counts):
    assert aim(counts).task == "multiclass"


def test_a_gap_makes_no_grades():
    values = [value for value, rows in zip((1, 2, 3, 4, 5, 7), (5, 60, 600, 500, 50, 5)) for _ in range(rows)]
    assert targets.aim(pl.Series("y", values)).task == "multiclass"
