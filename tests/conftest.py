"""One small table, and one finished run over it, which several modules look at but never change."""

import random
from pathlib import Path

import pytest

from forgeline import cli
from forgeline.engine.workers import Workers
from forgeline.workspace import PRELOAD

RUN = ["run", "rows.csv", "--target", "label", "--work", "3", "--set", 'train.families=["linear"]']


@pytest.fixture(scope="session", autouse=True)
def _forkserver():
    """The one forkserver of this process, with what a run preloads: who starts it first decides for all."""
    Workers(1, 2**30, PRELOAD).start()


@pytest.fixture(scope="session")
def rows() -> str:
    """300 rows as CSV: numbers, a category, and a label that they decide but for noise."""
    draw = random.Random(7)
    lines = ["age,city,income,member,label"]
    for _ in range(300):
        age, city, income = draw.randint(18, 80), draw.choice(["Lima", "Oslo", "Rome"]), draw.gauss(30, 8)
        score = age + 10 * (city == "Oslo") + income / 2 + draw.gauss(0, 12)
        label = "good" if score > 68 else "bad"
        lines.append(f"{age},{city},{income:.2f},{draw.choice(['yes', 'no'])},{label}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def finished(rows, tmp_path_factory) -> Path:
    """A folder with rows.csv and a store that holds one finished run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "rows.csv").write_text(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(RUN) == 0
    return folder
