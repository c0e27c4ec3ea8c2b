import pytest
import torch

from forgeline.engine.stepped import Event, Moment
from forgeline.parts.methods import clip


def module_with(gradient):
    module = torch.nn.Linear(2, 1, bias=False)
    module.weight.grad = torch.tensor([gradient])
    return module


@pytest.mark.parametrize(("gradient", "left"), [([3.0, 4.0], [0.6, 0.8]), ([0.3, 0.4], [0.3, 0.4])])
def test_longer_gradients_are_shortened(gradient, left):
    module = module_with(gradient)
    clip.build(most=1.0).apply(Event.GRADIENTS, Moment(module, 0))
    assert module.weight.grad[0].tolist() == pytest.approx(left, abs=1e-5)
