"""Numbers of records side by side with those of their rivals."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from forgeline.records import Number

RIVAL = re.compile(r"(?P<prefix>.+?)\.(?P<rival>baseline\.[^.]+|full)\.(?P<rest>.+)")


@dataclass(frozen=True)
class Compared:
    """One number and the numbers it is compared with, by rival (`baseline.linear`, `full`)."""

    name: str
    number: Number
    rivals: dict[str, Number]


def compared(numbers: Mapping[str, Number]) -> list[Compared]:
    """The numbers, each with its rivals: `test.baseline.linear.rmse` stands beside `test.rmse`."""
    rows = {name: Compared(name, number, {}) for name, number in numbers.items()}
    for name, number in numbers.items():
        found = RIVAL.fullmatch(name)
        beside = rows.get(f"{found['prefix']}.{found['rest']}") if found else None
        if found and beside:
            beside.rivals[found["rival"]] = number
            del rows[name]
    return list(rows.values())


def rivals(rows: list[Compared]) -> list[str]:
    """Every rival that some number has, in the order they appear."""
    return list(dict.fromkeys(name for row in rows for name in row.rivals))
