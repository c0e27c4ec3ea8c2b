"""From members to a model: what train, compress, evaluate and release share about fold models.

Rests on records and the workspace; the stages themselves never import one another.
Shapes: N training rows, K outputs.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from forgeline import catalog, records
from forgeline.engine import album, encode, ensemble, transformer
from forgeline.engine import arrays as tables
from forgeline.engine.assemble import Entry, Fragment, assemble, tokens_of
from forgeline.engine.transformer import Architecture, Weights
from forgeline.engine.workers import Job
from forgeline.errors import BadInput
from forgeline.kinds import Aim, Shape, label_text, ordered
from forgeline.records import Calibration, Member, Ref

if TYPE_CHECKING:
    import polars as pl

    from forgeline.engine.arrays import Arrays
    from forgeline.workspace import Workspace

TOKENIZER = "tokenizer.json"
"""What makes tokens of texts, in a run and in a release."""
AGAIN, AGAIN_SLOW = 5_000, 500
"""Training rows that the shipped model is asked about again, for the overfitting gap; of rows that networks see."""
ANSWERING = 8e10
"""Operations a second of a network in onnxruntime on one core of an AMD EPYC with AVX2, one thread."""
DECODING = 5e-4
"""Seconds for each row that has a picture: it is read, decoded, and given to the model in small batches."""
CLOSING, SAFETY = 2.3, 1.5
"""Seconds that whatever comes after training takes at least, and how many times what is expected is kept for it."""
SELECTION_ROWS = 50_000
"""Rows that ensembles are chosen on; more change the choice little and the time much."""


@dataclass(frozen=True)
class Data:
    """What out-of-fold predictions are judged on."""

    y_N: np.ndarray
    weight_N: np.ndarray | None
    fold_N: np.ndarray
    task: str
    outputs: int


def target_of(frame: pl.DataFrame, snapshot: records.Snapshot) -> np.ndarray:
    """int64 class index (binary: 1 is the positive class), or float64 value."""
    return target_array(frame[snapshot.facts.target], snapshot.facts)


def target_array(target: pl.Series, aim: Aim) -> np.ndarray:
    """int64 class index (binary: 1 is the positive class), or float64 value, of a target without gaps."""
    import polars as pl

    if aim.task == "regression":
        return np.asarray(target.cast(pl.Float64).to_numpy(), dtype=np.float64)
    texts = [label_text(label) for label in ordered(aim)]
    series = target.cast(pl.Int64) if target.dtype.is_float() else target
    codes = series.cast(pl.String).replace_strict(texts, list(range(len(texts))), return_dtype=pl.Int64)
    return np.asarray(codes.to_numpy(), dtype=np.int64)


def class_order(snapshot: records.Snapshot) -> list[str | bool | int | float]:
    """Labels in the order of the probabilities: binary [other, positive], else sorted."""
    return ordered(snapshot.facts)


def weights_of(frame: pl.DataFrame, snapshot: records.Snapshot) -> np.ndarray | None:
    """float64 row weights with mean 1, or None."""
    import polars as pl

    if not snapshot.facts.weight:
        return None
    weight_N = frame[snapshot.facts.weight].cast(pl.Float64).to_numpy()
    return np.asarray(weight_N / weight_N.mean())


def data_of(snapshot: records.Snapshot, refinement: records.Refinement, work: Workspace) -> Data:
    """Targets, weights and folds of the training rows."""
    files = {ref.name: ref for ref in refinement.facts.table}
    return Data(
        y_N=work.array(files["target.npy"]),
        weight_N=work.array(files["weight.npy"]) if "weight.npy" in files else None,
        fold_N=work.array(refinement.facts.folds),
        task=str(snapshot.facts.task),
        outputs=len(refinement.facts.classes) or 1,
    )


def quantile_of(metric: str) -> float | None:
    """The quantile of the target that a metric is least at; None for the mean. Errors: BadInput."""
    percent: int | None = getattr(catalog.load("metrics", metric), "percent", None)
    if percent is not None and not 0 < percent < 100:
        remedy = "Write a whole number from 1 to 99, such as pinball@90."
        raise BadInput(f"there is no {percent}th percentile", where="[plan] metric", remedy=remedy)
    return None if percent is None else percent / 100


def shape_of(snapshot: records.Snapshot, refinement: records.Refinement, quantile: float | None = None) -> Shape:
    """What a family is told: rows of one fold's training part, encoded features, outputs, what is to be predicted."""
    facts = refinement.facts
    task = snapshot.facts.task
    assert task is not None
    rows = facts.rows - facts.rows // facts.fold_count
    pictures = tuple((each.shape[0], each.shape[1], each.shape[2]) for each in facts.inputs if each.kind == "image")
    return Shape(
        *(rows, facts.features, task, len(facts.classes) or 1, facts.flags, quantile, pictures),
        words=tuple(facts.texts.values()),
        tokens=tuple(facts.tokens.values()),
        encoder=architecture_of(facts.encoder),
        embedded=facts.encoder.width * len(facts.texts) if facts.encoder and facts.encoder.embedded else 0,
        plain=facts.plain,
    )


def architecture_of(encoder: records.Encoder | None) -> Architecture | None:
    """What a pretrained encoder is made of."""
    if encoder is None:
        return None
    return Architecture(**{name: getattr(encoder, name) for name in Architecture.__struct_fields__})


def again(refinement: records.Refinement) -> int:
    """Training rows that the shipped model is asked about again: fewer where each takes long."""
    slow = refinement.facts.encoder is not None or any(each.kind == "image" for each in refinement.facts.inputs)
    return AGAIN_SLOW if slow else AGAIN


def table(refinement: records.Refinement, work: Workspace) -> Arrays:
    """The training rows as arrays, mapped from the run's files."""
    return tables.load({ref.name: work.artefacts.folder / ref.digest for ref in refinement.facts.table})


def sample(rows_N: np.ndarray, most: int = SELECTION_ROWS) -> np.ndarray:
    """An even sample of at most `most` of the rows."""
    return np.asarray(rows_N[np.linspace(0, len(rows_N) - 1, min(most, len(rows_N))).astype(int)])


def judged(members: Sequence[Member], data: Data) -> np.ndarray:
    """Rows that every member has an out-of-fold prediction of: all, unless the time ended before the last fold."""
    folds = set.intersection(*({unit.fold for unit in member.units} for member in members))
    return np.flatnonzero(np.isin(data.fold_N, sorted(folds)))


def out_of_fold(member: Member, data: Data, work: Workspace, rows_N: np.ndarray) -> np.ndarray:
    """float64 [N, K]: each of the rows predicted by the model that did not see it."""
    p_NK = np.full((len(data.y_N), data.outputs), np.nan)
    for unit in member.units:
        p_NK[data.fold_N == unit.fold] = work.array(unit.predictions)
    return np.asarray(p_NK[rows_N])


def mean(p_MNK: Sequence[np.ndarray], members: Sequence[Member]) -> np.ndarray:
    """The members' weighted mean."""
    return ensemble.mean(p_MNK, [member.weight for member in members])


def score(metric: Any, p_NK: np.ndarray, data: Data, picked: np.ndarray) -> float:
    """A metric on some of the training rows."""
    weight_N = None if data.weight_N is None else data.weight_N[picked]
    return float(metric.score(data.y_N[picked], p_NK, weight_N))


def calibrate(p_NK: np.ndarray, data: Data, rows_N: np.ndarray) -> Calibration:
    """Temperature or Platt scaling when it lowers the log loss across folds; `p_NK` are predictions of `rows_N`."""
    if data.task == "regression":
        return Calibration(method="none", why="values need no calibration")
    some = sample(np.arange(len(rows_N)))
    p_NK, rows_N = p_NK[some], rows_N[some]
    if len(np.unique(data.fold_N[rows_N])) < 2:
        return Calibration(method="none", why="the time ended before there were two folds to judge it by")
    weight_N = None if data.weight_N is None else data.weight_N[rows_N]
    scaling, before, after = ensemble.calibrate(p_NK, data.y_N[rows_N], data.fold_N[rows_N], weight_N)
    why = f"log loss across folds {before:.5f} without, {after:.5f} with"
    if scaling is None:
        return Calibration(method="none", why=why)
    method: Literal["platt", "temperature"] = "platt" if data.outputs == 2 else "temperature"
    return Calibration(method=method, slope=scaling.slope, intercept=scaling.intercept, why=why)


def scaling_of(calibration: Calibration) -> ensemble.Scaling | None:
    """The engine's form of a calibration."""
    return None if calibration.method == "none" else ensemble.Scaling(calibration.slope, calibration.intercept)


def calibrated(p_NK: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Predictions after calibration."""
    scaling = scaling_of(calibration)
    return p_NK if scaling is None else scaling.apply(p_NK)


def tensor(index: int) -> str:
    """Name of an input in the graph; column names may hold anything, tensor names may not."""
    return f"in_{index}"


def draw(members: Sequence[Member], calibration: Calibration, refinement: records.Refinement, work: Workspace) -> bytes:
    """Members as one ONNX model from raw columns to predictions."""
    facts = refinement.facts
    fragments = [
        Fragment(
            fold=unit.fold,
            weight=member.weight / len(member.shipped),
            model=work.get(unit.model),
            center=unit.center,
            scale=unit.scale,
        )
        for member in members
        for unit in member.shipped
    ]
    return assemble(
        [
            Entry(each.name, tensor(index), each.kind, tuple(each.shape) or (1,), each.name in facts.texts)
            for index, each in enumerate(facts.inputs)
        ],
        [encode.decode(work.get(ref)) for ref in facts.recipes],
        fragments,
        task="classes" if facts.classes else "regression",
        outputs=len(facts.classes) or 1,
        scaling=scaling_of(calibration),
        encoder=encoder_of(refinement, work),
    )


def encoder_of(refinement: records.Refinement, work: Workspace) -> Weights | None:
    """The pretrained encoder that a run keeps."""
    encoder = refinement.facts.encoder
    if encoder is None:
        return None
    from safetensors.numpy import load

    architecture = architecture_of(encoder)
    assert architecture is not None
    return Weights(architecture, load(work.get(encoder.weights)))


def feeds(rows: Arrays, refinement: records.Refinement) -> dict[str, np.ndarray]:
    """The rows as inputs of the graph, [N, 1] each; pictures uint8 [N, H, W, C], tokens int64 [N, T]."""
    given: dict[str, np.ndarray] = {}
    for index, each in enumerate(refinement.facts.inputs):
        if each.kind == "number":
            given[tensor(index)] = np.ascontiguousarray(rows.numbers_NA[:, [rows.numbers.index(each.name)]])
        elif each.kind == "image":
            given[tensor(index)] = rows.looked_at(each.name, np.arange(rows.rows))
        elif each.kind == "date":
            given[tensor(index)] = np.ascontiguousarray(rows.dates_ND[:, [rows.dates.index(each.name)]])
        else:
            given[tensor(index)] = rows.said(each.name, np.arange(rows.rows))
            if rows.tokens and each.name in rows.texts:
                own = rows.of_text(rows.tokens, each.name, np.arange(rows.rows)).astype(np.int64)
                given[tokens_of(tensor(index))] = own[:, : transformer.edge(int((own != 0).sum(1).max()), own.shape[1])]
    return given


def known_levels(refinement: records.Refinement, work: Workspace) -> dict[str, list[str]]:
    """Levels seen in training, by column, of columns with few enough to name; texts are nobody's to tell."""
    arrays = table(refinement, work)
    few = {name: levels for name, levels in zip(arrays.categories, arrays.levels) if len(levels) <= 1000}
    return {name: levels for name, levels in few.items() if name not in arrays.texts}


def open_session(model: bytes) -> Any:
    """An onnxruntime session with one thread, as every reader of a release opens it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def cells(frame: pl.DataFrame, files: Mapping[str, bytes] | None = None) -> dict[str, Any]:
    """A settled frame's columns as a release's reader takes them: arrays of numbers and dates, lists of texts and of
    pictures' files, which are given by name."""
    import polars as pl

    found: dict[str, Any] = {}
    for series in frame:
        if series.dtype == pl.Binary:
            found[series.name] = [(files or {}).get(name) for name in series.cast(pl.String).to_list()]
        elif series.dtype.is_numeric():
            found[series.name] = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        else:
            found[series.name] = series.to_list()
    return found


# ---------------------------------------------------------------- asking a model


@dataclass(frozen=True)
class Question:
    """A model to be asked about rows of a snapshot."""

    name: str
    model: bytes
    rows_N: np.ndarray
    """Row numbers in the snapshot."""


def ask_all(
    questions: Sequence[Question],
    signature: Ref,
    snapshot: str,
    work: Workspace,
    *,
    tokenizer: Ref | None = None,
    spare_seconds: float = 1.0,
) -> dict[str, np.ndarray]:
    """float64 [N, K] answers by name, through the reader that ships; what the clock cut off is left out.

    What was cut off goes into the work log, and a replay leaves it out, too. Every question is cut into as many
    parts as there are workers. Errors: BudgetSpent, RuntimeError.
    """
    questions = [each for each in questions if not work.decided("cut", stage="evaluate", question=each.name)]
    jobs = [job for question in questions for job in jobs_of(question, signature, tokenizer, snapshot, work)]
    parts: dict[tuple[str, int], np.ndarray] = {}
    for outcome in work.workers.run(jobs, lambda: work.clock.remaining - spare_seconds):
        if outcome.value is not None:
            parts[outcome.job.arguments["name"], outcome.job.arguments["part"]] = outcome.value
        elif outcome.lost != "time":
            outcome.answer()
    count = work.workers.count
    whole = [each.name for each in questions if all((each.name, part) in parts for part in range(count))]
    for question in questions:
        if question.name not in whole:
            work.note("cut", stage="evaluate", question=question.name)
    return {name: np.concatenate([parts[name, part] for part in range(count)]) for name in whole}


def jobs_of(question: Question, signature: Ref, tokenizer: Ref | None, snapshot: str, work: Workspace) -> list[Job]:
    """The calls that answer one question, a part of the rows each; `tokenizer` is the encoder's, where there is one."""
    shared = {
        "name": question.name,
        "files": {
            "model.onnx": str(work.artefacts.folder / work.put(question.model).digest),
            "signature.json": str(work.artefacts.folder / signature.digest),
            **({TOKENIZER: str(work.artefacts.folder / tokenizer.digest)} if tokenizer else {}),
        },
        "snapshots": str(work.snapshots),
        "snapshot": snapshot,
    }
    slices = np.array_split(question.rows_N, work.workers.count)
    return [
        Job(f"ask {question.name}", "forgeline.models:answer", {**shared, "part": part, "rows_N": rows_N})
        for part, rows_N in enumerate(slices)
    ]


def answer(
    *, name: str, part: int, files: Mapping[str, str], snapshots: str, snapshot: str, rows_N: np.ndarray
) -> np.ndarray:
    """In a worker: what a model says of some rows of a snapshot, through the release's own reader."""
    import polars as pl

    from forgeline.serving.reader import Reader

    home = Path(snapshots) / snapshot
    frame = pl.read_parquet(home / "data.parquet")[rows_N]
    names = {name for series in frame if series.dtype == pl.Binary for name in album.names_in(series)}
    shown = album.load(home / album.FILE, names)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        held = {file: Path(path).read_bytes() for file, path in files.items()}
        sums = [f"{hashlib.sha256(content).hexdigest()}  {file}\n" for file, content in held.items()]
        for file, content in [*held.items(), ("SHA256SUMS", "".join(sums).encode())]:
            (folder / file).write_bytes(content)
        answers = Reader(folder).predict(cells(frame, shown))
    if answers.probabilities is not None:
        return np.asarray(answers.probabilities, dtype=np.float64)
    return np.asarray(answers.values, dtype=np.float64).reshape(-1, 1)
