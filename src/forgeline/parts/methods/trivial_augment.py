"""Each image goes through one random operation of random strength; nothing to tune (TrivialAugment)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from forgeline.engine.stepped import Event, Method, Moment

REQUIRES = ("kornia", "deep")


def build() -> TrivialAugment:
    """Source: Müller and Hutter, TrivialAugment, ICCV 2021; as kornia implements it."""
    from kornia.augmentation.auto import TrivialAugment as Operations

    return TrivialAugment(Operations())


@dataclass(frozen=True)
class TrivialAugment(Method):
    """Kornia draws from torch's generators, which the loop has sown for this part of this step."""

    operations: Any

    def match(self, event: Event) -> bool:
        """Before a batch goes through the model."""
        return event is Event.BATCH

    def apply(self, event: Event, moment: Moment) -> None:
        """Replace `x` [B, C, H, W], floats of 0 to 1."""
        moment.batch = {**moment.given, "x": self.operations(moment.inputs(axes=4))}
