"""Looks on while units train in steps: says where they are, and has the report drawn again now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgeline.errors import BadInput
from forgeline.history import PROGRESS, progress

EVERY_SECONDS = 1.0
NEW_SECONDS = 5.0
"""What a unit has said is out of date after so many: it has ended, or is at something else."""
DRAWN_SECONDS, DRAWN_SHARE = 10.0, 0.02
"""Between two reports, and the most of the time that they may take."""
BARS = "▁▂▃▄▅▆▇█"


@dataclass
class Watch:
    """Called often; does something about once a second, and only while units say where they are."""

    folder: Path
    """Where units in progress have a folder each."""
    say: Callable[[str], None]
    draw: Callable[[], None]
    left: Callable[[], float]
    """Seconds until workers have to be ended: nothing that takes long is begun before that."""
    losses: dict[str, dict[int, float]] = field(default_factory=dict)
    """Of each unit, by the step they were told at."""
    looked: float = 0.0
    draws_at: float = 0.0
    took: float = 1.0
    """Seconds of the last report."""

    def __call__(self) -> None:
        """Look, where it is time."""
        now = time.monotonic()
        if now - self.looked < EVERY_SECONDS:
            return
        self.looked = now
        said = dict(self.said())
        if not said:
            return
        name = list(said)[int(now / EVERY_SECONDS) % len(said)]  # by turns
        self.say(f"{name} {where(said[name], list(self.losses[name].values()))}")
        if now >= self.draws_at and self.left() > 1 + 3 * self.took:
            with suppress(OSError, ValueError, BadInput):  # a page that cannot be drawn now is no reason to stop
                self.draw()
            self.took = time.monotonic() - now
            self.draws_at = now + max(DRAWN_SECONDS, self.took / DRAWN_SHARE)

    def said(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Where each unit is, of those that have said so a moment ago."""
        for file in sorted(self.folder.glob(f"*/{PROGRESS}")):
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > NEW_SECONDS:
                    continue
            found = progress(file.parent)
            if found.get("loss") is not None:
                self.losses.setdefault(file.parent.name, {})[found["step"]] = found["loss"]
                yield file.parent.name, found


def where(told: dict[str, Any], losses: Sequence[float]) -> str:
    """Where a training run is, in one line."""
    held = "" if told["held_loss"] is None else f", held {told['held_loss']:.4g}"
    steps = f"{told['step']:,}/{told['steps']:,}"
    return f"{steps} loss {spark(losses)} {losses[-1]:.4g}{held}, {told['steps_per_second']:.3g} steps/s"


def spark(values: Sequence[float], *, most: int = 10) -> str:
    """The last values as bars.

    >>> spark([4, 3, 2, 1])
    '█▅▃▁'
    """
    shown = values[-most:]
    low, high = min(shown), max(shown)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[int((value - low) * scale)] for value in shown)
