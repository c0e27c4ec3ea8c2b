"""A part that another installed distribution brings runs in the line like our own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

CHECK = '''"""Columns that look like e-mail addresses."""

import polars as pl

from forgeline.records import Finding


def check(table, target, *, sign: str = "@"):
    for series in table.train:
        if series.dtype == pl.String and series.str.contains(sign, literal=True).any():
            says = f"{series.name} holds {sign}"
            yield Finding(code="privacy.email", severity="warn", says=says, columns=[series.name])
'''
METRIC = '''"""Share of positives among the tenth of rows with the highest probability."""

import numpy as np

tasks = ("binary",)
higher_is_better = True


def score(y_N, p_NK, weight_N=None):
    top = np.argsort(-p_NK[:, 1], kind="stable")[: max(1, len(y_N) // 10)]
    return float(y_N[top].mean())
'''
FAMILY = '''"""The same probabilities for every row: the class shares."""

import numpy as np

from forgeline.kinds import Space
from forgeline.records import Cost


def space(shape):
    return Space(({"prior": 1.0},) if shape.task != "regression" else ())


def cost(shape, setting):
    return Cost(work=1e-6 * shape.rows, seconds=1e-6, memory_bytes=2**20, size_bytes=500, flops_per_row=1.0)


def build(shape, setting, seed):
    return Shares(shape, setting["prior"])


class Shares:
    def __init__(self, shape, prior):
        self.shape, self.prior = shape, prior

    def fit(self, rows):
        counts = np.bincount(rows.y_N, weights=rows.weight_N, minlength=self.shape.outputs) + self.prior
        self.shares = counts / counts.sum()
        return self

    def predict(self, x_NF):
        return np.tile(self.shares, (len(x_NF), 1))

    def graph(self, graph, x):
        nothing = graph.constant(np.zeros((self.shape.features, self.shape.outputs)))
        return graph.add("Add", graph.add("MatMul", x, nothing), graph.constant(self.shares[None]))
'''


@pytest.fixture
def outside(tmp_path) -> Path:
    """A second distribution on the path: a package with three parts, and its metadata."""
    place = tmp_path / "site"
    package, info = place / "acme_parts", place / "acme_parts-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    for name, text in (("__init__", ""), ("emails", CHECK), ("top_tenth", METRIC), ("shares", FAMILY)):
        (package / f"{name}.py").write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-parts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[forgeline.checks]\nemails = acme_parts.emails\n"
        "[forgeline.metrics]\ntop_tenth = acme_parts.top_tenth\n"
        "[forgeline.families]\nshares = acme_parts.shares\n"
    )
    return place


def forgeline(folder: Path, site: Path, *arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "forgeline", *arguments, "--json"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_check_a_family_and_a_metric_of_another_distribution(outside, tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=200)
    frame = pl.DataFrame(
        {
            "x": x,
            "contact": [f"{name}@example.org" for name in generator.choice(["ann", "bob"], 200)],
            "y": np.where(x + generator.normal(size=200) > 0, "yes", "no"),
        }
    )
    frame.write_csv(tmp_path / "data.csv")
    listed = forgeline(tmp_path, outside, "parts")["parts"]
    assert {(p["kind"], p["name"]) for p in listed if p["origin"] == "acme-parts"} == {
        ("checks", "emails"),
        ("metrics", "top_tenth"),
        ("families", "shares"),
    }
    run = forgeline(tmp_path, outside, "run", "data.csv", "--target", "y", "--work", "2")
    assert run["numbers"]["test.top_tenth"]["value"] > 0.5
    assessment = forgeline(tmp_path, outside, "show", run["run"], "assess")
    assert ("privacy.email", ["contact"]) in [(f["code"], f["columns"]) for f in assessment["findings"]]
    plan = forgeline(tmp_path, outside, "show", run["run"], "plan")
    assert "shares-1" in [each["name"] for each in plan["facts"]["candidates"]]
    training = forgeline(tmp_path, outside, "show", run["run"], "train")
    assert "shares-1" in [each["candidate"] for each in training["facts"]["tried"]]
