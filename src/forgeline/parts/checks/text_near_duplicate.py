"""Texts that almost repeat another: a word more or less, other blanks or capitals, the same form filled again.

Equal texts are none of this. Shapes: L distinct texts, commonest first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import minhash, prose
from forgeline.engine.seeds import Seed
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("text.near_duplicate",)

LEAST_OF_WORDS = 0.5
"""Overlap that texts must have whose words are compared: one word is many shingles of a short text."""


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_overlap: float = 0.8,
    least_words: int = 6,
    words_a_change: int = 8,
    least_rows: int = 3,
    most_share: float = 0.5,
    most_characters: int = 10_000_000,
) -> Iterator[Finding]:
    """`text.near_duplicate`: texts whose sets of five signs in a row overlap by `least_overlap`.

    They may overlap less, down to a half, where one word in `words_a_change`, or one at all, differs. Texts of fewer
    than `least_words` do not count. most_share: where more of the texts are like another, they are made by a form
    and nothing is wrong. most_characters: of longer columns an even sample is compared.
    """
    for name in table.all.columns:
        if not table.cells.is_text(name) or not prose.is_free(table.cells.levels(name)):
            continue
        values = table.cells.levels(name).values
        some = sample(values, least_words, most_characters)
        later, overlap = near(table, name, some, least_overlap, words_a_change)
        if not len(later) or len(later) > most_share * len(some):
            continue
        yield finding(table, name, later, overlap, len(some), least_rows)


def sample(values: pl.Series, least_words: int, most_characters: int) -> np.ndarray:
    """Which levels are compared: those with enough words, an even sample where they are long together."""
    long = np.flatnonzero((values.str.count_matches(prose.WORD) >= least_words).to_numpy())
    characters = int(values.str.len_chars().sum())
    most = int(len(long) * most_characters / max(characters, most_characters))
    return np.asarray(long[prose.evenly(len(long), most)])


def near(
    table: View, name: str, some: np.ndarray, least_overlap: float, words_a_change: int
) -> tuple[np.ndarray, np.ndarray]:
    """The levels that are like another whose first row is earlier, and their overlap with the likest."""
    levels = table.cells.levels(name)
    _, first = np.unique(table.cells.codes(name), return_index=True)
    some = some[np.argsort(first[-len(levels) :][some])]  # the code of missing cells comes before all levels
    texts = minhash.folded(levels.values.gather(some))
    pairs, overlap_P = minhash.near(texts, least=min(LEAST_OF_WORDS, least_overlap), seed=Seed(0).child("texts", name))
    words = {int(at): Counter(texts[at].split()) for at in np.unique(pairs[overlap_P < least_overlap])}
    near_P = overlap_P >= least_overlap
    for at in np.flatnonzero(~near_P):
        near_P[at] = few_words(words[int(pairs[at, 0])], words[int(pairs[at, 1])], words_a_change)
    best_T = np.zeros(len(some))
    np.maximum.at(best_T, pairs[near_P].max(axis=1), overlap_P[near_P])
    return some[best_T > 0], best_T[best_T > 0]


def few_words(one: Counter[str], other: Counter[str], words_a_change: int) -> bool:
    """Whether one word more, less or other in every so many tells two texts apart; one always may."""
    allowed = max(1, min(one.total(), other.total()) // words_a_change)
    return (one - other).total() <= allowed and (other - one).total() <= allowed


def finding(table: View, name: str, later: np.ndarray, overlap: np.ndarray, compared: int, least_rows: int) -> Finding:
    """The later ones of each likeness, with every row that holds them."""
    score_L = np.zeros(len(table.cells.levels(name)) + 1)
    score_L[later] = overlap
    rows = table.cells.where(name, later)
    return Finding(
        code="text.near_duplicate",
        severity="warn" if len(rows) >= least_rows else "note",
        says=f"{len(rows):,} of {table.cells.rows:,} texts in {name} almost repeat an earlier one",
        columns=[name],
        rows=table.keep_rows(rows, score_L[table.cells.codes(name)[rows]]),
        numbers={"cells": len(rows), "share": len(rows) / table.cells.rows, "compared": compared},
        fix=Fix(do="drop_rows", says="keep the first of each, or all on one side of the split"),
    )
