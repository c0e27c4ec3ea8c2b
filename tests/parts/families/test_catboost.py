import numpy as np
import pytest

from forgeline.engine.seeds import Seed
from forgeline.kinds import Shape, TrainRows
from forgeline.parts.families import catboost

DRAW = np.random.default_rng(6)
X_NF = DRAW.normal(size=(400, 4)).astype(np.float32)
X_NF[:, 1] = 3  # a constant: CatBoost numbers the features that vary, we all


def rows(task, outputs, held=False, steps=None):
    score_N = X_NF[:, 0] + X_NF[:, 2] * X_NF[:, 3]
    y_N = (
        score_N if task == "regression" else np.digitize(score_N, np.quantile(score_N, np.arange(1, outputs) / outputs))
    )
    shape = Shape(300, 4, task, outputs, 0)
    later = TrainRows(X_NF[300:], y_N[300:], None, shape) if held else None
    return TrainRows(X_NF[:300], y_N[:300], None, shape, later, steps)


def fit(given, **changes):
    setting = catboost.space(given.shape).points[0] | {"trees": 200} | changes
    return catboost.build(given.shape, setting, Seed(0)).fit(given)


@pytest.mark.parametrize(("task", "outputs"), [("binary", 2), ("multiclass", 3), ("regression", 1)])
def test_the_trees_read_give_catboosts_own_answers(task, outputs, monkeypatch):
    import catboost as package

    kind = package.CatBoostRegressor if task == "regression" else package.CatBoostClassifier
    kept = []
    own_fit = kind.fit
    monkeypatch.setattr(kind, "fit", lambda self, *a, **k: kept.append(self) or own_fit(self, *a, **k))
    fitted = fit(rows(task, outputs))
    expected = kept[0].predict(X_NF) if task == "regression" else kept[0].predict_proba(X_NF)
    np.testing.assert_allclose(fitted.predict(X_NF), np.reshape(expected, (len(X_NF), -1)), atol=1e-9)


def test_held_rows_end_it_and_steps_are_made_again():
    held = rows("binary", 2, held=True)
    noise_N = np.random.default_rng(0).permutation(100)[:20]
    held.held.y_N[noise_N] = 1 - held.held.y_N[noise_N]
    stopped = fit(held, rate=0.2)
    assert 0 < stopped.steps < 150
    again = fit(rows("binary", 2, steps=stopped.steps), rate=0.2)
    assert again.steps == stopped.steps
    assert again.done == stopped.steps / 200
    np.testing.assert_allclose(again.predict(X_NF), stopped.predict(X_NF), atol=1e-12)


def test_many_classes_get_fewer_trees():
    few, many = (catboost.most_trees(Shape(1000, 5, "multiclass", outputs), {"trees": 1000}) for outputs in (3, 40))
    assert few == 1000
    assert many == 100
