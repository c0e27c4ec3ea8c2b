import io

import numpy as np
import polars as pl
import pytest

from forgeline import records, review, runner, session, spec
from forgeline.engine.store import Store
from forgeline.errors import BadInput
from forgeline.records import Finding, Fix, Ref, Rows
from forgeline.stages import refine
from forgeline.stages.refine import Sheet, apply_fixes, fold_count, folds_of


def sheet(frame, **given):
    return Sheet(frame, np.arange(frame.height) + 100, kinds=dict.fromkeys(frame.columns, "category"), **given)


class Kept:
    """A workspace that holds one file."""

    def __init__(self, data=b""):
        self.data = data

    def get(self, ref):
        return self.data


def finding(code, fix, severity="warn", **given):
    return Finding(code=code, severity=severity, says="", fix=fix, **given)


def assessment(*findings, **facts):
    plain = {
        "split": Ref(digest="", size_bytes=0),
        "split_how": "",
        "train_rows": 0,
        "test_rows": 0,
        "test_digest": None,
        "test_why": "",
        "group": "",
        "time": "",
        "protected": [],
        "checks": [],
    }
    return records.Assessment(facts=records.AssessmentFacts(**(plain | facts)), findings=list(findings))


def snapshot(task, **facts):
    plain = {
        **dict.fromkeys(("digest", "task_why", "target", "weight"), ""),
        **{name: [] for name in ("columns", "classes", "keep", "missing", "sources")},
        **dict.fromkeys(("rows", "left_out", "test_rows"), 0),
        **dict.fromkeys(("positive", "test_digest")),
        "test_labelled": False,
        "task": task,
    }
    return records.Snapshot(facts=records.SnapshotFacts(**(plain | facts)))


FRAME = pl.DataFrame({"a": ["1", "x", "3"], "b": ["ny", "NY", "-"], "c": [1.0, float("inf"), None]})
CAST = Fix(do="cast", columns=["a"], to="number")
MAP = Fix(do="map", columns=["b"], values={"ny": "NY"})
DROP = Fix(do="drop", columns=["c"])


def fixed(apply, *findings, data=b""):
    page = sheet(FRAME)
    apply_fixes(page, spec.Refine(apply=apply), assessment(*findings), Kept(data))
    return page


# ---------------------------------------------------------------- fixes


def test_cast_makes_what_cannot_be_read_missing():
    page = fixed("safe", finding("type", CAST))
    assert page.frame["a"].to_list() == [1.0, None, 3.0]
    assert page.kinds["a"] == "number"
    assert [(step.verb, step.columns, step.rows) for step in page.steps] == [("cast", ["a"], "none")]


def test_map_joins_spellings():
    page = fixed("safe", finding("spelling", MAP))
    assert page.frame["b"].to_list() == ["NY", "NY", "-"]
    assert page.spellings == {"b": {"ny": "NY"}}


def test_missing_replaces_markers_and_tells_the_reader():
    page = fixed("safe", finding("marker", Fix(do="missing", columns=["b"], markers=["-"])))
    assert page.frame["b"].to_list() == ["ny", "NY", None]
    assert page.markers == {"b": ["-"]}


def test_drop_keeps_the_reason():
    page = fixed(["constant"], finding("constant", DROP))
    assert list(page.dropped) == ["c"]
    assert page.dropped["c"].startswith("constant")


def test_rows_are_dropped_by_their_number_in_the_snapshot():
    file = io.BytesIO()
    pl.DataFrame({"row": [101, 7], "score": [1.0, 1.0]}).write_parquet(file)
    rows = Rows(count=2, ref=Ref(digest="d", size_bytes=1))
    page = fixed(["duplicate"], finding("duplicate", Fix(do="drop_rows"), rows=rows), data=file.getvalue())
    assert page.frame["a"].to_list() == ["1", "3"]
    assert page.ids.tolist() == [100, 102]


# ---------------------------------------------------------------- what a review says of single rows


def parquet(frame):
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


class Files:
    """A workspace that holds files by digest."""

    def __init__(self, **files):
        self.files = files

    def get(self, ref):
        return parquet(self.files[ref.digest])


def reviewed(found, *decisions, target="", **rows):
    """FRAME after `found` is mended with a review: decisions are (row, decision, do, value); row None: the finding."""
    lines = [
        review.Decision(line=2, code=found.code, columns=found.columns, row=at, decision=word, do=do, value=value)
        for at, word, do, value in decisions
    ]
    facts = {"review": Ref(digest="review", size_bytes=1, name="review.parquet")}
    facts["decided"] = [
        records.Decided(code=one.code, columns=one.columns, decision=one.decision) for one in lines if one.row is None
    ]
    page = sheet(FRAME, target=target)
    apply_fixes(page, spec.Refine(), assessment(found, **facts), Files(review=review.by_row(lines), **rows))
    return page


APPLY = (None, "apply", "", "")
NAMED = Rows(count=2, ref=Ref(digest="named", size_bytes=1))
WRONG = pl.DataFrame({"row": [100, 101], "score": [1.0, 1.0], "value": ["NY", None]})


def test_a_row_that_is_kept_is_not_left_out_with_its_finding():
    found = finding("duplicate", Fix(do="drop_rows"), rows=NAMED)
    assert reviewed(found, APPLY, named=WRONG).ids.tolist() == [102]
    page = reviewed(found, APPLY, (101, "keep", "drop_rows", ""), named=WRONG)
    assert page.ids.tolist() == [101, 102]
    assert page.steps[0].says.endswith("1 rows as the review says")


def test_the_label_of_a_row_wins_over_that_of_its_finding():
    found = finding("label.error", Fix(do="relabel"), rows=NAMED)
    plain = reviewed(found, APPLY, target="b", named=WRONG)
    assert (plain.ids.tolist(), plain.frame["b"].to_list()) == ([100, 102], ["NY", "-"])
    kept = reviewed(
        found, APPLY, (100, "keep", "relabel", "NY"), (101, "apply", "relabel", "ny"), target="b", named=WRONG
    )
    assert (kept.ids.tolist(), kept.frame["b"].to_list()) == ([100, 101, 102], ["ny", "ny", "-"])


def test_the_cells_of_a_row_that_is_kept_stay():
    found = finding("spelling", MAP)
    assert reviewed(found, APPLY).frame["b"].to_list() == ["NY", "NY", "-"]
    assert reviewed(found, APPLY, (100, "keep", "drop_rows", "")).frame["b"].to_list() == ["ny", "NY", "-"]
    marked = finding("marker", Fix(do="missing", columns=["c"], markers=["inf"]), columns=["c"])
    assert reviewed(marked, APPLY).frame["c"].to_list() == [1.0, None, None]
    assert reviewed(marked, APPLY, (101, "keep", "missing", "")).frame["c"].to_list() == [1.0, float("inf"), None]
    assert reviewed(marked, (100, "apply", "missing", "")).frame["c"].to_list() == [None, None, None]


def test_a_row_of_a_finding_that_is_kept_is_mended():
    found = finding("duplicate", Fix(do="drop_rows"), rows=NAMED)
    page = reviewed(found, (None, "keep", "", ""), (101, "apply", "drop_rows", ""), named=WRONG)
    assert page.ids.tolist() == [100, 102]


def test_safe_fixes_are_the_default_and_others_want_their_name():
    findings = [finding("spelling", MAP), finding("constant", DROP)]
    assert [step.verb for step in fixed("safe", *findings).steps] == ["map"]
    assert [step.verb for step in fixed("none", *findings).steps] == []
    assert [step.verb for step in fixed(["constant"], *findings).steps] == ["drop"]
    assert [step.verb for step in fixed(["safe", "constant"], *findings).steps] == ["map", "drop"]


def test_a_blocking_findings_fix_is_never_applied_by_default():
    block = finding("leak", CAST, severity="block")
    assert fixed("safe", block).steps == []
    assert [step.verb for step in fixed(["leak"], block).steps] == ["cast"]


def test_a_name_that_was_not_found_is_said_with_the_nearest():
    (found,) = fixed(["safe", "spellin"], finding("spelling", MAP)).findings
    assert (found.code, found.severity) == ("spec.apply_unused", "warn")
    assert "Did you mean spelling?" in found.says


def test_a_fix_that_belongs_to_a_person_is_refused():
    with pytest.raises(BadInput, match=r"the fix of bias \(reweigh\) is not one that refine can apply"):
        fixed(["bias"], finding("bias", Fix(do="reweigh")))


# ---------------------------------------------------------------- folds


@pytest.mark.parametrize(
    ("rows", "task", "folds"),
    [(1000, "regression", 5), (100_001, "regression", 3), (400_001, "regression", 2), (4, "regression", 4)],
)
def test_fewer_folds_for_more_rows(rows, task, folds):
    assert fold_count(rows, np.zeros(rows), task) == folds


def test_no_more_folds_than_the_rarest_class_has_rows():
    y_N = np.array([0] * 50 + [1] * 3)
    assert fold_count(len(y_N), y_N, "binary") == 3
    assert fold_count(len(y_N) + 1, np.append(y_N, 2), "multiclass") == 3
    assert fold_count(2, np.array([0, 1]), "binary") == 2


def test_folds_are_stratified_and_equal_rows_stay_together():
    frame = pl.DataFrame({"x": [at // 2 for at in range(400)]})
    y_N = np.repeat([0, 0, 0, 1], 100)
    fold_N = folds_of(frame, y_N, ["x"], snapshot("binary"), assessment(), long=False)
    assert (fold_N[::2] == fold_N[1::2]).all()
    assert fold_N.max() == 4
    for fold in range(5):
        assert 0.15 < y_N[fold_N == fold].mean() < 0.35


def test_folds_of_values_hold_low_and_high_ones_alike():
    y_N = np.random.default_rng(0).lognormal(size=1000)
    fold_N = folds_of(pl.DataFrame({"x": y_N}), y_N, ["x"], snapshot("regression"), assessment(), long=False)
    medians = [np.median(y_N[fold_N == fold]) for fold in range(5)]
    assert max(medians) / min(medians) < 1.3


@pytest.mark.parametrize("y_N", [np.zeros(50), np.array([0, 1, 0])])
def test_too_little_to_learn_from_is_refused(y_N):
    with pytest.raises(BadInput, match="too few to learn from"):
        folds_of(pl.DataFrame({"x": y_N}), y_N.astype(int), ["x"], snapshot("binary"), assessment(), long=False)


@pytest.mark.parametrize(
    ("facts", "says"),
    [({"group": "x"}, "one x"), ({"time": "x"}, "one moment of x"), ({}, "are equal")],
)
def test_rows_that_cannot_be_parted_are_refused(facts, says):
    frame, y_N = pl.DataFrame({"x": [7] * 50}), np.arange(50) % 2
    with pytest.raises(BadInput, match=says):
        folds_of(frame, y_N, ["x"], snapshot("binary"), assessment(**facts), long=False)


# ---------------------------------------------------------------- what is left out


def test_target_weight_kept_and_protected_columns_are_left_out():
    facts = {"target": "y", "weight": "w", "keep": ["id"]}
    for use, columns in ((True, {"y", "w", "id"}), (False, {"y", "w", "id", "sex"})):
        page = sheet(FRAME)
        refine.leave_out(
            page, spec.Refine(use_protected=use), snapshot("binary", **facts), assessment(protected=["sex"])
        )
        assert set(page.dropped) == columns


def test_some_names_are_shown():
    assert refine.some(["a", "b"]) == "a, b"
    assert refine.some([str(at) for at in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"


# ---------------------------------------------------------------- pairs of numbers


@pytest.mark.parametrize("product", [True, False])
def test_pairs_of_numbers_are_kept_where_they_help(tmp_path, product):
    draw = np.random.default_rng(4)
    x_NA = draw.normal(size=(1_500, 3)).round(4)
    y_N = (x_NA[:, 0] * x_NA[:, 1] if product else x_NA[:, 0]) + 0.2 * draw.normal(size=1_500)
    frame = pl.DataFrame(x_NA, schema=["a", "b", "c"]).with_columns(y=y_N.round(4))
    frame.write_csv(tmp_path / "rows.csv")
    ask = spec.check({"snapshot": {"source": "rows.csv", "target": "y"}, "budget": {"workers": 2}})
    store = Store(tmp_path / ".forgeline")
    run = session.start(ask, base=tmp_path, store=store, until="refine", started=session.now(), quiet=True)
    refinement = next(each for each in runner.read_all(run.folder) if isinstance(each, records.Refinement))
    last = next((step for step in reversed(refinement.facts.steps) if step.verb.startswith("sums")), None)
    if product:
        assert last is not None
        assert last.columns == ["a x b"]
        assert last.says.startswith("kept: ")
        assert refinement.numbers["pairs.loss_change"].value < 0
    else:
        assert last is None or last.columns == []  # the filter may leave one number only
        assert "pairs.loss_change" not in refinement.numbers
