"""How long to train between two checkpoints: as long as costs least, for what one costs and how often machines go."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Interval:
    """`sqrt(2 * cost * time between failures)`, and never so short that saving takes more than `most` of the time.

    Source: Young, CACM 1974; Daly, FGCS 2006 (where a save is much cheaper than the time between failures).
    """

    failures: float = 1.0
    """Failures that were seen, or are believed in, over `hours`."""
    hours: float = 3.0
    most: float = 0.02
    first: float = 2.0
    """Seconds before the first save, whose cost is not known."""
    cost: float | None = None
    """Seconds that a save takes from training: the dearest of the last ones, fading."""

    def learn(self, cost: float, *, fading: float = 0.7) -> None:
        """What a save took."""
        self.cost = cost if self.cost is None else max(cost, fading * self.cost)

    @property
    def seconds(self) -> float:
        """Between the end of one save and the beginning of the next."""
        if self.cost is None:
            return self.first
        between = 3600 * self.hours / max(self.failures, 1e-9)
        return max(math.sqrt(2 * self.cost * between), self.cost / self.most)
