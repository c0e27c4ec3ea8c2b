import numpy as np
import polars as pl

from forgeline.parts.checks import duplicate
from forgeline.testing import view

DRAW = np.random.default_rng(1)
ROWS = pl.DataFrame({"a": DRAW.normal(size=60), "b": DRAW.normal(size=60), "y": ["p", "q"] * 30})
FEW = pl.DataFrame({"a": [1, 1, 2, 1, 2, 2], "b": ["x", "x", "y", "x", "y", "z"], "y": ["p", "p", "p", "q", "q", "q"]})


def test_later_copies_are_named_and_their_number_is_the_score():
    frame = pl.concat([ROWS, ROWS[[3, 3, 7, 8, 9]]])
    table, target = view(frame.drop("y"))
    (found,) = duplicate.check(table, target)
    rows, scores = table.keep_rows.kept[-1]
    assert rows.tolist() == [60, 61, 62, 63, 64]
    assert scores.tolist() == [3, 3, 2, 2, 2]
    assert (found.code, found.severity, found.fix.do) == ("quality.duplicate", "warn", "drop_rows")
    assert found.numbers == {"repeats": 5, "share": 5 / 65, "chance": 0, "beyond_chance": 5}


def test_training_rows_must_agree_in_the_target():
    (found,) = duplicate.check(*view(FEW, target="y"))
    assert found.rows.count == 1


def test_the_target_of_sealed_rows_is_not_looked_at():
    (found,) = duplicate.check(*view(FEW, target="y", test=[2, 4]))
    assert found.rows.count == 2  # rows 0 and 1 agree in everything, rows 2 and 4 in all but the target


def test_repeats_that_few_levels_bring_are_a_note_and_nothing_is_to_be_mended():
    frame = pl.DataFrame({name: DRAW.integers(0, 3, 500) for name in "abcd"})
    (found,) = duplicate.check(*view(frame))
    assert (found.severity, found.fix) == ("note", None)
    assert "chance alone" in found.says


def test_rows_that_differ_are_clean():
    frame = pl.DataFrame({"a": [None, 0, 1, 1], "b": ["", "", None, ""]})
    assert not list(duplicate.check(*view(frame)))
