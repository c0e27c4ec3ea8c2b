import numpy as np
import polars as pl
import pytest

from forgeline.engine.near_duplicates import copies
from forgeline.engine.seeds import Seed

SEED = Seed(0).child("test")


def table(rows=1500, columns=8, seed=1):
    draw = np.random.default_rng(seed)
    numbers = {f"x{at}": draw.normal(size=rows) for at in range(columns)}
    return pl.DataFrame({**numbers, "colour": draw.choice(list("abcd"), rows), "size": draw.choice(["s", "m"], rows)})


def jittered(frame, share=0.05, scale=0.01, seed=2):
    """The frame with jittered copies of some rows at its end."""
    draw = np.random.default_rng(seed)
    again = frame[draw.permutation(frame.height)[: int(share * frame.height)]]
    noise = {
        name: again[name] + scale * draw.normal(size=again.height)
        for name in frame.columns
        if frame.schema[name].is_float()
    }
    return pl.concat([frame, again.with_columns(**noise)])


@pytest.mark.parametrize("scale", [0.0005, 0.01, 0.02])
def test_jittered_copies_are_found_and_nothing_else(scale):
    frame = jittered(table(), scale=scale)
    found = copies(frame, seed=SEED)
    assert len(np.intersect1d(found.row_P, np.arange(1500, frame.height))) >= 0.97 * 75
    assert (found.row_P >= 1500).mean() >= 0.97
    assert (found.partner_P < found.row_P).all()


def test_one_changed_category_among_equal_cells():
    frame = table()
    again = frame[::20].with_columns(colour=pl.col("colour").replace({"a": "b", "b": "c", "c": "d", "d": "a"}))
    found = copies(pl.concat([frame, again]), seed=SEED)
    assert set(found.row_P) == set(range(1500, 1575))


DRAW = np.random.default_rng(4)
CLEAN = {
    "numbers": table(),
    "few levels": pl.DataFrame({f"c{at}": DRAW.integers(0, 3, 1500) for at in range(7)}).unique(maintain_order=True),
    "sparse flags": pl.DataFrame({f"f{at}": DRAW.random(1500) < 0.1 for at in range(20)}).unique(maintain_order=True),
    "slow series": pl.DataFrame({f"s{at}": np.cumsum(DRAW.normal(size=1500)) for at in range(5)}),
    "heavy tails": pl.DataFrame({f"t{at}": DRAW.standard_t(1.5, 1500) for at in range(6)}),
    "clusters": pl.DataFrame(DRAW.normal(size=(100, 6))[np.arange(1500) % 100] + 0.05 * DRAW.normal(size=(1500, 6))),
    "grid": pl.DataFrame({"a": np.arange(1500) % 10, "b": np.arange(1500) // 10 % 10, "c": np.arange(1500) // 100}),
}


@pytest.mark.parametrize("case", CLEAN)
def test_what_is_natural_for_a_table_is_no_copy(case):
    assert len(copies(CLEAN[case], seed=SEED).row_P) == 0


def test_copies_across_two_sides_are_named_on_the_second():
    frame = jittered(table())
    side_N = (np.arange(frame.height) >= 1200).astype(np.int8)
    found = copies(frame, side_N, seed=SEED)
    assert len(found.row_P) >= 45
    assert (found.row_P >= 1500).all()
    assert (found.partner_P < 1200).all()


def test_rows_that_differ_in_their_number_only_are_copies():
    frame = table().with_row_index("id").with_columns(pl.col("id").cast(pl.Int64))
    again = frame[::15].with_columns(id=pl.int_range(1500, 1600))
    found = copies(pl.concat([frame, again]), seed=SEED)
    assert set(found.row_P) == set(range(1500, 1600))
