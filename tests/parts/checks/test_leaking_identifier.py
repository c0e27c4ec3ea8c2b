import numpy as np
import polars as pl
import pytest

from forgeline.parts.checks import leaking_identifier
from forgeline.testing import view

ROWS = 1200
DRAW = np.random.default_rng(6)
X = DRAW.normal(size=(ROWS, 3))
Y = (X @ [1, 1, 0] + DRAW.normal(size=ROWS) > 0.5).astype(int)
PLACE = np.argsort(np.argsort(Y + 0.4 * DRAW.normal(size=ROWS)))
"""Rows sorted by class, more or less."""


def found(key, name="key"):
    columns = {f"x{at}": X[:, at] for at in range(3)}
    target = pl.Series(Y).cast(pl.String)
    return list(leaking_identifier.check(*view(pl.DataFrame({**columns, name: key, "y": target}), target="y")))


KEYS = {
    "running": PLACE + 1,
    "spread": 10_000 + np.cumsum(DRAW.integers(1, 999, ROWS))[PLACE],
    "text": [f"R{at:06d}" for at in PLACE],
    "digits": [f"{at % 7}x-{at}" for at in PLACE],
    "by class": [f"{'AB'[y]}-{at}" for at, y in enumerate(Y)],
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_that_were_handed_out_by_class(kind):
    (finding,) = found(KEYS[kind])
    severity = "block" if kind in ("running", "spread") else "warn"
    assert (finding.code, finding.severity, finding.columns) == ("leak.identifier", severity, ["key"])
    assert finding.numbers["inflation"] > 0.03


def test_keys_in_no_order_are_harmless():
    assert found(DRAW.permutation(ROWS)) == []
    assert found([f"R{at:06d}" for at in DRAW.permutation(ROWS)]) == []


def test_numbers_of_which_many_repeat_or_fractions_are_no_keys():
    assert found(PLACE // 3) == []
    assert found(PLACE / 7) == []


def test_a_counter_that_goes_with_other_columns_is_warned_of():
    (finding,) = found(np.argsort(np.argsort(X[:, 0])) + 1, "row id")
    assert finding.severity == "warn"


def test_what_people_write_is_no_key():
    words = np.array(["the", "food", "room", "staff", "was", "cold", "late", "clean"])
    first = np.where(Y == 1, "great, all of it:", "bad, most of it:")
    said = [f"{start} {' '.join(words[DRAW.integers(0, 8, 9)])}" for start in first]
    assert found(said, "review") == []
