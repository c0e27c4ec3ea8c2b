"""How far each given label can be trusted, from what a model says of rows that it has not seen.

Classes: the given label is the true one passed through a noise matrix T[true, given]. Two ways to estimate T:

- `by_class`, for a strong model of three or more classes: rows that are surely of a class (its anchors) show its row
  of T; the rows that are sure follow from T; repeated until both agree. One class may be wrong far more often.
- `shared`, for weak models: ignorance looks like noise in the classes that are hard to see, so one rate is believed for
  all: that of the class that the model sees best, and only where it stays the same as the model grows surer.

Values: residuals in local units, an empirical null with heavy tails, and what lies beyond it (local false discovery
rate, Efron 2004).

Shapes: N rows, S rows of a sample, K classes, J members of an ensemble, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from forgeline.engine import stats
from forgeline.engine.arrays import largest
from forgeline.engine.seeds import Seed

Noise = Literal["by_class", "shared"]

LEAST_PROBABILITY = 1e-4
"""No model is surer than this; it is also what float16 can hold."""


@dataclass(frozen=True)
class LabelScores:
    """What is thought of each given label, and of all."""

    fidelity_N: np.ndarray
    """float64: probability that the given label is right."""
    suggested_N: np.ndarray
    """int64: the most probable class; float64: the predicted value."""
    flagged_N: np.ndarray
    """bool: rows worth a look."""
    noise_KK: np.ndarray
    """float64: T[true, given], rows sum to 1; [0, 0] for values."""
    error_share: float
    """Estimated share of wrong labels."""
    low: float
    high: float
    """Its 95% interval."""
    supported: bool
    """Whether the data show that there are wrong labels; when not, no row is flagged."""


# ---------------------------------------------------------------- classes


def class_scores(
    p_NK: np.ndarray,
    given_N: np.ndarray,
    *,
    noise: Noise = "by_class",
    most_fitted: int = 20_000,
    least_chance: float = 0.35,
    seed: Seed | None = None,
) -> LabelScores:
    """Scores of given class indices by out-of-sample probabilities of any model.

    T is estimated on at most `most_fitted` rows. Flagged are the rows that make the expected F1 highest, if they
    are wrong with a chance of at least `least_chance`. Two classes always share one rate: there ignorance and
    noise of one class cannot be told apart.
    """
    p_NK, given_N = proper(p_NK), np.asarray(given_N, np.int64)
    draw = (seed or Seed(0).child("labels")).generator()
    if noise == "shared" or p_NK.shape[1] < 3:
        return shared_scores(p_NK, given_N, least_chance=least_chance)
    rows_S = draw.permutation(len(given_N))[:most_fitted]
    return by_class_scores(p_NK, given_N, rows_S, least_chance=least_chance)


def proper(p_NK: np.ndarray) -> np.ndarray:
    """float64 probabilities that sum to 1, none of them 0."""
    clipped_NK = np.clip(np.asarray(p_NK, np.float64), LEAST_PROBABILITY, None)
    proper_NK: np.ndarray = clipped_NK / clipped_NK.sum(axis=1, keepdims=True)
    return proper_NK


def explained(p_NK: np.ndarray, given_N: np.ndarray) -> float:
    """Share of the entropy of the given labels that the probabilities explain: 1 is all, 0 as good as base rates."""
    base_K = np.bincount(given_N, minlength=p_NK.shape[1]) / max(len(given_N), 1)
    entropy = -float((base_K * np.log(np.maximum(base_K, LEAST_PROBABILITY))).sum())
    loss = -float(np.log(proper(p_NK)[np.arange(len(given_N)), given_N]).mean()) if len(given_N) else 0.0
    return 1 - loss / entropy if entropy > 0 else 0.0


def flags(fidelity_N: np.ndarray, least_chance: float) -> np.ndarray:
    """bool [N]: the rows whose flagging makes the expected F1 highest, none below the least chance of being wrong."""
    wrong_N = 1 - fidelity_N
    if not len(wrong_N):
        return np.zeros(0, bool)
    sorted_N = np.sort(wrong_N)[::-1]
    f1_N = 2 * np.cumsum(sorted_N) / (np.arange(1, len(sorted_N) + 1) + max(sorted_N.sum(), 1e-12))
    flagged_N: np.ndarray = wrong_N >= max(sorted_N[int(f1_N.argmax())], least_chance)
    return flagged_N


def posterior(q_NK: np.ndarray, noise_KK: np.ndarray, given_N: np.ndarray) -> np.ndarray:
    """P(true | row, given label), [N, K], of P(true | row) and T."""
    joint_NK: np.ndarray = q_NK * noise_KK.T[given_N]
    joint_NK /= joint_NK.sum(axis=1, keepdims=True)
    return joint_NK


# ---------------------------------------------------------------- classes: noise that differs by class


def by_class_scores(
    p_NK: np.ndarray,
    given_N: np.ndarray,
    rows_S: np.ndarray,
    *,
    shares: tuple[float, ...] = (0.3, 0.4, 0.5),
    least_chance: float = 0.35,
) -> LabelScores:
    """Mean of estimates that take different shares of each class for its anchors: none of them is known to be right."""
    classes, members = p_NK.shape[1], len(shares)
    chance_NK, noise_KK, errors_J = np.zeros(p_NK.shape), np.zeros((classes, classes)), []
    z_NK = np.log(p_NK)
    z_NK -= z_NK.mean(axis=1, keepdims=True)
    for share in shares:
        one_KK = anchored(p_NK[rows_S], given_N[rows_S], share)
        member_NK = posterior(clean(p_NK, z_NK, given_N, one_KK, rows_S), one_KK, given_N)
        errors_J.append(1 - float(member_NK[np.arange(len(given_N)), given_N].mean()))
        chance_NK += member_NK / members
        noise_KK += one_KK / members
    fidelity_N = chance_NK[np.arange(len(given_N)), given_N]
    error = float(np.mean(errors_J))
    low, high = stats.wilson(error * len(rows_S), len(rows_S))
    low, high = min(low, *errors_J), max(high, *errors_J)
    supported = low * len(given_N) >= 1
    flagged_N = flags(fidelity_N, least_chance) if supported else np.zeros(len(given_N), bool)
    return LabelScores(fidelity_N, chance_NK.argmax(axis=1), flagged_N, noise_KK, error, low, high, supported)


def anchored(
    p_SK: np.ndarray, given_S: np.ndarray, share: float, *, rounds: int = 20, damping: float = 0.5
) -> np.ndarray:
    """T by turns: the labels of each class's surest rows are its row of T; T says which rows are sure.

    Rows of T keep their class only if the model's classes are named by most of their labels: after each turn rows
    are dealt to classes so that the trace is greatest.
    """
    noise_KK = dealt(anchor_labels(p_SK, given_S, share))
    for _ in range(rounds - 1):
        q_SK = unmixed(p_SK, noise_KK)
        noise_KK = dealt(damping * noise_KK + (1 - damping) * dealt(anchor_labels(q_SK, given_S, share)))
    return noise_KK


def anchor_labels(q_SK: np.ndarray, given_S: np.ndarray, share: float, *, prior: float = 1.0) -> np.ndarray:
    """[K, K]: the given labels of the rows surest of each class, with `prior` rows more that have any label.

    Five rows at least, where so many are of the class; rows that are as sure as the last one share its place.
    """
    rows, classes = q_SK.shape
    count_KK = np.full((classes, classes), prior / classes)
    for k, mass in enumerate(q_SK.sum(axis=0)):
        size = min(max(int(share * mass), min(5, int(np.ceil(mass)))), rows - 1)
        last = np.partition(q_SK[:, k], rows - size)[rows - size]
        above_S, even_S = q_SK[:, k] > last, q_SK[:, k] == last
        places = size - int(above_S.sum())
        count_KK[k] += np.bincount(given_S[above_S], minlength=classes)
        count_KK[k] += np.bincount(given_S[even_S], minlength=classes) * (places / int(even_S.sum()))
    labels_KK: np.ndarray = count_KK / count_KK.sum(axis=1, keepdims=True)
    return labels_KK


def dealt(noise_KK: np.ndarray) -> np.ndarray:
    """The same rows in the order that makes the trace greatest."""
    from scipy.optimize import linear_sum_assignment

    rows_K, classes_K = linear_sum_assignment(-noise_KK)
    dealt_KK = np.empty_like(noise_KK)
    dealt_KK[classes_K] = noise_KK[rows_K]
    return dealt_KK


def unmixed(p_NK: np.ndarray, noise_KK: np.ndarray, *, floor: float = 1e-3) -> np.ndarray:
    """P(true | row) of P(given | row) = P(true | row) T, kept above 0 (Patrini et al. 2017 call it backward)."""
    q_NK: np.ndarray = np.maximum(p_NK @ np.linalg.pinv(noise_KK), floor)
    q_NK /= q_NK.sum(axis=1, keepdims=True)
    return q_NK


def clean(
    p_NK: np.ndarray,
    z_NK: np.ndarray,
    given_N: np.ndarray,
    noise_KK: np.ndarray,
    rows_S: np.ndarray,
    *,
    rows_per_weight: int = 60,
) -> np.ndarray:
    """P(true | row): the mean of undoing T and of a link that explains the given labels through T, if rows suffice.

    The first takes the probabilities as they are, the second mends their calibration; their errors differ.
    """
    q_NK = unmixed(p_NK, noise_KK)
    fitted = rows_per_weight * noise_KK.size
    if len(rows_S) < fitted / 4:
        return q_NK
    rows_S = rows_S[:fitted]
    weight_KK, bias_K = link(z_NK[rows_S], given_N[rows_S], noise_KK)
    q_NK += softmax(z_NK @ weight_KK + bias_K)
    q_NK /= 2
    return q_NK


def link(
    z_SK: np.ndarray, given_S: np.ndarray, noise_KK: np.ndarray, *, ridge: float = 1e-3, most_steps: int = 30
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of softmax(z W + b), likeliest to give the labels through T (the forward correction).

    The ridge draws W to a multiple of the identity, a temperature.
    """
    from scipy.optimize import minimize

    rows, classes = z_SK.shape
    size = classes * classes
    column_SK = noise_KK.T[given_S]

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        weight_KK = at[:size].reshape(classes, classes)
        q_SK = softmax(z_SK @ weight_KK + at[size:])
        joint_SK = q_SK * column_SK
        chance_S = joint_SK.sum(axis=1, keepdims=True)
        push_SK = (q_SK - joint_SK / chance_S) / rows
        off_KK = weight_KK - np.eye(classes) * np.trace(weight_KK) / classes
        slope_KK = z_SK.T @ push_SK + 2 * ridge * off_KK
        value = -float(np.log(chance_S).mean()) + ridge * float((off_KK**2).sum())
        return value, np.append(slope_KK, push_SK.sum(axis=0))

    start = np.append(2 * np.eye(classes), np.zeros(classes))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": most_steps}).x
    return found[:size].reshape(classes, classes), found[size:]


def softmax(z_NK: np.ndarray) -> np.ndarray:
    """Probabilities of logits."""
    e_NK: np.ndarray = np.exp(z_NK - z_NK.max(axis=1, keepdims=True))
    e_NK /= e_NK.sum(axis=1, keepdims=True)
    return e_NK


# ---------------------------------------------------------------- classes: one rate for all


def shared_scores(p_NK: np.ndarray, given_N: np.ndarray, *, least_chance: float = 0.35) -> LabelScores:
    """Every class is wrong at one rate, its wrong labels spread evenly over the others."""
    classes = p_NK.shape[1]
    rate = shared_rate(p_NK, given_N)
    error = min(rate.error, 0.9 * (classes - 1) / classes)
    noise_KK = np.full((classes, classes), error / (classes - 1))
    np.fill_diagonal(noise_KK, 1 - error)
    q_NK = tempered(np.maximum(p_NK - error / (classes - 1), LEAST_PROBABILITY / 10), noise_KK, given_N)
    chance_NK = posterior(q_NK, noise_KK, given_N)
    fidelity_N = chance_NK[np.arange(len(given_N)), given_N]
    flagged_N = flags(fidelity_N, least_chance) if rate.supported else np.zeros(len(given_N), bool)
    return LabelScores(
        fidelity_N, chance_NK.argmax(axis=1), flagged_N, noise_KK, error, rate.low, rate.high, rate.supported
    )


def tempered(
    q_NK: np.ndarray,
    noise_KK: np.ndarray,
    given_N: np.ndarray,
    *,
    powers: tuple[float, ...] = (0.6, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5),
    most_rows: int = 10_000,
) -> np.ndarray:
    """q^power, rows summing to 1, with the power that makes the given labels likeliest through T."""
    step = max(1, len(q_NK) // most_rows)
    some_NK, column_NK = np.log(q_NK[::step]), noise_KK.T[given_N[::step]]
    likelihoods = [float(np.log((softmax(power * some_NK) * column_NK).sum(axis=1)).sum()) for power in powers]
    return softmax(powers[int(np.argmax(likelihoods))] * np.log(q_NK))


@dataclass(frozen=True)
class Rate:
    """The share of wrong labels that the best seen class shows."""

    error: float
    low: float
    high: float
    supported: bool


def shared_rate(
    p_NK: np.ndarray, given_N: np.ndarray, *, least_error: float = 0.005, most_of_base: float = 0.42
) -> Rate:
    """The share of other labels among the surest rows of the classes that the model sees best.

    Ignorance adds to it, so it is an upper bound of the noise. It is believed where one of these classes shows a
    plateau, and the model knows one of them: other labels are at most `most_of_base` as frequent among its surest
    rows as among all. A model that knows nothing has plateaus too.
    """
    masses = p_NK.sum(axis=0)
    sure = [one for k, mass in enumerate(masses) if (one := surest(p_NK[:, k], given_N == k, float(mass)))]
    if not sure:
        return Rate(0.5 / (len(given_N) + 1), 0.0, 1.0, False)
    lowest = min(stats.wilson(one.wrong, one.rows)[1] for one in sure)
    best = [one for one in sure if stats.wilson(one.wrong, one.rows)[0] <= lowest]
    wrong, rows = (sum(getattr(one, name) for one in best) for name in ("wrong", "rows"))
    low, high = stats.wilson(wrong, rows)
    known = any(one.wrong <= most_of_base * one.base * one.rows for one in best)
    supported = low >= least_error and known and any(one.flat for one in best)
    return Rate((wrong + 0.5) / (rows + 1), low if supported else 0.0, high, supported)


@dataclass(frozen=True)
class Sure:
    """The surest rows of a class: how many, how many have another label, and whether that share is a plateau."""

    wrong: float
    rows: int
    base: float
    """Share of other labels among all rows."""
    flat: bool


def surest(
    p_N: np.ndarray,
    right_N: np.ndarray,
    mass: float,
    *,
    shares: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5),
    least_rows: int = 20,
    most_growth: float = 2.0,
) -> Sure | None:
    """The largest share of a class that is as good as any smaller one; None where too few rows are of the class.

    A plateau: from the surest tenth to the surest half the wrong labels grow less than `most_growth` times, and no
    more than chance explains; honest doubt keeps growing as the model is less sure.
    """
    sizes = sorted({int(share * mass) for share in shares if share * mass >= least_rows})
    if not sizes:
        return None
    rows = largest(p_N, sizes[-1])
    wrong_N = np.cumsum(~right_N[rows[np.argsort(-p_N[rows], kind="stable")]])
    bounds = [(*stats.wilson(float(wrong_N[size - 1]), size, 0.68), size) for size in sizes]
    best_high = min(high for _, high, _ in bounds)
    size = max(size for low, _, size in bounds if low <= best_high)
    top = max((one for one in sizes if one <= 0.1 * mass), default=sizes[0])
    first, last = (wrong_N[top - 1] + 0.5) / top, wrong_N[-1] / sizes[-1]
    chance = 1.15 * first + 2 * (first / top) ** 0.5
    flat = bool(len(sizes) > 2 and last <= min(most_growth * first, chance))
    return Sure(float(wrong_N[size - 1]), size, 1 - float(right_N.mean()), flat)


# ---------------------------------------------------------------- values


def value_scores(
    residual_N: np.ndarray,
    predicted_N: np.ndarray,
    *,
    least_chance: float = 0.5,
    least_size: float = 3.5,
    least_error: float = 0.003,
    least_freedom: float = 1.75,
    rounds: int = 4,
) -> LabelScores:
    """Scores of given values by out-of-fold residuals (given − predicted) beside the predictions.

    Residuals are counted in the spread of rows with predictions near theirs. What the tails of a Student t, fitted
    to the middle, do not explain is taken for errors, from `least_size` local standard deviations on. Where the
    tails are heavier than `least_freedom` degrees nothing is: the rows then differ in more than errors.
    """
    residual_N, predicted_N = np.asarray(residual_N, np.float64), np.asarray(predicted_N, np.float64)
    z_N = standardized(residual_N, predicted_N)
    fidelity_N: np.ndarray = np.ones(len(z_N))
    freedom = 0.0
    for _ in range(rounds if len(z_N) >= 50 else 0):
        fidelity_N, freedom = null_chance(z_N, fidelity_N, least_size=least_size)
    error = float(1 - fidelity_N.mean()) if len(z_N) else 0.0
    low, high = stats.wilson(error * len(z_N), len(z_N))
    supported = low >= least_error and error * len(z_N) >= 3 and freedom >= least_freedom
    flagged_N = flags(fidelity_N, least_chance) if supported else np.zeros(len(z_N), bool)
    return LabelScores(
        fidelity_N, predicted_N, flagged_N, np.zeros((0, 0)), error, low if supported else 0.0, high, supported
    )


def standardized(residual_N: np.ndarray, predicted_N: np.ndarray, *, bin_rows: int = 200, bins: int = 40) -> np.ndarray:
    """Residuals less their local median, in units of their local spread on that side (of a normal: 1).

    The spread is the median distance from the median, by equal counts of rows in the order of their predictions.
    """
    if not len(residual_N):
        return np.zeros(0)
    order = np.argsort(predicted_N, kind="stable")
    pieces = np.array_split(residual_N[order], int(np.clip(len(order) // bin_rows, 1, bins)))
    rank_N = np.arange(len(order))
    place_B = np.array([piece.mean() for piece in np.array_split(rank_N, len(pieces))])
    center_B = np.array([np.median(piece) for piece in pieces])
    away_N = residual_N[order] - np.interp(rank_N, place_B, center_B)
    least = 0.1 * float(np.median(np.abs(away_N)) or np.abs(away_N).mean() or 1.0)
    sides = [spreads(np.array_split(side * away_N, len(pieces)), least) for side in (-1, 1)]
    below_N, above_N = (np.interp(rank_N, place_B, spread_B) for spread_B in sides)
    z_N = np.empty(len(order))
    z_N[order] = away_N / np.where(away_N < 0, below_N, above_N)
    return z_N


def spreads(pieces: list[np.ndarray], least: float) -> np.ndarray:
    """Standard deviation of each piece if normal, from two quantiles of its positive values, the larger.

    The upper one is for pieces where some rows are easy and the rest are not.
    """
    found_B2 = np.array(
        [np.quantile(piece[piece > 0], [0.5, 0.75]) if (piece > 0).any() else [0, 0] for piece in pieces]
    )
    spread_B: np.ndarray = np.maximum((found_B2 / [0.6745, 1.1503]).max(axis=1), 1.4826 * least)
    return spread_B


def null_chance(
    z_N: np.ndarray, fidelity_N: np.ndarray, *, least_size: float = 3.5, bandwidth: float = 0.12
) -> tuple[np.ndarray, float]:
    """P(no error | z) for all rows, and the degrees of freedom of the null.

    The chance is the null's density ÷ the density of all, both of log |z|: as if nearly all rows were good.

    The null is the Student t whose middle is that of the rows weighted by their chance so far. The chance never
    rises with |z|.
    """
    from scipy import special

    size_N = np.log(np.maximum(np.abs(z_N), 1e-3))
    order = np.argsort(size_N, kind="stable")
    weight_N = np.cumsum(fidelity_N[order])
    middle, *upper = (
        np.exp(size_N[order[np.searchsorted(weight_N, share * weight_N[-1])]]) for share in (0.5, 0.75, 0.9)
    )
    freedom = tail_freedom(middle, upper[0], upper[1])
    scale = middle / special.stdtrit(freedom, 0.75)
    edges_B = np.arange(np.log(1e-3) - 1e-9, max(size_N.max(), 0) + 1, bandwidth / 2)
    count_B = np.histogram(size_N, edges_B)[0].astype(np.float64)
    null_B = 2 * np.diff(special.stdtr(freedom, np.exp(edges_B) / scale)) * len(z_N)
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2) ** 2)
    smooth_B, expected_B = (np.convolve(count, kernel / kernel.sum(), "same") for count in (count_B, null_B))
    chance_B = np.minimum(1, (expected_B + 1e-9) / np.maximum(smooth_B, 1e-9))
    chance_B[edges_B[:-1] < np.log(least_size * middle / 0.6745)] = 1
    chance_N: np.ndarray = np.minimum.accumulate(chance_B)[np.clip(np.searchsorted(edges_B, size_N) - 1, 0, None)]
    return chance_N, freedom


def tail_freedom(middle: float, quarter: float, tenth: float) -> float:
    """Degrees of freedom of the Student t with these quantiles 0.5, 0.75 and 0.9 of |z|; the heavier tail."""
    from scipy import special

    freedoms = np.array([1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 30, 100])
    half, *upper = (special.stdtrit(freedoms, 0.5 + share / 2) for share in (0.5, 0.75, 0.9))
    found = [
        np.interp(-found / middle, -(of / half), freedoms) for found, of in zip((quarter, tenth), upper, strict=True)
    ]
    return float(min(found))
