import json

import numpy as np
import pytest

import forgeline as fl
from forgeline import card, init, records, session, spec
from forgeline.board.text import record_lines, run_lines
from forgeline.engine.store import Store, WorkLog
from forgeline.errors import BadInput
from forgeline.session import Run


@pytest.fixture
def run(finished):
    return Run(Store(finished / ".forgeline").find("latest"))


# ---------------------------------------------------------------- a run, as its folder tells it


def test_a_run_is_what_its_folder_says(run, finished):
    assert run.name == run.folder.name
    assert [record.stage for record in run.records] == list(records.STAGES)
    assert run.base == finished
    assert run.ask.snapshot.target == "label"
    assert run.verdict == "passed"
    assert run.digest == run.records[-1].facts.digest
    assert run.release.folder == run.folder / "release"


def test_the_json_of_a_run_has_the_keys_that_others_read(run):
    plain = json.loads(json.dumps(run.plain()))
    assert set(plain) == {"run", "folder", "verdict", "stages", "gates", "numbers", "release", "digest"}
    assert [stage["name"] for stage in plain["stages"]] == list(records.STAGES)
    assert all(set(stage) == {"name", "seconds", "record"} for stage in plain["stages"])
    (gate,) = plain["gates"]
    assert (gate["gate"], gate["value"], gate["holds"]) == ("findings.blocking == 0", 0.0, True)
    assert plain["numbers"]["test.reads"]["value"] >= 1


def test_a_run_that_ended_early_has_failed(tmp_path):
    folder = tmp_path / "r1"
    folder.mkdir()
    WorkLog(folder / "work.log").append({"do": "open", "base": ".", "until": "release"})
    assert (Run(folder).verdict, Run(folder).release, Run(folder).digest) == ("failed", None, None)


def test_lazy_names_of_the_package():
    assert fl.run is session.run
    assert fl.Run is Run
    with pytest.raises(AttributeError, match="no nothing"):
        _ = fl.nothing


def test_a_runs_name_says_when_and_what():
    name = session.new_name(spec.check({"snapshot": {"source": "data/Größe 2024.csv"}}))
    assert name.split("-", 2)[2].rsplit("-", 1)[0] == "gr-e-2024"
    assert session.new_name(spec.check({"release": {"name": "income"}})) != session.new_name(
        spec.check({"release": {"name": "income"}})
    )
    assert session.new_name(spec.check({})).split("-")[2] == "run"


@pytest.mark.parametrize(
    ("budget", "cores", "count", "shares"),
    [
        ({}, 2, 2, 2),
        ({"workers": 1}, 2, 1, 2),  # one worker gets no more than two would
        ({"workers": 4}, 2, 4, 4),
        ({"memory": "8GB"}, 2, 2, 2),
        ({"memory": "2GB"}, 16, 2, 2),
        ({"memory": "256MB"}, 16, 1, 1),
    ],
)
def test_what_fits_depends_on_the_cores_and_not_on_the_workers(budget, cores, count, shares):
    assert session.workers_of(spec.check({"budget": budget}).budget, cores) == (count, shares)


@pytest.mark.parametrize(
    ("families", "until", "ahead"),
    [
        ("auto", "release", False),
        (["linear", {"use": "lightgbm", "trees": 7}], "release", False),
        (["linear", {"use": "tabm", "width": 8}], "release", True),
        (["tabm"], "plan", False),
    ],
)
def test_workers_have_torch_ahead_where_it_will_be_needed(families, until, ahead):
    workers = session.workers_for(spec.check({"train": {"families": families}}), 2, 10**9, until)
    assert ("forgeline.engine.torch_ahead" in workers.preload) == ahead
    assert (workers.memory_bytes, workers.shared_bytes > 0) == (10**9, ahead)


def test_an_unknown_stage_gets_the_nearest():
    with pytest.raises(BadInput, match=r"--until: no stage evalute.*Did you mean evaluate\?"):
        session.check_until("evalute")


# ---------------------------------------------------------------- the card


def test_the_card_can_be_read_by_machines_and_people(run):
    text = (run.release.folder / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    lines = [line.strip() for line in front.splitlines()]
    number = run.numbers["test.log_loss"]
    assert "- type: log_loss" in lines
    assert f"value: {number.value}" in lines
    assert "type: tabular-classification" in lines
    assert "split: test" in lines
    assert f"release digest `{run.digest}`" in body
    for name in ("age", "city", "income", "member"):
        assert f"- `{name}`: " in body
    assert "Nothing: no blocking finding was set aside." in body


def test_the_card_names_who_signed():
    accept = spec.Accept(code="leak.target_copy", columns=["casual"], by="Ada", reason="known before")
    assert card.accepted_lines([accept]) == ["- `leak.target_copy` casual: known before (signed Ada)"]


def test_the_card_shows_unknown_numbers_as_a_dash():
    assert (card.show(None), card.show(0.123456789)) == ("–", "0.12346")


def test_long_findings_are_counted():
    found = [records.Finding(code=f"c{at}", severity="note", says="x") for at in range(33)]
    assert card.finding_lines(found)[-1] == "- and 3 more"
    assert len(card.finding_lines(found)) == 31


# ---------------------------------------------------------------- init


def test_init_writes_a_spec_that_reads_back_as_what_was_asked(run, tmp_path):
    init.write(tmp_path / "forgeline.toml", run)
    text = (tmp_path / "forgeline.toml").read_text()
    ask = spec.read(tmp_path)
    assert ask.snapshot.target == "label"
    assert ask.snapshot.source == run.ask.snapshot.source
    assert ask.snapshot.positive == run.records[0].facts.positive
    assert ask.plan.metric == "log_loss"
    assert ask.budget.units == 100
    assert '# "test.roc_auc" = "low >= 0.80"' in text


def test_init_notes_are_one_line_each():
    assert init.one_line("two\nlines \t and more") == "two lines and more"
    assert len(init.one_line("x" * 500)) == 160


# ---------------------------------------------------------------- as people read it


def test_a_run_in_a_terminal(run):
    lines = run_lines(run.plain())
    assert lines[0] == f"passed: {run.name}"
    assert "  gate holds: findings.blocking == 0 (it is 0)" in lines
    head = next(
        place for place, line in enumerate(lines) if line.split() == ["value", "interval", "linear", "majority"]
    )
    assert any(line.startswith("  test.log_loss") for line in lines[head:])
    assert lines[-1] == f"  digest   {run.digest}"


def test_every_record_has_its_lines(run):
    for record in run.records:
        lines = record_lines(record)
        assert lines[0] == f"{record.stage}  {record.schema}"
        for name in record.numbers:
            assert any(line.strip().startswith(name) for line in lines)


# ---------------------------------------------------------------- the release


def test_a_release_answers_a_frame(run, finished):
    import polars as pl

    frame = pl.read_csv(finished / "rows.csv")
    found = run.release.predict(frame)
    assert found.columns == ["prediction", "probability_bad", "probability_good"]
    assert found.height == frame.height
    assert np.allclose(found["probability_bad"] + found["probability_good"], 1.0, atol=1e-6)
    assert (found["prediction"] == frame["label"]).mean() > 0.7
