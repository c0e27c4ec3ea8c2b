"""The metrics of a training run by step: one JSON line each, whole or not there, none twice after a kill."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from forgeline.engine.store import flush_folder

Value = Any
"""A number, or a tensor of one number that may still be on its way from a device."""


@dataclass
class Journal:
    """Lines are noted in the hot path and written elsewhere; a checkpoint keeps the mark of what was written by then.

    Not for two writers: `note` belongs to the loop's thread, `write` to the one that writes checkpoints.
    """

    path: Path
    names: Sequence[str]
    noted: list[tuple[int, Sequence[Value]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.digest, self.size = hashlib.sha256(), 0

    def note(self, step: int, values: Sequence[Value]) -> None:
        """Keep the values of a step, in the order of `names`; nothing is copied, converted or written."""
        self.noted.append((step, values))

    def take(self) -> list[tuple[int, Sequence[Value]]]:
        """What was noted since this was last asked, for `write`."""
        noted, self.noted = self.noted, []
        return noted

    def write(self, noted: Sequence[tuple[int, Sequence[Value]]]) -> None:
        """Append lines and flush them to disk."""
        columns = [numbers(each) for each in zip(*(values for _, values in noted))]
        lines = [{"step": step, **dict(zip(self.names, row))} for (step, _), row in zip(noted, zip(*columns))]
        data = msgspec.json.Encoder().encode_lines(lines)
        with self.path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.digest.update(data)
        self.size += len(data)

    @property
    def mark(self) -> dict[str, int | str]:
        """How much is written, and its digest."""
        return {"size": self.size, "sha256": self.digest.hexdigest()}

    def rewind(self, mark: Mapping[str, int | str] | None) -> bool:
        """Forget what was written after a mark: it will be written again, the same. None: forget all.

        False, and nothing is done, where what was written before the mark is not there any more as it was.
        """
        size = 0 if mark is None else int(mark["size"])
        kept = self.path.read_bytes()[:size] if self.path.exists() else b""
        digest = hashlib.sha256(kept)
        if mark is not None and digest.hexdigest() != mark["sha256"]:
            return False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.truncate(size)
            os.fsync(file.fileno())
        flush_folder(self.path.parent)
        self.digest, self.size = digest, size
        return True


def numbers(values: Sequence[Value]) -> list[float | None]:
    """Plain numbers, tensors fetched from their device all at once; what is not finite has no JSON: null."""
    if hasattr(values[0], "detach"):
        import torch

        values = torch.stack(list(values)).tolist()
    return [float(each) if math.isfinite(each) else None for each in values]
