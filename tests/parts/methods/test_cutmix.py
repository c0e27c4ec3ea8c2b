import pytest
import torch

from forgeline.engine.stepped import Event, Moment
from forgeline.parts.methods import cutmix


def cut(seed, axes=4):
    torch.manual_seed(seed)
    y = torch.arange(16) % 4
    x = y.float().view(16, 1, 1, 1).expand(-1, 1, 20, 20) if axes == 4 else y[:, None].float()
    moment = Moment(torch.nn.Identity(), 4, batch={"x": x, "y": y})
    cutmix.build().apply(Event.BATCH, moment)
    return y, moment.batch


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_mixed_by_area(seed):
    _, batch = cut(seed)
    areas = torch.stack([(batch["x"] == label).float().mean((1, 2, 3)) for label in range(4)], 1)
    assert torch.allclose(areas, batch["y"], atol=1e-5)
    assert batch["x"].shape == (16, 1, 20, 20)


def test_the_cut_is_one_box():
    y, batch = cut(3)
    changed = (batch["x"] != y.view(16, 1, 1, 1)).any(0)[0]
    rows, columns = changed.any(1), changed.any(0)
    assert changed.sum() == rows.sum() * columns.sum()


def test_follows_from_torchs_seed():
    assert torch.equal(cut(1)[1]["x"], cut(1)[1]["x"])


def test_needs_images():
    with pytest.raises(ValueError, match="4 axes"):
        cut(0, axes=2)
