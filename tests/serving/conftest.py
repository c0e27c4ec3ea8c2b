"""Small releases, made by hand."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from forgeline.engine.graph import Graph
from forgeline.serving import reader

MISSING_DATE = -(2**63)
THRESHOLD = 0.51
CITIES = ["Bergen", "Oslo", "true", "7"]
INPUTS = [
    {"name": "age", "tensor": "in_0", "kind": "number", "dtype": "int64", "missing": ["unknown"]},
    {"name": "city", "tensor": "in_1", "kind": "category", "dtype": "text", "missing": [], "levels": CITIES},
    {"name": "when", "tensor": "in_2", "kind": "date", "dtype": "microseconds", "missing": []},
]
SIGNATURE = {
    "schema": "forgeline/signature@1",
    "target": "visits",
    "inputs": INPUTS,
    "missing": ["", "?", "NA"],
    "missing_category": "\0",
    "missing_date": MISSING_DATE,
}
TASKS = {
    "binary": {
        "classes": ["<=50K", ">50K"],
        "positive": ">50K",
        "threshold": THRESHOLD,
        "output": "probabilities",
    },
    "multiclass": {"classes": [1, 2, 3], "positive": None, "threshold": None, "output": "probabilities"},
    "regression": {"classes": [], "positive": None, "threshold": None, "output": "prediction"},
}


def network(outputs: int) -> bytes:
    """age, city and when through a hidden layer wide enough that the order of sums shows in the bits."""
    draw = np.random.default_rng(5)
    graph = Graph()
    age, city, when = (graph.input(f"in_{i}", kind, 1) for i, kind in enumerate(("float", "string", "int64")))
    lost = graph.constant([[MISSING_DATE]], np.int64)
    days = graph.add("Div", graph.cast(when, "float"), graph.constant([[1e15]]))
    code = graph.add(
        "LabelEncoder",
        *[city],
        domain="ai.onnx.ml",
        keys_strings=[*CITIES, "\0"],
        values_int64s=range(len(CITIES) + 1),
        default_int64=len(CITIES) + 1,
    )
    table = graph.constant(draw.normal(size=(len(CITIES) + 2, 30)))
    parts = [
        graph.add("Where", graph.add("IsNaN", age), graph.constant([[-1.0]]), age),
        graph.add("Where", graph.add("Equal", when, lost), graph.constant([[-1.0]]), days),
        graph.add("Gather", table, graph.add("Squeeze", code, graph.constant([1], np.int64))),
    ]
    x = graph.add("Concat", *parts, axis=1)
    for width, size in ((32, 300), (300, outputs)):
        x = graph.add("Gemm", x, graph.constant(draw.normal(size=(width, size)) / 30), graph.constant(np.zeros(size)))
        x = graph.add("Tanh", x) if width == 32 else x
    if outputs == 1:
        graph.output(graph.cast(x, "double"), "prediction", "double", 1)
    else:
        graph.output(graph.add("Softmax", x, axis=1), "probabilities", "float", outputs)
    return graph.model()


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS over what is there."""
    sums = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
        if file.name != "SHA256SUMS"
    }
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))


@pytest.fixture(scope="session")
def releases(tmp_path_factory):
    """Task → release folder."""
    folders = {}
    for task, facts in TASKS.items():
        folder = folders[task] = tmp_path_factory.mktemp(task)
        (folder / "model.onnx").write_bytes(network(len(facts["classes"]) or 1))
        (folder / "signature.json").write_text(json.dumps(SIGNATURE | {"task": task} | facts))
        (folder / "forgeline.json").write_text('{"name": "visits", "digest": "abc"}')
        shutil.copy(reader.__file__, folder / "predict.py")
        write_sums(folder)
    return folders


@pytest.fixture
def release(releases, tmp_path):
    """A copy of the binary release that a test may spoil."""
    return Path(shutil.copytree(releases["binary"], tmp_path / "release"))


@pytest.fixture(scope="session")
def rows():
    """1000 rows of cells as they come in CSV, many of them odd."""
    draw = np.random.default_rng(3)
    ages = ["33", " 41.5", "?", "unknown", "1e3", "abc", "-7", "0.1", "1_000", "inf"]
    cities = ["Oslo", "Bergen ", "", "Atlantis", "true", "7", "NA", 'Ålesund, "x"']
    dates = ["2024-05-17", "2024-05-17T08:30:00.25+02:00", "", "yesterday", "1969-12-31 23:59", "20240517"]
    pick = [[str(cell) for cell in draw.choice(cells, 1000)] for cells in (ages, cities, dates)]
    odd = [f"{value:.17g}" for value in draw.normal(40, 9, 1000)]
    ages = [odd[i] if i % 2 else age for i, age in enumerate(pick[0])]
    return [
        {"id": f"r{i}", "age": age, "city": city, "when": when}
        for i, (age, city, when) in enumerate(zip(ages, *pick[1:]))
    ]


@pytest.fixture
def write_rows():
    """Writes rows as CSV."""

    def write(path: Path, rows: list[dict[str, str]]) -> Path:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture
def seal():
    """Writes SHA256SUMS over what is in a folder."""
    return write_sums
