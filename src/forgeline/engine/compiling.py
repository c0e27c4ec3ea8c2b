"""Whether torch.compile pays for a training run: measured on a few steps, never assumed."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forgeline.engine.feed import Feed, moved
from forgeline.engine.stepped import Stepped

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Trial:
    """Seconds that were measured, and what follows."""

    pays: bool
    says: str
    plain: float = 0.0
    """A step."""
    compiled: float = 0.0
    """A step."""
    compiling: float = 0.0
    """Once."""


def tried(task: Stepped, feed: Feed, steps: int, *, measured: int = 10, gain: float = 1.05) -> Trial:
    """Train copies of the module for a few steps, plain and compiled; whether `steps` of them would be done sooner.

    The module is left as it is. What was chosen is to be kept with the run: compiled steps round differently.
    """
    import torch

    batches = [feed.take(step) for step in range(measured)]
    plain = seconds_of(task, lambda module: module, batches)[1:]
    try:
        first, *rest = seconds_of(task, torch.compile, batches)
    except Exception as error:  # no compiler, or an operation it does not know: the plain module serves
        return Trial(False, f"it cannot be compiled here ({type(error).__name__})")
    finally:
        torch.compiler.reset()
    usual, quick = statistics.median(plain), statistics.median(rest)
    sooner = usual > gain * quick and steps * (usual - quick) > first
    says = f"{1000 * usual:.2f} ms a step, {1000 * quick:.2f} ms compiled, {first:.1f} s to compile, {steps} steps"
    return Trial(sooner, says, usual, quick, first)


def seconds_of(task: Stepped, wrap: Any, batches: list[dict[str, torch.Tensor]]) -> list[float]:
    """Seconds of each forward and backward pass of a copy of the module."""
    import torch

    own = copy.deepcopy(task.module)
    model, device = wrap(own), next(own.parameters()).device
    found = []
    for batch in batches:
        began = time.perf_counter()
        task.loss(model, moved(batch, device)).backward()  # type: ignore[no-untyped-call]
        if device.type != "cpu":
            torch.accelerator.synchronize()
        found.append(time.perf_counter() - began)
    return found
