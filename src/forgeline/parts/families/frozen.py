"""A linear or boosted head on the features that a pretrained encoder makes of texts; the encoder stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from forgeline import catalog
from forgeline.engine.graph import Graph
from forgeline.engine.seeds import Seed
from forgeline.kinds import Fitted, Setting, Shape, Space, TrainRows
from forgeline.records import Cost

SEES = ("embedded",)
REFITS = 1
"""One fit of the head on all rows ships."""


def space(shape: Shape) -> Space:
    """Which family the head is of, and how strongly the weights of a linear one are drawn to zero."""
    if not shape.embedded:
        return Space(())
    heads: list[Setting] = [{"head": "linear", "penalty": penalty} for penalty in (100.0, 10.0)]
    heads.append({"head": "lightgbm", "penalty": 1.0})
    return Space(tuple(each for each in heads if inner(shape, each)[0].space(wider(shape)).points))


def cost(shape: Shape, setting: Setting) -> Cost:
    """What the head costs; the encoder's operations, and its weights, are those of a release."""
    family, own = inner(shape, setting)
    head: Cost = family.cost(wider(shape), own)
    assert shape.encoder is not None
    return replace_cost(head, sum(shape.encoder.flops(each) for each in shape.tokens))


def build(shape: Shape, setting: Setting, seed: Seed) -> Frozen:
    """An untrained head."""
    family, own = inner(shape, setting)
    return Frozen(shape, family.build(wider(shape), own, seed))


def replace_cost(head: Cost, flops: float) -> Cost:
    """The head's cost with the operations of the encoder."""
    return Cost(
        work=head.work,
        seconds=head.seconds,
        memory_bytes=head.memory_bytes,
        size_bytes=head.size_bytes,
        flops_per_row=head.flops_per_row + flops,
    )


def inner(shape: Shape, setting: Setting) -> tuple[Any, Setting]:
    """The head's family, and its setting."""
    family = catalog.load("families", setting["head"])
    default: Setting = next(iter(family.space(wider(shape)).points), {})
    return family, default | ({"penalty": setting["penalty"]} if setting["head"] == "linear" else {})


def wider(shape: Shape) -> Shape:
    """The shape of what the head is given: the table's own columns, then the encoder's features."""
    return replace(shape, features=(shape.plain or 0) + shape.embedded, flags=None, pictures=())


@dataclass(frozen=True)
class Frozen:
    """A head to be."""

    shape: Shape
    head: Any

    def fit(self, rows: TrainRows) -> FittedFrozen:
        """Fit the head on the table's own columns and the encoder's features."""
        plain = self.shape.plain or 0
        held = rows.held and replace(rows.held, x_NF=joined(rows.held.x_NF, rows.held.seen, plain), seen=())
        wide = replace(rows, x_NF=joined(rows.x_NF, rows.seen, plain), seen=(), shape=wider(rows.shape), held=held)
        return FittedFrozen(plain, self.head.fit(wide))


def joined(x_NF: np.ndarray, seen: tuple[np.ndarray, ...], plain: int) -> np.ndarray:
    """The first columns of a table and the encoder's features, float32 [N, P + D]."""
    return np.concatenate([x_NF[:, :plain], *seen], axis=1, dtype=np.float32)


@dataclass(frozen=True)
class FittedFrozen:
    """A trained head."""

    plain: int
    head: Fitted

    @property
    def steps(self) -> int | None:
        """Steps that count, of a head that grew in steps."""
        return getattr(self.head, "steps", None)

    @property
    def done(self) -> float:
        """Share of the setting's work that the head took."""
        return getattr(self.head, "done", 1.0)

    def predict(self, x_NF: np.ndarray, *seen: np.ndarray) -> np.ndarray:
        """float64 [N, outputs]."""
        return self.head.predict(joined(x_NF, seen, self.plain))

    def graph(self, graph: Graph, x: str, *seen: str) -> str:
        """The head's own nodes on both."""
        parts = list(seen)
        if self.plain:
            parts.insert(0, graph.add("Gather", x, graph.constant(np.arange(self.plain), np.int64), axis=1))
        return self.head.graph(graph, parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1))
