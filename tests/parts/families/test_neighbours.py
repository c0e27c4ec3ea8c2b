import numpy as np

from forgeline.engine.seeds import Seed
from forgeline.kinds import Shape, TrainRows
from forgeline.parts.families import neighbours


def fit(x_NF, y_N, task, outputs, count, weight_N=None):
    shape = Shape(len(x_NF), x_NF.shape[1], task, outputs, 0)
    rows = TrainRows(x_NF.astype(np.float32), y_N, weight_N, shape)
    return neighbours.build(shape, {"neighbours": count}, Seed(0)).fit(rows)


def test_the_nearest_row_counts_most_and_weights_count():
    x_NF, y_N = np.array([[0.0], [1.0], [2.0], [9.0]]), np.array([1.0, 2.0, 3.0, 50.0])
    spread = x_NF.std()
    fitted = fit(x_NF, y_N, "regression", 1, 2)
    near, far = 1 / (0.01 + (0.2 / spread) ** 2), 1 / (0.01 + (0.8 / spread) ** 2)
    told = fitted.predict(np.array([[0.2]], np.float32))[0, 0]
    assert np.isclose(told, (near * 1 + far * 2) / (near + far), atol=1e-6)
    heavy = fit(x_NF, y_N, "regression", 1, 2, np.array([1.0, 100.0, 1.0, 1.0]))
    assert heavy.predict(np.array([[0.2]], np.float32))[0, 0] > told


def test_classes_are_shares():
    x_NF = np.array([[0.0], [0.1], [5.0], [5.1]])
    p_NK = fit(x_NF, np.array([0, 0, 2, 2]), "multiclass", 3, 2).predict(np.array([[0.0], [5.0]], np.float32))
    np.testing.assert_allclose(p_NK, [[1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_of_many_rows_some_are_kept():
    x_NF = np.random.default_rng(0).normal(size=(12_000, 2))
    fitted = fit(x_NF, np.zeros(12_000), "regression", 1, 5)
    assert len(fitted.kept_MF) == neighbours.MOST_ROWS


def test_it_keeps_rows_and_says_so():
    assert neighbours.KEEPS_ROWS
