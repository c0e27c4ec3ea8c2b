"""Records as people read them in a terminal: the same words as the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forgeline.records import Finding, GateResult, Number, Record, Table


def columns(rows: Sequence[Sequence[Any]], heads: Sequence[str]) -> list[str]:
    """Aligned columns with a head."""
    cells = [[str(head) for head in heads], *([cell(value) for value in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(heads))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in cells]


def cell(value: Any) -> str:
    """One cell: five digits for fractions, a dash for nothing."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return (
        f"{value:.5g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )


def number(value: dict[str, Any]) -> str:
    """A number with its unit and interval, or why there is none."""
    if value["value"] is None:
        return f"unknown: {value['why']}"
    ends = f"  [{cell(value['low'])}, {cell(value['high'])}]" if value.get("low") is not None else ""
    unit = f" {value['unit']}" if value.get("unit") else ""
    return f"{cell(value['value'])}{unit}{ends}"


def run_lines(run: dict[str, Any]) -> list[str]:
    """A run in a dozen lines: verdict, gates, scores, where things are."""
    numbers = run["numbers"]
    exam = (
        "test"
        if any(name.startswith("test.") and numbers[name]["value"] is not None for name in numbers)
        else "cv"
    )
    shown = [name for name in numbers if name.startswith(f"{exam}.") and name.count(".") == 1]
    shown += [name for name in numbers if name.startswith("fairness.") and name.endswith("parity_ratio")]
    shown += [name for name in ("size.bytes", "latency.p50", "time.total", "cost.total") if name in numbers]
    lines = [f"{run['verdict']}  {run['run']}"]
    lines += [
        f"  gate {'holds' if gate['holds'] else 'DOES NOT HOLD'}: {gate['gate']} ({cell(gate['value'])})"
        for gate in run["gates"]
    ]
    lines += [f"  {name:<42} {number(numbers[name])}{beside(name, numbers)}" for name in shown]
    lines.append(f"  report   {run['folder']}/report.html")
    if run["release"]:
        lines += [f"  release  {run['release']}", f"  digest   {run['digest']}"]
    return lines


def beside(name: str, numbers: dict[str, Any]) -> str:
    """What a score is compared with."""
    exam, _, metric = name.partition(".")
    found = [(other, numbers.get(f"{exam}.baseline.{other}.{metric}")) for other in ("linear", "majority")]
    return "".join(f"  {other} {cell(value['value'])}" for other, value in found if value)


def record_lines(record: Record) -> list[str]:
    """One stage's record: numbers, findings, tables."""
    import msgspec

    lines = [f"{record.stage}  {record.schema}", ""]
    lines += [f"  {name:<40} {number(msgspec.to_builtins(value))}" for name, value in record.numbers.items()]
    lines += ["", *finding_lines(record.findings)] if record.findings else []
    for table in record.tables:
        lines += ["", *table_lines(table)]
    return lines + gate_lines(record.gates)


def finding_lines(findings: Sequence[Finding], most: int = 60) -> list[str]:
    """Findings with what to do about each."""
    lines = []
    for finding in findings[:most]:
        where = (
            f" [{', '.join(finding.columns[:6])}{' …' if len(finding.columns) > 6 else ''}]"
            if finding.columns
            else ""
        )
        lines.append(f"  {finding.severity.upper():<5} {finding.code}{where}: {finding.says}")
        if finding.fix:
            lines.append(
                f"        fix: {finding.fix.do} {', '.join(finding.fix.columns[:6])}  {finding.fix.says}".rstrip()
            )
    return lines + ([f"  and {len(findings) - most} more"] if len(findings) > most else [])


def gate_lines(gates: Sequence[GateResult]) -> list[str]:
    """Each gate and whether it holds."""
    return [""] * bool(gates) + [
        f"  gate {'holds' if gate.holds else 'DOES NOT HOLD'}: {gate.gate} (it is {cell(gate.value)}) {gate.why}".rstrip()
        for gate in gates
    ]


def table_lines(table: Table, most: int = 40, width: int = 48) -> list[str]:
    """A table, cut to what a terminal holds."""
    rows = [[cut(cell(value), width) for value in row] for row in table.rows[:most]]
    lines = [f"  {table.title}{f' ({table.note})' if table.note else ''}"]
    lines += [f"    {line}" for line in columns(rows, table.columns)]
    return lines + ([f"    and {len(table.rows) - most} more"] if len(table.rows) > most else [])


def cut(text: str, width: int) -> str:
    """The text, or its beginning."""
    return text if len(text) <= width else text[: width - 1] + "…"


def compare(one: Any, two: Any) -> dict[str, Any]:
    """Two runs beside each other: spec keys that differ, and every number of either."""
    import msgspec

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
