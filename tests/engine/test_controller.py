import pytest

from forgeline.engine.controller import Controller, Lagged, Listed


class Play:
    """Runs a schedule on pretended workers: every unit takes its candidate's price; weights are given."""

    def __init__(self, prices, limit, weights, folds=5, found=(), closing=0.0):
        self.prices, self.limit, self.weights, self.found = prices, limit, weights, list(found)
        self.controller = Controller(
            [name for name in prices if name not in [each for batch in found for each in batch]],
            folds, self.price, self.left, self.weigh, self.search, lambda name: closing,
        )  # fmt: skip

    def price(self, name, results):
        return self.prices[name]

    def left(self, named, results):
        return self.limit - sum(self.prices[name] for name, _ in named)

    def weigh(self, names, results):
        return {name: self.weights.get(name, 0.0) for name in names}

    def search(self, results):
        return self.found.pop(0) if self.found else []

    def run(self, workers=1, schedule=None, lose=(), back=0):
        """The units in the order they are named; of those under way the `back`-th ends first."""
        schedule, named, running, results = schedule or self.controller, [], [], {}
        while True:
            while len(running) < workers and (key := schedule.next(named, results)):
                named.append(key)
                running.append(key)
            if not running:
                return named
            key = running.pop(min(back, len(running) - 1))
            results[key] = None if key in lose else 1.0


def test_the_first_candidate_is_finished_then_all_are_probed_then_the_promising_ones_finished():
    named = Play({"a": 1, "b": 1, "c": 1}, 100, {"b": 0.3, "c": 0.7}).run()
    assert named[:5] == [("a", fold) for fold in range(5)]
    assert named[5:9] == [("b", 0), ("b", 1), ("c", 0), ("c", 1)]
    assert named[9:] == [("c", 2), ("c", 3), ("c", 4), ("b", 2), ("b", 3), ("b", 4)]


def test_what_is_promising_can_always_be_finished():
    """a takes 5 of 17; b's probes 2, with 3 owed; c would take 5 and fits; d would take 5 more and does not."""
    named = Play(dict.fromkeys("abcd", 1), 17, dict.fromkeys("bcd", 0.3)).run()
    assert {name for name, _ in named} == {"a", "b", "c"}
    assert len(named) == 15


def test_the_first_that_can_be_finished_opens():
    assert Play({"a": 10, "b": 1}, 20, {}).run() == [("b", fold) for fold in range(5)]
    assert Play({"a": 10, "b": 9}, 20, {}).run() == []
    play = Play({"a": 10, "b": 9}, 20, {})
    play.controller.anyhow = True
    assert play.run() == [("b", fold) for fold in range(5)]


def test_what_others_are_compared_with_is_finished_whatever_it_promises():
    play = Play({"a": 1, "b": 1, "c": 1}, 100, {"c": 1.0})
    play.controller.beside = ["b"]
    assert play.run()[:10] == [(name, fold) for name in "ba" for fold in range(5)]
    dear = Play({"a": 1, "b": 90, "c": 1}, 100, {"c": 1.0})
    dear.controller.beside = ["b"]
    assert "b" not in {name for name, _ in dear.run()}


def test_a_dear_candidate_is_passed_over_for_a_cheap_one():
    named = Play({"a": 1, "b": 10, "c": 1}, 12, {"c": 1.0}).run()
    assert {name for name, _ in named} == {"a", "c"}


def test_the_fit_on_all_rows_is_paid_for():
    play = Play({"a": 1, "b": 1}, 11, {"b": 1.0}, closing=1.25)
    assert {name for name, _ in play.run()} == {"a"}
    play = Play({"a": 1, "b": 1}, 11.25, {"b": 1.0}, closing=1.25)
    assert {name for name, _ in play.run()} == {"a", "b"}


def test_the_search_enters_when_all_else_is_through_and_ends_when_it_finds_nothing():
    play = Play({"a": 1, "b": 1, "x": 1, "y": 1}, 100, {"b": 0.5, "y": 0.5}, found=[["x", "y"], []])
    named = play.run()
    assert named.index(("x", 0)) == 10
    assert named[10:] == [("x", 0), ("x", 1), ("y", 0), ("y", 1), ("y", 2), ("y", 3), ("y", 4)]


def test_a_candidate_that_lost_a_probe_is_not_finished():
    named = Play({"a": 1, "b": 1, "c": 1}, 100, {"b": 0.5, "c": 0.5}).run(lose=[("b", 1)])
    assert [fold for name, fold in named if name == "b"] == [0, 1]
    assert [fold for name, fold in named if name == "c"] == [0, 1, 2, 3, 4]


def test_a_probe_may_take_what_is_not_owed_to_what_is_promising():
    """a is finished and b is probed, of 20: three folds of b are owed, and c's pair may share what is left then."""
    controller = Play({"a": 1, "b": 1, "c": 1}, 20, {"b": 1.0}).controller
    named = [*(("a", fold) for fold in range(5)), ("b", 0), ("b", 1)]
    results = dict.fromkeys(named, 1.0)
    for key in named:
        assert controller.next(named[: named.index(key)], dict.fromkeys(named[: named.index(key)], 1.0)) == key
    assert controller.patience(("a", 0), named, results) == float("inf")
    assert controller.patience(("b", 2), [*named, ("b", 2)], results) == float("inf")
    assert controller.patience(("c", 0), [*named, ("c", 0)], results) == (20 - 7 - 3) / 2
    controller = Play({"a": 1, "b": 1, "c": 1}, 10, {"b": 1.0}).controller
    controller.opening = "a"
    assert controller.patience(("c", 0), [*named, ("c", 0)], results) == 1.0


def test_two_folds_are_probes_and_all():
    assert Play({"a": 1, "b": 1}, 100, {"b": 1.0}, folds=2).run() == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("back", [0, 1, 5])
def test_a_lagged_schedule_does_not_depend_on_the_workers(workers, back):
    def play():
        return Play(dict.fromkeys("abcdexy", 1), 60, {"b": 0.2, "d": 0.5, "y": 0.3}, found=[["x", "y"], []])

    one, other = play(), play()
    expected = one.run(1, Lagged(one.controller, 4))
    assert other.run(workers, Lagged(other.controller, 4), back=back) == expected
    assert set(expected) == set(play().run())


def test_a_list_is_followed():
    order = [("a", 0), ("b", 0), ("a", 1)]
    assert Play({"a": 1}, 1, {}).run(schedule=Listed(order)) == order
