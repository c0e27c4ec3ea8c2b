"""What a step of a model that learns in steps takes, found out on a batch of real rows: counted, and timed.

Shapes: B rows of a batch.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forgeline.engine import randomness
from forgeline.engine.stepped import Event, Method, Moment, Stepped

if TYPE_CHECKING:
    import torch

    from forgeline.engine.feed import Batch

EXACT = ("relu", "threshold", "hardswish")
"""Activation functions that give zeros; also `hardtanh` where its least value is 0, which ReLU6 is."""
SMOOTH = ("gelu", "silu", "mish")
"""Activation functions that come near zero and give none."""
NEAR = 0.01
"""What of a SMOOTH one counts as zero: magnitudes below this share of the root mean square of all that it gave."""


@dataclass(frozen=True)
class Sketch:
    """What a batch takes. All but the seconds is counted; sparsity is that of the weights as they are."""

    rows: int
    """Of the batch."""
    parameters: int
    """Numbers that the module holds as parameters, moving or not."""
    activation_bytes: int
    """What autograd keeps of a forward pass for the backward pass; see `activation_bytes`."""
    row_activation_bytes: float
    """By how much that grows with each row."""
    flops_per_row: float
    """Of a forward pass: products and sums of matrices, convolutions and attention, as torch counts them."""
    sparsity: float | None
    """Share of zeros among what activation functions give; see `Zeros`. None where there are none that could."""
    step_seconds: float | None = None
    """Median of the steps that were made, on one thread; None where none was asked for."""
    forward_seconds: float | None = None
    """Of a forward pass that keeps nothing, as rows are answered; None as above."""

    def activation_bytes_of(self, rows: int) -> float:
        """The same for a batch of another size: a line through what two sizes took."""
        return self.activation_bytes + (rows - self.rows) * self.row_activation_bytes


def sketch(
    built: Stepped, given: Batch, *, steps: int, methods: Sequence[Method] = (), rows: int | None = None
) -> Sketch:
    """Count what a batch takes and, where `steps` are asked for, time so many after one to warm up.

    A batch is the first `rows` of those that are given, or all; where there are more, activations are also counted of
    all of them, else of half. The module, its gradients and every random number generator are left as they were.
    """
    there = len(next(iter(given.values())))
    rows = there if rows is None else min(rows, there)
    batch, other = head(given, rows), there if there > rows else rows // 2
    with untouched(built.module):
        built.module.train()
        kept = activation_bytes(built, batch)
        # norms over a batch cannot do with one row
        others = activation_bytes(built, head(given, other)) if other > 1 else 0
        flops, sparsity = counted(built, batch)
        step_seconds, forward_seconds = timed(built, batch, steps, methods) if steps else (None, None)
    return Sketch(
        rows=rows,
        parameters=sum(each.numel() for each in built.module.parameters()),
        activation_bytes=kept,
        row_activation_bytes=(kept - others) / (rows - other if other > 1 else rows),
        flops_per_row=flops / rows,
        sparsity=sparsity,
        step_seconds=step_seconds,
        forward_seconds=forward_seconds,
    )


def head(batch: Batch, rows: int) -> Batch:
    """The first rows of a batch."""
    return {name: each[:rows] for name, each in batch.items()}


@contextmanager
def untouched(module: torch.nn.Module) -> Iterator[None]:
    """Whatever is done with a module meanwhile, it is afterwards what it was; so are the generators."""
    import torch

    weights = [*module.parameters(), *module.buffers()]
    before = [each.detach().clone() for each in weights]
    gradients = [(each, each.grad) for each in module.parameters()]
    training = [(each, each.training) for each in module.modules()]
    device, threads = next(module.parameters()).device, torch.get_num_threads()
    generators = randomness.states(device)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        with torch.no_grad():
            for each, value in zip(weights, before):
                each.copy_(value)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for part, was in training:
            part.training = was
        randomness.restore(generators, device)
        torch.set_num_threads(threads)


# ---------------------------------------------------------------- counted


def activation_bytes(built: Stepped, batch: Batch) -> int:
    """Bytes of all storages that autograd saves between the forward and the backward pass of a batch.

    A storage that is saved twice, or of which a view is saved, counts once and whole. What is there anyway does not
    count: parameters, buffers, and the batch as it was given (a copy in another type does). Nor does what an operation
    needs for a moment, or what the backward pass makes: the most memory that a step takes is more.
    """
    import torch

    there = (*built.module.parameters(), *built.module.buffers(), *batch.values())
    own = {each.untyped_storage().data_ptr() for each in there}
    found: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = built.loss(built.module, batch)
    del loss  # it held on to all of them until here, so that no address was two storages'
    return sum(found.values())


def counted(built: Stepped, batch: Batch) -> tuple[float, float | None]:
    """Operations of a forward pass, and the share of zeros in it."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    zeros = Zeros()
    with torch.no_grad(), FlopCounterMode(display=False) as flops, watching(zeros):
        built.loss(built.module, batch)
    return float(flops.get_total_flops()), zeros.share


class Zeros:
    """Counts zeros in what activation functions give, layer by layer, however they are called.

    Those in EXACT: numbers that are zero. Those in SMOOTH: numbers smaller than NEAR times the root mean square of
    their layer. What a model puts together from other operations (GELU from a tanh, say) is not seen.
    """

    def __init__(self) -> None:
        self.zeros = self.all = 0

    @property
    def share(self) -> float | None:
        """Of all numbers in all layers together."""
        return self.zeros / self.all if self.all else None

    def see(self, name: str, given: Sequence[Any], made: torch.Tensor) -> None:
        """The result of an operation."""
        if name in EXACT or (name == "hardtanh" and list(given[1:2]) == [0]):
            few = made == 0
        elif name in SMOOTH:
            few = made.abs() < NEAR * made.square().mean().sqrt()
        else:
            return
        self.zeros, self.all = self.zeros + int(few.sum()), self.all + made.numel()


def watching(zeros: Zeros) -> Any:
    """A mode of torch in which `zeros` sees the result of every operation, those in place too."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Looks on."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            zeros.see(func.overloadpacket.__name__.removesuffix("_"), args, made)
            return made

    return Watching()  # type: ignore[no-untyped-call]


# ---------------------------------------------------------------- timed


def timed(built: Stepped, batch: Batch, steps: int, methods: Sequence[Method]) -> tuple[float, float]:
    """Median seconds of a step as training makes it, and of a forward pass alone."""
    import torch

    def step() -> None:
        for each in moving:
            each.grad = None
        moment.batch = dict(batch)
        applied(Event.BATCH)
        built.loss(module, moment.batch).backward()  # type: ignore[no-untyped-call]
        applied(Event.GRADIENTS)
        optimizer.step()
        applied(Event.UPDATED)

    def applied(event: Event) -> None:
        for method in on[event]:
            method.apply(event, moment)

    @torch.no_grad()
    def forward() -> None:
        built.loss(module, batch)

    module, optimizer = built.module, built.optimizer()
    moving = [each for group in optimizer.param_groups for each in group["params"]]
    moment, on = Moment(module, built.classes), {event: [m for m in methods if m.match(event)] for event in Event}
    applied(Event.BEGIN)
    step_seconds = median(step, steps, moving[0].device)
    module.eval()
    return step_seconds, median(forward, steps, moving[0].device)


def median(call: Any, times: int, device: torch.device) -> float:
    """Seconds that a call takes, after one that does not count."""
    import torch

    seconds = []
    for _ in range(times + 1):
        began = time.perf_counter()
        call()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])
