"""What gives a target away: signs by which a planted or leaking column differs from an honest one.

A column that was made from the target is noise once the target is known: it goes with no other column then. An
honest one goes with others beyond the target, be it that both describe the same thing, or that both drive the
target (Pearl 1988: conditioning on a common effect links its causes). And what it adds to the other columns is what
it tells alone, for evidence that is independent given the target adds up; honest columns add more by interaction,
or less by overlap.
Shapes: S rows of the probe's sample, K outputs, C codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forgeline.engine import forest
from forgeline.engine.probe import Cross, Probe
from forgeline.engine.threads import side_by_side

SIDES = ("above", "up to")
PLAIN = 0.35
"""AUC above the constant predictor that no honest gap has by itself."""


@dataclass(frozen=True)
class Kin:
    """The strongest relation of a column to any other one, the target being known."""

    share: float
    """Of its variance, adjusted for degrees of freedom."""
    p: float
    """Chance of as strong a relation to one of so many columns, were there none."""

    def alone(self, *, most_share: float = 0.01, least_p: float = 0.005) -> bool:
        """Whether it goes with no other column: too little to matter, or no more than chance."""
        return self.share < most_share or self.p > least_p


@dataclass(frozen=True)
class State:
    """What it tells that a cell is in one of two states."""

    alone: Gain
    """Its own score above the constant predictor's."""
    added: Gain
    """What it adds to the other columns."""


@dataclass(frozen=True)
class Gain:
    """By how much one score is above another, paired over rows, with its 95% interval."""

    value: float
    low: float
    high: float

    def numbers(self) -> dict[str, float]:
        """As numbers of a finding."""
        return {"inflation": self.value, "low": self.low, "high": self.high}


# ---------------------------------------------------------------- independence given the target


def evidence(probe: Probe, p_SK: np.ndarray) -> np.ndarray:
    """What a prediction says in one number a row [S]: log odds of the class it tells most about, or the value."""
    if probe.task == "regression":
        return np.asarray(p_SK[:, 0])
    k = 1 if p_SK.shape[1] == 2 else int(p_SK.var(axis=0).argmax())
    return logit(p_SK[:, k])


def signals(probe: Probe, name: str, *, outer: float = 0.005, least_straight: float = 0.9) -> list[np.ndarray]:
    """What a column says in one number a row [S]: its evidence; where it rises with a numeric target, its value, too.

    The evidence has steps, which a line in the target leaves over. The outermost values count as the edge of that
    share; of what the column tells, a line must tell `least_straight`.
    """
    told = probe.solo(name)
    x_S, y_S = probe.feature(name)[probe.rows_S].astype(np.float64), probe.y_P[probe.rows_S]
    found = [evidence(probe, told.p_SK)]
    if probe.task == "regression" and not probe.is_category(name) and not np.isnan(x_S).all():
        x_S = np.clip(x_S, *np.nanquantile(x_S, [outer, 1 - outer]))
        x_S = np.where(np.isnan(x_S), np.nanmean(x_S), x_S)
        straight = float(np.corrcoef(x_S, y_S)[0, 1]) ** 2 if x_S.std() > 0 else 0.0
        found += [x_S] if straight >= least_straight * told.score else []
    return found


def logit(p: np.ndarray) -> np.ndarray:
    """Log odds, of probabilities kept within 1e-4 of 0 and 1."""
    kept = np.clip(p, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(kept / (1 - kept)))


def residual(probe: Probe, value_S: np.ndarray, *, bins: int = 20) -> np.ndarray:
    """What is left of a value when the target is known: less its mean in each class, or its line in each bin."""
    y_S = probe.y_P[probe.rows_S]
    if probe.task != "regression":
        rows_K = np.maximum(np.bincount(y_S, minlength=probe.outputs), 1)
        return np.asarray(value_S - (np.bincount(y_S, value_S, probe.outputs) / rows_K)[y_S])
    edges = np.unique(np.quantile(y_S, np.linspace(0, 1, bins + 1)[1:-1]))
    bin_S = np.searchsorted(edges, y_S, side="right")
    rows_B = np.maximum(np.bincount(bin_S), 1)
    within_S = y_S - (np.bincount(bin_S, y_S) / rows_B)[bin_S]
    left_S = value_S - (np.bincount(bin_S, value_S) / rows_B)[bin_S]
    spread_B = np.bincount(bin_S, within_S**2)
    slope_B = np.bincount(bin_S, within_S * left_S) / np.where(spread_B > 0, spread_B, 1)
    return np.asarray(left_S - slope_B[bin_S] * within_S)


def kin(probe: Probe, value_S: np.ndarray, others: Iterable[str], *, bins: int = 12) -> Kin:
    """How a value goes with the bins or levels of other columns when the target is known (analysis of variance)."""
    from scipy import stats

    left_S = residual(probe, value_S)
    total = float(left_S @ left_S)
    if total <= 1e-9 * max(float(((value_S - value_S.mean()) ** 2).sum()), 1e-12):
        return Kin(0.0, 1.0)
    size, found = len(left_S), []
    for name in others:
        code_S, width = coarse(probe, name, bins)
        rows_C = np.bincount(code_S, minlength=width)
        groups = int((rows_C > 0).sum())
        if 1 < groups < size:
            between = float((np.bincount(code_S, left_S, width) ** 2 / np.maximum(rows_C, 1)).sum())
            found.append((between / total, groups))
    if not found:
        return Kin(0.0, 1.0)
    share_F, groups_F = np.array(found).T
    ratio_F = share_F / (groups_F - 1) / (np.maximum(1 - share_F, 1e-12) / (size - groups_F))
    adjusted_F = 1 - (1 - share_F) * (size - 1) / (size - groups_F)
    return Kin(float(adjusted_F.max()), float(stats.f.sf(ratio_F, groups_F - 1, size - groups_F).min() * len(found)))


def coarse(probe: Probe, name: str, bins: int) -> tuple[np.ndarray, int]:
    """The bin or level of each row of the sample, kept with the probe; rare levels (under 0.5 %) are one."""
    key = ("coarse", name, bins)
    if key not in probe.kept:
        code_S = probe.binned(name, bins)
        rows_C = np.bincount(code_S)
        place_C = np.where(rows_C >= 0.005 * len(code_S), np.arange(len(rows_C)) + 1, 0)
        code_S = np.unique(place_C, return_inverse=True)[1].reshape(-1)[code_S]
        probe.kept[key] = (code_S, int(code_S.max(initial=0)) + 1)
    found: tuple[np.ndarray, int] = probe.kept[key]
    return found


def explained(probe: Probe, value_S: np.ndarray, others: Sequence[str], *, most_rows: int = 4_000) -> float:
    """Share of a value's variance that a model of other columns and the target gets beyond the target; below 0: none.

    It sees what `kin` cannot: ties within one class only, and to several columns together.
    """
    left_S, y_S = residual(probe, value_S)[:most_rows], probe.y_P[probe.rows_S][:most_rows]
    if float(left_S @ left_S) <= 1e-9 * max(float(((value_S - value_S.mean()) ** 2).sum()), 1e-12):
        return 0.0
    left_S, fold_S = left_S / left_S.std(), probe.fold_P[probe.rows_S][:most_rows] % 2
    native = [place for place, name in enumerate(others) if probe.native(name)]
    x_SF = np.column_stack([probe.matrix(others, probe.rows_S[:most_rows]), y_S])
    left = [error(left_S, x, fold_S, probe.seed.integer, at) for x, at in ((x_SF, native), (x_SF[:, -1:], []))]
    return 1 - left[0] / min(left[1], float(left_S @ left_S))


def error(y_S: np.ndarray, x_SF: np.ndarray, fold_S: np.ndarray, seed: int, native: list[int]) -> float:
    """Squared error of a cautious forest out of fold."""
    cautious: dict[str, Any] = {
        "num_leaves": 8,
        "learning_rate": 0.05,
        "lambda_l2": 5.0,
        "min_data_in_leaf": max(5, len(y_S) // 80),
    }

    def of(fold: int) -> float:
        train, held = fold_S != fold, fold_S == fold
        model = forest.grow(x_SF[train], y_S[train], aim="l2", native=native, seed=seed, **cautious)
        return float(((np.asarray(model.predict(x_SF[held], num_threads=1)) - y_S[held]) ** 2).sum())

    return sum(side_by_side(of, np.unique(fold_S)))


# ---------------------------------------------------------------- what it adds


def gain(probe: Probe, more: np.ndarray, less: np.ndarray) -> Gain:
    """Score of predictions [S, K] above that of others of the same rows (DeLong et al. 1988 for AUC)."""
    y_S = probe.y_P[probe.rows_S]
    if probe.task == "regression":
        each_S = probe.losses(less, y_S) - probe.losses(more, y_S)
        return interval(float(each_S.mean()), float(each_S.std() / np.sqrt(max(len(y_S), 1))))
    (above, above_S), (below, below_S) = influence(more, y_S), influence(less, y_S)
    return interval(above - below, float(np.sqrt(((above_S - below_S) ** 2).sum())))


def interval(value: float, error: float) -> Gain:
    """Within 1.96 standard errors."""
    return Gain(value, value - 1.96 * error, value + 1.96 * error)


def influence(p_SK: np.ndarray, y_S: np.ndarray) -> tuple[float, np.ndarray]:
    """Macro AUC and by how much each row moves it [S]: its squares add up to the variance."""
    classes = [1] if p_SK.shape[1] == 2 else [k for k in range(p_SK.shape[1]) if 0 < (y_S == k).sum() < len(y_S)]
    total, total_S = 0.0, np.zeros(len(y_S))
    for k in classes:
        score, moved_S = influence_of_one(p_SK[:, k], y_S == k)
        total, total_S = total + score / len(classes), total_S + moved_S / len(classes)
    return total, total_S


def influence_of_one(p_S: np.ndarray, positive_S: np.ndarray) -> tuple[float, np.ndarray]:
    """AUC of one class against the rest, and the influence of each row."""
    values, code_S = np.unique(p_S, return_inverse=True)
    code_S = code_S.reshape(-1)
    yes_V = np.bincount(code_S, positive_S, len(values))
    no_V = np.bincount(code_S, ~positive_S, len(values))
    yes, no = max(yes_V.sum(), 1.0), max(no_V.sum(), 1.0)
    below_V = (np.cumsum(no_V) - no_V / 2) / no
    above_V = 1 - (np.cumsum(yes_V) - yes_V / 2) / yes
    score = float(yes_V @ below_V / yes)
    return score, np.where(positive_S, (below_V[code_S] - score) / yes, (above_V[code_S] - score) / no)


def standing(probe: Probe, cross: Cross) -> Gain:
    """A column's own score above the constant predictor's, with its interval."""
    return gain(probe, cross.p_SK, np.tile(probe.constant(probe.y_P[probe.rows_S]), (len(cross.rows_S), 1)))


def together(probe: Probe, p_SK: np.ndarray, more_SK: np.ndarray) -> np.ndarray:
    """Two predictions in one [S, K], independent given the target: odds multiply; values by least squares."""
    y_S = probe.y_P[probe.rows_S]
    if probe.task == "regression":
        x_SF = np.column_stack([np.ones(len(y_S)), p_SK, more_SK])
        return np.asarray(x_SF @ np.linalg.lstsq(x_SF, y_S, rcond=None)[0]).reshape(-1, 1)
    both_SK = np.clip(p_SK, 1e-5, 1) * np.clip(more_SK, 1e-5, 1) / np.clip(probe.constant(y_S), 1e-5, 1)
    return np.asarray(both_SK / both_SK.sum(axis=1, keepdims=True))


def apart(probe: Probe, name: str, value_S: np.ndarray, aside: Iterable[str] = ()) -> bool:
    """Whether a value of a column goes with no other column, but for those set aside, once the target is known."""
    others = [other for other in probe.names if other not in {name, *aside}]
    return kin(probe, value_S, others).alone() and explained(probe, value_S, others) <= 0


def state(
    probe: Probe,
    name: str,
    on_S: np.ndarray,
    aside: Iterable[str] = (),
    *,
    least: float = 0.01,
    plain: float = np.inf,
) -> State | None:
    """What a state of a column's cells, bool [S], tells, if more than `least` and apart from all other columns.

    `aside`: columns that leak too, which it may go with. From `plain` on, alone, it need not be apart.
    """
    told = probe.solo_of(on_S.astype(np.int64))
    alone = standing(probe, told)
    if alone.value < least or alone.low <= 0:
        return None
    if alone.value < plain and not apart(probe, name, on_S.astype(np.float64), aside):
        return None
    less = probe.cross(without={name, *aside})
    return State(alone, gain(probe, together(probe, less.p_SK, told.p_SK), less.p_SK))


def inflation(
    probe: Probe, name: str, aside: Iterable[str] = (), told_SK: np.ndarray | None = None, *, folds: int = 5
) -> Gain:
    """What a column adds to all others, those that leak by other ways set aside.

    The fewer rows a model sees, the less the other columns tell it and the more the leak seems to add: hence `folds`.
    `told_SK`: what it tells alone, of a column that goes with no other given the target: then what both say together
    is a second estimate, and the mean of the two is the less noisy.
    """
    less = probe.cross(without={name, *aside}, folds=folds).p_SK
    fitted = gain(probe, probe.cross(without=set(aside) - {name}, folds=folds).p_SK, less)
    if told_SK is None:
        return fitted
    summed = gain(probe, together(probe, less, told_SK), less)
    return Gain(*((getattr(fitted, part) + getattr(summed, part)) / 2 for part in ("value", "low", "high")))


def classes_of(probe: Probe, *, most: float = 0.6) -> tuple[np.ndarray, list[str]]:
    """Sets of rows that the target tells apart, bool [C, S], and their names: classes, or ends of a value's range.

    An end holds at most the share `most` of the rows: nearly anything implies that a value is not among the least.
    """
    y_S = probe.y_P[probe.rows_S]
    if probe.task != "regression":
        return np.array([y_S == k for k in range(probe.outputs)]), [str(k) for k in range(probe.outputs)]
    cuts = np.unique(np.quantile(y_S, np.linspace(0.2, 0.8, 7), method="lower"))
    cuts = cuts[cuts < y_S.max()]
    sides = [(f"{side} {cut:.4g}", y_S > cut if side == "above" else y_S <= cut) for cut in cuts for side in SIDES]
    sides = [(name, side_S) for name, side_S in sides if side_S.mean() <= most]
    return np.array([side_S for _, side_S in sides]), [name for name, _ in sides]


@dataclass(frozen=True)
class Implied:
    """The class in which a state occurs by far more often than in the others."""

    at: int
    ratio: float
    """By how much more often (Laplace's rule)."""
    share: float
    """Of the rows in the state, how many are of that class."""
    elsewhere: float
    """Of the rows of other classes, how many are in the state."""

    def only(self, other: Implied, *, least_ratio: float, least_share: float, most_elsewhere: float) -> bool:
        """Whether the state occurs (almost) only in that class.

        And being out of it says less of the class, or is itself (almost) never seen elsewhere.
        """
        rare, other_rare = (
            one.share >= least_share and one.elsewhere <= most_elsewhere and one.ratio >= least_ratio
            for one in (self, other)
        )
        return rare and (other_rare or self.ratio >= other.ratio)


def implied(on_S: np.ndarray, class_CS: np.ndarray) -> Implied:
    """What a state of cells, bool [S], says of the class."""
    in_C, out_C = class_CS.sum(axis=1), (~class_CS).sum(axis=1)
    both_C = (class_CS & on_S).sum(axis=1)
    rest_C = (on_S.sum() - both_C + 0.5) / (out_C + 1)
    ratio_C = (both_C + 0.5) / (in_C + 1) / rest_C
    at = int(ratio_C.argmax())
    return Implied(at, float(ratio_C[at]), float(both_C[at] / max(on_S.sum(), 1)), float(rest_C[at]))


def set_aside(found: Iterable[Any], *, codes: Sequence[str]) -> set[str]:
    """Columns that earlier rounds found to leak, by code: later ones neither lean on them nor name them again."""
    return {name for one in found if one.code in codes for name in one.columns}
