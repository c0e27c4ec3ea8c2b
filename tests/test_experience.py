from types import SimpleNamespace

import msgspec

from forgeline import catalog, experience, kinds, spec
from forgeline.engine.store import Store, WorkLog
from forgeline.experience import Lesson, Tried
from forgeline.records import Candidate, Cost
from forgeline.stages import plan

FEATURES = {"rows": 3.0, "features": 1.0, "classes": 1.0, "categories": 0.2, "dates": 0.0, "flags": 0.1}


def a_lesson(run, tried=(), **changes):
    return Lesson(run, "s", "binary", "log_loss", FEATURES | changes, list(tried))


def setting(penalty, weight):
    return Tried("linear", {"penalty": penalty}, 0.4, weight)


def test_lessons_are_kept_once_a_run_and_the_most_similar_come_first(tmp_path):
    for one in (a_lesson("far", rows=6.0), a_lesson("near", rows=3.5), a_lesson("same"), a_lesson("same")):
        experience.remember(tmp_path, one)
    experience.remember(tmp_path, msgspec.structs.replace(a_lesson("numbers"), task="regression"))
    found = experience.similar(tmp_path, "binary", "log_loss", FEATURES)
    assert [(away, each.run) for away, each in found] == [(0.0, "same"), (0.5, "near")]
    assert experience.similar(tmp_path, "binary", "roc_auc", FEATURES) == []
    assert experience.similar(tmp_path / "new", "binary", "log_loss", FEATURES) == []


def test_what_had_weight_is_borrowed_once_the_heaviest_of_the_nearest_first():
    near = [
        (0.1, a_lesson("one", [setting(1.0, 0.2), setting(2.0, 0.8), setting(3.0, 0.0)])),
        (0.2, a_lesson("two", [setting(2.0, 0.5), setting(4.0, 0.5)])),
    ]
    found = experience.borrowed(near)
    assert [(each.tried.setting["penalty"], each.run) for each in found] == [(2.0, "one"), (1.0, "one"), (4.0, "two")]
    assert len(experience.borrowed(near, most=1)) == 1


def a_work(folder, replay=()):
    log = WorkLog(folder / "work.log")
    work = SimpleNamespace(store=Store(folder), log=log, replay=list(replay))
    work.decided = lambda do, **fields: log.find(do, **fields) or next((e for e in replay if e["do"] == do), None)
    work.note = lambda do, **fields: log.append(msgspec.to_builtins({"do": do, **fields}))
    return work


def borrow(work, monkeypatch, **asked):
    monkeypatch.setattr(experience, "features_of", lambda refinement: FEATURES)
    snapshot = SimpleNamespace(facts=SimpleNamespace(task="binary"))
    budget = spec.Budget(**asked.pop("budget", {"time": "60s"}))
    return plan.borrow(spec.Plan(**asked), spec.Train(), budget, snapshot, None, "log_loss", work)


def test_a_plan_borrows_under_a_time_budget_and_a_replay_borrows_the_same(tmp_path, monkeypatch):
    experience.remember(tmp_path, a_lesson("other", [setting(7.0, 1.0), Tried("no_such_family", {}, 0.1, 1.0)]))
    (loan,) = borrow(a_work(tmp_path), monkeypatch)
    assert (loan.name, loan.family, loan.setting, loan.run) == ("borrowed-1", "linear", {"penalty": 7.0}, "other")
    again = tmp_path / "again"
    again.mkdir()
    assert borrow(a_work(again, WorkLog(tmp_path / "work.log").lines), monkeypatch) == [loan]


def test_nothing_is_borrowed_under_a_work_budget_or_when_it_is_off(tmp_path, monkeypatch):
    experience.remember(tmp_path, a_lesson("other", [setting(7.0, 1.0)]))
    assert borrow(a_work(tmp_path), monkeypatch, budget={"work": 10}) == []
    assert borrow(a_work(tmp_path), monkeypatch, experience="off") == []


def test_what_is_borrowed_comes_second_and_no_setting_twice():
    cost = Cost(work=1.0, seconds=1.0, memory_bytes=1, size_bytes=1, flops_per_row=1.0)

    def candidate(name, penalty):
        return Candidate(name=name, family="linear", setting={"penalty": penalty}, cost=cost, fits=True, why="")

    shape = kinds.Shape(1000, 5, "binary", 2)
    lent = [plan.Loan("borrowed-1", "linear", {"penalty": 2.0}, "other", 0.1)]
    found = plan.with_borrowed([candidate(name, penalty) for name, penalty in zip("abc", (1.0, 2.0, 3.0))], lent, shape)
    assert [each.name for each in found] == ["a", "borrowed-1", "c"]


def test_a_lesson_that_lacks_a_key_of_today_gets_the_familys_default():
    lent = [plan.Loan("borrowed-1", "lightgbm", {"leaves": 7}, "older", 0.1)]
    (found,) = plan.with_borrowed([], lent, kinds.Shape(1000, 5, "binary", 2))
    assert found.setting == catalog.load("families", "lightgbm").space(kinds.Shape(1000, 5, "binary", 2)).points[0] | {
        "leaves": 7
    }
