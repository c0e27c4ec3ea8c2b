"""Features chosen or encoded by the target of the test rows too (leakage; needs a fit ledger)."""

from collections.abc import Iterator

import polars as pl

from forgeline.engine import ledger
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.selection",)
needs = ("ledger",)


def check(table: View, target: pl.Series | None, *, least_overlap: float = 0.05) -> Iterator[Finding]:
    """`leak.selection`, judged on the fit ledger; nothing without one.

    least_overlap: share of the test rows from which a step counts as having seen them.
    """
    for verdict in ledger.judge(table.ledger, least_overlap=least_overlap):
        if verdict.code == "leak.selection":
            yield Finding(
                code=verdict.code,
                severity=verdict.severity,
                says=verdict.says,
                numbers=verdict.numbers,
                fix=Fix(do="split", says="split first, and put the steps into a Pipeline with the model"),
            )
