"""The words that a network of texts knows, and texts as their places, in polars and in ONNX alike.

Place 0 is no word, 1 a word that is not known, 2 begins a text. Shapes: L texts, T places of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from forgeline.engine import words
from forgeline.engine.graph import Graph

UNKNOWN, START, FIRST = 1, 2, 3


@dataclass(frozen=True)
class Vocabulary:
    """Words, the commonest first."""

    words: list[str]
    most: int
    """Places of a text, the beginning among them; longer ones are cut."""

    def tokens(self, texts: Sequence[str]) -> np.ndarray:
        """int64 [L, most]."""
        found = words.words(texts)
        known = pl.DataFrame({"gram": pl.Series(self.words, dtype=pl.String), "token": range(FIRST, self.size)})
        found = found.join(known.cast({"token": pl.Int64}), on="gram", how="left", maintain_order="left")
        place_P, token_P = found["place"].to_numpy(), found["token"].fill_null(UNKNOWN).to_numpy()
        starts_L = np.searchsorted(place_P, np.arange(len(texts)))
        column_P = np.arange(len(place_P)) - starts_L[place_P] + 1
        tokens_LT = np.zeros((len(texts), self.most), np.int64)
        tokens_LT[:, 0] = START
        fits = column_P < self.most
        tokens_LT[place_P[fits], column_P[fits]] = token_P[fits]
        return tokens_LT

    @property
    def size(self) -> int:
        """Places that there are."""
        return FIRST + len(self.words)

    def draw(self, graph: Graph, text: str) -> str:
        """The same as nodes, from texts [N, 1] to int64 [N, most]: as wide whatever the texts, so that sums over
        places end in the same bits."""
        token = graph.add(
            "LabelEncoder",
            words.tokenize(graph, text),
            domain="ai.onnx.ml",
            keys_strings=[words.PAD, *self.words],
            values_int64s=[0, *range(FIRST, self.size)],
            default_int64=UNKNOWN,
        )
        rows = graph.add("Shape", text, start=0, end=1)
        of_rows = [self.column(graph, rows, START, 1), token, self.column(graph, rows, 0, self.most)]
        wide = graph.add("Concat", *of_rows, axis=1)
        zero, end, one = (graph.constant([each], np.int64) for each in (0, self.most, 1))
        return graph.add("Slice", wide, zero, end, one)

    def column(self, graph: Graph, rows: str, value: int, width: int) -> str:
        """A value in so many columns of every row."""
        shape = graph.add("Concat", rows, graph.constant([width], np.int64), axis=0)
        return graph.add("Expand", graph.constant([[value]], np.int64), shape)


def fit(texts: Sequence[str], most_words: int, most: int, *, least_texts: int = 2, enough: float = 0.99) -> Vocabulary:
    """The commonest words that stand in `least_texts` texts or more, and as many places, up to `most`, as a share
    `enough` of the texts needs."""
    found = words.words(texts)
    counted = found.unique().group_by("gram").len().filter(pl.col("len") >= least_texts)
    kept = counted.sort(pl.col("len"), "gram", descending=[True, False]).head(most_words)
    length_L = np.bincount(found["place"].to_numpy(), minlength=len(texts))
    longest = int(np.quantile(length_L, enough, method="higher"))
    return Vocabulary(kept["gram"].to_list(), min(most, longest + 1))
