"""Valleys in the tail of a column, wider and emptier than the tail of its bulk would have: there the bulk ends.

Shapes: V distinct values, ascending; C places where a valley may start; J values that a valley may start after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from forgeline.engine.arrays import largest


def layers(
    z_V: np.ndarray, weight_V: np.ndarray, upper: bool, random: Callable[[np.ndarray], bool], *, most: int = 4
) -> Iterator[np.ndarray]:
    """bool [V]: what lies outside on one side, the outermost layer first: of what is left, a valley may show then."""
    far_V = np.zeros(len(z_V), bool)
    for _ in range(most):
        more_V = next((side_V for side_V in sides(z_V, weight_V, upper, far_V) if random(side_V)), far_V)
        if more_V.sum() == far_V.sum():
            return
        far_V = more_V
        yield far_V


def sides(z_V: np.ndarray, weight_V: np.ndarray, upper: bool, gone_V: np.ndarray) -> Iterator[np.ndarray]:
    """bool [V]: what lies beyond each valley above the bulk, or below it, when some values are gone already."""
    z_V, weight_V = z_V[~gone_V], weight_V[~gone_V]
    if not upper:
        z_V, weight_V = -z_V[::-1], weight_V[::-1]
    for cut in valleys(z_V, weight_V):
        side_V = gone_V.copy()
        beyond = np.arange(len(z_V)) > cut
        side_V[~gone_V] = beyond if upper else beyond[::-1]
        yield side_V


def unspiked(count_V: np.ndarray, *, spike: float = 0.2) -> np.ndarray:
    """Counts without a value that holds more than a share of the rows, as zero often does: it tells no spread."""
    return np.where(count_V > spike * count_V.sum(), 0, count_V)


VALLEYS = ((0.1, 0.6), (0.3, 1.2), (0.5, 2.0))
"""Share of the rows beyond a valley's start that may lie in it, and how many mean excesses it then is long.

An exponential tail has that share within 0.11, 0.36 and 0.69 mean excesses."""


def valleys(
    z_V: np.ndarray,
    count_V: np.ndarray,
    *,
    most: float = 0.25,
    alone: float = 15.0,
    few: float = 20.0,
    excess: float = 4.0,
    levels: int = 12,
) -> list[int]:
    """Last values before which the bulk ends, for valleys in the upper tail that the bulk's own tail does not have.

    The tail of the bulk, from its 90 % point, is taken for exponential with its mean excess e. In such a tail the gap
    above the m highest rows is e / m at the mean (Rényi 1953). A valley is a stretch of `alone` e / m at least that
    holds few of the m rows beyond its start, see VALLEYS (longer by `few` / m: few rows prove little), and the rows
    beyond it are `excess` times those which the tail would have there. One for each of VALLEYS: the longest.
    """
    sum_V = np.cumsum(count_V)
    rows = int(sum_V[-1])
    cut_C = starts(z_V, int(np.searchsorted(sum_V, (1 - most) * rows)))
    if not len(cut_C) or rows < 30:
        return []
    e_C, u_C = tail(z_V, count_V, sum_V, cut_C)
    m_C = np.maximum(rows - sum_V[cut_C], 1)
    found: list[int] = []
    for strays, length in VALLEYS:
        end_C = np.searchsorted(sum_V, rows - np.ceil((1 - strays) * m_C), side="right")
        end_C = np.minimum(end_C, len(z_V) - 1)
        expected_C = 0.1 * sum_V[cut_C] * np.exp(-np.minimum((z_V[end_C] - u_C) / e_C, 700))
        wide_C = z_V[end_C] - z_V[cut_C] >= np.maximum(length * (1 + few / m_C), alone / m_C) * e_C
        good_C = wide_C & ((1 - strays) * m_C > excess * expected_C)
        good_C &= emptier(z_V, sum_V, cut_C, end_C)
        if good_C.any():
            at = int(np.argmax(np.where(good_C, (z_V[end_C] - z_V[cut_C]) / e_C, 0)))
            found.append(shore(z_V, count_V, int(cut_C[at]), int(end_C[at]), float(e_C[at])))
    return [cut for cut in dict.fromkeys(found) if not cramped(z_V, count_V, cut, levels)]


def starts(z_V: np.ndarray, first: int, *, most: int = 200) -> np.ndarray:
    """Places where a valley may start, ascending: of many, those before the widest gaps, and some of the others."""
    places = len(z_V) - 1 - first
    if places <= 2 * most:
        return np.arange(first, len(z_V) - 1)
    widest = first + largest(np.diff(z_V[first:]), most)
    return np.union1d(widest, np.arange(first, len(z_V) - 1, places // most))


def emptier(
    z_V: np.ndarray, sum_V: np.ndarray, cut_C: np.ndarray, end_C: np.ndarray, *, most: float = 0.5
) -> np.ndarray:
    """bool [C]: whether stretches hold `most` of the rows per length that the nearer half beyond has, at most.

    A tail that only gets thinner has no valley, however few rows say so.
    """
    rows = sum_V[-1]
    middle_C = np.minimum(np.searchsorted(sum_V, 0.5 * (rows + sum_V[end_C - 1])), len(z_V) - 1)
    inside_C = (sum_V[end_C - 1] - sum_V[cut_C]) / np.maximum(z_V[end_C] - z_V[cut_C], 1e-300)
    beyond_C = (sum_V[middle_C] - sum_V[end_C - 1]) / np.maximum(z_V[middle_C] - z_V[end_C], 1e-300)
    return np.asarray(inside_C <= most * beyond_C)


def shore(z_V: np.ndarray, count_V: np.ndarray, low: int, end: int, e: float) -> int:
    """The last value of the valley from `low` to `end`, by likelihood.

    Up to it lies the bulk's exponential tail, above it rows spread evenly up to the middle of those beyond.
    """
    rows = np.cumsum(count_V[low + 1 :])
    sums = np.cumsum(count_V[low + 1 :] * (z_V[low + 1 :] - z_V[low]))
    top = int(np.searchsorted(rows, 0.5 * (rows[-1] + rows[end - low - 1])))
    place_J = np.arange(end - low)  # how many values beyond `low` are still of the tail
    below_J, length_J = np.append(0, rows)[place_J], np.append(0, sums)[place_J]
    above_J = rows[top] - below_J
    width_J = z_V[low + 1 + top] - z_V[low + 1 + place_J] + 0.5 * (z_V[low + 1 + place_J] - z_V[low + place_J])
    tail_J = below_J * np.log(np.maximum(below_J, 1) / e) - length_J / e
    gain_J = tail_J + above_J * np.log(above_J / np.maximum(width_J, 1e-12))
    cut = low + int(np.argmax(gain_J))
    gap_J = np.diff(z_V[low : cut + 2])
    return low + int(np.argmax(gap_J)) if gap_J.max() > 2 * e else cut  # nothing of the tail is beyond so wide a gap


def cramped(z_V: np.ndarray, count_V: np.ndarray, cut: int, levels: int) -> bool:
    """Whether a bulk of fewer values than `levels`, which tells little of its tail, is wider than the gap above it."""
    few = np.count_nonzero(count_V[: cut + 1]) < levels
    return bool(few and z_V[cut + 1] - z_V[cut] < z_V[cut] - z_V[0])


def tail(z_V: np.ndarray, count_V: np.ndarray, sum_V: np.ndarray, cut_C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean excess e and threshold u of the upper tenth of what lies up to each cut; e is never below a step."""
    u_at = np.searchsorted(sum_V, 0.9 * sum_V[cut_C])
    half_at = np.searchsorted(sum_V, 0.5 * sum_V[cut_C])
    weight_V = np.cumsum(count_V * z_V)
    over_C = sum_V[cut_C] - sum_V[u_at]
    u_C = z_V[u_at]
    mean_C = (weight_V[cut_C] - weight_V[u_at]) / np.maximum(over_C, 1) - u_C
    body_C = (u_C - z_V[half_at]) / np.log(5)  # what e would be, were the upper half exponential
    step_C = (z_V[cut_C] - z_V[half_at]) / np.maximum(cut_C - half_at, 1)
    share_C = 1 - sum_V[cut_C] / sum_V[-1]
    most_C = np.where(share_C > 0.08, np.inf, 1 + 4 * share_C)  # the less was cut off, the less is to be added
    seen_C = mean_C * (over_C > 0)
    mend_C = np.minimum(untruncated(seen_C, z_V[cut_C] - u_C), most_C * np.maximum(seen_C, 1e-300))
    e_C = np.maximum.reduce([mend_C, 0.5 * body_C, 2 * step_C])
    return np.maximum(e_C, 1e-9), u_C


def untruncated(mean_C: np.ndarray, length_C: np.ndarray) -> np.ndarray:
    """Mean of the exponential law of which only a stretch was seen, from the mean there; 1.5 `length` at most."""
    e_G = np.linspace(0.02, 1.5, 75)
    mean_G = e_G - 1 / np.expm1(1 / e_G)
    return np.asarray(length_C * np.interp(mean_C / np.maximum(length_C, 1e-300), mean_G, e_G, left=0.0))
