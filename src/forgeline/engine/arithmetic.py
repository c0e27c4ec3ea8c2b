"""Sums, differences, products and ratios of two numbers that tell more of the target than the two do by themselves.

A tree needs many splits to bend along a ratio, and a network many units. Which pairs are worth a feature is asked of
what a quick model of all features leaves over, out of fold: a pair tells something there, or the model had it already.
Shapes: N rows, A number columns, F features, Y columns of the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import msgspec
import numpy as np

from forgeline.engine import forest
from forgeline.engine.graph import Graph
from forgeline.engine.seeds import Seed
from forgeline.engine.threads import side_by_side

LARGEST = float(np.finfo(np.float32).max)
SIGNS = {"sum": "+", "difference": "-", "product": "x", "ratio": "/"}
"""Operation → its sign in the name of the feature."""
NODES = {"sum": "Add", "difference": "Sub", "product": "Mul", "ratio": "Div"}
ORDERED = ("ratio",)
"""Operations that differ in more than the sign when the two change places."""
LEAST_ROWS = 1_000
"""Training rows from which pairs are asked for: with fewer, one of two tables was learned 14 % worse."""
MOST_CLASSES = 5
"""Classes up to which they are: with more, quick models take long, and of three such tables none gained."""


class Pair(msgspec.Struct, frozen=True):
    """One operation on two number columns."""

    op: str
    left: str
    right: str

    @property
    def name(self) -> str:
        """The feature's name."""
        return f"{self.left} {SIGNS[self.op]} {self.right}"


def value(op: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The operation in float32, within float32's range; a ratio to 0 is 0."""
    with np.errstate(all="ignore"):
        if op == "sum":
            found = left + right
        elif op == "difference":
            found = left - right
        elif op == "product":
            found = left * right
        else:
            found = np.where(right == 0, np.float32(0), left / np.where(right == 0, np.float32(1), right))
    return np.asarray(np.clip(found, -LARGEST, LARGEST), np.float32)


def transform(pairs: Sequence[Pair], columns: Sequence[str], filled_NA: np.ndarray) -> np.ndarray:
    """Features of imputed numbers, float32 [N, pairs]."""
    place = {name: at for at, name in enumerate(columns)}
    parts = [value(each.op, filled_NA[:, place[each.left]], filled_NA[:, place[each.right]]) for each in pairs]
    return np.column_stack(parts) if parts else np.zeros((len(filled_NA), 0), np.float32)


def draw(pairs: Sequence[Pair], columns: Sequence[str], graph: Graph, filled: str) -> str:
    """The same as nodes: one operation for all pairs that have it. `pairs` are in the order of operations."""
    place = {name: at for at, name in enumerate(columns)}
    parts = []
    for op in (op for op in NODES if any(each.op == op for each in pairs)):
        own = [each for each in pairs if each.op == op]
        left, right = (
            graph.add("Gather", filled, graph.constant([place[getattr(each, side)] for each in own], np.int64), axis=1)
            for side in ("left", "right")
        )
        if op == "ratio":
            none = graph.add("Equal", right, graph.constant(0.0))
            ratio = graph.add("Div", left, graph.add("Where", none, graph.constant(1.0), right))
            parts.append(graph.add("Where", none, graph.constant(0.0), ratio))
        else:
            parts.append(graph.add(NODES[op], left, right))
    joined = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)
    return graph.add("Clip", joined, graph.constant(-LARGEST), graph.constant(LARGEST))


# ---------------------------------------------------------------- which pairs


def telling(
    columns: Sequence[str],
    filled_NA: np.ndarray,
    x_NF: np.ndarray,
    target_NY: np.ndarray,
    task: str,
    *,
    most_columns: int = 10,
    most: int = 8,
) -> list[Pair]:
    """At most `most` pairs, one operation each, of the `most_columns` numbers that tell most; in order of operations.

    `x_NF`: all features, the numbers first. `target_NY`: a flag for each class (of two the second), or the value.
    A pair counts when it explains more of what the model leaves over than chance would in any of them.
    """
    left_NY, worth_F = left_over(x_NF, target_NY, task)
    several = [at for at in range(len(columns)) if len(np.unique(filled_NA[:1000, at])) > 6]
    chosen = sorted(several, key=lambda at: (-worth_F[at], at))[:most_columns]
    alone = {at: explained(filled_NA[:, at], left_NY) for at in chosen}
    found = []
    for op in SIGNS:
        for a, b in permutations(chosen, 2) if op in ORDERED else combinations(sorted(chosen), 2):
            gain = explained(value(op, filled_NA[:, a], filled_NA[:, b]), left_NY) - max(alone[a], alone[b], 0.0)
            found.append(Found(gain, op, a, b))
    found.sort(key=lambda each: -each.gain)
    kept: dict[frozenset[int], Found] = {}
    for each in found:
        if each.gain < chance(len(x_NF)) or len(kept) == most:
            break
        kept.setdefault(frozenset((each.a, each.b)), each)
    pairs = [Pair(each.op, columns[each.a], columns[each.b]) for each in kept.values()]
    return sorted(pairs, key=lambda pair: list(SIGNS).index(pair.op))


@dataclass(frozen=True)
class Found:
    """What an operation on two columns explains beyond the better of them."""

    gain: float
    op: str
    a: int
    b: int


def explained(value_N: np.ndarray, left_NY: np.ndarray, *, bins: int = 16) -> float:
    """Share of what is left over that the means in quantile bins of a value explain, less what chance would."""
    edges = np.unique(np.quantile(value_N, np.linspace(0, 1, bins + 1)[1:-1]))
    code_N = np.searchsorted(edges, value_N, side="right")
    rows_B = np.maximum(np.bincount(code_N, minlength=len(edges) + 1), 1)
    sums_YB = [np.bincount(code_N, left_N, len(edges) + 1) for left_N in left_NY.T]
    total = float((left_NY**2).sum()) or 1.0
    return float(sum((sums_B**2 / rows_B).sum() for sums_B in sums_YB)) / total - len(edges) / len(value_N)


def chance(rows: int, *, bins: int = 16, errors: float = 3.0) -> float:
    """What none of a few hundred useless values explains: so many standard errors of a chi-squared share."""
    return errors * float(np.sqrt(2 * bins)) / rows


def left_over(x_NF: np.ndarray, target_NY: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
    """What a quick forest leaves of the target on rows it has not seen [N, Y], and what each feature gave it [F]."""
    half_N = Seed(0).child("arithmetic").generator().permutation(len(x_NF)) % 2
    left_NY = np.zeros(target_NY.shape)

    def ask(half: int) -> np.ndarray:
        learn_N = half_N != half
        p_NY, worth = quick(x_NF[learn_N], target_NY[learn_N], x_NF[~learn_N], task)
        left_NY[~learn_N] = target_NY[~learn_N] - p_NY
        return worth

    return left_NY, sum(side_by_side(ask, range(2)), np.zeros(x_NF.shape[1]))


def quick(
    x_NF: np.ndarray, target_NY: np.ndarray, asked_MF: np.ndarray, task: str, *, trees: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    """What a boosted forest says of other rows [M, Y], and the gain of each feature [F]."""
    columns = target_NY.shape[1]
    y_N = target_NY.argmax(axis=1) if columns > 1 else target_NY[:, 0]
    booster = forest.grow(x_NF, y_N, aim=forest.objective(task, columns), outputs=columns, trees=trees)
    p_MY = np.asarray(booster.predict(asked_MF, num_threads=1), np.float64).reshape(len(asked_MF), columns)
    return p_MY, np.asarray(booster.feature_importance("gain"), np.float64)
