from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from forgeline.parts.checks import copies_across
from forgeline.testing import view

DRAW = np.random.default_rng(2)


def people(rows, levels=0):
    numbers = DRAW.integers(0, levels, (rows, 5)) if levels else DRAW.normal(size=(rows, 5))
    frame = pl.DataFrame(numbers, schema=list("abcde"))
    return frame.with_columns(y=pl.Series((numbers[:, 0] + 2 * DRAW.normal(size=rows) > 0).astype(int)))


def found(train, test=None):
    table, target = view(train, target="y")
    table = table if test is None else replace(table, test=test.drop("y"))
    return list(copies_across.check(table, target)), table.keep_rows.kept


def test_test_rows_that_are_training_rows_block():
    train, test = people(600), people(200)
    (finding,), kept = found(train, pl.concat([train[10:40], test]))
    assert (finding.code, finding.severity, finding.fix.do) == ("leak.duplicate", "block", "drop_rows")
    assert kept[-1][0].tolist() == list(range(10, 40))
    assert finding.numbers["test_rows"] == 30
    assert 0 < finding.numbers["inflation"] < 0.2


def test_fresh_test_rows_are_clean():
    assert found(people(600), people(200))[0] == []


def test_rows_of_few_levels_meet_by_chance():
    assert found(people(600, levels=3), people(200, levels=3))[0] == []


def test_copies_beyond_those_that_rows_of_few_levels_bring():
    train, test = people(600, levels=4), people(200, levels=4)
    assert found(train, test)[0] == []
    copied = pl.concat([test[:100], train.sample(100, seed=1)])
    (finding,), _ = found(train, copied)
    usual = finding.numbers["chance"]
    assert 0.3 * 200 < usual < 0.6 * 200 < finding.numbers["test_rows"]


def test_copies_that_add_nothing_do_not_block():
    clear = [people(rows).with_columns(y=(pl.col("a") > 0).cast(pl.Int64)) for rows in (600, 200)]
    (finding,), _ = found(clear[0], pl.concat([clear[0][:20], clear[1]]))
    assert finding.severity == "warn"
    assert finding.numbers["high"] < 0.005


def test_a_table_full_of_copies_says_what_a_random_split_would_add():
    rows = people(300)
    (finding,), kept = found(pl.concat([rows, rows, rows]))
    assert (finding.code, finding.severity) == ("leak.duplicate", "warn")
    assert len(kept[-1][0]) == 600
    assert finding.numbers["low"] > 0.02


@pytest.mark.parametrize("levels", [0, 3])
def test_a_table_of_single_rows_is_clean(levels):
    assert found(people(600, levels))[0] == []


def test_values_as_target_and_no_target():
    train = people(600).with_columns(y=pl.col("a") + DRAW.normal(size=600))
    test = pl.concat([train[:50], train[:100].with_columns(a=pl.col("a") + 1)])
    (finding,), _ = found(train, test)
    assert finding.numbers["test_rows"] == 50
    table, _ = view(train)
    (finding,) = copies_across.check(replace(table, test=test), None)
    assert finding.numbers["test_rows"] == 50
    assert not list(copies_across.check(table, None))
