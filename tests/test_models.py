from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from forgeline import models
from forgeline.models import Data
from forgeline.records import Calibration


def snapshot(task, classes=(), positive=None, weight=""):
    facts = {"task": task, "classes": list(classes), "positive": positive, "target": "y", "weight": weight}
    return SimpleNamespace(facts=SimpleNamespace(**facts))


@pytest.mark.parametrize(
    ("labels", "classes", "positive", "expected"),
    [
        (["no", "yes", "no"], ["no", "yes"], "yes", [0, 1, 0]),
        (["no", "yes", "no"], ["no", "yes"], "no", [1, 0, 1]),
        ([True, False, True], [False, True], True, [1, 0, 1]),
        ([0, 1, 1], [0, 1], 0, [1, 0, 0]),
        ([1.0, 3.0, 2.0], [1, 2, 3], None, [0, 2, 1]),
        (["b", "c", "a"], ["a", "b", "c"], None, [1, 2, 0]),
    ],
)
def test_labels_become_indices_with_the_positive_class_last(labels, classes, positive, expected):
    task = "binary" if len(classes) == 2 else "multiclass"
    found = models.target_of(pl.DataFrame({"y": labels}), snapshot(task, classes, positive))
    assert found.tolist() == expected
    assert found.dtype == np.int64


def test_values_are_float64():
    found = models.target_of(pl.DataFrame({"y": [1, 2]}), snapshot("regression"))
    assert (found.tolist(), found.dtype) == ([1.0, 2.0], np.float64)


def test_weights_have_mean_1():
    frame = pl.DataFrame({"y": [1, 2], "w": [1, 3]})
    assert models.weights_of(frame, snapshot("regression", weight="w")).tolist() == [0.5, 1.5]
    assert models.weights_of(frame, snapshot("regression")) is None


def test_a_sample_is_even_and_holds_both_ends():
    assert models.sample(np.arange(3)).tolist() == [0, 1, 2]
    assert models.sample(np.arange(9), 5).tolist() == [0, 2, 4, 6, 8]
    assert len(np.unique(models.sample(np.arange(200_000)))) == models.SELECTION_ROWS


def test_values_are_never_calibrated():
    data = Data(np.array([1.0, 2.0]), None, np.array([0, 1]), "regression", 1)
    found = models.calibrate(np.array([[1.0], [2.0]]), data, np.arange(2))
    assert (found.method, models.scaling_of(found)) == ("none", None)
    p_NK = np.array([[0.2, 0.8]])
    assert models.calibrated(p_NK, found) is p_NK


def test_the_method_is_named_by_the_number_of_classes():
    draw = np.random.default_rng(0)
    for outputs, method in ((2, "platt"), (3, "temperature")):
        score_NK = draw.normal(size=(3000, outputs))
        p_NK = np.exp(score_NK) / np.exp(score_NK).sum(axis=1, keepdims=True)
        y_N = np.array([draw.choice(outputs, p=p_K) for p_K in p_NK])
        sure_NK = p_NK**3 / (p_NK**3).sum(axis=1, keepdims=True)
        data = Data(y_N, None, np.arange(3000) % 3, "classes", outputs)
        found = models.calibrate(sure_NK, data, np.arange(3000))
        assert found.method == method
        assert found.slope == pytest.approx(1 / 3, abs=0.05)
        assert models.calibrated(sure_NK, found) == pytest.approx(p_NK, abs=0.05)


def test_a_calibration_is_the_scaling_that_the_engine_applies():
    scaling = models.scaling_of(Calibration(method="platt", slope=2.0, intercept=-1.0))
    assert (scaling.slope, scaling.intercept) == (2.0, -1.0)


def test_frames_become_cells_of_the_reader():
    frame = pl.DataFrame({"a": [1, None], "b": ["x", None]})
    found = models.cells(frame)
    assert np.array_equal(found["a"], [1.0, np.nan], equal_nan=True)
    assert found["b"] == ["x", None]
