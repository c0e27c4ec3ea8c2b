"""Scores of rows that the model was fitted on, with none kept apart (leakage; needs a fit ledger)."""

from collections.abc import Iterator

import polars as pl

from forgeline.engine import ledger
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.no_test_set",)
needs = ("ledger",)


def check(table: View, target: pl.Series | None, *, least_overlap: float = 0.05) -> Iterator[Finding]:
    """`leak.no_test_set`, judged on the fit ledger; nothing without one.

    least_overlap: share of the scored rows from which a model counts as fitted on them.
    """
    for verdict in ledger.judge(table.ledger, least_overlap=least_overlap):
        if verdict.code == "leak.no_test_set":
            yield Finding(
                code=verdict.code,
                severity=verdict.severity,
                says=verdict.says,
                numbers=verdict.numbers,
                fix=Fix(do="split", says="score on rows that no step was fitted on: split first"),
            )
