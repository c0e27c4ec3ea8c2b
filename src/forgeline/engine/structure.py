"""Structure nobody declared: entities with several rows, an order in time, and copies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Structure:
    """What was found in the features of all rows; no target is looked at."""

    group: str = ""
    """Column that names an entity with several rows; empty when there is none."""
    group_sure: float = 0.0
    """How sure, 0 to 1."""
    time: str = ""
    """Date column that the rows are ordered by; empty when there is none."""
    time_sure: float = 0.0
