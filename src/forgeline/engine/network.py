"""A small multilayer perceptron for tables, trained with numpy on one thread; no torch is needed.

Numbers enter as piecewise linear steps between their quantiles, so that a few layers can bend where the data does
(Gorishniy et al., On embeddings for numerical features, NeurIPS 2022). A scale on each input, the loss of the task
itself, decoupled weight decay, a cosine schedule and dropout that fades follow RealMLP (Holzmüller et al., Better by
default, NeurIPS 2024). Hidden units are standardised within a batch (Ioffe and Szegedy, Batch normalization, ICML
2015) and, once trained, by weights that have taken the running moments in. So everything that is drawn is additions,
products and comparisons, and the graph gives the same answer for a row whatever rows are beside it.

Shapes: N rows, B rows of a batch, F features, D inputs of the first layer, H hidden units, S scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from forgeline.engine.graph import Graph
from forgeline.engine.seeds import Seed

CHECKS = 20
"""Times in a whole schedule that the loss on held rows is looked at."""
FEW = 3
"""A feature with fewer distinct values than this is a flag."""
EPSILON = np.float32(1e-5)
"""Added to the variance of a hidden unit before it is divided by."""


@dataclass(frozen=True)
class Schedule:
    """How a network is trained."""

    width: int
    layers: int
    epochs: int
    batch: int
    rate: float
    decay: float
    dropout: float
    bins: int


# ---------------------------------------------------------------- inputs


@dataclass(frozen=True)
class Inputs:
    """Features as inputs of the first layer: `clip((x[source] - shift) * scale, low, high) - mean`."""

    source_D: np.ndarray
    shift_D: np.ndarray
    scale_D: np.ndarray
    low_D: np.ndarray
    high_D: np.ndarray
    mean_D: np.ndarray

    def encode(self, x_NF: np.ndarray) -> np.ndarray:
        """float32 [N, D]."""
        z_ND = x_NF[:, self.source_D]
        z_ND -= self.shift_D
        z_ND *= self.scale_D
        np.clip(z_ND, self.low_D, self.high_D, out=z_ND)
        z_ND -= self.mean_D
        return z_ND

    def draw(self, graph: Graph, x: str) -> str:
        """The same as nodes."""
        z = graph.add("Gather", x, graph.constant(self.source_D, np.int64), axis=1)
        z = graph.add("Mul", graph.add("Sub", z, graph.constant(self.shift_D)), graph.constant(self.scale_D))
        z = graph.add("Min", graph.add("Max", z, graph.constant(self.low_D)), graph.constant(self.high_D))
        return graph.add("Sub", z, graph.constant(self.mean_D))


def fit_inputs(x_NF: np.ndarray, *, bins: int, most_rows: int = 50_000, reach: float = 4.0) -> Inputs:
    """Flags as they are; of each number its robust standard score within ±reach, and its steps between quantiles."""
    some_NF = x_NF[np.linspace(0, len(x_NF) - 1, min(len(x_NF), most_rows)).astype(int)]
    rows: list[tuple[int, float, float, float, float]] = []
    for feature in range(some_NF.shape[1]):
        edges = np.unique(np.quantile(some_NF[:, feature], np.linspace(0, 1, bins + 1)).astype(np.float32))
        if len(edges) < FEW:
            low, high = float(some_NF[:, feature].min()), float(some_NF[:, feature].max())
            rows.append((feature, low, 1 / ((high - low) or 1.0), 0.0, 1.0))
            continue
        first, middle, third = (float(each) for each in np.quantile(some_NF[:, feature], (0.25, 0.5, 0.75)))
        spread = (third - first) / 1.349 or float(some_NF[:, feature].std()) or 1.0
        rows.append((feature, middle, 1 / spread, -reach, reach))
        rows += [(feature, float(a), 1 / float(b - a), 0.0, 1.0) for a, b in pairwise(edges)]
    source, *parts = (np.array(column) for column in zip(*rows))
    shift_D, scale_D, low_D, high_D = (part.astype(np.float32) for part in parts)
    plain = Inputs(source.astype(np.int64), shift_D, scale_D, low_D, high_D, np.zeros(len(rows), np.float32))
    return replace(plain, mean_D=plain.encode(some_NF).mean(axis=0, dtype=np.float64).astype(np.float32))


def inputs_of(features: int, flags: int, bins: int) -> int:
    """About how many inputs so many features make."""
    return flags + (features - flags) * (bins + 1)


# ---------------------------------------------------------------- layers


@dataclass
class Layers:
    """Weights of all layers in one vector, so that one update serves them all."""

    sizes: list[int]
    theta_P: np.ndarray
    """Scales of inputs, weights and biases of each layer and, while it is trained, gains of hidden units."""

    @property
    def scale_D(self) -> np.ndarray:
        """The factor of each input."""
        return self.theta_P[: self.sizes[0]]

    @property
    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Weights [in, out] and biases [out] of each layer, as views."""
        at = self.sizes[0]
        for inside, outside in pairwise(self.sizes):
            weights = self.theta_P[at : at + inside * outside].reshape(inside, outside)
            at += inside * outside
            yield weights, self.theta_P[at : at + outside]
            at += outside

    @property
    def gains(self) -> list[np.ndarray]:
        """Factors of the standardised hidden units, a view [H] for each layer but the last."""
        hidden = self.sizes[1:-1]
        return np.split(self.theta_P[len(self.theta_P) - sum(hidden) :], np.cumsum(hidden)[:-1]) if hidden else []

    def like(self, theta_P: np.ndarray) -> Layers:
        """The same layers on another vector."""
        return Layers(self.sizes, theta_P)


def first_layers(inputs: int, start_S: np.ndarray, schedule: Schedule, seed: Seed) -> Layers:
    """Random hidden weights; the last layer gives `start_S` at first."""
    sizes = [inputs, *[schedule.width] * schedule.layers, len(start_S)]
    count = sizes[0] + sum((inside + 1) * outside for inside, outside in pairwise(sizes)) + sum(sizes[1:-1])
    layers = Layers(sizes, np.zeros(count, np.float32))
    layers.scale_D[:] = 1
    draw = seed.child("weights").generator()
    *hidden, (_, biases) = layers.pairs
    for (weights, _), gain_H in zip(hidden, layers.gains, strict=True):
        weights[:] = draw.normal(size=weights.shape) * math.sqrt(2 / len(weights))
        gain_H[:] = 1
    biases[:] = start_S
    return layers


def forward(layers: Layers, z_BD: np.ndarray) -> np.ndarray:
    """Scores [B, S] of a network that has taken its moments in."""
    given: np.ndarray = z_BD * layers.scale_D
    pairs = list(layers.pairs)
    for place, (weights, biases) in enumerate(pairs):
        given = given @ weights
        given += biases
        if place < len(pairs) - 1:
            np.maximum(given, 0, out=given)
    return given


@dataclass
class Pass:
    """What a batch went through, for the way back."""

    given: list[np.ndarray]
    """What each layer gives, the scores last."""
    standard: list[np.ndarray]
    """Hidden units in standard units of the batch [B, H]."""
    inverse: list[np.ndarray]
    """One over the spread of each hidden unit [H]."""


@dataclass
class Moments:
    """Running means and variances of the hidden units, [H] for each layer."""

    mean: list[np.ndarray]
    variance: list[np.ndarray]
    seen: int = 0

    @classmethod
    def of(cls, hidden: list[int]) -> Moments:
        """Before any batch."""
        return cls([np.zeros(each, np.float32) for each in hidden], [np.ones(each, np.float32) for each in hidden])

    def pull(self, place: int, mean_H: np.ndarray, variance_H: np.ndarray, *, least: float = 0.1) -> None:
        """Towards a batch: the plain mean of the first ones, later a tenth of each new one."""
        share = np.float32(max(least, 1 / self.seen))
        self.mean[place] += share * (mean_H - self.mean[place])
        self.variance[place] += share * (variance_H - self.variance[place])

    def taken_in(self, layers: Layers) -> Layers:
        """The same network without gains: what standardises its hidden units is in their weights and biases."""
        own = layers.like(layers.theta_P[: len(layers.theta_P) - sum(layers.sizes[1:-1])].copy())
        for (weights, biases), gain_H, mean_H, variance_H in zip(own.pairs, layers.gains, self.mean, self.variance):
            factor_H = gain_H / np.sqrt(variance_H + EPSILON)
            weights *= factor_H
            biases -= mean_H * factor_H
        return own


def forward_batch(layers: Layers, moments: Moments, z_BD: np.ndarray, keeps: list[np.ndarray] | None) -> Pass:
    """A batch on its way through, standardised by its own moments; `keeps` are factors of hidden units (dropout)."""
    passed = Pass([z_BD * layers.scale_D], [], [])
    moments.seen += 1
    *hidden, (last_weights, last_biases) = layers.pairs
    for place, ((weights, biases), gain_H) in enumerate(zip(hidden, layers.gains, strict=True)):
        a = passed.given[-1] @ weights
        mean_H = a.mean(axis=0)
        a -= mean_H
        variance_H = np.einsum("bh,bh->h", a, a) / np.float32(len(a))
        moments.pull(place, mean_H, variance_H)
        inverse_H = 1 / np.sqrt(variance_H + EPSILON)
        a *= inverse_H
        passed.standard.append(a)
        passed.inverse.append(inverse_H)
        h = a * gain_H
        h += biases
        np.maximum(h, 0, out=h)
        if keeps is not None:
            h *= keeps[place]
        passed.given.append(h)
    passed.given.append(passed.given[-1] @ last_weights + last_biases)
    return passed


def backward(
    layers: Layers,
    slope: Layers,
    z_BD: np.ndarray,
    passed: Pass,
    error_BS: np.ndarray,
    keeps: list[np.ndarray] | None,
) -> None:
    """Write the loss's slope in every weight, from its slope in the scores and what `forward_batch` kept."""
    weights, slopes = list(layers.pairs), list(slope.pairs)
    gains, gain_slopes = layers.gains, slope.gains
    error = error_BS
    for place in range(len(weights) - 1, -1, -1):
        error.sum(axis=0, out=slopes[place][1])
        if place < len(gains):
            standard = passed.standard[place]
            np.einsum("bh,bh->h", error, standard, out=gain_slopes[place])
            error -= slopes[place][1] / np.float32(len(error))
            error -= standard * (gain_slopes[place] / np.float32(len(error)))
            error *= passed.inverse[place] * gains[place]
        np.matmul(passed.given[place].T, error, out=slopes[place][0])
        error = error @ weights[place][0].T
        if place:
            error *= passed.given[place] > 0
            if keeps is not None:
                error *= keeps[place - 1]
    np.einsum("bd,bd->d", error, z_BD, out=slope.scale_D)


# ---------------------------------------------------------------- training


@dataclass
class Adam:
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019) on one vector."""

    mean_P: np.ndarray
    square_P: np.ndarray
    decay_P: np.ndarray
    rate_P: np.ndarray
    steps: int = 0

    def step(self, theta_P: np.ndarray, slope_P: np.ndarray, rate: float, *, b1: float = 0.9, b2: float = 0.98) -> None:
        """Move the weights, in place."""
        self.steps += 1
        self.mean_P *= b1
        self.mean_P += (1 - b1) * slope_P
        slope_P *= slope_P
        self.square_P *= b2
        slope_P *= 1 - b2
        self.square_P += slope_P
        np.sqrt(self.square_P, out=slope_P)
        slope_P *= 1 / math.sqrt(1 - b2**self.steps)
        slope_P += 1e-8
        np.divide(self.mean_P, slope_P, out=slope_P)
        slope_P *= rate / (1 - b1**self.steps)
        slope_P *= self.rate_P
        theta_P *= 1 - rate * self.decay_P
        theta_P -= slope_P


@dataclass(frozen=True)
class Trained:
    """A trained network, and after how many steps it was best."""

    inputs: Inputs
    layers: Layers
    steps: int

    def scores(self, x_NF: np.ndarray, *, rows: int = 8192) -> np.ndarray:
        """float64 [N, S]."""
        parts = [x_NF[at : at + rows] for at in range(0, len(x_NF), rows)]
        found = [forward(self.layers, self.inputs.encode(part)) for part in parts]
        return np.concatenate(found).astype(np.float64)

    def move(self, by: float) -> None:
        """Add a number to every score."""
        *_, (_, biases) = self.layers.pairs
        biases += np.float32(by)

    def draw(self, graph: Graph, x: str) -> str:
        """The scores as nodes, float32 [N, S]."""
        z = graph.add("Mul", self.inputs.draw(graph, x), graph.constant(self.layers.scale_D))
        pairs = list(self.layers.pairs)
        for place, (weights, biases) in enumerate(pairs):
            z = graph.add("Gemm", z, graph.constant(weights), graph.constant(biases))
            z = graph.add("Relu", z) if place < len(pairs) - 1 else z
        return z


Loss = Callable[[np.ndarray, np.ndarray, np.ndarray | None], tuple[float, np.ndarray]]
"""(scores [B, S], targets [B], weights [B] or None) → (mean loss, its slope in the scores [B, S] float32)."""


def train(
    x_NF: np.ndarray,
    y_N: np.ndarray,
    weight_N: np.ndarray | None,
    start_S: np.ndarray,
    loss: Loss,
    schedule: Schedule,
    seed: Seed,
    *,
    held: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None = None,
    steps: int | None = None,
) -> Trained:
    """Train on all rows; with `held` rows the weights that suited them best count, `steps` end it early."""
    inputs = fit_inputs(x_NF, bins=bins_for(len(x_NF), schedule.bins))
    z_ND = inputs.encode(x_NF)
    layers = first_layers(z_ND.shape[1], start_S, schedule, seed)
    moments = Moments.of(layers.sizes[1:-1])
    held_z = None if held is None else inputs.encode(held[0])
    total = total_steps(len(x_NF), schedule)
    ends = total if steps is None else min(steps, total)
    every = max(1, total // CHECKS)
    slope = layers.like(np.zeros_like(layers.theta_P))
    adam = adam_for(layers, schedule)
    best, best_layers, best_step = math.inf, None, ends
    for step, (rows_B, keeps) in enumerate(batches(len(x_NF), ends, total, schedule, seed), 1):
        z_BD = z_ND[rows_B]
        passed = forward_batch(layers, moments, z_BD, keeps)
        _, error_BS = loss(passed.given[-1], y_N[rows_B], None if weight_N is None else weight_N[rows_B])
        backward(layers, slope, z_BD, passed, error_BS, keeps)
        adam.step(layers.theta_P, slope.theta_P, schedule.rate * cosine(step, total))
        if held is not None and held_z is not None and (step % every == 0 or step == ends):
            now = moments.taken_in(layers)
            value = loss(forward(now, held_z), held[1], held[2])[0]
            if value < best:
                best, best_layers, best_step = value, now, step
    return Trained(inputs, best_layers or moments.taken_in(layers), best_step)


def adam_for(layers: Layers, schedule: Schedule, *, scale_rate: float = 9.0) -> Adam:
    """Weights decay, biases, gains and scales do not; the scales of the inputs move faster."""
    decaying = layers.like(np.zeros_like(layers.theta_P))
    for weights, _ in decaying.pairs:
        weights[:] = schedule.decay
    rates = layers.like(np.ones_like(layers.theta_P))
    rates.scale_D[:] = scale_rate
    zeros = np.zeros_like(layers.theta_P)
    return Adam(zeros, zeros.copy(), decaying.theta_P, rates.theta_P)


def batches(
    rows: int, steps: int, total: int, schedule: Schedule, seed: Seed
) -> Iterator[tuple[np.ndarray, list[np.ndarray] | None]]:
    """Rows and dropout of each of the first `steps` of `total`: a function of (seed, epoch), never of what was drawn
    before. Dropout fades from the middle of the schedule on.
    """
    size = min(schedule.batch, rows)
    each = rows // size
    for step in range(steps):
        epoch, place = divmod(step, each)
        if place == 0:
            draw = seed.child("epoch", epoch).generator()
            order_N = draw.permutation(rows)
        share = schedule.dropout * min(1.0, 2 * (1 - step / total))
        yield order_N[place * size : (place + 1) * size], dropped(draw, size, schedule, share)


def dropped(draw: np.random.Generator, size: int, schedule: Schedule, share: float) -> list[np.ndarray] | None:
    """Factors of the hidden units of one step: 0 for a share of them, more than 1 for the rest."""
    least = round(256 * share)
    if least == 0:
        return None
    count = schedule.layers * size * schedule.width
    kept = np.frombuffer(draw.bytes(count), np.uint8) >= least
    factors = kept.astype(np.float32) * np.float32(256 / (256 - least))
    return list(factors.reshape(schedule.layers, size, schedule.width))


def total_steps(rows: int, schedule: Schedule) -> int:
    """Steps of the whole schedule."""
    return max(1, schedule.epochs * (rows // min(schedule.batch, rows)))


def flags_of(features: int, flags: int | None) -> int:
    """Flags among the features; where that is not known, four of five beyond the first ten."""
    return int(max(features - 10, 0) * 0.8) if flags is None else flags


def bins_for(rows: int, most: int) -> int:
    """Fewer steps between quantiles where rows are few."""
    return max(2, min(most, rows // 30))


def cosine(step: int, total: int, *, warm: float = 0.03) -> float:
    """Share of the rate at a step: a short rise, then half a cosine to 0."""
    rise = max(1.0, warm * total)
    if step < rise:
        return step / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(total - rise, 1.0)))


# ---------------------------------------------------------------- losses


def squared(score_BS: np.ndarray, y_B: np.ndarray, weight_B: np.ndarray | None) -> tuple[float, np.ndarray]:
    """Half the squared error."""
    error_B = score_BS[:, 0] - y_B
    return finished(0.5 * error_B**2, error_B[:, None], weight_B)


def pinball(quantile: float) -> Loss:
    """The loss that is least at a quantile of the target."""

    def of(score_BS: np.ndarray, y_B: np.ndarray, weight_B: np.ndarray | None) -> tuple[float, np.ndarray]:
        above_B = y_B - score_BS[:, 0]
        slope_B = np.where(above_B > 0, -quantile, 1 - quantile)
        return finished(-slope_B * above_B, slope_B[:, None], weight_B)

    return of


def log_odds(score_BS: np.ndarray, y_B: np.ndarray, weight_B: np.ndarray | None) -> tuple[float, np.ndarray]:
    """Log loss of two classes, from the log-odds of class 1."""
    score_B = score_BS[:, 0]
    small_B = np.exp(-np.abs(score_B))
    p_B = np.where(score_B >= 0, 1, small_B) / (1 + small_B)
    value_B = np.maximum(score_B, 0) - score_B * y_B + np.log1p(small_B)
    return finished(value_B, (p_B - y_B)[:, None], weight_B)


def cross_entropy(score_BS: np.ndarray, y_B: np.ndarray, weight_B: np.ndarray | None) -> tuple[float, np.ndarray]:
    """Log loss of several classes, from logits."""
    moved_BS = score_BS - score_BS.max(axis=1, keepdims=True)
    power_BS = np.exp(moved_BS)
    total_B = power_BS.sum(axis=1)
    rows_B = np.arange(len(y_B))
    error_BS = power_BS / total_B[:, None]
    error_BS[rows_B, y_B] -= 1
    return finished(np.log(total_B) - moved_BS[rows_B, y_B], error_BS, weight_B)


def finished(value_B: np.ndarray, error_BS: np.ndarray, weight_B: np.ndarray | None) -> tuple[float, np.ndarray]:
    """The mean loss, and the slopes of the mean."""
    if weight_B is None:
        return float(value_B.mean()), (error_BS / np.float32(len(value_B))).astype(np.float32)
    share_B = weight_B / len(value_B)
    return float(value_B @ share_B), (error_BS * share_B[:, None]).astype(np.float32)
