"""Bad input is answered, not survived: one message with place and remedy, its exit code, nothing left over."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from forgeline import cli

COMMAND = [sys.executable, "-m", "forgeline"]
SPEC = '[snapshot]\nsource = "rows.csv"\ntarget = "label"\n'
RUN = "run rows.csv --target label"
HEAD = "age,city,label\n"
ONE_FAMILY = """--set 'train.families=["linear"]'"""


class Case(NamedTuple):
    """What is done in a folder that holds a good rows.csv, and words of the answer."""

    name: str
    command: str
    says: list[str]
    files: dict[str, str | bytes] | None = None
    spoil: Callable[[Path], object] | None = None
    """Given, the folder holds a finished run as well, and this is done to it before."""


def run_in(folder: Path) -> Path:
    return next((folder / ".forgeline" / "runs").iterdir())


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(data)


def flip_snapshot(folder: Path) -> None:
    flip(next((folder / ".forgeline" / "snapshots").glob("*/data.parquet")))


def flip_artefacts(folder: Path) -> None:
    for path in (run_in(folder) / "artefacts").iterdir():
        flip(path)
    for path in run_in(folder).glob("0[5-8]-*.json"):
        path.unlink()


def second_run(folder: Path) -> None:
    shutil.copytree(run_in(folder), run_in(folder).with_name(f"{run_in(folder).name}-again"))


def nothing(folder: Path) -> None:
    """The finished run as it is."""


FILES = [
    Case("missing file", "run row.csv --target label", ["row.csv", "no such file", "Did you mean rows.csv?"]),
    Case("folder without data", "run d --target label", ["no data files", ".csv"], {"d/notes.md": "x"}),
    Case("empty", RUN, ["rows.csv: the file is empty", "header and rows"], {"rows.csv": ""}),
    Case("header only", RUN, ["rows.csv", "header but no rows"], {"rows.csv": HEAD}),
    Case("short row", RUN, ["line 3 has 2 fields", "header has 3"], {"rows.csv": HEAD + "1,R,a\n2,O\n3,R,b\n"}),
    Case("long row", RUN, ["line 4 has 4 fields", "quotes"], {"rows.csv": HEAD + "1,R,a\n2,O,b\n3,R,b,9\n"}),
    Case("open quote", RUN, ["line 2", "Close the quote"], {"rows.csv": HEAD + '1,"R,a\n2,O,b\n'}),
    Case("binary", RUN, ["rows.csv: the file is binary", "Parquet"], {"rows.csv": bytes(range(256)) * 4}),
    Case(
        "undecodable",
        RUN,
        ["line 20 holds byte 0xff", "Save the file as UTF-8"],
        {"rows.csv": (HEAD + "1,Ré,a\n2,Ö,b\n" * 9).encode() + b"\xff\xfe\x81,x,y\n"},
    ),
    Case("damaged gzip", "run r.csv.gz --target y", ["r.csv.gz", "damaged"], {"r.csv.gz": b"\x1f\x8bhello"}),
    Case("damaged Parquet", "run r.parquet --target y", ["r.parquet", "cannot be read"], {"r.parquet": b"PAR1no"}),
    Case("bad JSON line", "run r.jsonl --target y", ["line 2", "object"], {"r.jsonl": '{"a": 1}\n[2]\n'}),
    Case("names twice", RUN, ["occur twice: a", "Rename"], {"rows.csv": "a,a,label\n1,2,x\n"}),
    Case(
        "files that differ",
        "run d --target y",
        ["b.csv", "lacks x"],
        {"d/a.csv": "x,y\n1,2\n", "d/b.csv": "z,y\n1,2\n"},
    ),
]
TARGETS = [
    Case("no target", "run rows.csv", ["no target column", "--target"]),
    Case("absent target", "run rows.csv --target lable", ["rows.csv", "lable", "Did you mean label?"]),
    Case("target all missing", RUN, ["target label", "every row lacks"], {"rows.csv": HEAD + "1,R,\n2,O,?\n"}),
    Case("one class", RUN, ["target label", "same value, 'a'"], {"rows.csv": HEAD + "1,R,a\n2,O,a\n"}),
    Case(
        "identifier as target",
        RUN,
        ["50 distinct labels in 50 rows", "identifier", "Name another column"],
        {"rows.csv": HEAD + "".join(f"{age},R,u{age}\n" for age in range(50))},
    ),
    Case("no feature", RUN, ["no column is left"], {"rows.csv": "label\na\nb\n"}),
    Case("too few rows", RUN, ["label", "Add rows"], {"rows.csv": HEAD + "1,R,a\n2,O,b\n3,R,a\n4,O,b\n"}),
    Case("positive no class", f"{RUN} --set snapshot.positive=god", ["'god' is no class", "Did you mean good?"]),
    Case("positive of a quantity", "run rows.csv --target age --set snapshot.positive=3", ["regression"]),
    Case(
        "negative weight",
        f"{RUN} --set snapshot.weight=w",
        ["weight w is -1 in row 1", "above 0"],
        {"rows.csv": "age,w,label\n1,1,a\n2,-1,b\n3,1,a\n"},
    ),
    Case("protected absent", f"""{RUN} --set 'assess.protected=["citty"]'""", ["protected", "Did you mean city?"]),
    Case("split by absent", f"{RUN} --set split.by=cty", ["[split] by", "Did you mean city?"]),
    Case("drop absent", f"""{RUN} --set 'snapshot.drop=["agee"]'""", ["agee", "Did you mean age?"]),
    Case("test file missing", f"{RUN} --test t.csv", ["t.csv: no such file"]),
    Case(
        "test lacks a column",
        f"{RUN} --test t.csv",
        ["t.csv", "lacks 3 columns", "city"],
        {"t.csv": "age,label\n1,bad\n"},
    ),
    Case(
        "test label never seen",
        f"{RUN} --test t.csv",
        ["t.csv", "fine", "never occurs in training", "bad, good"],
        {"t.csv": "age,city,income,member,label\n1,Rome,3,yes,fine\n"},
    ),
]
SPECS = [
    Case("nothing to run", "run", ["no forgeline.toml here", "forgeline init"]),
    Case("no such spec", "run other.toml", ["other.toml", "no such spec"]),
    Case(
        "malformed",
        "run",
        ["forgeline.toml: not readable as TOML", "line 1"],
        {"forgeline.toml": "[snapshot\n"},
    ),
    Case(
        "no source",
        "run",
        ["no source", 'source = "data.csv"'],
        {"forgeline.toml": '[snapshot]\ntarget = "y"\n'},
    ),
    Case(
        "unknown key",
        "run",
        ["forgeline.toml [plan]", "metrik", "Did you mean metric?"],
        {"forgeline.toml": SPEC + "[plan]\nmetrik = 1\n"},
    ),
    Case("unknown section", "run", ["trian", "Did you mean train?"], {"forgeline.toml": SPEC + "[trian]\n"}),
    Case(
        "section as value",
        "run",
        ["plan is a section", "Write [plan]"],
        {"forgeline.toml": "plan = 1\n" + SPEC},
    ),
    Case(
        "wrong type",
        "run",
        ['snapshot.drop is "age"', "must be a list"],
        {"forgeline.toml": SPEC + 'drop = "age"\n'},
    ),
    Case(
        "out of range",
        "run",
        ["split.share is 1.5", "< 1"],
        {"forgeline.toml": SPEC + "[split]\nshare = 1.5\n"},
    ),
    Case(
        "gate without text",
        "run",
        ["gates", "text in quotes"],
        {"forgeline.toml": SPEC + '[gates]\n"test.f1" = 0.9\n'},
    ),
    Case(
        "accept without reason",
        "run",
        ["assess.accept", "`reason`"],
        {"forgeline.toml": SPEC + '[[assess.accept]]\ncode = "x"\nby = "me"\n'},
    ),
    Case(
        "bad gate",
        f"""{RUN} --set 'gates."test.f1"=good'""",
        ["[gates]", "'good' is no condition", "low >= 0.90"],
    ),
    Case(
        "unknown check",
        "run",
        ["[[assess.checks]]", "Did you mean duplicate?"],
        {"forgeline.toml": SPEC + '[[assess.checks]]\nuse = "duplicat"\n'},
    ),
    Case(
        "unknown option of a check",
        "run",
        ["least_row", "Did you mean least_rows?"],
        {"forgeline.toml": SPEC + '[[assess.checks]]\nuse = "target_copy"\nleast_row = 1\n'},
    ),
    Case(
        "option of a wrong type",
        "run",
        ["warn_above of missing is 'much'", "0.4"],
        {"forgeline.toml": SPEC + '[[assess.checks]]\nuse = "missing"\nwarn_above = "much"\n'},
    ),
    Case(
        "unknown family",
        f"""{RUN} --set 'train.families=["lightgbn"]'""",
        ["[train] families", "Did you mean lightgbm?"],
    ),
    Case("no family", f"{RUN} --set train.families=[]", ["no family", '"auto"']),
    Case("unknown metric", f"{RUN} --set plan.metric=roc_auk", ["[plan] metric", "Did you mean roc_auc?"]),
    Case(
        "unknown suite",
        f"""{RUN} --set 'evaluate.suites=[{{use="x"}}]'""",
        ["[evaluate] suites", "unknown suite x"],
    ),
    Case(
        "metric of another task",
        f"{RUN} --set plan.metric=rmse",
        ["rmse does not score a binary task", "roc_auc"],
    ),
]
BUDGETS = [
    Case("no work", f"{RUN} --work 0", ["budget.work is 0", "> 0"]),
    Case("negative work", f"{RUN} --work -1", ["budget.work is -1", "> 0"]),
    Case("endless work", f"{RUN} --work inf", ["budget.work is Infinity"]),
    Case("work and time", f"{RUN} --work 3 --time 60s", ["work and time are both set", "Keep one"]),
    Case("no duration", f"{RUN} --time banana", ["'banana' is no duration", "60s"]),
    Case("no time", f"{RUN} --time 0s", ["'0s'", "above 0"]),
    Case("little memory", f"{RUN} --set budget.memory=10MB", ["10MB is less", "256MB"]),
    Case("no size", f"{RUN} --set budget.memory=lots", ["'lots' is no size", "6GB"]),
]
COMMANDS = [
    Case("unknown verb", "runn rows.csv", ["no verb runn", "Did you mean run?"]),
    Case("no verb", "", ["VERB", "forgeline --help"]),
    Case("unknown option", f"{RUN} --tme 60s", ["run does not take --tme", "Did you mean --time?"]),
    Case("no number", f"{RUN} --seed x", ["--seed", "'x'"]),
    Case(
        "--set without value",
        f"{RUN} --set plan.metric",
        ["plan.metric is not section.key=value", "--set plan"],
    ),
    Case(
        "--set below a value",
        "run --set snapshot.target.x=1 --set seed.y=2",
        ["seed is no section"],
        {"forgeline.toml": "seed = 1\n" + SPEC},
    ),
    Case("unknown stage", f"{RUN} --until asses", ["--until", "Did you mean assess?"]),
    Case("--predict without --test", f"{RUN} --predict o.csv", ["--predict needs a test file", "--test FILE"]),
    Case("--predict of no known kind", f"{RUN} --test rows.csv --predict o.xls", ["o.xls", ".csv or .parquet"]),
    Case("--predict without release", f"{RUN} --test rows.csv --until train --predict o.csv", ["--until train"]),
    Case("unknown kind of part", "parts check", ["Did you mean checks?"]),
    Case("init over a spec", "init rows.csv --target label", ["there already", "--force"], {"forgeline.toml": ""}),
    Case("store under a file", RUN, [".forgeline", "cannot write the store"], {".forgeline": ""}),
    Case("runs is a file", RUN, [".forgeline", "cannot write the store"], {".forgeline/runs": ""}),
    Case("unreachable mirror", f"{RUN} --store nonsense://x", ["nonsense://x", "URL"]),
    Case("no run yet", "show latest", ["no run latest", "no runs here yet"]),
]
FINISHED = [
    Case("unknown run", "show 1999", ["no run 1999", "Known: "], spoil=nothing),
    Case("ambiguous run", "show 2", ["2 is the beginning of 2 runs", "-again"], spoil=second_run),
    Case("unknown stage of a run", "show latest trian", ["no stage trian", "Did you mean train?"], spoil=nothing),
    Case("corrupted snapshot, run", RUN, ["corrupted snapshot", "Delete that folder"], spoil=flip_snapshot),
    Case("corrupted snapshot, resume", "resume latest", ["corrupted snapshot"], spoil=flip_snapshot),
    Case("tampered artefact", "resume latest", ["artefact was changed", "Delete the run"], spoil=flip_artefacts),
    Case(
        "broken record",
        "show latest",
        ["04-plan.json: not a record", "Delete the file"],
        spoil=lambda folder: (run_in(folder) / "04-plan.json").write_text("{"),
    ),
    Case(
        "work.log gone",
        "verify latest",
        ["work.log is gone"],
        spoil=lambda folder: (run_in(folder) / "work.log").unlink(),
    ),
    Case(
        "tampered release, predict",
        "predict latest rows.csv -o o.csv",
        ["tampered release", "model.onnx", "fetch the release again"],
        spoil=lambda folder: flip(run_in(folder) / "release" / "model.onnx"),
    ),
    Case(
        "tampered release, monitor",
        "monitor latest rows.csv",
        ["tampered release", "reference.json"],
        spoil=lambda folder: flip(run_in(folder) / "release" / "reference.json"),
    ),
    Case(
        "no checksums",
        "serve latest",
        ["this is no release", "SHA256SUMS"],
        spoil=lambda folder: (run_in(folder) / "release" / "SHA256SUMS").unlink(),
    ),
    Case(
        "predict without a column",
        "predict latest x.csv -o o.csv",
        ["column income is missing", "age, city"],
        {"x.csv": "age,city\n1,Rome\n"},
        nothing,
    ),
    Case(
        "predict ragged rows",
        "predict latest x.csv -o o.csv",
        ["x.csv, line 2", "header has 4"],
        {"x.csv": "age,city,income,member\n1,Rome\n"},
        nothing,
    ),
    Case("predict a missing file", "predict latest x.csv -o o.csv", ["x.csv", "cannot be read"], spoil=nothing),
    Case(
        "predict to no known kind",
        "predict latest rows.csv -o o.xls",
        ["o.xls", ".csv or .parquet"],
        spoil=nothing,
    ),
    Case(
        "predict into no folder",
        "predict latest rows.csv -o d/o.csv",
        ["d/o.csv", "cannot be written"],
        spoil=nothing,
    ),
    Case(
        "keep an absent column",
        "predict latest rows.csv -o o.csv --keep id",
        ["column id", "not in the data"],
        spoil=nothing,
    ),
    Case(
        "monitor without a column",
        "monitor latest x.csv",
        ["column income is missing"],
        {"x.csv": "age,city\n1,Rome\n"},
        nothing,
    ),
    Case("public without token", "serve latest --host 0.0.0.0", ["needs a token", "--token-file"], spoil=nothing),
    Case("no such port", "serve latest --port 70000", ["no such port", "65535"], spoil=nothing),
    Case("no token file", "serve latest --token-file t", ["t: the file cannot be read"], spoil=nothing),
]
REFUSED = [*FILES, *TARGETS, *SPECS, *BUDGETS, *COMMANDS, *FINISHED]


@pytest.fixture
def prepare(tmp_path, monkeypatch, capsys, rows, request):
    """Lays out a case's folder and goes there."""

    def prepare(files=None, spoil=None):
        if spoil:
            shutil.copytree(request.getfixturevalue("finished"), tmp_path, dirs_exist_ok=True)
            spoil(tmp_path)
        for name, content in {"rows.csv": rows, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()  # what making the finished run has said
        return tmp_path

    return prepare


def run_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".forgeline/runs/*"))


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_bad_input_is_answered_in_one_message(case, prepare, capsys):
    folder = prepare(case.files, case.spoil)
    before = run_names(folder)
    assert cli.main(shlex.split(case.command)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    told = [line.startswith("forgeline: ") for line in err.splitlines()]  # those before tell the stages reached
    assert told[-1]
    assert sum(told) == 1
    message = err.splitlines()[-1]
    assert "Traceback" not in err
    for words in case.says:
        assert words in message
    assert run_names(folder) == before
    assert cli.main([*shlex.split(case.command), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit"] == 2
    assert f"forgeline: {answer['error']}" == message
    assert run_names(folder) == before


def test_the_table_is_long():
    assert len({case.name for case in REFUSED}) == len(REFUSED) >= 90


# ---------------------------------------------------------------- a finding, and the run goes on


def odd_rows(odd: Callable[[int], str | None], label: Callable[[int], str | None] = lambda row: None) -> str:
    """300 rows of two numbers and a label; `odd` may replace the second number of a row, `label` its label."""
    draw = random.Random(3)
    lines = ["a,b,label"]
    for row in range(300):
        a, b = draw.gauss(0, 1), draw.gauss(0, 1)
        own = "yes" if a + b + draw.gauss(0, 0.5) > 0 else "no"
        lines.append(f"{a:.4f},{odd(row) or round(b, 4)},{own if label(row) is None else label(row)}")
    return "\n".join(lines) + "\n"


ODD = {
    "quality.infinite": (odd_rows(lambda row: "inf" if row % 50 == 0 else None), "6 infinite values"),
    "quality.large_integer": (odd_rows(lambda row: str(2**60 + row % 40)), "300 integers beyond 2^53"),
    "quality.mixed_type": (odd_rows(lambda row: "low" if row % 90 == 5 else None), "'low' in row 5"),
    "quality.missing_target": (
        odd_rows(lambda row: None, lambda row: "" if row % 60 == 0 else None),
        "5 rows without label left out",
    ),
}


@pytest.mark.parametrize("code", ODD)
def test_odd_data_is_a_finding(code, prepare, capsys):
    text, says = ODD[code]
    prepare({"rows.csv": text})
    assert cli.main(["assess", "rows.csv", "--target", "label", "--json"]) == 0
    findings = {each["code"]: each["says"] for each in json.loads(capsys.readouterr().out)["findings"]}
    assert says in findings[code]


def test_odd_data_passes_the_whole_line(prepare, capsys):
    cells = {5: "low", 50: "inf", 51: "-inf", 77: str(2**60)}
    text = odd_rows(cells.get, lambda row: "" if row % 60 == 0 else None)
    prepare({"rows.csv": text})
    assert cli.main(shlex.split(f"{RUN} --work 3 {ONE_FAMILY} --json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "passed"
    assert answer["numbers"]["rows.train"]["value"] + answer["numbers"]["rows.test"]["value"] == 295


@pytest.mark.alone
@pytest.mark.slow
def test_ten_thousand_columns_are_assessed_in_time(prepare, capsys):
    draw = random.Random(2)
    names = ",".join(f"c{column}" for column in range(10_000))
    body = [f"{','.join(str(draw.randint(0, 99)) for _ in range(10_000))},{'yn'[row % 2]}" for row in range(100)]
    prepare({"rows.csv": "\n".join([f"{names},label", *body]) + "\n"})
    began = time.perf_counter()
    assert cli.main(["assess", "rows.csv", "--target", "label", "--json"]) == 0
    assert time.perf_counter() - began < 20
    assert "quality.wide" in {each["code"] for each in json.loads(capsys.readouterr().out)["findings"]}


# ---------------------------------------------------------------- the other exit codes


def test_a_gate_that_does_not_hold_exits_3_and_keeps_the_run(prepare, capsys):
    folder = prepare(spoil=nothing)
    command = f"""{RUN} --work 3 {ONE_FAMILY} --set 'gates."test.accuracy"=low >= 0.9999'"""
    assert cli.main([*shlex.split(command), "--json"]) == 3
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["verdict"] == "blocked"
    assert answer["release"] is None
    assert [gate["holds"] for gate in answer["gates"]] == [True, False]
    assert "gate does not hold: test.accuracy low >= 0.9999" in err
    assert answer["run"] in run_names(folder)


def test_a_leak_exits_3_and_its_named_fix_exits_0(prepare, capsys, rows):
    lines = rows.splitlines()
    copied = [lines[0] + ",copy", *(f"{line},{line.rpartition(',')[2]}" for line in lines[1:])]
    prepare({"rows.csv": "\n".join(copied) + "\n"})
    assert cli.main(shlex.split(f"{RUN} --until refine")) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "leak.target_copy" in err
    assert "--apply leak.target_copy" in err
    assert cli.main(shlex.split(f"{RUN} --until refine --apply leak.target_copy")) == 0


def test_a_budget_too_small_for_any_model_exits_4(prepare, capsys):
    folder = prepare(spoil=nothing)
    assert cli.main(shlex.split(f"{RUN} --work 0.0001 {ONE_FAMILY} --json")) == 4
    out, err = capsys.readouterr()
    assert json.loads(out)["exit"] == 4
    assert json.loads(out)["verdict"] == "failed"
    assert "needs" in err
    assert "Give more than --work 0.0001" in err
    assert len(run_names(folder)) == 2  # what was made may be used by the next run


@pytest.mark.alone
def test_a_time_too_short_for_any_model_exits_4(prepare):
    prepare(spoil=nothing)
    command = [*COMMAND, *shlex.split(f"{RUN} --time 1s {ONE_FAMILY}")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert "Give more than --time 1s" in done.stderr
    assert "Traceback" not in done.stderr


def test_as_a_process_bad_input_ends_the_same(prepare):
    prepare({"rows.csv": HEAD + "1,R,a\n2,O\n"})
    done = subprocess.run([*COMMAND, *RUN.split()], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("forgeline: rows.csv: line 3 has 2 fields")
    assert run_names(Path.cwd()) == []


def interrupted(folder: Path, arguments: list[str], sign: str) -> tuple[str, str]:
    """Start a run, press Ctrl-C once its work.log holds the sign; what it printed, and said at last."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not any(sign in log.read_text() for log in folder.glob(".forgeline/runs/*/work.log")):
        assert process.poll() is None
        time.sleep(0.02)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert psutil.wait_procs(family, timeout=10)[1] == []
    return out, err


@pytest.mark.slow
def test_ctrl_c_amid_training_kills_the_workers_and_names_the_command_that_goes_on(prepare):
    folder = prepare()
    families = """--set 'train.families=["extra_trees", "linear"]'"""
    out, err = interrupted(folder, shlex.split(f"{RUN} --work 3 {families}"), '"do": "unit"')
    (run,) = run_names(folder)
    assert out == ""
    assert err.endswith(f"interrupted; what is finished is kept. Go on with:\n  forgeline resume {run}\n")
    resumed = subprocess.run([*COMMAND, "resume", run, "--json"], capture_output=True, text=True, timeout=120)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["verdict"] == "passed"


def test_ctrl_c_while_the_workers_are_being_warmed_up_is_answered_once(prepare):
    folder = prepare()
    out, err = interrupted(folder, [*RUN.split(), "--json"], '"do": "open"')
    answer = json.loads(out)
    assert (answer["run"], answer["verdict"], answer["exit"]) == (run_names(folder)[0], "failed", 130)
    assert err.count("forgeline resume") == 1
