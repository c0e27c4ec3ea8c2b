import numpy as np

from forgeline.engine.seeds import Seed
from forgeline.kinds import Shape, TrainRows
from forgeline.parts.families import network

DRAW = np.random.default_rng(8)


def fit(x_NF, y_N, task, outputs, held=None, steps=None, **changes):
    shape = Shape(len(x_NF), x_NF.shape[1], task, outputs, 0)
    setting = network.space(shape).points[0] | changes
    return network.build(shape, setting, Seed(0)).fit(TrainRows(x_NF, y_N, None, shape, held, steps))


def test_two_classes_in_a_circle():
    x_NF = DRAW.normal(size=(900, 2)).astype(np.float32)
    y_N = (np.hypot(*x_NF.T) > 1.1).astype(np.int64)
    p_NK = fit(x_NF[:600], y_N[:600], "binary", 2).predict(x_NF[600:])
    assert np.mean(p_NK.argmax(axis=1) == y_N[600:]) > 0.93


def test_values_stay_within_those_of_the_training_rows():
    x_NF = DRAW.normal(size=(300, 1)).astype(np.float32)
    fitted = fit(x_NF, 3.0 * x_NF[:, 0].astype(np.float64), "regression", 1)
    far = fitted.predict(np.array([[1e6], [-1e6]], np.float32))
    assert far.max() <= 3 * x_NF.max() + 1e-6
    assert far.min() >= 3 * x_NF.min() - 1e-6


def test_a_network_that_was_not_trained_says_the_shares_of_the_classes():
    x_NF = DRAW.normal(size=(200, 3)).astype(np.float32)
    y_N = np.repeat([0, 1, 2], [150, 40, 10])
    fitted = fit(x_NF, y_N, "multiclass", 3, rate=1e-9)
    np.testing.assert_allclose(fitted.predict(x_NF[:5]), [[0.75, 0.2, 0.05]] * 5, atol=1e-3)


def test_what_it_did_is_told():
    x_NF = DRAW.normal(size=(200, 3)).astype(np.float32)
    y_N = DRAW.integers(0, 2, 200)
    assert fit(x_NF, y_N, "binary", 2).done == 1.0
    assert fit(x_NF, y_N, "binary", 2, steps=12).steps == 12
    assert 0 < fit(x_NF, y_N, "binary", 2, steps=12).done < 0.5
