"""Leaks of the user's own pipeline: which rows its steps were fitted on and scored with (needs a fit ledger)."""

from collections.abc import Iterator

import polars as pl

from forgeline.engine import ledger
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("leak.no_test_set", "leak.preprocessing", "leak.selection", "leak.test_reuse")
needs = ("ledger",)

PIPELINE = "split first, and put the steps into a Pipeline with the model"
FIXES = {
    "leak.no_test_set": "score on rows that no step was fitted on: split first",
    "leak.preprocessing": PIPELINE,
    "leak.selection": PIPELINE,
    "leak.test_reuse": "choose by cross-validation on the training rows, and score the chosen model once",
}


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_overlap: float = 0.05,
    most_models: int = 2,
    least_effect: float = 0.005,
) -> Iterator[Finding]:
    """The leaks that the fit ledger shows; nothing without one.

    least_overlap: share of the scored rows from which a step or model counts as fitted on them. most_models: how
    many models one test set may judge. least_effect: added score from which preprocessing and reuse block.
    """
    for verdict in ledger.judge(
        table.ledger, least_overlap=least_overlap, most_models=most_models, least_effect=least_effect
    ):
        yield Finding(
            code=verdict.code,
            severity=verdict.severity,
            says=verdict.says,
            numbers=verdict.numbers,
            fix=Fix(do="split", says=FIXES[verdict.code]),
        )
