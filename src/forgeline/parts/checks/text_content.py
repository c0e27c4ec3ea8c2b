"""Texts that are empty, garbled by a wrong encoding, or cut off.

Empty and cut texts are looked for in columns of free text, garbled ones in every column of texts. All work is done
on distinct texts. Shapes: L distinct texts of a column, commonest first.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import prose
from forgeline.engine.cells import Levels
from forgeline.engine.identities import personal
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("text.empty", "text.encoding", "text.truncated")

CONTENT = r"[\p{L}\p{N}\p{So}]"
"""A letter, digit or picture sign: what a text needs to say anything."""
EMOTICON = r"^(?:(?:[<>}]?[:;=8xX][-o*'^]?[)\](\[dDpP/\\|*3<>]+|<3+|\(?\^[_.-]*\^\)?|-_+-)\s*)+$"

# What the bytes 0x80-0xBF of UTF-8 become when they are read as Windows-1252 or Latin-1.
FOLLOWS = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
SURE = "\u0080-\u00a9\u00ac-\u00b6\u00b8-\u00ba\u00bc-\u00bf€‚ƒ„†‡ˆ‰Š‹ŒŽ•˜™š›œžŸ¶«ª"
GARBLED = {
    "UTF-8 read as Latin-1": (
        f"[ÃÂ][{SURE}]|â[€‚„][{FOLLOWS}]|ï[»¼¿½][{FOLLOWS}]|ð[Ÿ\u009f][{FOLLOWS}]{{2}}"
        f"|(?:[ÎÏÐÑØÙÅÄ×][{FOLLOWS}]){{2}}|(?:[ã-é][{FOLLOWS}]{{2}}){{2}}"
    ),
    "signs that were lost": "\ufffd",
    "HTML entities": r"&(?:amp|lt|gt|quot|apos|nbsp|[a-zA-Z]{4,8}|#\d{2,6}|#x[0-9a-fA-F]{2,5});",
    "control characters": "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufeff]",
}
SUSPECT = r"[^ -~\t\r\n]|&[a-zA-Z#]"
"""What any of them has; cheap to look for, which settles most columns."""
ANY = "|".join(f"(?:{pattern})" for pattern in GARBLED.values())


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_rows: int = 3,
    most_mended: int = 200,
    least_cut: int = 5,
    least_spike: float = 3.0,
    most_unfinished: float = 0.25,
    least_evidence: float = 5.0,
) -> Iterator[Finding]:
    """`text.empty`, `text.encoding` and `text.truncated`; fewer rows than `least_rows` are a note.

    most_mended: distinct garbled texts up to which the fix spells out each. least_cut, least_spike: texts of one
    length, and how many times as many as of the lengths about it, that may be cut at that length.
    most_unfinished: share of texts without an end up to which having none is odd. least_evidence: log likelihood
    that endings must have as cut ones over whole ones.
    """
    for name in table.all.columns:
        if not table.cells.is_text(name):
            continue
        levels = table.cells.levels(name)
        yield from encoding(table, name, levels, least_rows, most_mended)
        if prose.is_free(levels):
            yield from empty(table, name, levels, least_rows)
            yield from truncated(table, name, levels, least_cut, least_spike, most_unfinished, least_evidence)


# ---------------------------------------------------------------- empty


def empty(table: View, name: str, levels: Levels, least_rows: int) -> Iterator[Finding]:
    """Texts without a letter, a digit or a picture."""
    nothing_L = ~levels.values.str.contains(CONTENT).to_numpy()
    nothing_L[nothing_L] = ~levels.values.filter(nothing_L).str.contains(EMOTICON).to_numpy()
    rows = table.cells.where(name, nothing_L)
    if not len(rows):
        return
    yield Finding(
        code="text.empty",
        severity="warn" if len(rows) >= least_rows else "note",
        says=f"{len(rows):,} of {table.cells.rows:,} texts in {name} say nothing: no letter and no digit",
        columns=[name],
        rows=table.keep_rows(rows, np.ones(len(rows))),
        numbers={"cells": len(rows), "share": len(rows) / table.cells.rows},
        fix=Fix(do="missing", columns=[name], markers=sorted(levels.values.filter(nothing_L)), says="treat as missing"),
    )


# ---------------------------------------------------------------- encoding


def encoding(table: View, name: str, levels: Levels, least_rows: int, most_mended: int) -> Iterator[Finding]:
    """Texts whose bytes were read in the wrong encoding, or that keep the writing of a web page."""
    if not levels.values.str.contains(SUSPECT).any():
        return
    garbled_L = levels.values.str.contains(ANY).to_numpy()
    if not garbled_L.any():
        return
    garbled = levels.values.filter(garbled_L)
    rows = table.cells.where(name, garbled_L)
    kinds = [kind for kind, pattern in GARBLED.items() if garbled.str.contains(pattern).any()]
    fix = None
    if len(garbled) <= most_mended:
        better = {
            text: other for text in garbled.to_list() if (other := mended(text)) != text and not personal(text, name)
        }
        fix = Fix(do="map", columns=[name], values=better, says="what the bytes meant") if better else None
    yield Finding(
        code="text.encoding",
        severity="warn" if len(rows) >= least_rows else "note",
        says=f"{name} is garbled in {len(rows):,} of {table.cells.rows:,} rows: {', '.join(kinds)}",
        columns=[name],
        rows=table.keep_rows(rows, np.ones(len(rows))),
        numbers={"cells": len(rows), "share": len(rows) / table.cells.rows, "texts": len(garbled)},
        fix=fix,
    )


MENDABLE = re.compile(f"[\u00c2-\u00f4][{FOLLOWS}]+")
CONTROL = re.compile(GARBLED["control characters"])


def mended(text: str) -> str:
    """The text with each stretch read again as UTF-8 where its bytes are that, entities written out, controls gone."""
    text = MENDABLE.sub(lambda found: read_again(found.group()), html.unescape(text))
    return CONTROL.sub(lambda found: sign_of_byte(ord(found.group())), text).strip()


def sign_of_byte(code: int) -> str:
    """What a control character is in Windows-1252; nothing where it is none."""
    return bytes([code]).decode("cp1252", errors="ignore") if 0x80 <= code <= 0x9F else ""


def read_again(piece: str) -> str:
    """UTF-8 of the bytes a stretch stands for in Windows-1252, in Latin-1 where that has none; else the stretch."""
    try:
        return b"".join(byte_of(sign) for sign in piece).decode()
    except UnicodeError:
        return piece


def byte_of(sign: str) -> bytes:
    """The byte that a sign stands for. Errors: UnicodeError."""
    try:
        return sign.encode("cp1252")
    except UnicodeError:
        return sign.encode("latin-1")


# ---------------------------------------------------------------- truncated


def truncated(
    table: View,
    name: str,
    levels: Levels,
    least_cut: int,
    least_spike: float,
    most_unfinished: float,
    least_evidence: float,
) -> Iterator[Finding]:
    """Texts that end where a field ended; else texts that end amid a sentence where the rest does not."""
    cut, length = at_a_limit(levels.values, least_cut, least_spike, least_evidence)
    why = f"cut after {length:,} characters"
    if not len(cut):
        cut = unfinished(levels.values, least_cut, most_unfinished, least_evidence)
        why = "end amid a sentence, where the others do not"
    if not len(cut):
        return
    rows = table.cells.where(name, cut)
    yield Finding(
        code="text.truncated",
        severity="warn",
        says=f"{len(rows):,} of {table.cells.rows:,} texts in {name} are {why}"
        if length
        else f"{len(rows):,} of {table.cells.rows:,} texts in {name} {why}",
        columns=[name],
        rows=table.keep_rows(rows, np.ones(len(rows))),
        numbers={"cells": len(rows), "share": len(rows) / table.cells.rows, "characters": length},
    )


def at_a_limit(
    values: pl.Series,
    least_cut: int,
    least_spike: float,
    least_evidence: float,
    *,
    most_spikes: int = 3,
    least_odds: float = 1.0,
) -> tuple[np.ndarray, int]:
    """The texts cut at one length, as positions, and that length; none and 0 where no length stands out.

    A blank before the cut is gone by now, so texts one shorter are looked at too. A length may be common without
    a cut, as for texts made by a form: their endings are those of whole texts.
    """
    for lengths in (values.str.len_chars(), values.str.len_bytes()):
        length_L = lengths.to_numpy().astype(np.int64)
        for length, cut_share in spikes(length_L, least_cut, least_spike)[:most_spikes]:
            there = np.flatnonzero((length_L == length) | (length_L == length - 1))
            others = np.flatnonzero((length_L != length) & (length_L != length - 1))
            if len(others) < 20:
                continue
            learnt = prose.endings(values.gather(others).to_list())
            # Some programs end what they cut with dots.
            texts = [prose.ELLIPSIS.sub("", text) for text in values.gather(there).to_list()]
            ratio = learnt.ratio(texts)
            if np.log1p(cut_share * (ratio - 1)).sum() >= least_evidence and not alike(texts):
                odds = ratio * cut_share / (1 - cut_share)
                return there[odds > least_odds], length
    return np.zeros(0, np.int64), 0


def alike(texts: list[str], *, most_share: float = 0.3) -> bool:
    """Whether many texts end in the same word, as those of one form do; a cut falls on any."""
    last = Counter(found.group().lower() for text in texts if (found := prose.LAST_WORD.search(text)))
    return max(last.values(), default=0) > max(2, most_share * len(texts))


def spikes(length_L: np.ndarray, least_cut: int, least_spike: float, *, reach: int = 12) -> list[tuple[int, float]]:
    """Lengths that too many texts have, the most striking first, and the share of their texts that is too many.

    Usual are as many as of the lengths at most `reach` away, on both sides or below, whichever has more: beyond
    the longest text there is nothing to compare with.
    """
    count_C = np.bincount(length_L, minlength=int(length_L.max(initial=0)) + 1).astype(np.float64)
    upto = np.pad(np.append(0.0, np.cumsum(count_C)), (reach, reach + 1), mode="edge")
    at = np.arange(len(count_C)) + reach
    below_C, above_C = upto[at - 2] - upto[at - reach], upto[at + reach + 1] - upto[at + 2]
    usual_C = np.maximum((below_C + above_C) / (2 * reach - 3), below_C / (reach - 2))
    high_C = count_C >= np.maximum(least_spike * usual_C, usual_C + 6 * np.sqrt(usual_C) + 3)
    chosen = np.flatnonzero(high_C & (count_C >= least_cut))
    chosen = chosen[np.argsort(-(count_C - usual_C)[chosen] / np.sqrt(usual_C[chosen] + 1), kind="stable")]
    both_C = count_C + np.append(0.0, count_C[:-1])
    return [(int(one), float(np.clip(1 - 2 * usual_C[one] / both_C[one], 0.05, 0.95))) for one in chosen]


def unfinished(values: pl.Series, least_cut: int, most_unfinished: float, least_evidence: float) -> np.ndarray:
    """Positions of texts that end in dots or in nothing where few others do, and whose last words are cut words."""
    texts = values.filter(values.str.contains(CONTENT)).to_list()
    dots_L = np.array([bool(prose.ELLIPSIS.search(text)) for text in texts], bool)
    bare_L = np.array([prose.sign_of(text) != 1 for text in texts], bool) | dots_L
    for odd_L in (bare_L, dots_L):
        odd, whole = np.flatnonzero(odd_L), np.flatnonzero(~odd_L)
        if len(odd) < least_cut or len(odd) > most_unfinished * len(texts) or len(whole) < 20:
            continue
        ratio = prose.endings([texts[at] for at in whole], signs=False).ratio([texts[at] for at in odd])
        share = mixed(ratio)
        if alike([texts[at] for at in odd]):
            continue
        if share >= 0.5 and np.log1p(share * (ratio - 1)).sum() >= least_evidence:
            cut = pl.Series([texts[at] for at in odd[share * ratio > 1 - share]])
            return np.flatnonzero(values.is_in(cut.implode()).to_numpy())
    return np.zeros(0, np.int64)


def mixed(ratio: np.ndarray, *, steps: int = 50) -> float:
    """The share of cut texts among some that makes their endings likeliest, by expectation and maximisation."""
    share = 0.5
    for _ in range(steps):
        share = float(np.clip(np.mean(share * ratio / (share * ratio + 1 - share)), 0.01, 0.99))
    return share
