"""Columns filled in after the outcome: they leave their default in one class (almost) only (leakage)."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import giveaway
from forgeline.engine.giveaway import Gain, Implied
from forgeline.engine.probe import MOST_LEVELS, Probe
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.after_outcome",)
round = 1
needs = ("target",)


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_ratio: float = 6.0,
    least_share: float = 0.5,
    most_elsewhere: float = 0.05,
    least_alone: float = 0.01,
    least_default: float = 0.2,
    block_alone: float = 0.1,
    block_ratio: float = 10.0,
    block_inflation: float = 0.005,
    least_rows: int = 20,
) -> Iterator[Finding]:
    """`leak.after_outcome`: a column known, or other than its usual value, tells the class, and nothing else.

    least_ratio: how much more often that is so in one class than in the others; least_share: how
    often it then is that class. least_default: share of the rows from which a value may be the one before the
    outcome, where it is not missing that is. Of a numeric target the classes are the two
    sides of its quantiles.
    """
    probe = table.probe
    if probe is None:
        return
    copies = giveaway.set_aside(table.found, codes=("leak.target_copy",))
    class_CS, labels = giveaway.classes_of(probe)
    if probe.task != "regression":
        labels = [str(label) for label in table.classes]
    seen: dict[str, tuple[str, np.ndarray, Implied]] = {}
    for name in (name for name in probe.names if name not in copies and name not in table.protected):
        for usual, away_S in departures(probe, name, least_default):
            if not least_rows <= away_S.sum() <= len(away_S) - least_rows:
                continue
            away, back = (giveaway.implied(on_S, class_CS) for on_S in (away_S, ~away_S))
            if away.only(back, least_ratio=least_ratio, least_share=least_share, most_elsewhere=most_elsewhere):
                seen[name] = usual, away_S, away
                break
    for name, (usual, away_S, away) in seen.items():
        aside = copies | (seen.keys() - {name})  # several that are filled in together hide one another
        state = giveaway.state(probe, name, away_S, aside, least=least_alone)
        if state and (state.added.low > 0 or state.alone.value >= block_alone):
            inflation = giveaway.inflation(probe, name, aside)
            effect = min(state.alone.value - block_alone, inflation.value - block_inflation)
            sure = effect >= 0 and away.ratio >= block_ratio
            numbers = {"ratio": away.ratio, "share": away.share, "alone": state.alone.value}
            where = f"where {name} is not {usual}, {table.target_name} is {labels[away.at]}"
            says = f"{where} in {away.share:.1%} of the rows"
            yield finding(table, name, says, inflation, numbers, sure=sure)


def departures(probe: Probe, name: str, least_default: float) -> Iterator[tuple[str, np.ndarray]]:
    """The states a column may be in by default, each with the rows of the sample that are not, bool [S].

    Missing, or a value or level that is common enough; the commonest first.
    """
    x_S = probe.feature(name)[probe.rows_S]
    known_S = ~np.isnan(x_S)
    if not known_S.all():
        yield "missing", known_S
    told_S = known_S & (x_S < MOST_LEVELS) if probe.is_category(name) else known_S  # rarer levels share a code
    values, counts = np.unique(x_S[told_S], return_counts=True)
    for place, at in enumerate(np.argsort(-counts, kind="stable")):
        if counts[at] < least_default * len(x_S):
            return
        yield "its usual value" if place == 0 else "one of its common values", known_S & (x_S != values[at])


def finding(table: View, name: str, says: str, inflation: Gain, numbers: dict[str, float], *, sure: bool) -> Finding:
    """A warning, or a block where it is nearly certain."""
    return Finding(
        code="leak.after_outcome",
        severity="block" if sure else "warn",
        says=f"{says}, {numbers['ratio']:.0f} times as often as otherwise, and nothing else goes with it: "
        "it may be filled in once the outcome is known",
        columns=[name],
        numbers=inflation.numbers() | numbers,
        fix=Fix(do="drop", columns=[name], says="unless it is known when the prediction is made"),
    )
