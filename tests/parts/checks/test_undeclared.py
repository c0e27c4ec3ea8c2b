import polars as pl

from forgeline.parts.checks import undeclared
from forgeline.testing import view

FRAME = pl.DataFrame(
    {
        "Gender": ["F", "M"] * 50,
        "age": [20 + at % 40 for at in range(99)] + [455],
        "stage": ["one", "two"] * 50,
        "who": ["male", "female"] * 50,
        "charge": ["M", "F"] * 50,
        "race": [at / 7 for at in range(100)],
    }
)


def found(**more):
    return [(each.columns[0], each.says) for each in undeclared.check(*view(FRAME, **more))]


def test_columns_that_look_protected_are_suggested():
    columns = found()
    assert [name for name, _ in columns] == ["Gender", "age", "who"]
    assert "its name says so" in columns[0][1]
    assert "its values say so" in columns[2][1]


def test_declared_columns_and_targets_are_not():
    assert [name for name, _ in found(protected=["Gender", "age"])] == ["who"]
    assert [name for name, _ in found(protected=["Gender", "age"], target="who")] == []


def test_it_is_a_note():
    (first, *_) = undeclared.check(*view(FRAME))
    assert (first.code, first.severity) == ("bias.undeclared", "note")
