"""Levels of a column that are one level, written in several ways: by case, blanks, accents, or with a typing error.

Shapes: L levels, commonest first; P pairs of a rare level and a common one; W letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from forgeline.engine.identities import kinds
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.spelling",)

FREE_TEXT_WORDS = 6
"""Words of a level, on average, from which a column is prose."""
PREFIXES = frozenset(
    ["a", "an", "un", "in", "im", "il", "ir", "de", "re", "bi", "ab", "en", "non", "dis", "mis", "pre", "sub", "co"]
)
"""Beginnings that make another word: `symptomatic` and `asymptomatic` are two levels."""
ROMAN = re.compile(r"[ivx]+")
WORD = re.compile(r"[A-Z]?[a-zß-ÿ]+|[A-Z]+(?![a-zß-ÿ])|\d+|[^\W\d_]+")


def check(
    table: View,
    target: pl.Series | None,
    *,
    most_levels: int = 20_000,
    most_distinct: float = 0.5,
    times_commoner: float = 10.0,
    least_letters: int = 5,
) -> Iterator[Finding]:
    """`quality.spelling`: variants of a level with the same letters, or one typing error away.

    A level with a typing error must be `times_commoner` rarer than the right one and have `least_letters` letters
    (fewer where a column has many such levels). Digits always differ on purpose. Prose, more than `most_levels`
    levels and columns where more than the share `most_distinct` of the rows are distinct are not looked at.
    """
    cells = table.cells
    for name in table.all.columns:
        if not cells.is_text(name) or cells.rows == cells.missing(name):
            continue
        levels = cells.levels(name)
        rows = cells.rows - cells.missing(name)
        if not 2 <= len(levels) <= most_levels or len(levels) > max(20, most_distinct * rows):
            continue
        if mostly_numbers(levels.values.head(100), levels.counts[:100]):
            continue
        joined = Spellings(levels.values.to_list(), levels.counts, times_commoner, least_letters).joined()
        joined = not_personal(levels.values, joined, name)
        if joined:
            yield finding(table, name, joined)


def not_personal(values: pl.Series, joined: dict[int, int], name: str) -> dict[int, int]:
    """Without pairs that are personal data: the map that mends them would show them."""
    either = sorted({*joined, *joined.values()})
    secret = {at for at, kind in zip(either, kinds(values.gather(either).to_list(), name), strict=True) if kind}
    return {at: right for at, right in joined.items() if at not in secret and right not in secret}


def mostly_numbers(values: pl.Series, counts: np.ndarray) -> bool:
    """Whether at least half of the rows are numbers, which have no spelling."""
    numeric_L = values.cast(pl.Float64, strict=False).is_not_null().to_numpy()
    return bool(2 * counts[numeric_L].sum() >= counts.sum())


def finding(table: View, name: str, joined: dict[int, int]) -> Finding:
    """A warning with the rows of all variants and the level each stands for."""
    values = table.cells.levels(name).values
    rows = table.cells.where(name, sorted(joined))
    first = min(joined)
    more = f" and {len(joined) - 1} more variants" if len(joined) > 1 else ""
    return Finding(
        code="quality.spelling",
        severity="warn",
        says=f"{name} writes {values[joined[first]]!r} also as {values[first]!r}{more}: {len(rows):,} rows",
        columns=[name],
        rows=table.keep_rows(rows, np.ones(len(rows))),
        numbers={"cells": len(rows), "share": len(rows) / table.cells.rows, "variants": len(joined)},
        fix=Fix(
            do="map",
            columns=[name],
            values={values[at]: values[right] for at, right in sorted(joined.items())},
            says="write each level in one way",
        ),
    )


# ---------------------------------------------------------------- levels with the same letters


def folded(level: str) -> str:
    """The level without case, blanks, accents and signs between letters; other signs and digits stay."""
    plain = level.casefold()
    if not plain.isascii():
        plain = "".join(sign for sign in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(sign))
    plain = " ".join(plain.split())
    if sum(map(str.isalpha, plain)) < 4:
        return plain  # `A-` is not `A`
    return re.sub(r"(?<!\d)[\s_\-./,'’`]+|[\s_\-./,'’`]+(?!\d)", "", plain)


@dataclass
class Spellings:
    """The levels of one column, on the way to fewer."""

    levels: list[str]
    counts: np.ndarray
    times_commoner: float
    least_letters: int
    right: dict[int, int] = field(default_factory=dict)
    """Variant → the level it stands for, as places."""

    def joined(self) -> dict[int, int]:
        """All variants, each with its level."""
        keys = self.join_alike()
        if len(keys) > 1 and sum(map(len, keys)) < FREE_TEXT_WORDS * 8 * len(keys):
            self.join_typos(keys)
        return {at: self.end(at) for at in self.right}

    def end(self, at: int) -> int:
        """Where a chain of variants ends."""
        while at in self.right:
            at = self.right[at]
        return at

    def join_alike(self) -> dict[str, int]:
        """Join levels with one folded form to the commonest of them; folded form → its place."""
        first: dict[str, int] = {}
        clashes = 0
        for at, level in enumerate(self.levels):
            key = folded(level)
            known = first.setdefault(key, at)
            if known == at:
                continue
            if len(key) < 3 and 3 * self.counts[at] > self.counts[known]:
                clashes += 1  # codes in which `a` and `A` are two things
                continue
            self.right[at] = known
        if clashes:
            self.right = {at: known for at, known in self.right.items() if len(folded(self.levels[at])) >= 3}
        return first

    def join_typos(self, keys: dict[str, int]) -> None:
        """Join folded forms that are a typing error away from a much commoner one."""
        total: Counter[int] = Counter({at: int(self.counts[at]) for at in keys.values()})
        for at, known in self.right.items():
            total[known] += int(self.counts[at])
        forms = list(keys)
        count_F = np.array([total[keys[form]] for form in forms])
        pairs = near(forms, count_F, min(3.0, self.times_commoner))
        words = [words_of(self.levels[keys[form]]) for form in forms]
        slips = {pair: one for pair in pairs if (one := slip(forms[pair[0]], forms[pair[1]]))}
        slips = {pair: one for pair, one in slips.items() if same_word(words[pair[0]], words[pair[1]], one)}
        chosen = judged(forms, count_F, slips, self.times_commoner, self.least_letters, len(self.right))
        for rare, common in chosen.items():
            self.right[keys[forms[rare]]] = keys[forms[common]]


# ---------------------------------------------------------------- levels one typing error apart


def near(forms: list[str], count_F: np.ndarray, times: float, *, most_pairs: int = 2_000_000) -> list[tuple[int, int]]:
    """Pairs (rare, common) whose counts differ `times` or more and whose letters differ in at most two."""
    digits = [re.sub(r"\D", "", form) for form in forms]
    length_F = np.array([len(form) for form in forms])
    order = np.argsort(-count_F, kind="stable")
    common = [at for at in order if count_F[at] >= times and sum(map(str.isalpha, forms[at])) >= 3]
    common = common[: max(1, most_pairs // len(forms))]
    bag_FW = bags(forms)
    pairs: list[tuple[int, int]] = []
    for at in common:
        close = (times * count_F <= count_F[at]) & (np.abs(length_F - length_F[at]) <= 1)
        if close.any():
            rare_P = np.flatnonzero(close)
            apart_P = np.abs(bag_FW[rare_P] - bag_FW[at]).sum(axis=1)
            pairs += [(int(rare), int(at)) for rare in rare_P[apart_P <= 2] if digits[rare] == digits[at]]
    return pairs


def bags(forms: list[str]) -> np.ndarray:
    """int8 [F, 32]: how often each form has each letter, by its code modulo 32."""
    width = max(map(len, forms))
    text = np.array(forms, dtype=f"U{width}").view(np.uint32).reshape(len(forms), width)
    bag_FW = np.zeros((len(forms), 32), np.int8)
    rows_F = np.arange(len(forms))
    for place in range(min(width, 60)):
        there_F = text[:, place] > 0
        np.add.at(bag_FW, (rows_F[there_F], text[there_F, place] % 32), 1)
    return bag_FW


def words_of(level: str) -> list[str]:
    """The words of a level: `ClassA of 1912` has four."""
    return [word.lower() for word in WORD.findall(level)]


@dataclass(frozen=True)
class Slip:
    """How one text differs from another by one typing error."""

    kind: str
    """swap, double (a letter typed twice, or a double one once), drop, add, other."""
    at: int
    """Place of the first letter that differs."""
    letters: str
    """What was added or dropped."""


def same_word(rare: list[str], common: list[str], one: Slip) -> bool:
    """Whether two levels may be one: neither numbers things, as `class a`, `class b` and `type II`, `type III` do."""
    if len(rare) != len(common):
        extra = set(rare) ^ set(common)
        return one.kind == "double" or len(extra) > 1 or not any(len(word) == 1 for word in extra)
    differ = [pair for pair in zip(rare, common, strict=True) if pair[0] != pair[1]]
    if any(ROMAN.fullmatch(pair[0]) and ROMAN.fullmatch(pair[1]) for pair in differ):
        return False
    return one.kind != "other" or all(max(map(len, pair)) >= 4 for pair in differ)


def slip(wrong: str, right: str) -> Slip | None:
    """The one typing error between two texts; None when there are more. Damerau's four kinds."""
    at = next((place for place, (one, two) in enumerate(zip(wrong, right, strict=False)) if one != two), None)
    if at is None:
        at = min(len(wrong), len(right))
    if len(wrong) == len(right):
        if wrong[at + 2 :] == right[at + 2 :] and wrong[at : at + 2] == right[at : at + 2][::-1]:
            return Slip("swap", at, right[at : at + 2])
        return Slip("other", at, right[at]) if wrong[at + 1 :] == right[at + 1 :] else None
    longer, shorter = (wrong, right) if len(wrong) > len(right) else (right, wrong)
    if longer[at + 1 :] != shorter[at:]:
        return None
    letter = longer[at]
    if letter in (longer[at - 1 : at], longer[at + 1 : at + 2]):
        return Slip("double", at, letter)
    return Slip("add" if longer is wrong else "drop", at, letter)


def judged(
    forms: list[str],
    count_F: np.ndarray,
    slips: dict[tuple[int, int], Slip],
    times: float,
    least_letters: int,
    others: int,
) -> dict[int, int]:
    """Rare form → the common form it stands for; the commonest near form wins. `others`: variants found before.

    One letter changed for another is no typing error while it is the only one in the column: `ISLAND`, `INLAND`.
    """
    slips = without_codes(slips, forms)
    sure = {pair for pair, one in slips.items() if is_typo(one, forms, pair, count_F, times, least_letters)}
    loose = {pair for pair, one in slips.items() if is_typo(one, forms, pair, count_F, min(times, 3), 3, loose=True)}
    variants, right = len({rare for rare, _ in loose}), len({common for _, common in loose})
    infested = variants >= 3 and 2 * variants >= len(forms) - right
    if infested:
        sure = loose - too_often(loose, slips, count_F)
    elif len({rare for rare, _ in sure}) + others < 3:
        sure = {pair for pair in sure if slips[pair].kind != "other"}
    if not infested and honest_neighbours(forms, count_F, sure, {rare for rare, _ in slips}):
        return {}
    chosen: dict[int, int] = {}
    for rare, common in sorted(sure, key=lambda pair: (-count_F[pair[1]], pair)):
        chosen.setdefault(rare, common)
    return {rare: common for rare, common in chosen.items() if common not in chosen}


def is_typo(
    one: Slip,
    forms: list[str],
    pair: tuple[int, int],
    count_F: np.ndarray,
    times: float,
    least_letters: int,
    *,
    loose: bool = False,
) -> bool:
    """Whether a difference is a typing error rather than another word.

    Swapped and doubled letters hardly make other words. A letter changed, added or lost at the beginning often
    does (`light`, `night`), so that counts only where the column has many errors (`loose`).
    """
    rare, common = pair
    right = forms[common]
    if one.letters.isdigit() or any(sign in "<>=+%&" for sign in one.letters):
        return False
    longer = max(len(forms[rare]), len(right))
    if sum(map(str.isalpha, right)) < min(least_letters, 4) or longer < 4:
        return False
    if one.kind in ("swap", "double"):
        return bool(count_F[common] >= min(times, 3) * count_F[rare])
    if one.at == 0 and (not loose or one.letters in PREFIXES):
        return False
    return sum(map(str.isalpha, right)) >= least_letters and bool(count_F[common] >= times * count_F[rare])


def without_codes(slips: dict[tuple[int, int], Slip], forms: list[str]) -> dict[tuple[int, int], Slip]:
    """Leave out letters that number things: three levels or more that differ from one in one and the same place."""
    changed: dict[int, list[int]] = {}
    for (_, common), one in slips.items():
        if one.kind == "other":
            changed.setdefault(common, []).append(one.at)
    codes = {
        (common, max(set(places), key=places.count))
        for common, places in changed.items()
        if max(map(places.count, set(places))) >= max(3, 0.8 * len(places))
    }
    return {pair: one for pair, one in slips.items() if one.kind != "other" or (pair[1], one.at) not in codes}


def too_often(
    sure: set[tuple[int, int]], slips: dict[tuple[int, int], Slip], count_F: np.ndarray
) -> set[tuple[int, int]]:
    """Pairs whose one changed letter occurs far more often than other changed letters do: a level of its own."""
    changed = [pair for pair in sure if slips[pair].kind == "other"]
    usual = float(np.median([count_F[rare] for rare, _ in changed])) if changed else 0.0
    return {pair for pair in changed if count_F[pair[0]] > max(4 * usual, 4)}


def honest_neighbours(forms: list[str], count_F: np.ndarray, sure: set[tuple[int, int]], doubtful: set[int]) -> bool:
    """Whether common levels are as often one letter apart as rare ones are: then closeness says nothing."""
    if not sure:
        return False
    common = [forms[at] for at in np.argsort(-count_F, kind="stable")[:200] if count_F[at] >= 3 and at not in doubtful]
    return len({rare for rare, _ in sure}) < 3 * close_pairs(common)


def close_pairs(forms: list[str]) -> int:
    """How many forms are one letter changed, added or lost away from another, by forms with a letter left out."""
    known = set(forms)
    holes: Counter[tuple[int, str]] = Counter()
    without = {form: [form[:at] + form[at + 1 :] for at in range(len(form))] for form in forms}
    for left in without.values():
        holes.update(enumerate(left))
    near = {form for form, left in without.items() if any(holes[hole] > 1 for hole in enumerate(left))}
    for form, left in without.items():
        shorter = known.intersection(left)
        near |= {form, *shorter} if shorter else set()
    return len(near)
