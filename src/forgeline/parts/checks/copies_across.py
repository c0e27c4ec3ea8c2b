"""Test rows that repeat training rows, and tables of copies that a random split would tear apart (leakage)."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import duplicates
from forgeline.engine.cells import Cells
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.duplicate",)
round = 1


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_share: float = 0.005,
    block_share: float = 0.02,
    least_inflation: float = 0.005,
) -> Iterator[Finding]:
    """`leak.duplicate`: rows of the user's test file that repeat training rows, beyond what chance would bring.

    It blocks from `least_inflation` on; from `block_share` of the test rows, where training rows hardly repeat, also
    where the interval reaches that.
    The rows named are the training rows to drop; score is how many test rows repeat each. Without a test file the
    split keeps equal rows together, so copies beyond chance are a warning that carries what a random split would add
    to the score, from `least_inflation` on.
    """
    if not table.train.width:
        return
    if table.test is not None:
        yield from across(table, table.test, least_share, block_share, least_inflation)
    elif target is not None and table.probe is not None:
        yield from within(table, target, least_share, least_inflation)


def across(
    table: View, test: pl.DataFrame, least_share: float, block_share: float, least_inflation: float
) -> Iterator[Finding]:
    """Copies between the user's training and test file."""
    train, rows = table.train, table.train.height
    both = pl.concat([train, test.select(train.columns)], how="vertical_relaxed")
    repeats = duplicates.repeats(Cells(both), least_share=0)
    first_T = repeats.first_N[rows:]
    copied_T = first_T < rows
    found = int(copied_T.sum())
    beyond, chance = beyond_chance(repeats, rows, found)
    if beyond < least_share * test.height:
        return
    gain = duplicates.gain_of_copied(table.probe, beyond / test.height) if table.probe else None
    count_N = np.bincount(first_T[copied_T], minlength=rows)[repeats.first_N[:rows]]
    chosen = np.flatnonzero(count_N)
    # A table that is full of repeats has as many of them across the files: then only what they add to the score counts.
    usual = len(duplicates.repeats(table.train_cells).later) / rows
    many = beyond >= max(block_share, 4 * usual) * test.height
    of_effect = many if gain is None else gain.inflation >= least_inflation or (many and gain.high >= least_inflation)
    says = f"{found:,} of {test.height:,} test rows ({found / test.height:.1%}) repeat training rows exactly"
    if gain is not None:
        says += f"; that adds about {gain.inflation:.3f} to the score"
    yield Finding(
        code="leak.duplicate",
        severity="block" if of_effect else "warn",
        says=f"{says}. The rows named are the training rows.",
        rows=table.keep_rows(table.train_ids[chosen], count_N[chosen]),
        numbers={"test_rows": found, "share": found / test.height, "chance": chance} | (gain.numbers if gain else {}),
        fix=Fix(do="drop_rows", says="drop the training rows that the test file repeats"),
    )


def beyond_chance(repeats: duplicates.Repeats, rows: int, found: int) -> tuple[float, float]:
    """How many of the test rows found would not repeat training rows by chance, and how many would.

    Of the repeats that chance brings to both files, those that lie across. Where the training rows are full of such
    themselves, test rows of the same kind repeat them as often as they repeat each other: then what is beyond that
    counts, if it is more than four standard errors (and rows that are met often come in bunches) and a fifth.
    """
    tests = len(repeats.first_N) - rows
    share = tests / (rows + tests)
    chance = 0.0 if np.isnan(repeats.chance) else repeats.chance * 2 * share * (1 - share)
    if found > 2 * chance + 4 * np.sqrt(chance) + 3:
        return found - chance, chance
    equal_N = np.bincount(repeats.first_N[:rows], minlength=len(repeats.first_N))[repeats.first_N[:rows]]
    usual = float((equal_N > 1).mean())
    bunch = float(equal_N[equal_N > 1].mean()) if usual else 1.0
    error = np.sqrt(usual * (1 - usual) * tests * (1 + tests / rows) * bunch)
    more = found - usual * tests
    return (more if more > max(4 * error + 3, 0.2 * usual * tests) else 0.0), usual * tests


def within(table: View, target: pl.Series, least_share: float, least_inflation: float) -> Iterator[Finding]:
    """Copies in one table: training rows that agree in features and target."""
    beside = target.alias(f"{table.target_name} (target)")
    repeats = duplicates.repeats(table.train_cells, beside, least_share=least_share)
    if not repeats.beyond:
        return
    assert table.probe is not None
    gain = duplicates.gain_of_shared(table.probe, repeats.first_N)
    if gain.inflation < least_inflation:
        return
    later, rows = repeats.later, table.train.height
    yield Finding(
        code="leak.duplicate",
        severity="warn",
        says=f"{len(later):,} of {rows:,} training rows are copies of others: our split keeps copies together, "
        f"a random one would look {gain.inflation:.3f} better than it is",
        rows=table.keep_rows(table.train_ids[later], repeats.copies_N[later]),
        numbers={"repeats": len(later), "share": len(later) / rows, "chance": repeats.chance} | gain.numbers,
        fix=Fix(do="split", says="keep equal rows on one side, as this split does"),
    )
