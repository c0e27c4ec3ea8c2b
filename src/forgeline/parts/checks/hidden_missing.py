"""Values that stand for missing ones: -999, 9999, a zero where none can be, `unknown`, `not available`.

A number is a marker by where it lies and how often it occurs; being a famous marker only lowers what is asked of
it. Shapes: L distinct finite values in order, with their counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from forgeline.engine import identities, protected
from forgeline.engine.cells import Levels
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.hidden_missing",)

FAMOUS_DIGITS = re.compile(r"([789])\1+")
"""99, 999, 88, 777: written out, without sign and point."""
LIMITS = (2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63)
"""Where integer types end; a sum or a cast that failed leaves them."""
HUGE = 1e20

TEXTS = """
    unknown | unknwon | unkown | unk | unkn | not known | na | n a | missing | missing value | value missing
    | data missing | null | nil | nan | not available | unavailable | not avail | not applicable
    | not given | none given | not specified | none specified | unspecified | not stated | unstated
    | not reported | unreported | not provided | none provided | not recorded | unrecorded | not entered
    | not known yet | not disclosed | undisclosed | not determined | undetermined | undefined | not defined
    | not set | unset | not answered | unanswered | no answer | no response | no reply | no data | no value
    | no info | no information | no entry | no record | dont know | do not know | tbd | tba | tbc
    | to be determined | to be defined | empty | blank | other unknown | unknown other | other or unknown
    | unknown or other | n v t | value error | null value | ref error | xx | xxx | xxxx | null null | unbekannt
    | keine angabe | keine angaben | k a | fehlt | fehlend | nicht verfugbar | nicht bekannt | ohne angabe
    | inconnu | inconnue | non renseigne | non renseignee | non disponible | non specifie | manquant
    | desconocido | desconocida | sin datos | sin dato | no disponible | no especificado | no informado
    | sin informacion | sconosciuto | sconosciuta | non disponibile | non specificato | mancante | desconhecido
    | desconhecida | nao informado | nao disponivel | sem informacao | onbekend | niet bekend | ontbreekt
    | okand | okant | uppgift saknas | ukendt | ukjent | tuntematon | nieznany | nieznana | brak danych
    | neznamy | neznama | nezname | ismeretlen | necunoscut | bilinmiyor | неизвестно | неизвестный | нет данных
    | не указано | н д | 不明 | 未知 | 不详 | 无数据 | 未記入 | 欠損 | 알 수 없음 | غير معروف
"""
WORDS = frozenset(" ".join(text.split()) for text in TEXTS.split("|"))
"""Texts that mean missing, as `folded` writes them."""
PERHAPS = frozenset(["none", "nothing", "ninguno", "aucun", "keine", "void", "invalid", "error"])
"""Texts that mean missing, or name an honest level: `none` of the complications."""
BETWEEN = """
    yes some any few many all one low lower medium middle high higher mild moderate light heavy severe slight little
    small normal minor major partial partly full complete rare often sometimes always never
"""
DEGREES = frozenset(BETWEEN.split())
"""Where one of these is a level, `none` is one too."""
SIGNS = re.compile(r"[-–—._?*#/~\\|]+")


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_rows: int = 3,
    least_share: float = 0.002,
    most_words: int = 1_000,
    perhaps_share: float = 0.3,
) -> Iterator[Finding]:
    """`quality.hidden_missing`: markers in at least `least_rows` rows and `least_share` of them.

    Three rows are enough of a famous negative number where no other is negative.
    Of texts the `most_words` commonest are looked at. `none` and the like count only as a minor level, up to
    `perhaps_share` of the rows, of a column that has other levels to spare.
    """
    least = max(least_rows, least_share * table.cells.rows)
    for name in table.cells.first:
        if table.cells.is_number(name):
            yield from numbers(table, name, least)
        elif table.cells.is_text(name):
            yield from texts(table, name, most_words, perhaps_share)


def finding(table: View, name: str, rows: np.ndarray, markers: list[str], why: str) -> Finding:
    """A warning with the rows and the markers to be made missing."""
    shown = ", ".join(identities.shown(marker) for marker in markers[:5])
    return Finding(
        code="quality.hidden_missing",
        severity="warn",
        says=f"{name} says {shown} in {len(rows):,} of {table.cells.rows:,} rows, which stands for missing: {why}",
        columns=[name],
        rows=table.keep_rows(rows, np.ones(len(rows))),
        numbers={"cells": len(rows), "share": len(rows) / table.cells.rows, "markers": len(markers)},
        fix=Fix(do="missing", columns=[name], markers=markers, says="treat as missing"),
    )


# ---------------------------------------------------------------- texts


def texts(table: View, name: str, most_words: int, perhaps_share: float) -> Iterator[Finding]:
    """Words that mean missing, in a column of other words; among numbers they are `quality.mixed_type`."""
    levels = table.cells.levels(name)
    words = levels.values.head(most_words).to_list()
    chosen = {at for at, word in enumerate(words) if is_marker(word, words)}
    if len(levels) - len(chosen) >= 3:
        minor_L = levels.counts <= perhaps_share * levels.counts.sum()
        perhaps = {at for at, word in enumerate(words) if at and minor_L[at] and is_perhaps(word, words)}
        if perhaps and not may_be_none(name, levels):
            chosen |= perhaps
    if not chosen or len(chosen) == len(levels) or mostly_numbers(levels.values, levels.counts):
        return
    rows = table.cells.where(name, sorted(chosen))
    yield finding(table, name, rows, [words[at] for at in sorted(chosen)], "the words say so")


def is_marker(word: str, words: Sequence[str]) -> bool:
    """Whether a text means missing whatever the column is about."""
    if len(word) > 30:
        return False
    if SIGNS.fullmatch(word):
        return "+" not in words  # `+` and `-` are answers
    if word[-1:].isdigit():
        return is_odd_number(word, words)
    return word == "NaT" or folded(word) in WORDS


def is_perhaps(word: str, words: Sequence[str]) -> bool:
    """Whether a text that may be an honest level says nothing here: there is no `some` it could be the opposite of."""
    return folded(word) in PERHAPS and not any(folded(other) in DEGREES for other in words)


def may_be_none(name: str, levels: Levels) -> bool:
    """Whether a column holds what people may have none of: a religion, a disability."""
    share_L = levels.counts / np.sum(levels.counts)
    named = protected.by_name(name) or protected.by_values(levels.values.head(50).to_list(), share_L[:50].tolist())
    return named in ("religion", "disability")


def is_odd_number(word: str, words: Sequence[str]) -> bool:
    """Whether a text is a famous number among levels that are no numbers."""
    value = as_number(word)
    if value is None or not (is_famous(value) and (value < 0 or value > 90)):
        return False
    return not any(as_number(other) is not None and other != word for other in words[:50])


def as_number(word: str) -> float | None:
    """The number a text is; None for another text."""
    try:
        return float(word)
    except ValueError:
        return None


def folded(word: str) -> str:
    """Lower case without accents; everything but letters and digits is a blank, and blanks are single."""
    plain = word.lower().replace("'", "").replace("’", "")
    if not plain.isascii():
        plain = "".join(sign for sign in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(sign))
        plain = unicodedata.normalize("NFC", plain)
    return " ".join(re.split(r"[\W_]+", plain)).strip()


def mostly_numbers(values: pl.Series, counts: np.ndarray) -> bool:
    """Whether at least half of the rows of a text column are numbers."""
    numeric_L = values.cast(pl.Float64, strict=False).is_not_null().to_numpy()
    return bool(2 * counts[numeric_L].sum() >= counts.sum())


# ---------------------------------------------------------------- numbers


def numbers(table: View, name: str, least: float) -> Iterator[Finding]:
    """Numbers that no row can mean."""
    ordered_N = table.cells.ordered(name)
    if len(ordered_N) < 10:
        return
    starts_L = np.flatnonzero(np.diff(ordered_N, prepend=-np.inf) > 0)
    value_L, count_L = ordered_N[starts_L], np.diff(starts_L, append=len(ordered_N))
    found = sentinels(value_L, count_L, least)
    found = {mark: why for mark, why in found.items() if not identities.personal(mark)}
    if not found:
        return
    rows = np.flatnonzero(np.isin(table.cells.numbers(name), list(found)))
    marks = pl.Series(sorted(found), dtype=pl.Float64).cast(table.all[name].dtype).cast(pl.String).to_list()
    yield finding(table, name, rows, marks, "; ".join(dict.fromkeys(found.values())))


def sentinels(value_L: np.ndarray, count_L: np.ndarray, least: float) -> dict[float, str]:
    """Marker → why. Those at either end are taken off one after another, then one amid the others is looked for."""
    found: dict[float, str] = {}
    for _ in range(6):
        for side in (1, -1):
            outside = at_the_end(side * value_L[::side], count_L[::side], side, least)
            if outside:
                found |= outside
                stay_L = ~np.isin(value_L, list(outside))
                value_L, count_L = value_L[stay_L], count_L[stay_L]
                break
        else:
            break
    return found | amid(value_L, count_L, least)


@dataclass(frozen=True)
class Edge:
    """One to three values at the lower end of a column, and the rest. `side` -1: the column was turned over."""

    values: np.ndarray
    """As they stand in the column."""
    gap: float
    spacing: float
    """The widest step between the ten values of the rest that lie next to the gap."""
    step: float
    """Their step on average."""
    span: float
    """From the least to the most of the rest."""
    rows: int
    others: int
    """Rows of the rest."""
    beside: int
    """Rows of the rest that are no further from its end than the values are."""
    dense: float
    """Rows of one of the ten values next to the gap, at the median."""
    levels: int
    least: float
    """Least of the rest."""
    middle: float
    """Median of the rest, by rows."""
    side: int

    @property
    def famous(self) -> bool:
        """Whether all of the values are famous markers."""
        return all(is_famous(value) for value in self.values)

    @property
    def whole(self) -> bool:
        """Whether all of the values are whole numbers, as people choose; what a scaler makes of zero is none."""
        return all(float(value).is_integer() for value in self.values)

    @property
    def wrong_sign(self) -> bool:
        """Whether the values are negative and the rest is not."""
        return self.side == 1 and self.values[-1] < 0 <= self.least


def at_the_end(value_L: np.ndarray, count_L: np.ndarray, side: int, least: float) -> dict[float, str]:
    """The values at the lower end that are markers."""
    for taken in (1, 2, 3):
        if len(value_L) < taken + 2 or count_L[taken - 1] < 3:
            return {}
        gap = value_L[taken] - value_L[taken - 1]
        # Most columns end without a gap worth a look: settled without building anything.
        span = value_L[-1] - value_L[taken]
        near_L = value_L[taken : taken + 10]
        spacing = float(np.diff(near_L).max()) if len(near_L) > 2 else float(span)
        signed = side == 1 and value_L[taken - 1] < 0 <= value_L[taken]
        # A famous negative number amid others that never are negative needs no share of the rows.
        few = count_L[:taken].sum() < least and not (signed and all(map(is_famous, value_L[:taken])))
        if (gap < spacing and not signed) or (few and gap < 2 * span):
            continue
        edge = Edge(
            side * value_L[:taken],
            float(gap),
            spacing,
            float(near_L[-1] - near_L[0]) / max(1, len(near_L) - 1),
            float(span),
            int(count_L[:taken].sum()),
            int(count_L[taken:].sum()),
            int(count_L[taken : np.searchsorted(value_L, value_L[taken] + gap, "right")].sum()),
            float(np.median(count_L[taken : taken + 10])),
            len(value_L) - taken,
            float(value_L[taken]),
            median(value_L[taken:], count_L[taken:]),
            side,
        )
        why = judged(edge, least)
        if why:
            return dict.fromkeys(edge.values.tolist(), why)
    return {}


def median(value_L: np.ndarray, count_L: np.ndarray) -> float:
    """Median by rows."""
    total_L = np.cumsum(count_L)
    return float(value_L[np.searchsorted(total_L, total_L[-1] / 2)])


def judged(edge: Edge, least: float) -> str:
    """Why the values are markers; empty when they may be honest."""
    if edge.wrong_sign and negative(edge):
        return "no other value is negative"
    if edge.famous and (edge.gap >= 2 * edge.span or crowd(edge)):
        return f"the rest ends {edge.gap:.4g} away"
    if edge.rows >= least and 0 not in edge.values and far(edge):
        return f"the rest ends {edge.gap:.4g} away"
    return "zero lies far from all other values" if impossible_zero(edge) else ""


def far(edge: Edge) -> bool:
    """Whether values that are no famous ones lie so far off, so often, that they are no outliers."""
    if not edge.whole:
        return False
    if edge.levels >= 3 and len(edge.values) == 1 and edge.gap >= 10 * edge.span:
        return True
    return edge.levels >= 10 and edge.gap >= 2 * edge.span and edge.rows >= 3 * edge.dense


def apart(edge: Edge) -> bool:
    """Whether the gap is much wider than the steps behind it."""
    return edge.gap >= 3 * edge.spacing or edge.gap >= 8 * edge.step


def crowd(edge: Edge) -> bool:
    """Whether too many rows lie beyond a gap for them to be the tail, cut off, of the rest.

    A cap holds fewer rows than the stretch below it that is as wide as the gap.
    """
    if apart(edge) and (edge.rows >= 2 * edge.beside or edge.gap >= 20 * edge.spacing):
        return True
    often = edge.rows >= 50 * edge.dense or (edge.rows >= 10 * edge.dense and edge.rows >= 0.03 * edge.others)
    return edge.gap >= edge.span and often


def negative(edge: Edge) -> bool:
    """Whether negative numbers lie apart from values that are never negative; codes may well begin at -1."""
    if edge.famous:
        few = edge.levels >= 3 and edge.gap >= 2 * edge.spacing
        return edge.levels >= 6 or few or edge.gap >= 5 * edge.span
    if not edge.whole:
        return False
    if edge.gap >= 10 * edge.span or (edge.levels >= 10 and edge.gap >= edge.span):
        return True
    often = apart(edge) or (edge.rows >= 3 * edge.dense and edge.rows <= edge.others)
    return edge.levels >= 10 and len(edge.values) == 1 and edge.rows >= edge.dense and often


def impossible_zero(edge: Edge) -> bool:
    """Whether zero lies alone below values that end well above it; where most rows are zero, it may mean none."""
    alone = edge.side == 1 and len(edge.values) == 1 and edge.values[0] == 0
    if not alone or edge.levels < 3 or not apart(edge):
        return False
    if edge.gap >= 2 * edge.span:
        return True
    return edge.levels >= 10 and edge.gap >= 0.05 * edge.middle and edge.rows <= edge.others


def amid(value_L: np.ndarray, count_L: np.ndarray, least: float) -> dict[float, str]:
    """A famous number amid the others that is by far the commonest, where its neighbours are rare."""
    if len(value_L) < 30:
        return {}
    top, second = np.argpartition(-count_L, 1)[:2]
    if count_L[top] < max(least, 3 * count_L[second]) or not 0 < top < len(value_L) - 1:
        return {}
    around_L = np.delete(count_L[max(0, top - 5) : top + 6], min(top, 5))
    value = float(value_L[top])
    if not is_famous(value) or count_L[top] < 20 * around_L.mean():
        return {}
    return {value: "its neighbours are rare"}


def is_famous(value: float) -> bool:
    """Whether a number is one that programs and people write for nothing: -1, -9, 99, -999.9, 1e30, 2147483647."""
    size = abs(float(value))
    if size >= HUGE or size in LIMITS or value in (-1, -9):
        return True
    digits = f"{size:.10g}".replace(".", "")
    return FAMOUS_DIGITS.fullmatch(digits) is not None
