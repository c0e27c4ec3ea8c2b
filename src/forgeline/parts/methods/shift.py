"""Each picture is moved by a few pixels and, where asked for, mirrored; it keeps what it shows, and its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forgeline.engine.stepped import Event, Method, Moment

if TYPE_CHECKING:
    import torch


def build(*, share: float = 0.04, mirror: bool = False) -> Shift:
    """`share`: of a side, the furthest that a picture moves. Source: He et al., Deep residual learning, CVPR 2016."""
    return Shift(share, mirror)


@dataclass(frozen=True)
class Shift(Method):
    """Draws from torch's generator, which the loop has sown for this part of this step."""

    share: float
    mirror: bool

    def match(self, event: Event) -> bool:
        """Before a batch goes through the model."""
        return event is Event.BATCH

    def apply(self, event: Event, moment: Moment) -> None:
        """Replace what has the axes [B, C, H, W]."""
        given = moment.given
        moment.batch = given | {name: self.moved(each) for name, each in given.items() if each.ndim == 4}

    def moved(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Black comes in from the sides."""
        import torch
        from torch.nn import functional

        rows, _, height, width = x_BCHW.shape
        most = max(1, round(self.share * max(height, width))) if self.share else 0
        wide = functional.pad(x_BCHW, (most, most, most, most))
        windows = wide.unfold(2, height, 1).unfold(3, width, 1)  # [B, C, 2 most + 1, 2 most + 1, H, W], nothing copied
        down, across = torch.randint(0, 2 * most + 1, (2, rows), device=x_BCHW.device)
        found = windows[torch.arange(rows, device=x_BCHW.device), :, down, across]
        if self.mirror:
            turned = torch.rand(rows, device=x_BCHW.device) < 0.5
            found = torch.where(turned[:, None, None, None], found.flip(3), found)
        return found
