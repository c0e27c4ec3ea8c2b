"""A test file whose rows are drawn from another population than the training rows (leakage)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from forgeline.engine import split
from forgeline.engine.cells import Cells
from forgeline.engine.near_duplicates import is_key
from forgeline.engine.probe import Probe, auc, sample
from forgeline.engine.seeds import Seed
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.sampling",)
round = 1
needs = ("test",)


def check(
    table: View,
    target: pl.Series | None,
    *,
    alarm: float = 0.008,
    most_rows: int = 4_000,
    clear_distance: float = 0.1,
    clear_score: float = 0.6,
    clear_inflation: float = 0.01,
) -> Iterator[Finding]:
    """`leak.sampling`: features of the user's test file differ from the training rows' by more than chance.

    Two looks share the rate of false alarms: two-sample tests of each column (Kolmogorov and Smirnov; chi-squared for
    levels and missing cells), corrected by Holm (1979), and a model that tells the files apart, with the Mann-Whitney
    null. It blocks where the effect is clear: a column whose distributions lie `clear_distance` apart, a model
    that reaches an AUC of `clear_score`, or a score that moves by `clear_inflation` when out-of-fold rows are weighted
    to look like the test file. A test file that is later in time is `leak.time`'s matter.
    """
    if table.test is None or min(table.train.height, table.test.height) < 20 or not table.train.width:
        return
    both = pl.concat([table.train, table.test.select(table.train.columns)], how="vertical_relaxed")
    side_N = (np.arange(both.height) >= table.train.height).astype(np.int64)
    if any(is_later(both[name], side_N) for name in both.columns if both.schema[name] == pl.Datetime):
        return
    names = [name for name in both.columns if not is_key(both[name])]
    if not names:
        return
    cells = Cells(both.select(names))
    gaps = {name: column_gap(cells, name, side_N) for name in names}
    shifted = holm({name: p for name, (p, _) in gaps.items()}, alarm / 2)
    apart = tell_apart(both.select(names), side_N, most_rows)
    if not shifted and apart.p_value > alarm / 2:
        return
    moved = Moved.of(table.probe, table, apart) if table.probe is not None else Moved(0.0, 0.0)
    distance = max((gaps[name][1] for name in shifted), default=0.0)
    clear = (
        distance >= clear_distance
        or (apart.p_value <= alarm / 2 and apart.score >= clear_score)
        or abs(moved.inflation) >= max(clear_inflation, moved.error)
    )
    shifted.sort(key=lambda name: -gaps[name][1])
    what = f"; most in {', '.join(shifted[:3])}" if shifted else ""
    yield Finding(
        code="leak.sampling",
        severity="block" if clear else "warn",
        says="test rows are not drawn from the population of the training rows: a model tells them apart with an AUC "
        f"of {apart.score:.2f}{what}",
        columns=shifted,
        numbers={
            "auc": apart.score,
            "p_value": apart.p_value,
            "distance": distance,
            "inflation": moved.inflation,
            "low": moved.inflation - moved.error,
            "high": moved.inflation + moved.error,
        },
        fix=Fix(
            do="split", says="draw training and test rows from one population, or report the score as of another one"
        ),
    )


def is_later(values: pl.Series, side_N: np.ndarray) -> bool:
    """Whether nearly all test rows come after nearly all training rows."""
    time_N = values.to_physical().cast(pl.Float64).to_numpy()
    train, test = time_N[(side_N == 0) & ~np.isnan(time_N)], time_N[(side_N == 1) & ~np.isnan(time_N)]
    return bool(len(train) and len(test) and np.quantile(test, 0.05) >= np.quantile(train, 0.95))


# ---------------------------------------------------------------- columns


def column_gap(cells: Cells, name: str, side_N: np.ndarray) -> tuple[float, float]:
    """The p-value of a column's tests (values and missing cells, corrected for two looks), and how far apart."""
    code_N = cells.codes(name)
    missing = chi_squared((code_N < 0).astype(np.int64), side_N) if cells.missing(name) else (1.0, 0.0)
    known = code_N >= 0
    if cells.is_number(name) or cells.is_date(name):
        number_N = cells.numbers(name)
        values = kolmogorov(number_N[~np.isnan(number_N)], side_N[~np.isnan(number_N)])
    else:
        values = chi_squared(np.minimum(code_N[known], 60).astype(np.int64), side_N[known])
    looks = 2 if cells.missing(name) else 1
    return min(1.0, looks * min(values[0], missing[0])), max(values[1], missing[1])


def kolmogorov(value_N: np.ndarray, side_N: np.ndarray) -> tuple[float, float]:
    """The p-value and the largest distance of two empirical distributions; conservative with ties."""
    from scipy import special

    test = int(side_N.sum())
    train = len(side_N) - test
    if not test or not train:
        return 1.0, 0.0
    order = np.argsort(value_N, kind="stable")
    step_N = np.cumsum(np.where(side_N[order] == 1, 1 / test, -1 / train))
    last_N = np.append(value_N[order][1:] != value_N[order][:-1], True)
    distance = float(np.abs(step_N[last_N]).max())
    root = np.sqrt(train * test / (train + test))
    # Stephens's (1970) finite-sample form of the asymptotic law.
    return float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance)), distance


def chi_squared(code_N: np.ndarray, side_N: np.ndarray) -> tuple[float, float]:
    """The p-value of equal level shares, rare levels taken together, and the total variation between the sides."""
    from scipy import special

    count_SL = np.stack([np.bincount(code_N[side_N == side], minlength=code_N.max(initial=0) + 1) for side in (0, 1)])
    total_S = count_SL.sum(axis=1)
    if not total_S.all():
        return 1.0, 0.0
    rare_L = count_SL.sum(axis=0) * total_S.min() / total_S.sum() < 8
    count_SL = np.column_stack([count_SL[:, ~rare_L], count_SL[:, rare_L].sum(axis=1)]).astype(np.float64)
    count_SL = count_SL[:, count_SL.sum(axis=0) * total_S.min() / total_S.sum() >= 5]
    if count_SL.shape[1] < 2:
        return 1.0, 0.0
    share_SL = count_SL / count_SL.sum(axis=1, keepdims=True)
    expected_SL = count_SL.sum(axis=1, keepdims=True) * (count_SL.sum(axis=0) / count_SL.sum())
    statistic = float(((count_SL - expected_SL) ** 2 / expected_SL).sum())
    return float(special.chdtrc(count_SL.shape[1] - 1, statistic)), float(np.abs(share_SL[0] - share_SL[1]).sum() / 2)


def holm(p_values: dict[str, float], level: float) -> list[str]:
    """The names whose p-values are too small, with at most `level` chance that any is there by luck."""
    found: list[str] = []
    for at, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        if p > level / (len(p_values) - at):
            break
        found.append(name)
    return found


# ---------------------------------------------------------------- a model that tells the files apart


class Apart:
    """What a model says of rows it has not seen: how much more likely they are of the test file."""

    def __init__(self, probe: Probe, p_N: np.ndarray, fold_N: np.ndarray) -> None:
        self.probe = probe
        side_N = probe.y_N
        scores, weights = [], []
        for fold in np.unique(fold_N):
            held = fold_N == fold
            test, train = int(side_N[held].sum()), int((side_N[held] == 0).sum())
            if test and train:
                scores.append(auc(p_N[held], side_N[held] == 1))
                weights.append(12 * test * train / (test + train + 1))
        weight = np.array(weights)
        self.score = float(np.average(scores, weights=weight)) if scores else 0.5
        # Folds that teach each other are alike in their luck (Bengio and Grandvalet 2004): a mean over them has up to
        # the spread of one.
        z_F = (np.array(scores) - 0.5) * np.sqrt(weight)
        self.p_value = above(float(z_F.mean())) if scores else 1.0

    def ratio(self, x_NF: np.ndarray, *, most: float = 20.0) -> np.ndarray:
        """The density of test rows over that of training rows, float64 [N]; at most `most` either way."""
        share = float(self.probe.y_N.mean())
        p_NK = self.probe.fit(self.probe.names, self.probe.matrix(self.probe.names), self.probe.y_P, trees=40).predict(
            x_NF
        )
        odds_N = p_NK[:, 1] / np.maximum(p_NK[:, 0], 1e-9) * (1 - share) / share
        return np.asarray(np.clip(odds_N, 1 / most, most))


def above(z: float) -> float:
    """The chance that a standard normal number is above z."""
    from math import erfc, sqrt

    return erfc(z / sqrt(2)) / 2


def tell_apart(both: pl.DataFrame, side_N: np.ndarray, most_rows: int) -> Apart:
    """A model of the side over a sample of either side; equal rows share a fold."""
    seed = Seed(0).child("sampling")
    train, test = np.flatnonzero(side_N == 0), np.flatnonzero(side_N == 1)
    rows = np.append(
        train[sample(len(train), most_rows, seed.child("train"))],
        test[sample(len(test), most_rows, seed.child("test"))],
    )
    frame, chosen_N = both[rows], side_N[rows]
    probe = Probe(frame, chosen_N, "binary", 2, seed=seed)
    fold_N = (split.mix(split.keys(frame, frame.columns)) % np.uint64(2)).astype(np.uint8)
    p_NK = probe.crossed(tuple(probe.names), np.arange(len(rows)), fold_N, trees=30).p_SK
    return Apart(probe, p_NK[:, 1], fold_N)


class Moved:
    """By how much the score moves from the training rows' population to the test file's, with twice its error."""

    def __init__(self, inflation: float, error: float) -> None:
        self.inflation, self.error = inflation, error

    @classmethod
    def of(cls, probe: Probe, table: View, apart: Apart, *, parts: int = 8) -> "Moved":
        """From out-of-fold predictions weighted to look like the test file; the error over parts of the rows."""
        honest = probe.cross()
        rows = probe.rows_P[honest.rows_S]
        asked = Cells(table.train[rows].select(apart.probe.names))
        weight_S = apart.ratio(matrix_like(apart.probe, asked))
        y_S = probe.y_P[honest.rows_S]
        whole = weighted_score(probe, honest.p_SK, y_S, weight_S) - probe.score(honest.p_SK, y_S)
        if not np.isfinite(whole):
            return cls(0.0, 0.0)
        part_S = np.arange(len(rows)) % parts
        more = [difference(probe, honest.p_SK, y_S, weight_S, part_S != part) for part in range(parts)]
        known = np.array([one for one in more if np.isfinite(one)])
        # Delete-a-part jackknife.
        spread = (
            float(np.sqrt((len(known) - 1) / len(known) * ((known - known.mean()) ** 2).sum())) if len(known) else 0.0
        )
        # Few rows carry most of the weight: a difference within its error is drawn towards none (James and Stein 1961).
        kept = max(0.0, 1 - spread**2 / whole**2) if whole else 0.0
        return cls(float(kept * whole), 2 * spread)


def difference(probe: Probe, p_SK: np.ndarray, y_S: np.ndarray, weight_S: np.ndarray, kept_S: np.ndarray) -> float:
    """Weighted less plain score over some rows."""
    weighted = weighted_score(probe, p_SK[kept_S], y_S[kept_S], weight_S[kept_S])
    return weighted - probe.score(p_SK[kept_S], y_S[kept_S])


def matrix_like(probe: Probe, asked: Cells) -> np.ndarray:
    """Rows of another frame in the codes that the probe's own columns have, float32 [N, F]."""
    columns = []
    for name in probe.names:
        if not probe.is_category(name):
            value_N = asked.numbers(name) / (86_400e6 if asked.is_date(name) else 1)
            columns.append(np.clip(value_N, -3e38, 3e38).astype(np.float32))
            continue
        place: dict[Any, int] = {value: at for at, value in enumerate(probe.cells.levels(name).values.to_list())}
        code_L = np.array([place.get(value, np.nan) for value in asked.levels(name).values.to_list()] + [np.nan])
        columns.append(np.minimum(code_L, 254).astype(np.float32)[asked.codes(name)])
    return np.column_stack(columns)


def weighted_score(probe: Probe, p_SK: np.ndarray, y_S: np.ndarray, weight_S: np.ndarray) -> float:
    """The probe's score with weights."""
    if probe.task == "regression":
        center = np.average(y_S, weights=weight_S)
        spread = float((weight_S * (y_S - center) ** 2).sum())
        return 1 - float((weight_S * (p_SK[:, 0] - y_S) ** 2).sum()) / spread if spread else float("nan")
    classes = [1] if probe.outputs == 2 else range(probe.outputs)
    found = [weighted_auc(p_SK[:, k], y_S == k, weight_S) for k in classes]
    known = [one for one in found if one == one]
    return float(np.mean(known)) if known else float("nan")


def weighted_auc(score_N: np.ndarray, positive_N: np.ndarray, weight_N: np.ndarray) -> float:
    """Chance that a positive scores above a negative, both drawn by weight; ties half."""
    _, code_N = np.unique(score_N, return_inverse=True)
    width = int(code_N.max(initial=0)) + 1
    up_V = np.bincount(code_N, weight_N * positive_N, width)
    down_V = np.bincount(code_N, weight_N * ~positive_N, width)
    if not up_V.sum() or not down_V.sum():
        return float("nan")
    below_V = np.cumsum(down_V) - down_V / 2
    return float(up_V @ below_V / (up_V.sum() * down_V.sum()))
