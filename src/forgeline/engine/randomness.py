"""Torch's random numbers, tied to a counter: what a step draws follows from the seed and the step alone."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from forgeline.engine.seeds import Seed

if TYPE_CHECKING:
    import torch

MASK = (1 << 64) - 1


class Sower:
    """Seeds torch's generators before each part of each step.

    A step's seed is a hash of (key, step, part): SplitMix64 (Steele et al., OOPSLA 2014), as it costs next to
    nothing. Torch's generator of the CPU looks at 32 bits of it only.
    """

    def __init__(self, seed: Seed, device: torch.device) -> None:
        import torch

        draw = seed.child("torch").generator()
        self.key = int(draw.integers(0, 2**63))
        self.host = torch.default_generator
        self.device = None if device.type == "cpu" else torch.get_device_module(device)

    def sow(self, step: int, part: int) -> None:
        """Before a part of a batch."""
        value = mixed(self.key + step * 0x9E3779B97F4A7C15 + part * 0xD1B54A32D192ED03)
        self.host.manual_seed(value)
        if self.device is not None:
            self.device.manual_seed(value)


def mixed(value: int) -> int:
    """SplitMix64's finaliser."""
    value &= MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def begin(seed: Seed) -> None:
    """Seed numpy's and Python's generators too, for models that draw by themselves; the loop sows torch's."""
    random.seed(seed.child("python").integer)
    np.random.seed(seed.child("numpy").integer)


def states(device: torch.device) -> dict[str, torch.Tensor]:
    """Every generator that a model might draw from by itself: those of torch, numpy and Python."""
    import torch

    _, words, place, normals, normal = np.random.get_state(legacy=True)
    _, python, python_normal = random.getstate()
    spare = float("nan") if python_normal is None else python_normal
    found = {
        "host": torch.get_rng_state(),
        "numpy": torch.tensor([*(int(each) for each in words), int(place), int(normals)]),
        "python": torch.tensor(python),
        "normals": torch.tensor([float(normal), spare], dtype=torch.float64),
    }
    if device.type != "cpu":
        found["device"] = torch.get_device_module(device).get_rng_state()
    return found


def restore(states: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """As they were."""
    import torch

    torch.set_rng_state(states["host"])
    *words, place, normals = states["numpy"].tolist()
    normal, spare = states["normals"].tolist()
    np.random.set_state(("MT19937", np.array(words, np.uint32), place, normals, normal))
    random.setstate((3, tuple(states["python"].tolist()), None if math.isnan(spare) else spare))
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states["device"])
