import numpy as np
import polars as pl

from forgeline.engine import duplicates
from forgeline.engine.cells import Cells
from forgeline.engine.probe import Probe


def test_repeats_by_chance_are_foretold():
    draw = np.random.default_rng(6)
    narrow = pl.DataFrame({f"c{at}": draw.integers(0, 4, 1000) for at in range(5)})
    found = duplicates.repeats(Cells(narrow))
    assert found.beyond == 0
    assert len(found.later) > 300
    wide = pl.DataFrame(draw.normal(size=(1000, 8)))
    found = duplicates.repeats(Cells(pl.concat([wide, wide[:50]])))
    assert (found.chance, found.beyond) == (0, 50)
    assert (found.later == np.arange(1000, 1050)).all()


def test_repeats_beyond_chance_in_a_table_where_some_meet_by_chance():
    draw = np.random.default_rng(7)
    frame = pl.DataFrame({f"c{at}": draw.integers(0, 6, 2000) for at in range(7)})
    natural = duplicates.repeats(Cells(frame), least_share=0)
    assert len(natural.later) / 2 <= natural.chance <= len(natural.later) * 2
    assert duplicates.repeats(Cells(pl.concat([frame, frame[:200]]))).beyond > 150


def test_copies_gain_what_a_random_split_shows():
    draw = np.random.default_rng(8)
    frame = pl.DataFrame({f"x{at}": draw.normal(size=600) for at in range(8)})
    y_N = (frame["x0"].to_numpy() + 2 * draw.normal(size=600) > 0).astype(np.int64)
    rows = np.append(np.arange(600), draw.integers(0, 600, 600))
    probe = Probe(frame[rows], y_N[rows], "binary", 2)
    gain = duplicates.gain_of_shared(probe, rows)
    assert gain.low > 0.05
    assert gain.honest < 0.75
    alone = duplicates.gain_of_shared(Probe(frame, y_N, "binary", 2), np.arange(600))
    assert alone.inflation == 0
    honest = Probe(frame, y_N, "binary", 2)
    assert duplicates.gain_of_copied(honest, 0.3).inflation > duplicates.gain_of_copied(honest, 0.05).inflation > 0


def test_a_column_beside_the_cells_must_repeat_too():
    cells = Cells(pl.DataFrame({"a": [1, 1, 2, 1]}))
    assert duplicates.repeats(cells).later.tolist() == [1, 3]
    assert duplicates.repeats(cells, pl.Series("y", ["p", "q", "p", "p"])).later.tolist() == [3]
    assert duplicates.repeats(cells, pl.Series("y", ["p", "q", "p", "p"])).first_N.tolist() == [0, 1, 2, 0]
