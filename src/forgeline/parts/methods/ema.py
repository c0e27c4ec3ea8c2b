"""The weights that ship are a moving average of those that are trained (EMA)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forgeline.engine.stepped import Event, Method, Moment

if TYPE_CHECKING:
    import torch


def build(*, decay: float = 0.999) -> Average:
    """Source: Polyak and Juditsky, SIAM J. Control Optim. 1992; short runs forget the start faster (Tarvainen 2017)."""
    return Average(decay)


@dataclass
class Average(Method):
    """Averages of weights and of buffers of floating point, changed places with the trained ones to be judged."""

    decay: float
    averages: list[torch.Tensor] = field(default_factory=list)
    live: list[torch.Tensor] = field(default_factory=list)

    def match(self, event: Event) -> bool:
        """From the beginning, after each step, and around each look."""
        return event in (Event.BEGIN, Event.UPDATED, Event.CHECK, Event.CHECKED)

    def apply(self, event: Event, moment: Moment) -> None:
        """Begin as they are, move a little each step, change places."""
        import torch

        with torch.no_grad():
            if event is Event.BEGIN:
                tensors = [*moment.module.parameters(), *moment.module.buffers()]
                self.live = [each.detach() for each in tensors if each.is_floating_point()]
                self.averages = [each.clone() for each in self.live]
            elif event is Event.UPDATED:
                decay = min(self.decay, (1 + moment.step) / (10 + moment.step))
                torch._foreach_lerp_(self.averages, self.live, 1 - decay)
            else:
                kept = [each.clone() for each in self.live]
                torch._foreach_copy_(self.live, self.averages)
                torch._foreach_copy_(self.averages, kept)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The averages."""
        return {str(place): each for place, each in enumerate(self.averages)}
