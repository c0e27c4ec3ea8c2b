"""What a target column asks for: binary, multiclass or regression, its classes and the positive one."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from forgeline.errors import BadInput

Label = str | bool | int | float

MOST_WHOLE_CLASSES = 10
"""Distinct whole numbers up to which a numeric target is taken for classes."""
MOST_CLASSES = 1_000


@dataclass(frozen=True)
class Aim:
    """The task with its reason, and the labels in their own type, sorted; none for regression."""

    task: Literal["binary", "multiclass", "regression"]
    why: str
    classes: list[Label]
    positive: Label | None


def aim(target: pl.Series, kind: str | None = None, positive: Label | None = None) -> Aim:
    """The task that a settled target column means; `kind` and `positive` are what the spec asks for, if any.

    Errors: BadInput for a target without values, with one value, of dates, or that looks like an identifier.
    """
    values = target.drop_nulls()
    place = f"target {target.name}"
    refuse_hopeless(values, kind, place)
    regression, why = is_regression(values, kind)
    if regression:
        refuse_positive(positive, "regression", place)
        return Aim("regression", why, [], None)
    classes = labels(values)
    refuse_identifier(values, classes, place)
    if len(classes) > 2:
        refuse_positive(positive, "multiclass", place)
        return Aim("multiclass", why, classes, None)
    named = rarer(values, classes) if positive is None else matching(positive, classes, place)
    return Aim("binary", why, classes, named)


def refuse_hopeless(values: pl.Series, kind: str | None, place: str) -> None:
    """Raise BadInput when there is nothing to tell apart."""
    if values.is_empty():
        lacks = f"no row has a target that reads as a {kind}" if kind else "every row lacks a target"
        raise BadInput(lacks, where=place, remedy="Name a column with values as the target.")
    if isinstance(values.dtype, pl.Datetime):
        raise BadInput(
            "a date is no target",
            where=place,
            remedy=f'Set types = {{{values.name} = "number"}} or name another column.',
        )
    if values.n_unique() == 1:
        raise BadInput(
            f"every row has the same value, {values[0]!r}, so there is nothing to learn",
            where=place,
            remedy="Give rows of at least two classes, or name another column.",
        )


def is_regression(values: pl.Series, kind: str | None) -> tuple[bool, str]:
    """Whether the target is a quantity, and why."""
    count = values.n_unique()
    if kind is not None:
        return kind == "number", f"types asks for a {kind}: {count} distinct values"
    if not values.dtype.is_numeric():
        return False, f"{'true or false' if values.dtype == pl.Boolean else 'text'} with {count} labels"
    if not is_whole(values):
        return True, f"numbers with fractions, {count} distinct"
    if count > MOST_WHOLE_CLASSES:
        return True, f"whole numbers, {count} distinct, more than {MOST_WHOLE_CLASSES}"
    if is_graded(values):
        return True, f"whole numbers, {count} grades in a row with one peak between rare ends"
    return False, f"whole numbers, {count} distinct, at most {MOST_WHOLE_CLASSES}"


def is_graded(values: pl.Series, *, least: int = 6, most_end: float = 0.25) -> bool:
    """Whether whole numbers look like grades on a scale, such as a wine's 3 to 9, which a number describes best.

    At least `least` in a row without a gap, frequent in the middle and ever rarer to both ends, each of which has at
    most a share `most_end` of the peak. Codes of classes and digits are not so.
    """
    counts = values.rename("grade").value_counts(name="rows").sort("grade")
    grades, rows = counts["grade"].to_numpy(), counts["rows"].to_numpy()
    peak = int(rows.argmax())
    falls = bool((rows[1:] <= rows[:-1])[peak:].all() and (rows[1:] >= rows[:-1])[:peak].all())
    rare = max(int(rows[0]), int(rows[-1])) <= most_end * int(rows[peak])
    return len(grades) >= least and int(grades[-1] - grades[0]) == len(grades) - 1 and falls and rare


def is_whole(values: pl.Series) -> bool:
    """Whether every number is an integer."""
    return values.dtype.is_integer() or bool((values == values.floor()).all())


def labels(values: pl.Series) -> list[Label]:
    """The distinct values, sorted; whole floats become int."""
    if values.dtype == pl.Float64 and is_whole(values):
        return [int(value) for value in values.unique().sort()]
    return values.unique().sort().to_list()


def refuse_identifier(values: pl.Series, classes: list[Label], place: str) -> None:
    """Raise BadInput when the classes are too many to be classes."""
    mostly_unique = values.dtype == pl.String and len(classes) > max(2, len(values) / 2)
    if mostly_unique or len(classes) > MOST_CLASSES:
        raise BadInput(
            f"{len(classes)} distinct labels in {len(values)} rows look like an identifier or a quantity",
            where=place,
            remedy=f'Name another column, or set types = {{{values.name} = "number"}} if it holds numbers.',
        )


def rarer(values: pl.Series, classes: list[Label]) -> Label:
    """True, or 1 of {0, 1}; else the label with fewer rows, and the later one when they are even."""
    first, second = classes
    if classes == [0, 1]:
        return second
    rows = int((values == first).sum())
    return first if rows < len(values) - rows else second


def matching(asked: Label, classes: list[Label], place: str) -> Label:
    """The class that is meant, by value or by text. Errors: BadInput with the nearest class."""
    for label in classes:
        if label == asked or text(label) == text(asked):
            return label
    raise BadInput(f"positive {asked!r} is no class of it", where=place, asked=str(asked), known=map(str, classes))


def text(label: Label) -> str:
    """A label as it would be written: `true` for True."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def refuse_positive(positive: Label | None, task: str, place: str) -> None:
    """Raise BadInput when a positive class is named for a task that has none."""
    if positive is not None:
        raise BadInput(
            f"positive = {positive!r} is for binary targets, and this one is {task}",
            where=place,
            remedy="Leave positive out.",
        )
