"""A training run as tensors and facts for a checkpoint, and back.

The schedule and the order of rows need no state, as they follow from the step. Torch's generators are sown for each
part of each step; they are kept all the same, with those of numpy and Python, for models that draw by themselves.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgeline.engine import randomness
from forgeline.engine.checkpoint import Saved, bytes_of

if TYPE_CHECKING:
    import torch

    from forgeline.engine.loop import Run


def tensors(run: Run) -> dict[str, torch.Tensor]:
    """Weights, buffers, the optimizer's moments, what methods remember, random states."""
    found = {f"module.{name}": each for name, each in run.module.state_dict().items()}
    for place, state in run.optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{place}.{name}": each for name, each in state.items() if hasattr(each, "device")}
    for place, method in enumerate(run.methods):
        found |= {f"method.{place}.{name}": each for name, each in method.tensors().items()}
    return found | {f"random.{name}": each for name, each in randomness.states(run.device).items()}


def facts(run: Run) -> dict[str, Any]:
    """Numbers and names."""
    states = run.optimizer.state_dict()["state"]
    plain = {
        str(place): {name: each for name, each in state.items() if not hasattr(each, "device")}
        for place, state in states.items()
    }
    return {
        "made": made(run),
        "step": run.step,
        "looks": run.looks,
        "best": run.best_name,
        "best_step": run.best_step,
        "held_loss": run.held_loss if math.isfinite(run.held_loss) else None,
        "microbatch": run.microbatch,
        "optimizer": plain,
        "scaler": run.precision.state(),
    }


def made(run: Run) -> dict[str, Any]:
    """What a checkpoint must have in common with the run that goes on from it."""
    recipe = {name: repr(each) for name, each in vars(run.recipe).items() if not callable(each)}
    return {"recipe": recipe, "seed": repr(run.seed), "methods": [type(each).__name__ for each in run.methods]}


def restore(run: Run, saved: Saved) -> None:
    """Go on from a checkpoint. Errors: ValueError where it is of another run."""
    import torch

    if saved.facts["made"] != made(run):
        theirs, ours = saved.facts["made"], made(run)
        differs = ", ".join(name for name in ours if theirs.get(name) != ours[name])
        raise ValueError(f"checkpoint {saved.name} is of another run: {differs} differ. Give this one its own folder.")
    groups = {kind: part(saved.tensors, kind) for kind in ("module", "optimizer", "method", "random")}
    run.module.load_state_dict(groups["module"])
    state: dict[int, dict[str, Any]] = {int(place): dict(plain) for place, plain in saved.facts["optimizer"].items()}
    for name, each in groups["optimizer"].items():
        index, _, key = name.partition(".")
        state[int(index)][key] = each
    run.optimizer.load_state_dict({"state": state, "param_groups": run.optimizer.state_dict()["param_groups"]})
    with torch.no_grad():
        for place, method in enumerate(run.methods):
            for name, each in method.tensors().items():
                each.copy_(groups["method"][f"{place}.{name}"])
    randomness.restore(groups["random"], run.device)
    run.precision.restore(saved.facts["scaler"])
    run.step, run.looks, run.microbatch = saved.facts["step"], saved.facts["looks"], saved.facts["microbatch"]
    run.best_step, run.best_name = saved.facts["best_step"], saved.facts["best"]
    run.held_loss = math.inf if saved.facts["held_loss"] is None else saved.facts["held_loss"]


def part(tensors: dict[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    """Those of a kind, without its name."""
    return {name.partition(".")[2]: each for name, each in tensors.items() if name.startswith(f"{kind}.")}


def digest(saved: Saved, journal: Path) -> str:
    """SHA-256 of what two runs must have in common to be the same: weights, optimizer, methods, numbers, metrics."""
    found = hashlib.sha256(journal.read_bytes())
    for name in sorted(saved.tensors):
        each = saved.tensors[name].contiguous()
        found.update(f"{name} {each.dtype} {tuple(each.shape)}".encode())
        found.update(bytes_of(each))
    facts = {name: each for name, each in saved.facts.items() if name != "best"}  # a name that is never used twice
    found.update(json.dumps(facts, sort_keys=True).encode())
    return found.hexdigest()
