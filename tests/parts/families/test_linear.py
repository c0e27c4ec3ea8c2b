import numpy as np
import pytest

from forgeline.engine.seeds import Seed
from forgeline.kinds import Shape, TrainRows
from forgeline.parts.families import linear


def rows(x_NF, y_N, task, outputs, weight_N=None):
    shape = Shape(rows=len(x_NF), features=x_NF.shape[1], task=task, outputs=outputs)
    return TrainRows(x_NF.astype(np.float32), y_N, weight_N, shape)


def fit(given, penalty=1e-6):
    return linear.build(given.shape, {"penalty": penalty}, Seed(0)).fit(given)


def test_a_line_is_found_whatever_its_units():
    x = np.column_stack([np.arange(50) * 1e6, np.arange(50) % 7 + 1e4, np.full(50, 3.0)])
    y = 2e-6 * x[:, 0] - 3 * x[:, 1] + 5
    fitted = fit(rows(x, y, "regression", 1))
    np.testing.assert_allclose(fitted.predict(x)[:, 0], y, rtol=1e-5)


def test_log_odds_of_a_flag_are_the_samples():
    x, y = np.repeat([[0.0], [1.0]], 100, axis=0), np.r_[np.ones(20), np.zeros(80), np.ones(70), np.zeros(30)]
    p = fit(rows(x, y.astype(np.int64), "binary", 2)).predict(np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(p, [[0.8, 0.2], [0.3, 0.7]], atol=1e-4)


def test_a_weight_of_two_is_a_row_twice():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(60, 2)), draw.integers(0, 3, 60)
    weighted = fit(rows(x, y, "multiclass", 3, np.r_[np.full(30, 2.0), np.ones(30)]))
    doubled = fit(rows(np.vstack([x, x[:30]]), np.r_[y, y[:30]], "multiclass", 3))
    np.testing.assert_allclose(weighted.predict(x), doubled.predict(x), atol=2e-4)


@pytest.mark.parametrize(("seen", "outputs"), [([1], 2), ([0], 2), ([0, 2], 4), ([1, 2, 3], 5)])
def test_a_class_without_rows_is_rare_but_possible(seen, outputs):
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(40, 2)), np.resize(seen, 40).astype(np.int64)
    p = fit(rows(x, y, "binary" if outputs == 2 else "multiclass", outputs), penalty=1.0).predict(x)
    absent = np.setdiff1d(np.arange(outputs), seen)
    assert p.shape == (40, outputs)
    assert (p[:, absent] > 0).all()
    assert (p[:, absent] < 0.05).all()


def test_many_rows_are_thinned_evenly():
    chosen = linear.thinned(1_000_000, linear.MOST_ROWS)
    assert len(chosen) == linear.MOST_ROWS
    assert set(np.diff(chosen)) == {5}
    assert linear.thinned(7, linear.MOST_ROWS).tolist() == [0, 1, 2, 3, 4, 5, 6]
