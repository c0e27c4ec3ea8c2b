"""The remediation queue as a table that a person edits: written by `--export`, read back by `--review`.

One line a finding, in the queue's order, and below it one line for each training row it names. `decision` is left
empty, or says `apply` (do what `do` says) or `keep` (leave it as it is; for a blocking finding with who signs, and
why). What is said of a row wins over what is said of its finding.
Shapes: N rows of the snapshot.
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

from forgeline import mending
from forgeline.engine import split as sealing
from forgeline.engine.store import write_atomic
from forgeline.errors import BadInput, choices
from forgeline.kinds import label_text
from forgeline.records import Assessment, Finding, Ref

COLUMNS = ("code", "severity", "columns", "row", "score", "do", "value", "gain", "says", "decision", "by", "reason")
NEEDED = ("code", "columns", "row", "do", "value", "decision", "by", "reason")
DECISIONS = ("apply", "keep")
FOR_ROWS = ("drop_rows", "relabel", "missing")
"""What can be done to single rows."""
FOR_COLUMNS = ("drop", "cast")
"""What can only be done to a column as a whole."""
SIDES = {sealing.TEST: "it is sealed for the test", sealing.LEFT_OUT: "it has no target, so it is left out"}
"""Why a row is no training row."""
Key = tuple[str, tuple[str, ...]]
"""What a decision names a finding by: its code and columns."""


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
    def key(self) -> Key:
        """What finding it is about."""
        return self.code, tuple(self.columns)

    @property
    def said(self) -> str:
        """What shall be done, in a word or two."""
        change = f" {self.do} {self.value}" if self.do == "relabel" else f" {self.do}"
        return self.decision + (change if self.row is not None and self.decision == "apply" else "")


# ---------------------------------------------------------------- out


def export(assessment: Assessment, read: Callable[[Ref], bytes], path: Path, *, most_rows: int = 10_000) -> int:
    """Write the queue as CSV; how many lines. Of a finding's training rows the `most_rows` with the highest score.

    Errors: BadInput when the file cannot be written.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    side_N = np.load(io.BytesIO(read(assessment.facts.split)), allow_pickle=False)
    count, train = 0, np.flatnonzero(side_N == sealing.TRAIN)
    for finding in queued(assessment):
        for line in lines(finding, read, train, most_rows):
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


def lines(
    finding: Finding, read: Callable[[Ref], bytes], train: np.ndarray, most_rows: int
) -> Iterator[dict[str, Any]]:
    """A finding's own line, then those of its training rows, the surest first: others cannot be changed."""
    do = finding.fix.do if finding.fix else ""
    columns = json.dumps(finding.columns, ensure_ascii=False)
    shared = {"code": finding.code, "severity": finding.severity, "columns": columns}
    gain = finding.numbers.get("gain")
    yield shared | {"do": do, "gain": "" if gain is None else f"{gain:.6g}", "says": finding.says}
    if finding.rows is None or finding.rows.ref is None:
        return
    named = mending.rows_of(read(finding.rows.ref))
    named = named.filter(pl.Series(np.isin(named["row"].to_numpy(), train)))
    rows = named.sort(["score", "row"], descending=[True, False]).head(most_rows)
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


def possible(decisions: Sequence[Decision], side_N: np.ndarray, shown: str) -> None:
    """Raise BadInput where a row is not there or cannot be changed, or two lines say different things of one."""
    said: dict[tuple[Key, int | None], Decision] = {}
    for each in decisions:
        if each.row is not None:
            check_side(each.row, each.decision, side_N, f"{shown}, line {each.line}")
        first = said.setdefault((each.key, each.row), each)
        if first.said != each.said:
            what = f"row {each.row}" if each.row is not None else "the whole finding"
            raise BadInput(
                f"{each.code} is decided twice for {what}: line {first.line} says {first.said}, "
                f"line {each.line} says {each.said}",
                where=shown,
                remedy="Leave one of the two decisions empty.",
            )


def check_side(row: int, word: str, side_N: np.ndarray, where: str) -> None:
    """Raise BadInput unless the row is there and, where it shall be changed, is a training row."""
    if row >= len(side_N):
        what = f"row {row} is no {'training ' if word == 'apply' else ''}row: the data has {len(side_N):,} rows"
        raise BadInput(what, where=where, remedy="Rows are counted from 0, as exported.")
    why = SIDES.get(int(side_N[row]))
    if why and word == "apply":
        remedy = "Only training rows can be changed: write keep, or leave the decision empty."
        raise BadInput(f"row {row} is no training row: {why}", where=where, remedy=remedy)


def check_labels(
    decisions: Sequence[Decision], target: pl.Series | None, classes: Sequence[str | bool | int | float], shown: str
) -> None:
    """Raise BadInput where a row shall have a label that is no known class, or for values no number of their type."""
    for each in decisions:
        if each.row is None or each.decision != "apply" or each.do != "relabel":
            continue
        where = f"{shown}, line {each.line}"
        if target is None:
            raise BadInput("no target was named, so there is no label to change", where=where, remedy="Name --target.")
        if is_label(each.value, target.dtype, classes):
            continue
        kind = "class" if classes else "whole number" if target.dtype.is_integer() else "number"
        raise BadInput(
            f"`value` is {each.value!r}, which is no {kind} of {target.name}",
            where=where,
            asked=each.value,
            known=map(label_text, classes),
            remedy="Write the right label there, or decide keep.",
        )


def is_label(text: str, dtype: pl.DataType, classes: Sequence[str | bool | int | float]) -> bool:
    """Whether a text is a class or, where there are none, a finite number, read as refine reads it."""
    try:
        label = mending.read_as([text], dtype)[0]
    except ValueError:
        return False
    return label in classes if classes else bool(np.isfinite(label))


def settled(decisions: Sequence[Decision], findings: Iterable[Finding], shown: str) -> None:
    """Raise BadInput where a finding cannot be decided on so: for want of a fix, of a signature or of a choice."""
    found = {(finding.code, tuple(finding.columns)): finding for finding in findings}
    to_apply = by_finding(decisions, "apply")
    for each in decisions:
        finding, where = found.get(each.key), f"{shown}, line {each.line}"
        if finding is None:
            continue
        if each.row is None and each.decision == "apply":
            check_fix(finding, where)
        elif each.row is None and finding.severity == "block" and not (each.by and each.reason):
            raise BadInput(
                f"{each.code} blocks, so keeping it needs `by` and `reason`",
                where=where,
                remedy="Say who takes responsibility, and why.",
            )
        elif each.decision == "keep" and each.key in to_apply and finding.fix and finding.fix.do in FOR_COLUMNS:
            what = f"row {each.row} cannot be kept as it is: {finding.fix.do} of {each.code} changes the whole column"
            raise BadInput(what, where=where, remedy="Write keep for the finding, or leave the row's decision empty.")


def check_fix(finding: Finding, where: str) -> None:
    """Raise BadInput unless a finding has a fix that refine can apply."""
    if finding.fix and finding.fix.by_line:
        return
    why = f"its fix ({finding.fix.do}) is for a person" if finding.fix else "it has no fix"
    rows = ", or decide row by row" if finding.rows else ""
    remedy = f"Write keep, with by and reason{rows}."
    raise BadInput(f"nothing can be applied for {finding.code}: {why}", where=where, remedy=remedy)


def unused(decisions: Sequence[Decision], findings: Sequence[Finding], shown: str) -> list[Finding]:
    """A note for each decision about something that was not found."""
    known = {(finding.code, tuple(finding.columns)) for finding in findings}
    gone = {each.key: each for each in decisions if each.key not in known}
    return [
        Finding(
            code="spec.review_unused",
            severity="note",
            says=f"{shown}, line {each.line}: {each.code} of {', '.join(each.columns) or 'no column'} was not found. "
            f"{instead(each.code, findings)}".strip(),
        )
        for each in gone.values()
    ]


def instead(code: str, findings: Sequence[Finding]) -> str:
    """What was found: the columns of this code, else the codes that are like it."""
    columns = [", ".join(one.columns) or "no column" for one in findings if one.code == code]
    if columns:
        return f"{code} was found for: {'; '.join(columns)}."
    return choices(code, {finding.code for finding in findings})


def by_finding(decisions: Sequence[Decision], word: str) -> set[Key]:
    """Findings about which somebody decided so, as a whole."""
    return {each.key for each in decisions if each.row is None and each.decision == word}


def by_row(decisions: Sequence[Decision]) -> pl.DataFrame:
    """What is to be done with single rows: row, do (`keep`: nothing), value, and the finding's code and columns."""
    chosen = [each for each in decisions if each.row is not None]
    return pl.DataFrame(
        {
            "row": [each.row for each in chosen],
            "do": [each.do if each.decision == "apply" else "keep" for each in chosen],
            "value": [each.value for each in chosen],
            "code": [each.code for each in chosen],
            "columns": [json.dumps(each.columns) for each in chosen],
        },
        schema={"row": pl.Int64, "do": pl.String, "value": pl.String, "code": pl.String, "columns": pl.String},
    )


def of_finding(rows: pl.DataFrame, finding: Finding) -> np.ndarray:
    """Those of `by_row` that were decided on by themselves for a finding: its own fix leaves them alone."""
    mine = (pl.col("code") == finding.code) & (pl.col("columns") == json.dumps(finding.columns))
    return rows.filter(mine)["row"].to_numpy()
