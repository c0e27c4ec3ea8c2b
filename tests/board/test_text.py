from types import SimpleNamespace

import pytest

from forgeline import spec
from forgeline.board import text
from forgeline.records import Finding, Fix, GateResult, Number, Table


def test_columns_are_aligned_and_nothing_is_a_dash():
    rows = [["a", 1234567], ["long", None], ["", True]]
    assert text.columns(rows, ["name", "n"]) == ["name  n", "a     1,234,567", "long  —", "—     yes"]


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (Number(value=3.0, unit="rows"), "3 rows"),
        (Number(value=0.5, low=0.25, high=0.75, level=0.95), "0.50  [0.25, 0.75] 95 %"),
        (Number(value=None, why="no labels"), "unknown: no labels"),
    ],
)
def test_a_number_has_its_unit_and_interval_or_its_reason(number, shown):
    assert text.number(number).startswith(shown)


def test_a_finding_is_told_with_its_fix():
    fix = Fix(do="drop", columns=["id"], says="it names rows")
    lines = text.finding_lines([Finding(code="x.y", severity="warn", says="odd", columns=["id"], fix=fix)] * 3, 2)
    assert lines[0] == "  WARN  x.y [id]: odd"
    assert lines[1] == "        fix: drop id  it names rows"
    assert lines[-1] == "  and 1 more"


def test_a_gate_that_does_not_hold_says_why():
    gates = [
        GateResult(gate="a >= 1", value=None, holds=False, why="no labels"),
        GateResult(gate="b < 1", value=0.5, holds=True),
    ]
    assert text.gate_lines(gates) == [
        "  gate DOES NOT HOLD: a >= 1 (it is —) no labels",
        "  gate holds: b < 1 (it is 0.5)",
    ]
    assert text.gate_lines([]) == []


def test_a_long_table_is_cut():
    table = Table(title="Many", columns=["a"], rows=[["x" * 100]] * 50, note="all")
    lines = text.table_lines(table, most=3, width=10)
    assert lines[0] == "  Many (all)"
    assert lines[2] == f"    {'x' * 9}…"
    assert lines[-1] == "    and 47 more"


def run(name, digest, asked, **numbers):
    return SimpleNamespace(
        name=name,
        digest=digest,
        ask=spec.check(asked),
        numbers={key: Number(value=value, why="" if value is not None else "x") for key, value in numbers.items()},
    )


def test_two_runs_are_compared_by_what_was_asked_and_every_number():
    result = text.compare(
        run("r1", "d1", {"budget": {"work": 3.0}}, rmse=2.0, mae=1.0),
        run("r2", "d2", {"budget": {"work": 5.0}, "seed": 1}, rmse=1.5, mae=1.0, r2=None),
    )
    assert result["asked"] == {"budget.work": [3.0, 5.0], "seed": [0, 1]}
    assert result["numbers"] == {"rmse": [2.0, 1.5], "mae": [1.0, 1.0], "r2": [None, None]}
    lines = "\n".join(text.compare_lines(result))
    assert "rmse    2  1.5  -0.5" in lines
    assert "mae" not in lines
    assert lines.endswith("The releases differ.")


def test_equal_runs_are_said_to_be_equal():
    lines = text.compare_lines(text.compare(run("r1", "d", {}, rmse=1.0), run("r2", "d", {}, rmse=1.0)))
    assert lines[-1] == "The releases are equal."
    assert "Both were asked for the same." in lines
    assert "Every number is equal." in lines


def test_flat():
    assert text.flat({"a": {"b": 1, "c": {}}, "d": [2]}) == {"a.b": 1, "a.c": {}, "d": [2]}


def test_an_assessment_is_told_from_its_score_to_its_tables(assessed):
    lines = text.record_lines(assessed())
    told = "\n".join(lines)
    heads = ["quality.score", "Mending everything", "Remediation queue", "Leaks: ", "  WARN  bias", "sex: how often"]
    assert [told.index(head) for head in heads] == sorted(told.index(head) for head in heads)
    assert "--export review.csv" in told
    assert "and 1 more" not in told


def test_a_long_queue_and_many_notes_are_cut(assessed):
    found = [
        Finding(code="quality.odd", severity="note", says=f"column {at} is odd", fix=Fix(do="drop", columns=["a"]))
        for at in range(40)
    ]
    lines = text.record_lines(assessed(found))
    assert "    and 30 more" in lines
    assert "  40 notes: quality.odd × 40 (the report has them in full)" in lines
    assert len(lines) < 60
