"""Which unit of work is next, so that there is a model early, the best one in time, and no promise is broken.

A unit is one candidate without one fold. The cheap baseline and then the first candidate are finished whole at once:
from then on there is a model. Then the candidates are
probed on PROBES folds each, in order, as long as all that is promising by then could still be finished within what
is left. What is promising, by its weight in an ensemble on the folds that all have seen, is finished. What is left
then goes into a search for better settings, in rounds of fixed size, until it finds nothing more.

Pure decisions: what it says is a function of the entrants, of the units it has named and of the results it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

Key = tuple[str, int]
"""(candidate, the fold it does not see; from the number of folds on all rows, with a seed each)."""
PROBES = 2
"""Folds on which candidates are compared before the promising ones go on; there are never fewer."""

LEAST_PATIENCE = 1.0
"""What any probe may take."""

R = TypeVar("R")
Shown = TypeVar("Shown", contravariant=True)


class Schedule(Protocol[Shown]):
    """Says which unit is next."""

    def next(self, named: Sequence[Key], results: Mapping[Key, Shown | None]) -> Key | None:
        """A unit not named before; None when there is none for now, or no more if nothing runs.

        `named`: units in the order they were named; `results`: those known, None of a unit that was lost.
        """
        ...

    def patience(self, key: Key, named: Sequence[Key], results: Mapping[Key, Shown | None]) -> float:
        """What a unit that was just named may take before it is ended."""
        return math.inf


@dataclass(frozen=True)
class Listed(Schedule[R]):
    """A fixed order."""

    order: Sequence[Key]

    def next(self, named: Sequence[Key], results: Mapping[Key, R | None]) -> Key | None:
        """The next of the list."""
        taken = set(named)
        return next((key for key in self.order if key not in taken), None)


@dataclass(frozen=True)
class Lagged(Schedule[R]):
    """A schedule that is shown the results of all but the last `lag` units it named, whatever else is known.

    So what it says does not depend on how many workers there are, nor on which of them is faster.
    """

    inner: Schedule[R]
    lag: int

    def next(self, named: Sequence[Key], results: Mapping[Key, R | None]) -> Key | None:
        """What the schedule says, once the results it is to be shown are there."""
        for lag in (self.lag, 0):  # when it has nothing to say, it is shown what it was waiting for
            shown = named[: max(0, len(named) - lag)]
            if any(key not in results for key in shown):
                return None
            key = self.inner.next(named, {each: results[each] for each in shown})
            if key is not None:
                return key
        return None


@dataclass
class Controller(Schedule[R], Generic[R]):
    """The order described above. What a unit takes and what is left are in one unit of the caller's choice."""

    entrants: list[str]
    folds: int
    price: Callable[[str, Mapping[Key, R | None]], float]
    """What one more fold of a candidate is expected to take."""
    left: Callable[[Sequence[Key], Mapping[Key, R | None]], float]
    """What may still be spent, beside the units that are named and not known yet."""
    weigh: Callable[[Sequence[str], Mapping[Key, R | None]], Mapping[str, float]]
    """Weights of candidates in an ensemble on the folds that were probed."""
    search: Callable[[Mapping[Key, R | None]], Sequence[str]] = lambda results: ()
    """New entrants, when all others are through; none when it is not worth while."""
    closing: Callable[[str], float] = lambda name: 0.0
    """What follows the last fold of a candidate that is finished, in folds: its fits on all rows."""
    anyhow: bool = False
    """Whether to begin though no candidate can be finished: some folds are better than none."""
    opening: str | None = None
    """The candidate that is finished first of all; None until it has begun, and where none may."""
    begun: bool = False
    """Whether the opening was looked for; a resumed run does so when units are there already."""
    beside: Sequence[str] = ()
    """Entrants that are finished whatever they promise, if they can be paid for: what others are compared with."""
    weights: dict[tuple[str, ...], Mapping[str, float]] = field(default_factory=dict)

    def next(self, named: Sequence[Key], results: Mapping[Key, R | None]) -> Key | None:
        """The unit that is next, of those that can be paid for."""
        taken = set(named)
        if not self.begun:
            self.opening, self.begun = self.cheap_enough(self.left(named, results), results, taken), True
        if self.opening is None:
            return None
        left, promising = self.left(named, results), self.promising(results)
        for name in (*self.beside, self.opening):
            key = self.unnamed(name, taken, results, range(self.folds))
            if key and (name == self.opening or self.owed(name, taken, results) <= left):
                return key
        probe = self.probe(taken, results, left, promising)
        if probe:
            return probe
        for name in promising:
            key = self.unnamed(name, taken, results, range(PROBES, self.folds))
            if key and self.owed(name, taken, results) <= left:
                return key
        if all(key in results for key in named):
            self.entrants += self.search(results)
            return self.probe(taken, results, left, promising)
        return None

    def cheap_enough(self, left: float, results: Mapping[Key, R | None], taken: set[Key]) -> str | None:
        """The first entrant that can be finished; where none can, the cheapest one, or nobody."""
        price = {name: self.owed(name, taken, results) for name in self.entrants}
        able = [name for name in self.entrants if price[name] <= left]
        return able[0] if able else min(price, key=lambda name: price[name]) if self.anyhow else None

    def unnamed(self, name: str, taken: set[Key], results: Mapping[Key, R | None], folds: Sequence[int]) -> Key | None:
        """The candidate's next unit among some folds. Those after the probes wait for the probes' results; where one of
        these was lost there are no more."""
        probes = [results.get((name, probe), "waited for") for probe in range(PROBES)]
        if None in probes:
            return None
        for fold in folds:
            if (name, fold) not in taken and (fold < PROBES or "waited for" not in probes):
                return name, fold
        return None

    def patience(self, key: Key, named: Sequence[Key], results: Mapping[Key, R | None]) -> float:
        """Of a probe no more than what leaves enough for all that is promising by then, however wrong its price was.

        Probes come in pairs, and one of a pair may take its part of that.
        """
        name, fold = key
        if fold >= PROBES or name == self.opening or name in self.beside:
            return math.inf
        taken = set(named)
        owed = sum(self.owed(each, taken, results) for each in self.promising(results))
        return max(LEAST_PATIENCE, (self.left(named, results) + self.price(name, results) - owed) / PROBES)

    def probe(
        self, taken: set[Key], results: Mapping[Key, R | None], left: float, promising: Sequence[str]
    ) -> Key | None:
        """The next probe: the second of a pair, or the first of the next entrant that could be finished, too."""
        owed = sum(self.owed(name, taken, results) for name in promising)
        for name in self.entrants:
            key = self.unnamed(name, taken, results, range(PROBES))
            if key and (key[1] > 0 or owed + (self.folds + self.closing(name)) * self.price(name, results) <= left):
                return key
        return None

    def owed(self, name: str, taken: set[Key], results: Mapping[Key, R | None]) -> float:
        """What finishing a candidate is expected to take."""
        missing = sum((name, fold) not in taken for fold in range(self.folds))
        return (missing + self.closing(name)) * self.price(name, results)

    def promising(self, results: Mapping[Key, R | None]) -> list[str]:
        """Candidates with weight among all that were probed, the heaviest first."""
        first = range(PROBES)
        probed = tuple(name for name in self.entrants if all(results.get((name, fold)) for fold in first))
        if probed not in self.weights:
            self.weights[probed] = self.weigh(probed, results) if probed else {}
        weights = self.weights[probed]
        return sorted((name for name in probed if weights[name] > 0), key=lambda name: -weights[name])
