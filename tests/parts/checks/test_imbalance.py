import polars as pl
import pytest

from forgeline.parts.checks import imbalance
from forgeline.testing import view


@pytest.mark.parametrize(("rare", "severity"), [(60, "note"), (5, "warn")])
def test_a_rare_class_is_told_with_its_numbers(rare, severity):
    frame = pl.DataFrame({"x": range(1000), "y": ["rare"] * rare + ["common"] * (1000 - rare)})
    (found,) = imbalance.check(*view(frame, target="y"))
    assert (found.code, found.severity, found.columns, found.fix.do) == (
        "quality.imbalance",
        severity,
        ["y"],
        "reweigh",
    )
    assert found.numbers["rows"] == rare


def test_classes_that_are_not_rare_are_clean():
    frame = pl.DataFrame({"x": range(1000), "y": ["a"] * 300 + ["b"] * 700})
    assert not list(imbalance.check(*view(frame, target="y")))


def test_values_have_no_classes():
    frame = pl.DataFrame({"x": range(100), "y": [0.5 + at for at in range(100)]})
    assert not list(imbalance.check(*view(frame, target="y")))
