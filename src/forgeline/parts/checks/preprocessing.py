"""Scalers, imputers and encoders that were fitted on the test rows too (leakage; needs a fit ledger)."""

from collections.abc import Iterator

import polars as pl

from forgeline.engine import ledger
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.preprocessing",)
needs = ("ledger",)


def check(
    table: View, target: pl.Series | None, *, least_overlap: float = 0.05, least_effect: float = 0.005
) -> Iterator[Finding]:
    """`leak.preprocessing`, judged on the fit ledger; nothing without one.

    least_overlap: share of the test rows from which a step counts as having seen them. least_effect: added score from
    which it blocks.
    """
    for verdict in ledger.judge(table.ledger, least_overlap=least_overlap, least_effect=least_effect):
        if verdict.code == "leak.preprocessing":
            yield Finding(
                code=verdict.code,
                severity=verdict.severity,
                says=verdict.says,
                numbers=verdict.numbers,
                fix=Fix(do="split", says="split first, and put the steps into a Pipeline with the model"),
            )
