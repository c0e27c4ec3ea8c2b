"""Quick models over the training rows: what a column, or all of them, tell about the target.

Everything is fitted out of fold, on samples where there are many rows, with one thread and fixed seeds.
Scores are ROC AUC for classes (macro, one against the rest) and R² for values; losses are log loss in nats, and
squared error in units of the target's variance.
Shapes: P rows of the pool, S rows of the smaller sample, F columns, K outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from forgeline.engine import forest, split
from forgeline.engine.cells import Cells, cell_hashes
from forgeline.engine.seeds import Seed
from forgeline.engine.threads import side_by_side

MOST_LEVELS = 254
"""Levels of a category that models tell apart; rarer ones are one."""


@dataclass(frozen=True)
class Cross:
    """What a model says of rows it has not seen."""

    rows_S: np.ndarray
    """Their positions in the pool."""
    p_SK: np.ndarray
    """float64: probabilities, or values [S, 1]."""
    score: float
    """Mean over folds, so that models are compared on equal rows."""
    folds: tuple[float, ...]


@dataclass(frozen=True)
class Model:
    """A fitted quick model."""

    boosters: tuple[Any, ...]
    columns: tuple[str, ...]
    task: str
    outputs: int
    center: float
    scale: float

    def predict(self, x_NF: np.ndarray) -> np.ndarray:
        """float64 [N, K] for a matrix of its columns."""
        raw = np.asarray(self.boosters[0].predict(x_NF, num_threads=1), np.float64)
        if self.task == "regression":
            return (raw * self.scale + self.center).reshape(-1, 1)
        return np.column_stack([1 - raw, raw]) if self.outputs == 2 else raw.reshape(len(x_NF), -1)


class Probe:
    """Quick models over a pool of training rows; every answer is worked out when first asked for, and kept."""

    def __init__(
        self,
        frame: pl.DataFrame,
        y_N: np.ndarray,
        task: str,
        outputs: int,
        *,
        seed: Seed | None = None,
        unit_N: np.ndarray | None = None,
        most_rows: int = 60_000,
        most_sample: int = 8_000,
        most_cells: int = 400_000,
        most_columns: int = 300,
        folds: int = 5,
    ) -> None:
        """`y_N`: class index int64, or value float64, of every row of `frame` (training rows, no target in it).

        `unit_N`: a key of what stays in one fold, such as the row's group; equal rows by default.

        The pool is a sample of at most `most_rows`; fits read at most `most_sample` rows of it, and at most
        `most_cells` cells; of more than `most_columns` columns the first are read.
        """
        self.seed = seed or Seed(0).child("probe")
        self.task, self.outputs, self.unit_N = task, outputs, unit_N
        self.given, self.y_N = frame, within_reach(y_N) if task == "regression" else y_N
        self.names = list(frame.columns)[:most_columns]
        self.limits = (most_rows, most_sample, most_cells, folds)
        self.kept: dict[Any, Any] = {}

    @cached_property
    def rows_P(self) -> np.ndarray:
        """Positions of the pool among the training rows."""
        return sample(len(self.y_N), self.limits[0], self.seed.child("pool"))

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The pool's rows."""
        return self.given if len(self.rows_P) == len(self.y_N) else self.given[self.rows_P]

    @cached_property
    def cells(self) -> Cells:
        """The pool's cells."""
        return Cells(self.frame)

    @cached_property
    def y_P(self) -> np.ndarray:
        """Targets of the pool."""
        return np.asarray(self.y_N[self.rows_P])

    @cached_property
    def rows_S(self) -> np.ndarray:
        """Positions of the smaller sample in the pool."""
        _, most_sample, most_cells, _ = self.limits
        size = int(min(most_sample, max(1_000, most_cells // max(len(self.names), 1))))
        return sample(len(self.rows_P), size, self.seed.child("sample"))

    @cached_property
    def fold_P(self) -> np.ndarray:
        """Stratified folds; equal rows, or rows of one unit, stay together: uint8 [P]."""
        return self.folds_of(split.mix(self.sum_P) if self.unit_N is None else self.unit_N[self.rows_P])

    def folds_of(self, key_P: np.ndarray) -> np.ndarray:
        """Stratified folds that keep rows of equal key together, uint8 [P]."""
        stratum_P = split.strata(self.y_P) if self.task == "regression" else self.y_P
        return split.folds(key_P, stratum_P, self.limits[3])

    @cached_property
    def sum_P(self) -> np.ndarray:
        """The sum of the hashes of each row's cells, so that columns can be taken away again: uint64 [P]."""
        return self.cells.summed(self.names, np.zeros(len(self.y_P), np.uint64))

    def folds_without(self, gone: Iterable[str], *, least_distinct: float = 0.4) -> np.ndarray:
        """Folds for models that do not see some columns, uint8 [P].

        Rows that differ there only are equal to such a model. Were they dealt with those columns in mind, one that
        tells the target would put rows of one class here and their equals of the other there, and the models would
        learn the contrary. Where few rows are left distinct, they are equal by chance, and each is dealt by itself.
        The folds are `fold_P` where the columns tell no rows apart.
        """
        gone = sorted(set(gone) & set(self.names))
        if not gone or self.unit_N is not None:
            return self.fold_P
        key = ("folds", *gone)
        if key not in self.kept:
            left_P = self.sum_P.copy()
            for name in gone:
                left_P -= cell_hashes(self.frame[name])
            _, first, place_P = np.unique(left_P, return_index=True, return_inverse=True)
            key_P = split.mix(self.sum_P)
            if len(first) == len(np.unique(key_P)):
                self.kept[key] = self.fold_P
            elif len(first) >= least_distinct * len(key_P):
                self.kept[key] = self.folds_of(key_P[first][place_P])
            else:
                self.kept[key] = self.folds_of(split.mix(np.arange(len(key_P), dtype=np.uint64)))
        found: np.ndarray = self.kept[key]
        return found

    # ------------------------------------------------------------ rows and columns

    def feature(self, name: str) -> np.ndarray:
        """A column as float32 [P]: numbers, days, or levels by falling frequency; NaN where missing."""
        key = ("feature", name)
        if key not in self.kept:
            self.kept[key] = self.encoded(name)
        found: np.ndarray = self.kept[key]
        return found

    def encoded(self, name: str) -> np.ndarray:
        """What `feature` keeps."""
        if self.is_category(name):
            code_P = np.minimum(self.cells.codes(name), MOST_LEVELS).astype(np.float32)
            return np.where(code_P < 0, np.float32(np.nan), code_P)
        value_P = self.cells.numbers(name)
        if self.cells.is_date(name):
            value_P = value_P / 86_400e6
        return np.asarray(np.clip(value_P, -3e38, 3e38).astype(np.float32))

    def is_category(self, name: str) -> bool:
        """Whether a column holds text or true/false."""
        return not (self.cells.is_number(name) or self.cells.is_date(name))

    def native(self, name: str, most: int = 40) -> bool:
        """Whether a category has few enough levels for splits on sets of levels; else its rank is a number."""
        return self.is_category(name) and 2 < len(self.cells.levels(name)) <= most

    def matrix(self, columns: Sequence[str], rows: np.ndarray | None = None) -> np.ndarray:
        """float32 [N, F] of some columns of some pool rows."""
        parts = [self.feature(name) if rows is None else self.feature(name)[rows] for name in columns]
        count = len(self.y_P) if rows is None else len(rows)
        return np.column_stack(parts) if parts else np.zeros((count, 0), np.float32)

    # ------------------------------------------------------------ models

    def fit(
        self, columns: Sequence[str], x_NF: np.ndarray, y_N: np.ndarray, *, trees: int = 60, weight_N: Any = None
    ) -> Model:
        """A boosted forest of some rows; `y_N` as `y_P`."""
        center, scale = (float(y_N.mean()), float(y_N.std()) or 1.0) if self.task == "regression" else (0.0, 1.0)
        booster = forest.grow(
            x_NF,
            (y_N - center) / scale if self.task == "regression" else y_N,
            aim=forest.objective(self.task, self.outputs),
            outputs=self.outputs,
            trees=trees,
            weight_N=weight_N,
            native=[place for place, name in enumerate(columns) if self.native(name)],
            seed=self.seed.integer,
            min_data_in_leaf=max(2, min(20, len(y_N) // 40)),
        )
        return Model((booster,), tuple(columns), self.task, self.outputs, center, scale)

    def cross(self, columns: Iterable[str] | None = None, *, without: Iterable[str] = (), folds: int = 3) -> Cross:
        """A model of some columns, asked about the sample's rows out of fold."""
        gone = set(without)
        chosen = tuple(name for name in (self.names if columns is None else columns) if name not in gone)
        key = ("cross", chosen, folds)
        if key not in self.kept:
            self.kept[key] = self.crossed(chosen, self.rows_S, self.folds_without(gone)[self.rows_S] % folds)
        found: Cross = self.kept[key]
        return found

    def out_of_fold(self, *, without: Iterable[str] = (), most_rows: int = 12_000, trees: int = 80) -> Cross:
        """All columns but some, asked about every row of the pool out of fold; fits read `most_rows` at most."""
        gone = set(without)
        chosen = tuple(name for name in self.names if name not in gone)
        key = ("out of fold", chosen, most_rows, trees)
        if key not in self.kept:
            everyone = np.arange(len(self.y_P))
            self.kept[key] = self.crossed(chosen, everyone, self.folds_without(gone), most_rows=most_rows, trees=trees)
        found: Cross = self.kept[key]
        return found

    def crossed(
        self,
        columns: Sequence[str],
        rows_S: np.ndarray,
        fold_S: np.ndarray,
        *,
        most_rows: int = 1_000_000,
        trees: int = 60,
    ) -> Cross:
        """Each fold's rows, asked of a model of the other folds."""
        x_SF, y_S = self.matrix(columns, rows_S), self.y_P[rows_S]
        p_SK = np.tile(self.constant(y_S), (len(rows_S), 1))

        def ask(fold: int) -> None:
            train = np.flatnonzero(fold_S != fold)
            train = train[sample(len(train), most_rows, self.seed.child("fold", int(fold)))]
            if len(train) >= 10 and (self.task == "regression" or len(np.unique(y_S[train])) > 1):
                held = fold_S == fold
                p_SK[held] = self.fit(columns, x_SF[train], y_S[train], trees=trees).predict(x_SF[held])

        side_by_side(ask, np.unique(fold_S) if columns else ())
        scores = tuple(self.score(p_SK[fold_S == fold], y_S[fold_S == fold]) for fold in np.unique(fold_S))
        known = [one for one in scores if one == one]
        return Cross(rows_S, p_SK, float(np.mean(known)) if known else float("nan"), scores)

    def constant(self, y_N: np.ndarray) -> np.ndarray:
        """What the constant predictor says, [1, K]."""
        if self.task == "regression":
            return np.array([[y_N.mean() if len(y_N) else 0.0]])
        return np.asarray(np.bincount(y_N, minlength=self.outputs)[None, :] / max(len(y_N), 1))

    def solo(self, name: str, *, bins: int = 24, folds: int = 2) -> Cross:
        """One column by itself: cross-fitted means of the target in its bins or levels; missing is a bin."""
        key = ("solo", name, bins, folds)
        if key not in self.kept:
            self.kept[key] = self.solo_of(self.binned(name, bins), folds)
        found: Cross = self.kept[key]
        return found

    def binned(self, name: str, bins: int) -> np.ndarray:
        """int64 [S]: the bin or level of each row of the sample; the last one is missing."""
        x_S = self.feature(name)[self.rows_S]
        missing_S = np.isnan(x_S)
        if self.is_category(name):
            code_S = np.where(missing_S, 0, x_S).astype(np.int64)
            return np.where(missing_S, MOST_LEVELS + 1, code_S)
        known = x_S[~missing_S]
        places = np.linspace(0, 1, bins + 1)[1:-1]
        edges = np.unique(np.quantile(known, places, method="lower")) if len(known) else np.zeros(0)
        code_S = np.searchsorted(edges, np.where(missing_S, 0, x_S), side="left")
        return np.where(missing_S, len(edges) + 1, code_S)

    def solo_of(self, code_S: np.ndarray, folds: int = 2) -> Cross:
        """The cross-fitted means of the target for each code, int64 [S] from 0."""
        y_S, fold_S = self.y_P[self.rows_S], self.fold_P[self.rows_S] % folds
        truth_SK = y_S[:, None] if self.task == "regression" else np.eye(self.outputs)[y_S]
        width = int(code_S.max(initial=0)) + 1
        p_SK = np.zeros(truth_SK.shape)
        for fold in range(folds):
            train, held = fold_S != fold, fold_S == fold
            prior_K = truth_SK[train].mean(axis=0) if train.any() else truth_SK.mean(axis=0)
            rows_C = np.bincount(code_S[train], minlength=width)
            sums_CK = np.column_stack(
                [np.bincount(code_S[train], truth_SK[train, k], minlength=width) for k in range(truth_SK.shape[1])]
            )
            p_SK[held] = ((sums_CK + 2 * prior_K) / (rows_C[:, None] + 2))[code_S[held]]
        scores = tuple(self.score(p_SK[fold_S == fold], y_S[fold_S == fold]) for fold in range(folds))
        known = [one for one in scores if one == one]
        return Cross(self.rows_S, p_SK, float(np.mean(known)) if known else float("nan"), scores)

    # ------------------------------------------------------------ scores

    def score(self, p_NK: np.ndarray, y_N: np.ndarray) -> float:
        """ROC AUC (macro over classes that occur), or R²; NaN where it cannot be computed."""
        return r2(p_NK[:, 0], y_N) if self.task == "regression" else macro_auc(p_NK, y_N)

    def losses(self, p_NK: np.ndarray, y_N: np.ndarray) -> np.ndarray:
        """float64 [N]: log loss of each row, or its squared error in units of the pool's variance."""
        if self.task == "regression":
            return np.asarray((p_NK[:, 0] - y_N) ** 2 / (self.y_P.var() or 1.0))
        return np.asarray(-np.log(np.clip(p_NK[np.arange(len(y_N)), y_N], 1e-6, 1.0)))

    @property
    def floor(self) -> float:
        """The score of the constant predictor: 0.5 for classes, 0 for values."""
        return 0.0 if self.task == "regression" else 0.5


def within_reach(y_N: np.ndarray, *, most: float = 1e100) -> np.ndarray:
    """The values; over a power of two where their squares would be infinite. Losses and scores do not depend on it."""
    largest = float(np.abs(y_N).max(initial=0.0))
    return y_N if largest <= most else np.ldexp(y_N, int(np.log2(most) - np.log2(largest)))


def sample(rows: int, most: int, seed: Seed) -> np.ndarray:
    """Positions of at most `most` of so many rows, in order; all of them where they are few enough."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(seed.generator().permutation(rows)[:most])


def auc(score_N: np.ndarray, positive_N: np.ndarray) -> float:
    """Probability that a positive row scores above a negative one, ties half (Mann and Whitney 1947)."""
    positives = int(positive_N.sum())
    negatives = len(positive_N) - positives
    if not positives or not negatives:
        return float("nan")
    values, code_N = np.unique(score_N, return_inverse=True)
    count_V = np.bincount(code_N, minlength=len(values))
    rank_V = np.cumsum(count_V) - (count_V - 1) / 2
    ranks = float(np.bincount(code_N, positive_N.astype(np.float64), len(values)) @ rank_V)
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def macro_auc(p_NK: np.ndarray, y_N: np.ndarray) -> float:
    """Mean over the classes that occur of the AUC of each against the rest."""
    if p_NK.shape[1] == 2:
        return auc(p_NK[:, 1], y_N == 1)
    found = [auc(p_NK[:, k], y_N == k) for k in range(p_NK.shape[1])]
    known = [one for one in found if one == one]
    return float(np.mean(known)) if known else float("nan")


def r2(p_N: np.ndarray, y_N: np.ndarray) -> float:
    """1 − squared error ÷ variance; NaN for fewer than two rows or a constant."""
    spread = float(((y_N - y_N.mean()) ** 2).sum()) if len(y_N) > 1 else 0.0
    return 1 - float(((p_N - y_N) ** 2).sum()) / spread if spread else float("nan")
