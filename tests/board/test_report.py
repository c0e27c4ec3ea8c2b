import re
from html.parser import HTMLParser

import msgspec
import pytest

from forgeline import records
from forgeline.board import assessed, reading
from forgeline.board.drawing import forests
from forgeline.board.numbers import compared
from forgeline.board.report import report
from forgeline.errors import BadInput
from forgeline.records import Number

VOID = {"meta", "wbr", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, and texts outside style and script; raises when tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.texts))


def page(run):
    return Page(report(run).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["passed", "blocked", "unfinished", "hostile", "huge"])
def test_page_is_well_formed_self_contained_and_has_unique_ids(name, request):
    shown = page(request.getfixturevalue(name))
    for _, attributes in shown.elements:
        assert attributes.get("href", "#").startswith("#")
        assert "src" not in attributes
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"][1:] for tag, attributes in shown.elements if tag == "a"}
    assert links <= set(ids)


def test_nothing_but_the_page_is_left_behind(passed):
    before = {file.name for file in passed.iterdir()}
    assert report(passed) == passed / "report.html"
    assert {file.name for file in passed.iterdir()} - before == {"report.html"}


def test_head_names_data_target_metric_threshold_and_positive_class(passed):
    text = page(passed).text
    assert "Passed. All 8 stages are done and every gate holds." in text
    for pair in ("data adult.csv", "target income", "metric log_loss", "threshold 0.5", "positive class >50K"):
        name, value = pair.rsplit(" ", 1)
        assert re.search(rf"{name}\s*{re.escape(value)}", text), pair


def test_every_word_of_findings_tables_and_gates_is_on_the_page(passed):
    text = page(passed).text
    for record in reading.read(passed).records.values():
        for finding in record.findings:
            assert finding.says in text
            assert finding.code in text
        for table in record.tables:
            assert {table.title, *table.columns} - {"judged"} <= set(page(passed).texts)
        for gate in record.gates:
            assert f"{gate.gate} holds" in text
        for name in record.numbers:
            assert name.rpartition(".")[2] in text


def test_a_score_has_its_interval_its_rows_and_its_rivals(passed):
    text = page(passed).text
    assert "test.log_loss 0.2754 [0.2676, 0.2832] 95 % on 9,768 rows" in text
    assert "test.roc_auc 0.9291 [0.9239, 0.9343] 95 % 0.9292 [0.9240, 0.9344] 95 %" in text


def test_what_is_unknown_says_why_and_is_not_zero(passed):
    text = page(passed).text
    assert "quality.label_fidelity labels that are right unknown the labels could not be judged" in text
    assert "cost unknown [budget] price_per_hour is not set" in text
    assert "energy unknown this machine gave no reading of its energy" in text


def test_blocked_run_says_what_where_and_what_to_type(blocked):
    shown = page(blocked)
    assert "Blocked. The line stopped after assess: findings.blocking == 0 does not hold (it is 1)." in shown.text
    assert "casual + registered give the target cnt exactly on all 13,903 training rows." in shown.text
    assert "forgeline run --apply leak.target_copy" in shown.texts
    assert shown.text.count("not reached") == 6


def test_a_run_on_a_file_is_repeated_from_its_own_spec(blocked, monkeypatch):
    spec = blocked / "spec.toml"
    spec.write_text(spec.read_text().replace("adult.csv", "/data/adult.csv"))
    monkeypatch.chdir(blocked.parent)
    assert "forgeline run bikes-77b1/spec.toml --apply leak.target_copy" in page(blocked).texts


def test_accepted_finding_does_not_block_and_shows_who_signed(blocked):
    file = blocked / records.file_name("assess")
    record = records.decode(file.read_bytes())
    signed = {"code": "leak.target_copy", "columns": ["casual", "registered"], "by": "Ada", "reason": "a toy"}
    facts = msgspec.structs.replace(record.facts, accepted=[signed])
    file.write_bytes(records.encode(msgspec.structs.replace(record, facts=facts)))
    shown = page(blocked)
    assert "by Ada: a toy" in shown.text
    assert "What blocks" not in shown.text


def test_interrupted_run_says_how_far_it_came_and_how_to_go_on(unfinished):
    shown = page(unfinished)
    assert "Unfinished. 4 of 8 stages are done; train has no record yet." in shown.text
    assert "forgeline resume income-half" in shown.texts


@pytest.mark.parametrize(("target", "command"), [(True, "forgeline run"), (False, "forgeline run --target COLUMN")])
def test_a_line_that_was_asked_to_stop_is_not_unfinished(unfinished, target, command):
    (unfinished / "work.log").write_text('{"do": "open", "until": "plan"}\n{"do": "other"}\n')
    spec = unfinished / "spec.toml"
    if not target:
        spec.write_text(re.sub("target = .*\npositive = .*", "", spec.read_text()))
    shown = page(unfinished)
    says = "The line was asked to stop at plan: 4 of 8 stages are done and every gate holds."
    assert f"Passed. {says}" in shown.text
    assert "Unfinished" not in shown.text
    assert command in shown.texts


def test_an_interrupted_run_has_not_come_to_where_it_should_stop(unfinished):
    (unfinished / "work.log").write_text('{"do": "open", "until": "train"}\n')
    assert "Unfinished. 4 of 8 stages are done" in page(unfinished).text
    (unfinished / "work.log").write_text('{"do": "op')
    assert "Unfinished. 4 of 8 stages are done" in page(unfinished).text


def test_a_fix_for_a_person_is_not_offered_to_be_applied(blocked):
    file = blocked / records.file_name("assess")
    record = records.decode(file.read_bytes())
    torn = records.Finding(
        code="leak.group", severity="block", says="torn", columns=["a"], fix=records.Fix(do="split", columns=["a"])
    )
    file.write_bytes(records.encode(msgspec.structs.replace(record, findings=[*record.findings, torn])))
    assert "forgeline run --apply leak.target_copy" in page(blocked).texts
    assert not any("--apply leak.group" in text for text in page(blocked).texts)


@pytest.mark.parametrize("file", [False, True])
@pytest.mark.parametrize(("fix", "like"), [(None, "honest"), (records.Fix(do="split"), "random")])
def test_a_structure_chart_says_what_decides(file, fix, like):
    finding = records.Finding(code="leak.group", severity="note", says="x", columns=["a"], fix=fix)
    told = assessed.structure_note(finding, file=file)
    assert told.startswith("The rows of the test file decide" if file else "The split in force")
    assert f"like the {like} one" in told


def test_run_without_any_record_still_has_a_page(unfinished):
    for file in unfinished.glob("0*.json"):
        file.unlink()
    assert "0 of 8 stages are done; snapshot has no record yet." in page(unfinished).text


def test_texts_of_the_data_never_become_markup(hostile):
    shown = page(hostile)
    assert [tag for tag, _ in shown.elements].count("script") == 1
    assert "<script>alert(1)</script>" in shown.text


def test_what_the_data_is_worth_is_a_figure_and_a_sentence(passed):
    text = page(passed).text
    assert "quality.score 0.959 [0.918, 1.000] 95 %" in text
    assert "to give back 4.1 % of the skill of the mended model (between 0 % and 8.2 %)." in text
    assert "quality.completeness cells that are filled" in text


def test_the_queue_tells_gain_and_what_to_type(blocked):
    text = page(blocked).text
    assert "1 income = >50K falls to 10.9% of sex = Female" in text
    assert "3.3 % " in text
    assert "for a person: --export review.csv" in text
    assert "applied by default" in text
    assert "forgeline assess --export review.csv" in text
    assert "forgeline run --apply leak.target_copy" in text


def test_a_review_is_told_in_the_queue(blocked):
    file = blocked / records.file_name("assess")
    record = records.decode(file.read_bytes())
    kept = records.Decided(code="quality.infinite", columns=["capital_gain"], decision="keep", by="Ada", reason="rare")
    facts = msgspec.structs.replace(record.facts, decided=[kept])
    file.write_bytes(records.encode(msgspec.structs.replace(record, facts=facts)))
    assert "decided: left as it is, by Ada: rare" in page(blocked).text


def test_leaks_tell_their_effect_and_what_was_looked_for(blocked):
    shown = page(blocked)
    assert "3 kinds of leak were looked for; 1 was found. 1 would be there with a random split" in shown.text
    assert "4 could not be judged." in shown.text
    assert "the score would look 0.083 AUC better than it is (between 0.071 and 0.095)" in shown.text
    assert "with a random split the score would look 0.038 AUC better than it is" in shown.text
    assert "leak.group avoided by the split" in shown.text
    assert "leak.test_reuse not applicable: no fit ledger was given" in shown.text
    assert "AUC of a quick model, by household" in shown.texts


def test_groups_are_shown_with_four_fifths_and_refusals(passed):
    shown = page(passed)
    assert re.search(r"Female × Other\s*21\s*not judged", shown.text)
    assert "bias.sex.disparate_impact 0.3596 ratio [0.3300, 0.3900] 95 %" in shown.text
    assert any("under" in attributes.get("class", "").split() for tag, attributes in shown.elements if tag == "svg")
    assert shown.texts.count("sex: how often income = >50K") == 1  # not again below assess


def test_without_a_score_the_reason_is_told(blocked):
    file = blocked / records.file_name("assess")
    record = records.decode(file.read_bytes())
    numbers = {"quality.score": Number(value=None, why="no target was named")}
    facts = msgspec.structs.replace(record.facts, queue=[], protected=[])
    file.write_bytes(records.encode(msgspec.structs.replace(record, facts=facts, numbers=numbers)))
    text = page(blocked).text
    assert "No score: no target was named." in text
    assert "No attribute is declared as protected" in text


def test_long_lists_are_cut_and_say_how_many_more(huge):
    file = report(huge)
    text = page(huge).text
    assert file.stat().st_size < 1_000_000
    assert "and 9,501 more findings in the record" in text
    assert "and 9,500 more rows in the record" in text
    assert "and 9,988 more" in text


def test_a_broken_record_is_named(blocked):
    (blocked / "02-assess.json").write_text('{"stage": "assess"')
    with pytest.raises(BadInput, match=r"02-assess\.json"):
        report(blocked)


def test_rivals_stand_beside_what_they_are_compared_with():
    names = ("test.rmse", "test.baseline.linear.rmse", "test.full.rmse", "test.baseline.linear.mae")
    rows = compared({name: Number(value=1.0) for name in names})
    assert [(row.name, list(row.rivals)) for row in rows] == [
        ("test.rmse", ["baseline.linear", "full"]),
        ("test.baseline.linear.mae", []),
    ]


def test_forests_keep_differences_apart_from_scores():
    def number(value):
        return Number(value=value, low=value - 1, high=value + 1)

    numbers = {
        "cv.rmse": number(5),
        "test.rmse": number(6),
        "test.lead.a.rmse": number(1),
        "test.lead.b.rmse": number(2),
    }
    titles = [re.search("<figcaption>(.*?)<", chart)[1] for chart in forests(numbers)]
    assert titles == ["rmse", "test.lead.rmse"]
    assert forests({"cv.rmse": number(5)}) == []


# ---------------------------------------------------------------- while it runs


def learning(run):
    unit = run / "checkpoints" / "tabm-1 fold 1"
    unit.mkdir(parents=True)
    lines = [{"step": step, "loss": 1 / step, "held_loss": None if step % 2 else 2 / step} for step in range(1, 9)]
    (unit / "metrics.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return run


def test_while_a_run_goes_on_the_page_shows_how_it_learns_and_loads_itself_again(unfinished):
    shown = Page(report(learning(unfinished), running=True).read_text(encoding="utf-8"))
    assert ("meta", {"http-equiv": "refresh", "content": "10"}) in shown.elements
    assert re.search(r"Running\. \d of 8 stages are done; \w+ is at work, as of \d\d:\d\d:\d\d UTC", shown.text)
    assert "forgeline resume" not in shown.text
    assert ("a", {"href": "#learning"}) in shown.elements
    assert shown.text.count("at work") == 2
    assert "tabm-1 fold 1" in shown.text
    assert "Dashed: loss on the rows of the steps before" in shown.text


def test_an_interrupted_page_stands_still(unfinished):
    shown = page(learning(unfinished))
    assert not [each for each in shown.elements if each[1].get("http-equiv") == "refresh"]
    assert "Interrupted in training" in shown.text
    assert "forgeline resume" in shown.text
