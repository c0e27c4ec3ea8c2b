"""Learning rates over a run, as shares of the highest: functions of (step, steps), nothing to remember."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int, int], float]


def constant(step: int, steps: int) -> float:
    """Always the highest.

    >>> constant(3, 10)
    1.0
    """
    return 1.0


def warmed(schedule: Schedule, share: float) -> Schedule:
    """A straight rise over a share of the steps, then the schedule over the rest.

    >>> [round(warmed(constant, 0.5)(step, 4), 2) for step in range(4)]
    [0.5, 1.0, 1.0, 1.0]
    """

    def rate(step: int, steps: int) -> float:
        rise = max(1, round(share * steps))
        return (step + 1) / rise if step < rise else schedule(step - rise, max(1, steps - rise))

    return rate


def cosine(step: int, steps: int) -> float:
    """Half a cosine from 1 to 0 (Loshchilov and Hutter, SGDR, ICLR 2017).

    >>> [round(cosine(step, 4), 2) for step in range(4)]
    [1.0, 0.85, 0.5, 0.15]
    """
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def linear(step: int, steps: int) -> float:
    """Straight from 1 to 0.

    >>> [linear(step, 4) for step in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    return 1 - step / steps
