"""Protected groups that the positive outcome falls to at unequal rates (disparate impact in the labels)."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from forgeline.engine import groups
from forgeline.engine.groups import Group, Impact
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("bias.disparate_impact",)
needs = ("target", "protected")

MOST_NUMBERS = 12
"""Groups whose rate and rows are among a finding's numbers; the report's table has all."""
REMEDY = (
    "weigh or re-sample the training rows so that groups have equal base rates (reweighing); later stages also offer "
    "adversarial training and losses constrained to equal rates"
)


def check(
    table: View, target: pl.Series | None, *, least_ratio: float = 0.8, level: float = 0.95, level_crossed: float = 0.99
) -> Iterator[Finding]:
    """`bias.disparate_impact`: a base rate ÷ a higher one is below the four-fifths rule (29 CFR 1607.4 D).

    On training rows, for each attribute and each two at once. A ratio that chance would explain is none: its interval
    over all pairs of groups reaches 1, or Fisher's exact test does not tell them apart. So where no group differs an
    attribute is named in at most 5% of the cases (1 − level), and any intersection in 1% (1 − level_crossed).
    Intersections are named only where they show what their attributes do not: neither breaks the rule, or the ratio
    is surely lower than theirs (a note).
    """
    if target is None or not table.protected:
        return
    outcomes = groups.outcomes(target, table.positive, table.classes)
    singles = groups.groupings(table.train_cells, table.protected)
    shown: dict[str, Impact] = {}
    for one in singles:
        impact = groups.worst(one, outcomes, level=level)
        if breaks(impact, least_ratio, 1.0):
            shown[impact.attribute] = impact
            yield unequal(impact, least_ratio, "warn")
    crossings = groups.intersections(singles)
    for one in crossings:
        impact = groups.worst(one, outcomes, comparisons=len(crossings), level=level_crossed)
        within = [shown[name] for name in impact.columns if name in shown]
        if breaks(impact, least_ratio, min([1.0, *(each.ratio for each in within)])):
            yield unequal(impact, least_ratio, "note" if within else "warn", within)


def breaks(impact: Impact, least_ratio: float, below: float) -> bool:
    """Whether some pair of groups is surely below a ratio, and under the rule."""
    by_chance = impact.surest_p > 1 - impact.level
    return impact.surest_ratio < least_ratio and impact.surest_high < below and not by_chance


def unequal(impact: Impact, least_ratio: float, severity: str, within: Sequence[Impact] = ()) -> Finding:
    """The finding of a ratio below the rule."""
    low, high = (impact.groups[place] for place in impact.surest)
    says = (
        f"{impact.outcome} falls to {low.rate:.1%} of {impact.attribute} = {low.name} but {high.rate:.1%} of "
        f"{high.name}: ratio {impact.surest_ratio:.2f} [{impact.surest_low:.2f}, {impact.surest_high:.2f}], "
        f"below {least_ratio:g}"
    )
    if within:
        says += f"; surely lower than by {' or '.join(each.attribute for each in within)} alone"
    elif len(impact.columns) > 1:
        says += "; neither attribute shows it alone"
    columns = list(impact.columns)
    return Finding(
        code="bias.disparate_impact",
        severity="note" if severity == "note" else "warn",
        says=says,
        columns=columns,
        numbers=numbers(impact),
        fix=Fix(do="reweigh", columns=columns, says=REMEDY),
    )


def numbers(impact: Impact) -> dict[str, float]:
    """Ratio and parity difference of the extremes with intervals, those of the surest pair, rates and rows."""
    told = shown(impact.groups)
    each = {
        "ratio": impact.ratio,
        "low": impact.low,
        "high": impact.high,
        "difference": impact.difference,
        "difference low": impact.difference_low,
        "difference high": impact.difference_high,
        "surest ratio": impact.surest_ratio,
        "surest low": impact.surest_low,
        "surest high": impact.surest_high,
        "surest p": impact.surest_p,
        "groups": float(len(impact.groups)),
        **{f"rate {group.name}": group.rate for group in told},
        **{f"rows {group.name}": float(group.rows) for group in told},
    }
    return {name: float(value) for name, value in each.items() if np.isfinite(value)}


def shown(each: list[Group]) -> list[Group]:
    """The groups of lowest and of highest rate."""
    half = MOST_NUMBERS // 2
    return each if len(each) <= MOST_NUMBERS else [*each[:half], *each[-half:]]
