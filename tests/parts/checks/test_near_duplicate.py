from dataclasses import replace

import numpy as np
import polars as pl

from forgeline.parts.checks import near_duplicate
from forgeline.testing import view

DRAW = np.random.default_rng(3)


def people(rows):
    numbers = DRAW.normal(size=(rows, 6))
    frame = pl.DataFrame(numbers, schema=list("abcdef")).with_columns(city=pl.Series(DRAW.choice(list("xyz"), rows)))
    return frame.with_columns(y=pl.Series((numbers[:, 0] + DRAW.normal(size=rows) > 0).astype(int)))


def jitter(frame):
    return frame.with_columns(**{name: frame[name] + 0.01 * DRAW.normal(size=frame.height) for name in "abcdef"})


def test_jittered_copies_in_one_table_are_a_warning():
    rows = people(1000)
    table, target = view(pl.concat([rows, jitter(rows[:50])]), target="y")
    (finding,) = near_duplicate.check(table, target)
    named, scores = table.keep_rows.kept[-1]
    assert (finding.code, finding.severity) == ("leak.near_duplicate", "warn")
    assert set(named) == set(range(1000, 1050))
    assert (scores > 5).all()
    assert 0 <= finding.numbers["low"] <= finding.numbers["inflation"] <= finding.numbers["high"]


def test_jittered_copies_across_the_files_block():
    train, test = people(1000), people(300)
    table, target = view(train, target="y")
    table = replace(table, test=pl.concat([test, jitter(train[100:130])]).drop("y"))
    (finding,) = near_duplicate.check(table, target)
    assert (finding.code, finding.severity) == ("leak.near_duplicate", "block")
    assert set(table.keep_rows.kept[-1][0]) == set(range(100, 130))
    assert finding.numbers["copies"] == 30


def test_fresh_rows_and_exact_copies_are_clean():
    rows = people(1000)
    table, target = view(pl.concat([rows, rows[:50]]), target="y")
    assert not list(near_duplicate.check(table, target))
    assert not list(near_duplicate.check(replace(table, test=people(300).drop("y")), target))
