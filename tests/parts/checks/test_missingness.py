import numpy as np
import polars as pl
import pytest

from forgeline.parts.checks import missingness
from forgeline.testing import view

ROWS = 1500
DRAW = np.random.default_rng(2)
X = DRAW.normal(size=(ROWS, 3))
VALUE = X @ [1, 1, 0] + DRAW.normal(size=ROWS)
Y = (VALUE > 0.5).astype(int)
LUCK = DRAW.random(ROWS)


def found(gone, y=Y):
    columns = {f"x{at}": X[:, at] for at in range(3)}
    gappy = pl.Series(DRAW.normal(size=ROWS)).set(pl.Series(gone), None)
    target = y if y is VALUE else pl.Series(y).cast(pl.String)
    return list(missingness.check(*view(pl.DataFrame({**columns, "gappy": gappy, "y": target}), target="y")))


@pytest.mark.parametrize("y", [Y, VALUE], ids=["classes", "values"])
def test_gaps_that_go_with_the_target_alone(y):
    (finding,) = found(np.where(Y == 1, 0.6, 0.05) > LUCK, y)
    assert (finding.code, finding.columns, finding.fix.do) == ("leak.missingness", ["gappy"], "drop")
    assert finding.severity == "block"
    assert finding.numbers["inflation"] > 0.02


def test_a_moderate_effect_is_a_warning():
    (finding,) = found(np.where(Y == 1, 0.25, 0.1) > LUCK)
    assert finding.severity == "warn"


def test_gaps_that_add_nothing_are_a_note():
    """The other column says all there is to say of the target."""
    told = pl.Series(VALUE + 0.05 * DRAW.normal(size=ROWS))
    gappy = pl.Series(DRAW.normal(size=ROWS)).set(pl.Series(np.where(Y == 1, 0.5, 0.15) > LUCK), None)
    frame = pl.DataFrame({"told": told, "noise": X[:, 2], "gappy": gappy, "y": VALUE})
    (finding,) = missingness.check(*view(frame, target="y"))
    assert (finding.severity, finding.columns) == ("note", ["gappy"])
    assert finding.numbers["alone"] >= 0.05 > abs(finding.numbers["inflation"])


def test_gaps_at_random_or_by_another_column_are_honest():
    assert found(LUCK < 0.3) == []
    assert found(np.where(X[:, 0] > 0, 0.6, 0.05) > LUCK) == []


def test_known_cells_in_one_class_only_are_another_leak():
    assert found(np.where(Y == 1, 0.4, 1.0) > LUCK) == []


def test_columns_that_are_missing_together_do_not_hide_one_another():
    gone = pl.Series(np.where(Y == 1, 0.6, 0.05) > LUCK)
    pair = {f"gappy{at}": pl.Series(DRAW.normal(size=ROWS)).set(gone, None) for at in range(2)}
    frame = pl.DataFrame({**{f"x{at}": X[:, at] for at in range(3)}, **pair, "y": pl.Series(Y).cast(pl.String)})
    findings = list(missingness.check(*view(frame, target="y")))
    assert [(one.severity, *one.columns) for one in findings] == [("block", "gappy0"), ("block", "gappy1")]
