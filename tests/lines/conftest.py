"""Small tables, and whole lines over them that tests share."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

import forgeline as fl

SMALL = [
    {"use": "linear", "penalty": 3.0},
    {"use": "extra_trees", "trees": 15},
    {"use": "lightgbm", "trees": 20},
]
"""One small setting of every family, so that a line takes a second or two."""


def people(rows=300, seed=0):
    """Numbers with gaps, categories, dates, a weight, groups, and targets of each task."""
    draw = np.random.default_rng(seed)
    age, income = draw.normal(45, 12, rows).round(1), draw.lognormal(3, 0.5, rows)
    city = draw.choice(["Oslo", "Rome", "Lima", "São Paulo"], rows, p=[0.4, 0.3, 0.2, 0.1])
    score = (age - 45) / 12 + (city == "Oslo") - np.log(income) + 3 + draw.normal(0, 0.5, rows)
    since = [datetime(2020, 1, 1) + timedelta(hours=int(hours)) for hours in draw.integers(0, 20_000, rows)]
    return pl.DataFrame(
        {
            "age": pl.Series(age).set(pl.Series(draw.random(rows) < 0.15), None),
            "income": income,
            "city": pl.Series(city).set(pl.Series(draw.random(rows) < 0.1), None),
            "sex": draw.choice(["f", "m"], rows),
            "since": pl.Series(since),
            "household": draw.integers(0, rows // 3, rows),
            "weight": draw.integers(1, 4, rows).astype(float),
            "hired": np.where(score > 0.5, "yes", "no"),
            "grade": np.digitize(score, [-0.5, 0.8]),
            "pay": 1e5 + 2e4 * score,
        }
    )


@pytest.fixture(scope="session")
def table():
    """Makes a table with one of the three targets."""

    def table(target, rows=300):
        return people(rows).drop({"hired", "grade", "pay"} - {target})

    return table


@pytest.fixture(scope="session")
def line(tmp_path_factory):
    """Runs the line over a frame with so many small families, in a store of its own unless one is named."""

    def line(frame, target, *, families=3, work=1, store=None, **sections):
        sections = {"train": {"families": SMALL[:families]}, **sections}
        return fl.run(frame, target=target, work=work, store=store or tmp_path_factory.mktemp("store"), **sections)

    return line


@pytest.fixture(scope="session")
def runs(line, table):
    """Target → a finished run: two classes, three classes and a value."""
    return {
        "hired": line(table("hired"), "hired", assess={"protected": ["sex"]}),
        "grade": line(table("grade"), "grade", snapshot={"weight": "weight"}),
        "pay": line(table("pay"), "pay"),
    }
