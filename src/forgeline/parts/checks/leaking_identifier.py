"""Keys that give the target away: numbers handed out class by class, rows counted after sorting (leakage)."""

import re
from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import giveaway, prose
from forgeline.engine.giveaway import Gain
from forgeline.engine.probe import Cross, Probe
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.identifier",)
round = 1
needs = ("target",)
KEY_NAME = re.compile(r"(?:^|[^A-Za-z])(?i:id|uuid|guid|key|no|nr|index|number)$|[a-z](?:Id|ID|Key|No)$")
"""`id`, `user_id`, `customerID`; not `paid`, `monkey`."""


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_distinct: float = 0.9,
    least_gain: float = 0.02,
    doubt_gain: float = 0.05,
    block_gain: float = 0.1,
    least_rows: int = 100,
) -> Iterator[Finding]:
    """`leak.identifier`: a text or whole number of which (almost) every row has its own tells the target by its order.

    least_gain: what it tells, in AUC or R² above the constant predictor, alone;
    doubt_gain: where neither its name nor its numbers show that it is a key. One that goes with other columns too,
    such as a counter of rows in order of time, is warned of where it is a counter or named as a key.
    """
    probe = table.probe
    if probe is None or len(probe.rows_S) < least_rows:
        return
    aside = giveaway.set_aside(table.found, codes=("leak.target_copy",))
    for name in probe.names:
        if name in aside or not unique(probe, name, least_distinct):
            continue
        told = max((probe.solo_of(binned(order_S)) for order_S in orders(probe, name)), key=lambda one: one.score)
        alone = giveaway.standing(probe, told)
        if alone.value < (least_gain if key(probe, name) else doubt_gain) or alone.low <= 0.6 * alone.value:
            continue  # five standard errors
        apart = giveaway.apart(probe, name, giveaway.evidence(probe, told.p_SK))
        if apart or (alone.value >= block_gain and key(probe, name)):
            sure = apart and alone.value >= block_gain and not probe.cells.is_text(name)
            yield finding(table, name, told, priced(probe, name, aside, told), sure=sure)


def priced(probe: Probe, name: str, aside: set[str], told: Cross) -> Gain:
    """What the order of the keys adds to all other columns; for texts, taken for levels by models, what it tells."""
    if not probe.cells.is_text(name):
        return giveaway.inflation(probe, name, aside)
    less = probe.cross(without={name, *aside}, folds=5).p_SK
    return giveaway.gain(probe, giveaway.together(probe, less, told.p_SK), less)


def unique(probe: Probe, name: str, least: float) -> bool:
    """Whether a column holds texts or whole numbers that (almost) never repeat; what people write is no key."""
    cells = probe.cells
    present = cells.rows - cells.missing(name)
    if 2 * present < cells.rows or not (cells.is_text(name) or cells.dtypes[name].is_integer()):
        return False
    return cells.distinct(name) >= least * present and not prose.is_free(cells.levels(name))


def key(probe: Probe, name: str) -> bool:
    """Whether whole numbers repeat so seldom that it is on purpose, or else the name says so; any text is a key.

    n numbers that fall anywhere between the smallest and the largest make about n²/2 ÷ range equal pairs.
    """
    if probe.cells.is_text(name) or KEY_NAME.search(name):
        return True
    ordered_N = probe.cells.ordered(name)
    expected = len(ordered_N) ** 2 / 2 / (ordered_N[-1] - ordered_N[0] + 1)
    return bool(expected >= 10 and len(ordered_N) - probe.cells.distinct(name) <= expected / 10)


def orders(probe: Probe, name: str) -> Iterator[np.ndarray]:
    """Numbers that put the sample's rows in the order of their keys [S]: by size, by alphabet, by their last digits."""
    if not probe.cells.is_text(name):
        yield probe.cells.numbers(name)[probe.rows_S]
        return
    texts = probe.frame[name][probe.rows_S].alias("text")
    yield texts.rank("dense").cast(pl.Float64).fill_null(np.nan).to_numpy()
    digits = texts.str.extract(r"([0-9]{1,15})[^0-9]*$", 1).cast(pl.Float64).fill_null(np.nan).to_numpy()
    if not np.isnan(digits).all():
        yield digits


def binned(order_S: np.ndarray, *, bins: int = 32) -> np.ndarray:
    """Equally filled bins of an order; missing is the last one."""
    known_S = ~np.isnan(order_S)
    edges = np.quantile(order_S[known_S], np.linspace(0, 1, bins + 1)[1:-1])
    return np.where(known_S, np.searchsorted(edges, np.where(known_S, order_S, 0), side="left"), bins)


def finding(table: View, name: str, told: Cross, inflation: Gain, *, sure: bool) -> Finding:
    """A warning, or a block where nothing else explains it; a text is a warning, for no model sees the order of texts
    that do not repeat."""
    unit = "R²" if table.task == "regression" else "AUC"
    return Finding(
        code="leak.identifier",
        severity="block" if sure else "warn",
        says=f"{name} names rows, and yet its order predicts {table.target_name} ({unit} {told.score:.3f} alone): "
        "keys were handed out, or rows counted, by the outcome or with it",
        columns=[name],
        numbers=inflation.numbers() | {"score": told.score},
        fix=Fix(do="drop", columns=[name], says="or name it in [snapshot] keep"),
    )
