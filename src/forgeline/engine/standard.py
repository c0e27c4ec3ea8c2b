"""Features in standard units within a reach, in float64 on both sides: what distances between rows are taken of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgeline.engine.graph import Graph


@dataclass(frozen=True)
class Scaling:
    """`clip((x - middle) / spread, -reach, reach)`, in float64."""

    middle_F: np.ndarray
    spread_F: np.ndarray
    reach: float = 4.0

    @classmethod
    def of(cls, x_NF: np.ndarray) -> Scaling:
        """Mean and deviation of each feature."""
        spread_F = x_NF.std(axis=0, dtype=np.float64)
        return cls(x_NF.mean(axis=0, dtype=np.float64), np.where(spread_F > 0, spread_F, 1.0))

    def apply(self, x_NF: np.ndarray) -> np.ndarray:
        """float64 [N, F]."""
        return np.asarray(np.clip((x_NF - self.middle_F) / self.spread_F, -self.reach, self.reach))

    def draw(self, graph: Graph, x: str) -> str:
        """The same as nodes."""
        middle, spread = graph.constant(self.middle_F, np.float64), graph.constant(self.spread_F, np.float64)
        z = graph.add("Div", graph.add("Sub", graph.cast(x, "double"), middle), spread)
        low, high = graph.constant(-self.reach, np.float64), graph.constant(self.reach, np.float64)
        return graph.add("Min", graph.add("Max", z, low), high)


def squares(a_NF: np.ndarray, b_MF: np.ndarray) -> np.ndarray:
    """Squared distances [N, M]."""
    found_NM = (a_NF**2).sum(axis=1)[:, None] + (b_MF**2).sum(axis=1) - 2 * a_NF @ b_MF.T
    return np.asarray(np.maximum(found_NM, 0))


def draw_squares(graph: Graph, z: str, b_MF: np.ndarray) -> str:
    """The same as nodes: one product."""
    own = graph.add("ReduceSum", graph.add("Mul", z, z), graph.constant([1], np.int64), keepdims=1)
    theirs = graph.constant((b_MF**2).sum(axis=1), np.float64)
    product = graph.add("Gemm", z, graph.constant(-2 * b_MF.T, np.float64), theirs)
    return graph.add("Max", graph.add("Add", product, own), graph.constant(0.0, np.float64))
