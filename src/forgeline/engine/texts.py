"""Networks that read texts: an encoder for every column of them, trained in steps, and its nodes in ONNX.

Shapes: N rows, T tokens of the longest text, F features, S scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from forgeline.engine import headed, transformer
from forgeline.engine.graph import Graph
from forgeline.engine.headed import Head
from forgeline.engine.transformer import Architecture, Weights

if TYPE_CHECKING:
    import torch

    from forgeline.engine.feed import Batch

TOGETHER = 64
"""Texts that are asked about at once, of about one length."""
PARTS = 4
"""Parts of a batch, by length: the short ones are not filled up to the longest."""


def network(encoder: torch.nn.Module, width: int, columns: int, beside: int, scores: int) -> torch.nn.Module:
    """One encoder for all columns of texts, and a head. A batch goes through it in PARTS of about one length."""
    import torch
    from torch import nn

    class Body(nn.Module):
        """From tokens [B, T] to the mean of what the encoder makes of them [B, W]."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
            order_B = (tokens_BT != transformer.PADDING).sum(1).argsort(stable=True)
            parts = order_B.tensor_split(PARTS if len(order_B) >= 2 * PARTS else 1)
            found_BW = torch.cat([transformer.pooled(self.encoder, tokens_BT[part]) for part in parts])
            return found_BW[order_B.argsort()]

    body = Body()
    return headed.network([body] * columns, width * columns, beside, scores)


def tensors(
    head: Head, x_NF: np.ndarray, y_N: np.ndarray, weight_N: np.ndarray | None, tokens: Sequence[np.ndarray]
) -> Batch:
    """Tokens [N, T] of every column, the other columns standardised, targets, weights where there are any."""
    import torch

    found = headed.targets(y_N, weight_N, head.task)
    found["x"] = torch.from_numpy(head.beside.of(x_NF))
    return found | {f"tokens_{place}": torch.from_numpy(each) for place, each in enumerate(tokens)}


def loss(head: Head, module: Any, batch: Batch) -> torch.Tensor:
    """The mean over a batch, weighted where rows have weights."""
    columns = sum(name.startswith("tokens_") for name in batch)
    return head.mean_loss(module(batch["x"], *(batch[f"tokens_{place}"] for place in range(columns))), batch)


def weights_of(module: Any, architecture: Architecture) -> Weights:
    """The encoder of a network as arrays, matrices in float16."""
    held = module.bodies[0].encoder.state_dict()
    arrays = {name: held[name].detach().numpy() for name in transformer.names(architecture)}
    return Weights(architecture, {name: each.astype(stored(each)) for name, each in arrays.items()})


def stored(array: np.ndarray) -> type[np.floating]:
    """Of matrices and of the rest, the type that a release keeps them in."""
    return np.float16 if array.ndim > 1 else np.float32


def rounded(module: Any) -> None:
    """Round the encoder's matrices to what a release keeps, so that both answer alike."""
    import torch

    with torch.no_grad():
        for each in module.bodies[0].encoder.parameters():
            if each.ndim > 1:
                each.copy_(each.half().float())


def load(encoder: torch.nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Give an encoder the weights of another."""
    import torch

    encoder.load_state_dict(
        {name: torch.from_numpy(each.astype(np.float32)) for name, each in arrays.items()}, strict=False
    )


def predict(module: Any, head: Head, x_NF: np.ndarray, tokens: Sequence[np.ndarray]) -> np.ndarray:
    """Predictions, float64 [N, K], some texts of about one length at a time."""
    import torch

    order_N = np.argsort(sum((each != transformer.PADDING).sum(1) for each in tokens), kind="stable")
    found_NS = np.zeros((len(x_NF), head.scores))
    training = module.training
    module.eval()
    with torch.no_grad():
        for at in range(0, len(order_N), TOGETHER):
            some_N = order_N[at : at + TOGETHER]
            seen = (torch.from_numpy(each[some_N]) for each in tokens)
            found_NS[some_N] = module(torch.from_numpy(head.beside.of(x_NF[some_N])), *seen).double().numpy()
    module.train(training)
    return head.predictions(found_NS)


def draw(module: Any, head: Head, architecture: Architecture, graph: Graph, x: str, tokens: Sequence[str]) -> str:
    """Nodes from features, and from the tokens of every column, to predictions."""
    weights, known = weights_of(module, architecture), dict[str, str]()
    return head.draw(graph, module, x, [transformer.draw(weights, graph, each, known) for each in tokens])
