"""Columns that look like protected attributes and were not declared so."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import protected
from forgeline.kinds import View
from forgeline.records import Finding

codes = ("bias.undeclared",)


def check(table: View, target: pl.Series | None, *, most_values: int = 40) -> Iterator[Finding]:
    """`bias.undeclared`: the name, in several languages, or the values are those of a protected attribute.

    Values are read of texts with at most `most_values` distinct ones. Nothing is assumed: it is a note.
    """
    for name in table.all.columns:
        if name in table.protected:
            continue
        named = protected.by_name(name)
        if named and protected.believable(
            named, name, table.cells.dtypes[name], table.cells.distinct(name), span(table, name)
        ):
            yield finding(name, named, "its name says so")
        elif held := by_values(table, name, most_values):
            yield finding(name, held, "its values say so")


def span(table: View, name: str) -> tuple[float, float]:
    """Between which numbers 90% of a column lie, so that a marker or a slip does not count; nan where it has none."""
    if not table.cells.is_number(name) or not len(ordered_N := table.cells.ordered(name)):
        return float("nan"), float("nan")
    least, most = np.quantile(ordered_N, [0.05, 0.95])
    return float(least), float(most)


def by_values(table: View, name: str, most_values: int) -> str:
    """What a text column with few values holds."""
    if not table.cells.is_text(name) or not 1 < len(levels := table.cells.levels(name)) <= most_values:
        return ""
    share_L = levels.counts / np.sum(levels.counts)
    return protected.by_values(levels.values.to_list(), share_L.tolist())


def finding(name: str, attribute: str, why: str) -> Finding:
    """The note of one column."""
    return Finding(
        code="bias.undeclared",
        severity="note",
        says=f"{name} looks like {attribute} ({why}) and is not declared: with [assess] protected its groups are "
        "compared here, and models by group",
        columns=[name],
    )
