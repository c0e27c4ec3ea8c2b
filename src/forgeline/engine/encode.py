"""The recipe that turns raw columns into features: fitted once, applied in numpy and drawn in ONNX alike.

Every feature is float32 and equal on both sides, so that a tree takes the same branch here and in the release.
Shapes: N rows, A number columns, D date columns, F features, W features of one category column.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from forgeline.engine import arithmetic, pixels, words
from forgeline.engine.arithmetic import LARGEST, Pair
from forgeline.engine.arrays import MISSING, MISSING_DATE, Arrays
from forgeline.engine.graph import Graph
from forgeline.engine.pixels import Pixels
from forgeline.engine.seeds import Seed

DAY = 86_400_000_000
SHIFT = 719_468 * DAY
"""Microseconds from 0000-03-01 to 1970-01-01: from there on integer division rounds down on both sides."""
YEAR_1, YEAR_9999 = -62_135_596_800_000_000, 253_402_300_799_999_999
"""First and last microsecond of Python's dates; later and earlier ones are moved there."""
CELLS = 5e7
"""Flags of words in all rows together."""
FIELDS = ("days", "year", "month", "day", "weekday", "hour", "minute")


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe does with one column."""

    column: str
    missing: bool
    """Whether a feature says that the value is missing."""


class Number(Piece, frozen=True):
    """A number: imputed with the median."""

    median: float
    value: bool
    """Whether the value itself varies enough to be a feature."""


class Category(Piece, frozen=True):
    """A category: one-hot levels, and one group for all others."""

    levels: list[str]
    """Levels with a place of their own, most frequent first."""
    other: bool
    """Whether rarer levels were seen; unseen ones share their feature."""
    log_counts: list[float]
    """Of each level, of others, of missing: one more feature; empty when the levels are few."""


class Means(Piece, frozen=True):
    """A category of many levels: what the target is on average where the level is (target encoding)."""

    levels: list[str]
    """Every level that was seen, sorted."""
    values: list[list[float]]
    """Of each level, of unseen ones, of missing: the smoothed mean of each column of the target."""


class Words(Piece, frozen=True):
    """Free text: whether each of its most telling words and pairs is there, and how many words there are."""

    grams: list[str]


class Date(Piece, frozen=True):
    """A date: calendar fields, imputed with the median date."""

    median: int
    fields: list[str]


class Span(msgspec.Struct, frozen=True):
    """Minutes from one date to another, each imputed as its own features are."""

    start: str
    end: str


class Feature(msgspec.Struct, frozen=True):
    """One column of the encoded matrix and the raw column it comes from."""

    name: str
    column: str


class Recipe(msgspec.Struct, frozen=True):
    """Fitted imputation and encoding of a set of columns; columns without any feature are not in it."""

    numbers: list[Number]
    categories: list[Category]
    dates: list[Date]
    means: list[Means] = []
    words: list[Words] = []
    spans: list[Span] = []
    pairs: list[Pair] = []
    pictures: list[Pixels] = []

    @property
    def columns(self) -> list[str]:
        """Raw columns that are read."""
        pieces = (*self.numbers, *self.categories, *self.dates, *self.means, *self.words)
        names = [*(piece.column for piece in pieces), *(piece.column for piece in self.pictures)]
        return list(dict.fromkeys(names))

    @property
    def features(self) -> list[Feature]:
        """Columns of the encoded matrix, in order; a single constant one when nothing varies."""
        found = [Feature(name, column) for name, column in feature_names(self)]
        return found or [Feature("constant", "")]

    @property
    def plain(self) -> int:
        """How many features, the first, are of neither texts nor pictures."""
        said = sum(len(piece.grams) + 1 for piece in self.words)
        shown = sum(len(list(piece.names)) for piece in self.pictures)
        return len(list(feature_names(self))) - said - shown

    @property
    def flags(self) -> int:
        """How many features are only ever 0 or 1."""
        missing = sum(piece.missing for piece in (*self.numbers, *self.dates))
        words = sum(len(piece.grams) for piece in self.words)
        return missing + words + sum(len(one_hot(piece)) for piece in self.categories)


def encode(recipe: Recipe) -> bytes:
    """The recipe as JSON."""
    return msgspec.json.encode(recipe)


def decode(text: bytes) -> Recipe:
    """The recipe in a JSON text."""
    return msgspec.json.decode(text, type=Recipe)


def feature_names(recipe: Recipe) -> Iterable[tuple[str, str]]:
    """(feature, column) as in the matrix: numbers, their flags, their pairs, categories, dates, their flags, spans,
    means, words, pictures."""
    yield from ((piece.column, piece.column) for piece in recipe.numbers if piece.value)
    yield from ((f"{piece.column} is missing", piece.column) for piece in recipe.numbers if piece.missing)
    yield from ((pair.name, pair.left) for pair in recipe.pairs)
    for category in recipe.categories:
        names = [f"{category.column} = {level}" for level in category.levels]
        names += [f"{category.column} is another", f"{category.column} is missing"]
        yield from ((names[place], category.column) for place in one_hot(category))
        if category.log_counts:
            yield f"log count of {category.column}", category.column
    for field in FIELDS:
        yield from ((f"{field} of {piece.column}", piece.column) for piece in recipe.dates if field in piece.fields)
    yield from ((f"{piece.column} is missing", piece.column) for piece in recipe.dates if piece.missing)
    yield from ((f"minutes from {span.start} to {span.end}", span.end) for span in recipe.spans)
    for piece in recipe.means:
        yield from (
            (f"target mean {place + 1} of {piece.column}", piece.column) for place in range(len(piece.values[0]))
        )
    for text in recipe.words:
        yield from ((f"{text.column} has {gram}", text.column) for gram in text.grams)
        yield f"words of {text.column}", text.column
    for seen in recipe.pictures:
        yield from ((name, seen.column) for name in seen.names)


# ---------------------------------------------------------------- fit


def fit(
    arrays: Arrays,
    rows_N: np.ndarray,
    columns: Sequence[str] | None = None,
    target_NY: np.ndarray | None = None,
    *,
    top: int = 64,
    least_count: int = 2,
    least_share: float = 0.0005,
    many: int = 10,
) -> Recipe:
    """The recipe of the given rows.

    A category keeps at most `top` levels, each with at least `least_count` rows and `least_share` of all rows;
    with more than `many` of them, the log count of the level is a feature as well, and so is, where `target_NY` tells
    the target of the rows, its mean at that level. Of free text the most telling words are features instead.
    """
    wanted = set(arrays.columns if columns is None else columns)
    texts = wanted & set(words.texts_of(arrays, rows_N))
    least = max(least_count, int(np.ceil(least_share * len(rows_N))))
    dates = kept(arrays.dates, wanted, lambda j: fit_date(arrays.dates[j], arrays.dates_ND[rows_N, j]))
    return Recipe(
        numbers=kept(arrays.numbers, wanted, lambda j: fit_number(arrays.numbers[j], arrays.numbers_NA[rows_N, j])),
        categories=kept(
            arrays.categories,
            wanted,
            lambda j: fit_category(
                arrays.categories[j],
                arrays.codes_NC[rows_N, j],
                arrays.levels[j],
                least=least,
                top=top,
                many=many,
            ),
        ),
        dates=dates,
        spans=fit_spans(dates, arrays, rows_N),
        means=[]
        if target_NY is None
        else kept(
            arrays.categories,
            wanted - texts,
            lambda j: fit_means(arrays.categories[j], arrays.codes_NC[rows_N, j], arrays.levels[j], target_NY, many),
        ),
        words=kept(
            arrays.categories,
            texts,
            lambda j: fit_words(arrays.categories[j], arrays.codes_NC[rows_N, j], arrays.levels[j], target_NY),
        ),
        pictures=[
            pixels.fit(name, seen.shape[1:]) for name, seen in zip(arrays.pictures, arrays.pixels) if name in wanted
        ],
    )


def with_pairs(
    recipe: Recipe, arrays: Arrays, rows_N: np.ndarray, target_NY: np.ndarray, task: str, *, most_rows: int = 4_000
) -> Recipe:
    """The recipe with the pairs of numbers that tell more than its features, judged on a sample of its rows."""
    order = Seed(0).child("pairs").generator().permutation(len(rows_N))
    some = np.sort(order[:most_rows])
    # the means would have seen the rows' own targets
    bare = msgspec.structs.replace(recipe, means=[], words=[], pictures=[])
    values = [piece.column for piece in recipe.numbers if piece.value]
    x_NF = transform(bare, arrays, rows_N[some])
    pairs = arithmetic.telling(values, x_NF[:, : len(values)], x_NF, target_NY[some], task)
    return msgspec.structs.replace(recipe, pairs=pairs)


P = TypeVar("P", bound=Piece)


def kept(names: list[str], wanted: set[str], fit_column: Callable[[int], P | None]) -> list[P]:
    """The fitted pieces of the wanted columns, without those that give no feature."""
    pieces = (fit_column(index) for index, name in enumerate(names) if name in wanted)
    return [piece for piece in pieces if piece is not None]


def target_columns(y_N: np.ndarray, outputs: int, *, most: int = 10) -> np.ndarray | None:
    """What means are taken of, float64 [N, Y]: a flag for each class (of two the second), or the value in standard
    units; None for more classes than `most`."""
    if outputs == 1:
        values_N: np.ndarray = (y_N - y_N.mean()) / (y_N.std() or 1.0)
        return values_N[:, None]
    if outputs > most:
        return None
    flags_NK: np.ndarray = np.eye(outputs)[y_N]
    return flags_NK[:, 1:] if outputs == 2 else flags_NK


def fit_number(column: str, x_N: np.ndarray) -> Number | None:
    """Median and flags of one number column; None when it does not vary."""
    known = x_N[np.isfinite(x_N)]
    median = float(np.float32(np.median(known.astype(np.float64)))) if len(known) else 0.0
    value = len(known) > 0 and bool(known.min() < known.max())
    missing = 0 < len(known) < len(x_N)
    return Number(column=column, missing=missing, median=median, value=value) if value or missing else None


def fit_category(
    column: str, code_N: np.ndarray, levels: list[str], *, least: int, top: int, many: int
) -> Category | None:
    """Kept levels, by count and then by text; None when the column does not vary."""
    counts = np.bincount(code_N + 1, minlength=len(levels) + 1)
    missing, counts = int(counts[0]), counts[1:]
    frequent = np.flatnonzero(counts >= least)
    frequent = frequent[np.argsort(-counts[frequent], kind="stable")][:top]
    others = int(counts.sum() - counts[frequent].sum())
    logs_L = np.log1p(np.array([*counts[frequent], 0, missing])).astype(np.float32)
    piece = Category(
        column=column,
        missing=missing > 0,
        levels=[levels[code] for code in frequent],
        other=others > 0,
        log_counts=logs_L.tolist() if len(frequent) > many else [],
    )
    return piece if one_hot(piece) else None


def fit_means(column: str, code_N: np.ndarray, levels: list[str], target_NY: np.ndarray, many: int) -> Means | None:
    """The target's mean at each level; None when at most `many` were seen."""
    seen = np.flatnonzero(np.bincount(code_N + 1, minlength=len(levels) + 1)[1:])
    if len(seen) <= many:
        return None
    place_of_code = np.full(len(levels) + 1, len(seen) + 1)
    place_of_code[seen] = np.arange(len(seen))
    values = smoothed(place_of_code[code_N], target_NY, len(seen) + 2).astype(np.float32)
    return Means(column=column, missing=False, levels=[levels[code] for code in seen], values=values.tolist())


def fit_words(column: str, code_N: np.ndarray, levels: list[str], target_NY: np.ndarray | None) -> Words | None:
    """The most telling words, fewer where the rows are very many; None when there are none."""
    most = int(np.clip(CELLS / len(code_N), 20, 200))
    grams = words.telling(code_N, levels, target_NY, most=most)
    return Words(column=column, missing=False, grams=grams) if grams else None


def smoothed(place_N: np.ndarray, target_NY: np.ndarray, places: int, *, prior: float = 10.0) -> np.ndarray:
    """Means [places, Y] of the target, drawn to the mean of all as by `prior` rows of it (Micci-Barreca 2001)."""
    counts = np.bincount(place_N, minlength=places)[:, None]
    sums = np.column_stack([np.bincount(place_N, target_N, places) for target_N in target_NY.T])
    return np.asarray((sums + prior * target_NY.mean(axis=0)) / (counts + prior))


def fit_date(column: str, micros_N: np.ndarray) -> Date | None:
    """Median date and the calendar fields that vary; None when nothing does."""
    known = micros_N[micros_N != MISSING_DATE]
    if not len(known):
        return None
    median = int(np.partition(known, len(known) // 2)[len(known) // 2])
    found = calendar(np.clip(known, YEAR_1, YEAR_9999))
    fields = [name for name, field in zip(FIELDS, found, strict=True) if field.min() < field.max()]
    missing = len(known) < len(micros_N)
    return Date(column=column, missing=missing, median=median, fields=fields) if fields or missing else None


def fit_spans(dates: list[Date], arrays: Arrays, rows_N: np.ndarray, *, most: int = 5) -> list[Span]:
    """Pairs of the first `most` dates whose distance varies."""
    filled = {piece.column: filled_dates([piece], arrays, rows_N)[:, 0] for piece in dates[:most]}
    minutes = {name: minutes_of(micros_N) for name, micros_N in filled.items()}
    pairs = itertools.combinations(minutes, 2)
    return [Span(start, end) for start, end in pairs if np.ptp(minutes[end] - minutes[start]) > 0]


# ---------------------------------------------------------------- shared by both sides


def one_hot(piece: Category) -> list[int]:
    """Rows of the table (levels, others, missing) that have a feature; of two groups the second alone has."""
    groups = [*range(len(piece.levels)), *([len(piece.levels)] if piece.other else [])]
    groups += [len(piece.levels) + 1] if piece.missing else []
    return groups if len(groups) > 2 else groups[1:]


def table(piece: Category) -> np.ndarray:
    """Features of each level, of others (and unseen), of missing: float32 [levels + 2, W]."""
    flags = np.eye(len(piece.levels) + 2, dtype=np.float32)[:, one_hot(piece)]
    if not piece.log_counts:
        return flags
    return np.column_stack([flags, np.array(piece.log_counts, np.float32)])


Integers = TypeVar("Integers", np.ndarray, "Tensor")


def calendar(micros: Integers) -> list[Integers]:
    """FIELDS of microseconds since 1970-01-01, for years 1 to 9999, in integer arithmetic alone.

    Civil from days after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013): years begin in
    March, eras have 400 years. Weekdays count from Monday = 0.
    """
    shifted = micros + SHIFT
    day_count = shifted // DAY
    minute_of_day = (shifted - day_count * DAY) // 60_000_000
    era = day_count // 146_097
    day_of_era = day_count - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (year_of_era * 365 + year_of_era // 4 - year_of_era // 100)
    month = (day_of_year * 5 + 2) // 153
    return [
        day_count - 719_468,
        year_of_era + era * 400 + month // 10,
        (month + 2) % 12 + 1,
        day_of_year - (month * 153 + 2) // 5 + 1,
        (day_count + 2) % 7,
        minute_of_day // 60,
        minute_of_day % 60,
    ]


def minutes_of(micros: Integers) -> Integers:
    """Whole minutes since 0000-03-01 of microseconds since 1970-01-01: never negative, so both sides round alike."""
    return (micros + SHIFT) // 60_000_000


def number_places(recipe: Recipe) -> list[int]:
    """Which columns of [values, missing flags] are features."""
    count = len(recipe.numbers)
    values = [index for index, piece in enumerate(recipe.numbers) if piece.value]
    return values + [count + index for index, piece in enumerate(recipe.numbers) if piece.missing]


def date_places(recipe: Recipe) -> list[int]:
    """Which columns of [days, years, …, minutes, missing flags] are features."""
    count = len(recipe.dates)
    fields = [
        place * count + index
        for place, field in enumerate(FIELDS)
        for index, piece in enumerate(recipe.dates)
        if field in piece.fields
    ]
    return fields + [len(FIELDS) * count + index for index, piece in enumerate(recipe.dates) if piece.missing]


def span_places(recipe: Recipe) -> tuple[list[int], list[int]]:
    """Which of the dates each span starts at, and which it ends at."""
    names = [piece.column for piece in recipe.dates]
    return [names.index(span.start) for span in recipe.spans], [names.index(span.end) for span in recipe.spans]


# ---------------------------------------------------------------- numpy


def transform(recipe: Recipe, arrays: Arrays, rows_N: np.ndarray, target_NY: np.ndarray | None = None) -> np.ndarray:
    """Features of the given rows: float32 [N, F], C-contiguous, no NaN.

    With `target_NY` they are the rows that the recipe was fitted on: the target's means at a row's levels are then
    those of other rows, so that no row is told its own target.
    """
    x_NF = np.zeros((len(rows_N), len(recipe.features)), np.float32)
    parts_NF = [*transform_numbers(recipe, arrays, rows_N), *transform_categories(recipe, arrays, rows_N)]
    parts_NF += transform_dates(recipe, arrays, rows_N)
    parts_NF += transform_means(recipe, arrays, rows_N, target_NY)
    parts_NF += transform_words(recipe, arrays, rows_N)
    for piece in recipe.pictures:
        place = arrays.pictures.index(piece.column)
        parts_NF.append(pixels.sums(piece, arrays.pixels[place], arrays.shown_NI[rows_N, place]))
    return np.concatenate(parts_NF, axis=1, out=x_NF) if parts_NF else x_NF


def places(pieces: Sequence[Piece], names: list[str]) -> np.ndarray:
    """Where the pieces' columns are among the names."""
    index = {name: place for place, name in enumerate(names)}
    return np.array([index[piece.column] for piece in pieces], np.int64)


def transform_numbers(recipe: Recipe, arrays: Arrays, rows_N: np.ndarray) -> Iterable[np.ndarray]:
    """Imputed numbers, their missing flags, and pairs of them."""
    if recipe.numbers:
        x_NA = arrays.numbers_NA[np.ix_(rows_N, places(recipe.numbers, arrays.numbers))]
        finite_NA = np.isfinite(x_NA)
        filled_NA = np.where(finite_NA, x_NA, np.array([piece.median for piece in recipe.numbers], np.float32))
        yield np.concatenate([filled_NA, ~finite_NA], axis=1, dtype=np.float32)[:, number_places(recipe)]
        yield arithmetic.transform(recipe.pairs, [piece.column for piece in recipe.numbers], filled_NA)


def transform_categories(recipe: Recipe, arrays: Arrays, rows_N: np.ndarray) -> Iterable[np.ndarray]:
    """One row of the category's table for each code."""
    for piece, column in zip(recipe.categories, places(recipe.categories, arrays.categories), strict=True):
        yield table(piece)[places_in(piece.levels, arrays, column, rows_N)]


def places_in(levels: list[str], arrays: Arrays, column: int, rows_N: np.ndarray) -> np.ndarray:
    """The place of each row's text among the levels: after them come others, then missing."""
    place_of_level = {level: place for place, level in enumerate(levels)}
    place_of_code = [place_of_level.get(level, len(levels)) for level in arrays.levels[column]]
    return np.asarray(np.array([*place_of_code, len(levels) + 1])[arrays.codes_NC[rows_N, column]])


def transform_dates(recipe: Recipe, arrays: Arrays, rows_N: np.ndarray) -> Iterable[np.ndarray]:
    """Calendar fields of imputed dates, their missing flags, and the minutes from one to another."""
    if recipe.dates:
        filled_ND = filled_dates(recipe.dates, arrays, rows_N)
        missing_ND = arrays.dates_ND[np.ix_(rows_N, places(recipe.dates, arrays.dates))] == MISSING_DATE
        wide = np.concatenate([*calendar(filled_ND), missing_ND], axis=1, dtype=np.float32, casting="unsafe")
        yield wide[:, date_places(recipe)]
        start_S, end_S = span_places(recipe)
        minutes_ND = minutes_of(filled_ND)
        yield (minutes_ND[:, end_S] - minutes_ND[:, start_S]).astype(np.float32)


def filled_dates(pieces: Sequence[Date], arrays: Arrays, rows_N: np.ndarray) -> np.ndarray:
    """Imputed microseconds within the years 1 to 9999, int64 [N, D]."""
    micros_ND = arrays.dates_ND[np.ix_(rows_N, places(pieces, arrays.dates))]
    filled_ND = np.where(micros_ND == MISSING_DATE, np.array([piece.median for piece in pieces], np.int64), micros_ND)
    return np.asarray(np.clip(filled_ND, YEAR_1, YEAR_9999))


def transform_means(
    recipe: Recipe, arrays: Arrays, rows_N: np.ndarray, target_NY: np.ndarray | None, *, parts: int = 5
) -> Iterable[np.ndarray]:
    """The target's means at each row's level; of rows that were fitted on, from the `parts` it is not in."""
    for piece, column in zip(recipe.means, places(recipe.means, arrays.categories), strict=True):
        place_N = places_in(piece.levels, arrays, column, rows_N)
        if target_NY is None:
            yield np.array(piece.values, np.float32)[place_N]
            continue
        part_N = Seed(0).child("target means", len(rows_N)).generator().permutation(len(rows_N)) % parts
        own_NY = np.zeros((len(rows_N), target_NY.shape[1]), np.float32)
        for part in range(parts):
            others = part_N != part
            values = smoothed(place_N[others], target_NY[others], len(piece.values))
            own_NY[~others] = values[place_N[~others]]
        yield own_NY


def transform_words(recipe: Recipe, arrays: Arrays, rows_N: np.ndarray) -> Iterable[np.ndarray]:
    """Flags of words, worked out once for each distinct text; a missing one has none."""
    for piece, column in zip(recipe.words, places(recipe.words, arrays.categories), strict=True):
        seen, place_N = np.unique(arrays.codes_NC[rows_N, column], return_inverse=True)
        texts = ["" if code < 0 else arrays.levels[column][code] for code in seen]
        yield words.flags(piece.grams, texts)[place_N]


# ---------------------------------------------------------------- ONNX


def draw(recipe: Recipe, graph: Graph, inputs: Mapping[str, str]) -> str:
    """Add the nodes that turn raw columns into features; the name of their tensor, float32 [N, F].

    `inputs`: column → tensor [N, 1]: float32 (NaN or infinite = missing), string by the token rule
    (MISSING = missing), int64 microseconds (MISSING_DATE = missing). It may hold more than the recipe reads.
    """
    parts = [*draw_numbers(recipe, graph, inputs), *draw_categories(recipe, graph, inputs)]
    parts += draw_dates(recipe, graph, inputs)
    parts += draw_means(recipe, graph, inputs)
    parts += [words.draw(piece.grams, graph, inputs[piece.column]) for piece in recipe.words]
    parts += [pixels.draw(piece, graph, inputs[piece.column]) for piece in recipe.pictures]
    if not parts:
        return graph.add("ConstantOfShape", graph.add("Shape", next(iter(inputs.values()))))
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def draw_numbers(recipe: Recipe, graph: Graph, inputs: Mapping[str, str]) -> Iterable[str]:
    """Nodes for all numbers at once."""
    if recipe.numbers:
        x = graph.add("Concat", *(inputs[piece.column] for piece in recipe.numbers), axis=1)
        finite = graph.add("LessOrEqual", graph.add("Abs", x), graph.constant(LARGEST))
        medians = graph.constant([piece.median for piece in recipe.numbers])
        filled = graph.add("Where", finite, x, medians)
        flags = graph.cast(graph.add("Not", finite), "float")
        both = graph.add("Concat", filled, flags, axis=1)
        yield graph.add("Gather", both, graph.constant(number_places(recipe), np.int64), axis=1)
        if recipe.pairs:
            yield arithmetic.draw(recipe.pairs, [piece.column for piece in recipe.numbers], graph, filled)


def draw_categories(recipe: Recipe, graph: Graph, inputs: Mapping[str, str]) -> Iterable[str]:
    """Two nodes for each category, text to place and place to features; then one reshape for all."""
    blocks = []
    for piece in recipe.categories:
        place = lookup(graph, inputs[piece.column], piece.levels)
        blocks.append(graph.add("Gather", graph.constant(table(piece)), place, axis=0))
    if blocks:
        yield graph.add("Squeeze", graph.add("Concat", *blocks, axis=2), graph.constant([1], np.int64))


def draw_means(recipe: Recipe, graph: Graph, inputs: Mapping[str, str]) -> Iterable[str]:
    """Two nodes for each category with means, text to place and place to means."""
    for piece in recipe.means:
        place = lookup(graph, inputs[piece.column], piece.levels)
        means = graph.add("Gather", graph.constant(np.array(piece.values, np.float32)), place, axis=0)
        yield graph.add("Squeeze", means, graph.constant([1], np.int64))


def lookup(graph: Graph, tensor: str, levels: list[str]) -> str:
    """The place of each text among the levels: after them come others, then missing."""
    return graph.add(
        "LabelEncoder",
        tensor,
        domain="ai.onnx.ml",
        keys_strings=[*levels, MISSING],
        values_int64s=[*range(len(levels)), len(levels) + 1],
        default_int64=len(levels),
    )


def draw_dates(recipe: Recipe, graph: Graph, inputs: Mapping[str, str]) -> Iterable[str]:
    """Nodes for all dates at once: the same calendar, on tensors; then their distances."""
    if recipe.dates:
        micros = graph.add("Concat", *(inputs[piece.column] for piece in recipe.dates), axis=1)
        missing = graph.add("Equal", micros, graph.constant(MISSING_DATE, np.int64))
        medians = graph.constant([piece.median for piece in recipe.dates], np.int64)
        filled = graph.add("Where", missing, medians, micros)
        ends = graph.constant(YEAR_1, np.int64), graph.constant(YEAR_9999, np.int64)
        clipped = Tensor(graph, graph.add("Clip", filled, *ends))
        fields = [field.name for field in calendar(clipped)]
        wide = graph.add("Concat", *fields, graph.cast(missing, "int64"), axis=1)
        chosen = graph.add("Gather", wide, graph.constant(date_places(recipe), np.int64), axis=1)
        yield graph.cast(chosen, "float")
        if recipe.spans:
            minutes = minutes_of(clipped).name
            start, end = (graph.constant(place_S, np.int64) for place_S in span_places(recipe))
            later, earlier = (graph.add("Gather", minutes, place, axis=1) for place in (end, start))
            yield graph.cast(graph.add("Sub", later, earlier), "float")


class Tensor:
    """An int64 tensor of a graph with the arithmetic of an array, so that one formula serves both sides."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def apply(self, op: str, other: Tensor | int) -> Tensor:
        """One node on this tensor and another, or a constant."""
        name = other.name if isinstance(other, Tensor) else self.graph.constant(other, np.int64)
        return Tensor(self.graph, self.graph.add(op, self.name, name))

    def __add__(self, other: Tensor | int) -> Tensor:
        return self.apply("Add", other)

    def __sub__(self, other: Tensor | int) -> Tensor:
        return self.apply("Sub", other)

    def __mul__(self, other: Tensor | int) -> Tensor:
        return self.apply("Mul", other)

    def __floordiv__(self, other: Tensor | int) -> Tensor:
        return self.apply("Div", other)

    def __mod__(self, other: Tensor | int) -> Tensor:
        return self.apply("Mod", other)
