"""Gradients no longer than a bound: scaled down all together where their norm is larger."""

from __future__ import annotations

from dataclasses import dataclass

from forgeline.engine.stepped import Event, Method, Moment


def build(*, most: float = 1.0) -> Clip:
    """Source: Pascanu et al., On the difficulty of training recurrent neural networks, ICML 2013."""
    return Clip(most)


@dataclass(frozen=True)
class Clip(Method):
    """Of the whole batch, when all of its parts have added to the gradients."""

    most: float

    def match(self, event: Event) -> bool:
        """Once gradients are complete."""
        return event is Event.GRADIENTS

    def apply(self, event: Event, moment: Moment) -> None:
        """Scale in place."""
        import torch

        torch.nn.utils.clip_grad_norm_(moment.module.parameters(), self.most)
