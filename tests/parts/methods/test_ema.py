import pytest
import torch

from forgeline.engine.stepped import Event, Moment
from forgeline.parts.methods import ema


def test_is_the_moving_average_and_changes_places():
    module = torch.nn.Linear(1, 1, bias=False)
    method, moment = ema.build(decay=0.5), Moment(module, 0, step=100)
    with torch.no_grad():
        module.weight.fill_(0.0)
    method.apply(Event.BEGIN, moment)
    for value in (1.0, 2.0):
        with torch.no_grad():
            module.weight.fill_(value)
        method.apply(Event.UPDATED, moment)
    assert method.tensors()["0"].item() == pytest.approx(0.5 * 0.5 * 1 + 0.5 * 2)
    method.apply(Event.CHECK, moment)
    assert module.weight.item() == pytest.approx(1.25)
    method.apply(Event.CHECKED, moment)
    assert module.weight.item() == 2.0
    assert method.tensors()["0"].item() == pytest.approx(1.25)


def test_the_start_is_forgotten_fast():
    module = torch.nn.Linear(1, 1, bias=False)
    method, moment = ema.build(decay=0.999), Moment(module, 0)
    method.apply(Event.BEGIN, moment)
    with torch.no_grad():
        module.weight.fill_(10.0)
    for moment.step in range(20):
        method.apply(Event.UPDATED, moment)
    assert method.tensors()["0"].item() > 9.9
