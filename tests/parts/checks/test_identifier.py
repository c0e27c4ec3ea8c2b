import numpy as np
import polars as pl
import pytest

from forgeline.parts.checks import identifier
from forgeline.testing import view

DRAW = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("name", "values", "severity"),
    [
        ("counter", np.arange(1, 1001), "warn"),
        ("shuffled", DRAW.permutation(1000) + 40_000, "warn"),
        ("holes", np.arange(1000) * 3, "warn"),
        ("order_id", DRAW.choice(10**12, 1000, replace=False), "warn"),
        ("customerID", [f"C-{at:05d}" for at in range(1000)], "warn"),
        ("repeated", [*range(990), *range(10)], "note"),
        ("mail", [f"{at % 980}@example.org" for at in range(1000)], "note"),
    ],
)
def test_names_of_rows_are_found(name, values, severity):
    (found,) = identifier.check(*view(pl.DataFrame({name: values})))
    assert (found.code, found.columns, found.severity) == ("quality.identifier", [name], severity)
    assert (found.fix.do, found.fix.columns) == ("drop", [name])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("weight", np.exp(DRAW.normal(12, 0.5, 1000)).astype(int)),  # like Adult's fnlwgt: some repeat
        ("paid", DRAW.choice(10**12, 1000, replace=False)),  # wide: unique by nature, not by design
        ("measured", DRAW.normal(size=1000)),
        ("pixels", DRAW.integers(0, 256, 1000)),
        ("city", [f"city {at % 300}" for at in range(1000)]),
        ("few", np.arange(1000) // 25),
    ],
)
def test_what_describes_rows_is_clean(name, values):
    assert not list(identifier.check(*view(pl.DataFrame({name: values}))))


def test_few_rows_prove_nothing():
    assert not list(identifier.check(*view(pl.DataFrame({"name": ["Ann", "Bo", "Cy"]}))))
