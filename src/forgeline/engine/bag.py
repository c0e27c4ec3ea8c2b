"""A bag of words: each word and pair of words of a text counts for what it weighs, rare ones for more (TF-IDF).

A text's value of a gram is how often it stands there times the gram's inverse document frequency, over the root of
the sum of squared frequencies of all its grams. Weights are whole numbers, 2**-16 each, so that sums over words are
exact in whatever order they are taken.
Source: Salton and Buckley, Term-weighting approaches in automatic text retrieval, 1988.
Shapes: L texts, T words of the longest, G grams, S scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forgeline.engine import words
from forgeline.engine.graph import Graph

if TYPE_CHECKING:
    from scipy import sparse

UNIT = 2.0**-16
"""Of a weight."""
MOST_WEIGHT = 2.0**14
"""Of a word in a score: so that it is a whole number of 32 bits."""


@dataclass(frozen=True)
class Bag:
    """The grams that are known, how rare each is, and in the end what each weighs."""

    grams: list[str]
    """Words, then pairs of words."""
    rarity_G: np.ndarray
    """Inverse document frequency, float64."""
    weight_GS: np.ndarray | None = None
    """int32, UNIT each: rarity times slope, and last its square."""

    @property
    def size(self) -> int:
        """Grams that are known."""
        return len(self.grams)

    @cached_property
    def places(self) -> pl.DataFrame:
        """(`gram`, `column`) of every known gram."""
        return pl.DataFrame({"gram": pl.Series(self.grams, dtype=pl.String), "column": np.arange(self.size)})

    def found(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(place of the text, column of the gram) of every known gram in texts."""
        known = words.grams(texts).join(self.places, on="gram", how="inner", maintain_order="left")
        return known["place"].to_numpy(), known["column"].to_numpy()

    def counts(self, texts: Sequence[str]) -> sparse.csr_array:
        """The values of texts, float64 [L, G]."""
        from scipy import sparse

        place_P, column_P = self.found(texts)
        square_L = np.bincount(place_P, self.rarity_G[column_P] ** 2, len(texts))
        value_P = self.rarity_G[column_P] / np.sqrt(square_L[place_P])
        return sparse.csr_array((value_P, (place_P, column_P)), shape=(len(texts), self.size))

    def weighed(self, slope_GS: np.ndarray) -> Bag:
        """The bag with what each gram weighs in each score."""
        columns = np.column_stack([self.rarity_G[:, None] * slope_GS, self.rarity_G**2])
        whole = np.rint(np.clip(columns, -MOST_WEIGHT, MOST_WEIGHT) / UNIT)
        return Bag(self.grams, self.rarity_G, whole.astype(np.int32))

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Sums of weights over the root of the squares, float64 [L, S]."""
        assert self.weight_GS is not None
        place_P, column_P = self.found(texts)
        total_LS = np.zeros((len(texts), self.weight_GS.shape[1]), np.int64)
        np.add.at(total_LS, place_P, self.weight_GS[column_P].astype(np.int64))
        values_LS = total_LS.astype(np.float32) * np.float32(UNIT)
        root_L1 = np.sqrt(np.maximum(values_LS[:, -1:], np.float32(UNIT)))
        return np.asarray(values_LS[:, :-1] / root_L1, np.float64)

    def draw(self, graph: Graph, text: str) -> str:
        """The same as nodes, from texts [N, 1] to float32 [N, S]."""
        assert self.weight_GS is not None
        token = words.tokenize(graph, text)
        single = [gram for gram in self.grams if " " not in gram]
        parts = [gram.split(" ") for gram in self.grams[len(single) :]]
        known = sorted({*single, *(word for pair in parts for word in pair)})
        place_of = {word: place for place, word in enumerate(known, 1)}
        word = graph.add(
            "LabelEncoder",
            *(token,),
            domain="ai.onnx.ml",
            keys_strings=known or [words.PAD],
            values_int64s=list(range(1, len(known) + 1)) or [0],
            default_int64=0,
        )
        columns = [self.weighing(graph, word, {place_of[gram]: at for at, gram in enumerate(single)})]
        if parts:
            wide = len(known) + 1
            zero, one, last = (graph.constant([each], np.int64) for each in (0, 1, -1))
            end = graph.constant([np.iinfo(np.int64).max], np.int64)
            first = graph.add("Slice", word, zero, last, one)
            second = graph.add("Slice", word, one, end, one)
            pair = graph.add("Add", graph.add("Mul", first, graph.constant(wide, np.int64)), second)
            of_pair = {
                place_of[left] * wide + place_of[right]: len(single) + at for at, (left, right) in enumerate(parts)
            }
            columns.append(self.weighing(graph, pair, of_pair))
        total = columns[0] if len(columns) == 1 else graph.add("Add", *columns)
        value = graph.add("Mul", graph.cast(total, "float"), graph.constant(UNIT))
        scores = self.weight_GS.shape[1] - 1
        own = graph.add("Gather", value, graph.constant(np.arange(scores), np.int64), axis=1)
        square = graph.add("Gather", value, graph.constant([scores], np.int64), axis=1)
        return graph.add("Div", own, graph.add("Sqrt", graph.add("Max", square, graph.constant(UNIT))))

    def weighing(self, graph: Graph, key: str, column_of: dict[int, int]) -> str:
        """Nodes that sum what keys [N, T] weigh, int64 [N, S + 1]; unknown ones weigh nothing."""
        assert self.weight_GS is not None
        own = self.weight_GS[list(column_of.values())]
        table = np.concatenate([own, np.zeros((1, self.weight_GS.shape[1]), np.int32)])
        place = graph.add(
            "LabelEncoder",
            key,
            domain="ai.onnx.ml",
            keys_int64s=list(column_of) or [-1],
            values_int64s=list(range(len(own))) or [0],
            default_int64=len(own),
        )
        each = graph.cast(graph.add("Gather", graph.constant(table, np.int32), place, axis=0), "int64")
        return graph.add("ReduceSum", each, graph.constant([1], np.int64), keepdims=0)


def fit(texts: Sequence[str], most: int, *, least_texts: int = 2) -> Bag:
    """The grams that stand in `least_texts` texts or more, the commonest `most` of them, words first."""
    counted = words.grams(texts).unique().group_by("gram").len().filter(pl.col("len") >= least_texts)
    kept = counted.sort(pl.col("len"), "gram", descending=[True, False]).head(most)
    kept = kept.sort(pl.col("gram").str.contains(" ", literal=True), "gram")
    rarity_G = np.log((1 + len(texts)) / (1 + kept["len"].to_numpy())) + 1
    return Bag(kept["gram"].to_list(), rarity_G)
