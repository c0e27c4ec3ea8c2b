"""What a training run says while it goes on: metrics for the journal, progress for observers, both off the hot path."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forgeline.engine.journal import Journal
from forgeline.engine.stepped import Observer, Progress

if TYPE_CHECKING:
    import torch

    from forgeline.engine.loop import Run

COLUMNS = ("loss", "rate", "held_loss")
"""Of the journal, beside the step; the last one only where held rows were looked at."""


@dataclass
class Teller:
    """Notes every step, tells about once a second."""

    journal: Journal
    observers: Sequence[Observer]
    every: float = 1.0
    """Seconds between two tellings."""
    losses: list[torch.Tensor] = field(default_factory=list)
    """Of the steps since it was last told."""

    def __post_init__(self) -> None:
        self.began = self.last = time.perf_counter()
        self.busy = 1.0

    def note(self, step: int, loss: torch.Tensor, rate: float, held_loss: float) -> None:
        """Keep the metrics of a step that was made; the loss on held rows is NaN where nobody looked."""
        self.losses.append(loss)
        self.journal.note(step, (loss, rate, held_loss))

    @property
    def due(self) -> bool:
        """Whether it is time to tell."""
        return time.perf_counter() - self.last > self.every

    def tell(self, run: Run, waited: float) -> int | None:
        """Tell observers of the steps since the last time, if any; the first of these whose loss is not finite."""
        if not self.losses:
            return None
        import torch

        now = time.perf_counter()
        losses = torch.stack(self.losses).tolist()
        pace = len(losses) / max(now - self.last, 1e-9)
        self.busy = 1 - waited / max(now - self.began, 1e-9)
        self.losses, self.last = [], now
        progress = Progress(
            step=run.step,
            steps=run.recipe.last,
            loss=sum(losses) / len(losses),
            rate=run.rate,
            held_loss=run.held_loss if run.judge and run.best else None,
            best_step=run.best_step if run.best else None,
            steps_per_second=pace,
            busy=self.busy,
        )
        for observer in self.observers:
            observer.told(progress)
        first = run.step - len(losses)
        return next((first + place for place, loss in enumerate(losses) if not math.isfinite(loss)), None)

    def writer(self) -> Callable[[], dict[str, Any]]:
        """A call for the writing thread: it appends what was noted so far to the journal, and says up to where."""
        noted = self.journal.take()

        def write() -> dict[str, Any]:
            if noted:
                self.journal.write(noted)
            return {"journal": self.journal.mark}

        return write
