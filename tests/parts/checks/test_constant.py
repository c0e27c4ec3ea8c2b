import polars as pl

from forgeline.parts.checks import constant
from forgeline.testing import view


def test_a_column_of_one_value_is_found():
    frame = pl.DataFrame({"same": ["kg"] * 3, "varies": [1, 2, 1]})
    (found,) = constant.check(*view(frame))
    assert (found.code, found.columns, found.fix.do) == ("quality.constant", ["same"], "drop")
    assert found.says == "same is kg in every row"


def test_one_late_change_is_enough_and_gaps_are_no_constant():
    frame = pl.DataFrame({"late": [0] * 1999 + [1], "gaps": [None] + [7] * 1999})
    assert not list(constant.check(*view(frame)))


def test_a_column_that_only_varies_in_sealed_rows_is_no_constant():
    frame = pl.DataFrame({"a": [1, 1, 1, 2], "y": [0.5, 1.5, 2.5, 3.5]})
    assert not list(constant.check(*view(frame, target="y", test=[3])))
