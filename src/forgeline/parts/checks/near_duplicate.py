"""Rows that are another row with small changes, in one table or across training and test file (leakage)."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import duplicates, near_duplicates
from forgeline.engine.cells import Cells
from forgeline.engine.duplicates import Gain
from forgeline.engine.probe import sample
from forgeline.engine.seeds import Seed
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.near_duplicate",)
round = 1


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_share: float = 0.004,
    block_share: float = 0.02,
    least_inflation: float = 0.005,
    most_rows: int = 40_000,
) -> Iterator[Finding]:
    """`leak.near_duplicate`: jittered copies, and copies with one cell changed, far closer than is natural here.

    In one table a warning, or a note where they are few and of no effect: pairs belong on one side of the split.
    Across the user's training and test file it blocks from `least_inflation` on; from `block_share` of the test rows,
    where training rows hardly have such pairs, also where the interval reaches that. Rows: the later row of each
    pair, or the training rows that test rows copy; score is how many times nearer than usual they are. Of more than
    `most_rows` rows a sample is searched, in which fewer pairs are whole; of very many columns the first.
    """
    inside = list(within(table, least_share, least_inflation, most_rows))
    if table.test is not None:
        # A table that has such pairs itself has more of them across the files: then only their effect counts.
        usual = max((finding.numbers["share"] for finding in inside), default=0.0)
        yield from across(table, table.test, least_share, max(block_share, 4 * usual), least_inflation, most_rows)
    yield from inside


def distinct(key_N: np.ndarray, most_rows: int, seed: Seed) -> np.ndarray:
    """Rows that repeat no earlier one, a sample of them where there are many, int64."""
    _, first = np.unique(key_N, return_index=True)
    first.sort()
    return np.asarray(first[sample(len(first), most_rows, seed.child("rows"))])


def within(table: View, least_share: float, least_inflation: float, most_rows: int) -> Iterator[Finding]:
    """Copies in one table."""
    seed = Seed(0).child("near duplicate")
    frame = table.all.select(table.cells.first)
    rows = distinct(table.cells.first_keys(), most_rows, seed)
    found = near_duplicates.copies(frame[rows], least_share=least_share, seed=seed)
    later, partner = rows[found.row_P], rows[found.partner_P]
    if not len(later):
        return
    gain = None if table.probe is None else duplicates.gain_of_shared(table.probe, units(table, later, partner))
    says = (
        f"{len(later):,} of {len(rows):,} different rows are almost another row: the split should keep pairs together"
    )
    inflation = gain.inflation if gain else 0.0
    notable = inflation >= least_inflation or len(later) >= 0.01 * len(rows)
    if gain is not None and gain.inflation > 0:
        says += f" (a random one would look {gain.inflation:.3f} better than it is)"
    yield Finding(
        code="leak.near_duplicate",
        severity="warn" if notable else "note",
        says=says,
        rows=table.keep_rows(later, found.closeness_P),
        numbers=numbers(len(later), len(rows), gain),
        fix=Fix(do="drop_rows", says="keep the first of each pair, or keep pairs on one side of the split"),
    )


def units(table: View, later: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """The unit of each training row: pairs, and chains of pairs, share one; int64."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = table.all.height
    links = coo_array((np.ones(len(later)), (later, partner)), shape=(rows, rows))
    return np.asarray(connected_components(links, directed=False)[1][table.train_ids])


def across(
    table: View, test: pl.DataFrame, least_share: float, block_share: float, least_inflation: float, most_rows: int
) -> Iterator[Finding]:
    """Test rows that are almost a training row."""
    seed = Seed(0).child("near duplicate", "across")
    both = pl.concat([table.train, test.select(table.train.columns)], how="vertical_relaxed")
    rows = distinct(Cells(both).row_keys(), most_rows, seed)
    side_N = (rows >= table.train.height).astype(np.int8)
    tests = int(side_N.sum())
    if not 0 < tests < len(rows):
        return
    found = near_duplicates.copies(both[rows], side_N, least_share=least_share * tests / len(rows), seed=seed)
    share = len(found.row_P) / tests
    if not len(found.row_P):
        return
    gain = None if table.probe is None else duplicates.gain_of_copied(table.probe, share)
    many = share >= block_share
    of_effect = many if gain is None else gain.inflation >= least_inflation or (many and gain.high >= least_inflation)
    says = f"{len(found.row_P):,} of {tests:,} test rows ({share:.1%}) are almost a training row"
    if gain is not None:
        says += f"; that adds about {gain.inflation:.3f} to the score"
    originals, place = np.unique(rows[found.partner_P], return_inverse=True)
    closest = np.zeros(len(originals))
    np.maximum.at(closest, place, found.closeness_P)
    yield Finding(
        code="leak.near_duplicate",
        severity="block" if of_effect else "warn",
        says=f"{says}. The rows named are the training rows.",
        rows=table.keep_rows(table.train_ids[originals], closest),
        numbers=numbers(len(found.row_P), tests, gain),
        fix=Fix(do="drop_rows", says="drop the training rows that test rows are made from"),
    )


def numbers(rows: int, of: int, gain: Gain | None) -> dict[str, float]:
    """How many, of how many, and what they add to a score."""
    return {"copies": float(rows), "share": rows / of} | (gain.numbers if gain else {})
