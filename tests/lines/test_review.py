"""A person decides: the queue is exported, edited, and what was decided is done to the training rows."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forgeline import cli, records
from forgeline.engine.arrays import load

ROWS = 1200


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A table with flipped labels, a hidden marker and a column that gives the target away."""
    folder = tmp_path_factory.mktemp("review")
    draw = np.random.default_rng(2)
    x = draw.normal(size=(ROWS, 3))
    y = x[:, 0] + x[:, 1] > 0
    given = np.where(draw.random(ROWS) < 0.06, ~y, y)
    a = np.where(draw.random(ROWS) < 0.1, -999.0, np.round(x[:, 0], 3))
    copy = np.where(given, "left", "stayed")
    table = pl.DataFrame({"a": a, "b": x[:, 1], "c": x[:, 2], "copy": copy, "y": np.where(given, "yes", "no")})
    table.write_csv(folder / "rows.csv")
    return folder


@pytest.fixture
def ask(place, monkeypatch, capsys):
    """Run a verb in the folder: exit code and what --json printed."""
    monkeypatch.chdir(place)

    def run(*arguments):
        code = cli.main([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def decided(place, name, decide):
    """The exported review with decisions: `decide(line)` gives the cells to change."""
    table = pl.read_csv(place / "queue.csv", infer_schema=False)
    pl.DataFrame([line | decide(line) for line in table.to_dicts()], schema=table.schema).write_csv(place / name)
    return name


@pytest.fixture(scope="module")
def exported(place):
    """The queue as a table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert cli.main(["assess", "rows.csv", "--target", "y", "--export", "queue.csv", "--json"]) == 3
    return pl.read_csv(place / "queue.csv", infer_schema=False)


def test_the_leak_is_first_in_the_queue_and_a_review_is_not_overwritten(exported, ask):
    assert exported["code"][0] == "leak.target_copy"
    code, answer = ask("assess", "rows.csv", "--target", "y", "--export", "queue.csv")
    assert code == 2
    assert "there already" in answer["error"]


def test_an_unedited_review_changes_nothing(exported, ask):
    code, answer = ask("run", "rows.csv", "--target", "y", "--until", "refine", "--review", "queue.csv")
    assert (code, answer["verdict"]) == (3, "blocked")


def test_what_is_decided_is_done(exported, ask, place):
    def decide(line):
        if line["code"] == "leak.target_copy" and line["row"] is None:
            return {"decision": "apply"}
        if line["code"] == "quality.hidden_missing" and line["row"] is None:
            return {"decision": "keep"}
        return {}

    name = decided(place, "mine.csv", decide)
    code, answer = ask("run", "rows.csv", "--target", "y", "--until", "refine", "--review", name)
    assert code == 0, answer
    record = last_record(answer)
    assert "copy" in record.facts.dropped
    assert {each.name: each.missing for each in record.facts.inputs}["a"] == []


def test_a_row_is_relabelled_and_another_left_out(exported, ask, place):
    side = ask("assess", "rows.csv", "--target", "y")[1]
    line = next(each for each in exported.to_dicts() if each["code"] == "leak.target_copy")
    labels = pl.read_csv(place / "rows.csv")["y"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        first, second = training_rows(place, side["run"])[:2].tolist()
    lines = [
        {**line, "decision": "apply"},
        {**line, "row": str(first), "do": "relabel", "value": "no" if labels[first] == "yes" else "yes"},
        {**line, "row": str(second), "do": "drop_rows"},
    ]
    table = pl.DataFrame([{**each, "decision": "apply"} for each in lines], schema=exported.schema)
    table.write_csv(place / "rows-decided.csv")
    code, answer = ask("run", "rows.csv", "--target", "y", "--until", "refine", "--review", "rows-decided.csv")
    assert code == 0, answer
    folder, record = place / answer["folder"], last_record(answer)
    files = {ref.name: folder / "artefacts" / ref.digest for ref in record.facts.table}
    ids, y = np.load(files["ids.npy"]), np.load(files["target.npy"])
    assert second not in ids
    assert load(files).rows == len(ids)
    positive = record.facts.classes[1]
    assert (y[ids == first][0] == 1) == (labels[first] != positive)


def last_record(answer):
    """The record of the last stage that `run --json` tells of."""
    return records.decode(Path(answer["stages"][-1]["record"]).read_bytes())


def training_rows(place, run):
    """Training rows of a run."""
    folder = place / ".forgeline" / "runs" / run
    record = records.decode((folder / "02-assess.json").read_bytes())
    return np.flatnonzero(np.load(folder / "artefacts" / record.facts.split.digest) == 0)


def test_a_row_that_is_sealed_is_refused_with_its_line(exported, ask, place):
    line = next(each for each in exported.to_dicts() if each["code"] == "leak.target_copy")
    odd = {**line, "row": "999999", "do": "drop_rows", "decision": "apply"}
    pl.DataFrame([odd], schema=exported.schema).write_csv(place / "odd.csv")
    code, answer = ask("run", "rows.csv", "--target", "y", "--until", "refine", "--review", "odd.csv")
    assert code == 2
    assert "line 2: row 999999 is no training row" in answer["error"]
