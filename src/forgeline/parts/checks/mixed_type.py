"""Columns that hold numbers and text: text among numbers, numbers among words, and numbers written as no number is.

The snapshot tells of columns in which nine of ten cells are numbers; here are the others.
Shapes: L levels, commonest first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine.columns import MIXED_SHARE
from forgeline.engine.identities import shown
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.mixed_type",)

WRITTEN = (
    r"^[$€£¥~]? ?[-+]?(\d+([.,]\d+)?|\d{1,3}([, ]\d{3})+(\.\d+)?|\d{1,3}(\.\d{3})+,\d+)"
    r"(?: ?%| ?[A-Za-zµ°²³/$€£¥]{1,9}\.?)?$"
)
"""12 kg, 5%, 1,234.5, 3,7, $ 20: a number with a unit, thousands or a decimal comma."""
NOT_WRITTEN = r"\d(?:st|nd|rd|th|[A-Za-z])$"
"""11th, 12a: an ordinal and a code are no number with a unit."""
CODE = re.compile(r"[A-Za-z]{1,3}[-. ]?\d[\w.-]*|\d[\w.-]*[A-Za-z]{1,2}")
"""V57, 85123A: where such stand among numbers, the numbers are codes too."""
SERIES = re.compile(r"[A-Za-z].*\d")
"""PC 17599: a code, where there are several such series."""


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_share: float = 0.5,
    least_distinct: int = 10,
    most_numbers: float = 0.25,
    written_share: float = 0.95,
) -> Iterator[Finding]:
    """`quality.mixed_type`, by the share of cells that are numbers.

    From `least_share` on, of at least `least_distinct` values, the texts are odd; up to `most_numbers` the numbers
    are odd among words; and where the share `written_share` is a number with a unit or a comma, the column is text
    that should be numbers.
    """
    cells = table.cells
    for name in table.all.columns:
        if not cells.is_text(name) or asked(table, name):
            continue
        levels = cells.levels(name)
        if len(levels) < 2 or not digits(levels.values):
            continue
        number_L = levels.values.cast(pl.Float64, strict=False).is_finite().fill_null(False).to_numpy()
        share = float(levels.counts[number_L].sum() / levels.counts.sum())
        if share >= MIXED_SHARE:
            continue  # the snapshot's finding
        if share >= least_share and number_L.sum() >= least_distinct:
            yield from text_among_numbers(table, name, number_L)
        elif 0 < share <= most_numbers and number_L.sum() > 1 and words(levels.values, levels.counts, number_L):
            yield numbers_among_words(table, name, number_L)
        elif share < least_share:
            yield from written_numbers(table, name, number_L, least_distinct, written_share)


def asked(table: View, name: str) -> bool:
    """Whether the user said what the column is."""
    return name in table.columns and table.columns[name].why == "as asked"


def digits(values: pl.Series) -> bool:
    """Whether any level has a digit: most columns have none and are settled."""
    return bool(values.str.contains(r"\d").any())


def text_among_numbers(table: View, name: str, number_L: np.ndarray) -> Iterator[Finding]:
    """The cells that are no numbers, in a column of numbers; not in one of codes."""
    levels = table.cells.levels(name)
    odd = levels.values.filter(~number_L)
    if looks_coded(odd, levels.counts[~number_L]):
        return
    rows = table.cells.where(name, ~number_L)
    yield finding(
        table,
        name,
        rows,
        f"{name} would be numbers but for {len(rows):,} cells, such as {shown(odd[0], name)}",
        Fix(do="cast", columns=[name], to="number", says="read as numbers, the rest as missing"),
    )


def looks_coded(odd: pl.Series, counts: np.ndarray, *, least_series: int = 3) -> bool:
    """Whether most odd cells are codes, so the numbers beside them are too: `PC 17599` and `A/5 21171`."""
    texts = odd.to_list()
    series = {re.sub(r"\d", "", text) for text in texts}
    code_L = np.array(
        [
            CODE.fullmatch(text) is not None or (len(series) >= least_series and SERIES.fullmatch(text) is not None)
            for text in texts
        ]
    )
    return bool(2 * counts[code_L].sum() > counts.sum()) and not has_units(odd)


def has_units(texts: pl.Series) -> bool:
    """Whether the texts are numbers that end on one and the same unit."""
    ends = texts.str.extract(r"\d ?([^\d\s]+)$", 1)
    return len(texts) >= 5 and ends.null_count() == 0 and ends.n_unique() == 1


def words(values: pl.Series, counts: np.ndarray, number_L: np.ndarray) -> bool:
    """Whether the levels that are no numbers are words without digits."""
    wordy_L = values.str.contains(r"^\D*[A-Za-z]\D*$").to_numpy() & ~number_L
    return bool(counts[wordy_L].sum() >= 0.95 * counts[~number_L].sum())


def numbers_among_words(table: View, name: str, number_L: np.ndarray) -> Finding:
    """The cells that are numbers, in a column of words."""
    rows = table.cells.where(name, number_L)
    example = table.cells.levels(name).values.filter(number_L)[0]
    says = f"{name} holds words but for {len(rows):,} numbers, such as {shown(example, name)}"
    return finding(table, name, rows, says, None)


def written_numbers(
    table: View, name: str, number_L: np.ndarray, least_distinct: int, written_share: float
) -> Iterator[Finding]:
    """A column whose cells are numbers to people only; the rows are those that are not even that."""
    levels = table.cells.levels(name)
    written_L = number_L | (levels.values.str.contains(WRITTEN) & ~levels.values.str.contains(NOT_WRITTEN)).to_numpy()
    share = levels.counts[written_L].sum() / levels.counts.sum()
    if share < written_share or written_L.sum() < least_distinct or units(levels.values.filter(written_L)) > 3:
        return
    odd = table.cells.where(name, ~written_L)
    example = shown(levels.values.filter(written_L)[0], name)
    yield finding(table, name, odd, f"{name} holds numbers written as text, such as {example}", None)


def units(texts: pl.Series) -> int:
    """How many different units stand behind the numbers."""
    return texts.str.extract(r"([^\d\s]*)$", 1).n_unique()


def finding(table: View, name: str, rows: np.ndarray, says: str, fix: Fix | None) -> Finding:
    """A warning with the odd cells' rows."""
    return Finding(
        code="quality.mixed_type",
        severity="warn",
        says=says,
        columns=[name],
        rows=table.keep_rows(rows, np.ones(len(rows))),
        numbers={"cells": len(rows), "share": len(rows) / table.cells.rows},
        fix=fix,
    )
