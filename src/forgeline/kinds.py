"""The Protocol of each kind of part: its verbs, arguments and results.

A part is a module `parts/<kind>/<name>.py`, or an entry point in the group `forgeline.<kind>`. The first line
of its docstring is its entry in `forgeline parts`; the keyword-only arguments of its first verb are its options.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import polars as pl
    import torch

    from forgeline.engine.cells import Cells
    from forgeline.engine.feed import Batch
    from forgeline.engine.graph import Graph
    from forgeline.engine.ledger import Ledger
    from forgeline.engine.probe import Probe
    from forgeline.engine.recipe import Recipe
    from forgeline.engine.schema import Schema
    from forgeline.engine.search import Range
    from forgeline.engine.seeds import Seed
    from forgeline.engine.stepped import Method
    from forgeline.engine.structure import Structure
    from forgeline.engine.transformer import Architecture
    from forgeline.records import Column, Cost, Finding, Rows

Task = Literal["binary", "multiclass", "regression"]
Setting = dict[str, Any]

VERBS: dict[str, tuple[str, ...]] = {
    "checks": ("check",),
    "families": ("space", "cost", "build"),
    "metrics": ("score",),
    "methods": ("build",),
}
"""Kind → the verbs a part of it must have."""


# ---------------------------------------------------------------- targets


class Aim(Protocol):
    """What the target is taken for: a snapshot's facts, or what `engine.targets` found out."""

    @property
    def task(self) -> str | None:
        """binary, multiclass or regression."""
        ...

    @property
    def classes(self) -> Sequence[Any]:
        """Labels in their own type, sorted; empty for regression."""
        ...

    @property
    def positive(self) -> Any:
        """Binary tasks: the label whose probability is reported."""
        ...


def label_text(label: object) -> str:
    """A label as polars writes it."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def ordered(aim: Aim) -> list[Any]:
    """Labels with the positive one last, where there is one."""
    if aim.task != "binary":
        return list(aim.classes)
    return [*(each for each in aim.classes if each != aim.positive), aim.positive]


# ---------------------------------------------------------------- checks


class KeepRows(Protocol):
    """Names rows to a person: which, how surely, and what would be right instead."""

    def __call__(
        self,
        rows: Sequence[int] | np.ndarray,
        scores: Sequence[float] | np.ndarray,
        values: Sequence[str] | None = None,
    ) -> Rows:
        """Snapshot row numbers, their scores, and where there is one the label suggested for each, as text."""
        ...


@dataclass(frozen=True)
class View:
    """What a check may look at. Everything fitted must use `train`; the target is never in a frame."""

    all: pl.DataFrame
    """Every row, or an even sample where there are very many, without target, weight and kept identifiers: for
    facts that need no fit. A row's number is its place here."""
    train: pl.DataFrame
    """The training rows, same columns."""
    train_ids: np.ndarray
    """0-based number of each training row among all."""
    columns: dict[str, Column]
    task: Task | None
    target_name: str
    classes: Sequence[str | bool | int | float]
    positive: str | bool | int | float | None
    protected: Sequence[str]
    keep_rows: KeepRows
    """Writes snapshot row numbers and their scores to a file of the run; the finding's `rows`."""
    cells: Cells
    """Distinct values, missing cells and numbers of `all`, worked out once for all checks."""
    train_cells: Cells
    """The same of `train`."""
    probe: Probe | None = None
    """Quick models over the training rows, fitted once for all checks; null without a target."""
    group: str = ""
    """Column whose values stay on one side of the split, declared or found."""
    time: str = ""
    """Date column that the split goes by, declared or found."""
    structure: Structure | None = None
    """Entities, time order and copies that were found, whether the split follows them or not."""
    schema: Schema | None = None
    """The frozen schema that the spec names."""
    base: Path | None = None
    """The folder of the data's files, which paths in cells are relative to."""
    test: pl.DataFrame | None = None
    """The features of the test file that the user brings, same columns; its labels are not looked at."""
    ledger: Ledger | None = None
    """Which rows each step of the user's own pipeline was fitted on."""
    pictures: Callable[[Collection[str]], Mapping[str, bytes]] = lambda names: {}
    """The files of pictures, by the names that stand in the cells of columns of pictures."""
    probabilities: np.ndarray | None = None
    """Out-of-sample outputs of the user's own model for the training rows: [N, classes in order], or [N, 1]."""
    found: Sequence[Finding] = ()
    """What earlier rounds found."""


class Check(Protocol):
    """Finds one kind of defect. Yields findings, or nothing when the data is clean.

    A module may set `round`: 0, the default, for facts that need no fit; 1 for what is fitted; 2, or 3, for what
    also reads the findings of the rounds before, as `table.found`. And `needs`: which of target, test, ledger and
    protected it cannot judge without; where one is not there it is not asked, and not applicable.
    """

    def check(self, table: View, target: pl.Series | None, **options: Any) -> Iterator[Finding]:
        """`target` holds the training rows only, aligned with `table.train`; null without a target."""
        ...


# ---------------------------------------------------------------- metrics


class Metric(Protocol):
    """Scores predictions against the truth.

    A module may set `of_answers = True` when it scores classes, not probabilities: evaluate then gives it the
    answers at the spec's threshold, each with probability 1. One of values may set `percent`, the percentile of the
    target at which it is least: models are then fitted to that instead of the mean.
    """

    tasks: ClassVar[tuple[Task, ...]]
    higher_is_better: ClassVar[bool]

    def score(self, y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None) -> float:
        """y_N: class index, or the value; p_NK: probabilities [N, classes], or predictions [N, 1].

        Binary: class index 1 is the positive class. NaN when it cannot be computed (one class only).
        """
        ...


# ---------------------------------------------------------------- families


@dataclass(frozen=True)
class Shape:
    """What a family is told about the data before it sees any: enough to know the price."""

    rows: int
    features: int
    task: Task
    outputs: int
    """Columns of a prediction: classes, or 1 for regression."""
    flags: int | None = None
    """How many of the features are only ever 0 or 1, which LightGBM bundles; None when it is not known."""
    quantile: float | None = None
    """Regression: the quantile of the target that is to be predicted; None: its mean."""
    pictures: tuple[tuple[int, int, int], ...] = ()
    """Height, width and colours of each column of pictures."""
    words: tuple[float, ...] = ()
    """Words of each column of free text, on average."""
    tokens: tuple[float, ...] = ()
    """Tokens of each, on average, where there is a pretrained encoder."""
    encoder: Architecture | None = None
    """What the encoder is made of."""
    embedded: int = 0
    """Features that it makes of all of them together."""
    plain: int | None = None
    """How many of the features, the first, are of neither texts nor pictures; None: all."""

    @property
    def central(self) -> bool:
        """Whether a family that only knows the mean may compete: the median is near it, other quantiles are not."""
        return self.quantile in (None, 0.5)


@dataclass(frozen=True)
class Space:
    """What may vary, as a list of settings; the first is the default. Empty: it cannot learn this task."""

    points: tuple[Setting, ...]
    ranges: Mapping[str, Range] = field(default_factory=dict)
    """Numbers of a setting that a search may move; empty: it is not searched."""


@dataclass(frozen=True)
class TrainRows:
    """Encoded rows: x_NF float32, no NaN; y_N int64 class index, or float64 value in standard units."""

    x_NF: np.ndarray
    y_N: np.ndarray
    weight_N: np.ndarray | None
    shape: Shape
    held: TrainRows | None = None
    """Rows that a model which grows in steps may choose its last step by; the others ignore them."""
    steps: int | None = None
    """The last step, where it was chosen before: other folds of the same candidate agreed on it."""
    seen: tuple[np.ndarray, ...] = ()
    """Raw columns, of the kinds that the family SEES: each column of the first kind, then of the next."""
    encoder: Path | None = None
    """The file of the pretrained encoder's weights, where there is one."""


class Fitted(Protocol):
    """A trained model that can be asked here and drawn as ONNX nodes; both give the same answers.

    One that grew in steps also has `steps`, how many count, and `done`, the share of the setting's work it took.
    """

    def predict(self, x_NF: np.ndarray, *seen: np.ndarray) -> np.ndarray:
        """float64 [N, outputs]: probabilities that sum to 1, or values. `seen` are raw columns of families that SEE."""
        ...

    def graph(self, graph: Graph, x: str, *seen: str) -> str:
        """Add nodes that turn tensor `x` (float32 [N, F]), and raw columns where the family SEES them, into scores
        (float32 [N, outputs]); their name."""
        ...


class OneShot(Protocol):
    """A model that is trained by one call."""

    def fit(self, rows: TrainRows) -> Fitted:
        """Train with one thread, deterministically."""
        ...


class Stepped(Protocol):
    """A model that learns in steps: an untouched torch module, its loss and its optimizer; `engine.loop` does the rest.

    It is also what `engine.stepped.Stepped` asks for; the module is there once it has begun. It may have `methods`,
    parts with their options that take part in its training.
    """

    module: torch.nn.Module
    classes: int
    batch: int
    """Rows of a step."""
    recipe: Recipe
    """How many steps, at which rates, and how often held rows are looked at."""

    def begin(self, rows: TrainRows) -> Batch:
        """Make the module for these rows; they as tensors, all in memory."""
        ...

    def tensors(self, rows: TrainRows) -> Batch:
        """Other rows in the same way."""
        ...

    def optimizer(self) -> torch.optim.Optimizer:
        """A new optimizer of the module's parameters."""
        ...

    def loss(self, module: Any, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch."""
        ...

    def weight(self, batch: Batch) -> float:
        """How much a batch counts in a larger one."""
        ...

    def fitted(self, done: float, steps: int) -> Fitted:
        """The module as it is: share of the schedule that was made, steps that its weights have been through."""
        ...


class Family(Protocol):
    """A kind of model: what may vary, what it costs, how it is built.

    A module may set `SEES`, the kinds of raw columns that its models are given (of `engine.assemble.SEEN`);
    `REQUIRES`, the package that it needs and the extra that brings it; `KEEPS_ROWS`, that its models hold training
    rows; `NAMED_ONLY`, that it competes only where it is named; `REFITS`, how many fits on all rows ship in place of
    its fold models (1 where it says nothing; 0: the fold models ship); `cut(shape, setting)`, the share of its steps
    that a setting is left on such data; `brief(shape, setting, work)`, the setting with so few steps that it takes at
    most `work`, whatever the data (what sees raw columns and has it is given as many steps as the budget bears);
    `TOLERANCE`, how far its graph may be from its model where 1e-5 cannot be; and `JUDGED_ROWS`, how many held rows
    are looked at while it is trained.
    """

    def space(self, shape: Shape) -> Space:
        """Settings worth trying for data of this shape; the first is the default."""
        ...

    def cost(self, shape: Shape, setting: Setting) -> Cost:
        """Predicted price of one fit, without fitting."""
        ...

    def build(self, shape: Shape, setting: Setting, seed: Seed) -> OneShot | Stepped:
        """An untrained model."""
        ...


# ---------------------------------------------------------------- methods


class MethodPart(Protocol):
    """Alters how a model that learns in steps is trained; the keyword-only arguments of `build` are its options."""

    def build(self, **options: Any) -> Method:
        """A method for one run: it may remember things from step to step."""
        ...
