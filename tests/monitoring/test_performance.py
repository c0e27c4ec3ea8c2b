"""Performance: a score is called worse no more often than stated, and is called so when it is."""

import numpy as np
import pytest
from scipy.stats import binom

from forgeline.engine import stats
from forgeline.engine.seeds import Seed
from forgeline.monitoring.performance import performance, released, worse
from forgeline.parts.metrics import accuracy
from forgeline.records import Number


def exam(rng, rows):
    """Truth, and probabilities that are right about it."""
    p = rng.beta(2, 2, rows)
    return (rng.random(rows) < p).astype(np.int64), np.stack([1 - p, p], axis=1)


def at_release(rng, rows, metric="accuracy"):
    truth_N, p_NK = exam(rng, rows)
    low, high = stats.bootstrap(accuracy.score, truth_N, p_NK, None, Seed(1))
    value = accuracy.score(truth_N, p_NK, None)
    return {
        "metric": metric,
        "numbers": {f"test.{metric}": {"value": value, "low": low, "high": high, "level": 0.95}},
    }


def test_an_unchanged_score_is_called_worse_no_more_often_than_stated():
    rng = np.random.default_rng(0)
    found = [performance(at_release(rng, 400), *exam(rng, 200))[1][0].p for _ in range(100)]
    assert sum(p <= 0.05 for p in found) <= binom.ppf(0.99, 100, 0.05)
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)


def test_a_worse_score_is_found():
    rng = np.random.default_rng(1)
    truth_N, p_NK = exam(rng, 400)
    numbers, (test,) = performance(at_release(rng, 400), 1 - truth_N, p_NK)
    assert test.p < 1e-6
    assert test.size == pytest.approx(numbers["test.accuracy"].value - numbers["new.accuracy"].value)


def test_worse_is_worked_by_hand():
    old = Number(value=0.30, low=0.30 - 1.96 * 0.03, high=0.30 + 1.96 * 0.03, level=0.95)
    new = Number(value=0.40, low=0.40 - 1.96 * 0.04, high=0.40 + 1.96 * 0.04, level=0.95)
    assert worse("log_loss", old, new, False).p == pytest.approx(0.02275, rel=1e-3)  # two standard errors of 0.05
    assert worse("accuracy", old, new, True).p == pytest.approx(0.97725, rel=1e-3)
    sure = Number(value=1.0, low=1.0, high=1.0, level=0.95)
    assert worse("accuracy", sure, sure, True).p == 1.0


def test_cross_validation_stands_in_for_a_test_that_was_not_scored():
    cv = {"value": 0.5, "low": 0.4, "high": 0.6, "level": 0.95}
    numbers = {"test.rmse": {"value": None, "why": "unlabelled"}, "cv.rmse": cv}
    assert released({"metric": "rmse", "numbers": numbers}) == ("cv.rmse", Number(**cv))
    assert released({"metric": "rmse", "numbers": {}})[1].why == "the release gives no score"


def test_what_cannot_be_scored_says_why():
    rng = np.random.default_rng(2)
    about = at_release(rng, 100)
    numbers, tests = performance(about, *exam(rng, 12))
    assert (tests, numbers["new.accuracy"].why) == ([], "12 rows have a known target, and it takes 30")
    about = at_release(rng, 100, "roc_auc")
    numbers, tests = performance(about, np.zeros(50), exam(rng, 50)[1])
    assert (tests, numbers["new.roc_auc"].why) == ([], "cannot be computed on these rows")
