"""Values written with other digits than the rest of their column: finer decimals, or zeros at the end.

Shapes: V distinct values, ascending.
"""

from __future__ import annotations

import numpy as np

from forgeline.engine.conversions import CONVERSIONS, Conversion, Outside, decimals, on_grid
from forgeline.engine.empirical import ascending, critical, distance, quantile

TENTHS = (1 / 10, 1 / 100, 1 / 1000, 1 / 1e6)
ZEROS = tuple((k, Conversion(f"{10**k:,}", 10.0**k)) for k in (3, 2, 1))


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
