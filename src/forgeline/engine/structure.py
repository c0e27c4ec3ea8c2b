"""Structure nobody declared: entities with several rows, an order in time, and copies.

No target is looked at, so all rows may be. What is compared are pairs of rows. An entity's rows resemble one another
in other columns far more than rows of the next entity do; the next one in the order of its names, because rows of
neighbouring values of an ordinary number (age, a sensor's reading) resemble one another too. In time, rows that
follow one another resemble each other more than rows some way off; some way, because in any sorted column what
depends on it changes slowly.
Shapes: N rows, L distinct values, P pairs, C columns compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from forgeline.engine.cells import Cells

DAY = 86_400e6
"""Microseconds."""
TEXT_DATES = ("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%Y%m%d")
TEXT_CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H%M%S")
TEXT_DATE = r"^\d{8}|^[A-Za-z0-9]{1,4}[/. -][A-Za-z0-9]+[/., -]+\d"
PERIOD = r"^\d{4}[-/_. ]?([A-Z]|[QqHh][1-4]|[WwMm]?\d{1,2})$"
"""`2013J`, `2020-Q3`, `2019/07`: a year and a part of it, in the order of the alphabet."""


def vocabulary(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


BEINGS = vocabulary(
    "patient subject subj customer cust client user usr person member participant respondent student pupil employee emp"
    " worker household family account acct device machine engine vehicle driver player animal donor session visitor"
    " speaker author individual borrower applicant citizen owner guest passenger"
)
"""Words for what acts, is treated or is measured again and again."""
KEYS = vocabulary("id ids uuid guid uid key identifier code no nr number ref name")
PLAIN_KEYS = KEYS - {"code", "no", "nr", "number", "ref", "name"}
PLACES = vocabulary(
    "branch store shop city town country nation state province region county zip zipcode postal postcode post area"
    " district zone borough airport station agent agency company product item sku category cat type kind brand make"
    " model department dept job occupation profession education language currency channel campaign industry carrier"
    " airline route class level grade course module subject_code street suburb neighborhood neighbourhood location"
    " site origin destination diagnosis icd species title"
)
"""Words for what rows are filed under: a category, however many levels it has."""
BIRTHS = vocabulary("birth birthday birthdate dob born built construction renovated renovation founded expiry")
BIRTHS |= {"expiration", "expires", "maturity", "death", "manufactured", "model", "due", "valid"}
CLOCKS = vocabulary("date time timestamp datetime ts created epoch dt moment when")
CLOCKS |= {"updated", "recorded", "observed", "dteday", "posted", "pickup", "start", "begin", "occurred"}
YEARS = vocabulary("year yr yyyy")
STEPS = vocabulary("period t index step tick cycle round seq sequence day week month quarter")
CALENDAR = vocabulary("hour hr minute second day weekday dow dayofweek week month mnth mon quarter season")
CALENDAR |= YEARS | {"holiday", "workingday", "weekend", "doy", "dayofyear"}
DURATIONS = vocabulary("since until per lead wait waiting duration elapsed response spent in to of")
"""Words that make a time a span: `time_in_hospital`, `lead_time`."""


@dataclass(frozen=True)
class Structure:
    """What was found in the features of all rows; no target is looked at.

    How sure is a score of evidence, not a measured frequency: independent clues (the name, resemblance, order) are
    joined as 1 − Π(1 − clue). Below `least_sure` nothing is reported; from .8 on one clue is strong or two agree.
    """

    group: str = ""
    """Column that names an entity with several rows; empty when there is none."""
    group_sure: float = 0.0
    """How sure, 0 to 1."""
    time: str = ""
    """Column that the rows are ordered by in time; empty when there is none."""
    time_sure: float = 0.0
    entities: int = 0
    """Distinct values of `group`."""
    rows_per_entity: float = 0.0
    """Mean over the entities."""
    resemblance: float = 0.0
    """Mean over the other columns of 1 − (difference within an entity) ÷ (difference to the next entity)."""
    moments: int = 0
    """Distinct values of `time`."""
    persistence: float = 0.0
    """Median over entities of the share of the whole time that one spans; 0 without both."""
    row_order: float = 0.0
    """How much rows that follow one another in the file resemble each other where no column says why."""
    copies: int = 0
    """Clusters of rows that are alike in every feature."""
    by: str = ""
    """The column that an honest split goes by: `time` or `group`, or none.

    Of both: time where the entities stay (few, with many rows over most of the time, like stations), since later
    rows are of the same ones; else group.
    """

    @property
    def panel(self) -> bool:
        """Whether entities were observed over time."""
        return bool(self.group and self.time)


@dataclass(frozen=True)
class Clue:
    """A column and what speaks for it."""

    name: str
    sure: float
    resemblance: float = 0.0


def find(
    frame: pl.DataFrame,
    cells: Cells,
    *,
    least_rows: int = 60,
    least_entities: int = 20,
    least_rows_per_entity: float = 1.5,
    least_sure: float = 0.6,
    least_order: float = 0.4,
    least_moments: int = 8,
    most_pairs: int = 1_000,
    most_columns: int = 40,
    most_candidates: int = 20,
    seed: int = 0,
) -> Structure:
    """The entity column, the time column and copies, from features of all rows.

    At most `most_candidates` columns (of very many the first are looked at) are tried as entities, each on
    `most_pairs` pairs of rows and `most_columns` other columns: the cost hardly grows with the rows.
    """
    if frame.height < least_rows:
        return Structure()
    pairs = Pairs(cells, np.random.default_rng(seed), most_pairs, most_columns)
    time = time_of(cells, pairs, least_sure, least_moments)
    asides = (time.name,) if time else ()
    moment_N = moments(cells, time.name) if time else np.zeros(0)
    candidates = [
        name
        for name in cells.first
        if not (time and tells(cells, name, moment_N))
        and (named_time(name) <= 0 or named_entity(name) > 0)
        and repeats(cells, name, least_entities, least_rows_per_entity)
    ]
    candidates = sorted(candidates, key=lambda name: -named_entity(name))[:most_candidates]
    clues = [entity(cells, pairs, name, asides) for name in candidates if promising(cells, pairs, name, asides)]
    group = coarsest(cells, pairs, clues, least_sure)
    found = described(cells, group, time)
    if not found.time:
        strength = row_order(cells, pairs, group.name if group else "")
        found = replace(found, row_order=strength if strength >= least_order else 0.0)
    return replace(found, copies=copies(cells))


def described(cells: Cells, group: Clue | None, time: Clue | None) -> Structure:
    """The numbers of what was found."""
    found = Structure()
    if time:
        moments_N = moments(cells, time.name)
        count = len(np.unique(moments_N[~np.isnan(moments_N)]))
        found = replace(found, time=time.name, time_sure=time.sure, moments=count, by=time.name)
    if group:
        counts_L = cells.levels(group.name).counts
        found = replace(
            found,
            group=group.name,
            group_sure=group.sure,
            entities=len(counts_L),
            rows_per_entity=float(counts_L.mean()),
            resemblance=group.resemblance,
            by=group.name,
        )
    if group and time:
        stays = persistence(cells.codes(group.name), moments(cells, time.name))
        lasting = stays >= 0.5 and found.rows_per_entity >= 20
        found = replace(found, persistence=stays, by=time.name if lasting else group.name)
    return found


def words(name: str) -> list[str]:
    """Lower-case words of a name: `customerID`, `id_student`, `Cust-No`."""
    found = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]
    return [part for word in found for part in unglued(word)]


def unglued(word: str) -> tuple[str, ...]:
    """`userid` as user and id."""
    stem = word[:-2] if word.endswith("id") else ""
    return (stem, "id") if stem in BEINGS | PLACES else (word,)


# ---------------------------------------------------------------- pairs of rows


class Pairs:
    """Compares rows: how far apart two are, column by column."""

    def __init__(self, cells: Cells, draw: np.random.Generator, most_pairs: int, most_columns: int) -> None:
        self.cells, self.most, self.draw = cells, most_pairs, draw
        names = [name for name in cells.first if self.compared(name)]
        chosen = draw.permutation(len(names))[:most_columns]
        self.names = [names[at] for at in np.sort(chosen)]

    def compared(self, name: str) -> bool:
        """Whether a column can show resemblance: it varies, and its texts are not all their own."""
        levels = self.cells.distinct(name)
        return levels > 1 and not (self.cells.is_text(name) and levels > 0.9 * self.cells.rows)

    def apart(self, name: str, left_P: np.ndarray, right_P: np.ndarray) -> np.ndarray:
        """float64 [P]: 0 or 1 for categories, the difference of ranks (0 to 1) for numbers; NaN where unknown."""
        cells = self.cells
        if cells.is_number(name) or cells.is_date(name):
            value_2P = cells.numbers(name)[np.stack([left_P, right_P])]
            rank_2P = np.searchsorted(cells.ordered(name), value_2P) / max(len(cells.ordered(name)), 1)
            return np.asarray(np.abs(rank_2P[0] - rank_2P[1]) + 0 * value_2P[0] * value_2P[1])
        codes_N = cells.codes(name)
        return np.asarray(codes_N[left_P] != codes_N[right_P], np.float64)

    def matrix(self, names: Sequence[str], left_P: np.ndarray, right_P: np.ndarray) -> np.ndarray:
        """float64 [P, C] of `apart`."""
        parts = [self.apart(name, left_P, right_P) for name in names]
        return np.column_stack(parts) if parts else np.zeros((len(left_P), 0))

    def lift(self, near_PC: np.ndarray, far_PC: np.ndarray) -> tuple[np.ndarray, float]:
        """1 − near ÷ far of each column, and how many standard errors their mean is above 0."""
        far_C, near_C = mean(far_PC), mean(near_PC)
        known_C = (far_C > 1e-9) & ~np.isnan(near_C)
        if not known_C.any() or len(near_PC) < 20 or len(far_PC) < 20:
            return np.zeros(far_PC.shape[1]), 0.0
        lift_C = np.where(known_C, 1 - near_C / np.where(known_C, far_C, 1), 0.0)
        near_P, far_P = (mean((x_PC[:, known_C] / far_C[known_C]).T) for x_PC in (near_PC, far_PC))
        error = (spread(near_P) + spread(far_P)) ** 0.5
        return lift_C, float(lift_C[known_C].mean() / max(error, 1e-9))


def mean(x_PC: np.ndarray) -> np.ndarray:
    """Mean of each column without NaN; NaN where nothing is known."""
    known_PC = ~np.isnan(x_PC)
    count_C = known_PC.sum(axis=0)
    total_C = np.where(known_PC, x_PC, 0.0).sum(axis=0)
    return np.asarray(np.where(count_C > 0, total_C / np.maximum(count_C, 1), np.nan))


def spread(x_P: np.ndarray) -> float:
    """Squared standard error of the mean."""
    known_P = x_P[~np.isnan(x_P)]
    return float(known_P.var() / max(len(known_P), 1))


# ---------------------------------------------------------------- entities


def repeats(
    cells: Cells, name: str, least_entities: int, least_rows_per_entity: float, most_share: float = 0.2
) -> bool:
    """Whether a column could name entities: many values, each in a few rows, none in too many.

    Where few rows repeat a value, the name must say that it is a key (a student in two courses).
    """
    if not is_code(cells, name) or cells.missing(name) > 0.5 * cells.rows:
        return False
    counts_L = cells.levels(name).counts
    known = int(counts_L.sum())
    if len(counts_L) < least_entities or counts_L[0] > most_share * known:
        return False
    if known >= least_rows_per_entity * len(counts_L):
        return True
    return named_entity(name) > 0 and int(counts_L[counts_L > 1].sum()) >= 0.05 * known


def is_code(cells: Cells, name: str) -> bool:
    """Text, whole numbers, or numbers in equal steps, as whole numbers are after scaling."""
    if cells.is_date(name) or not (cells.is_text(name) or cells.is_number(name)):
        return False
    if cells.is_text(name):
        return True
    if cells.distinct(name) > 0.9 * cells.rows and named_entity(name) <= 0:
        return False
    level_L = np.unique(cells.ordered(name))
    if len(level_L) < 3:
        return False
    whole = bool((level_L == np.round(level_L)).all())
    return (whole or stepped(level_L)) and (named_entity(name) > 0 or dealt(level_L))


def stepped(level_L: np.ndarray, *, least_filled: float = 0.5) -> bool:
    """Whether numbers go in equal steps without many gaps, as counters do after scaling."""
    step_L = np.diff(level_L) / np.diff(level_L).min()
    return bool((np.abs(step_L - np.round(step_L)) < 0.02).all() and len(step_L) >= least_filled * step_L.sum())


def dealt(level_L: np.ndarray, *, most_uneven: float = 0.2) -> bool:
    """Whether numbers are spread evenly, as names that were dealt out; what is measured has a middle and tails."""
    place_L = (level_L - level_L[0]) / (level_L[-1] - level_L[0])
    return bool(np.abs(place_L - np.linspace(0, 1, len(place_L))).max() <= most_uneven)


def named_entity(name: str) -> float:
    """What a name says for an entity: .8 `patient_id`, .7 `customer`, .4 `group_id`, −1 `city_id`, 0 nothing."""
    said = [word for word in words(name) if not word.isdigit()]
    if PLACES & set(said):
        return -1.0
    if BEINGS & set(said) and set(said) <= BEINGS | KEYS:
        return 0.8 if KEYS & set(said) else 0.7
    return 0.4 if PLAIN_KEYS & set(said) else 0.0


def promising(
    cells: Cells, pairs: Pairs, name: str, asides: Sequence[str], *, few: int = 200, least: float = 0.03
) -> bool:
    """A short look: whether the name speaks for it, or a few rows of a value resemble one another at all."""
    if named_entity(name) > 0:
        return True
    others = [other for other in pairs.names if other != name and other not in asides][:20]
    left_P, right_P, next_P = neighbours(cells, pairs, name, few)
    lift_C, _ = pairs.lift(pairs.matrix(others, left_P, right_P), pairs.matrix(others, left_P, next_P))
    return bool(len(lift_C)) and float(np.maximum(lift_C, -0.1).mean()) >= least


def entity(
    cells: Cells,
    pairs: Pairs,
    name: str,
    asides: Sequence[str],
    *,
    low: float = 0.1,
    high: float = 0.33,
    many: int = 30,
    too_many: int = 500,
    least_columns: int = 3,
) -> Clue:
    """How sure a column's values are entities.

    Resemblance counts from a mean of `low` over the other columns, and wholly from `high`; fewer than
    `least_columns` columns that show it are a dependency between columns. With over `many` rows a value it must be
    seen in columns that vary within the value: constant ones are what a category has, too. With over `too_many`
    only the name can speak.
    """
    others = [other for other in pairs.names if other != name and other not in asides]
    left_P, right_P, next_P = neighbours(cells, pairs, name, pairs.most)
    near_PC = pairs.matrix(others, left_P, right_P)
    differ_P = (np.nan_to_num(near_PC) > 0).any(axis=1)  # copies resemble one another for another reason
    near_PC = near_PC[differ_P]
    lift_C, errors = pairs.lift(near_PC, pairs.matrix(others, left_P, next_P))
    rows_each = float(cells.levels(name).counts.mean())
    if rows_each > many and len(lift_C):
        lift_C = lift_C * ((np.nan_to_num(near_PC) > 0).mean(axis=0) > 0.02)
    breadth = float(np.maximum(lift_C, 0).mean()) if len(lift_C) else 0.0
    shown = errors >= 4 and rows_each <= too_many and int((lift_C >= 0.1).sum()) >= least_columns
    values = 0.9 * float(np.clip((breadth - low) / (high - low), 0, 1)) if shown else 0.0
    said = named_entity(name)
    values *= 0.5 if said < 0 else 1.0
    order = 0.3 if values > 0.2 and contiguous(cells, name) else 0.0
    return Clue(name, joined(max(said, 0.0), values, order), breadth)


def neighbours(
    cells: Cells, pairs: Pairs, name: str, most: int, *, most_rows: int = 200_000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, another row of the same value each, and a row of the next value: three int64 [P].

    Values take turns, so that those with many rows do not outweigh the others. Of many rows those of some values
    are read, drawn in runs so that neighbours stay neighbours.
    """
    codes_N, values = cells.codes(name), cells.levels(name).values
    place_L = np.empty(len(values) + 1, np.int64)
    place_L[values.to_physical().arg_sort().to_numpy()] = np.arange(len(values))
    place_L[-1] = -1  # missing
    if cells.rows > most_rows:
        runs = pairs.draw.random(len(values) // 8 + 1) < most_rows / cells.rows
        place_L = np.where(runs[place_L // 8], place_L, -1)
    place_N = place_L[codes_N]
    rows_N = np.flatnonzero(place_N >= 0)
    rows_N = rows_N[pairs.draw.permutation(len(rows_N))]
    rows_N = rows_N[np.argsort(place_N[rows_N], kind="stable")]
    first_N = np.diff(place_N[rows_N], prepend=-1) > 0
    start_E, entity_N = np.flatnonzero(first_N), np.cumsum(first_N) - 1
    turn_N = np.arange(len(rows_N)) - start_E[entity_N]
    second_P = by_turn(turn_N, most, pairs.draw)
    size_E = np.diff(start_E, append=len(rows_N))
    next_P = (entity_N[second_P] + 1) % max(len(start_E), 1)
    return rows_N[second_P - 1], rows_N[second_P], rows_N[start_E[next_P] + turn_N[second_P] % size_E[next_P]]


def by_turn(turn_N: np.ndarray, most: int, draw: np.random.Generator) -> np.ndarray:
    """Positions of at most so many rows that are not the first of their entity, low turns before high ones."""
    second = np.flatnonzero(turn_N > 0)
    if len(second) <= most:
        return second
    second = second[draw.permutation(len(second))]
    return second[np.argsort(turn_N[second], kind="stable")[:most]]


def contiguous(cells: Cells, name: str, *, least: float = 0.7) -> bool:
    """Whether rows of one value stand together in the file."""
    codes_N = cells.codes(name)[:200_000]
    expected = float(((cells.levels(name).counts / cells.rows) ** 2).sum())
    possible = 1 - len(cells.levels(name)) / cells.rows
    same = float((np.diff(codes_N) == 0).mean())
    return possible > 0 and (same - expected) / possible >= least


def coarsest(cells: Cells, pairs: Pairs, clues: Sequence[Clue], least_sure: float) -> Clue | None:
    """The surest clue, or what its entities are part of (a visit of a patient), or what it is an attribute of.

    What the surest is an attribute of may have half the evidence: the attribute's is its own, too.
    """
    ranked = sorted(clues, key=lambda one: -one.sure)
    if not ranked or ranked[0].sure < least_sure:
        return None
    best = ranked[0]
    for clue in ranked[1:]:
        if clue.sure >= least_sure and holds(cells, clue.name, best.name):
            best = clue if across(cells, pairs, clue, best) else best
        elif clue.sure >= least_sure / 2 and holds(cells, best.name, clue.name):
            best = best if across(cells, pairs, best, clue) else replace(clue, sure=best.sure)
    return best


def across(cells: Cells, pairs: Pairs, coarse: Clue, fine: Clue) -> bool:
    """Whether rows of one coarse value resemble one another also where the fine value differs.

    Two visits of a patient do; two patients of one age do not.
    """
    others = [name for name in pairs.names if name not in (coarse.name, fine.name)]
    left_P, right_P, next_P = neighbours(cells, pairs, coarse.name, 4 * pairs.most)
    differ = np.flatnonzero(cells.codes(fine.name)[left_P] != cells.codes(fine.name)[right_P])[: pairs.most]
    near_PC, far_PC = (pairs.matrix(others, left_P[differ], row_P[differ]) for row_P in (right_P, next_P))
    lift_C, errors = pairs.lift(near_PC, far_PC)
    return errors >= 4 and float(np.maximum(lift_C, 0).mean()) >= 0.5 * fine.resemblance


def holds(cells: Cells, coarse: str, fine: str, *, least: float = 0.99) -> bool:
    """Whether one column has fewer values, and each value of the other goes with one of them."""
    if len(cells.levels(coarse)) >= len(cells.levels(fine)):
        return False
    fine_N, coarse_N = cells.codes(fine).astype(np.int64), cells.codes(coarse).astype(np.int64)
    pairs = len(np.unique(fine_N * (len(cells.levels(coarse)) + 1) + coarse_N))
    return bool(len(cells.levels(fine)) >= least * pairs)


def joined(*clues: float) -> float:
    """Independent clues: 1 − Π(1 − clue)."""
    return round(1 - float(np.prod([1 - clue for clue in clues])), 9)


# ---------------------------------------------------------------- time


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


def named_time(name: str) -> float:
    """What a name says for a time: .6 `created_at`, .5 `year`, .3 `day`, −1 `birth_date`, 0 nothing."""
    said = set(words(name))
    if said & BIRTHS or said & DURATIONS:
        return -1.0
    if said & CLOCKS:
        return 0.6
    if said & YEARS:
        return 0.5
    return 0.3 if said & STEPS else 0.0


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


# ---------------------------------------------------------------- copies


def copies(cells: Cells, *, most_rows: int = 200_000) -> int:
    """Clusters of rows that are alike in every column; not counted (0) in more than so many rows."""
    if cells.rows > most_rows or not cells.names or any(cells.distinct(name) == cells.rows for name in cells.first):
        return 0
    key_N: np.ndarray = np.zeros(cells.rows, np.uint64)
    for name in cells.first:
        key_N = (key_N ^ cells.codes(name).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key_N ^= key_N >> np.uint64(29)
    key_N.sort()
    same_N = np.diff(key_N) == 0
    return int((same_N & ~np.r_[False, same_N[:-1]]).sum()) if len(same_N) else 0
