"""A release and new data → keep it, watch it, or retrain it: how sure that is, and why."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from forgeline.monitoring.counting import CountingReader
from forgeline.monitoring.drift import Drift, judge
from forgeline.monitoring.performance import performance
from forgeline.records import Number
from forgeline.serving.reader import content, notes
from forgeline.spec import Monitor

Answer = Literal["keep", "watch", "retrain"]

LEAST_ROWS = 30
"""Fewer rows are not judged."""
LARGE = 0.1
"""Share of rows in other bins than before (total variation distance) from which a drift is large."""
NO_PREDICTIONS = "predictions are not compared: the release tells nothing of them"
SHOWN = 20
"""Tests that the text shows; alarms come first."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What monitoring says of a release and new data."""

    verdict: Answer
    why: str
    release: str | None
    """Digest of the release."""
    rows: int
    labelled: int
    """Rows whose target is given and known."""
    false_alarm: float
    """Probability of any alarm at all if nothing has changed."""
    tests: list[Drift] = []
    """Surest first: inputs, predictions, and, where the target is given, target and performance."""
    numbers: dict[str, Number] = {}
    """The score at release and now: `test.<metric>` (or `cv.`) and `new.<metric>`."""
    notes: list[str] = []


def monitor(release: Path, data: Path, *, false_alarm: float | None = None) -> Verdict:
    """Compare new rows with what the release was trained on. It never trains.

    retrain: the score is measurably worse than at release, or a prediction drifts by LARGE or more, or more
    than half of the inputs do. watch: any other alarm, or too few rows to judge. keep: no alarm.
    All tests are one family: if nothing has changed, any alarm at all has the probability `false_alarm`.
    Errors: BadRows for a release or data that cannot be used.
    """
    level = Monitor().false_alarm if false_alarm is None else false_alarm
    reader = CountingReader(release)
    about = json.loads(content(release / "forgeline.json"))
    reader.count_files(data)
    truth_N, answers_NK = reader.labelled()
    numbers, worse = performance(about, truth_N, answers_NK)
    tests = judge([*reader.compared(), *worse], level) if reader.rows >= LEAST_ROWS else []
    verdict, why = decide(tests) if tests else ("watch", f"too few rows to judge: {reader.rows} of {LEAST_ROWS}")
    return Verdict(
        verdict=verdict,
        why=why,
        release=about.get("digest"),
        rows=reader.rows,
        labelled=len(truth_N),
        false_alarm=level,
        tests=tests,
        numbers=numbers,
        notes=[
            *notes(reader.tally),
            *departures(reader, data),
            *([] if reader.reference["predictions"] else [NO_PREDICTIONS]),
        ],
    )


def departures(reader: CountingReader, data: Path, *, most: int = 20) -> list[str]:
    """Where the columns the model reads depart from the schema of the training rows, a line each."""
    from forgeline.engine import schema, tables

    expected = reader.reference.get("schema")
    if expected is None:
        return []
    known = msgspec.convert(expected, schema.Schema)
    missing = reader.signature["missing"]
    rows = tables.read(tables.find(str(data), Path.cwd()), missing).frame
    used = {each["name"] for each in reader.inputs if each["kind"] != "image"} & set(rows.columns)
    frame, _ = tables.settle(rows.select(used), {}, missing)
    found = schema.compare(
        schema.Schema(rows=known.rows, columns=[each for each in known.columns if each.name in used]), frame
    )
    return [f"schema: {one.says}" for one in found[:most]]


def decide(tests: Sequence[Drift]) -> tuple[Answer, str]:
    """The verdict that judged tests add up to, and why."""
    alarms = [test for test in tests if test.alarm]
    inputs = sum(test.what == "input" for test in tests)
    large = sum(test.what == "input" and test.size >= LARGE for test in alarms)
    for test in alarms:
        if test.what == "performance":
            return "retrain", f"{test.column} is measurably worse, {test.says}"
        if test.what == "prediction" and test.size >= LARGE:
            return (
                "retrain",
                f"{test.column} drifts: {test.size:.0%} of the rows changed bins, the bound is {LARGE:.0%}",
            )
    if large > inputs / 2:
        return "retrain", f"{large} of {inputs} inputs drift by {LARGE:.0%} of the rows or more"
    if alarms:
        names = ", ".join(test.column for test in alarms[:5]) + (" …" if len(alarms) > 5 else "")
        return "watch", f"{len(alarms)} of {len(tests)} tests raise an alarm: {names}"
    return "keep", f"none of {len(tests)} tests raises an alarm"


def lines(result: Verdict) -> list[str]:
    """The verdict as text: what and why, what was scored, then a table of the tests, surest first."""
    found = [
        f"{result.verdict}: {result.why}",
        f"{result.rows:,} rows, {result.labelled:,} with a known target",
    ]
    found += [f"{name}: not known, {each.why}" for name, each in result.numbers.items() if each.value is None]
    found += [f"note: {note}" for note in result.notes]
    return [*found, "", *table(result)] if result.tests else found


def table(result: Verdict) -> list[str]:
    """The tests in aligned columns."""
    head = ["", "column", "what", "p", "size", "psi", "largest change"]
    rows = [head, *map(row, result.tests[:SHOWN])]
    widths = [max(len(cells[at]) for cells in rows) for at in range(len(head))]
    shown = ["  ".join(map(str.ljust, cells, widths)).rstrip() for cells in rows]
    if len(result.tests) > SHOWN:
        shown.append(f"and {len(result.tests) - SHOWN} more tests, less sure than these")
    family = f"p is adjusted for all {len(result.tests)} tests"
    return [
        *shown,
        "",
        f"{family}; unchanged data raises an alarm in at most {result.false_alarm:.3g} of cases",
    ]


def row(test: Drift) -> list[str]:
    """One test as cells of the table."""
    psi = "" if test.psi is None else f"{test.psi:.3f}"
    alarm = "ALARM" if test.alarm else ""
    return [alarm, test.column, test.what, f"{test.adjusted:.3g}", f"{test.size:.3f}", psi, test.says]
