"""Starts work again that a machine took away, and does not start again what is broken: two budgets, not one.

To be preempted is no fault of the work, and may happen a hundred times; an error would only happen again.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from forgeline.engine.store import write_atomic

PREEMPTED = 75
"""Exit code of a process that was asked to go and has saved (EX_TEMPFAIL of sysexits: try again later)."""
TAKEN = {PREEMPTED} | {code for number in (signal.SIGKILL, signal.SIGTERM) for code in (-number, 128 + number)}
"""Exit codes of work that was taken away: asked to go, or killed from outside."""


class Spent(Exception):
    """A budget of attempts is spent; the message says which, and what happened last."""


@dataclass
class Attempts:
    """Counts in a file how attempts ended, so that it is known on the next machine, too."""

    path: Path
    preemptions: int = 100
    """Times that the work may be taken away."""
    errors: int = 0
    """Times that it may fail and be started again: an error is found soonest when it stops everything."""
    stuck: int = 3
    """Times in a row that it may be taken away without having got on: whoever kills it, more of that will not help."""
    ended: dict[str, int] = field(default_factory=dict)
    """How many of each kind so far, how many in a row got no further, and how far the last one got."""

    def __post_init__(self) -> None:
        if self.path.exists():
            self.ended = msgspec.json.decode(self.path.read_bytes(), type=dict[str, int])

    def run(self, start: Callable[[], int], reached: Callable[[], int]) -> None:
        """Call `start`, which gives an exit code, until that is 0. `reached` is how far it got. Errors: Spent."""
        self.ended.setdefault("reached", reached())
        while (code := start()) != 0:
            self.count(code, reached())

    def count(self, code: int, reached: int) -> None:
        """Note how an attempt ended, and how far it got. Errors: Spent."""
        kind = "preemptions" if code in TAKEN else "errors"
        self.ended[kind] = self.ended.get(kind, 0) + 1
        before = self.ended.get("reached", 0)
        self.ended["stuck"] = 0 if reached > before else self.ended.get("stuck", 0) + 1
        self.ended["reached"] = max(reached, before)
        write_atomic(self.path, msgspec.json.encode(self.ended))
        allowed = self.preemptions if kind == "preemptions" else self.errors
        if self.ended[kind] > allowed:
            raise Spent(f"{self.ended[kind]} {kind}, {allowed} allowed; the last attempt ended with {said(code)}")
        if self.ended["stuck"] >= self.stuck:
            raise Spent(f"{self.stuck} attempts ended with {said(code)} and got no further than {reached}")


def said(code: int) -> str:
    """An exit code in words.

    >>> said(-9), said(3)
    ('SIGKILL', 'exit code 3')
    """
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
