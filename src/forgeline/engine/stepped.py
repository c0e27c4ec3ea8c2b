"""What the training loop drives and what may take part in it: models that learn in steps, methods, observers.

Shapes: B rows of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

    from forgeline.engine.feed import Batch


class Stepped(Protocol):
    """An untouched torch module, its loss and its optimizer; the loop does the rest, from outside."""

    module: torch.nn.Module
    classes: int
    """Of the labels `y` of a batch, which may also be shares of classes [B, K]; 0 where there are none."""

    def optimizer(self) -> torch.optim.Optimizer:
        """A new optimizer of the module's parameters; its rates are those at the top of the schedule."""
        ...

    def loss(self, module: Any, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch, a tensor of one number. `module` is the one above, perhaps compiled."""
        ...

    def weight(self, batch: Batch) -> float:
        """How much a batch counts in a larger one: its rows, or the tokens it predicts, or their weights."""
        ...


class Event(Enum):
    """Moments at which methods may alter what is computed."""

    BEGIN = "begin"
    """Once, before the first step or after a restart; nothing is restored yet."""
    BATCH = "batch"
    """Before a part of a batch goes through the model; `batch` may be replaced."""
    GRADIENTS = "gradients"
    """All parts have added to the gradients, which are in the loss's own scale."""
    UPDATED = "updated"
    """The optimizer has moved the weights."""
    CHECK = "check"
    """The model is about to be judged, or kept as it is: methods put in the weights that ship."""
    CHECKED = "checked"
    """It was: training goes on with the weights before that."""


@dataclass
class Moment:
    """What a method sees at an event, and may alter in place."""

    module: torch.nn.Module
    classes: int
    """Of the labels; 0 where there are none to mix."""
    step: int = 0
    batch: Batch | None = None

    @property
    def given(self) -> Batch:
        """The batch. Errors: ValueError at an event that has none."""
        if self.batch is None:
            raise ValueError("there is no batch at this event")
        return self.batch

    def inputs(self, axes: int | None = None) -> torch.Tensor:
        """`x`, floats with the rows first. Errors: ValueError where the method does not suit such a batch."""
        x = self.given.get("x")
        if x is None or not x.is_floating_point() or (axes is not None and x.ndim != axes):
            shape = "nothing of that name" if x is None else f"{x.dtype} of shape {tuple(x.shape)}"
            raise ValueError(f"the method needs floats x{f' of {axes} axes' if axes else ''}; the batch has {shape}")
        return x

    def labels(self) -> torch.Tensor:
        """`y` as shares of classes [B, K]. Errors: ValueError where the task has no classes."""
        import torch

        y = self.given["y"]
        if y.ndim == 2 and y.is_floating_point():
            return y
        if not self.classes:
            raise ValueError("the method mixes labels of classes; this task has none")
        return torch.nn.functional.one_hot(y, self.classes).float()


class Method(Protocol):
    """Alters the computation of a step: clipping, averages of weights, mixed batches."""

    def match(self, event: Event) -> bool:
        """Whether it takes part at such moments; asked once, when training begins."""
        ...

    def apply(self, event: Event, moment: Moment) -> None:
        """Take part. What it draws comes from torch's generators, which are sown for each part of each step."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """What it has to remember, nothing unless a method says so; the loop fills these in place when it resumes."""
        return {}


@dataclass(frozen=True)
class Progress:
    """What an observer is told, about once a second: numbers, nothing that could be altered."""

    step: int
    steps: int
    """That are to be made."""
    loss: float
    """Mean since it was last told."""
    rate: float
    """Share of the learning rate at the top of the schedule."""
    held_loss: float | None
    best_step: int | None
    steps_per_second: float
    busy: float
    """Share of the time that was not spent waiting for batches or checkpoints."""


class Observer(Protocol):
    """Looks on."""

    def told(self, progress: Progress) -> None:
        """Now and then, between two steps."""
        ...
