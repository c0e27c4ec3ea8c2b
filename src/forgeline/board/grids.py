"""Tables of records, and facts of records as tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from forgeline.board import figures
from forgeline.board.figures import MOST
from forgeline.records import Table

FILE = {"digest", "size_bytes", "name"}
"""Fields of a reference to a file: evidence, not something to read."""


@dataclass(frozen=True)
class Grid:
    """A table as it is drawn: cell texts, which columns hold numbers, and how many rows are left out."""

    title: str
    columns: list[tuple[str, bool]]
    rows: list[list[str]]
    more: int
    note: str = ""


def grid(table: Table) -> Grid:
    """The texts of a table's cells; numbers of a column have as many decimals each."""
    shown = table.rows[:MOST]
    drawn = [column_texts(name, [row[at] for row in shown]) for at, name in enumerate(table.columns)]
    heads = [(name, numeric) for name, (_, numeric) in zip(table.columns, drawn)]
    rows = [list(row) for row in zip(*(texts for texts, _ in drawn))]
    return Grid(table.title, heads, rows, len(table.rows) - len(rows), table.note)


def column_texts(name: str, cells: list[Any]) -> tuple[list[str], bool]:
    """The texts of a column, and whether it holds nothing but numbers; `bytes` in its name makes them sizes."""
    unit = "bytes" if re.split(r"[ _.]", name)[-1] == "bytes" else ""
    known = [cell for cell in cells if cell is not None]
    numeric = bool(known) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in known)
    if not numeric or unit:
        return [figures.cell_text(cell, unit) for cell in cells], numeric
    texts = iter(figures.aligned(known))
    return ["—" if cell is None else next(texts) for cell in cells], True


def fact_tables(record: Any) -> Iterator[Grid]:
    """Lists of things and name → text pairs among a record's facts, for a record that brings no tables."""
    if record.tables:
        return
    for name, value in msgspec.to_builtins(record.facts).items():
        title = name.replace("_", " ").capitalize()
        if isinstance(value, dict) and value and set(value) != FILE:
            pairs: list[list[Any]] = [[key, brief(each)] for key, each in value.items() if each]
            yield grid(Table(title=title, columns=["name", "value"], rows=pairs))
        elif isinstance(value, list) and value and isinstance(value[0], dict) and set(value[0]) != FILE:
            yield grid(listed(title, value))


def listed(title: str, items: list[dict[str, Any]]) -> Table:
    """A table of things that have the same fields; fields that are empty in each are left out."""
    names = [name for name in items[0] if any(item.get(name) not in (None, "", [], {}) for item in items)]
    return Table(title=title, columns=names, rows=[[brief(item.get(name)) for name in names] for item in items])


def brief(value: Any) -> str | float | int | bool | None:
    """A fact as a cell: lists joined, digests by their first 12 digits."""
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return value[:12] + "…"
    return value if isinstance(value, str | int | float | None) else figures.cell_text(value)
