from dataclasses import replace

import polars as pl

from forgeline.parts.checks import schema
from forgeline.testing import view


def found(test):
    table, target = view(pl.DataFrame({"age": [20 + at % 60 for at in range(400)], "town": ["Bonn", "Rome"] * 200}))
    return list(schema.check(replace(table, test=test), target))


def test_a_test_file_with_another_town_and_gaps():
    test = pl.DataFrame({"age": [30] * 100, "town": ["Oslo"] * 20 + [None] * 30 + ["Rome"] * 50})
    (one,) = found(test)
    assert (one.code, one.severity, one.columns) == ("quality.schema", "warn", ["town"])
    assert one.numbers == {"rows": 30, "share": 0.3}
    assert "missing in 30 of 100 rows" in one.says
    assert "1 values that training did not have, in 20 rows" in one.says


def test_a_test_file_like_the_training_rows_or_none():
    assert found(pl.DataFrame({"age": [21, 79, 80, 85] * 20, "town": ["Bonn"] * 80})) == []
    assert found(None) == []
