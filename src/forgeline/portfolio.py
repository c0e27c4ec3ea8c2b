"""The portfolio: settings worth trying and the order to try them in, learned offline on many tables.

`portfolio.json` is what benchmarks/portfolio.py has learned; `[plan] portfolio` names another such file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from forgeline.errors import BadInput

if TYPE_CHECKING:
    from forgeline.kinds import Shape


SHIPPED = Path(__file__).parent / "portfolio.json"


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One setting of a family: what differs from the family's default."""

    family: str
    setting: dict[str, Any] = {}
    done: float = 1.0
    """Share of the setting's steps that were made before held-out rows had enough, on average."""


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to try, for tables of some size."""

    task: Literal["classes", "values"]
    most_rows: float | None
    """Training rows of a fold up to which it serves; null: any number."""
    names: list[str]
    """Points, the first one first."""
    rows: int = 3_000
    """Training rows that it was learned around."""


class Portfolio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Points by name, and orders of them, smaller tables first."""

    about: str
    points: dict[str, Point]
    orders: list[Order]

    def order(self, shape: Shape) -> Order:
        """The points to try on data of this shape."""
        task: Literal["classes", "values"] = "values" if shape.task == "regression" else "classes"
        fitting = [each for each in self.orders if each.task == task and shape.rows <= (each.most_rows or shape.rows)]
        return fitting[0] if fitting else Order(task, None, [])


def read(path: Path | None) -> Portfolio:
    """A portfolio file, or the shipped one. Errors: BadInput."""
    place = SHIPPED if path is None else path
    try:
        return decode(place.read_bytes(), str(place))
    except OSError as error:
        raise BadInput(f"the portfolio cannot be read ({error.strerror})", where=str(place)) from None


def decode(text: bytes, where: str) -> Portfolio:
    """The portfolio in a JSON text. Errors: BadInput."""
    try:
        found = msgspec.json.decode(text, type=Portfolio)
    except msgspec.DecodeError as error:
        remedy = "benchmarks/portfolio.py writes such files."
        raise BadInput(f"not a portfolio ({error})", where=where, remedy=remedy) from None
    for name, point in found.points.items():
        if not 0 < point.done <= 1:
            remedy = "It is a share of steps: more than 0, at most 1."
            raise BadInput(f"point {name} has done = {point.done:g}", where=where, remedy=remedy)
    for order in found.orders:
        for name in order.names:
            if name not in found.points:
                raise BadInput(f"an order names {name}", where=where, asked=name, known=found.points)
    return found
