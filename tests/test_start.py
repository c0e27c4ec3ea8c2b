"""The command starts light: heavy libraries are imported by name only when something needs them."""

import subprocess
import sys

import pytest

HEAVY = {
    "jinja2",
    "lightgbm",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "polars",
    "pyarrow",
    "ray",
    "scipy",
    "sklearn",
    "torch",
    "uvicorn",
}


@pytest.mark.parametrize("verb", ["--help", "--version", "parts"])
def test_starts_without_heavy_imports(verb):
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "forgeline", verb],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in run.stderr.splitlines()}
    assert "forgeline" in imported
    assert imported & HEAVY == set()
