import numpy as np
import polars as pl

from forgeline.parts.checks import contradiction
from forgeline.testing import view

DRAW = np.random.default_rng(4)


def people(rows=800, levels=0):
    numbers = DRAW.integers(0, levels, (rows, 5)) if levels else DRAW.normal(size=(rows, 5))
    frame = pl.DataFrame(numbers, schema=list("abcde"))
    return frame.with_columns(y=pl.Series(np.where(numbers[:, 0] + 0.3 * DRAW.normal(size=rows) > 0, "yes", "no")))


def flipped(frame):
    return frame.with_columns(y=pl.col("y").replace({"yes": "no", "no": "yes"}))


def test_copies_with_another_label_are_named():
    rows = people()
    frame = pl.concat([flipped(rows[:40]), rows])  # the wrong ones come first
    table, target = view(frame, target="y", test=[0, 1])
    (finding,) = contradiction.check(table, target)
    assert (finding.code, finding.severity, finding.fix.do) == ("quality.contradiction", "warn", "drop_rows")
    named = table.keep_rows.kept[-1][0]
    assert np.isin(named, np.arange(2, 40)).mean() >= 0.75
    assert len(named) == 38


def test_the_rarer_label_is_the_wrong_one():
    rows = people()
    table, target = view(pl.concat([flipped(rows[:20]), rows, rows[:20]]), target="y")
    list(contradiction.check(table, target))
    rows, scores = table.keep_rows.kept[-1]
    assert set(rows) == set(range(20))
    assert np.allclose(scores, 2 / 3)


def test_values_that_differ_by_more_than_noise():
    rows = people().with_columns(y=pl.col("a") * 3 + DRAW.normal(size=800))
    far, near = rows[:30].with_columns(y=pl.col("y") + 6), rows[30:60].with_columns(y=pl.col("y") + 0.1)
    table, target = view(pl.concat([rows, far, near]), target="y")
    list(contradiction.check(table, target))
    named = table.keep_rows.kept[-1][0]
    assert np.isin(named, np.arange(800, 830)).mean() >= 0.9
    assert len(named) == 30


def test_copies_that_agree_and_tables_of_few_levels_are_clean():
    rows = people()
    assert not list(contradiction.check(*view(pl.concat([rows, rows[:100]]), target="y")))
    assert not list(contradiction.check(*view(people(levels=3), target="y")))
