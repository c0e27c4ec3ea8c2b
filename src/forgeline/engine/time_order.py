"""An order in time: which column, or the file itself, tells when rows came about.

Rows that follow one another in time resemble each other more than rows some way off; some way, because in any sorted
column what depends on it changes slowly.
Shapes: N rows, L distinct values, P pairs, C columns compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from forgeline.engine.cells import Cells
from forgeline.engine.evidence import Clue, Pairs, joined
from forgeline.engine.names import CALENDAR, YEARS, named_entity, named_time, words

DAY = 86_400e6
"""Microseconds."""
TEXT_DATES = ("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%Y%m%d")
TEXT_CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H%M%S")
TEXT_DATE = r"^\d{8}|^[A-Za-z0-9]{1,4}[/. -][A-Za-z0-9]+[/., -]+\d"
PERIOD = r"^\d{4}[-/_. ]?([A-Z]|[QqHh][1-4]|[WwMm]?\d{1,2})$"
"""`2013J`, `2020-Q3`, `2019/07`: a year and a part of it, in the order of the alphabet."""


def moments(cells: Cells, name: str) -> np.ndarray:
    """float64 [N]: what a column of times is ordered by; NaN where missing or unreadable.

    Microseconds of dates, numbers as they are; of texts the date they spell, else their place in the alphabet.
    """
    if not cells.is_text(name):
        return cells.numbers(name)
    value_L = spelled(cells.levels(name).values)
    return np.asarray(np.append(value_L, np.nan)[cells.codes(name)])


def spelled(levels: pl.Series) -> np.ndarray:
    """float64 [L]: microseconds where all texts are dates of one format, else places in the alphabet."""
    form = date_format(levels)
    if form:
        return levels.str.to_datetime(form, time_unit="us").to_physical().cast(pl.Float64).to_numpy()
    place_L = np.empty(len(levels))
    place_L[levels.arg_sort().to_numpy()] = np.arange(len(levels))
    return place_L


def date_format(levels: pl.Series, *, first: int = 30) -> str:
    """The format in which all texts are dates; empty when there is none."""
    head = levels.head(first)
    if not len(head) or not head.str.contains(TEXT_DATE).all():
        return ""
    for form in (day + clock for day in TEXT_DATES for clock in TEXT_CLOCKS):
        if all(not some.str.to_datetime(form, strict=False, time_unit="us").null_count() for some in (head, levels)):
            return form
    return ""


def is_moment_text(cells: Cells, name: str) -> bool:
    """Whether texts spell dates or parts of years."""
    levels = cells.levels(name).values
    if len(levels) < 2:
        return False
    return bool(levels.head(30).str.contains(PERIOD).all() and levels.str.contains(PERIOD).all()) or bool(
        date_format(levels)
    )


def time_of(cells: Cells, pairs: Pairs, least_sure: float, least_moments: int, most: int = 8) -> Clue | None:
    """The column that orders the rows in time, if there is one: the surest, then the one with more moments."""
    names = [name for name in time_candidates(cells) if cells.distinct(name) >= least_moments]
    names = sorted(names, key=lambda name: -cells.is_date(name) - named_time(name))[:most]
    clues = [time_clue(cells, pairs, name) for name in names]
    known = [clue for clue in clues if clue.sure >= least_sure]
    return max(known, key=lambda clue: (round(clue.sure, 1), cells.distinct(clue.name)), default=None)


def time_candidates(cells: Cells) -> Iterator[str]:
    """Dates, texts that spell them, and numbers that are named for a time or sorted."""
    for name in cells.first:
        if cells.missing(name) > 0.2 * cells.rows:
            continue
        spells = cells.is_date(name) or (cells.is_text(name) and is_moment_text(cells, name))
        if spells or (cells.is_number(name) and (named_time(name) > 0 or is_sorted(cells.numbers(name)))):
            yield name


def is_sorted(value_N: np.ndarray) -> bool:
    """Whether nearly all steps go one way; most columns are told by their first rows."""
    return ordered(value_N[:2_000]) >= 0.95 and ordered(value_N) >= 0.99


def ordered(value_N: np.ndarray) -> float:
    """Share of the steps from row to row that go the file's way, forward or back; 0 with hardly any step."""
    step_N = np.diff(value_N[~np.isnan(value_N)])
    step_N = step_N[step_N != 0]
    return float(max((step_N > 0).mean(), (step_N < 0).mean())) if len(step_N) >= 3 else 0.0


def time_clue(cells: Cells, pairs: Pairs, name: str) -> Clue:
    """How sure a column is the time that rows are ordered by."""
    moment_N = moments(cells, name)
    is_date = cells.is_date(name) or cells.is_text(name)
    said, sorted_rows = named_time(name), ordered(moment_N) >= 0.95
    if said < 0 or (is_date and not sorted_rows and span_years(cells, name, moment_N) >= 30):
        return Clue(name, 0.0)  # a date of birth and the like tells who, not when
    local, counter = locality(cells, pairs, name, moment_N, apart=not is_date), is_counter(moment_N)
    follows = 0.8 * float(np.clip(local / 0.2, 0, 1))
    if is_date:
        return Clue(name, joined(0.5, said, 0.6 if sorted_rows else 0.0, follows), local)
    if said > 0 and not set(words(name)) & (CALENDAR - YEARS):
        return Clue(name, joined(said if sorted_rows or epoch(moment_N) else said / 2, 0.5 * sorted_rows, follows))
    if said > 0:  # day, month: a time only where rows are sorted by it
        return Clue(name, joined(said, 0.5, follows) if sorted_rows else 0.0)
    if named_entity(name) > 0:  # rows may be numbered in any order, along a street for one
        return Clue(name, 0.9 * follows)
    return Clue(name, follows * (1.0 if counter or regular(moment_N) else 0.7))


def span_years(cells: Cells, name: str, moment_N: np.ndarray) -> float:
    """Years from the first moment to the last; 0 for texts in the order of the alphabet."""
    known_N = moment_N[~np.isnan(moment_N)]
    if not len(known_N) or (cells.is_text(name) and np.abs(known_N).max() < DAY):
        return 0.0
    return float((known_N.max() - known_N.min()) / (365.25 * DAY))


def epoch(moment_N: np.ndarray) -> bool:
    """Whether numbers are seconds, milliseconds or microseconds since 1970, of 1990 to 2060."""
    known_N = moment_N[~np.isnan(moment_N)]
    if not len(known_N):
        return False
    low, high = float(known_N.min()), float(known_N.max())
    return any(631e6 * unit <= low and high <= 2.84e9 * unit for unit in (1, 1e3, 1e6, 1e9))


def is_counter(moment_N: np.ndarray) -> bool:
    """Whether every row has its own value."""
    return len(np.unique(moment_N)) == len(moment_N)


def regular(moment_N: np.ndarray, *, least: float = 0.5) -> bool:
    """Whether most steps between distinct moments are the same."""
    step_L = np.diff(np.unique(moment_N[~np.isnan(moment_N)]))
    if len(step_L) < 10:
        return False
    return bool((np.abs(step_L - np.median(step_L)) <= 1e-6 * abs(np.median(step_L))).mean() >= least)


def locality(cells: Cells, pairs: Pairs, name: str, moment_N: np.ndarray, *, apart: bool) -> float:
    """How much rows that follow one another in time resemble each other, beside rows 2 to 5 % of all rows off.

    `apart` leaves out rows of one moment: numbers may name entities in the order of the file.
    """
    rows_N = np.flatnonzero(~np.isnan(moment_N))
    if len(np.unique(moment_N[rows_N[:1000]])) < min(len(rows_N), 1000):
        rows_N = rows_N[pairs.draw.permutation(len(rows_N))]  # rows of one moment in no order
    rows_N = rows_N[np.argsort(moment_N[rows_N], kind="stable")]
    said = [other for other in pairs.names if other != name and not calendar(cells, other, moment_N)]
    return following(pairs, rows_N, said, moment_N if apart else None)


def tells(cells: Cells, name: str, moment_N: np.ndarray) -> bool:
    """Whether a column is the time in other words: a number that rises with it, or of one value a moment."""
    if named_entity(name) >= 0.7:
        return False
    if calendar(cells, name, moment_N):
        return True
    known_N = ~np.isnan(moment_N)
    pairs = pl.DataFrame({"moment": moment_N[known_N], "code": cells.codes(name)[known_N]}).head(20_000)
    return bool(pairs.n_unique() == pairs["moment"].n_unique() == pairs["code"].n_unique())


def calendar(cells: Cells, name: str, moment_N: np.ndarray) -> bool:
    """Whether a column tells the time itself: a date, a part of one by name, or a number that rises with it."""
    if cells.is_date(name) or set(words(name)) & CALENDAR or named_time(name) >= 0.5:
        return True
    if not cells.is_number(name):
        return False
    some = np.linspace(0, len(moment_N) - 1, min(len(moment_N), 500)).astype(int)
    some = some[np.argsort(moment_N[some], kind="stable")]
    return ordered(cells.numbers(name)[some]) >= 0.99


def following(pairs: Pairs, rows_N: np.ndarray, names: Sequence[str], other_N: np.ndarray | None = None) -> float:
    """Mean over columns of 1 − (difference of rows in sequence) ÷ (of rows 2 to 5 % off); 0 where it may be chance.

    Only pairs that differ in `other_N` count where it is given.
    """
    count = len(rows_N)
    if count < 100 or not names:
        return 0.0
    at_P = pairs.draw.permutation(count - 1)[: pairs.most]
    if other_N is not None:
        at_P = at_P[other_N[rows_N[at_P]] != other_N[rows_N[at_P + 1]]]
    off_P = pairs.draw.integers(max(3, count // 50), max(6, count // 20), len(at_P))
    far_P = np.where(at_P + off_P < count, at_P + off_P, at_P - off_P)
    near_PC = pairs.matrix(names, rows_N[at_P], rows_N[at_P + 1])
    lift_C, errors = pairs.lift(near_PC, pairs.matrix(names, rows_N[at_P], rows_N[far_P]))
    return float(np.maximum(lift_C, 0).mean()) if errors >= 5 else 0.0


def row_order(cells: Cells, pairs: Pairs, group: str) -> float:
    """How much rows that follow one another in the file resemble each other, those of one entity set aside."""
    return following(pairs, np.arange(cells.rows), pairs.names, cells.codes(group) if group else None)


def persistence(codes_N: np.ndarray, moment_N: np.ndarray) -> float:
    """Median over entities of two rows or more of the share of the whole time that one spans."""
    known_N = (codes_N >= 0) & ~np.isnan(moment_N)
    code_N, time_N = codes_N[known_N], moment_N[known_N]
    if not len(code_N) or time_N.max() == time_N.min():
        return 0.0
    low_L, high_L = np.full(code_N.max() + 1, np.inf), np.full(code_N.max() + 1, -np.inf)
    np.minimum.at(low_L, code_N, time_N)
    np.maximum.at(high_L, code_N, time_N)
    several_L = np.bincount(code_N, minlength=len(low_L)) >= 2
    spans_L = (high_L - low_L)[several_L]
    return float(np.median(spans_L) / (time_N.max() - time_N.min())) if len(spans_L) else 0.0
