"""Columns that stand for the target: they add much to all others and, the target known, go with none (leakage)."""

from collections.abc import Iterator
from typing import Literal

import polars as pl

from forgeline.engine import giveaway
from forgeline.engine.giveaway import Gain
from forgeline.engine.probe import Probe
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.proxy",)
round = 2
needs = ("target",)
FINER = ("leak.target_copy", "leak.identifier", "leak.after_outcome", "leak.missingness")
"""What a column leaks by when one of these was found is said already."""
TIMES = ("leak.time", "structure.time")
"""So is that the target moves in time: an honest cause, and no proxy."""


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_gain: float = 0.015,
    block_gain: float = 0.1,
    block_score: float = 0.9,
    strong_score: float = 0.5,
    least_limit: float = 0.99,
    most_told: int = 12,
    most_fitted: int = 3,
    least_rows: int = 500,
) -> Iterator[Finding]:
    """`leak.proxy`: what a column adds to all others, in AUC or R², is clear, and noise would make it of the target.

    A column made from the target tells nothing of any other column but through the target, and adds no more to them
    than it tells alone. least_gain: the least it adds to all but those of its kind that go strong_score of the way from
    the constant predictor to the truth. It blocks when it adds block_gain and by itself goes block_score of the way.
    most_told: columns looked at, by what they tell. A number that by itself goes least_limit of the way to a class is
    warned of, too: the class may be a limit on it.
    """
    probe = table.probe
    if probe is None or len(probe.rows_S) < least_rows:
        return
    aside = giveaway.set_aside(table.found, codes=FINER)
    found: dict[str, Gain] = {}
    skipped = aside | giveaway.set_aside(table.found, codes=TIMES) | set(table.protected)
    alone = lonely(probe, skipped, most_told)[:most_fitted]
    strong = {name for name in alone if way(probe, name) >= strong_score}  # several hide one another
    for name in alone:
        added = giveaway.inflation(probe, name, aside | (strong - {name}), folds=3)
        told = probe.solo(name)
        clear = least_gain <= added.value <= told.score - probe.floor + least_gain and added.low > 0
        if clear and any(giveaway.apart(probe, name, value_S) for value_S in giveaway.signals(probe, name)):
            found[name] = added
    for name in found:
        others = aside | (found.keys() - {name})
        added = giveaway.inflation(probe, name, others, probe.solo(name).p_SK)
        share = way(probe, name)
        yield finding(table, name, added, share, sure=share >= block_score and added.value >= block_gain)
    for name in probe.names:
        if name not in skipped and name not in found and limits(probe, name, least_limit):
            yield limited(table, name, giveaway.inflation(probe, name, aside), way(probe, name))


def limits(probe: Probe, name: str, least: float) -> bool:
    """Whether a number by itself tells the class: that may be a limit on it."""
    return probe.task != "regression" and not probe.is_category(name) and way(probe, name) >= least


def way(probe: Probe, name: str) -> float:
    """How far a column by itself goes from the constant predictor to the truth, 0 to 1."""
    return (probe.solo(name).score - probe.floor) / (1 - probe.floor)


def lonely(probe: Probe, aside: set[str], most: int) -> list[str]:
    """Columns that tell of the target and, that known, go with no other column; the most telling first."""
    names = [name for name in probe.names if name not in aside]
    told = sorted(names, key=lambda name: -probe.solo(name).score)[:most]
    return [name for name in told if giveaway.standing(probe, probe.solo(name)).low > 0 and lone(probe, name)]


def lone(probe: Probe, name: str) -> bool:
    """Whether what a column says goes with no other column alone, the target being known."""
    others = [other for other in probe.names if other != name]
    return any(giveaway.kin(probe, value_S, others).alone() for value_S in giveaway.signals(probe, name))


def finding(table: View, name: str, added: Gain, alone: float, *, sure: bool) -> Finding:
    """A column that adds much: a warning, or a block where it is nearly certain."""
    unit = "R²" if table.task == "regression" else "AUC"
    says = (
        f"{name} adds {added.value:.3f} {unit} to all other columns and, once {table.target_name} is known, goes "
        f"with none of them: it may have been made from {table.target_name}, or be known only with it"
    )
    return suspected(name, says, added, alone, "block" if sure else "warn")


def limited(table: View, name: str, added: Gain, alone: float) -> Finding:
    """A warning of a column that the class may be a limit on."""
    auc = 0.5 + alone / 2
    says = f"{name} by itself tells {table.target_name} (AUC {auc:.3f}): either may have been made of the other"
    return suspected(name, says, added, alone, "warn")


def suspected(name: str, says: str, added: Gain, alone: float, severity: Literal["block", "warn"]) -> Finding:
    """What both have in common."""
    return Finding(
        code="leak.proxy",
        severity=severity,
        says=says,
        columns=[name],
        numbers=added.numbers() | {"alone": alone},
        fix=Fix(do="drop", columns=[name], says="unless it is known when the prediction is made"),
    )
