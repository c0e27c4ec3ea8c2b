import json

import numpy as np
import polars as pl
import pytest

from forgeline import records, review
from forgeline.errors import BadInput
from forgeline.records import Finding, Fix, Ref, Remedy, Rows

LABELS = Finding(
    code="label.error",
    severity="warn",
    says="two labels look wrong",
    rows=Rows(count=2, ref=Ref(digest="labels", size_bytes=1)),
    numbers={"gain": 0.25},
    fix=Fix(do="relabel"),
)
DROP = Fix(do="drop", columns=["a, b"])
LEAK = Finding(code="leak.proxy", severity="block", says="a leak", columns=["a, b"], fix=DROP)
FILES = {"labels": pl.DataFrame({"row": [4, 9], "score": [0.6, 0.9], "value": ["yes", None]})}


def assessment(*findings, queue=()):
    facts = dict.fromkeys(["split", "split_how", "train_rows", "test_rows", "test_digest", "test_why", "group", "time"])
    queue = [Remedy(finding=at, code="", columns=[], rows=0, do="", gain=0, low=0, high=0) for at in queue]
    return records.Assessment(
        facts=records.AssessmentFacts(**facts, protected=[], checks=[], queue=queue), findings=list(findings)
    )


def exported(tmp_path):
    out = tmp_path / "review.csv"
    count = review.export(assessment(LEAK, LABELS, queue=[1]), lambda ref: FILES[ref.digest], out)
    return out, count


def edited(tmp_path, **cells):
    """The export with cells of some lines changed: `edited(path, line_2={"decision": "apply"})`."""
    out, _ = exported(tmp_path)
    table = pl.read_csv(out, infer_schema=False)
    rows = table.to_dicts()
    for name, change in cells.items():
        rows[int(name.removeprefix("line_")) - 2] |= change
    pl.DataFrame(rows, schema=table.schema).write_csv(out)
    return out


def test_the_queue_comes_first_and_below_each_finding_its_rows_the_surest_first(tmp_path):
    out, count = exported(tmp_path)
    rows = pl.read_csv(out, infer_schema=False).rows(named=True)
    assert [(row["code"], row["row"], row["do"], row["value"]) for row in rows] == [
        ("label.error", None, "relabel", None),
        ("label.error", "9", "relabel", None),
        ("label.error", "4", "relabel", "yes"),
        ("leak.proxy", None, "drop", None),
    ]
    assert (count, rows[0]["gain"], json.loads(rows[3]["columns"])) == (4, "0.25", ["a, b"])


def test_an_export_that_nobody_edited_decides_nothing(tmp_path):
    assert review.read(exported(tmp_path)[0], "review.csv") == []


def test_decisions_about_findings_and_rows_are_read_back(tmp_path):
    out = edited(
        tmp_path,
        line_4={"decision": "Apply", "value": " no "},
        line_5={"decision": "keep", "by": "ada", "reason": "known in advance"},
    )
    row, kept = review.read(out, "review.csv")
    assert (row.line, row.row, row.do, row.value) == (4, 4, "relabel", "no")
    assert (kept.key, kept.row, kept.by) == (("leak.proxy", ("a, b",)), None, "ada")
    assert review.by_row([row, kept]).rows() == [(4, "relabel", "no", "[]")]
    assert review.by_finding([row, kept], "keep") == {("leak.proxy", ("a, b",))}
    review.settled([row, kept], [LEAK, LABELS], np.arange(10) == 4, "review.csv")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"line_2": {"decision": "aply"}}, r"review.csv, line 2: .*'aply'.*Did you mean apply"),
        ({"line_3": {"decision": "apply", "value": ""}}, r"line 3: relabel needs the right label"),
        ({"line_4": {"decision": "apply", "row": "four"}}, r"line 4: row is 'four'"),
        ({"line_4": {"decision": "apply", "do": "drop"}}, r"line 4: do is 'drop' for a single row"),
        ({"line_5": {"decision": "apply", "columns": "a"}}, r"line 5: columns is 'a'"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path, change, says):
    with pytest.raises(BadInput, match=says):
        review.read(edited(tmp_path, **change), "review.csv")


def test_a_blocking_finding_is_kept_only_with_a_signature(tmp_path):
    decisions = review.read(edited(tmp_path, line_5={"decision": "keep"}), "review.csv")
    with pytest.raises(BadInput, match=r"line 5: leak.proxy blocks, so keeping it needs `by` and `reason`"):
        review.settled(decisions, [LEAK], np.ones(10, bool), "review.csv")


def test_only_training_rows_can_be_changed(tmp_path):
    decisions = review.read(edited(tmp_path, line_4={"decision": "apply"}), "review.csv")
    with pytest.raises(BadInput, match="line 4: row 4 is no training row"):
        review.settled(decisions, [LABELS], np.arange(10) == 9, "review.csv")


def test_a_decision_about_what_was_not_found_is_noted(tmp_path):
    decisions = review.read(edited(tmp_path, line_5={"decision": "apply"}), "review.csv")
    (note,) = review.unused(decisions, [LABELS], "review.csv")
    assert note.code == "spec.review_unused"
    assert "line 5: leak.proxy of a, b was not found" in note.says


def test_a_file_that_is_no_review(tmp_path):
    with pytest.raises(BadInput, match="--export"):
        review.read(tmp_path / "gone.csv", "gone.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="lacks the columns code"):
        review.read(tmp_path / "other.csv", "other.csv")
