"""Classes so rare that a model learns little of them, or that scores hide them."""

from collections.abc import Iterator

import polars as pl

from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.imbalance",)
needs = ("target",)


def check(
    table: View,
    target: pl.Series | None,
    *,
    note_below: float = 0.1,
    warn_below: float = 0.01,
    warn_rows: int = 20,
) -> Iterator[Finding]:
    """`quality.imbalance`: the rarest class holds less than `note_below` of an even share of the training rows.

    An even share is 1 / classes, times 2, so that two classes are judged by the plain share. A warning below
    `warn_below`, or below `warn_rows` rows, from which little can be learned whatever the weights.
    """
    if target is None or table.task not in ("binary", "multiclass") or not len(target):
        return
    counted = target.drop_nulls().alias("class").value_counts(name="rows").sort(["rows", "class"])
    rare, rows, total = counted["class"][0], int(counted["rows"][0]), int(counted["rows"].sum())
    common = int(counted["rows"][-1])
    share = rows / total
    level = share * len(counted) / 2
    scarce = rows < warn_rows and level < 0.5
    if len(counted) < 2 or (level >= note_below and not scarce):
        return
    yield Finding(
        code="quality.imbalance",
        severity="warn" if level < warn_below or scarce else "note",
        says=f"{table.target_name} = {rare} holds {rows:,} of {total:,} training rows ({share:.2%}), "
        f"1 for {common / rows:,.0f} of {counted['class'][-1]}",
        columns=[table.target_name],
        numbers={"rows": rows, "share": share, "ratio": common / rows, "classes": len(counted)},
        fix=Fix(
            do="reweigh", says="weigh rows so that classes count alike, and judge by a score that heeds each class"
        ),
    )
