"""Changes of unit, and which of them makes the values outside a column's bulk like the bulk.

Shapes: V and W distinct values, ascending, of the one and the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forgeline.engine.empirical import ascending, critical, distance, like, middle, quantile, spread_likelihood


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


def decimals(value_V: np.ndarray, *, least: int = -3, most: int = 9) -> np.ndarray:
    """int [V]: decimal places that a value is written with; 10 for more than nine; -3 for whole thousands."""
    places_V = np.full(len(value_V), most + 1)
    for places in range(most, least - 1, -1):
        scaled_V = value_V * 10.0**places
        places_V[np.abs(scaled_V - np.rint(scaled_V)) <= 1e-9 * np.maximum(np.abs(scaled_V), 1)] = places
    return places_V


def on_grid(value_V: np.ndarray, places: int) -> np.ndarray:
    """bool [V]: whether values have no more decimals, up to the rounding of what was written."""
    scaled_V = value_V * 10.0**places
    return np.abs(scaled_V - np.rint(scaled_V)) <= np.maximum(1e-6 * np.abs(scaled_V), 0.006)
