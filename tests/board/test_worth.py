import doctest

import msgspec
import pytest

from forgeline.board import worth
from forgeline.records import Decided, Finding, Fix, Remedy


def leak(code="leak.proxy", severity="warn", **numbers):
    return Finding(code=code, severity=severity, says="x", columns=["a"], numbers=numbers)


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(worth).failed == 0


@pytest.mark.parametrize(
    ("finding", "says"),
    [
        (leak(), ""),
        (leak(inflation=0.04), "the score would look 0.040 AUC better than it is"),
        (leak(inflation=0.04, low=0.03, high=0.05), "the score would look 0.040 AUC better than it is (between 0.030"),
        (leak(inflation=0.0), "the score would look no better than it is"),
        (leak("leak.time", "note", inflation=0.1), "with a random split the score would look 0.100 AUC better"),
        (leak("leak.time", "block", inflation=0.1), "the score would look 0.100 AUC better"),
    ],
)
def test_inflation_in_plain_words(finding, says):
    assert worth.too_good(finding, "AUC").startswith(says)
    assert bool(worth.too_good(finding, "AUC")) == bool(says)


@pytest.mark.parametrize(
    ("fix", "apply", "says", "command"),
    [
        (None, "safe", "for a person", "--export review.csv"),
        (Fix(do="reweigh"), "safe", "for a person", "--export review.csv"),
        (Fix(do="drop"), "safe", "", "--apply quality.x"),
        (Fix(do="drop"), ["quality.x"], "applied, as asked", ""),
        (Fix(do="map"), "safe", "applied by default", ""),
        (Fix(do="map"), None, "applied by default", ""),
        (Fix(do="map"), "none", "", "--apply quality.x"),
    ],
)
def test_what_becomes_of_a_finding(fix, apply, says, command):
    step = worth.step(Finding(code="quality.x", severity="warn", says="x", fix=fix), apply)
    assert (step.says, step.command) == (says, command)


def test_a_decision_comes_before_everything():
    finding = Finding(code="quality.x", severity="warn", says="x", columns=["a"], fix=Fix(do="map"))
    decided = [Decided(code="quality.x", columns=["a"], decision="apply", by="Ada")]
    assert worth.step(finding, "safe", decided).says == "decided: mended, by Ada"


def test_gains_are_shares_of_the_skill_where_score_and_gain_tell_it(assessed):
    record = assessed()
    assert worth.skill(record) == pytest.approx(0.0123 / 0.041)
    remedy = Remedy(finding=0, code="x", columns=[], rows=0, do="", gain=0.003, low=-0.1, high=0.03)
    assert worth.gain_ends(remedy, 0.3) == "0 % to 10 %"


def test_only_titles_of_protected_attributes_are_base_rates(assessed):
    record = assessed()
    assert [table.title[:5] for table in worth.rates(record)] == ["sex: ", "sex ×"]
    assert [table.title for table in worth.other_tables(record)] == ["Columns"]
    assert [worth.impact(record, table) is not None for table in worth.rates(record)] == [True, False]


def test_kinds_of_leak_are_found_avoided_or_not_applicable(assessed):
    states = {kind.code: kind.state for kind in worth.looked_for(assessed())}
    assert states == {
        "leak.target_copy": "not found",
        "leak.time": "not found",
        "leak.group": "avoided by the split",
        "leak.no_test_set": "not applicable",
        "leak.preprocessing": "not applicable",
        "leak.selection": "not applicable",
        "leak.test_reuse": "not applicable",
    }
    more = worth.looked_for(assessed([leak("leak.custom")]))
    assert (more[-1].code, more[-1].state) == ("leak.custom", "found: 1")
    assert worth.looked_says([]) == "No kind of leak could be looked for."


def with_test_file(record, **facts):
    """The record as it is where a test file was given."""
    made = msgspec.structs.replace(record.made, ask={"split": {"file": "test.csv"}})
    return msgspec.structs.replace(record, made=made, facts=msgspec.structs.replace(record.facts, **facts))


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"group": "", "time": ""}, ""),
        (
            {"group": "age", "time": ""},
            " Cross-validation of the training rows keeps the rows of each age in one fold.",
        ),
        ({"group": "", "time": "day"}, " Cross-validation of the training rows takes its folds in the order of day."),
    ],
)
def test_the_rows_of_a_test_file_decide(assessed, facts, says):
    told = worth.follows(with_test_file(assessed(), **facts))
    assert told == f"The rows of the test file decide what is tested, whatever structure there is.{says}"


def test_no_split_of_ours_avoids_anything_where_a_test_file_was_given(assessed):
    record = with_test_file(assessed())
    kinds = worth.looked_for(record)
    assert {kind.code: kind.state for kind in kinds}["leak.group"] == "avoided by the test file"
    assert "the rows of the test file decide, and avoid it." in worth.looked_says(kinds)
    assert "split in force" not in worth.looked_says(kinds)


def test_a_small_effect_is_not_avoided(assessed):
    torn = Finding(code="leak.group", severity="note", says="x", columns=["a"], fix=Fix(do="split", columns=["a"]))
    kinds = worth.looked_for(with_test_file(assessed([torn])))
    assert {kind.code: kind.state for kind in kinds}["leak.group"] == "found: 1"
    assert "avoid" not in worth.looked_says(kinds)
