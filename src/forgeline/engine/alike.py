"""Structure that shows in the target: entities whose rows are alike in it, and times along which it moves.

What `engine.structure` finds in the features alone decides the split; this is for what they do not show. Training
rows only. The test is an analysis of variance whose null distribution is that of shuffled targets (its mean and
variance in closed form, the tail of a gamma distribution); values are replaced by their ranks, classes by flags.
Ordinary measured numbers pass that test, too, so the rows of neighbouring values must not be alike: what is named or
numbered stands in no order.
Shapes: N training rows, K classes (or 1), E entities or bins of time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forgeline.engine.cells import Cells
from forgeline.engine.entities import holds, is_code, repeats
from forgeline.engine.evidence import joined
from forgeline.engine.names import CLOCKS, YEARS, named_entity, named_time, vocabulary, words
from forgeline.engine.probe import Probe
from forgeline.engine.structure import Structure
from forgeline.engine.time_order import epoch, is_moment_text, is_sorted, moments, span_years, time_candidates

THINGS = vocabulary("item product sku")
"""Words for what rows are filed under, as under a town, that may be seen again and again like a machine, too."""
MOST_SURE = 0.79
"""The target alone never decides a split: a split follows from .8 on."""


@dataclass(frozen=True)
class Shown:
    """A column that the target shows to be an entity or a time."""

    name: str
    effect: float
    """Share of the target's variance that it explains, less what chance explains."""
    chance: float
    """Probability of as much among shuffled targets, times the number of columns tried; those with attributes of
    their own are few, and count as one."""
    sure: float
    levels: int
    """Distinct values."""
    own: tuple[str, ...] = ()
    """Attributes that an entity decides: one value each, while others have others."""


def answers(probe: Probe, rows: np.ndarray) -> np.ndarray:
    """float64 [N, K] with mean 0: ranks of values, or a flag for each class."""
    y_N = probe.y_N[rows]
    if probe.task == "regression":
        _, code_N, count_V = np.unique(y_N, return_inverse=True, return_counts=True)
        y_NK = (np.cumsum(count_V) - count_V / 2)[code_N][:, None] / max(len(y_N), 1)
    else:
        y_NK = np.eye(probe.outputs)[y_N][:, 1:] if probe.outputs == 2 else np.eye(probe.outputs)[y_N]
    return np.asarray(y_NK - y_NK.mean(axis=0))


def most_explained(code_N: np.ndarray, y_NK: np.ndarray) -> tuple[float, float, np.ndarray]:
    """`explained` of all classes at once or of the one that gives the least chance, which pays for the choice.

    The third is what was explained, [N, 1] or all of `y_NK`.
    """
    ways = [y_NK] if y_NK.shape[1] == 1 else [y_NK, *(y_NK[:, [k]] for k in range(y_NK.shape[1]))]
    told = [explained(code_N, way_NK) for way_NK in ways]
    best = min(range(len(ways)), key=lambda at: told[at][1])
    return told[best][0], min(1.0, told[best][1] * len(ways)), ways[best]


def explained(code_N: np.ndarray, y_NK: np.ndarray) -> tuple[float, float]:
    """How much codes (0 to E − 1, int) explain beyond chance, and the probability of as much by chance.

    The share is the intraclass correlation, as from a one-way analysis of variance.
    """
    from scipy.special import gammaincc

    _, code_N, size_E = np.unique(code_N, return_inverse=True, return_counts=True)
    rows, entities = len(code_N), len(size_E)
    if entities < 2 or rows - entities < 10:
        return 0.0, 1.0
    sums_EK = np.column_stack([np.bincount(code_N, y_N, entities) for y_N in y_NK.T])
    between = float((sums_EK**2 / size_E[:, None]).sum())
    square_N = (y_NK**2).sum(axis=1)
    cross_KK = y_NK.T @ y_NK / rows
    variance, pair, fourth = square_N.mean(), float((cross_KK**2).sum()), square_N.var()
    diagonal = float((size_E * (1 / size_E - 1 / rows) ** 2).sum())
    mean = variance * (entities - 1) * rows / (rows - 1)
    spread = 2 * pair * (entities - 1 - diagonal) + fourth * max(diagonal - (entities - 1) ** 2 / rows, 0.0)
    room = variance * (rows - float((size_E**2).sum()) / rows - (entities - 1))
    if spread <= 0 or room <= 0 or mean <= 0:
        return 0.0, 1.0
    return float((between - mean) / room), float(gammaincc(mean**2 / spread, between * mean / spread))


def along(mean_EK: np.ndarray, noise: float, *, lags: int = 2) -> float:
    """Share of the variance of entities' means, noise left out, that neighbours have in common; 0 for no order."""
    centred_EK = mean_EK - mean_EK.mean(axis=0)
    own = float((centred_EK**2).sum(axis=1).mean()) - noise
    common = [float((centred_EK[lag:] * centred_EK[:-lag]).sum(axis=1).mean()) for lag in range(1, lags + 1)]
    return float(np.mean(common)) / own if own > 0 else 0.0


def places(cells: Cells, name: str) -> np.ndarray:
    """int64 [N]: each cell's place among the sorted values, -1 where missing."""
    values = cells.levels(name).values
    place_L = np.empty(len(values) + 1, np.int64)
    place_L[values.to_physical().arg_sort().to_numpy()] = np.arange(len(values))
    place_L[-1] = -1
    return np.asarray(place_L[cells.codes(name)])


# ---------------------------------------------------------------- entities


def groups(
    cells: Cells,
    probe: Probe,
    found: Structure,
    *,
    least_entities: int = 20,
    least_rows_each: float = 1.5,
    most_rows_each: float = 30.0,
    most_chance: float = 1e-4,
    most_chance_own: float = 0.1,
    least_effect: float = 0.01,
    most_along: float = 0.5,
    most_candidates: int = 20,
) -> Iterator[Shown]:
    """Entity-like columns whose rows are alike in the target; the surest first.

    A column that also decides a varied attribute of its own needs less evidence from the target.
    """
    names = [
        name for name in cells.first if entity_like(cells, name, found, least_entities, least_rows_each, most_rows_each)
    ]
    names = sorted(names, key=lambda name: -named_entity(name))[:most_candidates]
    if not names:
        return
    first_N = np.zeros(cells.rows, bool)  # copies are alike for another reason
    first_N[np.unique(cells.row_keys(), return_index=True)[1]] = True
    shown = []
    for name in names:
        place_N = places(cells, name)
        rows = np.flatnonzero(first_N & (place_N >= 0))
        effect, chance, y_NK = most_explained(place_N[rows], answers(probe, rows))
        own = attributes(cells, name, place_N, rows) if chance <= most_chance_own else ()
        chance *= 1 if own else len(names)
        if effect < least_effect or chance > (most_chance_own if own else most_chance):
            continue
        if not own and (in_order(place_N[rows], y_NK, effect) >= most_along or not keyed(cells, name)):
            continue
        clues = (0.5, max(named_entity(name), 0.0), 0.5 if own else 0.0, min(effect, 0.5))
        sure = min(MOST_SURE, joined(*clues))
        shown.append(Shown(name, effect, chance, sure, cells.distinct(name), own))
    yield from sorted(shown, key=lambda one: (-bool(one.own), one.chance))


def entity_like(cells: Cells, name: str, found: Structure, entities: int, least_each: float, most_each: float) -> bool:
    """Whether a column could name entities, and is not what the features showed already."""
    filed = named_entity(name) < 0 and not THINGS & set(words(name))
    if filed or named_time(name) != 0 or name in (found.group, found.time):
        return False
    if not repeats(cells, name, entities, least_each):
        return False
    counts_L = cells.levels(name).counts
    if not least_each <= counts_L.mean() <= most_each or (cells.is_text(name) and is_moment_text(cells, name)):
        return False
    return not found.group or not (holds(cells, found.group, name) or holds(cells, name, found.group))


def keyed(cells: Cells, name: str, *, least_digits: float = 0.9, most_errors: float = 3.0) -> bool:
    """Whether values look like names that were given out.

    That is a column named for keys or beings, texts with digits, or whole numbers that are not crowded: of
    measured ones, neighbouring values are about as common.
    """
    if named_entity(name) > 0:
        return True
    levels = cells.levels(name)
    if cells.is_text(name):
        return float(np.mean(levels.values.str.contains(r"\d").to_numpy())) >= least_digits
    if not bool((cells.ordered(name) % 1 == 0).all()):
        return False
    count_L = levels.counts[np.argsort(levels.values.to_physical().to_numpy(), kind="stable")]
    rank_L = np.unique(count_L, return_inverse=True)[1]
    return not rank_L.max() or float(np.corrcoef(rank_L[1:], rank_L[:-1])[0, 1]) <= most_errors / len(rank_L) ** 0.5


def in_order(place_N: np.ndarray, y_NK: np.ndarray, effect: float) -> float:
    """Share of what a column explains that is the same for neighbouring values."""
    _, code_N, size_E = np.unique(place_N, return_inverse=True, return_counts=True)
    sums_EK = np.column_stack([np.bincount(code_N, y_N, len(size_E)) for y_N in y_NK.T])
    within = float((y_NK**2).sum(axis=1).mean()) * (1 - effect)
    return along(sums_EK / size_E[:, None], within * float((1 / size_E).mean()))


def attributes(
    cells: Cells,
    name: str,
    place_N: np.ndarray,
    rows: np.ndarray,
    *,
    least_levels: int = 20,
    most_share: float = 0.5,
    most_along: float = 0.5,
) -> tuple[str, ...]:
    """Columns of many values, one for each entity, that rise and fall in no order of the entities' names.

    None where everything is constant: the column then names rows that repeat.
    """
    found, constant = [], 0
    code_N = place_N[rows]
    others = [
        other
        for other in cells.first
        if other != name and cells.distinct(other) > 1 and cells.missing(other) <= 0.5 * cells.rows
    ]
    for other in others:
        other_N = cells.codes(other)[rows]
        if not decides(code_N, other_N):
            continue
        constant += 1
        counts_L = cells.levels(other).counts
        if len(counts_L) < least_levels or counts_L[0] > most_share * counts_L.sum():
            continue
        alias = len(counts_L) >= cells.distinct(name) and is_code(cells, other)
        value_N = places(cells, other)[rows]
        _, first_E = np.unique(code_N, return_index=True)
        if not alias and abs(along(value_N[first_E][:, None].astype(np.float64), 0.0)) < most_along:
            found.append(other)
    return tuple(found) if constant < max(len(others), 2) else ()


def decides(code_N: np.ndarray, other_N: np.ndarray, *, least: float = 0.99) -> bool:
    """Whether nearly all values of the first with several rows have one value of the other."""
    order = np.lexsort((other_N, code_N))
    same_N = np.diff(code_N[order]) == 0
    changes_N = same_N & (np.diff(other_N[order]) != 0)
    several = len(np.unique(code_N[order][1:][same_N]))
    return several > 0 and len(np.unique(code_N[order][1:][changes_N])) <= (1 - least) * several


# ---------------------------------------------------------------- time


def times(
    cells: Cells,
    probe: Probe,
    found: Structure,
    *,
    least_moments: int = 8,
    bins: int = 12,
    most_chance: float = 1e-4,
    least_effect: float = 0.005,
) -> Iterator[Shown]:
    """Dates, and what is like them, along which the target moves; the strongest first."""
    first_N = moments(cells, found.time) if found.time in cells.names else np.full(cells.rows, np.nan)
    names = [
        name
        for name in time_candidates(cells)
        if name != found.time
        and cells.distinct(name) >= least_moments
        and time_like(cells, name)
        and not same_time(first_N, moments(cells, name))
    ]
    shown = []
    for name in names:
        own_N = moments(cells, name)
        rows = np.flatnonzero(~np.isnan(own_N))
        if len(rows) < 20 * bins:
            continue
        edges = np.unique(np.quantile(own_N[rows], np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
        effect, chance, _ = most_explained(np.searchsorted(edges, own_N[rows]), answers(probe, rows))
        chance *= len(names)
        if chance <= most_chance and effect >= least_effect:
            said = max(named_time(name), 0.0)
            sure = min(MOST_SURE, joined(0.5, said, min(effect, 0.5)))
            shown.append(Shown(name, effect, chance, sure, len(np.unique(own_N[rows]))))
    yield from sorted(shown, key=lambda one: -one.effect)


def time_like(cells: Cells, name: str, *, most_years: float = 30.0) -> bool:
    """Whether a column tells when rows came about: a date, or a number that is named for one and looks like it.

    Birth, expiry and the like are none, nor the hour or the month, which come again.
    """
    said = named_time(name)
    if said < 0 or named_entity(name) > 0:
        return False
    moment_N = moments(cells, name)
    if not cells.is_number(name):
        return span_years(cells, name, moment_N) < most_years
    named = set(words(name))
    if not named & (CLOCKS | YEARS):
        return False
    known_N = moment_N[~np.isnan(moment_N)]
    year = bool(named & YEARS) and bool(((known_N >= 1900) & (known_N <= 2100)).all())
    return year or epoch(moment_N) or is_sorted(moment_N)


def same_time(first_N: np.ndarray, second_N: np.ndarray, *, least: float = 0.9) -> bool:
    """Whether two times are nearly the same order."""
    known_N = ~(np.isnan(first_N) | np.isnan(second_N))
    if known_N.sum() < 20:
        return False
    first_N, second_N = (np.unique(x_N[known_N], return_inverse=True)[1] for x_N in (first_N, second_N))
    varied = bool(first_N.max() > 0 and second_N.max() > 0)
    return varied and bool(abs(np.corrcoef(first_N, second_N)[0, 1]) >= least)


# ---------------------------------------------------------------- both


@dataclass(frozen=True)
class Shows:
    """All that the target shows."""

    groups: tuple[Shown, ...] = ()
    times: tuple[Shown, ...] = ()


def shows(cells: Cells, probe: Probe, found: Structure, *, least_rows: int = 100) -> Shows:
    """Entities and times; kept with the probe, since two checks ask. `cells` are those of all training rows."""
    key = ("alike", found)
    if key not in probe.kept:
        enough = len(probe.y_N) >= least_rows and len(probe.y_N) == cells.rows
        probe.kept[key] = (
            Shows(tuple(groups(cells, probe, found)), tuple(times(cells, probe, found))) if enough else Shows()
        )
    kept: Shows = probe.kept[key]
    return kept
