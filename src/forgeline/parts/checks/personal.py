"""E-mail addresses, phone, card and national numbers and the like; no value of theirs is ever shown."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from forgeline.engine.cells import Levels
from forgeline.engine.identities import SEPARATORS, SHAPES, SQUEEZED, WRITTEN, Shape, bare, embedded
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("privacy.identifier",)

PERSON_NAME = re.compile(
    r"(?i)^(?:(?:first|last|full|given|middle|family|maiden|person|customer|patient|passenger)[ _.-]?name"
    r"|surname|forename|name)s?$"
)
PERSON = r"^[\p{Lu}][\p{L}'.-]+(?:[ ,]+[\p{L}(\"'.-]+){0,6}[)\"]?$"
CANDIDATE = (
    r"@|(?s:[0-9].*[0-9].*[0-9].*[0-9])"
    r"|(?i:[0-9a-f]{1,4}:[0-9a-f]{1,4}:[0-9a-f]{1,4}:|[0-9a-f]{2}-[0-9a-f]{2}-[0-9a-f]{2}-)"
)
"""What may hold personal data at all: an @, four digits, or parts of an address."""
LEAST_NUMBER = 1_000_000
"""Whole numbers below have six digits or fewer, and no kind does."""


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_values: int = 3,
    least_share: float = 0.003,
    least_integers: int = 20,
    most_proved: int = 500,
) -> Iterator[Finding]:
    """`privacy.identifier`: one finding a column, of all kinds together; names of people are a note.

    least_values, least_share: distinct values, and share of the rows, that make a finding; of whole numbers half
    of the rows and `least_integers` values, of one kind. most_proved: candidates whose check digits are worked out.
    """
    for name in table.all.columns:
        text = table.cells.is_text(name)
        if not text and not table.cells.dtypes[name].is_integer():
            continue
        levels = table.cells.levels(name)
        least, least_part = (least_values, least_share) if text else (least_integers, 0.5)
        if len(levels) < least or (not text and int(levels.values.max()) < LEAST_NUMBER):  # type: ignore[arg-type]
            continue
        kinds = found(name, levels, text, most_proved)
        hit_L = np.logical_or.reduce(list(kinds.values())) if kinds else np.zeros(len(levels), bool)
        rows = int(levels.counts[hit_L].sum())
        share = rows / int(levels.counts.sum())
        if hit_L.sum() >= least and share >= least_part:
            yield finding(table, name, list(kinds), hit_L, rows, share)
        elif text and people(name, levels):
            yield person(name, levels)


def found(name: str, levels: Levels, text: bool, most_proved: int) -> dict[str, np.ndarray]:
    """Kind → which levels are of it, bool [L]; the commonest kind first, and of whole numbers no other."""
    values = levels.values if text else levels.values.cast(pl.String)
    some = candidates(values) if text else np.arange(len(values))
    kinds: dict[str, np.ndarray] = {}
    if not len(some):
        return kinds
    values = values.gather(some) if len(some) < len(values) else values
    shapes = [one for one in SHAPES if (text or one.integers) and (not one.named or re.search(one.named, name))]
    for kind, hit_C in proved(tried(shapes, values, text, most_proved), len(values)):
        hit_L = kinds.setdefault(kind, np.zeros(len(levels), bool))
        hit_L[some[hit_C]] = True
    ranked = sorted(kinds, key=lambda kind: -levels.counts[kinds[kind]].sum())
    return {kind: kinds[kind] for kind in (ranked if text else ranked[:1])}


def candidates(values: pl.Series) -> np.ndarray:
    """Which texts look like anything personal at all, int [C]: cheap for the many that do not."""
    some = np.flatnonzero(values.str.contains(CANDIDATE).to_numpy())
    if not len(some):
        return some
    values = values.gather(some)
    told = values.str.contains(WRITTEN) | values.str.replace_all(SEPARATORS, "").str.contains(SQUEEZED)
    return np.asarray(some[told.to_numpy()])


@dataclass(frozen=True)
class Tried:
    """Which values look like one shape, and which of some of them pass its proof."""

    shape: Shape
    hit_C: np.ndarray
    some: np.ndarray
    """Those that were proved, int [S]."""
    passed_S: np.ndarray


def tried(shapes: Sequence[Shape], values: pl.Series, text: bool, most_proved: int) -> list[Tried]:
    """Candidates of each shape; C of them are given."""
    plain = values.str.replace_all(SEPARATORS, "") if text else values
    results = []
    for shape in shapes:
        cells = plain if shape.squeezed else values
        hit_C = cells.str.contains(shape.pattern).to_numpy() if shape.pattern else np.zeros(len(values), bool)
        whole_C = hit_C
        if text and shape.within:
            hit_C = hit_C | values.str.contains(embedded(shape.within)).to_numpy()
        some = np.flatnonzero(hit_C)
        if not len(some):
            continue
        some = some[np.linspace(0, len(some) - 1, min(len(some), most_proved)).astype(int)]
        passed_S: np.ndarray = np.ones(len(some), bool)
        if shape.proof is not None:
            passed_S[whole_C[some]] = valid(shape, [[one] for one in cells.gather(some[whole_C[some]])])
            passed_S[~whole_C[some]] = valid(shape, tokens(shape, values.gather(some[~whole_C[some]])))
        results.append(Tried(shape, hit_C, some, passed_S))
    return results


def tokens(shape: Shape, values: pl.Series) -> list[list[str]]:
    """The numbers in each text."""
    found = values.str.extract_all(embedded(shape.within)).to_list()
    return [[bare(one) for one in each] for each in found]


def valid(shape: Shape, tokens: list[list[str]]) -> np.ndarray:
    """Whether one of each value's numbers passes, bool [values]; numbers of one length are proved together."""
    passed: np.ndarray = np.zeros(len(tokens), bool)
    flat = [(at, token) for at, each in enumerate(tokens) for token in each]
    for length in {len(token) for _, token in flat}:
        alike = [(at, token) for at, token in flat if len(token) == length]
        if shape.proof is not None:
            good = shape.proof([token for _, token in alike])
            passed[[at for (at, _), one in zip(alike, good) if one]] = True
    return passed


def proved(tries: Sequence[Tried], count: int) -> Iterator[tuple[str, np.ndarray]]:
    """The kinds that are there with their values; a shape goes when too few of its candidates pass its proof.

    Candidates that pass the proof of another shape are that one's, and speak neither for nor against.
    """
    times_C: np.ndarray = np.zeros(count, int)
    for one in tries:
        if one.shape.proof is not None:
            times_C[one.some[one.passed_S]] += 1
    for one in tries:
        if one.shape.proof is None:
            yield one.shape.name, one.hit_C
            continue
        other_S = ~one.passed_S & (times_C[one.some] > 0)
        judged = len(one.some) - int(other_S.sum())
        passes = int(one.passed_S.sum())
        if passes >= one.shape.alone and passes >= one.shape.least_pass * judged:
            hit_C = one.hit_C.copy()
            hit_C[one.some[other_S]] = False
            yield one.shape.name, hit_C


def finding(table: View, name: str, kinds: list[str], hit_L: np.ndarray, rows: int, share: float) -> Finding:
    """The warning of one column; its rows where it is not all of them."""
    at_N = table.cells.where(name, hit_L) if share < 0.95 else None
    more = f" and {len(kinds) - 3} more kinds" if len(kinds) > 3 else ""
    return Finding(
        code="privacy.identifier",
        severity="warn",
        says=f"{name} holds {', '.join(kinds[:3])}{more} in {share:.1%} of its values",
        columns=[name],
        rows=table.keep_rows(at_N, np.ones(len(at_N))) if at_N is not None else None,
        numbers={"values": int(hit_L.sum()), "rows": rows, "share": share},
        fix=Fix(do="drop", columns=[name], says="or replace its values before they come here"),
    )


def people(name: str, levels: Levels, *, least_levels: int = 30, least_share: float = 0.8) -> bool:
    """Whether a column that is named for people's names holds many words like names."""
    if len(levels) < least_levels or not PERSON_NAME.match(name):
        return False
    return float(np.mean(levels.values.str.contains(PERSON).to_numpy())) >= least_share


def person(name: str, levels: Levels) -> Finding:
    """The note of a column of names."""
    return Finding(
        code="privacy.identifier",
        severity="note",
        says=f"{name} seems to hold names of people: {len(levels):,} different ones",
        columns=[name],
        numbers={"values": len(levels)},
        fix=Fix(do="drop", columns=[name]),
    )
