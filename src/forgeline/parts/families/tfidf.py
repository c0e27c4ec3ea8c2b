"""Words and pairs of words weighed by how rare they are (TF-IDF), in a linear model with the table's other columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgeline.engine import bag, headed, linear, link
from forgeline.engine.bag import Bag
from forgeline.engine.graph import Graph
from forgeline.engine.headed import Standard
from forgeline.engine.search import Range
from forgeline.engine.seeds import Seed
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

SEES = ("text",)
REFITS = 1
"""One fit on all rows ships, as of other linear models."""
PROCESS_BYTES = 220 * 2**20
"""A worker before any data: Python with numpy, polars, onnx and scikit-learn loaded."""
PASSES = 40
"""Times the solver reads the words in one fit: 30 to 60 on SST-2, TREC, CoLA."""


def space(shape: Shape) -> Space:
    """How strongly weights are drawn to zero, and how many words and pairs there are at most."""
    if not shape.words or not shape.central:
        return Space(())
    base = {"penalty": 0.2, "grams": 50_000}
    return Space((base, base | {"penalty": 0.04}), {"penalty": Range(0.004, 4.0)})


def cost(shape: Shape, setting: Setting) -> Cost:
    """Words that are counted once, then read by the solver some times.

    Constants (units of about a second): polars 2.1 and scikit-learn 1.9 on one core of an AMD EPYC.
    """
    words, scores = sum(shape.words), link.scores(shape.task, shape.outputs)
    grams, plain = 2.0 * shape.rows * words, shape.plain or 0
    work = 0.05 + 1.2e-6 * grams + PASSES * scores * 4e-9 * (grams + 2.0 * shape.rows * plain)
    known = min(setting["grams"], grams)
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=int(PROCESS_BYTES + 120 * grams + 12 * shape.rows * plain + 8 * known * scores),
        size_bytes=int(4000 + known * (12 + 4 * (scores + 1))),
        flops_per_row=float(4 * words * (scores + 1) + 2 * plain * scores),
    )


def build(shape: Shape, setting: Setting, seed: Seed) -> Tfidf:
    """An untrained model; nothing in it is drawn at random."""
    return Tfidf(shape, float(setting["penalty"]), int(setting["grams"]))


@dataclass(frozen=True)
class Tfidf:
    """A linear model with a squared penalty."""

    shape: Shape
    penalty: float
    grams: int

    def fit(self, rows: TrainRows) -> FittedTfidf:
        """Count the words of the training rows, then fit."""
        from scipy import sparse
        from threadpoolctl import threadpool_limits

        texts = [each[:, 0].tolist() for each in rows.seen]
        bags = [bag.fit(column, self.grams) for column in texts]
        plain = headed.standard_of(rows.x_NF, self.shape.plain or 0)
        parts = [each.counts(column) for each, column in zip(bags, texts)]
        x_NG = sparse.hstack([*parts, sparse.csr_array(plain.of(rows.x_NF).astype(np.float64))], format="csr")
        if not x_NG.shape[1]:  # no word stands in two texts, and there is no other column
            x_NG = sparse.csr_array(np.ones((len(rows.x_NF), 1)))
        with threadpool_limits(1):
            slope_GS, start_S = linear.fit(
                x_NG, rows.y_N, rows.weight_N, self.penalty, self.shape.task, self.shape.outputs
            )
        ends = np.cumsum([*(each.size for each in bags), len(plain.center_F)])
        *own, beside_PS, _ = np.split(slope_GS, ends)
        weighed = [each.weighed(slopes) for each, slopes in zip(bags, own)]
        return FittedTfidf(self.shape.task, weighed, plain, beside_PS.astype(np.float32), start_S.astype(np.float32))


@dataclass(frozen=True)
class FittedTfidf:
    """Weights of words, and of the columns beside them."""

    task: str
    bags: Sequence[Bag]
    plain: Standard
    beside_PS: np.ndarray
    start_S: np.ndarray

    def predict(self, x_NF: np.ndarray, *seen: np.ndarray) -> np.ndarray:
        """float64 [N, outputs]."""
        score_NS = self.plain.of(x_NF).astype(np.float64) @ self.beside_PS + self.start_S
        for each, texts in zip(self.bags, seen):
            score_NS = score_NS + each.scores(texts[:, 0].tolist())
        return link.predictions(score_NS, self.task)

    def graph(self, graph: Graph, x: str, *seen: str) -> str:
        """Sums over words, and a product with the columns beside."""
        parts = [each.draw(graph, text) for each, text in zip(self.bags, seen)]
        if len(self.beside_PS):
            parts.append(graph.add("MatMul", self.plain.draw(graph, x), graph.constant(self.beside_PS)))
        total = parts[0] if len(parts) == 1 else graph.add("Sum", *parts)
        return link.draw(graph, graph.add("Add", total, graph.constant(self.start_S)), self.task)
