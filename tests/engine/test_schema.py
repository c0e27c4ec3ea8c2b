from datetime import datetime, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest

from forgeline.engine import schema


def frame(rows=2000, seed=0):
    """A table of columns of every kind, tails and rare levels among them."""
    draw = np.random.default_rng(seed)
    levels = np.array([f"town {at}" for at in range(60)])
    weight = 1 / np.arange(1, 61) ** 1.5
    amount = draw.lognormal(3, 1.5, rows)
    return pl.DataFrame(
        {
            "age": draw.integers(18, 90, rows),
            "amount": amount,
            "heavy": draw.standard_t(2, rows),
            "gaps": pl.Series(amount).set(pl.Series(draw.random(rows) < 0.1), None),
            "town": draw.choice(levels, rows, p=weight / weight.sum()),
            "plate": [f"{a}{b}-{n:04d}" for a, b, n in zip("ABCD" * rows, "XYZ" * rows, draw.integers(0, 9999, rows))],
            "words": [" ".join(["word"] * n) + str(at) for at, n in enumerate(draw.integers(1, 9, rows))],
            "truth": draw.random(rows) < 0.3,
            "day": [datetime(2020, 1, 1) + timedelta(days=int(one)) for one in draw.integers(0, 900, rows)],
            "": draw.normal(size=rows),
        }
    )


def whats(changed, before=None):
    return [
        (one.column, one.what) for one in schema.compare(schema.infer(frame() if before is None else before), changed)
    ]


def test_a_fresh_sample_raises_next_to_nothing():
    """60 halves of 10 columns: 600 columns, of which at most one may be thought changed."""
    raised = 0
    for seed in range(60):
        rows = frame(rows=(100, 600, 3000)[seed % 3], seed=seed)
        order = np.random.default_rng(seed).permutation(rows.height)
        cut = rows.height // (2 if seed % 2 else 5)
        raised += len(schema.compare(schema.infer(rows[order[cut:]]), rows[order[:cut]]))
    assert raised <= 1


def test_it_survives_a_file():
    found = schema.infer(frame())
    assert msgspec.json.decode(msgspec.json.encode(found), type=schema.Schema) == found
    assert {one.name: one.dtype for one in found.columns}["day"] == "microseconds"
    age = found.columns[0]
    assert (age.least, age.most, age.whole, age.missing) == (18, 89, True, 0)
    assert found.columns[4].levels is not None
    assert found.columns[5].patterns == ["A-9"]


PART = (pl.int_range(pl.len()) % 20) == 0
CHANGES = {
    "range": ("age", pl.when(PART).then(pl.col("age") * 100).otherwise(pl.col("age"))),
    "whole": ("age", pl.when(PART).then(pl.col("age") + 0.5).otherwise(pl.col("age"))),
    "new_missing": ("town", pl.when(PART).then(None).otherwise(pl.col("town"))),
    "new_level": ("town", pl.when(PART).then(pl.lit("Atlantis")).otherwise(pl.col("town"))),
    "text": ("plate", pl.when(PART).then(pl.lit("9/A")).otherwise(pl.col("plate"))),
    "date": ("day", pl.when(PART).then(pl.lit(datetime(1970, 1, 1))).otherwise(pl.col("day"))),
    "type": ("amount", pl.col("amount").cast(pl.String)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_found_with_its_rows(what):
    name, change = CHANGES[what]
    (one,) = schema.compare(schema.infer(frame()), frame(500, seed=1).with_columns(change.alias(name)))
    assert (one.column, one.what) == (name, what)
    if what != "type":
        assert set(range(0, 500, 20)) <= set(one.rows)
        assert len(one.rows) <= 30
    assert "Atlantis" not in one.says


def test_columns_come_and_go():
    changed = frame(300, seed=2).drop("age").with_columns(pl.lit(1).alias("count"))
    assert whats(changed) == [("age", "missing_column"), ("count", "extra_column")]


def test_odd_frames():
    nothing = pl.DataFrame({"a": pl.Series([None, None], dtype=pl.String), "b": [1.0, float("inf")]})
    assert whats(nothing, nothing) == []
    assert whats(nothing.head(0), nothing) == []
    assert whats(pl.DataFrame({"a": ["x"], "b": [1]}), nothing) == []
