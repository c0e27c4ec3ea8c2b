"""What is found out of networks before the plan is made, in whole lines over small pictures."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import drawn
import msgspec
import pytest

import forgeline as fl
from forgeline import catalog, kinds, session, sketching
from forgeline.engine.seeds import Seed
from forgeline.engine.sketch import Sketch
from forgeline.engine.store import Store
from forgeline.engine.workers import Outcome
from forgeline.records import Candidate, Cost
from forgeline.runner import read_log
from forgeline.sketching import Look, Looks

NET = {"use": "convnet", "width": 8, "stages": 2, "batch": 32, "epochs": 6.0}
SIZE = (12, 12, 1)
SHAPE = kinds.Shape(400, 36, "multiclass", 3, None, None, (SIZE,))
MEASURED = {"sparsity", "seconds by measure", "seconds to answer a row"}


def networks(done):
    (found,) = (each for each in done.records[3].tables if each.title == "Networks")
    return [dict(zip(found.columns, row)) for row in found.rows]


def lines(done, do):
    return [each for each in read_log(done.folder) if each["do"] == do]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    place = tmp_path_factory.mktemp("idx")
    return drawn.write_idx(place, "train", *drawn.bars(600))


@pytest.fixture(scope="module")
def planned(source, tmp_path_factory):
    """Plans by their budget, made once."""
    pytest.importorskip("torch")
    made = {}

    def planned(families=("linear", NET), **budget):
        key = str((families, budget))
        if key not in made:
            store = tmp_path_factory.mktemp("store")
            train = {"families": list(families)}
            made[key] = fl.run(str(source), target="label", store=store, until="plan", train=train, **budget)
        return made[key]

    return planned


# ---------------------------------------------------------------- whole plans


def test_under_a_work_budget_networks_are_counted_and_nothing_is_timed(planned):
    (row,) = networks(planned(work=40))
    assert row["candidate"] == "convnet-1"
    assert row["FLOPs per step"] == 3 * row["FLOPs per row"] * row["batch"]
    assert row["FLOPs per row"] > catalog.load("families", "convnet").cost(SHAPE, setting()).flops_per_row
    assert row["parameters"] > 9 * 8 * 8
    assert row["activation bytes"] > row["batch"] * row["row's activation bytes"] * 0.9
    assert row["feasible"] == "yes"
    assert not MEASURED & row.keys()
    assert not lines(planned(work=40), "sketched")
    assert planned(work=40).records[3].facts.paces == {}


def setting():
    return catalog.load("families", "convnet").space(SHAPE).points[0] | {k: v for k, v in NET.items() if k != "use"}


@pytest.mark.slow
def test_a_work_budget_plans_the_same_again(planned, source, tmp_path):
    train = {"families": ["linear", NET]}
    again = fl.run(str(source), target="label", store=tmp_path, until="plan", train=train, work=40)
    assert again.records[3].digest == planned(work=40).records[3].digest


def test_where_little_work_is_left_nobody_looks(planned):
    (row,) = networks(planned(work=20))
    assert (row["parameters"], row["activation bytes"]) == (None, None)
    assert row["FLOPs per row"] == catalog.load("families", "convnet").cost(SHAPE, setting()).flops_per_row


def test_under_a_time_budget_networks_are_timed_and_a_replay_follows(planned):
    done = planned(time="300s")
    (row,) = networks(done)
    assert row.keys() >= MEASURED
    assert 0.2 < row["sparsity"] < 0.8
    assert row["seconds by measure"] > 0 < row["seconds to answer a row"]
    facts, (noted,) = done.records[3].facts, lines(done, "sketched")
    assert facts.paces == {"convnet": noted["looks"]["found"][0]["pace"]}
    counted = networks(planned(work=40))[0]
    alike = ("FLOPs per row", "parameters", "activation bytes", "row's activation bytes")
    assert [row[name] for name in alike] == [counted[name] for name in alike]
    store = Store(done.folder.parents[1])
    assert session.verify(done.folder, store=store, quiet=True)["equal"]


def test_the_network_that_the_measured_pace_gives_was_looked_at(planned):
    for row in networks(planned(families=("linear", "convnet"), time="300s")):
        assert row["seconds by measure"] > 0, row["candidate"]


def test_a_short_time_budget_does_without(planned):
    done = planned(time="30s")
    (row,) = networks(done)
    assert (row["parameters"], row["seconds by measure"]) == (None, None)
    assert [each["what"] for each in lines(done, "skip") if each["stage"] == "plan"] == ["networks"]


def test_a_look_keeps_to_the_memory_of_a_worker(source, tmp_path):
    """In a process of its own: the peak of this one is that of every test before."""
    asked = [sys.executable, "-m", "forgeline", "run", str(source), "--target", "label", "--until", "plan", "--json"]
    asked += ["--time", "300s", "--set", "budget.memory=2GB", "--set", f"train.families={toml(['linear', NET])}"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    record = json.loads((Path(json.loads(done.stdout)["folder"]) / "04-plan.json").read_text())
    sheet = next(each for each in record["tables"] if each["title"] == "Networks")
    assert sheet["rows"][0][sheet["columns"].index("parameters")] is not None
    assert record["meter"]["peak_bytes"] < 10**9


def toml(families):
    """A list of families as a spec holds it."""
    parts = [json.dumps(each) if isinstance(each, str) else inline(each) for each in families]
    return f"[{', '.join(parts)}]"


def inline(part):
    """An inline table."""
    return "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in part.items()) + "}"


def test_a_network_that_does_not_fit_says_so(planned):
    (row,) = networks(planned(work=40, budget={"memory": "300MB", "workers": 1}))
    assert row["parameters"] is None
    assert row["feasible"] == "needs 0.47 GB of 0.30 GB"


def test_a_table_without_networks_has_no_such_table_and_needs_no_torch(tmp_path):
    code = (
        "import sys, polars, forgeline as fl\n"
        "if __name__ == '__main__':\n"
        "    rows = polars.DataFrame({'x': [k * 0.37 % 1 for k in range(200)], 'y': [k % 2 for k in range(200)]})\n"
        f"    done = fl.run(rows, target='y', until='plan', store={str(tmp_path)!r}, work=40)\n"
        "    print([each.title for each in done.records[3].tables], 'torch' in sys.modules)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "['Candidates'] False"


# ---------------------------------------------------------------- figures by hand


def priced(name="convnet-1", flops=1e6, **more):
    cost = Cost(work=10.0, seconds=10.0, memory_bytes=10**6, size_bytes=5_000, flops_per_row=flops)
    return Candidate(name=name, family="convnet", setting=setting() | more, cost=cost, fits=True, why="")


SEEN = Sketch(32, 1_000, 64_000, 1_900.0, 2e6, 0.5, 0.01, 0.002)


def test_seconds_are_those_of_the_start_the_steps_and_the_answers():
    """400 rows of which each step takes 20: 120 steps, and held rows are looked at six times."""
    built = catalog.load("families", "convnet").build(SHAPE, setting(), Seed(0))
    assert (built.batch, built.recipe.steps, built.recipe.check_every) == (20, 120, 20)
    look = Look("convnet-1", "convnet", 1e6, SEEN, 1.5, 0.4)
    answered = 6 * 150 + 200 + 200
    expected = 1.5 + 120 * 0.01 + answered * 0.002 / 32
    assert sketching.seconds_of(look, built, 200, 150) == pytest.approx(expected)
    looks = Looks([look, msgspec.structs.replace(look, candidate="convnet-2", pace=0.8)])
    assert looks.paces == {"convnet": pytest.approx(0.6)}
    (table,) = sketching.tables([priced()], looks, SHAPE, 3, 1_000.0, True, Seed(0))
    (row,) = (dict(zip(table.columns, each)) for each in table.rows)
    assert row["seconds by measure"] == pytest.approx(3 * (1.5 + 1.2 + (6 * 200 + 400) * 0.002 / 32))
    assert row["activation bytes"] == 64_000 - 12 * 1_900
    assert (row["seconds by price"], row["release bytes"], row["feasible"]) == (30.0, 15_000, "yes")


@pytest.mark.parametrize(
    ("candidate", "lost", "allowed", "says"),
    [
        (priced(), {}, 5.0, "needs 8 core seconds of 5"),
        (msgspec.structs.replace(priced(), fits=False, why="too large"), {}, 99.0, "too large"),
        (priced("convnet-1@0.5"), {"convnet-1": "memory"}, 99.0, "yes, as far as is known: memory"),
    ],
)
def test_why_a_network_is_not_feasible(candidate, lost, allowed, says):
    looks = Looks([Look("convnet-1", "convnet", 1e6, SEEN, 1.5, 0.4)], lost)
    (table,) = sketching.tables([candidate], looks, SHAPE, 3, allowed, True, Seed(0))
    assert table.rows[0][-1] == says


def test_another_network_of_the_family_tells_nothing():
    looks = Looks([Look("convnet-1", "convnet", 2e6, SEEN, 1.5, 0.4)])
    assert looks.of(priced()) is None
    assert looks.of(priced("other", 2e6)) is not None


def test_what_is_too_large_for_a_worker_is_not_looked_at():
    work = SimpleNamespace(decided=lambda do, **where: None, seed=Seed(0), workers=SimpleNamespace(memory_bytes=10**5))
    assert sketching.look([priced()], set(), SHAPE, None, 100.0, work) == Looks()


def test_what_a_worker_lost_is_told_and_a_replay_of_it_too():
    notes = []

    def lose(jobs, remaining):
        return [Outcome(job, None, "memory", 1.0, 10**9, 1.0) for job in jobs]

    def note(do, **fields):
        notes.append({"do": do, **msgspec.to_builtins(fields)})
        return notes[-1]

    ref = SimpleNamespace(digest="0", name="target.npy")
    facts = SimpleNamespace(fold_count=3, rows=600, table=[ref], folds=ref, recipes=[ref])
    work = SimpleNamespace(
        decided=lambda do, **where: notes[-1] if notes else None,
        affords=lambda *what, **where: True,
        note=note,
        seed=Seed(0),
        clock=SimpleNamespace(remaining=100.0),
        artefacts=SimpleNamespace(folder="here"),
        workers=SimpleNamespace(memory_bytes=10**9, run=lose),
    )
    looks = sketching.look([priced()], set(), SHAPE, SimpleNamespace(facts=facts), None, work)
    assert (looks.found, looks.lost, looks.paces) == ([], {"convnet-1": "memory"}, {})
    work.workers.run = None
    assert sketching.look([priced()], set(), SHAPE, SimpleNamespace(facts=facts), None, work) == looks
