import hashlib
import shutil
import time

import msgspec
import pytest

from forgeline import catalog, records, runner, spec
from forgeline.engine.clock import Clock
from forgeline.engine.seeds import Seed
from forgeline.engine.store import Store, WorkLog
from forgeline.engine.workers import Workers
from forgeline.errors import BadInput
from forgeline.records import Finding, GateResult, Meter, Number, Ref
from forgeline.runner import GateBlocks, Runner, Until, judge, refs, totals_of, unknown, without_workers
from forgeline.spec import parse_gate
from forgeline.workspace import Workspace

ROWS = "".join(f"{x},{'a' if x % 3 else 'b'},{'yes' if x % 7 > 3 else 'no'}\n" for x in range(60))


@pytest.fixture
def make(tmp_path):
    """Makes a runner over a CSV file in a store of its own."""
    (tmp_path / "data.csv").write_text("x,c,y\n" + ROWS)
    store = Store(tmp_path / ".forgeline")
    store.open()

    def make(name="r1", until="assess", **asked):
        asked["snapshot"] = {"source": "data.csv", "target": "y"} | asked.get("snapshot", {})
        ask = spec.check(asked)
        folder = store.runs / name
        folder.mkdir(exist_ok=True)
        (folder / "spec.toml").write_text(spec.encode(ask))
        log = WorkLog(folder / "work.log")
        work = Workspace(folder, store, tmp_path, Clock(None), Seed(ask.seed), Workers(1, 2**30), log, quiet=True)
        return Runner(ask, work, until=until)

    return make


def assessed(run):
    """The records up to assess."""
    snapshot = run("snapshot", run.ask.snapshot, run.ask.split)
    with pytest.raises(Until):
        run("assess", run.ask.assess, run.ask.split, run.ask.refine, snapshot)
    return run.done


# ---------------------------------------------------------------- made once


def test_a_record_is_published_with_what_it_is_made_of(make):
    run = make()
    snapshot, assessment = assessed(run)
    path = run.work.folder / "02-assess.json"
    assert records.decode(path.read_bytes()) == assessment
    assert assessment.made.inputs == {"snapshot": snapshot.digest}
    assert set(assessment.made.ask) == {"assess", "split", "refine"}
    assert set(assessment.made.parts) == {f"checks.{name}" for name in catalog.names("checks")}
    assert assessment.gates == [GateResult(gate="findings.blocking == 0", value=0.0, holds=True)]
    kept = [assessment.facts.split.digest, assessment.facts.table_schema.digest]
    assert [ref.digest for ref in assessment.artefacts] == kept
    assert (run.work.folder / "artefacts" / assessment.facts.split.digest).exists()


def test_a_finished_stage_is_not_run_again(make):
    first = assessed(make())
    files = {path: path.stat().st_mtime_ns for path in make().work.folder.rglob("*.json")}
    assert assessed(make()) == first
    assert {path: path.stat().st_mtime_ns for path in make().work.folder.rglob("*.json")} == files


def test_a_stage_whose_ask_changed_is_run_again(make):
    first = assessed(make())
    again = assessed(make(split={"share": 0.4}))
    assert again[1].facts.test_rows > first[1].facts.test_rows
    assert again[1].made.key != first[1].made.key


def test_a_stage_whose_data_changed_is_run_again(make, tmp_path):
    first = assessed(make())
    (tmp_path / "data.csv").write_text("x,c,y\n" + ROWS + "99,a,no\n")
    again = assessed(make())
    assert (first[0].facts.rows, again[0].facts.rows) == (60, 61)


def test_another_run_takes_a_record_over_with_its_files(make):
    first = assessed(make("r1"))
    second = assessed(make("r2"))
    assert [each.digest for each in second] == [each.digest for each in first]
    assert [each.meter for each in second] == [each.meter for each in first]
    assert [each.run for each in second] == ["r2", "r2"]
    shutil.rmtree(make("r1").work.folder)
    assert make("r2").work.array(second[1].facts.split).shape == (60,)


def test_a_torn_artefact_is_not_taken_over(make):
    first = make("r1")
    assessed(first)
    path = first.work.folder / "artefacts" / first.done[1].facts.split.digest
    path.write_bytes(path.read_bytes()[:-1])
    second = make("r2")
    assert assessed(second)[1].digest == first.done[1].digest
    assert second.work.array(second.done[1].facts.split).shape == (60,)


def test_what_had_no_time_for_a_look_is_made_again_by_another_run_but_not_by_its_own(make):
    late = make("r1")
    late.work.clock = Clock(10.0, started=time.time() - 9)
    hurried = assessed(late)[1]
    assert "label_error" in hurried.facts.not_applicable
    assert assessed(make("r1"))[1].digest == hurried.digest
    assert "label_error" not in assessed(make("r2"))[1].facts.not_applicable


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_a_deleted_snapshot_is_made_again(make, name):
    first = make("r1")
    assessed(first)
    shutil.rmtree(first.work.snapshots)
    second = make(name)
    assert assessed(second)[0].digest == first.done[0].digest
    assert second.work.frame(second.done[0].facts.digest).height == 60


def test_a_record_that_cannot_be_read_is_named(make):
    run = make()
    assessed(run)
    path = run.work.folder / "02-assess.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadInput, match=r"02-assess\.json: not a record .* Delete the file and resume"):
        assessed(make())


def test_a_dirty_working_tree_is_recorded_and_changes_no_digest(make, tmp_path):
    import subprocess

    def git(*arguments):
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *names, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "code.py").write_text("x = 1\n")
    git("init")
    git("add", "code.py")
    git("commit", "-m", "one")
    clean = assessed(make("r1"))[0]
    (tmp_path / "code.py").write_text("x = 2\n")
    fresh, adopting = make("r2"), make("r3")
    fresh.reuse = False
    for run in (fresh, adopting):
        dirty = assessed(run)[0]
        diff = dirty.place.code.diff
        assert (clean.place.code.dirty, dirty.place.code.dirty) == (False, True)
        assert b"x = 2" in run.work.get(diff)
        assert diff not in dirty.artefacts
        assert dirty.digest == clean.digest
    assert adopting.done[0].meter == fresh.done[0].meter


# ---------------------------------------------------------------- keys


def test_prices_and_workers_never_change_a_key():
    ask = {"budget": {"work": 5.0, "time": "", "memory": "", "workers": 2, "price_per_hour": 3.0}}
    other = {"budget": {"work": 5.0, "time": "", "memory": "", "workers": None, "price_per_hour": None}}
    assert without_workers(ask) == without_workers(other)
    assert without_workers({"plan": {}}) == {"plan": {}}


def test_the_key_changes_when_a_parts_source_changes(make):
    made = make().made("evaluate", [])
    files = {path.stem: path for path in (catalog.PARTS / "metrics").glob("[!_]*.py")}
    digests = {f"metrics.{name}": hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert made.parts == digests
    changed = msgspec.structs.replace(made, parts=digests | {"metrics.f1": "0" * 64})
    assert changed.key != made.key


def test_refs_are_found_anywhere_and_once():
    one, two = (Ref(digest=name * 64, size_bytes=1) for name in "ab")
    finding = Finding(code="x", severity="note", says="", rows=records.Rows(count=1, ref=one))
    assert refs({"a": [finding, two], "b": one}) == [one, two]
    assert refs(None) == []


# ---------------------------------------------------------------- gates


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("== 0.5", True),
        ("!= 0.5", False),
        (">= 0.5", True),
        ("<= 0.5", True),
        ("> 0.5", False),
        ("< 0.5", False),
        ("low >= 0.4", True),
        ("low > 0.4", False),
        ("high < 0.6", False),
        ("high <= 0.6", True),
    ],
)
def test_a_gate_compares_the_side_it_names(condition, holds):
    number = Number(value=0.5, low=0.4, high=0.6, level=0.95)
    assert judge(parse_gate("a", condition), number).holds is holds


def test_what_was_not_measured_never_holds():
    null = judge(parse_gate("a", "!= 1"), Number(value=None, why="no labels"))
    assert null == GateResult(gate="a != 1", value=None, holds=False, why="no labels")
    no_side = judge(parse_gate("a", "low >= 0"), Number(value=0.5))
    assert no_side == GateResult(gate="a low >= 0", value=None, holds=False, why="a has no low")


def test_a_gate_on_an_unknown_number_names_the_nearest():
    result = unknown(parse_gate("test.auc", ">= 0"), {"test.roc_auc", "cv.f1"})
    assert not result.holds
    assert "this run has no number test.auc. Did you mean test.roc_auc?" in result.why


def test_a_gate_blocks_with_the_findings_behind_it(make, tmp_path):
    copy = "".join(f"{x},{'yes' if x % 7 > 3 else 'no'},{'yes' if x % 7 > 3 else 'no'}\n" for x in range(60))
    (tmp_path / "data.csv").write_text("x,c,y\n" + copy)
    run = make()
    snapshot = run("snapshot", run.ask.snapshot, run.ask.split)
    with pytest.raises(GateBlocks, match=r"findings\.blocking == 0 \(it is 1\)\nleak\.target_copy") as caught:
        run("assess", run.ask.assess, run.ask.split, run.ask.refine, snapshot)
    assert [gate.holds for gate in caught.value.gates] == [False]
    assert runner.read(run.work.folder, "assess").gates == caught.value.gates


def test_the_users_own_gate_replaces_the_built_in_one(make):
    run = make(gates={"findings.blocking": "<= 3"})
    assert [gate.gate for gate in assessed(run)[1].gates] == ["findings.blocking <= 3"]


def test_changed_gates_are_judged_again_without_running_the_stage(make):
    first = assessed(make())
    run = make(gates={"rows.train": ">= 1000"})
    snapshot = run("snapshot", run.ask.snapshot, run.ask.split)
    with pytest.raises(GateBlocks, match=r"rows\.train >= 1000"):
        run("assess", run.ask.assess, run.ask.split, run.ask.refine, snapshot)
    stored = runner.read(run.work.folder, "assess")
    assert stored.meter == first[1].meter
    assert [gate.holds for gate in stored.gates] == [False, True]


# ---------------------------------------------------------------- totals


def meter(**fields):
    plain = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_bytes": 1, "joules": None, "cost": None}
    return Meter(**(plain | fields), host="", at="")


def test_unknown_prices_stay_unknown():
    totals = totals_of([meter(), meter(seconds=2.0)], spec.check({}))
    assert totals["time.total"].value == 3.0
    for name in ("cost.total", "energy.total", "carbon.total"):
        assert totals[name].value is None
        assert totals[name].why
    assert all(number.measured for number in totals.values())


def test_totals_worked_by_hand():
    ask = spec.check({"budget": {"price_per_hour": 1.8, "carbon_per_kwh": 400.0}})
    totals = totals_of([meter(seconds=1000.0, joules=1.8e6), meter(seconds=1000.0, joules=1.8e6)], ask)
    assert totals["cost.total"].value == pytest.approx(1.0)
    assert totals["energy.total"].value == pytest.approx(3.6e6)
    assert totals["carbon.total"].value == pytest.approx(400.0)
    part = totals_of([meter(joules=1.0), meter()], ask)
    assert part["energy.total"].value is None
    assert "no energy counter" in part["carbon.total"].why


def test_a_total_without_its_factor_says_what_to_set():
    assert "carbon_per_kwh" in totals_of([meter(joules=1.0)], spec.check({}))["carbon.total"].why
