"""How a model is trained by the loop, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from forgeline.engine import precision
from forgeline.engine.schedules import Schedule, constant


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything here is decided, nothing measured."""

    steps: int
    """Of the schedule."""
    ends: int | None = None
    """Steps after which it ends although the schedule would go on."""
    microbatch: int | None = None
    """Rows that go through the model at once; the gradients are those of the whole batch all the same."""
    precision: precision.Name = "float32"
    schedule: Schedule = constant
    """(step, steps) → share of the optimizer's rates."""
    check_every: int = 1 << 62
    """Steps between looks at held rows; there is always one at the end."""
    patience: int | None = None
    """Looks without a better one after which it ends; None: never."""
    compiled: bool = False
    """Whether torch.compile makes the model; see `compiling` for when that pays."""

    @property
    def last(self) -> int:
        """Steps that are made at most."""
        return self.steps if self.ends is None else min(self.ends, self.steps)


@dataclass(frozen=True)
class Outcome:
    """What training gave; the module holds the weights that ship."""

    steps: int
    """Steps that were made."""
    best_step: int
    """Steps that the weights which ship have been through."""
    held_loss: float | None
    """Of these weights; None where nothing judges."""
    microbatch: int | None
    """Rows at once in the end: fewer than asked where memory was short."""
    busy: float
    """Share of the time that went into steps, not into waiting for batches or checkpoints; measured."""


class Preempted(Exception):
    """Asked to go; everything is saved, and a new run of the same will go on from there."""


class StepFailed(RuntimeError):
    """A step that raised, or whose loss is not finite; its message names the step and its rows."""
