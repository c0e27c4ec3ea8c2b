"""Training rows with the same features but another target."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import duplicates
from forgeline.engine.near_duplicates import is_key
from forgeline.engine.probe import Probe
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.contradiction",)
round = 1
needs = ("target",)


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_share: float = 0.002,
    warn_share: float = 0.01,
    least_gap: float = 1.5,
) -> Iterator[Finding]:
    """`quality.contradiction`: rows that agree in every feature with others that have another label.

    Only where rows do not agree by chance: tables of few levels are full of honest contradictions. The rows
    named are those of the rarer label; where labels tie, the one a model thinks less of, or the later one where it
    has no opinion. For values: those that differ by more than `least_gap` times a model's usual error.
    """
    if target is None or table.probe is None or not table.train.width or table.train.height < 2:
        return
    repeats = duplicates.repeats(table.train_cells, least_share=least_share)
    if not repeats.beyond:
        return
    again = np.flatnonzero(repeats.copies_N > 1)
    unit_G = repeats.first_N[again]
    if table.task == "regression":
        wrong, score = far_values(table.probe, again, unit_G, least_gap)
    else:
        wrong, score = rare_labels(table.probe, again, unit_G)
    share = len(wrong) / table.train.height
    if share < least_share:
        return
    yield Finding(
        code="quality.contradiction",
        severity="warn" if share >= warn_share else "note",
        says=f"{len(wrong):,} training rows agree with others in every feature but have another {table.target_name}",
        columns=[table.target_name],
        rows=table.keep_rows(table.train_ids[wrong], score),
        numbers={"contradictions": float(len(wrong)), "share": share, "chance": repeats.chance},
        fix=Fix(do="drop_rows", says="drop these rows, or give them the label of the rows they repeat"),
    )


def opinions(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """What a model thinks of training rows out of fold, [P, K], and each training row's place there, -1 if none."""
    # Text that names the rows would tell a model which of them are repeated.
    keys = [name for name in probe.names if probe.is_category(name) and is_key(probe.frame[name])]
    p_PK = probe.out_of_fold(without=keys).p_SK
    place_N = np.full(len(probe.y_N), -1)
    place_N[probe.rows_P] = np.arange(len(probe.rows_P))
    return p_PK, place_N


def rare_labels(probe: Probe, again: np.ndarray, unit_G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `again` whose label is not that of most rows of their unit, and the share of those that have another."""
    label_G = probe.y_N[again].astype(np.int64)
    pair_G = unit_G * probe.outputs + label_G
    _, place_G, rows = np.unique(pair_G, return_inverse=True, return_counts=True)
    size_G = rows[place_G]
    _, unit_place_G, unit_rows = np.unique(unit_G, return_inverse=True, return_counts=True)
    all_G = unit_rows[unit_place_G]
    mixed = np.flatnonzero(size_G < all_G)
    if not len(mixed):
        return again[mixed], np.zeros(0)
    # In doubt the model decides, where it thinks one label more than twice as likely; else the earlier row.
    p_PK, place_N = opinions(probe)
    place = place_N[again[mixed]]
    likely = np.where(place >= 0, np.log2(np.maximum(p_PK[place, label_G[mixed]], 1e-9)), 0.0)
    order = np.lexsort((again[mixed], -np.round(likely), -size_G[mixed], unit_G[mixed]))
    ordered = mixed[order]
    best = ordered[np.append(True, unit_G[ordered][1:] != unit_G[ordered][:-1])]
    right = dict(zip(unit_G[best].tolist(), label_G[best].tolist(), strict=True))
    wrong = mixed[label_G[mixed] != np.array([right[unit] for unit in unit_G[mixed].tolist()])]
    return again[wrong], 1 - size_G[wrong] / all_G[wrong]


def far_values(probe: Probe, again: np.ndarray, unit_G: np.ndarray, least_gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `again` whose value is far from their unit's, and by how many of a model's usual errors."""
    order = np.lexsort((again, unit_G))
    again, unit_G = again[order], unit_G[order]
    value_G = probe.y_N[again]
    starts = np.flatnonzero(np.append(True, unit_G[1:] != unit_G[:-1]))
    size = np.diff(np.append(starts, len(again)))
    spread = np.maximum.reduceat(value_G, starts) - np.minimum.reduceat(value_G, starts)
    if not spread.any():
        return again[:0], np.zeros(0)
    p_PK, place_N = opinions(probe)
    off_P = np.abs(p_PK[:, 0] - probe.y_P)
    usual = 1.4826 * float(np.median(off_P)) or float(probe.y_P.std()) or 1.0
    wrong, score = [], []
    for start, rows in zip(starts[spread > least_gap * usual], size[spread > least_gap * usual], strict=True):
        unit = slice(start, start + rows)
        middle = center(value_G[unit], place_N[again[unit]], p_PK, usual)
        gap = np.abs(value_G[unit] - middle) / usual
        for at in np.flatnonzero(gap > least_gap):
            wrong.append(int(again[start + at]))
            score.append(float(gap[at]))
    return np.array(wrong, np.int64), np.array(score)


def center(value: np.ndarray, place: np.ndarray, p_PK: np.ndarray, usual: float) -> float:
    """The value most rows of a unit have; else the one nearest to what a model says, or the first."""
    values, count = np.unique(value, return_counts=True)
    if count.max() > count.sum() / 2:
        return float(values[count.argmax()])
    if (place < 0).all():
        return float(value[0])
    said = float(p_PK[place[place >= 0], 0].mean())
    off = np.abs(value - said)
    return float(value[0] if off[0] - off.min() < usual / 2 else value[off.argmin()])
