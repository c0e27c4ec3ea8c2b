import random

import numpy as np
import torch

from forgeline.engine import randomness
from forgeline.engine.seeds import Seed

CPU = torch.device("cpu")


def drawn():
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(()).item()]


def test_generators_come_back_as_they_were():
    randomness.begin(Seed(1))
    random.gauss(0, 1), np.random.randn()  # each keeps a second number for the next call
    kept = randomness.states(CPU)
    first = drawn()
    drawn()
    randomness.restore(kept, CPU)
    assert drawn() == first


def test_a_run_begins_with_generators_of_its_own_seed():
    found = []
    for seed in (1, 1, 2):
        randomness.begin(Seed(seed))
        found.append(drawn()[:4])
    assert found[0] == found[1] != found[2]


def test_what_a_step_draws_follows_from_its_number():
    sower, draws = randomness.Sower(Seed(4), CPU), {}
    for step, part in [(0, 0), (0, 1), (1, 0), (10**9, 3)]:
        sower.sow(step, part)
        draws[step, part] = torch.rand(4).tolist()
    assert len({tuple(each) for each in draws.values()}) == 4
    torch.rand(100)
    sower.sow(0, 1)
    assert torch.rand(4).tolist() == draws[0, 1]


def test_seeds_of_steps_are_spread():
    found = {randomness.mixed(step * 0x9E3779B97F4A7C15) % 2**32 for step in range(20_000)}
    assert len(found) > 19_990  # torch's generator looks at 32 bits
