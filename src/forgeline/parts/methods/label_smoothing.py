"""Labels that are a little unsure: a share of each is spread evenly over all classes."""

from __future__ import annotations

from dataclasses import dataclass

from forgeline.engine.stepped import Event, Method, Moment


def build(*, share: float = 0.1) -> Smoothing:
    """Source: Szegedy et al., Rethinking the Inception architecture, CVPR 2016."""
    return Smoothing(share)


@dataclass(frozen=True)
class Smoothing(Method):
    """Of class indices, or of shares that another method has made of them."""

    share: float

    def match(self, event: Event) -> bool:
        """Before a batch goes through the model."""
        return event is Event.BATCH

    def apply(self, event: Event, moment: Moment) -> None:
        """Replace `y` [B] or [B, K] by shares [B, K]."""
        y_BK = moment.labels()
        moment.batch = {**moment.given, "y": y_BK * (1 - self.share) + self.share / y_BK.shape[1]}
