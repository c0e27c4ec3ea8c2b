import itertools

import numpy as np
import pytest

from forgeline.engine.ensemble import Scaling, calibrate, fit_scaling, greedy_weights, log_loss, mean

DRAW = np.random.default_rng(4)
ROWS = 400
ODDS = DRAW.normal(size=ROWS)
TRUTH = (DRAW.random(ROWS) < 1 / (1 + np.exp(-ODDS))).astype(int)


def binary(odds_N):
    p_N = 1 / (1 + np.exp(-odds_N))
    return np.column_stack([1 - p_N, p_N])


def softmax(score_NK):
    power_NK = np.exp(score_NK - score_NK.max(axis=1, keepdims=True))
    return power_NK / power_NK.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------- greedy weights


def test_greedy_weights_worked_by_hand():
    """Truth 2 between constants 0 and 3: take 3 (error 1), then 0 (.5), then 3 (0), then nothing helps."""
    models = [np.full((1, 1), 0.0), np.full((1, 1), 3.0)]
    weights = greedy_weights(models, lambda p_NK: abs(float(p_NK[0, 0]) - 2.0))
    assert weights == pytest.approx([1 / 3, 2 / 3])


@pytest.mark.parametrize("seed", range(5))
def test_greedy_weights_come_close_to_the_best_mixture(seed):
    draw = np.random.default_rng(seed)
    models = [binary(ODDS * shrink + draw.normal(size=ROWS) * 0.7) for shrink in (1.0, 0.6, 0.2)]

    def loss(p_NK):
        return log_loss(p_NK, TRUTH)

    weights = greedy_weights(models, loss)
    steps = [each for each in itertools.product(range(13), repeat=3) if sum(each) == 12]
    best = min(loss(mean(models, np.array(each) / 12)) for each in steps)
    found = loss(mean(models, weights))
    assert weights.sum() == pytest.approx(1.0)
    assert abs(found - best) <= 2e-3
    assert found <= min(loss(p_NK) for p_NK in models)


def test_one_model_has_all_the_weight_and_a_twin_adds_none():
    p_NK = binary(ODDS)
    for models in ([p_NK], [p_NK, p_NK]):
        assert greedy_weights(models, lambda p: log_loss(p, TRUTH))[0] == 1.0


def test_steps_bound_the_weights():
    models = [np.full((1, 1), value) for value in (0.0, 1.0)]
    weights = greedy_weights(models, lambda p_NK: abs(float(p_NK[0, 0]) - 0.9), steps=3)
    assert (weights * 3) == pytest.approx(np.round(weights * 3))


def test_mean_worked_by_hand():
    models = [np.array([[1.0, 2.0]]), np.array([[3.0, 6.0]])]
    assert mean(models, [0.25, 0.75]).tolist() == [[2.5, 5.0]]
    with pytest.raises(ValueError, match="zip"):
        mean(models, [1.0])


# ---------------------------------------------------------------- scaling


def test_scaling_of_two_classes_moves_the_log_odds():
    p_NK = np.array([[0.5, 0.5], [0.2, 0.8]])
    found = Scaling(2.0, 1.0).apply(p_NK)
    odds = np.log(found[:, 1] / found[:, 0])
    assert odds == pytest.approx([1.0, 2 * np.log(4) + 1])


def test_scaling_of_many_classes_is_a_temperature():
    p_NK = np.array([[0.2, 0.3, 0.5]])
    assert Scaling(2.0).apply(p_NK) == pytest.approx(p_NK**2 / (p_NK**2).sum())
    assert Scaling().apply(p_NK) == pytest.approx(p_NK)


def test_certain_answers_stay_probabilities():
    for p_NK in (np.array([[1.0, 0.0], [0.0, 1.0]]), np.eye(3)):
        found = Scaling(3.0, 2.0).apply(p_NK)
        assert np.isfinite(found).all()
        assert found.sum(axis=1) == pytest.approx(1.0)
        assert (found.argmax(axis=1) == p_NK.argmax(axis=1)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_platt_is_logistic_regression_on_the_log_odds(weighted):
    from sklearn.linear_model import LogisticRegression

    weight_N = DRAW.random(ROWS) + 0.5 if weighted else None
    rival = LogisticRegression(C=1e9, tol=1e-9).fit(3 * ODDS[:, None] + 1, TRUTH, weight_N)
    found = fit_scaling(binary(3 * ODDS + 1), TRUTH, weight_N)
    assert found.slope == pytest.approx(rival.coef_[0, 0], abs=2e-4)
    assert found.intercept == pytest.approx(rival.intercept_[0], abs=2e-4)


def test_a_temperature_finds_back_what_was_multiplied():
    score_NK = DRAW.normal(size=(20_000, 4))
    y_N = np.array([DRAW.choice(4, p=p_K) for p_K in softmax(score_NK)])
    assert fit_scaling(softmax(score_NK * 2), y_N).slope == pytest.approx(0.5, abs=0.03)


def test_log_loss_worked_by_hand():
    p_NK = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert log_loss(p_NK, np.array([0, 1])) == pytest.approx((np.log(2) + np.log(4 / 3)) / 2)
    assert log_loss(p_NK, np.array([0, 1]), np.array([1.0, 3.0])) == pytest.approx((np.log(2) + 3 * np.log(4 / 3)) / 4)
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-15))


# ---------------------------------------------------------------- calibration, judged across folds

FOLD = np.arange(ROWS) % 4


def test_calibration_is_kept_where_it_helps():
    scaling, before, after = calibrate(binary(4 * ODDS), TRUTH, FOLD)
    assert after < before
    assert scaling == fit_scaling(binary(4 * ODDS), TRUTH)
    assert log_loss(scaling.apply(binary(4 * ODDS)), TRUTH) < before


def test_calibration_is_judged_on_rows_it_was_not_fitted_on():
    p_NK = binary(4 * ODDS)
    scaled = p_NK.copy()
    for fold in range(4):
        scaled[fold == FOLD] = fit_scaling(p_NK[fold != FOLD], TRUTH[fold != FOLD]).apply(p_NK[fold == FOLD])
    assert calibrate(p_NK, TRUTH, FOLD)[2] == pytest.approx(log_loss(scaled, TRUTH))


def test_calibration_is_left_out_where_it_only_fits_noise():
    p_NK = fit_scaling(binary(ODDS), TRUTH).apply(binary(ODDS))
    scaling, before, after = calibrate(p_NK, TRUTH, FOLD)
    assert (scaling, after >= before) == (None, True)
