"""Protected groups with far fewer rows than the others, or than a population that is given."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from forgeline.engine import groups, stats
from forgeline.engine.groups import Grouping
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("bias.representation",)
needs = ("protected",)

MOST_NAMED = 8
"""Groups named in a sentence and among the numbers."""


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_share: float = 0.1,
    least_of_equal: float = 0.5,
    least_of_largest: float = 0.1,
    least_of_population: float = 0.8,
    stray_share: float = 0.025,
    population: tuple[str, ...] = (),
    judged_rows: int = groups.LEAST_ROWS,
) -> Iterator[Finding]:
    """`bias.representation`: groups below `least_share` of the training rows and `least_of_equal` of an equal share.

    A warning where one has less than `least_of_largest` times the rows of the largest, or where the rows held back
    would be fewer than `judged_rows`; else a note. population: "sex=female=0.51" and so on; groups of an attribute
    with such shares are named when surely (95% over its groups) below `least_of_population` of them, and only then.
    Groups below `stray_share` that are also too small to judge are `bias.small_cell` alone.
    """
    wanted = shares(population, table.protected)
    held = table.all.height / max(table.train.height, 1) - 1
    for grouping in groups.groupings(table.train_cells, table.protected):
        rows_G = present(grouping, stray_share, judged_rows)
        total = int(grouping.rows_G.sum())
        there = np.flatnonzero(rows_G).tolist()
        name = grouping.attribute
        if name in wanted:
            thin = [at for at in there if below(grouping, at, wanted[name], least_of_population, total)]
        else:
            most = min(least_share, least_of_equal / max(len(there), 1)) * total
            thin = [at for at in there if rows_G[at] < most]
        if thin:
            thin = sorted(thin, key=lambda at: rows_G[at])
            few = rows_G[thin[0]] < least_of_largest * rows_G.max() or rows_G[thin[0]] * held < judged_rows
            yield finding(grouping, thin, total, rows_G, held, few, wanted.get(name))


def present(grouping: Grouping, stray_share: float, judged_rows: int) -> np.ndarray:
    """Rows of each group, int64 [G]; 0 for the missing and for strays."""
    rows_G = grouping.rows_G.copy()
    rows_G[list(grouping.missing)] = 0
    rows_G[(rows_G < judged_rows) & (rows_G < stray_share * rows_G.sum())] = 0
    return rows_G


def shares(population: Sequence[str], protected: Sequence[str]) -> dict[str, dict[str, float]]:
    """Attribute → group → its share of the population, of "attribute=group=share"; others are left out."""
    found: dict[str, dict[str, float]] = {}
    for text in population:
        head, _, share = text.rpartition("=")
        for name in protected:
            if head.startswith(f"{name}="):
                found.setdefault(name, {})[head.removeprefix(f"{name}=")] = float(share)
    return found


def below(grouping: Grouping, at: int, wanted: dict[str, float], least: float, total: int) -> bool:
    """Whether a group surely has less than its share of the population."""
    share = wanted.get(grouping.names[at])
    if share is None:
        return False
    high = stats.wilson(float(grouping.rows_G[at]), total, 1 - 0.05 / len(wanted))[1]
    return high < least * share


def finding(
    grouping: Grouping,
    thin: Sequence[int],
    total: int,
    rows_G: np.ndarray,
    held: float,
    few: bool,
    wanted: dict[str, float] | None,
) -> Finding:
    """What is said of an attribute's thin groups."""
    name, largest = grouping.attribute, int(rows_G.argmax())
    named = [
        f"{grouping.names[at]} {rows_G[at] / total:.1%} ({rows_G[at]:,} rows)"
        + (f" of {wanted[grouping.names[at]]:.1%} in the population" if wanted else "")
        for at in thin[:MOST_NAMED]
    ]
    more = f" and {len(thin) - MOST_NAMED} more" if len(thin) > MOST_NAMED else ""
    says = f"{name}: few training rows of {', '.join(named)}{more}"
    says += f"; {grouping.names[largest]} has {rows_G[largest] / total:.1%}"
    if held and rows_G[thin[0]] * held < groups.LEAST_ROWS:
        says += f"; about {rows_G[thin[0]] * held:.0f} rows of {grouping.names[thin[0]]} are held back to judge by"
    low, high = stats.wilson(float(rows_G[thin[0]]), total)
    remedy = "collect more rows of these groups; later stages offer re-sampling and reweighing, which add no knowledge"
    return Finding(
        code="bias.representation",
        severity="warn" if few else "note",
        says=says,
        columns=[name],
        numbers={
            "share": float(rows_G[thin[0]] / total),
            "low": low,
            "high": high,
            "largest": float(rows_G[largest] / total),
            "groups": float((rows_G > 0).sum()),
            "thin": float(len(thin)),
            **{f"rows {grouping.names[at]}": float(rows_G[at]) for at in thin[:MOST_NAMED]},
        },
        fix=Fix(do="reweigh", columns=[name], says=remedy),
    )
