"""Labels that are likely wrong, row by row, from what a model says of rows that it has not seen."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from forgeline.engine import labels, split
from forgeline.engine.labels import LabelScores
from forgeline.engine.probe import Cross, Probe
from forgeline.kinds import View, label_text, ordered
from forgeline.records import Finding, Fix

codes = ("label.error",)
round = 3
needs = ("target",)
SUSPECTED = {("warn", f"leak.{kind}") for kind in ("target_copy", "identifier", "missingness", "after_outcome")}
"""Suspicions that are enough to leave a column out."""


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_rows: int = 100,
    least_chance: float = 0.35,
    least_value_chance: float = 0.5,
    least_explained: float = 0.2,
    least_explained_given: float = 0.1,
    block_share: float = 0.4,
) -> Iterator[Finding]:
    """`label.error`, on training rows: rows whose label is wrong with a chance of at least `least_chance`.

    Judged by the quick model without columns that leak (what was made from a wrong label agrees with it); a proxy that
    is only suspected stays, for without an honest strong column hard rows would look wrong. Or by the user's own
    outputs, of which noise may differ by class. Nothing is said by a quick model that explains less than
    `least_explained` of the labels' entropy, or a given one less than `least_explained_given`; and what ignorance
    explains is not reported: see `engine.labels`. Blocks where surely more than `block_share` of the labels are wrong.
    """
    if table.probe is None or target is None or len(table.probe.y_N) < least_rows:
        return
    rows_S, p_SK = outputs(table)
    y_S = table.probe.y_N[rows_S]
    if table.task == "regression":
        found = labels.value_scores(y_S - p_SK[:, 0], p_SK[:, 0], least_chance=least_value_chance)
    else:
        own = table.probabilities is None
        if labels.explained(p_SK, y_S) < (least_explained if own else least_explained_given):
            return
        found = labels.class_scores(p_SK, y_S, noise="shared" if own else "by_class", least_chance=least_chance)
    if found.flagged_N.any():
        yield finding(table, found, rows_S, block=found.low >= block_share)


def outputs(table: View) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the judged training rows and what a model says of them out of sample."""
    if table.probabilities is not None:
        return np.arange(len(table.probabilities)), table.probabilities
    assert table.probe is not None
    leaks = {
        name
        for one in table.found
        if one.code.startswith("leak.") and (one.severity == "block" or (one.severity, one.code) in SUSPECTED)
        for name in one.columns
        if name in table.train.columns
    }
    cross = asked(table.probe, leaks)
    return table.probe.rows_P[cross.rows_S], cross.p_SK


def asked(probe: Probe, leaks: set[str], *, most_rows: int = 12_000, trees: int = 80) -> Cross:
    """What a model says of each row of the pool.

    Other rows of its entity are the best witnesses of what a label should be, so they are not kept together here:
    this is no estimate of how well entities that were never seen are told.
    """
    if probe.unit_N is None:
        return probe.out_of_fold(without=leaks)
    names = [name for name in probe.names if name not in leaks]
    fold_P = probe.folds_of(split.mix(probe.sum_P))
    return probe.crossed(names, np.arange(len(probe.y_P)), fold_P, most_rows=most_rows, trees=trees)


def finding(table: View, found: LabelScores, rows_S: np.ndarray, *, block: bool) -> Finding:
    """The finding, its rows with their chance of being wrong, the likeliest first."""
    flagged = np.flatnonzero(found.flagged_N)
    flagged = flagged[np.argsort(found.fidelity_N[flagged], kind="stable")]
    wrong = 1 - found.fidelity_N[flagged]
    rows = table.keep_rows(table.train_ids[rows_S[flagged]], wrong, suggestions(table, found.suggested_N[flagged]))
    judged = len(rows_S)
    return Finding(
        code="label.error",
        severity="block" if block else "warn",
        says=f"about {found.error_share:.1%} [{found.low:.1%}, {found.high:.1%}] of the values of {table.target_name} "
        f"look wrong to {'the model given' if table.probabilities is not None else 'a quick model'}; "
        f"{len(flagged):,} of {judged:,} rows are worth a look",
        columns=[table.target_name],
        rows=rows,
        numbers={
            "errors": float(wrong.sum()),
            "share": found.error_share,
            "low": found.low,
            "high": found.high,
            "rows": float(judged),
        },
        fix=Fix(do="relabel", columns=[], says="look at each row and correct its label, the likeliest first"),
    )


def suggestions(table: View, suggested: np.ndarray) -> Sequence[str] | None:
    """The likeliest label of each row as text; none for values, of which only an estimate is known."""
    if table.task == "regression":
        return None
    texts = [label_text(label) for label in ordered(table)]
    return [texts[k] for k in suggested]
