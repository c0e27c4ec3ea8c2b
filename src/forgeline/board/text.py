"""Records as people read them in a terminal: the same words as the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from forgeline.board import worth
from forgeline.board.figures import cell_text, count, interval_text, value_text
from forgeline.board.private import withheld
from forgeline.records import Assessment, Finding, GateResult, Number, Record, Table

MOST_QUEUED = 10
"""Places of the remediation queue that a terminal shows."""
MOST_LOUD = 30
"""Blocking findings and warnings that a terminal shows of an assessment."""
MOST_NOTES = 15
"""From so many notes on only their codes are counted."""


def columns(rows: Sequence[Sequence[Any]], heads: Sequence[str], *, blank: str = "—") -> list[str]:
    """Aligned columns with a head; `blank` stands for nothing."""
    cells = [list(heads), *([cell_text(value) if value != "" else blank for value in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(heads))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in cells]


def number(value: Number) -> str:
    """A number with its unit and interval, or why there is none."""
    if value.value is None:
        return f"unknown: {value.why}"
    return f"{value_text(value)}  {interval_text(value)}".rstrip()


def run_lines(run: dict[str, Any]) -> list[str]:
    """A run in a dozen lines: verdict, gates, scores beside baselines, where things are."""
    numbers = msgspec.convert(run["numbers"], dict[str, Number])
    exam = (
        "test" if any(name.startswith("test.") and each.value is not None for name, each in numbers.items()) else "cv"
    )
    scores = [name for name in numbers if name.startswith(f"{exam}.") and name.count(".") == 1 and numbers[name].n]
    scores += [name for name in numbers if name.startswith("fairness.") and name.endswith("parity_ratio")]
    rows = [[name, value_text(numbers[name]), interval_text(numbers[name]), *beside(name, numbers)] for name in scores]
    lines = [f"{run['verdict']}: {run['run']}", ""]
    lines += gate_lines(msgspec.convert(run["gates"], list[GateResult]))
    if rows:
        lines += [
            "",
            *(f"  {line}" for line in columns(rows, ["", "value", "interval", "linear", "majority"], blank="")),
        ]
    shown = [
        name
        for name in ("findings.warn", "test.reads", "size.bytes", "latency.p50", "time.total", "cost.total")
        if name in numbers
    ]
    lines += ["", *(f"  {name:<13} {number(numbers[name])}" for name in shown)] if shown else []
    lines += ["", f"  report   {near(run['folder'])}/report.html"]
    if run["release"]:
        lines += [f"  release  {near(run['release'])}", f"  digest   {run['digest']}"]
    return lines


def near(path: str) -> str:
    """A path as seen from here, where it lies below."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def beside(name: str, numbers: dict[str, Number]) -> list[str]:
    """What a score is compared with: the linear and the majority baseline."""
    exam, _, metric = name.partition(".")
    found = [numbers.get(f"{exam}.baseline.{other}.{metric}") for other in ("linear", "majority")]
    return [value_text(value) if value else "" for value in found]


def record_lines(record: Record) -> list[str]:
    """One stage's record: numbers, findings, tables; of an assessment first what the data is worth."""
    if isinstance(record, Assessment):
        return assess_lines(withheld(record))
    lines = [f"{record.stage}  {record.schema}", ""]
    lines += [f"  {name:<40} {number(value)}" for name, value in record.numbers.items()]
    lines += ["", *finding_lines(record.findings)] if record.findings else []
    for table in record.tables:
        lines += ["", *table_lines(table)]
    return [*lines, "", *gate_lines(record.gates)]


def assess_lines(record: Assessment) -> list[str]:
    """What the data is worth: the score, the remediation queue and the next command, findings, tables."""
    lines = [f"{record.stage}  {record.schema}", ""]
    lines += [f"  {name:<30} {number(value)}" for name, value in record.numbers.items()]
    lines += ["", f"  {worth.meaning(record)}", *queue_lines(record), *leak_lines(record)]
    lines += ["", *by_severity(record.findings)] if record.findings else []
    for table in [*worth.rates(record), *worth.other_tables(record)]:
        lines += ["", *table_lines(table, most=20)]
    return [*lines, "", *gate_lines(record.gates)]


def queue_lines(record: Assessment, most: int = MOST_QUEUED) -> list[str]:
    """The head of the remediation queue, and how its fixes are applied."""
    queue = record.facts.queue
    if not queue:
        return []
    of = worth.skill(record)
    rows = []
    for at, remedy in enumerate(queue[:most]):
        step = worth.step(record.findings[remedy.finding], None, record.facts.decided)
        told = ": ".join(part for part in (step.says, step.command) if part)
        gain = worth.gain_text(remedy.gain, of)
        says = cut(record.findings[remedy.finding].says, 60)
        rows.append([str(at + 1), gain, worth.gain_ends(remedy, of), says, told])
    lines = ["", f"  Remediation queue (expected gain: {worth.unit(of)})"]
    lines += [f"    {line}" for line in columns(rows, ["", "gain", "interval", "what was found", "to mend it"])]
    more = len(queue) - most
    lines += [f"    and {more:,} more"] if more > 0 else []
    return [
        *lines,
        "  Next: forgeline run with --apply CODE, or forgeline assess with --export review.csv to decide row by row.",
    ]


def leak_lines(record: Assessment) -> list[str]:
    """How many kinds of leak were looked for, and the split."""
    how = record.facts.split_how
    return ["", f"  Leaks: {worth.looked_says(worth.looked_for(record))}", f"  Split: {how}. {worth.follows(record)}"]


def by_severity(findings: Sequence[Finding]) -> list[str]:
    """Blocking findings and warnings with their fixes; many notes as counts per code."""
    loud = [each for each in findings if each.severity == "block"]
    loud += [each for each in findings if each.severity == "warn"]
    notes = [each for each in findings if each.severity == "note"]
    if len(notes) <= MOST_NOTES:
        return [*finding_lines(loud, MOST_LOUD), *finding_lines(notes)]
    tally = Counter(each.code for each in notes)
    told = [f"{code} × {many}" if many > 1 else code for code, many in tally.most_common()]
    return [
        *finding_lines(loud, MOST_LOUD),
        f"  {count(len(notes), 'note')}: {', '.join(told)} (the report has them in full)",
    ]


def finding_lines(findings: Sequence[Finding], most: int = 60) -> list[str]:
    """Findings with what to do about each."""
    lines = []
    for finding in findings[:most]:
        where = (
            f" [{', '.join(finding.columns[:6])}{' …' if len(finding.columns) > 6 else ''}]" if finding.columns else ""
        )
        lines.append(f"  {finding.severity.upper():<5} {finding.code}{where}: {finding.says}")
        if finding.fix:
            on = ", ".join(finding.fix.columns[:6])
            lines.append(f"        fix: {finding.fix.do} {on}  {cut(finding.fix.says, 120)}".rstrip())
    return lines + ([f"  and {len(findings) - most} more"] if len(findings) > most else [])


def gate_lines(gates: Sequence[GateResult]) -> list[str]:
    """Each gate and whether it holds."""
    verdict = {True: "holds", False: "DOES NOT HOLD"}
    return [
        f"  gate {verdict[gate.holds]}: {gate.gate} (it is {cell_text(gate.value)}) {gate.why}".rstrip()
        for gate in gates
    ]


def table_lines(table: Table, most: int = 40, width: int = 48) -> list[str]:
    """A table, cut to what a terminal holds."""
    rows = [[cut(cell_text(value), width) for value in row] for row in table.rows[:most]]
    lines = [f"  {table.title}{f' ({table.note})' if table.note else ''}"]
    lines += [f"    {line}" for line in columns(rows, table.columns)]
    return lines + ([f"    and {len(table.rows) - most} more"] if len(table.rows) > most else [])


def cut(text: str, width: int) -> str:
    """The text, or its beginning."""
    return text if len(text) <= width else text[: width - 1] + "…"


def compare(one: Any, two: Any) -> dict[str, Any]:
    """Two runs beside each other: spec keys that differ, and every number of either."""
    asks = [flat(msgspec.to_builtins(run.ask)) for run in (one, two)]
    keys = [key for key in sorted({*asks[0], *asks[1]}) if asks[0].get(key) != asks[1].get(key)]
    numbers: list[dict[str, Number]] = [run.numbers for run in (one, two)]
    names = list(dict.fromkeys([*numbers[0], *numbers[1]]))
    return {
        "runs": [one.name, two.name],
        "asked": {key: [ask.get(key) for ask in asks] for key in keys},
        "numbers": {name: [value(each.get(name)) for each in numbers] for name in names},
        "digests": [one.digest, two.digest],
    }


def value(number: Number | None) -> float | None:
    """A number's value, if there is one."""
    return number.value if number else None


def flat(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` → `{"a.b": 1}`."""
    found: dict[str, Any] = {}
    for key, item in plain.items():
        found |= flat(item, f"{prefix}{key}.") if isinstance(item, dict) and item else {f"{prefix}{key}": item}
    return found


def compare_lines(result: dict[str, Any]) -> list[str]:
    """A comparison as aligned columns; numbers that are equal are left out."""
    lines = [f"A  {result['runs'][0]}", f"B  {result['runs'][1]}", ""]
    asked = [[key, *map(str, pair)] for key, pair in result["asked"].items()]
    lines += columns(asked, ["asked", "A", "B"]) if asked else ["Both were asked for the same."]
    rows = [[name, *pair, difference(*pair)] for name, pair in result["numbers"].items() if pair[0] != pair[1]]
    lines += ["", *columns(rows, ["number", "A", "B", "B − A"])] if rows else ["", "Every number is equal."]
    same = result["digests"][0] == result["digests"][1]
    return [*lines, "", "The releases are equal." if same else "The releases differ."]


def difference(a: float | None, b: float | None) -> float | None:
    """b − a, where both are known."""
    return None if a is None or b is None else b - a
