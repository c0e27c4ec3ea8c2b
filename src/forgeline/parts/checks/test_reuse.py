"""A test set that was scored again and again to choose a model (leakage; needs a fit ledger)."""

from collections.abc import Iterator

import polars as pl

from forgeline.engine import ledger
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.test_reuse",)
needs = ("ledger",)


def check(
    table: View, target: pl.Series | None, *, most_models: int = 2, least_effect: float = 0.005
) -> Iterator[Finding]:
    """`leak.test_reuse`, judged on the fit ledger; nothing without one.

    most_models: how many models one test set may judge. least_effect: added score from which it blocks.
    """
    for verdict in ledger.judge(table.ledger, most_models=most_models, least_effect=least_effect):
        if verdict.code == "leak.test_reuse":
            yield Finding(
                code=verdict.code,
                severity=verdict.severity,
                says=verdict.says,
                numbers=verdict.numbers,
                fix=Fix(
                    do="split", says="choose by cross-validation on the training rows, and score the chosen model once"
                ),
            )
