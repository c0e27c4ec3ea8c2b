"""Which parameters of a torch module weight decay draws to zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def groups(module: torch.nn.Module, decay: float) -> list[dict[str, Any]]:
    """Groups for an optimizer: matrices and kernels decay; scales and biases, of one axis or none, do not."""
    decaying = [each for each in module.parameters() if each.ndim > 1]
    others = [each for each in module.parameters() if each.ndim <= 1]
    return [{"params": decaying, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
