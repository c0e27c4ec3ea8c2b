"""One model, four ways to ask it, any batch: the same bits; and the graph equals the models it was drawn from."""

import csv
import http.client
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forgeline import catalog, deep, kinds, session, spec
from forgeline.engine import arrays as tables
from forgeline.engine import encode, ensemble
from forgeline.engine.assemble import Entry, Fragment, assemble
from forgeline.engine.graph import Graph
from forgeline.engine.seeds import Seed
from forgeline.engine.store import Store
from forgeline.models import open_session, tensor
from forgeline.serving.reader import Reader

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
BATCHES = (1, 2, 3, 31, 64, 1000)
PINS = Path(__file__).parent.parent.parent / "constraints.txt"


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    """A release of the income example, of every family."""
    folder = tmp_path_factory.mktemp("answers")
    ask = spec.read(EXAMPLES / "income")
    plain = spec.check({"snapshot": {"source": ask.snapshot.source, "target": "income"}, "budget": {"work": 12}})
    run = session.start(
        plain, base=EXAMPLES / "income", store=Store(folder / ".forgeline"), started=session.now(), quiet=True
    )
    return run.release.folder


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pl.read_csv(EXAMPLES / "income" / "adult.test.csv.gz", infer_schema=False).drop("income").head(1000)


@pytest.fixture(scope="module")
def expected(release, rows) -> np.ndarray:
    return Reader(release).predict({name: rows[name].to_list() for name in rows.columns}).probabilities


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory) -> Path:
    """An environment with numpy and onnxruntime, and nothing of ours."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "-c", PINS, "numpy", "onnxruntime"], check=True)
    return python


def probabilities(path: Path) -> np.ndarray:
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    return np.array([[float(line[f"probability_{name}"]) for name in ("<=50K", ">50K")] for line in lines])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_predict_py_in_a_bare_environment_gives_the_same_bits(release, rows, expected, bare_python, tmp_path):
    for batch in BATCHES:
        rows.head(batch).write_csv(tmp_path / "in.csv")
        command = [bare_python, release / "predict.py", tmp_path / "in.csv", "-o", tmp_path / "out.csv"]
        subprocess.run(command, check=True, env={"PATH": os.environ["PATH"]}, cwd=tmp_path)
        assert np.array_equal(probabilities(tmp_path / "out.csv").astype(np.float32), expected[:batch])


@pytest.mark.slow
def test_forgeline_predict_gives_the_same_bits(release, rows, expected, tmp_path):
    for batch in BATCHES:
        rows.head(batch).write_csv(tmp_path / "in.csv")
        command = [sys.executable, "-m", "forgeline", "predict", release, "in.csv", "-o", "out.csv"]
        subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
        assert np.array_equal(probabilities(tmp_path / "out.csv").astype(np.float32), expected[:batch])


@pytest.mark.slow
def test_the_server_gives_the_same_bits(release, rows, expected):
    command = [sys.executable, "-m", "forgeline", "serve", str(release), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            url = json.loads(server.stdout.readline())["url"]
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
            for batch in BATCHES:
                connection.request("POST", "/predict", json.dumps({"rows": rows.head(batch).to_dicts()}))
                answer = json.loads(connection.getresponse().read())
                given = np.array([[p["<=50K"], p[">50K"]] for p in answer["probabilities"]], dtype=np.float32)
                assert np.array_equal(given, expected[:batch])
            connection.close()
        finally:
            server.terminate()
            assert server.wait(20) == 0


TABULAR = [name for name in catalog.names("families") if not hasattr(catalog.load("families", name), "SEES")]


@pytest.mark.slow
@pytest.mark.parametrize("family", TABULAR)
@pytest.mark.parametrize(("example", "target"), [("income", "income"), ("bikes", "cnt")])
def test_the_graph_equals_the_model_on_the_whole_test_set(family, example, target, tmp_path):
    """Raw columns to predictions, every row: |Δp| ≤ 1e-5, or 1e-5 of the target's standard deviation."""
    train, test = example_rows(example)
    train = train.gather_every(5)  # what is compared is every row of the test set, whatever was learned
    inputs = [
        (name, "category" if train[name].dtype == pl.String else "number")
        for name in train.columns
        if name not in (target, "casual", "registered", "dteday")
    ]
    both = tables.from_frame(pl.concat([train, test]).drop(target), inputs)
    train_N, test_N = np.arange(train.height), np.arange(train.height, train.height + test.height)
    y_N, task, center, scale = truth(train[target])
    recipe = encode.fit(both, train_N)
    x_NF = encode.transform(recipe, both, train_N)
    outputs = 1 if task == "regression" else 2
    shape = kinds.Shape(len(train_N), x_NF.shape[1], task, outputs, recipe.flags)
    module = catalog.load("families", family)
    built = module.build(shape, module.space(shape).points[0], Seed(1))
    given = kinds.TrainRows(x_NF, y_N, None, shape, steps=None if hasattr(built, "fit") else 50)
    fitted = deep.fitted(built, given, Seed(1), tmp_path)
    graph = Graph()
    scores = fitted.graph(graph, graph.input("x", "float", x_NF.shape[1]))
    graph.output(scores, "scores", "float", outputs)
    scaling = ensemble.Scaling(1.1, -0.05) if task == "binary" else None
    model = assemble(
        [Entry(name, tensor(place), kind) for place, (name, kind) in enumerate(inputs)],
        [recipe],
        [Fragment(0, 1.0, graph.model(), center, scale)],
        task=task,
        outputs=outputs,
        scaling=scaling,
    )
    native = fitted.predict(encode.transform(recipe, both, test_N)) * scale + center
    native = scaling.apply(native) if scaling else native
    answers = open_session(model).run(None, feeds(both.take(test_N), inputs))[0]
    assert np.abs(answers - native).max() <= 1e-5 * scale


def example_rows(example: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    folder = EXAMPLES / example
    if example == "income":
        return pl.read_csv(folder / "adult.csv.gz"), pl.read_csv(folder / "adult.test.csv.gz")
    whole = pl.read_csv(folder / "bikes.csv.gz")
    return whole.head(14_000), whole.tail(whole.height - 14_000)


def truth(target: pl.Series) -> tuple[np.ndarray, str, float, float]:
    if target.dtype == pl.String:
        return (target == ">50K").cast(pl.Int64).to_numpy(), "binary", 0.0, 1.0
    y_N = target.cast(pl.Float64).to_numpy()
    return (y_N - y_N.mean()) / y_N.std(), "regression", float(y_N.mean()), float(y_N.std())


def feeds(rows: tables.Arrays, inputs: list[tuple[str, str]]) -> dict[str, np.ndarray]:
    given = {}
    for place, (name, kind) in enumerate(inputs):
        if kind == "number":
            given[tensor(place)] = rows.numbers_NA[:, [rows.numbers.index(name)]]
        else:
            column = rows.categories.index(name)
            texts = np.array([*rows.levels[column], tables.MISSING], dtype=object)
            given[tensor(place)] = texts[rows.codes_NC[:, [column]]]
    return given
