"""The remediation queue as a table that a person edits: written by `--export`, read back by `--review`.

One line a finding, in the queue's order, and below it one line for each row it names. `decision` is left empty, or
says `apply` (do what `do` says) or `keep` (leave it as it is; for a blocking finding with who signs, and why).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from forgeline.engine.store import write_atomic
from forgeline.errors import BadInput, choices
from forgeline.records import Assessment, Finding, Ref

COLUMNS = ("code", "severity", "columns", "row", "score", "do", "value", "gain", "says", "decision", "by", "reason")
NEEDED = ("code", "columns", "row", "do", "value", "decision", "by", "reason")
DECISIONS = ("apply", "keep")
FOR_ROWS = ("drop_rows", "relabel", "missing")
"""What can be done to single rows."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One line that somebody decided."""

    line: int
    code: str
    columns: list[str]
    row: int | None
    decision: str
    do: str = ""
    value: str = ""
    by: str = ""
    reason: str = ""

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """What finding it is about."""
        return self.code, tuple(self.columns)


# ---------------------------------------------------------------- out


def export(assessment: Assessment, read: Callable[[Ref], pl.DataFrame], path: Path, *, most_rows: int = 10_000) -> int:
    """Write the queue as CSV; how many lines. Of a finding's rows the `most_rows` with the highest score are written.

    Errors: BadInput when the file cannot be written.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    count = 0
    for finding in queued(assessment):
        for line in lines(finding, read, most_rows):
            table.writerow(line)
            count += 1
    try:
        write_atomic(path, text.getvalue().encode())
    except OSError as error:
        remedy = "Name a file in a folder that is there."
        raise BadInput(f"cannot write {path} ({error.strerror})", remedy=remedy) from None
    return count


def queued(assessment: Assessment) -> list[Finding]:
    """The findings, those of the queue first and in its order."""
    places = [remedy.finding for remedy in assessment.facts.queue]
    rest = [at for at in range(len(assessment.findings)) if at not in set(places)]
    return [assessment.findings[at] for at in [*places, *rest]]


def lines(finding: Finding, read: Callable[[Ref], pl.DataFrame], most_rows: int) -> Iterator[dict[str, Any]]:
    """A finding's own line, then those of its rows, the surest first."""
    do = finding.fix.do if finding.fix else ""
    columns = json.dumps(finding.columns, ensure_ascii=False)
    shared = {"code": finding.code, "severity": finding.severity, "columns": columns}
    gain = finding.numbers.get("gain")
    yield shared | {"do": do, "gain": "" if gain is None else f"{gain:.6g}", "says": finding.says}
    if finding.rows is None or finding.rows.ref is None:
        return
    rows = read(finding.rows.ref).sort(["score", "row"], descending=[True, False]).head(most_rows)
    for each in rows.iter_rows(named=True):
        mine = do if do in FOR_ROWS else "drop_rows"
        said = {"row": each["row"], "score": f"{each['score']:.6g}", "do": mine, "value": each.get("value") or ""}
        yield shared | said


# ---------------------------------------------------------------- back


def read(path: Path, shown: str) -> list[Decision]:
    """The lines that somebody decided. Errors: BadInput naming the file and the line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"the review cannot be read ({getattr(error, 'strerror', None) or error})",
            where=shown,
            remedy="Write one with: forgeline assess DATA --export review.csv",
        ) from None
    table = csv.DictReader(io.StringIO(text))
    lacks = [name for name in NEEDED if name not in (table.fieldnames or [])]
    if lacks:
        what = f"the review lacks the columns {', '.join(lacks)}"
        raise BadInput(what, where=shown, remedy="Keep the header of the export.")
    return [decision(line, table.line_num, shown) for line in table if (line["decision"] or "").strip()]


def decision(line: dict[str, str | None], number: int, shown: str) -> Decision:
    """One decided line. Errors: BadInput naming the line."""
    where = f"{shown}, line {number}"
    word = (line["decision"] or "").strip().lower()
    if word not in DECISIONS:
        raise BadInput(f"the decision is {word!r}", where=where, asked=word, known=DECISIONS)
    found = Decision(
        line=number,
        code=(line["code"] or "").strip(),
        columns=names(line["columns"] or "[]", where),
        row=whole(line["row"] or "", where),
        decision=word,
        do=(line["do"] or "").strip(),
        value=(line["value"] or "").strip(),
        by=(line["by"] or "").strip(),
        reason=(line["reason"] or "").strip(),
    )
    if found.row is not None and word == "apply":
        check_row(found, where)
    return found


def check_row(found: Decision, where: str) -> None:
    """Raise BadInput unless the line says what to do with its row."""
    if found.do not in FOR_ROWS:
        raise BadInput(f"do is {found.do!r} for a single row", where=where, asked=found.do, known=FOR_ROWS)
    if found.do == "relabel" and not found.value:
        remedy = "Write it there, or decide keep."
        raise BadInput("relabel needs the right label in `value`", where=where, remedy=remedy)


def names(text: str, where: str) -> list[str]:
    """The columns of a line, a JSON list. Errors: BadInput."""
    try:
        found: list[str] = msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        raise BadInput(f"columns is {text!r}", where=where, remedy='Keep it as exported, such as ["age"].') from None
    return found


def whole(text: str, where: str) -> int | None:
    """The row of a line, or None. Errors: BadInput."""
    if not text.strip():
        return None
    if not text.strip().isdigit():
        raise BadInput(f"row is {text!r}", where=where, remedy="Rows are whole numbers from 0, as exported.")
    return int(text)


# ---------------------------------------------------------------- what is decided


def settled(decisions: Sequence[Decision], findings: Iterable[Finding], learns_N: np.ndarray, shown: str) -> None:
    """Raise BadInput where a decision lacks a signature or names a row that is no training row."""
    blocking = {(finding.code, tuple(finding.columns)) for finding in findings if finding.severity == "block"}
    for each in decisions:
        where = f"{shown}, line {each.line}"
        if each.row is not None and not (each.row < len(learns_N) and learns_N[each.row]):
            remedy = "Only training rows can be changed."
            raise BadInput(f"row {each.row} is no training row", where=where, remedy=remedy)
        if each.row is None and each.decision == "keep" and each.key in blocking and not (each.by and each.reason):
            raise BadInput(
                f"{each.code} blocks, so keeping it needs `by` and `reason`",
                where=where,
                remedy="Say who takes responsibility, and why.",
            )


def unused(decisions: Sequence[Decision], findings: Sequence[Finding], shown: str) -> list[Finding]:
    """A note for each decision about something that was not found."""
    known = {(finding.code, tuple(finding.columns)) for finding in findings}
    gone = {each.key: each for each in decisions if each.key not in known}
    return [
        Finding(
            code="spec.review_unused",
            severity="note",
            says=f"{shown}, line {each.line}: {each.code} of {', '.join(each.columns) or 'no column'} was not found. "
            f"{choices(each.code, {finding.code for finding in findings})}".strip(),
        )
        for each in gone.values()
    ]


def by_finding(decisions: Sequence[Decision], word: str) -> set[tuple[str, tuple[str, ...]]]:
    """Findings about which somebody decided so, as a whole."""
    return {each.key for each in decisions if each.row is None and each.decision == word}


def by_row(decisions: Sequence[Decision]) -> pl.DataFrame:
    """What is to be done with single rows: row, do, value, columns (JSON)."""
    chosen = [each for each in decisions if each.row is not None and each.decision == "apply"]
    return pl.DataFrame(
        {
            "row": [each.row for each in chosen],
            "do": [each.do for each in chosen],
            "value": [each.value for each in chosen],
            "columns": [json.dumps(each.columns) for each in chosen],
        },
        schema={"row": pl.Int64, "do": pl.String, "value": pl.String, "columns": pl.String},
    )
