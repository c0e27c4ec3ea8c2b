"""A BERT-like encoder of texts: what it is made of, what it costs, its nodes in ONNX, its module in torch.

The module is transformers' own; weights go by the names that it gives them. Its output is the mean over a text's
tokens. Source: Devlin et al., BERT, NAACL 2019; pooling by the mean as in Reimers and Gurevych, Sentence-BERT,
EMNLP 2019. Shapes: N texts, T tokens of the longest, W width, H heads, D = W / H, I units between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from forgeline.engine.graph import Graph

if TYPE_CHECKING:
    import torch

PADDING = 0
"""The token after the last one of a text."""
EDGES = (16, 32, 64, 128, 256, 512)
"""Tokens that texts are filled up to: each to the first that holds it, whatever stands beside it, as a sum over more
zeros may end in other bits."""
AWAY = -1e9
"""What is added to the score of a token that is none."""


class Architecture(msgspec.Struct, frozen=True):
    """What an encoder is made of."""

    layers: int
    width: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    epsilon: float = 1e-12

    @property
    def parameters(self) -> int:
        """Of the embeddings and the layers."""
        embeddings = (self.vocabulary + self.positions + 2) * self.width + 2 * self.width
        layer = 4 * self.width**2 + 2 * self.width * self.inner + 9 * self.width + self.inner
        return embeddings + self.layers * layer

    def flops(self, tokens: float) -> float:
        """Of a forward pass of a text: four products of the width, two of attention, one to inner units and back."""
        each = 8 * self.width**2 + 4 * tokens * self.width + 4 * self.width * self.inner
        return self.layers * tokens * each


@dataclass(frozen=True)
class Weights:
    """An encoder with its weights, float16 or float32, by transformers' names."""

    architecture: Architecture
    arrays: Mapping[str, np.ndarray]


def names(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Every weight that an encoder has, and its shape."""
    wide, inner = architecture.width, architecture.inner
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (architecture.vocabulary, wide),
        "embeddings.position_embeddings.weight": (architecture.positions, wide),
        "embeddings.token_type_embeddings.weight": (2, wide),
        **norm("embeddings.LayerNorm", wide),
    }
    for place in range(architecture.layers):
        at = f"encoder.layer.{place}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            found |= dense(f"{at}.{part}", wide, wide)
        found |= norm(f"{at}.attention.output.LayerNorm", wide)
        found |= dense(f"{at}.intermediate.dense", wide, inner) | dense(f"{at}.output.dense", inner, wide)
        found |= norm(f"{at}.output.LayerNorm", wide)
    return found


def dense(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """Weights of a linear layer."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    """Weights of a layer's norm."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def edge(tokens: int, most: int) -> int:
    """How many tokens a text of `tokens` is filled up to."""
    return min(most, next((each for each in EDGES if tokens <= each), most))


def batches(length_N: np.ndarray, most: int, *, together: int = 2048) -> Iterator[tuple[np.ndarray, int]]:
    """Rows that are worked out at once, and the tokens they are filled up to; about `together` tokens in all."""
    edge_N = np.array([edge(int(each), most) for each in length_N])
    for width in np.unique(edge_N).tolist():
        rows_N, size = np.flatnonzero(edge_N == width), max(2, together // width)
        for at in range(0, len(rows_N), size):
            yield rows_N[at : at + size], width


# ---------------------------------------------------------------- ONNX


def draw(weights: Weights, graph: Graph, tokens: str, known: dict[str, str] | None = None) -> str:
    """Nodes from tokens int64 [N, T] to the mean over them, float32 [N, W].

    Matrices of float16 stay so in the file, and become float32 when it is opened. `known`: tensors of the weights that
    this graph has already, by their names; it is added to.
    """
    made, arrays, drawn = weights.architecture, weights.arrays, {} if known is None else known

    def constant(name: str, *, turned: bool = False) -> str:
        if name not in drawn:
            array = arrays[name].T if turned else arrays[name]
            named = graph.constant(np.ascontiguousarray(array), array.dtype)
            drawn[name] = graph.cast(named, "float") if array.dtype == np.float16 else named
        return drawn[name]

    def linear(x: str, name: str) -> str:
        product = graph.add("MatMul", x, constant(f"{name}.weight", turned=True))
        return graph.add("Add", product, constant(f"{name}.bias"))

    def normed(x: str, name: str) -> str:
        gain, shift = constant(f"{name}.weight"), constant(f"{name}.bias")
        return graph.add("LayerNormalization", x, gain, shift, axis=-1, epsilon=made.epsilon)

    def parted(x: str, perm: list[int]) -> str:
        wide = graph.constant([0, 0, made.heads, made.width // made.heads], np.int64)
        return graph.add("Transpose", graph.add("Reshape", x, wide), perm=perm)

    there = graph.cast(graph.add("Not", graph.add("Equal", tokens, graph.constant(PADDING, np.int64))), "float")
    h = embed(weights, graph, tokens, constant)
    h = normed(h, "embeddings.LayerNorm")
    away = graph.add("Mul", graph.add("Sub", graph.constant(1.0), there), graph.constant(AWAY))
    away = graph.add("Unsqueeze", away, graph.constant([1, 2], np.int64))
    share = graph.constant(1 / math.sqrt(made.width / made.heads))
    for place in range(made.layers):
        at = f"encoder.layer.{place}"
        query = parted(linear(h, f"{at}.attention.self.query"), [0, 2, 1, 3])
        key = parted(linear(h, f"{at}.attention.self.key"), [0, 2, 3, 1])
        value = parted(linear(h, f"{at}.attention.self.value"), [0, 2, 1, 3])
        score = graph.add("Add", graph.add("Mul", graph.add("MatMul", query, key), share), away)
        seen = graph.add("MatMul", graph.add("Softmax", score, axis=-1), value)
        seen = graph.add("Transpose", seen, perm=[0, 2, 1, 3])
        seen = graph.add("Reshape", seen, graph.constant([0, 0, made.width], np.int64))
        h = normed(
            graph.add("Add", linear(seen, f"{at}.attention.output.dense"), h), f"{at}.attention.output.LayerNorm"
        )
        inner = gelu(linear(h, f"{at}.intermediate.dense"), graph)
        h = normed(graph.add("Add", linear(inner, f"{at}.output.dense"), h), f"{at}.output.LayerNorm")
    wide = graph.add("Unsqueeze", there, graph.constant([2], np.int64))
    total = graph.add("ReduceSum", graph.add("Mul", h, wide), graph.constant([1], np.int64), keepdims=0)
    return graph.add("Div", total, graph.add("ReduceSum", there, graph.constant([1], np.int64), keepdims=1))


def embed(weights: Weights, graph: Graph, tokens: str, constant: Any) -> str:
    """Nodes of the sum of what stands for a token, its place and its text."""
    kind = weights.arrays["embeddings.token_type_embeddings.weight"][0]
    words = graph.add("Gather", constant("embeddings.word_embeddings.weight"), tokens, axis=0)
    count = graph.add("Shape", tokens, start=1, end=2)
    zero = graph.constant([0], np.int64)
    places = graph.add("Slice", constant("embeddings.position_embeddings.weight"), zero, count, zero)
    return graph.add("Add", graph.add("Add", words, places), graph.constant(kind.astype(np.float32)))


def gelu(x: str, graph: Graph) -> str:
    """The exact Gaussian unit, by the error function."""
    bent = graph.add("Erf", graph.add("Mul", x, graph.constant(1 / math.sqrt(2))))
    half = graph.add("Mul", x, graph.constant(0.5))
    return graph.add("Mul", half, graph.add("Add", bent, graph.constant(1.0)))


# ---------------------------------------------------------------- torch


def module(architecture: Architecture, *, dropout: float = 0.1) -> torch.nn.Module:
    """transformers' own encoder, with weights drawn from torch's generator."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=architecture.vocabulary,
        hidden_size=architecture.width,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        intermediate_size=architecture.inner,
        max_position_embeddings=architecture.positions,
        layer_norm_eps=architecture.epsilon,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=0.0,
    )
    made: torch.nn.Module = BertModel(config, add_pooling_layer=False)
    return made


def pooled(encoder: Any, tokens_NT: torch.Tensor) -> torch.Tensor:
    """The mean over a text's tokens, float32 [N, W]; columns that hold no token are not worked out."""
    there_NT = tokens_NT != PADDING
    longest = int(there_NT.sum(1).max())
    tokens_NT, there_NT = tokens_NT[:, :longest], there_NT[:, :longest]
    h_NTW = encoder(tokens_NT, attention_mask=there_NT.long()).last_hidden_state
    share_NT1 = there_NT[..., None].to(h_NTW.dtype)
    return (h_NTW * share_NT1).sum(1) / share_NT1.sum(1)  # type: ignore[no-any-return]
