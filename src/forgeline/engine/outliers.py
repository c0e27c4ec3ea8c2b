"""What lies outside the bulk of a column's numbers: gross errors, or rows in another unit.

A column is seen as its distinct values, ascending, and how often each occurs. Shapes: V and W distinct values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from forgeline.engine.cells import Cells
from forgeline.engine.conversions import Outside, unit
from forgeline.engine.digits import by_digits, by_zeros
from forgeline.engine.empirical import ascending, critical, distance, distinct, middle
from forgeline.engine.explained import explained
from forgeline.engine.valleys import layers, sides, unspiked

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
