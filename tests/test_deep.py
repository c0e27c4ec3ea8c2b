import json
from dataclasses import replace

import numpy as np
import pytest

from forgeline import deep, history, testing
from forgeline.engine.recipe import StepFailed
from forgeline.engine.seeds import Seed
from forgeline.parts.families import tabm

SETTING = {
    "members": 4,
    "width": 32,
    "layers": 2,
    "epochs": 12,
    "batch": 64,
    "rate": 0.004,
    "decay": 0.003,
    "dropout": 0.1,
    "bins": 8,
}


def built(rows, seed=0):
    return tabm.build(rows.shape, SETTING, Seed(seed))


@pytest.fixture
def rows():
    return testing.family_rows("binary", 2)


def test_held_rows_choose_the_last_step(rows, tmp_path):
    held = replace(testing.family_rows("binary", 2, count=500), held=None)
    fitted = deep.fitted(built(rows), replace(rows, held=held), Seed(0), tmp_path / "unit")
    steps = built(rows).recipe.steps
    assert 0 < fitted.steps <= steps
    assert fitted.done <= 1
    history_of = history.lines((tmp_path / "unit" / history.METRICS).read_bytes())
    best = min((line for line in history_of if line.held_loss is not None), key=lambda line: line.held_loss)
    assert best.step == fitted.steps


def test_whoever_looks_on_finds_where_it_is(rows, tmp_path):
    deep.fitted(built(rows), replace(rows, steps=17), Seed(0), tmp_path / "unit")
    told = json.loads((tmp_path / "unit" / history.PROGRESS).read_bytes())
    assert told["step"] == 17
    assert told["held_loss"] is None


def test_steps_that_are_given_are_made(rows, tmp_path):
    fitted = deep.fitted(built(rows), replace(rows, steps=17), Seed(0), tmp_path / "unit")
    assert fitted.steps == 17
    assert fitted.done == pytest.approx(17 / built(rows).recipe.steps)


def test_goes_on_from_checkpoints_to_the_same_model(rows, tmp_path):
    whole = deep.fitted(built(rows), rows, Seed(0), tmp_path / "whole")
    model, calls = built(rows), []
    loss = model.loss

    def fails(module, batch):
        calls.append(1)
        if len(calls) == 40:
            raise OSError("the machine is gone")
        return loss(module, batch)

    model.loss = fails
    with pytest.raises(StepFailed, match="the machine is gone"):
        deep.fitted(model, rows, Seed(0), tmp_path / "unit")
    assert (tmp_path / "unit").exists()
    again = deep.fitted(built(rows), rows, Seed(0), tmp_path / "unit")
    assert np.array_equal(again.predict(rows.x_NF), whole.predict(rows.x_NF))


def test_held_rows_are_judged_in_parts(rows, tmp_path, monkeypatch):
    model = built(rows)
    model.begin(rows)
    weighted = replace(rows, weight_N=np.random.default_rng(1).uniform(0.1, 3, len(rows.x_NF)))
    model.module.eval().requires_grad_(False)
    for given in (rows, weighted):
        held = model.tensors(given)
        whole = float(model.loss(model.module, held))
        monkeypatch.setattr(deep, "JUDGED_ROWS", 64)
        assert deep.loss_of(model, model.module, held) == pytest.approx(whole, rel=1e-5)
