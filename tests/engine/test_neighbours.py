import numpy as np
import polars as pl
import pytest

from forgeline.engine import neighbours
from forgeline.engine.probe import Probe
from forgeline.engine.seeds import Seed

SEED = Seed(0).child("test")


def table(rows=1500, columns=8, seed=1):
    draw = np.random.default_rng(seed)
    numbers = {f"x{at}": draw.normal(size=rows) for at in range(columns)}
    return pl.DataFrame({**numbers, "colour": draw.choice(list("abcd"), rows), "size": draw.choice(["s", "m"], rows)})


def jittered(frame, share=0.05, scale=0.01, seed=2):
    """The frame with jittered copies of some rows at its end."""
    draw = np.random.default_rng(seed)
    copies = frame[draw.permutation(frame.height)[: int(share * frame.height)]]
    noise = {
        name: copies[name] + scale * draw.normal(size=copies.height)
        for name in frame.columns
        if frame.schema[name].is_float()
    }
    return pl.concat([frame, copies.with_columns(**noise)])


def test_points_are_standard_deviations_and_another_category_is_one_away():
    frame = pl.DataFrame({"x": [0.0, 2.0, 4.0], "c": ["p", "q", "p"]})
    x_NE = neighbours.points(frame, seed=SEED).x_NE
    apart = neighbours.distance(x_NE, np.array([0, 0]), np.array([1, 2]))
    spread = np.std([0, 2, 4])
    assert np.allclose(apart, [np.hypot(2 / spread, 1), 4 / spread])


def test_grid_hashing_finds_the_neighbour_that_brute_force_finds():
    frame = jittered(table())
    these = neighbours.points(frame, seed=SEED)
    near = neighbours.nearest(these, width=1.0, seed=SEED)
    copies = np.arange(1500, frame.height)
    square = ((these.x_NE[copies][:, None, :] - these.x_NE[None]) ** 2).sum(axis=2)
    square[np.arange(len(copies)), copies] = np.inf
    assert (near.partner_N[copies] == square.argmin(axis=1)).mean() >= 0.98


def test_the_usual_distance_is_that_of_the_fourth_neighbour():
    these = neighbours.points(table(columns=3).select("x0", "x1", "x2"), seed=SEED)
    some = np.arange(200)
    found = neighbours.usual_distance(these, some, np.arange(1500), seed=SEED)
    square = ((these.x_NE[some][:, None, :] - these.x_NE[None]) ** 2).sum(axis=2)
    square[some, some] = np.inf
    fourth = np.sqrt(np.partition(square, 3, axis=1)[:, 3])
    assert 0.95 <= np.median(found / fourth) <= 1.15


@pytest.mark.parametrize("scale", [0.0005, 0.01, 0.02])
def test_jittered_copies_are_found_and_nothing_else(scale):
    frame = jittered(table(), scale=scale)
    found = neighbours.copies(frame, seed=SEED)
    assert len(np.intersect1d(found.row_P, np.arange(1500, frame.height))) >= 0.97 * 75
    assert (found.row_P >= 1500).mean() >= 0.97
    assert (found.partner_P < found.row_P).all()


def test_one_changed_category_among_equal_cells():
    frame = table()
    copies = frame[::20].with_columns(colour=pl.col("colour").replace({"a": "b", "b": "c", "c": "d", "d": "a"}))
    found = neighbours.copies(pl.concat([frame, copies]), seed=SEED)
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
    assert len(neighbours.copies(CLEAN[case], seed=SEED).row_P) == 0


def test_copies_across_two_sides_are_named_on_the_second():
    frame = jittered(table())
    side_N = (np.arange(frame.height) >= 1200).astype(np.int8)
    found = neighbours.copies(frame, side_N, seed=SEED)
    assert len(found.row_P) >= 45
    assert (found.row_P >= 1500).all()
    assert (found.partner_P < 1200).all()


def test_rows_that_differ_in_their_number_only_are_copies():
    frame = table().with_row_index("id").with_columns(pl.col("id").cast(pl.Int64))
    again = frame[::15].with_columns(id=pl.int_range(1500, 1600))
    found = neighbours.copies(pl.concat([frame, again]), seed=SEED)
    assert set(found.row_P) == set(range(1500, 1600))


def test_repeats_by_chance_are_foretold():
    draw = np.random.default_rng(6)
    narrow = pl.DataFrame({f"c{at}": draw.integers(0, 4, 1000) for at in range(5)})
    found = neighbours.repeats(narrow)
    assert found.beyond == 0
    assert len(found.later) > 300
    wide = table(rows=1000)
    found = neighbours.repeats(pl.concat([wide, wide[:50]]))
    assert (found.chance, found.beyond) == (0, 50)
    assert (found.later == np.arange(1000, 1050)).all()


def test_repeats_beyond_chance_in_a_table_where_some_meet_by_chance():
    draw = np.random.default_rng(7)
    frame = pl.DataFrame({f"c{at}": draw.integers(0, 6, 2000) for at in range(7)})
    natural = neighbours.repeats(frame, least_share=0)
    assert len(natural.later) / 2 <= natural.chance <= len(natural.later) * 2
    assert neighbours.repeats(pl.concat([frame, frame[:200]])).beyond > 150


def test_copies_gain_what_a_random_split_shows():
    draw = np.random.default_rng(8)
    frame = table(rows=600)
    y_N = (frame["x0"].to_numpy() + 2 * draw.normal(size=600) > 0).astype(np.int64)
    rows = np.append(np.arange(600), draw.integers(0, 600, 600))
    probe = Probe(frame[rows], y_N[rows], "binary", 2)
    gain = neighbours.gain_of_shared(probe, rows)
    assert gain.low > 0.05
    assert gain.honest < 0.75
    alone = neighbours.gain_of_shared(Probe(frame, y_N, "binary", 2), np.arange(600))
    assert alone.inflation == 0
    honest = Probe(frame, y_N, "binary", 2)
    assert neighbours.gain_of_copied(honest, 0.3).inflation > neighbours.gain_of_copied(honest, 0.05).inflation > 0
