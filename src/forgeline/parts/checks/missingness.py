"""Columns whose gaps give the target away (leakage)."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import polars as pl

from forgeline.engine import giveaway
from forgeline.engine.giveaway import Gain, State
from forgeline.kinds import View
from forgeline.records import Finding, Fix

Severity = Literal["block", "warn", "note"]
codes = ("leak.missingness",)
round = 1
needs = ("target",)


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_alone: float = 0.01,
    least_added: float = 0.005,
    clear_alone: float = 0.05,
    block_alone: float = 0.1,
    block_added: float = 0.02,
    least_cells: int = 20,
    least_ratio: float = 6.0,
    least_share: float = 0.5,
    most_elsewhere: float = 0.05,
) -> Iterator[Finding]:
    """`leak.missingness`: that a cell is missing tells of the target, and of nothing else.

    Honest gaps go with other columns, be it their values or their gaps, also among rows of one class. least_alone,
    least_added: what the gaps tell, alone and beyond all other columns, in AUC or R²; from clear_alone on no addition
    is asked for, and without a clear one it is a note up to block_alone; it blocks where the gaps tell and add much, or
    alone so much that nothing honest does. Where known cells occur in one class only
    (least_ratio, least_share, most_elsewhere, as in that check), the code is `leak.after_outcome`.
    """
    probe = table.probe
    if probe is None:
        return
    copies = giveaway.set_aside(table.found, codes=("leak.target_copy",))
    class_CS, _ = giveaway.classes_of(probe)
    plain = np.inf if probe.task == "regression" else giveaway.PLAIN
    gaps: dict[str, np.ndarray] = {}
    for name in (name for name in probe.names if name not in copies and name not in table.protected):
        gap_S = np.isnan(probe.feature(name)[probe.rows_S])
        if not least_cells <= gap_S.sum() <= len(gap_S) - least_cells:
            continue
        known, gap = (giveaway.implied(on_S, class_CS) for on_S in (~gap_S, gap_S))
        if not known.only(gap, least_ratio=least_ratio, least_share=least_share, most_elsewhere=most_elsewhere):
            gaps[name] = gap_S
    for name, gap_S in gaps.items():
        aside = copies | {other for other, other_S in gaps.items() if other != name and same(gap_S, other_S)}
        state = giveaway.state(probe, name, gap_S, aside, least=least_alone, plain=plain)
        if state is None:
            continue
        alone, added = state.alone.value, state.added.value
        if alone >= clear_alone or (state.added.low > 0 and added >= least_added):
            sure = alone >= plain or (alone >= block_alone and added >= block_added)
            heard = alone >= block_alone or state.added.low > 0
            severity: Severity = "block" if sure else "warn" if heard else "note"
            yield finding(table, name, state, giveaway.inflation(probe, name, aside), severity, alone >= plain)


def same(gap_S: np.ndarray, other_S: np.ndarray, *, least: float = 0.9) -> bool:
    """Whether two columns are missing in (almost) the same rows: then they hide one another."""
    return float(np.corrcoef(gap_S, other_S)[0, 1]) >= least


def finding(table: View, name: str, state: State, inflation: Gain, severity: Severity, plain: bool) -> Finding:
    """What the gaps tell."""
    unit = "R²" if table.task == "regression" else "AUC"
    only = "" if plain else " and of no other column"
    return Finding(
        code="leak.missingness",
        severity=severity,
        says=f"whether {name} is missing tells of {table.target_name} ({state.alone.value:+.3f} {unit} alone){only}: "
        "it may be left out, or filled in, once the outcome is known",
        columns=[name],
        numbers=inflation.numbers() | {"alone": state.alone.value, "added": state.added.value},
        fix=Fix(do="drop", columns=[name], says="or fill in its gaps from where the outcome is not known"),
    )
