import threading

import pytest

from forgeline.engine.threads import side_by_side


def test_answers_come_in_the_order_of_the_items():
    assert side_by_side(lambda item: item * 2, range(50)) == list(range(0, 100, 2))
    assert side_by_side(lambda item: item, []) == []


def test_two_calls_are_under_way_at_once_where_there_are_two_processors(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    both = threading.Barrier(2, timeout=20)
    side_by_side(lambda item: both.wait(), range(2))


def test_an_error_comes_through():
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda item: 1 / item, [1, 0])
