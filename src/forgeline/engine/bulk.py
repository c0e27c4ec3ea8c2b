"""Where the bulk of a column's numbers ends, and what lies outside: gross errors, or rows in another unit.

A column is seen as its distinct values, ascending, and how often each occurs. Shapes: V distinct values, N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from forgeline.engine.cells import Cells
from forgeline.engine.probe import auc
from forgeline.engine.seeds import Seed


class Conversion(NamedTuple):
    """A change of unit: what was `x` is written as `factor * x + shift`."""

    says: str
    factor: float
    shift: float = 0.0

    def undo(self, value_V: np.ndarray) -> np.ndarray:
        """The values in the unit of the others."""
        return (value_V - self.shift) / self.factor


UNITS = {
    "10": (10.0,),
    "100": (100.0,),
    "1,000": (1000.0,),
    "1,000,000": (1e6,),
    "2.54 (inches to centimetres)": (2.54,),
    "25.4 (inches to millimetres)": (25.4,),
    "12 (feet to inches)": (12.0,),
    "3.281 (metres to feet)": (1 / 0.3048, 3.28, 3.281, 3.2808, 3.28084),
    "2.205 (kilograms to pounds)": (1 / 0.45359237, 1 / 0.4536, 1 / 0.45, 1 / 0.454, 2.2, 2.205, 2.2046, 2.20462),
    "1.609 (miles to kilometres)": (1.609344, 1.6, 1.61, 1.609, 1.60934, 1 / 0.62, 1 / 0.621, 1 / 0.6214, 1 / 0.621371),
    "60 (minutes to seconds)": (60.0,),
    "3,600 (hours to seconds)": (3600.0,),
    "28.35 (ounces to grams)": (28.349523125, 28.35),
    "3.785 (gallons to litres)": (3.785411784, 3.785),
}
"""Names of the factors, and how they are written; the first is the exact one."""
FAHRENHEIT = (Conversion("1.8, plus 32 (Celsius to Fahrenheit)", 1.8, 32.0),)
CELSIUS = (Conversion("5/9 after minus 32 (Fahrenheit to Celsius)", 1 / 1.8, -32 / 1.8),)
FACTORS = tuple(
    (tuple(Conversion(name, one) for one in factors), tuple(Conversion(f"1/{name}", 1 / one) for one in factors))
    for name, factors in UNITS.items()
)
TENTHS = (1 / 10, 1 / 100, 1 / 1000, 1 / 1e6)
CONVERSIONS: tuple[tuple[Conversion, ...], ...] = (*(way for both in FACTORS for way in both), FAHRENHEIT, CELSIUS)
"""Each in the ways it is written."""


@dataclass(frozen=True)
class Outside:
    """Values of a column that are not of its bulk."""

    value_V: np.ndarray
    count_V: np.ndarray
    far_V: np.ndarray
    """bool: which values are outside."""
    conversion: Conversion | None = None
    """The change of unit that makes them like the bulk; None: they are gross errors."""
    says: str = ""

    @property
    def rows(self) -> int:
        """Rows outside."""
        return int(self.count_V[self.far_V].sum())

    def bulk(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and counts of the bulk."""
        return self.value_V[~self.far_V], self.count_V[~self.far_V]

    def nearest(self) -> float:
        """How many spreads from the bulk's median the nearest of them is."""
        return float(self.distance(self.value_V[self.far_V]).min())

    def distance(self, value_N: np.ndarray) -> np.ndarray:
        """How many spreads (median absolute deviation, as a standard deviation) from the bulk's median."""
        centre, spread = middle(*self.bulk())
        return np.abs(value_N - centre) / spread


KEPT: WeakKeyDictionary[Cells, dict[tuple[str, bool], Outside | None]] = WeakKeyDictionary()


def outside(cells: Cells, name: str, *, ratios: bool = False) -> Outside | None:
    """What lies outside the bulk of a number column; None where all belongs to it. Kept for later askers.

    With `ratios`, where nothing else is found, also another unit that shows on the scale of ratios.
    """
    kept = KEPT.setdefault(cells, {})
    key = (name, ratios)
    if key not in kept:
        value_V, count_V = distinct(cells.ordered(name))
        way = by_ratio if ratios else judge
        found = outside(cells, name) if ratios else None
        kept[key] = found or way(value_V, count_V, lambda far_V: not explained(cells, name, value_V, far_V))
    return kept[key]


def judge(value_V: np.ndarray, count_V: np.ndarray, random: Callable[[np.ndarray], bool]) -> Outside | None:
    """What lies outside the bulk, by digits or by distance.

    `random` says of a bool [V] whether nothing else tells those rows from the others: a group that other columns
    give away is a part of the world, not an error.
    """
    if len(value_V) < 8 or count_V.sum() < 40:
        return None
    found = by_digits(value_V, count_V)
    if found is not None and random(found.far_V):
        return found
    found = by_distance(value_V, count_V, random)
    if found is not None and found.conversion is not None:
        return found
    return by_zeros(value_V, count_V) or found


def distinct(ordered_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values and their counts, of sorted values."""
    start = np.flatnonzero(np.append(True, ordered_N[1:] != ordered_N[:-1])) if len(ordered_N) else np.zeros(0, int)
    return ordered_N[start], np.diff(np.append(start, len(ordered_N)))


def quantile(value_V: np.ndarray, count_V: np.ndarray, share: float) -> float:
    """The value below which a share of the rows lies."""
    sum_V = np.cumsum(count_V)
    return float(value_V[min(int(np.searchsorted(sum_V, share * sum_V[-1])), len(value_V) - 1)])


def middle(value_V: np.ndarray, count_V: np.ndarray, *, spike: float = 0.2) -> tuple[float, float]:
    """Median and spread; values that hold more than the share `spike` of the rows do not count for the spread."""
    plain = count_V <= spike * count_V.sum()
    if plain.sum() >= 4:
        value_V, count_V = value_V[plain], count_V[plain]
    centre = quantile(value_V, count_V, 0.5)
    away_V = np.abs(value_V - centre)
    spread = 1.4826 * quantile(*ascending(away_V, count_V), 0.5)
    return centre, spread or float(away_V.mean()) or 1.0


# ---------------------------------------------------------------- distance


def by_distance(
    value_V: np.ndarray,
    count_V: np.ndarray,
    random: Callable[[np.ndarray], bool],
    *,
    nearest: float = 3.0,
    few: float = 50.0,
) -> Outside | None:
    """Values beyond a valley on either side of the bulk, `nearest` of its spreads away at least.

    Farther by the part `few` / rows: few rows tell little of the spread.
    """
    centre, spread = middle(value_V, count_V)
    # Far tails are compressed, so that a heavy one falls like an exponential one.
    z_V, weight_V = np.arcsinh((value_V - centre) / spread), unspiked(count_V)
    nearest *= 1 + few / max(float(weight_V.sum()), 1.0)

    def worth(side_V: np.ndarray) -> bool:
        found = settled(value_V, count_V, side_V)
        if not found.far_V.any() or (found.nearest() < nearest and found.conversion is None):
            return False
        return random(side_V)

    far_V = np.zeros(len(z_V), bool)
    for upper in (True, False):
        side_V = far_V
        for side_V in layers(z_V, weight_V, upper, worth):
            found = settled(value_V, count_V, side_V)
            if found.conversion:
                return found
        far_V = far_V | unmarked(side_V, count_V)
    if not far_V.any():
        return None
    both_V = far_V | mirrored(value_V, count_V, far_V)
    if both_V.sum() > far_V.sum() and random(both_V & ~far_V):
        far_V = both_V
    return Outside(value_V, count_V, far_V)


def mirrored(
    value_V: np.ndarray, count_V: np.ndarray, far_V: np.ndarray, *, slack: float = 0.1, many: float = 4.0, gaps: int = 4
) -> np.ndarray:
    """bool [V]: where errors lie on one side only, the values that lie like them on the other.

    Errors on one side make errors on the other likely, so that less is asked of these: they begin beyond a gap about
    as far out, they are as many up to a factor `many`, and their distances from the bulk are of the same law.
    """
    centre, _ = middle(value_V[~far_V], count_V[~far_V])
    upper = value_V > centre
    other = ~upper if (far_V & upper).any() else upper
    away_V, near_V = np.abs(value_V - centre), far_V & ~other
    none_V = np.zeros(len(far_V), bool)
    if not near_V.any() or (far_V & other).any() or other.sum() < 2:
        return none_V
    law = ascending(away_V[near_V], count_V[near_V])
    begins = law[0][0]
    away_W, count_W = ascending(away_V[other], count_V[other])
    gap_W = np.diff(np.log(np.maximum(away_W, 0.1 * begins)))
    can_W = np.flatnonzero((gap_W > 0) & (away_W[1:] > 0.5 * begins) & (away_W[:-1] < 1.5 * begins))
    best, least = none_V, np.inf
    for at in can_W[np.argsort(-gap_W[can_W], kind="stable")][:gaps]:
        rows = count_W[at + 1 :].sum()
        alike = distance(away_W[at + 1 :], count_W[at + 1 :], *law)
        limit = critical(count_W[at + 1 :], law[1]) + slack
        if law[1].sum() / many <= rows <= law[1].sum() * many and alike < min(limit, least):
            best, least = other & (away_V >= away_W[at + 1]), alike
    return unmarked(best, count_V) if best.any() else none_V


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


def by_ratio(value_V: np.ndarray, count_V: np.ndarray, random: Callable[[np.ndarray], bool]) -> Outside | None:
    """Positive values beyond a valley on the scale of ratios, if a change of unit explains them."""
    positive = value_V > 0
    if positive.sum() < 8 or count_V.sum() < 40 or count_V[~positive].sum() > 0.05 * count_V.sum():
        return None
    log_V, weight_V = np.log(value_V[positive]), unspiked(count_V[positive])
    for upper in (True, False):
        none_V = np.zeros(len(log_V), bool)
        for side in (*sides(log_V, weight_V, upper, none_V), *layers(log_V, weight_V, upper, lambda _: True, most=2)):
            far_V = np.zeros(len(value_V), bool)
            far_V[positive] = side
            found = settled(value_V, count_V, far_V)
            if found.conversion and random(found.far_V):
                return found
    return None


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
    gap_C = np.diff(z_V[first:])
    widest = first + np.argpartition(-gap_C, most)[:most]
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


def settled(value_V: np.ndarray, count_V: np.ndarray, side_V: np.ndarray) -> Outside:
    """What lies outside, with its change of unit. A value that many rows share is a marker, unless the bulk has it."""
    found = Outside(value_V, count_V, side_V)
    conversion = unit(found)
    if conversion is None:
        clean_V = unmarked(side_V, count_V)
        same = bool((clean_V == side_V).all())
        found = Outside(value_V, count_V, clean_V)
        conversion = None if same or not clean_V.any() else unit(found)
    return replace(found, conversion=conversion)


def unmarked(far_V: np.ndarray, count_V: np.ndarray, *, most: float = 0.3, least: int = 5) -> np.ndarray:
    """Without values that many of the rows outside share: those are markers or caps. Few left are none."""
    rows = count_V[far_V].sum()
    marker_V = far_V & (count_V > most * rows) & ((count_V >= least) | (count_V == rows) & (rows > 1))
    left_V = far_V & ~marker_V
    if marker_V.any() and count_V[left_V].sum() < 0.5 * rows:
        return np.zeros(len(far_V), bool)
    return np.asarray(left_V)


# ---------------------------------------------------------------- units


def unit(found: Outside, *, slack: float = 0.03) -> Conversion | None:
    """The change of unit after which the rows outside are like the bulk, more so than like anything else.

    Digits decide where they can: numbers of the usual decimals, times 1,000, are whole thousands of these.
    """
    value_V, count_V = found.value_V[found.far_V], found.count_V[found.far_V]
    bulk_V, bulk_count_V = found.bulk()
    if len(value_V) < 4:
        return None
    usual = usual_places(bulk_V, bulk_count_V)
    plain = spread_likelihood(value_V, count_V)
    best, gain = None, 0.0
    half = quantile(value_V, count_V, 0.5)
    low, high = quantile(bulk_V, bulk_count_V, 0.1), quantile(bulk_V, bulk_count_V, 0.9)
    for ways in CONVERSIONS:
        if not low <= ways[0].undo(np.array(half)) <= high:
            continue
        back_V = ways[0].undo(value_V)
        limit = critical(count_V, bulk_count_V) + slack
        apart = distance(back_V, count_V, bulk_V, bulk_count_V)
        if apart > limit + slack:
            continue
        fit = max(digits_fit(way, value_V, count_V, bulk_V, bulk_count_V, usual) for way in ways)
        if apart > limit + slack * (fit > 0) or fit < 0:
            continue
        shifted = like(back_V, count_V, bulk_V, bulk_count_V) - count_V.sum() * np.log(ways[0].factor)
        better = shifted - np.log(len(CONVERSIONS)) - plain + (1e6 * (1 - apart) if fit > 0 else 0.0)
        if better > gain:
            best, gain = ways[0], better
    return best


def usual_places(value_V: np.ndarray, count_V: np.ndarray, share: float = 0.95) -> int:
    """Decimals that nearly all of the rows do not exceed; a sample of the values settles it."""
    step = max(1, len(value_V) // 2000)
    return int(quantile(*ascending(decimals(value_V[::step], least=0), count_V[::step]), share))


def digits_fit(
    way: Conversion, value_V: np.ndarray, count_V: np.ndarray, bulk_V: np.ndarray, bulk_count_V: np.ndarray, usual: int
) -> int:
    """1: the digits are the bulk's in another unit, and would not be by chance; -1: they are not; 0: no saying."""
    if usual > 6:
        return 0
    if count_V @ on_grid(way.undo(value_V), usual) < 0.9 * count_V.sum():
        return -1
    if way.factor < 1:
        return int(count_V @ (decimals(value_V, least=0) > usual) > 0.5 * count_V.sum())
    return int(bulk_count_V @ on_grid(way.undo(bulk_V), usual) < 0.5 * bulk_count_V.sum())


def critical(count_V: np.ndarray, other_W: np.ndarray, *, level: float = 1.63) -> float:
    """The largest Kolmogorov–Smirnov distance that two samples of one law have in 99 % of cases."""
    m, n = float(count_V.sum()), float(other_W.sum())
    return level * float(np.sqrt((m + n) / (m * n)))


def distance(value_V: np.ndarray, count_V: np.ndarray, other_W: np.ndarray, other_count_W: np.ndarray) -> float:
    """Kolmogorov–Smirnov distance of two samples, each distinct values and counts, ascending; close ones are equal."""
    share_V = np.append(0, np.cumsum(count_V)) / count_V.sum()
    share_W = np.append(0, np.cumsum(other_count_W)) / other_count_W.sum()
    nudge_V = 1e-9 * np.abs(value_V)
    above = share_W[np.searchsorted(other_W, value_V + nudge_V, side="right")] - share_V[1:]
    below = share_W[np.searchsorted(other_W, value_V - nudge_V, side="left")] - share_V[:-1]
    return float(max(np.abs(above).max(), np.abs(below).max()))


def like(value_V: np.ndarray, count_V: np.ndarray, bulk_W: np.ndarray, bulk_count_W: np.ndarray) -> float:
    """Log-likelihood of values under the bulk: a histogram of 20 bins of equal rows, and a little for the rest."""
    edges = np.unique([quantile(bulk_W, bulk_count_W, share) for share in np.linspace(0, 1, 21)])
    edges = np.append(edges, bulk_W[-1] + (edges[-1] - edges[0]) * 1e-9) if len(edges) > 1 else edges
    if len(edges) < 3:
        return -np.inf
    rows_B = np.histogram(bulk_W, edges, weights=bulk_count_W)[0]
    density_B = 0.98 * rows_B / rows_B.sum() / np.diff(edges)
    place_V = np.searchsorted(edges, value_V, side="right") - 1
    within = (place_V >= 0) & (place_V < len(density_B))
    outer = 0.02 / (3 * (edges[-1] - edges[0]))
    density_V = np.where(within, density_B[np.clip(place_V, 0, len(density_B) - 1)], 0) + outer
    return float(count_V @ np.log(density_V))


def spread_likelihood(value_V: np.ndarray, count_V: np.ndarray) -> float:
    """Log-likelihood of the values spread evenly, or their ratios, whichever is better; less 2 log N for the ends."""
    rows = count_V.sum()
    even = rows * np.log(0.98) - 2 * np.log(rows) - rows * np.log(max(value_V[-1] - value_V[0], 1e-300))
    if value_V[0] <= 0:
        return float(even)
    ratio = np.log(max(np.log(value_V[-1] / value_V[0]), 1e-12))
    return float(max(even, rows * np.log(0.98) - 2 * np.log(rows) - rows * ratio - count_V @ np.log(value_V)))


# ---------------------------------------------------------------- digits


def decimals(value_V: np.ndarray, *, least: int = -3, most: int = 9) -> np.ndarray:
    """int [V]: decimal places that a value is written with; 10 for more than nine; -3 for whole thousands."""
    places_V = np.full(len(value_V), most + 1)
    for places in range(most, least - 1, -1):
        scaled_V = value_V * 10.0**places
        places_V[np.abs(scaled_V - np.rint(scaled_V)) <= 1e-9 * np.maximum(np.abs(scaled_V), 1)] = places
    return places_V


def by_digits(value_V: np.ndarray, count_V: np.ndarray, *, most: float = 0.3) -> Outside | None:
    """Values that are written with other decimals than the rest, and are like the rest in another unit."""
    whole = bool((value_V == np.rint(value_V)).all())
    places_V = np.zeros(len(value_V), int) if whole else decimals(value_V)
    usual = int(quantile(*ascending(places_V, count_V), 1 - most))
    if usual > 6:
        return None
    fine_V = places_V > usual
    rows = count_V[fine_V].sum()
    if not 4 <= rows <= most * count_V.sum():
        return None
    return finer(value_V, count_V, fine_V, usual)


def finer(
    value_V: np.ndarray, count_V: np.ndarray, fine_V: np.ndarray, usual: int, *, hits: float = 0.9
) -> Outside | None:
    """The change of unit that makes the finer values as coarse as the others and like them; None without one."""
    bulk_V, bulk_count_V = value_V[~fine_V], count_V[~fine_V]
    fine, count = value_V[fine_V], count_V[fine_V]
    limit = critical(count, bulk_count_V) + 0.05
    before = distance(fine, count, bulk_V, bulk_count_V)
    largest = quantile(*ascending(np.abs(fine), count), 0.9)
    apart = bulk_count_V[np.abs(bulk_V) < largest].sum() < max(0.003 * bulk_count_V.sum(), 0.5 * count.sum())
    shallow = count @ (decimals(fine) > usual + 1) < 0.6 * count.sum()
    best: tuple[float, Conversion] | None = None
    for way in (way for ways in CONVERSIONS for way in ways):
        back_V = way.undo(fine)
        after = distance(back_V, count, bulk_V, bulk_count_V)
        if after > limit or after > 0.5 * before or count @ on_grid(back_V, usual) < hits * count.sum():
            continue
        if way.factor < 1 and shallow and (apart or way.factor in TENTHS[1:]):
            continue  # numbers of so many digits: small ones have more decimals, one more each tenth
        if best is None or after < best[0]:
            best = after, way
    if best is None:
        return None
    far_V = fine_V | claimed(value_V, count_V, fine_V, best[1], usual)
    return Outside(value_V, count_V, fine_V if far_V.all() else far_V, best[1])


ZEROS = tuple((k, Conversion(f"{10**k:,}", 10.0**k)) for k in (3, 2, 1))


def by_zeros(
    value_V: np.ndarray, count_V: np.ndarray, *, heaped: float = 0.3, least: int = 20, different: int = 5
) -> Outside | None:
    """Values that end in zeros where others of their size do not, and are like the rest without these.

    Nothing is said of columns whose numbers are mostly rounded anyway, so that more than `heaped` end in one zero, or
    that have fewer than `least` values, or fewer than `different` with zeros.
    """
    if len(value_V) < least or value_V[-1] < 5 * quantile(value_V, count_V, 0.5):
        return None
    whole = bool((value_V == np.rint(value_V)).all())
    places_V = decimals(value_V, most=0 if whole else 6)
    usual = int(quantile(*ascending(places_V, count_V), 0.7))
    rows = count_V.sum()
    if usual > 6 or count_V[places_V > usual].sum() > 0.02 * rows or count_V[places_V < usual].sum() > heaped * rows:
        return None
    for zeros, way in ZEROS:
        far_V = zeroed(value_V, count_V, places_V <= usual - zeros, 10.0**zeros)
        if far_V is not None and far_V.sum() >= different and like_the_rest(value_V, count_V, far_V, way):
            return Outside(value_V, count_V, far_V, way)
    return None


def zeroed(
    value_V: np.ndarray, count_V: np.ndarray, zero_V: np.ndarray, factor: float, *, reach: float = 0.25, least: int = 8
) -> np.ndarray | None:
    """bool [V]: values with zeros where, among the values near, at most one in five of them is so by chance."""
    low, high = quantile(value_V, count_V, 0.1), quantile(value_V, count_V, 0.5)
    middle_V = (value_V >= low) & (value_V <= high)
    share = max(float(count_V[middle_V & zero_V].sum() / max(count_V[middle_V].sum(), 1)), 1 / factor)
    at_V = np.arcsinh(value_V / max(abs(high), 1e-300))
    sums = [np.pad(np.cumsum(count_V * chosen_V), (1, 0)) for chosen_V in (zero_V, ~zero_V)]
    far_V = zero_V & (value_V > high)
    at_U = at_V[far_V]
    first, last = np.searchsorted(at_V, at_U - reach), np.searchsorted(at_V, at_U + reach, side="right")
    with_U, without_U = (one[last] - one[first] for one in sums)
    far_V[far_V] = without_U * share / (1 - share) < 0.2 * with_U
    if count_V[far_V].sum() < max(least, 0.003 * count_V.sum()):
        return None
    return np.asarray(far_V)


def like_the_rest(value_V: np.ndarray, count_V: np.ndarray, far_V: np.ndarray, way: Conversion) -> bool:
    """Whether rows are like the others in another unit, from the least of them on, which has to be below the median."""
    back_V, bulk_V, bulk_count_V = way.undo(value_V[far_V]), value_V[~far_V], count_V[~far_V]
    least = back_V[0] * (1 - 1e-9)
    shared_V = bulk_V >= least
    if least > quantile(bulk_V, bulk_count_V, 0.6):
        return False
    alike = distance(back_V, count_V[far_V], bulk_V[shared_V], bulk_count_V[shared_V])
    return alike <= critical(count_V[far_V], bulk_count_V[shared_V]) + 0.05


def claimed(
    value_V: np.ndarray, count_V: np.ndarray, fine_V: np.ndarray, way: Conversion, places: int, *, windows: int = 4
) -> np.ndarray:
    """bool [V]: values of the other unit that happen to have the usual decimals, as every fifth whole degree has.

    How many there are beside the finer ones follows from the unit. They are claimed where, in a stretch around them,
    no more than twice as many rows have the usual decimals.
    """
    grid = np.arange(1, 10_001) * 10.0**-places
    share = float(on_grid(grid * way.factor + way.shift, places).mean())
    can_V = ~fine_V & on_grid(way.undo(value_V), places)
    if not 0 < share < 0.5 or not can_V.any():
        return np.zeros(len(value_V), bool)
    fine, count = value_V[fine_V], count_V[fine_V]
    reach = (quantile(fine, count, 0.95) - quantile(fine, count, 0.05)) / windows
    sums = [np.pad(np.cumsum(count_V * chosen_V), (1, 0)) for chosen_V in (fine_V, can_V)]
    low, high = np.searchsorted(value_V, value_V - reach), np.searchsorted(value_V, value_V + reach, side="right")
    finer_V, same_V = (one[high] - one[low] for one in sums)
    return np.asarray(can_V & (same_V < 2 * finer_V * share / (1 - share)))


def ascending(value_V: np.ndarray, count_V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values in order, with their counts."""
    order = np.argsort(value_V, kind="stable")
    return value_V[order], count_V[order]


def on_grid(value_V: np.ndarray, places: int) -> np.ndarray:
    """bool [V]: whether values have no more decimals, up to the rounding of what was written."""
    scaled_V = value_V * 10.0**places
    return np.abs(scaled_V - np.rint(scaled_V)) <= np.maximum(1e-6 * np.abs(scaled_V), 0.006)


# ---------------------------------------------------------------- what other columns say of it


def explained(cells: Cells, name: str, value_V: np.ndarray, far_V: np.ndarray) -> bool:
    """Whether some other column tells the rows outside from the others."""
    value_N = cells.numbers(name)
    others = [other for other in cells.names if other != name]
    return given_away(cells, others, member(value_N, value_V, far_V), ~np.isnan(value_N))


def given_away(
    cells: Cells, names: list[str], far_N: np.ndarray, known_N: np.ndarray, *, least: float = 0.6, most_rows: int = 2400
) -> bool:
    """Whether one of some columns tells rows from the other known ones: AUC above `least`, and beyond chance."""
    rows = chosen(far_N, known_N, most_rows)
    far_S = far_N[rows]
    fold_S = Seed(0).child("explained").generator().integers(0, 2, len(rows))
    # Each fold has half of the rows, and what one gives away by chance, so does the other.
    chance = 3.2 * np.sqrt(1 / (6 * max(far_S.sum(), 1)))
    return any(told(binned(cells, name, rows), far_S, fold_S) > max(least, 0.5 + chance) for name in names)


def member(value_N: np.ndarray, value_V: np.ndarray, far_V: np.ndarray) -> np.ndarray:
    """bool [N]: rows whose value is one of those that are outside."""
    place_N = np.minimum(np.searchsorted(value_V, value_N), len(value_V) - 1)
    return np.asarray(far_V[place_N] & ~np.isnan(value_N))


def chosen(far_N: np.ndarray, known_N: np.ndarray, most: int) -> np.ndarray:
    """A sample of rows inside and outside, sorted."""
    draw = Seed(0).child("rows").generator()
    far, near = np.flatnonzero(far_N), np.flatnonzero(known_N & ~far_N)
    some = [
        part if len(part) <= size else draw.choice(part, size, replace=False)
        for part, size in ((far, most // 3), (near, most))
    ]
    return np.sort(np.concatenate(some))


def binned(cells: Cells, name: str, rows: np.ndarray, *, bins: int = 16) -> np.ndarray:
    """int64 [S]: the level or the bin of each row of a column; 0 is missing."""
    if not (cells.is_number(name) or cells.is_date(name)):
        return np.asarray(np.minimum(cells.codes(name)[rows], 60).astype(np.int64) + 1)
    value_S = cells.numbers(name)[rows]
    known = value_S[~np.isnan(value_S)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.zeros(0)
    return np.where(np.isnan(value_S), 0, np.searchsorted(edges, value_S) + 1)


def told(code_S: np.ndarray, far_S: np.ndarray, fold_S: np.ndarray) -> float:
    """AUC of being outside, from the share outside among rows of the same code in the other fold."""
    width = int(code_S.max(initial=0)) + 1
    found = []
    for fold in (0, 1):
        train, held = fold_S != fold, fold_S == fold
        all_C = np.bincount(code_S[train], minlength=width)
        far_C = np.bincount(code_S[train], far_S[train], minlength=width)
        rate_C = (far_C + far_S.mean()) / (all_C + 1)
        found.append(auc(rate_C[code_S[held]], far_S[held]))
    known = [one for one in found if one == one]
    return float(np.mean(known)) if known else 0.5
