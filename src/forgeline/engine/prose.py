"""Free text: which columns hold it, and whether a text ends as whole ones do or as if it had been cut.

Shapes: L distinct texts, commonest first.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import polars as pl

from forgeline.engine import split
from forgeline.engine.cells import Levels

WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]{1,2}|[^\s\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]+"
"""A word; scripts that write none apart have one every two signs."""
FINAL = re.compile(r"[.!?。！？।…][\"'”’»)\]]*$")
"""How a sentence ends."""
ELLIPSIS = re.compile(r"(\.{2,}|…)[\"'”’»)\]]*$")
LAST_WORD = re.compile(r"[^\W_]+(?=[\W_]*$)")
WORDS = re.compile(r"[^\W_]+")


def is_free(
    levels: Levels,
    *,
    least_levels: int = 50,
    least_share: float = 0.05,
    enough_levels: int = 5_000,
    least_words: float = 4.0,
    least_letters: float = 0.5,
    most_looked_at: int = 1_000,
) -> bool:
    """Whether distinct texts are free text: many of them, of several words on average, and mostly letters.

    least_share: distinct texts among the rows, unless there are `enough_levels`: a code book is no free text.
    """
    if len(levels) < least_levels or levels.values.dtype != pl.String:
        return False
    if len(levels) < min(enough_levels, least_share * int(levels.counts.sum())):
        return False
    some = levels.values.gather(evenly(len(levels), most_looked_at))
    if some.str.count_matches(WORD).mean() < least_words:  # type: ignore[operator]
        return False
    signs, letters = (int(some.str.count_matches(sign).sum()) for sign in (r"\S", r"\p{L}"))
    return letters >= least_letters * signs


def evenly(count: int, most: int) -> np.ndarray:
    """At most `most` positions out of `count`, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64) if count else np.zeros(0, np.int64)


# ---------------------------------------------------------------- endings

Q_EDGES = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0)
"""Where log(how often a word ends a text / how often it stands within one) is parted."""
PLACES = 2 + len(Q_EDGES)
"""Bins of the last word: unseen, and the parts of Q_EDGES."""


@dataclass(frozen=True)
class Words:
    """How often each word of some texts stands last, and before the last."""

    within: Counter[str]
    last: Counter[str]
    within_total: int
    last_total: int
    signs: bool
    """Whether the last sign of a text counts beside its last word."""

    def bin_of(self, text: str, *, own_within: int = 0, own_last: int = 0) -> int:
        """The bin of an ending: its last sign, and how usual its last word is as a last word.

        own_within, own_last: how often the text itself has been counted.
        """
        found = LAST_WORD.search(text)
        word = found.group().lower() if found else ""
        within, last = max(0, self.within[word] - own_within), max(0, self.last[word] - own_last)
        place = 0
        if within + last:
            usual = log((last + 0.2) / (self.last_total + 1)) - log((within + 0.2) / (self.within_total + 1))
            place = 1 + bisect(Q_EDGES, usual)
        return place + PLACES * (sign_of(text) if self.signs else 0)


@dataclass(frozen=True)
class Endings:
    """How whole texts of a column end, and how they would if they were cut anywhere."""

    words: Words
    whole_B: np.ndarray
    """Share of whole texts in each bin of endings."""
    cut_B: np.ndarray
    """The same of texts cut at random places."""

    def ratio(self, texts: Sequence[str]) -> np.ndarray:
        """How much likelier each ending is of a cut text than of a whole one, float64 [texts]."""
        bins = np.array([self.words.bin_of(text) for text in texts], np.int64)
        return np.asarray(self.cut_B[bins] / self.whole_B[bins])


def endings(whole: Sequence[str], *, signs: bool = True, most_texts: int = 20_000) -> Endings:
    """Learn the endings from texts that are taken for whole. Without `signs` only the last word counts."""
    some = [whole[at] for at in evenly(len(whole), most_texts)]
    within: Counter[str] = Counter()
    last: Counter[str] = Counter()
    for text in some:
        found = WORDS.findall(text.lower())
        within.update(found[:-1])
        last.update(found[-1:])
    words = Words(within, last, within.total(), last.total(), signs)
    cut = [piece for at, text in enumerate(some) if (piece := cut_somewhere(text, at))]
    # Its own words must not make an ending look usual: each is judged without itself.
    return Endings(
        words,
        whole_B=shares([words.bin_of(text, own_last=1) for text in some]),
        cut_B=shares([words.bin_of(text, own_within=1) for text in cut]),
    )


def cut_somewhere(text: str, at: int) -> str:
    """The text up to a place in its latter two thirds, drawn by its position."""
    drawn = int(split.mix(np.array([at + 1], np.uint64))[0]) / 2**64
    return text[: len(text) // 3 + int(drawn * (len(text) - len(text) // 3 - 1))].rstrip()


def shares(bins: Sequence[int]) -> np.ndarray:
    """Share of each bin, half a count added to all."""
    count_B = np.bincount(np.asarray(bins, np.int64), minlength=3 * PLACES) + 0.5
    return np.asarray(count_B / count_B.sum())


def sign_of(text: str) -> int:
    """0: ends in a letter or digit; 1: ends as a sentence does; 2: ends in another sign."""
    if FINAL.search(text):
        return 1
    return 0 if text[-1:].isalnum() else 2
