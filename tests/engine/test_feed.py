import threading

import numpy as np
import pytest
import torch

from forgeline.engine.feed import Cache, Decoded, Resident
from forgeline.engine.order import Order
from forgeline.engine.seeds import Seed

ROWS = 103


@pytest.fixture
def tensors():
    return {"x": torch.arange(ROWS * 3.0).view(ROWS, 3), "y": torch.arange(ROWS)}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one) and set(one) == set(other)


@pytest.mark.parametrize("most_bytes", [1, 500, 1 << 20])
def test_batches_do_not_depend_on_how_many_are_gathered(tensors, most_bytes):
    order = Order(ROWS, Seed(1))
    feed = Resident(tensors, order, 10, most_bytes)
    for step in range(30):
        rows = order.take(step * 10, 10)
        assert np.array_equal(feed.rows(step), rows)
        assert same(feed.take(step), {name: each[torch.from_numpy(rows)] for name, each in tensors.items()})


def test_any_step_can_be_asked_for(tensors):
    feed, other = (Resident(tensors, Order(ROWS, Seed(1)), 10, 2_000) for _ in range(2))
    expected = [feed.take(step) for step in range(40)]
    for step in (39, 0, 20, 21, 5):
        assert same(other.take(step), expected[step])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("ahead", [0, 5])
def test_decoded_batches_do_not_depend_on_threads(tensors, threads, ahead):
    order = Order(ROWS, Seed(1))
    expected = Resident(tensors, order, 10)

    def decode(rows):
        return {name: each[torch.from_numpy(rows)] for name, each in tensors.items()}

    with Decoded(decode, order, 10, ahead=ahead, threads=threads).open() as feed:
        for step in [*range(12), 40, 41]:
            assert same(feed.take(step), expected.take(step))


def test_decoding_is_ahead_of_the_loop(tensors):
    began = [threading.Event() for _ in range(8)]

    def decode(rows):
        began[len(rows) and next(place for place, event in enumerate(began) if not event.is_set())].set()
        return {"y": torch.from_numpy(rows)}

    with Decoded(decode, Order(ROWS, Seed(1)), 10, ahead=4, threads=1).open() as feed:
        feed.take(0)
        assert began[4].wait(10)  # though only one batch was taken


def test_what_a_decoder_raises_reaches_the_loop():
    def decode(rows):
        raise OSError("row 17 is no picture")

    with Decoded(decode, Order(ROWS, Seed(1)), 10).open() as feed, pytest.raises(OSError, match="row 17"):
        feed.take(0)


def test_has_to_be_open():
    with pytest.raises(RuntimeError, match="open the feed"):
        Decoded(lambda rows: {}, Order(ROWS, Seed(1)), 10).take(0)


def test_decoded_rows_are_kept_up_to_a_bound(tmp_path):
    asked = []

    def decode(rows):
        asked.extend(rows.tolist())
        return np.stack([np.full(4, row, np.uint8) for row in rows])

    cache = Cache(tmp_path / "cache.npy", 10, (4,), "uint8", most_bytes=24)
    for _ in range(2):
        assert np.array_equal(cache.take(np.array([7, 2, 5]), decode)[:, 0], [7, 2, 5])
    assert asked == [7, 2, 5, 7]  # six rows are kept
