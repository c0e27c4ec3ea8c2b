import numpy as np
import polars as pl
import pytest

from forgeline.parts.checks import after_outcome
from forgeline.testing import view

ROWS = 1500
DRAW = np.random.default_rng(5)
X = DRAW.normal(size=(ROWS, 3))
VALUE = X @ [1, 1, 0] + DRAW.normal(size=ROWS)
Y = (VALUE > 0.5).astype(int)
AMOUNT = np.round(DRAW.gamma(2, 50, ROWS) + 1, 2)
LUCK = DRAW.random(ROWS)
LATER = np.where(Y == 1, 0.6, 0.01) > LUCK
"""Filled in for most of one class, by mistake for a few of the other."""


def found(column, y=Y):
    columns = {f"x{at}": X[:, at] for at in range(3)}
    target = y if y is VALUE else pl.Series(y).cast(pl.String)
    return list(after_outcome.check(*view(pl.DataFrame({**columns, "later": column, "y": target}), target="y")))


DAY = [f"2024-{at % 12 + 1:02d}-{at % 28 + 1:02d}" for at in range(ROWS)]
COLUMNS = {
    "null": pl.Series(AMOUNT).set(pl.Series(~LATER), None),
    "zero": np.where(LATER, AMOUNT, 0),
    "none": np.where(LATER, np.array(["call", "letter"])[(AMOUNT > 90) * 1], "none"),
    "date": pl.Series(DAY).set(pl.Series(~LATER), None),
}


@pytest.mark.parametrize("y", [Y, VALUE], ids=["classes", "values"])
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_default_that_is_left_in_one_class_only(kind, y):
    (finding,) = found(COLUMNS[kind], y)
    assert (finding.code, finding.severity, finding.columns) == ("leak.after_outcome", "block", ["later"])
    assert finding.numbers["inflation"] > 0.02
    assert finding.numbers["share"] > 0.9


def test_known_in_one_class_and_missing_in_the_other():
    (finding,) = found(pl.Series(AMOUNT).set(pl.Series(np.where(Y == 1, 0.99, 0.02) < LUCK), None))
    assert finding.columns == ["later"]


def test_a_default_of_fewer_rows_than_not():
    filled = np.where(Y == 0, 0.9, 0.01) > LUCK
    assert filled.mean() > 0.5
    (finding,) = found(np.where(filled, np.array(["call", "letter", "visit"])[DRAW.integers(0, 3, ROWS)], "none"))
    assert finding.columns == ["later"]


def test_what_another_column_explains_or_chance_is_honest():
    assert found(np.where((X[:, 0] > 1) & (LUCK < 0.8), AMOUNT, 0)) == []
    assert found(np.where(LUCK < 0.2, AMOUNT, 0)) == []


def test_gaps_of_one_class_are_another_leak():
    assert found(pl.Series(AMOUNT).set(pl.Series(np.where(Y == 1, 0.6, 0.05) > LUCK), None)) == []


def test_several_that_are_filled_in_together_do_not_hide_one_another():
    columns = {f"x{at}": X[:, at] for at in range(3)}
    later = {
        "amount": pl.Series(AMOUNT).set(pl.Series(~LATER), None),
        "day": pl.Series(DAY).set(pl.Series(~LATER), None),
        "by": np.where(LATER, "call", "none"),
    }
    frame = pl.DataFrame({**columns, **later, "y": pl.Series(Y).cast(pl.String)})
    findings = list(after_outcome.check(*view(frame, target="y")))
    assert sorted((one.severity, *one.columns) for one in findings) == [("block", name) for name in sorted(later)]
