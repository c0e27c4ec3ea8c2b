"""Every verb once, on a small finished run: what it prints, for people and as one JSON document."""

import json
import re
import shlex
import shutil
from types import SimpleNamespace

import polars as pl
import pytest

from forgeline import __version__, catalog, cli, records, spec

SMALL = ["--work", "3", "--set", 'train.families=["linear"]']


@pytest.fixture(scope="module")
def place(finished, tmp_path_factory):
    """A copy of the finished run, which the tests of this module may add to."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture
def ask(place, monkeypatch, capsys):
    """Runs a verb there; its exit code, what it printed, and what it said on the side."""
    monkeypatch.chdir(place)

    def ask(*arguments):
        capsys.readouterr()
        code = cli.main(list(arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return ask


@pytest.fixture
def document(ask):
    """Runs a verb with --json; the one document it printed."""

    def document(*arguments, code=0):
        found, out, err = ask(*arguments, "--json")
        assert found == code, err
        assert out.count("\n") == 1
        return json.loads(out)

    return document


@pytest.fixture
def own(place, ask):
    """The finished run's name."""
    return sorted(path.name for path in (place / ".forgeline" / "runs").iterdir())[0]


# ---------------------------------------------------------------- looking at runs


def test_runs(ask, document, own):
    code, out, _ = ask("runs")
    assert code == 0
    assert re.search(rf"^{own} +passed +8 +[0-9a-f]{{64}}$", out, re.MULTILINE)
    listed = document("runs")["runs"][0]
    assert (listed["run"], listed["verdict"], listed["stages"]) == (own, "passed", 8)


def test_show(ask, document, own):
    code, out, _ = ask("show", own)
    assert code == 0
    assert out.startswith(f"passed: {own}")
    assert "test.roc_auc" in out
    assert "gate holds: findings.blocking == 0" in out
    shown = document("show", own)
    keys = {"run", "folder", "verdict", "stages", "gates", "numbers", "release", "digest"}
    assert set(shown) == keys
    assert shown["run"] == own
    assert [stage["name"] for stage in shown["stages"]] == list(records.STAGES)
    assert set(shown["stages"][0]) == {"name", "seconds", "record"}
    assert set(shown["gates"][0]) >= {"gate", "value", "holds"}
    assert set(shown["numbers"]["test.roc_auc"]) >= {"value", "low", "high", "level", "unit", "n", "why"}


@pytest.mark.parametrize("stage", records.STAGES)
def test_show_a_stage(ask, document, own, stage):
    code, out, _ = ask("show", own, stage)
    assert code == 0
    assert out.startswith(f"{stage}  {records.schema(stage)}")
    shown = document("show", own, stage)
    assert (shown["schema"], shown["stage"], shown["run"]) == (records.schema(stage), stage, own)


def test_a_run_is_found_by_its_beginning_its_folder_and_as_latest(document, own, place):
    for name in (own[:-4], str(place / ".forgeline" / "runs" / own), "latest"):
        assert document("show", name)["run"]
        assert name == "latest" or document("show", name)["run"] == own


def test_compare(ask, document, own):
    other = document("run", "rows.csv", "--target", "label", *SMALL, "--set", "evaluate.threshold=0.4")["run"]
    code, out, _ = ask("compare", own, other)
    assert code == 0
    assert re.search(r"evaluate\.threshold +0\.5 +0\.4", out)
    compared = document("compare", own, other)
    assert compared["runs"] == [own, other]
    assert compared["asked"]["evaluate.threshold"] == [0.5, 0.4]
    assert compared["numbers"]["rows.train"][0] == compared["numbers"]["rows.train"][1]
    ask("rm", other)


# ---------------------------------------------------------------- making runs


def test_run_takes_over_what_is_the_same_and_ends_in_the_same_release(ask, document, own):
    first = document("run", "rows.csv", "--target", "label", *SMALL)
    code, out, err = ask("run", "rows.csv", "--target", "label", *SMALL)
    assert code == 0
    assert f"train: taken over from run {first['run']}" in err
    assert "release  " in out
    again = document("show", "latest")
    assert len({again["run"], first["run"], own}) == 3
    assert again["digest"] == first["digest"] == document("show", own)["digest"]
    for run in (again, first):
        ask("rm", run["run"])


def test_resume_of_a_finished_run_does_nothing_again(ask, document, own):
    before = document("show", own)
    code, _, err = ask("resume", own)
    assert code == 0
    assert err.splitlines() == [f"{stage}: done already" for stage in records.STAGES]
    assert document("resume", own) == before


def test_verify(ask, document, own):
    code, out, _ = ask("verify", own)
    assert code == 0
    assert re.findall(r"^(\w+) +equal$", out, re.MULTILINE) == list(records.STAGES)
    result = document("verify", own)
    assert result["equal"]
    assert result["release"]["recorded"] == result["release"]["made_again"] == document("show", own)["digest"]


def test_rm(ask, document, place, own):
    for remove in (ask, document):
        name = document("assess", "rows.csv", "--target", "label")["run"]
        assert (place / ".forgeline" / "runs" / name).exists()
        result = remove("rm", name)
        assert not (place / ".forgeline" / "runs" / name).exists()
        assert result in ((0, f"removed {name}\n", ""), {"removed": name})


def test_gc_frees_what_no_run_names_and_nothing_else(ask, document, place, own):
    left = place / ".forgeline" / "snapshots" / ("0" * 64)
    left.mkdir()
    (left / "data.parquet").write_bytes(bytes(2_000_000))
    code, out, _ = ask("gc")
    assert (code, out) == (0, "freed 2.0 MB: 1 files and folders\n")
    assert document("gc") == {"bytes": 0, "removed": []}
    assert document("resume", own)["verdict"] == "passed"


def test_init_writes_a_spec_that_run_accepts(ask, document, place):
    code, _, err = ask("init", "rows.csv", "--target", "label")
    assert code == 0
    assert "Wrote forgeline.toml. Next: forgeline run" in err
    text = (place / "forgeline.toml").read_text()
    assert 'source = "rows.csv"  # 300 rows, 5 columns' in text
    assert 'positive = "good"' in text
    assert document("init", "rows.csv", "--target", "label", "--force")["verdict"] == "passed"
    assert document("run", *SMALL)["verdict"] == "passed"
    assert document("run", "forgeline.toml", *SMALL, "--until", "plan")["release"] is None
    (place / "forgeline.toml").unlink()


def test_assess_with_and_without_a_target(ask, document):
    code, out, err = ask("assess", "rows.csv", "--target", "label")
    assert code == 0
    assert re.search(r"quality\.completeness +1\.000", out)
    assert "report.html" in err
    with_target = document("assess", "rows.csv", "--target", "label")
    assert with_target["schema"] == "forgeline/assessment@1"
    without = document("assess", "rows.csv")
    assert without["facts"]["test_why"] == "no target was named"
    assert without["numbers"]["rows.train"]["value"] > 200


@pytest.fixture
def leaking(place, rows):
    """The name of a file in which a column tells the target."""
    head, *lines = rows.splitlines()
    copied = [f"{head},a copy", *(f"{line},{line.rpartition(',')[2]}" for line in lines)]
    (place / "leaking rows.csv").write_text("\n".join(copied) + "\n")
    return "leaking rows.csv"


def advised(err):
    """The command that the advice gives, as a shell would split it."""
    found = [line for line in err.splitlines() if line.startswith("  forgeline ")]
    assert len(found) == 1, err
    return shlex.split(found[0])[1:]


@pytest.mark.parametrize(
    "command",
    [
        ["assess", "DATA", "--target", "label", "--seed", "3", "--export", "review.csv", "--json"],
        ["run", "DATA", "--target", "label", "--until", "assess", "--set", "split.share=0.3", "--apply", "quality.x"],
    ],
)
def test_the_advice_of_a_blocked_line_works_when_pasted(ask, place, leaking, command):
    code, _, err = ask(*[leaking if word == "DATA" else word for word in command])
    (place / "review.csv").unlink(missing_ok=True)
    assert code == 3
    again = advised(err)
    assert again[:4] == ["run", leaking, "--target", "label"]
    assert again[-2:] == ["--apply", "leak.target_copy"]
    assert {"--export", "--json"}.isdisjoint(again)
    until = [] if "--until" in again else ["--until", "assess"]
    assert ask(*again, *until)[0] == 0


def test_a_resumed_line_that_is_blocked_is_run_from_its_spec(ask, document, place, leaking):
    name = document("run", leaking, "--target", "label", code=3)["run"]
    code, _, err = ask("resume", name)
    assert code == 3
    assert advised(err) == ["run", f".forgeline/runs/{name}/spec.toml", "--apply", "leak.target_copy"]
    assert ask(*advised(err), "--until", "assess")[0] == 0


def test_an_assessed_run_was_asked_to_stop_there(ask, document, place):
    name = document("assess", "rows.csv", "--target", "label")["run"]
    shown = (place / ".forgeline" / "runs" / name / "report.html").read_text()
    assert "The line was asked to stop at assess" in shown
    assert "Unfinished" not in shown


def test_a_test_file_replaces_the_split_and_is_predicted(ask, document, place, rows):
    head, *lines = rows.splitlines()
    (place / "test.csv").write_text("\n".join([head, *lines[:50]]) + "\n")
    (place / "rest.csv").write_text("\n".join([head, *lines[50:]]) + "\n")
    command = ["run", "rest.csv", "--target", "label", "--test", "test.csv", "--predict", "told.csv"]
    code, _, err = ask(*command, *SMALL)
    assert code == 0, err
    assert "50 predictions in told.csv" in err
    assert len((place / "told.csv").read_text().splitlines()) == 51
    assert document("show", "latest")["numbers"]["rows.test"]["value"] == 50


# ---------------------------------------------------------------- using a release


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_predict(ask, document, place, own, ending):
    code, out, err = ask("predict", own, "rows.csv", "-o", f"out.{ending}", "--keep", "age")
    assert (code, out) == (0, f"300 predictions in out.{ending}\n")
    assert err == "note: not read by the model: label\n"
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet}[ending]
    found = read(place / f"out.{ending}")
    assert found.columns == ["age", "prediction", "probability_bad", "probability_good"]
    ages = pl.read_csv(place / "rows.csv", infer_schema=False)["age"]
    assert found["age"].cast(pl.String).to_list() == ages.to_list()
    result = document("predict", own, "rows.csv", "-o", f"out.{ending}")
    assert result["rows"] == 300
    assert result["notes"] == ["not read by the model: label"]


def test_predict_takes_a_release_folder(document, place, own):
    folder = place / ".forgeline" / "runs" / own
    for name in (folder, folder / "release"):
        assert document("predict", str(name), "rows.csv", "-o", "out.csv")["rows"] == 300


def test_monitor(ask, document, own):
    code, out, _ = ask("monitor", own, "rows.csv")
    assert code == 0
    assert out.startswith("keep: ")
    assert document("monitor", own, "rows.csv")["verdict"] == "keep"


# ---------------------------------------------------------------- the program itself


def test_parts(ask, document):
    code, out, _ = ask("parts")
    assert code == 0
    assert out.startswith("checks\n  ")
    assert re.search(r"^  base_rates .*\n +bias\.disparate_impact$", out, re.MULTILINE)
    assert {part["name"] for part in document("parts")["parts"]} == {part.name for part in catalog.parts()}
    code, out, _ = ask("parts", "metrics")
    assert "\n  roc_auc" in out
    assert "checks" not in out
    assert {part["kind"] for part in document("parts", "metrics")["parts"]} == {"metrics"}


def test_doctor(ask, document):
    code, out, _ = ask("doctor")
    assert code == 0
    assert re.search(r"^ok +polars +\d", out, re.MULTILINE)
    result = document("doctor")
    assert result["ok"]
    assert {"name", "ok", "says"} <= set(result["checks"][0])


def test_version_and_help(ask, capsys):
    for option, says in (("--version", f"forgeline {__version__}\n"), ("--help", "usage: forgeline")):
        with pytest.raises(SystemExit) as end:
            cli.main([option])
        assert end.value.code == 0
        assert capsys.readouterr().out.startswith(says)


@pytest.mark.parametrize(
    ("code", "do", "says"),
    [
        ("label.error", "relabel", "label.error is the first of the queue, and for a person to confirm"),
        ("quality.contradiction", "drop_rows", "--apply quality.contradiction"),
    ],
)
def test_what_only_a_model_doubts_is_not_to_be_applied_unread(code, do, says):
    fix = records.Fix(do=do, columns=["a"])
    finding = records.Finding(code=code, severity="warn", says="x", columns=["a"], fix=fix)
    remedy = records.Remedy(finding=0, code=code, columns=["a"], rows=1, do=do, gain=1.0, low=0.0, high=2.0)
    record = SimpleNamespace(findings=[finding], facts=SimpleNamespace(queue=[remedy], decided=[]))
    run = SimpleNamespace(records=[None, record], ask=spec.check({"snapshot": {"target": "a"}}))
    asked = SimpleNamespace(verb=cli.verb_run, data="rows.csv")
    assert says in cli.next_fix(run, asked)
