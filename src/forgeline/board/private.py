"""What a reader is not shown: cells of columns that hold personal data, where a finding's sentence quotes them.

Tables and histograms of the record leave them out already. Where only a few cells of a column are personal, each
is masked where it would be quoted, and the rest of the column is shown.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from forgeline.records import Assessment, Finding, Record, personal_columns

R = TypeVar("R", bound=Record)

VALUELESS = (
    *("privacy.", "leak.", "structure.", "bias.", "quality.missing", "quality.identifier"),
    "quality.duplicate",
)
"""Codes whose sentences count or name columns and never quote a cell."""


def withheld(record: R) -> R:
    """The record without cells of personal columns in its findings."""
    if not isinstance(record, Assessment):
        return record
    names = personal_columns(record.findings)
    return msgspec.structs.replace(record, findings=[finding(each, names) for each in record.findings])


def finding(each: Finding, names: set[str]) -> Finding:
    """The finding; where its sentence may quote a personal value, only where it was found."""
    if not names & set(each.columns) or each.code.startswith(VALUELESS):
        return each
    says = f"{', '.join(each.columns)}: what was found is not shown, because personal data is among it"
    fix = each.fix and msgspec.structs.replace(each.fix, values={}, markers=[], says="")
    return msgspec.structs.replace(each, says=says, fix=fix)
