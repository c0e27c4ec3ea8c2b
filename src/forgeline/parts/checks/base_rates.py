"""Protected groups that the positive outcome falls to at unequal rates (disparate impact in the labels)."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import groups
from forgeline.engine.groups import Impact
from forgeline.kinds import View
from forgeline.records import Finding, Fix


def check(table: View, target: pl.Series | None, *, least_ratio: float = 0.8) -> Iterator[Finding]:
    """`bias.disparate_impact`: lowest base rate ÷ highest is below the four-fifths rule (29 CFR 1607.4 D).

    On training rows. A warning also asks that chance does not explain it (its interval lies below 1), so groups
    that do not differ raise one in at most 5% of the cases; without that it is a note.
    """
    if target is None:
        return
    outcomes = groups.outcomes(target, table.positive, table.classes)
    for impact in groups.impacts(table.train, table.protected, outcomes):
        if impact.refused:
            yield too_small(impact)
        if impact.ratio < least_ratio:
            yield unequal(impact, least_ratio)


def unequal(impact: Impact, least_ratio: float) -> Finding:
    """The finding of a ratio below the rule."""
    low, high = impact.groups[0], impact.groups[-1]
    sure = impact.high < 1
    says = (
        f"{impact.outcome} falls to {low.rate:.1%} of {impact.attribute} = {low.name} but {high.rate:.1%} of "
        f"{high.name}: ratio {impact.ratio:.2f} [{impact.low:.2f}, {impact.high:.2f}], below {least_ratio:g}"
    )
    return Finding(
        code="bias.disparate_impact",
        severity="warn" if sure else "note",
        says=says if sure else f"{says}; chance would explain it",
        columns=[impact.attribute],
        numbers=numbers(impact),
        fix=Fix(do="reweigh", columns=[impact.attribute], says="weigh rows so that groups have equal base rates"),
    )


def numbers(impact: Impact) -> dict[str, float]:
    """Ratio, interval, and each compared group's base rate and rows."""
    rates = {f"rate {group.name}": group.rate for group in impact.groups}
    rows = {f"rows {group.name}": float(group.rows) for group in impact.groups}
    bounds = {"low": impact.low, "high": impact.high} if np.isfinite(impact.high) else {}
    return {"ratio": impact.ratio, **bounds, **rates, **rows}


def too_small(impact: Impact) -> Finding:
    """Says which groups were not compared."""
    names = ", ".join(f"{group.name} ({group.rows})" for group in impact.refused)
    return Finding(
        code="bias.group_too_small",
        severity="note",
        says=f"{impact.attribute}: not compared, fewer than {groups.LEAST_ROWS} training rows: {names}",
        columns=[impact.attribute],
        numbers={f"rows {group.name}": float(group.rows) for group in impact.refused},
    )
