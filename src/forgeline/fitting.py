"""One fit, in a worker: rows read and encoded, a model trained, its graph checked, both stored.

Shapes: N training rows, F features, K outputs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from forgeline import catalog, deep, kinds, models
from forgeline.engine import arrays as tables
from forgeline.engine import assemble, encode, transformer
from forgeline.engine.attempts import PREEMPTED
from forgeline.engine.graph import Graph
from forgeline.engine.recipe import Preempted
from forgeline.engine.seeds import Seed
from forgeline.engine.store import Artefacts
from forgeline.history import METRICS
from forgeline.records import Ref, Unit

ASKED_ROWS, ASKED_PICTURES = 65_536, 512
"""Rows that a model is asked about at once, and rows with pictures."""
STOPPING_ROWS = 100_000
"""Held-out rows that a last step is chosen by."""
CHECKED_ROWS, CHECKED_TEXTS = 4096, 256
"""Rows on which every graph is compared with its model, and rows whose tokens are read."""
TOLERANCE = 1e-5
"""Largest difference between a model and its graph: probabilities, or values in standard deviations."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What a worker is told of a unit, in plain values."""

    artefacts: str
    """The folder that holds what the digests name."""
    table: dict[str, str]
    """Files of the training table, and the digest of each."""
    folds: str
    recipe: str
    candidate: str
    family: str
    setting: dict[str, Any]
    fold: int
    """The fold it does not see; where no row is of it, all are trained on."""
    share: float
    """Part of those rows that are trained on."""
    steps: int | None
    """How many steps count; None: chosen by the rows of the fold."""
    task: kinds.Task
    outputs: int
    quantile: float | None
    seed: tuple[int, tuple[str | int, ...]]
    checkpoints: str
    """The folder that this unit keeps checkpoints in while it is trained, where it is trained in steps."""

    def own_seed(self) -> Seed:
        """The seed of this unit and no other."""
        return Seed(*self.seed).child("train", self.candidate, self.fold)


def fit_unit(**told: Any) -> dict[str, Any]:
    """Fit one candidate without one fold, predict that fold, check the graph, store both.

    Where no row is of the fold the graph is checked on some of those it was trained on. A fit in steps that is asked to
    go leaves with its own exit code, and goes on from its checkpoints when it is asked for again.
    """
    ask = Assignment(**told)
    before = deep.seconds_so_far(Path(ask.checkpoints))
    store = Artefacts(Path(ask.artefacts))
    module = catalog.load("families", ask.family)
    lot = read(ask, store, module)
    alone = len(lot.present) == 1
    built = Constant() if alone else module.build(lot.rows.shape, ask.setting, ask.own_seed())
    try:
        fitted = deep.fitted(built, lot.rows, ask.own_seed(), Path(ask.checkpoints))
    except Preempted:
        sys.exit(PREEMPTED)
    given, shape = {"x": lot.x_PF} | lot.seen, lot.rows.shape
    held_rows, present, center, scale = lot.held_rows, lot.present, lot.center, lot.scale
    kinds_seen = {name: assemble.SEEN[name.rpartition("_")[0]] for name in lot.seen}
    del lot  # the training rows, before the model is asked and drawn
    scores_PK = spread_array(answers(fitted, given), present, ask.outputs, ask.task)
    graph = Graph()
    named = [graph.input("x", "float", given["x"].shape[1])]
    named += [graph.input(name, kind, *dimensions(name, given[name])) for name, kind in kinds_seen.items()]
    scores = fitted.graph(graph, *named)
    graph.output(spread(graph, scores, present, ask.outputs, ask.task), "scores", "float", ask.outputs)
    model = graph.model()
    pace = check_graph(model, given, scores_PK, getattr(module, "TOLERANCE", TOLERANCE))
    data = tables.npy((scores_PK * scale + center if ask.task == "regression" else scores_PK)[:held_rows])
    unit = Unit(
        candidate=ask.candidate,
        fold=ask.fold,
        model=Ref(digest=store.put(model), size_bytes=len(model), name="fragment.onnx"),
        predictions=Ref(digest=store.put(data), size_bytes=len(data), name="predictions.npy"),
        share=ask.share,
        center=center,
        scale=scale,
        steps=getattr(fitted, "steps", None),
        work=0.0 if alone else float(module.cost(shape, ask.setting).work * getattr(fitted, "done", 1.0)),
        metrics=metrics_of(Path(ask.checkpoints) / METRICS, store),
    )
    return {"unit": msgspec.to_builtins(unit), "predict_seconds_per_row": pace, "seconds_before": before}


def answers(fitted: kinds.Fitted, given: dict[str, np.ndarray]) -> np.ndarray:
    """What a model says of rows, some at a time, float64 [P, K]."""
    rows, at_once = len(given["x"]), ASKED_ROWS if len(given) == 1 else ASKED_PICTURES
    parts = [fitted.predict(*(each[at : at + at_once] for each in given.values())) for at in range(0, rows, at_once)]
    return np.concatenate(parts).astype(np.float64)


def metrics_of(file: Path, store: Artefacts) -> Ref | None:
    """The metrics by step, stored; None where it was not trained in steps."""
    if not file.exists():
        return None
    data = file.read_bytes()
    return Ref(digest=store.put(data), size_bytes=len(data), name=METRICS)


@dataclass(frozen=True)
class Lot:
    """The rows of one fit, and what its targets mean."""

    rows: kinds.TrainRows
    x_PF: np.ndarray
    """Rows to predict: those of the fold, or where there are none some that are trained on."""
    seen: dict[str, np.ndarray]
    """Their raw columns, where the family sees them, by the names of a graph's inputs."""
    held_rows: int
    """Rows of the fold."""
    present: list[int]
    """Classes among the rows that are trained on, in order; none of values."""
    center: float
    scale: float


def read(ask: Assignment, store: Artefacts, module: Any) -> Lot:
    """The encoded rows of a unit, with their pictures where the family, `module`, sees them."""
    files = {name: store.folder / digest for name, digest in ask.table.items()}
    rows, recipe = tables.load(files), encode.decode(store.get(ask.recipe))
    y_N, fold_N = np.load(files["target.npy"]), np.load(store.folder / ask.folds)
    weight_N = np.load(files["weight.npy"]) if "weight.npy" in files else None
    train_N, held_N = np.flatnonzero(fold_N != ask.fold), np.flatnonzero(fold_N == ask.fold)
    if ask.share < 1:
        draw = ask.own_seed().child("share").generator()
        train_N = np.sort(draw.choice(train_N, int(ask.share * len(train_N)), replace=False))
    y_train, present, center, scale = standardised(y_N[train_N], ask.task)
    target_NY = encode.target_columns(y_N[train_N], ask.outputs) if recipe.means else None
    x_NF = encode.transform(recipe, rows, train_N, target_NY)
    asked_N = held_N if len(held_N) else train_N[:CHECKED_ROWS]
    x_PF = encode.transform(recipe, rows, asked_N)
    made = files.get("encoder.json")
    architecture = None if made is None else msgspec.json.decode(made.read_bytes(), type=transformer.Architecture)
    seen_N, seen_P = (seen_by(module, rows, recipe, some) for some in (train_N, asked_N))
    shape = kinds.Shape(
        *(len(train_N), x_NF.shape[1], task_of(ask.task, present), len(present) or 1, recipe.flags, ask.quantile),
        pictures=tuple((one.height, one.width, one.channels) for one in recipe.pictures),
        words=tuple(rows.texts.values()),
        tokens=tuple(rows.lengths),
        encoder=architecture,
        embedded=sum(each.shape[1] for each in rows.embedded),
        plain=recipe.plain,
    )
    held = None
    if ask.steps is None and len(held_N):
        judged = models.sample(np.arange(len(held_N)), getattr(module, "JUDGED_ROWS", STOPPING_ROWS))
        judged = judged[np.isin(y_N[held_N[judged]], present)] if present else judged
        y_held = y_N[held_N[judged]]
        y_held = np.searchsorted(present, y_held) if present else (y_held - center) / scale
        some = None if weight_N is None else weight_N[held_N[judged]]
        shown = tuple(each[judged] for each in seen_P.values())
        held = kinds.TrainRows(x_PF[judged], y_held, some, shape, seen=shown) if len(judged) else None
    train_weight = None if weight_N is None else weight_N[train_N]
    weights = files.get("encoder.safetensors")
    given = kinds.TrainRows(x_NF, y_train, train_weight, shape, held, ask.steps, tuple(seen_N.values()), weights)
    return Lot(given, x_PF, seen_P, len(held_N), present, center, scale)


def seen_by(module: Any, rows: tables.Arrays, recipe: encode.Recipe, some_N: np.ndarray) -> dict[str, np.ndarray]:
    """The raw columns of some rows that a family sees, by the names of a graph's inputs."""
    look: dict[str, Callable[[str], np.ndarray]] = {
        "image": lambda column: rows.looked_at(column, some_N),
        "text": lambda column: rows.said(column, some_N),
        "tokens": lambda column: rows.of_text(rows.tokens, column, some_N).astype(np.int64),
        "embedded": lambda column: rows.of_text(rows.embedded, column, some_N),
    }
    pictures = [each.column for each in recipe.pictures]
    return {
        assemble.seen_as(kind, place): look[kind](column)
        for kind in getattr(module, "SEES", ())
        for place, column in enumerate(pictures if kind == "image" else rows.texts)
    }


def dimensions(name: str, seen: np.ndarray) -> tuple[int | str, ...]:
    """Of a row of an input: tokens are as many as the longest text has."""
    return ("T",) if name.startswith("tokens") else seen.shape[1:]


@dataclass(frozen=True)
class Constant:
    """What is learned where all rows are of one class: it is certain."""

    def fit(self, rows: kinds.TrainRows) -> Constant:
        """Nothing to learn."""
        return self

    def predict(self, x_NF: np.ndarray, *seen: np.ndarray) -> np.ndarray:
        """float64 [N, 1]."""
        return np.ones((len(x_NF), 1))

    def graph(self, graph: Graph, x: str, *seen: str) -> str:
        """Nothing times the first feature, and one."""
        first = graph.add("Gather", x, graph.constant([0], np.int64), axis=1)
        return graph.add("Add", graph.add("Mul", first, graph.constant([[0.0]])), graph.constant([[1.0]]))


def standardised(y_N: np.ndarray, task: str) -> tuple[np.ndarray, list[int], float, float]:
    """(targets as the family sees them, classes that are present, center, scale)."""
    if task == "regression":
        center, scale = float(y_N.mean()), float(y_N.std()) or 1.0
        return (y_N - center) / scale, [], center, scale
    present, codes_N = np.unique(y_N, return_inverse=True)
    return codes_N.astype(np.int64), [int(each) for each in present], 0.0, 1.0


def task_of(task: kinds.Task, present: list[int]) -> kinds.Task:
    """A fold may have fewer classes than the table: two of them make a binary task."""
    return "binary" if task != "regression" and len(present) == 2 else task


def spread(graph: Graph, scores: str, present: list[int], outputs: int, task: str) -> str:
    """Scores with a zero column for each class that this fold's training rows lacked."""
    if task == "regression" or len(present) == outputs:
        return scores
    zero = graph.add("Mul", graph.add("Gather", scores, graph.constant([0], np.int64), axis=1), graph.constant([[0.0]]))
    places = [present.index(each) if each in present else len(present) for each in range(outputs)]
    both = graph.add("Concat", scores, zero, axis=1)
    return graph.add("Gather", both, graph.constant(places, np.int64), axis=1)


def spread_array(scores_NK: np.ndarray, present: list[int], outputs: int, task: str) -> np.ndarray:
    """Twin of `spread`."""
    if task == "regression" or len(present) == outputs:
        return scores_NK
    wide_NK = np.zeros((len(scores_NK), outputs))
    wide_NK[:, present] = scores_NK
    return wide_NK


def check_graph(
    model: bytes, given: dict[str, np.ndarray], scores_NK: np.ndarray, most: float, *, most_rows: int = CHECKED_ROWS
) -> float:
    """Compare the graph with the model on held-out rows; the graph's seconds a row. Errors: ArithmeticError."""
    texts = [name for name in given if name.startswith(("tokens", "text"))]
    at_once, most_rows = most_rows if len(given) == 1 else ASKED_PICTURES, CHECKED_TEXTS if texts else most_rows
    scores_NK, rows = scores_NK[:most_rows], min(most_rows, len(scores_NK))
    if not rows:
        return 0.0
    session = models.open_session(model)
    parts, seconds = [], 0.0
    for at in range(0, rows, at_once):
        feed = {name: each[at : min(at + at_once, rows)] for name, each in given.items()}
        short = len(feed["x"]) == 1
        feed = {name: np.repeat(each, 2, axis=0) if short else each for name, each in feed.items()}
        began = time.perf_counter()
        answer = session.run(None, {each.name: feed[each.name] for each in session.get_inputs()})[0]
        seconds += time.perf_counter() - began
        parts.append(answer[:1] if short else answer)
    worst = float(np.abs(np.concatenate(parts) - scores_NK).max())
    if not worst <= most:
        raise ArithmeticError(f"the graph differs from the model by {worst:.2e}")
    return seconds / rows
