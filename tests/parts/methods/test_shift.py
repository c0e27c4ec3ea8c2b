import pytest

torch = pytest.importorskip("torch")

from forgeline.engine.stepped import Event, Moment  # noqa: E402
from forgeline.parts.methods import shift  # noqa: E402


def moved(method, pictures, seed=0):
    torch.manual_seed(seed)
    moment = Moment(torch.nn.Identity(), 2, batch={"picture_0": pictures, "y": torch.arange(len(pictures))})
    method.apply(Event.BATCH, moment)
    return moment.batch


def test_pictures_move_and_keep_what_they_show():
    pictures = torch.zeros(64, 1, 12, 12, dtype=torch.uint8)
    pictures[:, :, 6, 6] = 200
    found = moved(shift.build(share=0.2), pictures)
    places = found["picture_0"].flatten(1).argmax(1)
    assert found["picture_0"].shape == pictures.shape
    assert found["picture_0"].dtype == torch.uint8
    assert (found["picture_0"].flatten(1).sum(1) == 200).all()
    rows, columns = places // 12, places % 12
    assert (rows.min(), rows.max()) == (columns.min(), columns.max()) == (4, 8)
    assert torch.equal(found["y"], torch.arange(64))


def test_mirrored_only_where_it_is_asked_for():
    pictures = torch.zeros(64, 1, 12, 12, dtype=torch.uint8)
    pictures[:, :, :, 0] = 9
    for mirror in (False, True):
        found = moved(shift.build(share=0.0, mirror=mirror), pictures)["picture_0"]
        right = (found[:, 0, 6, 10:] > 0).any(1)
        assert bool(right.any()) == mirror


def test_the_same_seed_moves_alike():
    pictures = torch.randint(0, 256, (8, 3, 10, 10), dtype=torch.uint8)
    one, same, other = (moved(shift.build(), pictures, seed)["picture_0"] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
