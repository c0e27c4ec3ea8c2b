"""Each row is mixed with another one, inputs and labels alike."""

from __future__ import annotations

from dataclasses import dataclass

from forgeline.engine.stepped import Event, Method, Moment


def build(*, alpha: float = 0.2) -> MixUp:
    """Source: Zhang et al., mixup: beyond empirical risk minimization, ICLR 2018."""
    return MixUp(alpha)


@dataclass(frozen=True)
class MixUp(Method):
    """One share for a batch, drawn from Beta(alpha, alpha)."""

    alpha: float

    def match(self, event: Event) -> bool:
        """Before a batch goes through the model."""
        return event is Event.BATCH

    def apply(self, event: Event, moment: Moment) -> None:
        """Replace `x` [B, …] of floating point and `y` by mixtures, weights too."""
        import torch

        x, y_BK = moment.inputs(), moment.labels()
        share = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        other_B = torch.randperm(len(x), device=x.device)
        moment.batch = {
            **moment.given,
            "x": torch.lerp(x[other_B], x, share),
            "y": torch.lerp(y_BK[other_B], y_BK, share),
        }
