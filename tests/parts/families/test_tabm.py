from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest

from forgeline import deep, testing
from forgeline.engine.seeds import Seed
from forgeline.kinds import Shape
from forgeline.parts.families import linear, tabm


def fitted(rows, tmp_path, **changes):
    setting = tabm.space(rows.shape).points[0] | {"width": 32, "batch": 64} | changes
    return deep.fitted(tabm.build(rows.shape, setting, Seed(0)), rows, Seed(0), Path(mkdtemp(dir=tmp_path)))


def test_learns_what_a_line_cannot(tmp_path):
    rows = testing.family_rows("regression", 1, count=1500)
    fresh = replace(testing.family_rows("regression", 1, count=700))

    def error(model):
        return float(np.mean((model.predict(fresh.x_NF)[:, 0] - fresh.y_N) ** 2))

    line = linear.build(rows.shape, linear.space(rows.shape).points[0], Seed(0)).fit(rows)
    assert error(fitted(rows, tmp_path)) < 0.8 * error(line)


def test_members_differ_and_their_mean_answers(tmp_path):
    import torch

    rows = testing.family_rows("binary", 2)
    model = fitted(rows, tmp_path, members=5, epochs=3)
    with torch.no_grad():
        score_NMS = model.module(torch.from_numpy(model.inputs.encode(rows.x_NF))).double()
    assert score_NMS.shape == (400, 5, 1)
    assert score_NMS.std(1).mean() > 1e-3
    assert np.allclose(model.predict(rows.x_NF)[:, 1], score_NMS.sigmoid().mean(1)[:, 0])


def test_shares_of_classes_are_labels_too(tmp_path):
    import torch

    for task, outputs in (("binary", 2), ("multiclass", 4)):
        rows = testing.family_rows(task, outputs)
        model = tabm.build(rows.shape, tabm.space(rows.shape).points[0], Seed(0))
        batch = model.begin(rows)
        model.module.eval().requires_grad_(False)
        shares = torch.nn.functional.one_hot(batch["y"], outputs).float()
        assert model.loss(model.module, batch).item() == pytest.approx(
            model.loss(model.module, batch | {"y": shares}).item(), rel=1e-5
        )


def test_costs_what_it_says_within_a_factor():
    small = Shape(rows=1000, features=10, task="binary", outputs=2)
    setting = tabm.space(small).points[0]
    assert tabm.cost(small, setting | {"members": 16}).work > 1.5 * tabm.cost(small, setting).work
