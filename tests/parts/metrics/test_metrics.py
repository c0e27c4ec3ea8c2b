import numpy as np
import pytest
from sklearn import metrics as sklearn

from forgeline import catalog

DRAW = np.random.default_rng(11)
WEIGHT = DRAW.uniform(0.1, 3.0, 400)


def classes(count):
    y = DRAW.integers(0, count, 400)
    p = DRAW.dirichlet(np.ones(count), 400).round(2) + 0.3 * np.eye(count)[y]
    return y, p / p.sum(axis=1, keepdims=True)


TWO, THREE = classes(2), classes(3)
VALUES = (DRAW.normal(size=400), DRAW.normal(size=(400, 1)))


def labels(metric, **options):
    return lambda y, p, w: metric(y, p.argmax(axis=1), sample_weight=w, **options)


CASES = [
    ("log_loss", TWO, lambda y, p, w: sklearn.log_loss(y, p, sample_weight=w)),
    ("log_loss", THREE, lambda y, p, w: sklearn.log_loss(y, p, sample_weight=w)),
    ("brier", TWO, lambda y, p, w: sklearn.brier_score_loss(y, p[:, 1], sample_weight=w)),
    ("brier", THREE, lambda y, p, w: sklearn.brier_score_loss(y, p, sample_weight=w, scale_by_half=False)),
    ("roc_auc", TWO, lambda y, p, w: sklearn.roc_auc_score(y, p[:, 1], sample_weight=w)),
    (
        "roc_auc",
        THREE,
        lambda y, p, w: sklearn.roc_auc_score(y, p, sample_weight=w, multi_class="ovr", average="weighted"),
    ),
    ("accuracy", TWO, labels(sklearn.accuracy_score)),
    ("accuracy", THREE, labels(sklearn.accuracy_score)),
    ("balanced_accuracy", TWO, labels(sklearn.balanced_accuracy_score)),
    ("balanced_accuracy", THREE, labels(sklearn.balanced_accuracy_score)),
    ("f1", TWO, labels(sklearn.f1_score)),
    ("f1", THREE, labels(sklearn.f1_score, average="macro")),
    ("rmse", VALUES, lambda y, p, w: sklearn.root_mean_squared_error(y, p, sample_weight=w)),
    ("mae", VALUES, lambda y, p, w: sklearn.mean_absolute_error(y, p, sample_weight=w)),
    ("pinball", VALUES, lambda y, p, w: sklearn.mean_pinball_loss(y, p, sample_weight=w, alpha=0.5)),
    ("pinball@90", VALUES, lambda y, p, w: sklearn.mean_pinball_loss(y, p, sample_weight=w, alpha=0.9)),
    ("r2", VALUES, lambda y, p, w: sklearn.r2_score(y, p, sample_weight=w)),
]


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize(("name", "data", "reference"), CASES)
def test_metric_agrees_with_scikit_learn(name, data, reference, weight):
    assert catalog.load("metrics", name).score(*data, weight) == pytest.approx(reference(*data, weight), rel=1e-12)


@pytest.mark.parametrize("name", ["roc_auc", "balanced_accuracy", "f1"])
@pytest.mark.parametrize("width", [2, 3])
def test_what_needs_two_classes_is_nan_for_one(name, width):
    assert np.isnan(catalog.load("metrics", name).score(np.zeros(4, int), np.full((4, width), 1 / width)))


def test_a_sure_error_costs_a_finite_loss():
    found = catalog.load("metrics", "log_loss").score(np.array([0]), np.array([[0.0, 1.0]]))
    assert found == pytest.approx(-np.log(2.220446049250313e-16))


def test_an_auc_of_ties_is_one_half():
    assert catalog.load("metrics", "roc_auc").score(np.array([0, 1, 1]), np.full((3, 2), 0.5)) == 0.5


def test_r2_of_a_target_that_does_not_vary_is_nan():
    assert np.isnan(catalog.load("metrics", "r2").score(np.ones(3), np.ones((3, 1))))
