from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from forgeline import fitting, records, spec, units
from forgeline.engine.clock import Clock
from forgeline.engine.controller import Listed
from forgeline.engine.graph import Graph
from forgeline.engine.seeds import Seed
from forgeline.engine.store import Artefacts, Store, WorkLog
from forgeline.engine.workers import Workers
from forgeline.errors import BadInput
from forgeline.models import open_session
from forgeline.records import Ref, Unit
from forgeline.stages import train
from forgeline.workspace import Workspace

DRAW = np.random.default_rng(2)


def unit(candidate, fold, share=1.0):
    ref = Ref(digest="0" * 64, size_bytes=1)
    return Unit(candidate=candidate, fold=fold, model=ref, predictions=ref, share=share)


def a_plan(*names, fits=True):
    cost = records.Cost(work=1.0, seconds=1.0, memory_bytes=1, size_bytes=1, flops_per_row=1.0)
    candidates = [
        records.Candidate(name=name, family="linear", setting={}, cost=cost, fits=fits, why="needs 9 units")
        for name in names
    ]
    facts = records.PlanFacts(
        metric="rmse",
        higher_is_better=False,
        candidates=candidates,
        work_limit=1.0,
        seconds_limit=None,
        memory_limit=1,
    )
    return records.Plan(facts=facts)


# ---------------------------------------------------------------- targets and missing classes


def test_values_are_given_to_families_in_standard_units():
    y, present, center, scale = fitting.standardised(np.array([1.0, 3.0, 5.0, 7.0]), "regression")
    assert (center, scale, present) == (4.0, pytest.approx(5**0.5), [])
    assert y * scale + center == pytest.approx([1.0, 3.0, 5.0, 7.0])
    assert fitting.standardised(np.array([2.0, 2.0]), "regression")[3] == 1.0


def test_classes_are_counted_from_0_without_gaps():
    y, present, center, scale = fitting.standardised(np.array([5, 1, 5, 3]), "multiclass")
    assert (y.tolist(), present, center, scale) == ([2, 0, 2, 1], [1, 3, 5], 0.0, 1.0)


def test_two_classes_left_make_a_binary_task():
    assert fitting.task_of("multiclass", [0, 2]) == "binary"
    assert fitting.task_of("multiclass", [0, 1, 2]) == "multiclass"
    assert fitting.task_of("regression", []) == "regression"


@pytest.mark.parametrize("present", [[0, 2], [1, 2, 3], [0, 1, 2, 3], [3]])
def test_a_class_the_fold_lacked_has_probability_0(present):
    scores = DRAW.random((5, len(present))).astype(np.float32)
    wide = fitting.spread_array(scores, present, 4, "multiclass")
    assert wide.shape == (5, 4)
    assert np.array_equal(wide[:, present], scores)
    assert not np.delete(wide, present, axis=1).any()
    graph = Graph()
    x = graph.input("x", "float", len(present))
    graph.output(fitting.spread(graph, x, present, 4, "multiclass"), "y", "float", 4)
    assert np.array_equal(open_session(graph.model()).run(None, {"x": scores})[0], wide)


def test_values_are_not_spread():
    scores = DRAW.random((5, 1))
    assert fitting.spread_array(scores, [], 1, "regression") is scores


# ---------------------------------------------------------------- the graph is checked


def double(by=2.0):
    graph = Graph()
    x = graph.input("x", "float", 2)
    graph.output(graph.add("Mul", x, graph.constant(by)), "y", "float", 2)
    return graph.model()


def test_a_graph_that_equals_its_model_passes_and_is_timed():
    x = DRAW.random((10, 2)).astype(np.float32)
    assert fitting.check_graph(double(), {"x": x}, 2.0 * x, 1e-5) > 0
    assert fitting.check_graph(double(), {"x": x[:1]}, 2.0 * x[:1], 1e-5) > 0
    assert fitting.check_graph(double(), {"x": x[:0]}, x[:0], 1e-5) == 0.0


@pytest.mark.parametrize("wrong", [1e-4, np.nan])
def test_a_graph_that_differs_is_refused(wrong):
    x = DRAW.random((10, 2)).astype(np.float32)
    scores = 2.0 * x.astype(np.float64)
    scores[3, 1] += wrong
    with pytest.raises(ArithmeticError, match="the graph differs from the model by"):
        fitting.check_graph(double(), {"x": x}, scores, 1e-5)


# ---------------------------------------------------------------- units


def a_judge(bench, work_limit=None):
    return SimpleNamespace(bench=bench, plan=SimpleNamespace(facts=SimpleNamespace(work_limit=work_limit)))


def a_bench(plan, work, folds=2):
    refinement = SimpleNamespace(facts=SimpleNamespace(fold_count=folds))
    return units.Bench(refinement, {each.name: each for each in plan.facts.candidates}, None, work)


def test_candidates_count_when_all_their_folds_are_done():
    bench = a_bench(a_plan("b", "a", "c"), SimpleNamespace(replay=[], log=SimpleNamespace(lines=[])))
    done = {("a", 0): unit("a", 0), ("a", 1): unit("a", 1), ("b", 0): unit("b", 0)}
    assert [(each.candidate, len(each.units)) for each in train.complete(done, a_judge(bench))] == [("a", 2)]


def test_where_none_is_done_those_count_that_share_most_folds():
    bench = a_bench(a_plan("a", "b", "c", "d"), SimpleNamespace(replay=[], log=SimpleNamespace(lines=[])), folds=5)
    done = {key: unit(*key) for key in (("a", 0), ("b", 0), ("b", 1), ("c", 0), ("c", 1), ("d", 1))}
    assert [each.candidate for each in train.complete(done, a_judge(bench))] == ["b", "c"]
    assert train.complete({}, a_judge(bench)) == []


def test_what_was_probed_goes_before_a_baseline_that_is_done():
    bench = a_bench(a_plan("straight", "trees"), SimpleNamespace(replay=[], log=SimpleNamespace(lines=[])), folds=5)
    bench.candidates["trees"] = msgspec.structs.replace(bench.candidates["trees"], family="lightgbm")
    done = {("straight", fold): unit("straight", fold) for fold in range(5)} | {("trees", 0): unit("trees", 0)}
    assert [(each.candidate, len(each.units)) for each in train.complete(done, a_judge(bench))] == [("straight", 5)]
    done[("trees", 2)] = unit("trees", 2)
    assert [(each.candidate, len(each.units)) for each in train.complete(done, a_judge(bench))] == [
        ("straight", 2),
        ("trees", 2),
    ]
    assert [each.candidate for each in train.complete(done, a_judge(bench, 5.0))] == ["straight"]


def test_units_whose_files_are_torn_are_not_finished(tmp_path):
    store = Artefacts(tmp_path)
    whole = {"model": store.put(b"model"), "predictions": store.put(b"predictions")}
    lines = [
        {"do": "unit", "unit": {"candidate": "a", "fold": fold, "share": 1.0} | refs(whole | torn)}
        for fold, torn in enumerate(({}, {"predictions": "0" * 64}))
    ]
    work = SimpleNamespace(artefacts=store, log=SimpleNamespace(lines=[{"do": "open"}, *lines]))
    assert list(units.finished_units(work)) == [("a", 0)]
    (tmp_path / whole["model"]).write_bytes(b"mod")
    assert units.finished_units(work) == {}


def refs(digests):
    return {name: {"digest": digest, "size_bytes": 1} for name, digest in digests.items()}


def test_a_replay_trains_on_the_same_share_of_rows_and_as_many_steps():
    line = {"do": "unit", "unit": {"candidate": "a", "fold": 1, "share": 0.25, "steps": 7}}
    work = SimpleNamespace(replay=[{"do": "open"}, line])
    assert units.replayed_unit("a", 0, work) is None
    assert units.replayed_unit("a", 1, work) == line["unit"]


def a_workspace(folder, replay=()):
    return Workspace(
        folder, Store(folder), folder, Clock(None), Seed(0), Workers(1, 2**30), WorkLog(folder / "again"),
        replay=list(replay), quiet=True,
    )  # fmt: skip


def test_a_replay_is_told_what_was_lost(tmp_path):
    line = {"do": "close", "stage": "train", "phase": "train", "units": [], "lost": {"a fold 1": "memory"}}
    bench = a_bench(a_plan("a"), a_workspace(tmp_path, [line]))
    assert bench.fit(Listed([("a", 0), ("a", 1)]), "train", lambda: 1.0, lambda done: None) == {}
    assert bench.lost == {"a fold 1": "memory"}
    assert bench.work.log.find("close")["lost"] == bench.lost


def test_what_is_in_the_log_counts_though_no_time_is_left(tmp_path):
    """A run that was killed after its last fold goes on from there, in whatever phase."""
    bench = a_bench(a_plan("a"), a_workspace(tmp_path))
    bench.work.clock = Clock(1.0, started=0.0)
    for fold in (0, 1, 2):
        bench.work.note(
            "unit", stage="train", unit=whole_unit(bench.work, fold), seconds=1.0, predict_seconds_per_row=0.0
        )
    for phase, folds in (("train", [0, 1]), ("refit", [2])):
        for _ in range(2):  # once before the phase was closed, once after
            found = bench.fit(Listed([("a", fold) for fold in range(3)]), phase, lambda: 0.0, lambda done: None)
            assert [fold for _, fold in found] == folds


def whole_unit(work, fold):
    ref = Ref(digest=work.artefacts.put(bytes([fold])), size_bytes=1)
    return Unit(candidate="a", fold=fold, model=ref, predictions=ref, share=1.0)


def test_a_log_of_another_version_is_refused(tmp_path):
    line = {"do": "close", "stage": "train", "phase": "train", "units": [["b", 0]], "lost": {}}
    bench = a_bench(a_plan("a"), a_workspace(tmp_path, [line]))
    with pytest.raises(BadInput, match="another version of forgeline planned b"):
        bench.fit(Listed([("a", 0)]), "train", lambda: 1.0, lambda done: None)


def test_later_folds_make_as_many_steps_as_the_first_two_chose_on_average(tmp_path):
    bench = a_bench(a_plan("a", "b"), a_workspace(tmp_path))
    desk = units.Desk(bench, Listed([]), {}, lambda done: None)
    for name, fold, steps in (("a", 0, 100), ("a", 1, 61), ("b", 0, None), ("b", 1, None)):
        desk.finish((name, fold), msgspec.structs.replace(unit(name, fold), steps=steps, work=0.5))
    assert [desk.steps("a", fold) for fold in (0, 1, 2, 5)] == [None, None, 80, 80]
    assert desk.steps("b", 2) is None
    assert bench.spent == 2.0
    later = units.Desk(bench, Listed([]), dict(desk.results), lambda done: None)
    assert later.steps("a", 5) == 80  # the fit on all rows, in a phase of its own


def test_a_candidate_that_the_search_found_is_known_to_a_later_process(tmp_path):
    bench = a_bench(a_plan("a"), a_workspace(tmp_path))
    found = msgspec.structs.replace(bench.candidates["a"], name="a-search-1-1", why="found by the search")
    bench.admit(found)
    bench.admit(found)
    again = a_bench(a_plan("a"), a_workspace(tmp_path))
    assert again.candidates["a-search-1-1"] == found
    assert [line["do"] for line in again.work.log.lines] == ["searched"]


# ---------------------------------------------------------------- when nothing is finished


def test_why_there_is_no_model():
    work = train.nothing_finished({}, a_plan("a", fits=False), spec.Budget(work=1e-6))
    assert work.exit_code == 4
    assert "(a needs 9 units). Give more than --work 1e-06" in str(work)
    late = train.nothing_finished({"a fold 1": "time"}, a_plan("a"), spec.Budget(time="1s"))
    assert "(lost to time). Give more than --time 1s" in str(late)
    large = train.nothing_finished({"a fold 1": "memory"}, a_plan("a"), spec.Budget())
    assert "Give a larger [budget] memory" in str(large)
    broken = train.nothing_finished({"a fold 1": "time", "b fold 1": "ValueError: x"}, a_plan("a"), spec.Budget())
    assert (broken.exit_code, "ValueError: x" in str(broken)) == (1, True)


def test_lost_units_are_told_but_for_those_the_clock_took():
    found = train.lost_finding({"a fold 1": "time", "b fold 2": "memory"})
    assert (found.code, found.says, found.numbers) == ("train.lost", "b fold 2: memory", {"units": 1})
    assert train.broken({"a": "time"}) == {}
