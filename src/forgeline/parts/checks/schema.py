"""Rows that depart from a schema, frozen or of the training rows: new levels, ranges, gaps, types."""

from collections.abc import Iterator
from itertools import groupby

import polars as pl

from forgeline.engine import schema
from forgeline.kinds import View
from forgeline.records import Finding

codes = ("quality.schema",)


def check(table: View, target: pl.Series | None, *, level: float = 1e-4) -> Iterator[Finding]:
    """`quality.schema`: one finding a column, of the data beside a frozen schema, and of the user's own test file.

    level: how improbable the departing rows must be in a sample of the same population.
    """
    if table.schema is not None:
        yield from departures(table.schema, table.all, "against the frozen schema", table, level)
    if table.test is not None:
        expected = schema.infer(table.train, cells=table.train_cells)
        yield from departures(expected, table.test, "in the test file", table, level)


def departures(
    expected: schema.Schema, frame: pl.DataFrame, where: str, table: View, level: float
) -> Iterator[Finding]:
    """A finding for each column that departs."""
    found = schema.compare(expected, frame, level=level)
    for name, group in groupby(found, lambda one: one.column):
        parts = list(group)
        rows = max(len(one.rows) for one in parts)
        yield Finding(
            code="quality.schema",
            severity="warn",
            says=f"{where} {'; '.join(one.says for one in parts)}",
            columns=[name] if name in table.all.columns else [],
            numbers={"rows": rows, "share": rows / max(1, frame.height)},
        )
