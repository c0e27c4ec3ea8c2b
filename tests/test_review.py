import io
import json

import msgspec
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


def file(save, what):
    data = io.BytesIO()
    save(data, what)
    return data.getvalue()


ROWS = pl.DataFrame({"row": [4, 9], "score": [0.6, 0.9], "value": ["yes", None]})
FILES = {
    "labels": file(lambda data, rows: rows.write_parquet(data), ROWS),
    "split": file(np.save, np.zeros(10, np.uint8)),
    "split of others": file(np.save, np.append(np.zeros(9, np.uint8), 1)),
}


def assessment(*findings, queue=(), split="split"):
    facts = {"split": Ref(digest=split, size_bytes=1)}
    facts |= dict.fromkeys(["split_how", "train_rows", "test_rows", "test_digest", "test_why", "group", "time"])
    queue = [Remedy(finding=at, code="", columns=[], rows=0, do="", gain=0, low=0, high=0) for at in queue]
    return records.Assessment(
        facts=records.AssessmentFacts(**facts, protected=[], checks=[], queue=queue), findings=list(findings)
    )


def exported(tmp_path):
    out = tmp_path / "review.csv"
    count = review.export(assessment(LEAK, LABELS, queue=[1]), lambda ref: FILES[ref.digest], out)
    return out, count


def row(line, at=4, decision="apply", **cells):
    """A decided line about a row of LABELS."""
    plain = {"code": "label.error", "columns": [], "do": "relabel", "value": "yes"}
    return review.Decision(line=line, row=at, decision=decision, **(plain | cells))


def whole(line, decision="apply", **cells):
    """A decided line about LABELS as a whole."""
    return row(line, None, decision, **cells)


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
    one, kept = review.read(out, "review.csv")
    assert (one.line, one.row, one.do, one.value) == (4, 4, "relabel", "no")
    assert (kept.key, kept.row, kept.by) == (("leak.proxy", ("a, b",)), None, "ada")
    assert review.by_row([one, kept]).rows() == [(4, "relabel", "no", "label.error", "[]")]
    assert review.by_finding([one, kept], "keep") == {("leak.proxy", ("a, b",))}
    review.possible([one, kept], np.zeros(10, np.uint8), "review.csv")
    review.settled([one, kept], [LEAK, LABELS], "review.csv")


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
        review.settled(decisions, [LEAK], "review.csv")


def test_only_training_rows_have_a_line(tmp_path):
    ask = assessment(LABELS, split="split of others")
    assert review.export(ask, lambda ref: FILES[ref.digest], tmp_path / "review.csv") == 2
    assert pl.read_csv(tmp_path / "review.csv")["row"].to_list() == [None, 4]


SIDES = np.array([0, 0, 0, 0, 1, 2], np.uint8)


@pytest.mark.parametrize(
    ("at", "decision", "says"),
    [
        (4, "apply", "line 3: row 4 is no training row: it is sealed for the test.*write keep"),
        (5, "apply", "line 3: row 5 is no training row: it has no target"),
        (6, "apply", "line 3: row 6 is no training row: the data has 6 rows.*counted from 0"),
        (6, "keep", "line 3: row 6 is no row: the data has 6 rows"),
    ],
)
def test_only_training_rows_can_be_changed(at, decision, says):
    with pytest.raises(BadInput, match=says):
        review.possible([row(3, at, decision)], SIDES, "review.csv")


@pytest.mark.parametrize("at", range(6))
def test_every_row_can_be_kept(at):
    review.possible([row(3, at, "keep")], SIDES, "review.csv")


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ((row(3), row(7, 4, "keep")), "for row 4: line 3 says apply relabel yes, line 7 says keep"),
        ((row(3), row(7, value="no")), "line 3 says apply relabel yes, line 7 says apply relabel no"),
        ((row(3), row(7, do="drop_rows")), "line 3 says apply relabel yes, line 7 says apply drop_rows"),
        ((whole(2), whole(9, "keep")), "for the whole finding: line 2 says apply, line 9 says keep"),
    ],
)
def test_two_lines_that_disagree_are_both_named(pair, says):
    with pytest.raises(BadInput, match=f"review.csv: label.error is decided twice .*{says}"):
        review.possible(pair, np.zeros(10, np.uint8), "review.csv")


def test_lines_of_other_rows_findings_or_of_the_whole_finding_may_differ():
    lines = [whole(2), row(3, 4, "keep"), row(4, 5), row(5, 5), row(6, 4, code="quality.outlier")]
    review.possible(lines, np.zeros(10, np.uint8), "review.csv")


@pytest.mark.parametrize(
    ("target", "classes", "value", "says"),
    [
        ([0, 1], [0, 1], "7", "line 3: `value` is '7', which is no class of y. Known: 0, 1. Write"),
        ([0, 1], [0, 1], "banana", "'banana', which is no class of y. Known: 0, 1"),
        ([0, 1], [0, 1], "0.5", "'0.5', which is no class"),
        (["no", "yes"], ["no", "yes"], "yess", "'yess', which is no class of y. Did you mean yes. Known: no, yes"),
        ([False, True], [False, True], "1", "'1', which is no class of y. Known: false, true"),
        ([0.5, 1.5], [], "banana", "'banana', which is no number of y. Write"),
        ([0.5, 1.5], [], "nan", "'nan', which is no number of y"),
        ([5, 15], [], "7.5", "'7.5', which is no whole number of y"),
    ],
)
def test_a_label_that_cannot_be_is_refused(target, classes, value, says):
    with pytest.raises(BadInput, match=says):
        review.check_labels([row(3, value=value)], pl.Series("y", target), classes, "review.csv")


@pytest.mark.parametrize(
    ("target", "classes", "value"),
    [
        ([0, 1], [0, 1], "1"),
        ([0.0, 1.0], [0, 1], "1"),
        (["no", "yes"], ["no", "yes"], "yes"),
        ([False, True], [False, True], "True"),
        ([0.5, 1.5], [], "-2e3"),
        ([5, 15], [], "7"),
    ],
)
def test_a_label_that_can_be_is_taken(target, classes, value):
    review.check_labels([row(3, value=value)], pl.Series("y", target), classes, "review.csv")


def test_the_label_of_a_row_that_is_kept_or_dropped_is_not_read():
    lines = [row(3, 4, "keep", value="banana"), row(4, 5, do="drop_rows", value="banana")]
    review.check_labels(lines, pl.Series("y", [0, 1]), [0, 1], "review.csv")


def test_without_a_target_there_is_no_label():
    with pytest.raises(BadInput, match="line 3: no target was named"):
        review.check_labels([row(3)], None, [], "review.csv")


@pytest.mark.parametrize(
    ("fix", "says"),
    [
        (None, "line 2: nothing can be applied for label.error: it has no fix. Write keep, with by and reason, or"),
        (Fix(do="reweigh"), r"nothing can be applied for label.error: its fix \(reweigh\) is for a person"),
    ],
)
def test_nothing_to_apply_is_an_error(fix, says):
    found = msgspec.structs.replace(LABELS, fix=fix)
    with pytest.raises(BadInput, match=says):
        review.settled([whole(2)], [found], "review.csv")
    review.settled([whole(2, "keep"), row(3, do="drop_rows")], [found], "review.csv")


def test_a_row_cannot_be_kept_where_its_whole_column_goes():
    lines = [row(3, 4, "keep", code="leak.proxy", columns=["a, b"])]
    review.settled(lines, [LEAK], "review.csv")
    lines += [whole(2, code="leak.proxy", columns=["a, b"])]
    with pytest.raises(BadInput, match=r"line 3: row 4 cannot be kept as it is: drop of leak\.proxy"):
        review.settled(lines, [LEAK], "review.csv")


def test_rows_decided_by_themselves_are_told_by_their_finding():
    decided = review.by_row([whole(2), row(3, 4, "keep"), row(4, 5), row(5, 6, code="quality.outlier")])
    assert decided["do"].to_list() == ["keep", "relabel", "relabel"]
    assert review.of_finding(decided, LABELS).tolist() == [4, 5]
    assert review.of_finding(decided, LEAK).tolist() == []


def test_a_decision_about_what_was_not_found_is_noted(tmp_path):
    decisions = review.read(edited(tmp_path, line_5={"decision": "apply"}), "review.csv")
    (note,) = review.unused(decisions, [LABELS], "review.csv")
    assert note.code == "spec.review_unused"
    assert "line 5: leak.proxy of a, b was not found. Known: label.error." in note.says


def test_a_decision_about_other_columns_is_told_which_were_found():
    (note,) = review.unused([whole(2, code="leak.proxy", columns=["Nope"])], [LABELS, LEAK], "review.csv")
    assert note.says.endswith("leak.proxy of Nope was not found. leak.proxy was found for: a, b.")


def test_a_file_that_is_no_review(tmp_path):
    with pytest.raises(BadInput, match="--export"):
        review.read(tmp_path / "gone.csv", "gone.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="lacks the columns code"):
        review.read(tmp_path / "other.csv", "other.csv")
