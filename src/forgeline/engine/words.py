"""Free text as flags: which of its most telling words and pairs of words are in it, in polars and in ONNX alike.

A word is a run of ASCII letters and digits and of signs beyond ASCII, its ASCII letters in lower case: what the
Tokenizer of onnxruntime finds by the same pattern. Shapes: L distinct texts, P words in texts, Y columns of a target.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from forgeline.engine import prose
from forgeline.engine.arrays import Arrays
from forgeline.engine.cells import Levels
from forgeline.engine.graph import Graph

WORD = r"[^\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+"
PAD = "\x00"
"""What fills the rows of texts with fewer words than the longest; no word holds it."""


def texts_of(arrays: Arrays, rows_N: np.ndarray) -> list[str]:
    """The category columns that hold free text in the given rows."""
    return [name for place, name in enumerate(arrays.categories) if is_text(arrays, place, rows_N)]


def lengths(arrays: Arrays, *, most: int = 20_000) -> dict[str, float]:
    """The columns of free text, and how many words a text has on average, of at most `most` of them."""
    found = {}
    for name in texts_of(arrays, np.arange(arrays.rows)):
        levels = arrays.levels[arrays.categories.index(name)]
        some = [levels[place] for place in prose.evenly(len(levels), most)]
        found[name] = words(some).height / len(some)
    return found


def is_text(arrays: Arrays, place: int, rows_N: np.ndarray) -> bool:
    """Whether a category column holds free text in the given rows."""
    if len(arrays.levels[place]) < 50:  # as `is_free` asks; it spares the others the counting
        return False
    count_L = np.bincount(arrays.codes_NC[rows_N, place] + 1, minlength=len(arrays.levels[place]) + 1)[1:]
    seen = np.flatnonzero(count_L)
    texts = pl.Series([arrays.levels[place][code] for code in seen], dtype=pl.String)
    return prose.is_free(Levels(texts, count_L[seen]))


def telling(
    code_N: np.ndarray,
    texts: Sequence[str],
    target_NY: np.ndarray | None,
    *,
    most: int = 200,
    least_rows: int = 5,
    most_texts: int = 20_000,
) -> list[str]:
    """The words, and then the pairs of them, that tell most of the target; the commonest, where there is none.

    What a word tells is by how many standard errors the target's mean where it stands differs from that of all rows.
    It must stand in `least_rows` rows, and be missing in as many. Of more than `most_texts` distinct texts an even
    sample is read.
    """
    seen, place_N = np.unique(code_N[code_N >= 0], return_inverse=True)
    chosen = prose.evenly(len(seen), most_texts)
    found = grams([texts[seen[place]] for place in chosen]).unique().sort("gram", "place")
    if found.is_empty():
        return []
    names = found["gram"].unique(maintain_order=True)
    gram_P, place_P = found["gram"].rle_id().to_numpy(), chosen[found["place"].to_numpy()]
    count_L = np.bincount(place_N, minlength=len(seen))
    rows_G = np.bincount(gram_P, count_L[place_P])
    total = count_L[chosen].sum()
    score_G = least_G = np.minimum(rows_G, total - rows_G)
    if target_NY is not None:
        kept_NY = target_NY[code_N >= 0]
        spread_G = np.sqrt(np.maximum(rows_G * (1 - rows_G / total), 1e-12))
        score_G = np.zeros(len(names))
        for target_N in kept_NY.T:
            sum_L = np.bincount(place_N, target_N - target_N.mean(), len(seen))
            deviation_G = np.bincount(gram_P, sum_L[place_P]) / (target_N.std() or 1.0)
            score_G = np.maximum(score_G, np.abs(deviation_G) / spread_G)
    enough = np.flatnonzero(least_G >= least_rows)
    best = enough[np.argsort(-score_G[enough], kind="stable")][:most]
    picked = [names[int(place)] for place in best]
    return [*(gram for gram in picked if " " not in gram), *(gram for gram in picked if " " in gram)]


def lowered(texts: Sequence[str]) -> list[str]:
    """Texts with their ASCII letters in lower case; others stay, on every machine."""
    return [text.encode().lower().decode() for text in texts]


def words(texts: Sequence[str]) -> pl.DataFrame:
    """Every word, in order: (`place` of its text, `gram`)."""
    frame = pl.DataFrame({"place": np.arange(len(texts)), "gram": pl.Series(lowered(texts), dtype=pl.String)})
    split = frame.with_columns(pl.col("gram").str.extract_all(WORD))
    return split.filter(pl.col("gram").list.len() > 0).explode("gram")


def grams(texts: Sequence[str]) -> pl.DataFrame:
    """Every word and every pair of neighbouring words: (`place` of its text, `gram`)."""
    single = words(texts)
    following = pl.col("gram") + " " + pl.col("gram").shift(-1)
    pairs = single.select("place", following.alias("gram"), same=pl.col("place") == pl.col("place").shift(-1))
    return pl.concat([single, pairs.filter("same").drop("same")])


def flags(picked: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    """float32 [L, picked + 1]: whether each is in the text, then how many words the text has."""
    flag_LG = np.zeros((len(texts), len(picked) + 1), np.float32)
    found = grams(texts)
    hits = found.filter(pl.col("gram").is_in(list(picked)))
    place_of = {gram: place for place, gram in enumerate(picked)}
    columns = [place_of[gram] for gram in hits["gram"].to_list()]
    flag_LG[hits["place"].to_numpy(), columns] = 1
    singles = found.filter(~pl.col("gram").str.contains(" ", literal=True))["place"].to_numpy()
    flag_LG[:, -1] = np.bincount(singles, minlength=len(texts))
    return flag_LG


def tokenize(graph: Graph, text: str) -> str:
    """Nodes from texts [N, 1] to their words, string [N, T]; PAD after the last."""
    flat = graph.add("Reshape", text, graph.constant([-1], np.int64))
    low = graph.add("StringNormalizer", flat, case_change_action="LOWER", locale="C")
    return graph.add("Tokenizer", low, domain="com.microsoft", mark=0, mincharnum=1, pad_value=PAD, tokenexp=WORD)


def draw(picked: Sequence[str], graph: Graph, text: str) -> str:
    """The same as nodes, from texts [N, 1]."""
    token = tokenize(graph, text)
    single = [gram for gram in picked if " " not in gram]
    pairs = [word for gram in picked if " " in gram for word in gram.split(" ")]
    found = graph.add(
        "TfIdfVectorizer",
        token,
        mode="IDF",
        min_gram_length=1,
        max_gram_length=2,
        max_skip_count=0,
        ngram_counts=[0, len(single)],
        ngram_indexes=list(range(len(picked))),
        pool_strings=[*single, *pairs],
        weights=[1.0] * len(picked),
    )
    one = graph.add("LabelEncoder", token, domain="ai.onnx.ml", keys_strings=[PAD], values_int64s=[0], default_int64=1)
    count = graph.add("ReduceSum", one, graph.constant([1], np.int64), keepdims=1)
    return graph.add("Concat", found, graph.cast(count, "float"), axis=1)
