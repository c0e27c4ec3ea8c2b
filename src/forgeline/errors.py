"""What the program answers when it cannot go on: one message, one exit code, no traceback."""

import difflib
from collections.abc import Iterable


class Stop(Exception):
    """Base of every answer; `exit_code` is what the command line ends with."""

    exit_code = 1


class BadInput(Stop):
    """Data, spec or command that cannot be used (exit 2).

    what: what is wrong · where: file, row, column or key · remedy: what to do about it.
    `known` adds the valid choices, built from what exists, and `asked` the nearest of them.
    """

    exit_code = 2

    def __init__(
        self, what: str, *, where: str = "", remedy: str = "", asked: str = "", known: Iterable[str] = ()
    ) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        self.choices = choices(asked, known)
        place = f"{where}: " if where else ""
        super().__init__(" ".join(part for part in (f"{place}{what}.", self.choices, remedy) if part))


class BudgetSpent(Stop):
    """The budget ended before any usable model (exit 4)."""

    exit_code = 4


class Busy(BadInput):
    """Another process holds the store."""


def choices(asked: str, known: Iterable[str]) -> str:
    """'Did you mean X? Known: A, B, C.' from what exists; empty when nothing is known.

    >>> choices("metrik", ["metric", "families"])
    'Did you mean metric? Known: families, metric.'
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(asked, names, n=1, cutoff=0.5)
    guess = f"Did you mean {close[0]}? " if close else ""
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return f"{guess}Known: {shown}." if names else ""
