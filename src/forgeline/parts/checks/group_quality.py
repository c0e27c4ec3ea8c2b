"""Protected groups whose cells are missing, or whose labels look wrong, far more often than those of others.

Shapes: N rows, P rows of the probe's pool, K classes, G groups.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from forgeline.engine import groups, labels, stats
from forgeline.engine.groups import Group, Grouping
from forgeline.engine.labels import Rate
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("bias.label_quality", "bias.missingness")
round = 1
needs = ("protected",)

MOST_NAMED = 6
"""Columns named in a sentence and among the numbers."""


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_difference: float = 0.05,
    least_noise: float = 0.03,
    least_apart: float = 0.01,
    least_labels: int = 300,
    level: float = 0.95,
) -> Iterator[Finding]:
    """`bias.missingness`, `bias.label_quality`: one finding an attribute, on training rows.

    Missingness: shares of missing cells of two groups differ by `least_difference` and surely by something
    (Newcombe's interval, Bonferroni over pairs of groups, columns and attributes), so where no group differs any
    attribute is named in at most 5% of the cases. Label quality, for classes: of the rows that an out-of-fold model
    is surest of the share with another label differs by `least_noise` between groups of `least_labels` rows, and
    the 95% intervals lie `least_apart` from each other.
    """
    attributes = groups.groupings(table.train_cells, table.protected)
    gaps = [name for name in table.train.columns if 0 < table.train_cells.missing(name) < table.train.height]
    tests = max(1, sum(name not in one.columns for one in attributes for name in gaps))
    for one in attributes:
        found = [gap for name in gaps if name not in one.columns and (gap := missing(table, one, name, tests, level))]
        found = sorted((gap for gap in found if gap.difference >= least_difference), key=lambda gap: -gap.difference)
        if found:
            yield unequal_gaps(one, found)
    if target is not None and table.probe is not None and table.task != "regression":
        for one in attributes:
            yield from unequal_labels(table, one, least_noise, least_apart, least_labels)


# ---------------------------------------------------------------- missing cells


@dataclass(frozen=True)
class Gap:
    """A column, and the two groups whose shares of missing cells surely differ most."""

    column: str
    low: Group
    high: Group
    difference: float
    difference_low: float
    difference_high: float


def missing(table: View, attribute: Grouping, column: str, tests: int, level: float) -> Gap | None:
    """The pair of groups whose difference has the highest lower end; None where chance explains every one."""
    counted = groups.count(attribute, table.train[column].is_null().to_numpy())
    unknown = {attribute.names[at] for at in attribute.missing}
    kept = [one for one in counted if one.rows >= groups.LEAST_ROWS and one.name not in unknown]
    kept = sorted(kept, key=lambda one: -one.rows)[: groups.MOST_PAIRED]
    if len(kept) < 2:
        return None
    strict = 1 - (1 - level) / (tests * len(kept) * (len(kept) - 1) / 2)
    bounds_G2 = np.array([stats.wilson(one.positives, one.rows, strict) for one in kept])
    rate_G = np.array([one.rate for one in kept])
    apart_GG = rate_G[None, :] - rate_G[:, None]
    reach_GG = np.hypot((rate_G - bounds_G2[:, 0])[None, :], (bounds_G2[:, 1] - rate_G)[:, None])
    least, most = np.unravel_index((apart_GG - reach_GG).argmax(), apart_GG.shape)
    gap, low, high = groups.difference_of(kept[most], kept[least], strict)
    return Gap(column, kept[least], kept[most], gap, float(low), float(high)) if low > 0 else None


def unequal_gaps(attribute: Grouping, found: list[Gap]) -> Finding:
    """The finding of an attribute whose groups are recorded unequally."""
    first = found[0]
    named = ", ".join(
        f"{gap.column} ({gap.high.rate:.1%} of {gap.high.name}, {gap.low.rate:.1%} of {gap.low.name})"
        for gap in found[:MOST_NAMED]
    )
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    name = attribute.attribute
    return Finding(
        code="bias.missingness",
        severity="warn" if first.difference >= 0.1 else "note",
        says=f"cells are missing more often for some groups of {name}: {named}{more}",
        columns=[name, *(gap.column for gap in found)],
        numbers={
            "difference": first.difference,
            "low": first.difference_low,
            "high": first.difference_high,
            "columns": float(len(found)),
            **{f"difference {gap.column}": gap.difference for gap in found[:MOST_NAMED]},
        },
        fix=Fix(
            do="reweigh",
            columns=[name],
            says="find out why and record the missing cells; a model would read the group off them. Later stages "
            "offer reweighing, and imputation without the gap as a feature",
        ),
    )


# ---------------------------------------------------------------- labels


def unequal_labels(
    table: View, attribute: Grouping, least_noise: float, least_apart: float, least_labels: int
) -> Iterator[Finding]:
    """The finding of an attribute where one group's labels are less to be trusted."""
    rates = noise(table, attribute, least_labels)
    shaky = [(one.low, name) for name, one in rates.items() if one.supported]
    if not shaky or len(rates) < 2:
        return
    worst = max(shaky)[1]
    best = min(rates, key=lambda name: rates[name].high)
    bad, good = rates[worst], rates[best]
    if bad.error - good.error < least_noise or bad.low - good.high < least_apart:
        return
    name = attribute.attribute
    yield Finding(
        code="bias.label_quality",
        severity="warn",
        says=f"labels of {name} = {worst} are wrong in about {bad.error:.1%} [{bad.low:.1%}, {bad.high:.1%}] of the "
        f"rows that a model is surest of, those of {best} in {good.error:.1%}",
        columns=[name],
        numbers={
            "difference": bad.error - good.error,
            "error": bad.error,
            "low": bad.low,
            "high": bad.high,
            **{f"error {group}": one.error for group, one in list(rates.items())[:MOST_NAMED]},
        },
        fix=Fix(
            do="reweigh",
            columns=[name],
            says="review this group's labels first (label.error names rows); later stages offer reweighing",
        ),
    )


def noise(table: View, attribute: Grouping, least_labels: int) -> dict[str, Rate]:
    """Estimated share of wrong labels of each group that is large enough."""
    probe = table.probe
    assert probe is not None
    p_PK = probe.out_of_fold().p_SK
    code_P = attribute.code_N[probe.rows_P]
    found = {}
    for at in np.flatnonzero(np.bincount(code_P, minlength=len(attribute.names)) >= least_labels):
        rows = np.flatnonzero(code_P == at)
        found[attribute.names[at]] = labels.shared_rate(labels.proper(p_PK[rows]), probe.y_P[rows])
    return found
