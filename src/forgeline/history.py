"""What training in steps has left, as it goes on and when it is over: its metrics by step, and curves of them.

The metrics are JSON lines `{"step", "loss", "rate", "held_loss"}`; the last is null where held rows were not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from forgeline.records import Curve

METRICS, PROGRESS = "metrics.jsonl", "progress.json"
"""Files in the folder of a unit that is being trained: one line a step, and where it is now."""
MOST_POINTS = 100
"""Of a curve of the loss alone."""


class Line(msgspec.Struct, frozen=True):
    """The metrics of a step; what was not finite is None."""

    step: int
    loss: float | None
    held_loss: float | None = None


def lines(data: bytes) -> list[Line]:
    """Whole lines of metrics that may still be written to."""
    found: list[Line] = msgspec.json.Decoder(Line).decode_lines(data[: data.rfind(b"\n") + 1])
    return found


def curve(title: str, found: Sequence[Line]) -> Curve | None:
    """The loss by step, or where held rows were looked at more than once theirs, beside that of the steps before.

    None where there are fewer than two points.
    """
    looks = [place + 1 for place, line in enumerate(found) if line.held_loss is not None]
    size = math.ceil(len(found) / MOST_POINTS) or 1
    ends = looks if len(looks) > 1 else range(size, len(found) + size, size)
    parts = [found[start:end] for start, end in pairwise([0, *ends])]
    points = [(part[-1], loss) for part in parts if (loss := mean(part)) is not None]
    if len(points) < 2:
        return None
    x, losses = [float(line.step) for line, _ in points], [loss for _, loss in points]
    held = [line.held_loss for line, _ in points if line.held_loss is not None]
    if len(held) < len(x):
        return Curve(title=title, x=x, y=losses, x_label="step", y_label="loss")
    beside = "loss on the rows of the steps before"
    return Curve(
        title=title, x=x, y=held, against=losses, x_label="step", y_label="loss on held rows", against_label=beside
    )


def mean(found: Sequence[Line]) -> float | None:
    """The mean loss of some steps, of those where it was finite."""
    known = [line.loss for line in found if line.loss is not None]
    return math.fsum(known) / len(known) if known else None


def going_on(checkpoints: Path) -> Iterator[Curve]:
    """Curves of the units of a run that are not finished yet; what cannot be read is left out."""
    for file in sorted(checkpoints.glob(f"*/{METRICS}")):
        with suppress(OSError, msgspec.DecodeError):
            drawn = curve(file.parent.name, lines(file.read_bytes()))
            if drawn is not None:
                yield drawn


def progress(folder: Path) -> dict[str, Any]:
    """Where a unit was when it last said so; empty where it did not."""
    try:
        found = msgspec.json.decode((folder / PROGRESS).read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}
