"""Mixed precision: which type products are made in, and the scale that keeps small gradients of float16 alive."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Name = Literal["float32", "bfloat16", "float16"]


class Precision:
    """How a forward pass is made and a loss sent back.

    Source: Micikevicius et al., Mixed precision training, ICLR 2018; as torch.amp implements it.
    """

    def __init__(self, name: Name, device: torch.device) -> None:
        import torch

        self.name = name
        self.forward: AbstractContextManager[Any] = nullcontext()
        if name != "float32":
            self.forward = torch.autocast(device.type, getattr(torch, name))
        self.scaler = torch.amp.GradScaler(device.type) if name == "float16" else None

    def backward(self, loss: torch.Tensor) -> None:
        """Add to the gradients."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Bring the gradients into the loss's own scale."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Move the weights; with float16 only if all gradients are finite, or else halve the scale."""
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()

    def state(self) -> dict[str, Any]:
        """Plain numbers; empty without a scaler."""
        return {} if self.scaler is None else self.scaler.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """As it was."""
        if self.scaler is not None:
            self.scaler.load_state_dict(state)
