"""Contract tests that parts outside this package can run too: `check_family(module)` in a test of one's own.

`check_check`, `check_metric` and `check_method` do the same for the other kinds. Each raises AssertionError.
"""

from __future__ import annotations

import atexit
import functools
import inspect
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forgeline import deep, models
from forgeline.engine import pixels, transformer
from forgeline.engine.assemble import SEEN, seen_as
from forgeline.engine.transformer import Architecture
from forgeline.kinds import Setting, Shape, Task, TrainRows, View

if TYPE_CHECKING:
    import polars as pl
    import torch

    from forgeline.records import Finding

BATCHES = (1, 2, 3, 31, 64, 1000)
"""Answers must be bit-equal whatever the batch; a batch of one is padded to two, as the readers do."""
CLOSE = 1e-5
"""Most difference between numpy and ONNX: of a probability, or in standard deviations of the target."""
TASKS: tuple[tuple[Task, int], ...] = (("binary", 2), ("multiclass", 4), ("regression", 1))


# ---------------------------------------------------------------- families


def check_family(family: Any) -> None:
    """Assert all that a model family promises, for each task it learns, at the first and last point of its space.

    Of one that sees raw columns, and learns in steps, at the last alone, as that takes long.
    """
    sees = getattr(family, "SEES", ())
    spaces = {task: family.space(family_rows(task, outputs, sees=sees).shape).points for task, outputs in TASKS}
    assert any(spaces.values()), f"{family.__name__}: no task has a point"
    for task, outputs in TASKS:
        rows, held = family_rows(task, outputs, sees=sees), family_rows(task, outputs, count=1003, sees=sees)
        for setting in (*spaces[task][:1], *spaces[task][-1:])[hasattr(family, "brief") and bool(sees) :]:
            says = f"{family.__name__} {task} {setting}"
            check_cost(family, rows.shape, setting, says)
            check_fit(family, rows, shortened(family, rows.shape, setting), given_of(held, sees), says)
    for quantile in (0.2, 0.8):
        check_quantile(family, quantile)


def shortened(family: Any, shape: Shape, setting: Setting, work: float = 1.2) -> Setting:
    """The setting with fewer steps: a model keeps its promises after few as after many."""
    if hasattr(family, "brief"):
        return dict(family.brief(shape, setting, work))
    most = {"trees": 150, "epochs": 8}
    return setting | {name: min(setting[name], count) for name, count in most.items() if name in setting}


def family_rows(
    task: Task, outputs: int, *, count: int = 400, features: int = 8, sees: Sequence[str] = ()
) -> TrainRows:
    """Made-up rows: wide and shifted numbers, flags, a skewed target in standard units, rare classes; with `sees` a
    raw column of each of these kinds, too, which tells what the target does."""
    draw = np.random.default_rng([count, outputs])
    x_NF = draw.normal(size=(count, features)).astype(np.float32)
    signal_N = x_NF[:, 0] + 2 * x_NF[:, 1] * (x_NF[:, -1] > 0.5) + 0.5 * draw.normal(size=count)
    x_NF[:, 0] *= 1e4
    x_NF[:, 1] += 1e5
    x_NF[:, features // 2 :] = x_NF[:, features // 2 :] > 0.5
    shape = Shape(rows=count, features=features, task=task, outputs=outputs, flags=features - features // 2)
    if task == "regression":
        skewed_N = np.exp(0.7 * signal_N)
        y_N = (skewed_N - skewed_N.mean()) / skewed_N.std()
    else:
        edges = np.quantile(signal_N, np.linspace(0.6, 0.95, outputs - 1))
        y_N = np.searchsorted(edges, signal_N).astype(np.int64)
    seen = tuple(raw(kind, signal_N, draw) for kind in sees)
    if "image" in sees:
        blocks_NB = pixels.sums(pixels.fit("", (8, 8, 1)), seen[sees.index("image")], np.arange(count))
        x_NF = np.hstack([x_NF, blocks_NB])
        shape = replace(shape, features=x_NF.shape[1], pictures=((8, 8, 1),))
    shape = replace(shape, plain=features, **SHAPES.get(sees[0] if sees else "", {}))
    return TrainRows(x_NF, y_N, None, shape, seen=seen, encoder=made_up_encoder() if "tokens" in sees else None)


SMALL = Architecture(layers=2, width=16, heads=2, inner=32, vocabulary=40, positions=32)
"""A made-up encoder."""
SHAPES: dict[str, dict[str, Any]] = {
    "text": {"words": (6.0,)},
    "tokens": {"words": (6.0,), "tokens": (8.0,), "encoder": SMALL},
    "embedded": {"words": (6.0,), "tokens": (8.0,), "encoder": SMALL, "embedded": SMALL.width},
}
"""What a shape says of a raw column, by its kind."""


def raw(kind: str, signal_N: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """A raw column whose light, words, tokens or features tell a signal."""
    count, high_N = len(signal_N), signal_N[:, None] > draw.normal(size=(len(signal_N), 6))
    if kind == "image":
        light = 128 + 40 * signal_N[:, None, None, None] + draw.normal(scale=20, size=(count, 8, 8, 1))
        return np.asarray(np.clip(light, 0, 255).astype(np.uint8))
    if kind == "embedded":
        return np.asarray((signal_N[:, None] + draw.normal(size=(count, SMALL.width))).astype(np.float32))
    word_N6 = draw.integers(3, 20, (count, 6)) + 18 * high_N
    if kind == "text":
        return np.array([[" ".join(f"w{each}" for each in row[: 2 + row[0] % 5])] for row in word_N6], dtype=object)
    tokens_NT = np.hstack([np.full((count, 1), 1), word_N6, np.full((count, 1), 2)]).astype(np.int64)
    tokens_NT[::3, 5:] = 0
    return tokens_NT


@functools.cache
def made_up_encoder() -> Path:
    """A file of random weights, kept as long as this process lives."""
    from safetensors.numpy import save_file

    draw = np.random.default_rng(7)
    file = Path(tempfile.mkdtemp(prefix="forgeline-")) / "encoder.safetensors"
    atexit.register(shutil.rmtree, file.parent, ignore_errors=True)
    shapes = transformer.names(SMALL)
    save_file({name: draw.normal(scale=0.2, size=shape).astype(np.float16) for name, shape in shapes.items()}, file)
    return file


def given_of(rows: TrainRows, sees: Sequence[str]) -> dict[str, np.ndarray]:
    """What a graph is given of rows, by the names of its inputs."""
    return {"x": rows.x_NF} | {seen_as(kind, 0): each for kind, each in zip(sees, rows.seen)}


def check_cost(family: Any, shape: Shape, setting: Setting, says: str) -> None:
    """Every figure is positive, and none falls when the rows are ten times as many."""
    small, large = family.cost(shape, setting), family.cost(replace(shape, rows=10 * shape.rows), setting)
    for name in ("work", "seconds", "memory_bytes", "size_bytes", "flops_per_row"):
        assert 0 < getattr(small, name) <= getattr(large, name), f"{says}: cost().{name}"
    assert large.work > small.work, f"{says}: cost().work does not grow with the rows"


def check_fit(family: Any, rows: TrainRows, setting: Setting, held: dict[str, np.ndarray], says: str) -> None:
    """Two fits are equal; ONNX gives the same predictions, at every batch; weights count."""
    fitted, again = fit_family(family, rows, setting), fit_family(family, rows, setting)
    assert fitted[1] == again[1], f"{says}: two fits differ"
    weight_N = np.random.default_rng(5).uniform(0.1, 3.0, len(rows.x_NF))
    weighted = fit_family(family, replace(rows, weight_N=weight_N), setting)
    assert weighted[1] != fitted[1], f"{says}: weights change nothing"
    close = getattr(family, "TOLERANCE", CLOSE)
    for predict, model in (fitted, weighted):
        session = models.open_session(model)
        whole_NK = answers(session, held)
        check_predictions(predict(*held.values()), whole_NK, rows.shape, close, says)
        for batch in BATCHES:
            some = min(len(held["x"]), 20 * batch + 1)
            head = {name: each[:some] for name, each in held.items()}
            same = np.array_equal(answers(session, head, batch), whole_NK[:some])
            assert same, f"{says}: answers in batches of {batch} differ"


def check_quantile(family: Any, quantile: float) -> None:
    """Asked for a quantile, a family that has a point leaves about that share of its training rows below."""
    sees = getattr(family, "SEES", ())
    rows = family_rows("regression", 1, sees=sees)
    rows = replace(rows, shape=replace(rows.shape, quantile=quantile))
    for setting in family.space(rows.shape).points[:1]:
        predict, _ = fit_family(
            family, rows, family.brief(rows.shape, setting, 8.0) if sees and hasattr(family, "brief") else setting
        )
        share = (rows.y_N <= predict(*given_of(rows, sees).values())[:, 0]).mean()
        assert abs(share - quantile) <= 0.12, f"{family.__name__}: quantile {quantile} leaves {share:.2f} of rows below"


def fit_family(family: Any, rows: TrainRows, setting: Setting) -> tuple[Callable[..., np.ndarray], bytes]:
    """The predict verb of a fitted model, and its graph from `x` and raw columns to `y` as ONNX bytes."""
    from forgeline.engine.graph import Graph
    from forgeline.engine.seeds import Seed

    seed = Seed(0).child("contract")
    with tempfile.TemporaryDirectory() as place:
        fitted = deep.fitted(family.build(rows.shape, setting, seed), rows, seed, Path(place) / "checkpoints")
    graph = Graph()
    named = [graph.input("x", "float", rows.shape.features)]
    for kind, seen in zip(getattr(family, "SEES", ()), rows.seen):
        dimensions = ("T",) if kind == "tokens" else seen.shape[1:]
        named.append(graph.input(seen_as(kind, 0), SEEN[kind], *dimensions))
    scores = fitted.graph(graph, *named)
    graph.output(scores, "y", "float", rows.shape.outputs)
    return fitted.predict, graph.model()


def answers(session: Any, given: dict[str, np.ndarray], batch: int | None = None) -> np.ndarray:
    """What a graph makes of the rows, `batch` at a time, one row alone taken twice."""
    rows = len(given["x"])
    found = []
    for at in range(0, rows, batch or rows):
        feed = {name: each[at : at + (batch or rows)] for name, each in given.items()}
        count = len(feed["x"])
        feed = {name: np.repeat(each, 2, axis=0) for name, each in feed.items()} if count == 1 else feed
        found.append(session.run(["y"], feed)[0][:count])
    return np.concatenate(found)


def check_predictions(p_NK: np.ndarray, onnx_NK: np.ndarray, shape: Shape, close: float, says: str) -> None:
    """float64 here, float32 there, within `close` of each other on every row; probabilities sum to 1."""
    assert p_NK.dtype == np.float64, f"{says}: predict() gives {p_NK.dtype}"
    assert onnx_NK.dtype == np.float32, f"{says}: the graph gives {onnx_NK.dtype}"
    assert p_NK.shape == onnx_NK.shape == (len(p_NK), shape.outputs), f"{says}: shapes {p_NK.shape}, {onnx_NK.shape}"
    assert np.abs(p_NK - onnx_NK).max() <= close, f"{says}: ONNX is off by {np.abs(p_NK - onnx_NK).max()}"
    if shape.task != "regression":
        assert p_NK.min() >= 0, f"{says}: a probability is negative"
        assert np.abs(p_NK.sum(axis=1) - 1).max() <= 1e-9, f"{says}: probabilities do not sum to 1"
        assert onnx_NK.min() >= 0, f"{says}: a probability of the graph is negative"
        assert np.abs(onnx_NK.sum(axis=1) - 1).max() <= CLOSE, f"{says}: the graph's do not sum to 1"


# ---------------------------------------------------------------- checks


def view(
    frame: pl.DataFrame,
    *,
    target: str = "",
    test: Sequence[int] = (),
    protected: Sequence[str] = (),
    positive: Any = None,
    **more: Any,
) -> tuple[View, pl.Series | None]:
    """What a check gets: the view of a frame, and its target's training rows. `test` are sealed row numbers.

    `more` are further fields of the view, such as `found`.
    """
    from forgeline.engine import columns, targets
    from forgeline.engine.cells import Cells
    from forgeline.records import Column

    frame, facts = columns.settle(frame, {}, {})
    aim = targets.aim(frame[target], positive=positive) if target else None
    train_ids = np.setdiff1d(np.arange(frame.height), np.asarray(test, int))
    features = frame.drop(target) if target else frame
    train, labels = features[train_ids], frame[target][train_ids] if target else None
    table = View(
        all=features,
        train=train,
        train_ids=train_ids,
        columns={
            fact.name: Column(
                name=fact.name, kind=fact.kind, dtype=fact.dtype, missing=fact.missing, distinct=fact.distinct
            )
            for fact in facts
            if fact.name != target
        },
        task=aim.task if aim else None,
        target_name=target,
        classes=aim.classes if aim else [],
        positive=aim.positive if aim else None,
        protected=protected,
        keep_rows=Keeper(),
        cells=Cells(features),
        train_cells=Cells(train),
        probe=probe_of(train, labels, aim),
        **more,
    )
    return table, labels


class Keeper:
    """Keeps the rows of findings in memory: `table.keep_rows.kept` holds (rows, scores) of each, in order."""

    def __init__(self) -> None:
        self.kept: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, rows: Any, scores: Any, values: Any = None) -> Any:
        """Row numbers, their scores, and the labels suggested for them."""
        from forgeline.records import Rows

        self.kept.append((np.asarray(rows), np.asarray(scores)))
        assert len(self.kept[-1][0]) == len(self.kept[-1][1]), "each row has a score"
        return Rows(count=len(self.kept[-1][0]))


def probe_of(train: pl.DataFrame, labels: pl.Series | None, aim: Any) -> Any:
    """The quick models of a view, as assess makes them."""
    from forgeline.engine.probe import Probe

    if labels is None or aim is None:
        return None
    return Probe(train, models.target_array(labels, aim), aim.task, len(aim.classes) or 1)


def odd_frame(rows: int = 120) -> pl.DataFrame:
    """Columns of every kind with everything that can be wrong with them, and targets of every task."""
    import polars as pl

    count_N = np.arange(rows)
    number_N = (count_N * 37 % rows) / 7
    return pl.DataFrame(
        {
            "number": number_N,
            "infinite": np.where(count_N % 10 == 0, np.inf, number_N),
            "gaps": pl.Series(number_N).set(pl.Series(count_N % 3 == 0), None),
            "whole": count_N,
            "text": [f"level {at % 5}" for at in count_N],
            "own text": [f"row {at}" for at in count_N],
            "truth": count_N % 2 == 0,
            "date": pl.Series(count_N * 86_400_000_000).cast(pl.Datetime("us")),
            "nothing": pl.Series([None] * rows, dtype=pl.String),
            "picture": pl.Series([f"{at % 40:032x}.png" for at in count_N], dtype=pl.String).cast(pl.Binary),
            "same": [1] * rows,
            "two": [f"class {at % 2}" for at in count_N],
            "three": [f"class {at % 3}" for at in count_N],
            "value": number_N * 2 + 1,
        }
    )


def check_check(module: Any) -> None:
    """A check describes itself and its options, and answers odd tables with findings, twice the same."""
    check_described(module, "check")
    frame = odd_frame()
    for target in ("", "two", "three", "value"):
        for data in (frame, frame.head(7)):
            table, aim = view(data, target=target, test=[1], protected=["text", "number"])
            before = table.all.clone()
            first, second = (list(module.check(table, aim)) for _ in range(2))
            assert first == second, "a check answers the same when asked again"
            assert table.all.equals(before, null_equal=True), "a check changes nothing"
            for finding in first:
                check_finding(finding, table, target)
                assert finding.code in getattr(module, "codes", [finding.code]), (
                    f"{finding.code} is not among its codes"
                )


def check_described(module: Any, verb: str) -> None:
    """The first docstring line and the options of a part."""
    line = (module.__doc__ or "").partition("\n")[0]
    assert line.strip(), "the first line of the docstring is the part's entry in `forgeline parts`"
    for name, parameter in inspect.signature(getattr(module, verb)).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert parameter.default is not parameter.empty, f"option {name} needs a default"
            assert parameter.annotation is not parameter.empty, f"option {name} needs a type"


def check_finding(finding: Finding, table: View, target: str) -> None:
    """A finding is whole: its code, its words, its columns and numbers, and a fix of the same columns."""
    import msgspec

    from forgeline import records

    assert msgspec.json.decode(msgspec.json.encode(finding), type=records.Finding) == finding, finding
    assert "." in finding.code, f"a code has a room and a name: {finding.code}"
    assert finding.says.strip(), f"{finding.code} says nothing"
    known = {*table.all.columns, target}
    assert set(finding.columns) <= known, f"{finding.code} names columns that are not there: {finding.columns}"
    assert all(math.isfinite(number) for number in finding.numbers.values()), finding.numbers
    if finding.fix:
        assert set(finding.fix.columns) <= set(finding.columns), f"{finding.code} mends other columns than it found"
        assert target not in finding.fix.columns, "a fix leaves the target alone"


# ---------------------------------------------------------------- metrics


def check_metric(module: Any) -> None:
    """A metric names its tasks and direction, heeds weights but not the order of rows, and never raises."""
    assert (module.__doc__ or "").strip(), "the first line of the docstring is the part's entry in `forgeline parts`"
    assert module.tasks, "a metric names its tasks"
    assert set(module.tasks) <= {"binary", "multiclass", "regression"}, module.tasks
    assert isinstance(module.higher_is_better, bool)
    for task in module.tasks:
        y_N, best_NK, worse_NK = predictions(task)
        found, worse = module.score(y_N, best_NK), module.score(y_N, worse_NK)
        assert isinstance(found, float), "a score is a float"
        assert (found > worse) == module.higher_is_better, "the better prediction has the better score"
        check_rows(module, y_N, worse_NK)
        alone = module.score(y_N[:1], worse_NK[:1])
        assert isinstance(alone, float), "one row, so one class, is answered too: nan where there is no score"
        assert not math.isinf(alone)


def predictions(task: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A target, a prediction near it and one far from it."""
    draw = np.random.default_rng(7)
    if task == "regression":
        y_N = draw.normal(size=60)
        return y_N, y_N[:, None] + 0.01, draw.normal(size=(60, 1))
    count = 2 if task == "binary" else 3
    label_N = np.arange(60) % count
    return label_N, np.eye(count)[label_N] * 0.9 + 0.1 / count, draw.dirichlet(np.ones(count), 60)


def check_rows(module: Any, y_N: np.ndarray, p_NK: np.ndarray) -> None:
    """Weights count like repeated rows, and the order of rows does not count."""
    plain = module.score(y_N, p_NK)
    order = np.random.default_rng(8).permutation(len(y_N))
    twice = np.append(np.arange(len(y_N)), 0)
    weight_N: np.ndarray = np.ones(len(y_N))
    assert np.isclose(module.score(y_N, p_NK, weight_N), plain), "weights of 1 change nothing"
    weight_N[0] = 2
    repeated = module.score(y_N[twice], p_NK[twice])
    assert np.isclose(module.score(y_N, p_NK, weight_N), repeated), "a weight of 2 counts like two rows"
    assert np.isclose(module.score(y_N[order], p_NK[order]), plain), "the order of rows does not count"


# ---------------------------------------------------------------- methods


def check_method(module: Any) -> None:
    """A method describes its options, keeps tensors only, and draws from torch's generators alone."""
    import torch

    from forgeline.engine.stepped import Event

    check_described(module, "build")
    first, second = trained_with(module), trained_with(module)
    assert any(module.build().match(event) for event in Event), "a method takes part at some event"
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other), "a method does the same from the same seed"
    assert all(each.isfinite().all() for each in first), "a method keeps weights finite"


def trained_with(module: Any, steps: int = 5) -> list[torch.Tensor]:
    """Weights, and what the method remembers, after a few steps on made-up images."""
    import torch

    from forgeline.engine.stepped import Event, Moment

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
    images, labels = torch.rand(16, 3, 8, 8), torch.arange(16) % 4
    method, moment = module.build(), Moment(model, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def apply(event: Event) -> None:
        if method.match(event):
            method.apply(event, moment)

    apply(Event.BEGIN)
    for moment.step in range(steps):
        torch.manual_seed(moment.step)
        moment.batch = {"x": images, "y": labels}
        apply(Event.BATCH)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(moment.batch["x"]), moment.batch["y"])
        loss.backward()  # type: ignore[no-untyped-call]
        apply(Event.GRADIENTS)
        optimizer.step()
        apply(Event.UPDATED)
    before = [each.clone() for each in model.parameters()]
    apply(Event.CHECK)
    apply(Event.CHECKED)
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters())), "a look changes nothing"
    return [*before, *method.tensors().values()]


# ---------------------------------------------------------------- load


@contextmanager
def busy_cores() -> Iterator[None]:
    """Every core at work on something else."""
    loads = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for load in loads:
            load.kill()
            load.wait()
