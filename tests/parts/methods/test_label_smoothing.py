import pytest
import torch

from forgeline.engine.stepped import Event, Moment
from forgeline.parts.methods import label_smoothing


def smoothed(y, classes=4):
    moment = Moment(torch.nn.Identity(), classes, batch={"x": torch.zeros(len(y), 1), "y": y})
    label_smoothing.build(share=0.2).apply(Event.BATCH, moment)
    return moment.batch["y"]


def test_a_share_is_spread_over_all_classes():
    assert smoothed(torch.tensor([2])).tolist() == [pytest.approx([0.05, 0.05, 0.85, 0.05])]


def test_gives_the_loss_that_torch_gives():
    score, y = torch.randn(8, 4), torch.randint(0, 4, (8,))
    loss = torch.nn.functional.cross_entropy
    assert loss(score, smoothed(y)).item() == pytest.approx(loss(score, y, label_smoothing=0.2).item(), rel=1e-5)


def test_values_have_no_labels():
    with pytest.raises(ValueError, match="this task has none"):
        smoothed(torch.tensor([1.0, 2.0]), classes=0)
