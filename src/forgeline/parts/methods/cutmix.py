"""A box of each image is cut out and filled from another one; labels are mixed by area."""

from __future__ import annotations

from dataclasses import dataclass

from forgeline.engine.stepped import Event, Method, Moment


def build(*, alpha: float = 1.0) -> CutMix:
    """Source: Yun et al., CutMix, ICCV 2019."""
    return CutMix(alpha)


@dataclass(frozen=True)
class CutMix(Method):
    """One box for a batch; its share of the area is drawn from Beta(alpha, alpha)."""

    alpha: float

    def match(self, event: Event) -> bool:
        """Before a batch goes through the model."""
        return event is Event.BATCH

    def apply(self, event: Event, moment: Moment) -> None:
        """Replace `x` [B, C, H, W] and `y`."""
        import torch

        x_BCHW, y_BK = moment.inputs(axes=4), moment.labels()
        height, width = x_BCHW.shape[2:]
        kept = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        side = (1 - kept) ** 0.5 / 2
        middle = torch.rand(2).tolist()
        top, bottom = (round(min(max(middle[0] + by, 0), 1) * height) for by in (-side, side))
        left, right = (round(min(max(middle[1] + by, 0), 1) * width) for by in (-side, side))
        other_B = torch.randperm(len(x_BCHW), device=x_BCHW.device)
        mixed = x_BCHW.clone()
        mixed[:, :, top:bottom, left:right] = x_BCHW[other_B, :, top:bottom, left:right]
        kept = 1 - (bottom - top) * (right - left) / (height * width)
        moment.batch = {**moment.given, "x": mixed, "y": torch.lerp(y_BK[other_B], y_BK, kept)}
