import polars as pl

from forgeline.parts.checks import duplicate
from forgeline.testing import view

ROWS = pl.DataFrame(
    {
        "a": [1, 1, 2, 1, 2, 2],
        "b": ["x", "x", "y", "x", "y", "z"],
        "y": ["p", "p", "p", "q", "q", "q"],
    }
)


def test_later_copies_are_named_and_their_number_is_the_score():
    table, target = view(ROWS.drop("y"))
    kept = {}
    object.__setattr__(table, "keep_rows", lambda rows, scores: kept.update(zip(rows, scores, strict=True)))
    (found,) = duplicate.check(table, target)
    assert kept == {1: 3, 3: 3, 4: 2}
    assert (found.code, found.severity, found.fix.do) == ("quality.duplicate", "note", "drop_rows")
    assert found.numbers == {"repeats": 3, "share": 0.5}


def test_training_rows_must_agree_in_the_target():
    (found,) = duplicate.check(*view(ROWS, target="y"))
    assert found.rows.count == 1


def test_the_target_of_sealed_rows_is_not_looked_at():
    (found,) = duplicate.check(*view(ROWS, target="y", test=[2, 4]))
    assert found.rows.count == 2  # rows 0 and 1 agree in everything, rows 2 and 4 in all but the target


def test_rows_that_differ_are_clean():
    frame = pl.DataFrame({"a": [None, 0, 1, 1], "b": ["", "", None, ""]})
    assert not list(duplicate.check(*view(frame)))
