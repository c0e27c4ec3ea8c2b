import numpy as np
import pytest

from forgeline.engine import labels


def rows(draw, classes=4, count=4000, sharpness=3.0):
    """True classes and the calibrated probabilities of a good model."""
    z_NK = sharpness * draw.normal(size=(count, classes))
    p_NK = labels.softmax(z_NK)
    true_N = (p_NK.cumsum(axis=1) < draw.random(count)[:, None]).sum(axis=1)
    return p_NK, true_N


def noisy(draw, true_N, noise_KK):
    """Given labels: the true ones through the noise matrix."""
    return (noise_KK[true_N].cumsum(axis=1) < draw.random(len(true_N))[:, None]).sum(axis=1)


def f1(flagged_N, wrong_N):
    return 2 * (flagged_N & wrong_N).sum() / (flagged_N.sum() + wrong_N.sum())


def test_posterior_is_the_rule_of_bayes():
    noise_KK = np.array([[0.9, 0.1], [0.2, 0.8]])
    found_NK = labels.posterior(np.array([[0.5, 0.5]]), noise_KK, np.array([0]))
    assert found_NK[0] == pytest.approx([0.45 / 0.55, 0.1 / 0.55])


def test_noise_that_differs_by_class_is_found():
    draw = np.random.default_rng(1)
    p_NK, true_N = rows(draw, sharpness=5.0, count=12_000)
    noise_KK = np.array([[0.6, 0.4, 0, 0], [0, 1, 0, 0], [0, 0.1, 0.8, 0.1], [0.3, 0, 0, 0.7]])
    given_N = noisy(draw, true_N, noise_KK)
    found = labels.class_scores(p_NK @ noise_KK, given_N)
    assert np.abs(found.noise_KK - noise_KK).max() < 0.1
    assert f1(found.flagged_N, given_N != true_N) > 0.85
    assert found.low < (given_N != true_N).mean() + 0.05
    right_N = found.suggested_N[found.flagged_N] == true_N[found.flagged_N]
    assert right_N.mean() > 0.8
    assert found.fidelity_N.dtype == np.float64
    assert found.suggested_N.dtype == np.int64


@pytest.mark.parametrize("classes", [2, 5])
def test_one_rate_for_all_is_found(classes):
    draw = np.random.default_rng(2)
    p_NK, true_N = rows(draw, classes)
    noise_KK = np.full((classes, classes), 0.08 / (classes - 1))
    np.fill_diagonal(noise_KK, 0.92)
    given_N = noisy(draw, true_N, noise_KK)
    found = labels.class_scores(p_NK @ noise_KK, given_N, noise="shared")
    assert found.supported
    assert found.low <= 0.08 <= found.high
    assert f1(found.flagged_N, given_N != true_N) > 0.6


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0, 8.0])
def test_honest_doubt_is_no_error(sharpness):
    p_NK, true_N = rows(np.random.default_rng(3), 2, sharpness=sharpness)
    found = labels.class_scores(p_NK, true_N, noise="shared")
    assert not found.supported
    assert not found.flagged_N.any()
    assert len(np.unique(found.fidelity_N)) > 100, "rows are ranked all the same"


def test_odd_probabilities_and_rare_classes():
    p_NK = np.zeros((300, 40), np.float16)
    given_N = np.append(np.arange(40), np.arange(260) % 3)
    p_NK[np.arange(300), given_N] = 1
    p_NK[7] = 0
    for noise in ("shared", "by_class"):
        found = labels.class_scores(p_NK, given_N, noise=noise)
        assert np.isfinite(found.fidelity_N).all()
        assert found.noise_KK.sum(axis=1) == pytest.approx(1)
        assert found.flagged_N.mean() < 0.02


def test_what_probabilities_explain():
    given_N = np.array([0, 1, 0, 1])
    assert labels.explained(np.full((4, 2), 0.5), given_N) == pytest.approx(0)
    # half of the surprise of a fair coin, log 2, is left where the label has probability 1/√2
    p_NK = np.where(np.eye(2)[given_N] == 1, 0.5**0.5, 1 - 0.5**0.5)
    assert labels.explained(p_NK, given_N) == pytest.approx(0.5)


def test_flags_make_the_expected_f1_highest():
    # 0.9 alone: 2 · 0.9 / (1 + 1.5) = 0.72; with 0.5: 2 · 1.4 / 3.5 = 0.8; with 0.1: 2 · 1.5 / 4.5 = 0.67
    assert labels.flags(np.array([0.9, 0.1, 0.5]), 0.0).tolist() == [False, True, True]
    assert labels.flags(np.array([0.9, 0.1, 0.5]), 0.6).tolist() == [False, True, False]
    assert not labels.flags(np.zeros(0), 0.5).size


def values(draw, count=4000):
    """Predictions and residuals whose spread grows with the prediction, with tails heavier than normal."""
    predicted_N = draw.uniform(1, 5, count)
    return predicted_N, predicted_N * draw.standard_t(5, count)


def test_gross_errors_of_values_are_found():
    draw = np.random.default_rng(4)
    predicted_N, residual_N = values(draw)
    wrong_N = draw.random(4000) < 0.05
    residual_N[wrong_N] += 12 * predicted_N[wrong_N] * draw.choice([-1, 1], wrong_N.sum())
    found = labels.value_scores(residual_N, predicted_N)
    assert f1(found.flagged_N, wrong_N) > 0.9
    assert found.low <= wrong_N.mean() <= found.high


def test_heavy_and_crooked_tails_are_no_errors():
    draw = np.random.default_rng(5)
    predicted_N, residual_N = values(draw)
    assert labels.value_scores(residual_N, predicted_N).flagged_N.mean() < 0.002
    crooked_N = predicted_N * (draw.exponential(size=4000) - 1)
    assert labels.value_scores(crooked_N, predicted_N).flagged_N.mean() < 0.01


@pytest.mark.parametrize("count", [0, 1, 60])
def test_few_or_equal_values(count):
    found = labels.value_scores(np.zeros(count), np.ones(count))
    assert not found.flagged_N.any()
    assert np.isfinite([found.error_share, found.low, found.high]).all()
