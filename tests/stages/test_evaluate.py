import numpy as np
import polars as pl
import pytest

from forgeline import models
from forgeline.engine.seeds import Seed
from forgeline.records import Number
from forgeline.stages import evaluate
from forgeline.stages.evaluate import Exam

DRAW = np.random.default_rng(6)
ROWS = 600
POSITIVE = DRAW.random(ROWS)
TRUTH = (DRAW.random(ROWS) < POSITIVE).astype(int)
GROUP = np.where(np.arange(ROWS) % 2 == 0, "a", "b")


def exam(p_NK, y_N, *, threshold=0.5, weight_N=None, name="test", **columns):
    return Exam(name, np.asarray(y_N), np.asarray(p_NK, float), weight_N, pl.DataFrame(columns), threshold)


def binary(p_N):
    return np.column_stack([1 - np.asarray(p_N), p_N])


def data(y_N, task, outputs, weight_N=None):
    return models.Data(np.asarray(y_N), weight_N, np.zeros(len(y_N), int), task, outputs)


# ---------------------------------------------------------------- answers


def test_the_positive_class_is_answered_from_the_threshold_on():
    p_NK = binary([0.2, 0.3, 0.9])
    assert exam(p_NK, [0, 0, 1], threshold=0.3).answers().tolist() == [0, 1, 1]
    assert exam(p_NK, [0, 0, 1], threshold=0.95).answers().tolist() == [0, 0, 0]


def test_of_many_classes_the_likeliest_is_answered():
    assert exam([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]], [0, 0]).answers().tolist() == [1, 0]


def test_metrics_of_answers_follow_the_threshold():
    given = exam(binary([0.2, 0.35, 0.6, 0.9]), [0, 1, 1, 1], threshold=0.3)
    assert evaluate.scores(given, ["accuracy"], Seed(0))["test.accuracy"].value == 1.0
    beside = {"full": binary([0.4, 0.35, 0.6, 0.9])}
    found = evaluate.baselines(given, beside, ["accuracy", "roc_auc"], "accuracy", Seed(0))
    assert found["test.full.accuracy"].value == 0.75
    assert found["test.lead.full.accuracy"].value == 0.25
    assert found["test.full.roc_auc"].value == pytest.approx(2 / 3)


# ---------------------------------------------------------------- baselines


def test_the_majority_says_the_training_shares():
    assert evaluate.majority(data([0, 1, 1, 1], "binary", 2), 2, "log_loss").tolist() == [[0.25, 0.75]] * 2
    weighted = data([0, 1, 1, 1], "binary", 2, np.array([3.0, 1.0, 1.0, 1.0]))
    assert evaluate.majority(weighted, 1, "log_loss").tolist() == [[0.5, 0.5]]
    assert evaluate.majority(data([0, 0], "multiclass", 3), 1, "log_loss").tolist() == [[1.0, 0.0, 0.0]]
    assert evaluate.majority(data([1.0, 3.0], "regression", 1), 2, "rmse").tolist() == [[2.0], [2.0]]
    assert evaluate.majority(data([1.0, 3.0, 8.0], "regression", 1), 1, "mae").tolist() == [[3.0]]
    assert evaluate.majority(data([1.0, 3.0, 8.0], "regression", 1), 1, "pinball@90").tolist() == [[8.0]]


def test_every_metric_has_an_interval_around_its_value():
    found = evaluate.scores(exam(binary(POSITIVE), TRUTH), ["roc_auc", "log_loss"], Seed(0))
    assert set(found) == {"test.roc_auc", "test.log_loss"}
    for number in found.values():
        assert number.low < number.value < number.high
        assert (number.level, number.n) == (0.95, ROWS)


def test_a_score_that_cannot_be_computed_says_so():
    number = evaluate.scores(exam(binary(POSITIVE[:5]), [1] * 5), ["roc_auc"], Seed(0))["test.roc_auc"]
    assert number.value is None
    assert number.why


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_a_lead_is_positive_when_the_model_is_better(metric):
    shipped, noise = exam(binary(POSITIVE), TRUTH), binary(np.full(ROWS, 0.5))
    lead = evaluate.lead_over(shipped, noise, metric, Seed(0))
    assert 0 < lead.low < lead.value < lead.high
    back = evaluate.lead_over(exam(noise, TRUTH), binary(POSITIVE), metric, Seed(0))
    assert back.value == pytest.approx(-lead.value)


def test_a_baseline_that_is_not_there_says_why():
    found = evaluate.baselines(exam(binary(POSITIVE), TRUTH), {}, ["f1"], "f1", Seed(0))
    assert found["test.baseline.linear.f1"].value is None
    assert "no such model" in found["test.full.f1"].why


def test_the_gap_is_positive_for_a_model_that_remembers():
    cv = exam(binary(POSITIVE), TRUTH, name="cv")
    sure = binary(np.clip(TRUTH, 0.01, 0.99))
    judged, rows_N = data(TRUTH, "binary", 2), np.arange(len(TRUTH))
    for metric in ("log_loss", "roc_auc"):
        assert evaluate.overfit(metric, cv, sure, judged, rows_N, rows_N)[f"gap.{metric}"].value > 0.05
    same = evaluate.overfit("log_loss", cv, cv.p_NK, judged, rows_N, rows_N)
    assert same["gap.log_loss"].value == 0.0
    assert evaluate.overfit("log_loss", cv, None, judged, rows_N, rows_N)["gap.log_loss"].why


# ---------------------------------------------------------------- groups


def test_fairness_ratios_worked_by_hand():
    """Chosen: 30 of 100 in a, 60 of 100 in b; of the positives 10 of 20 and 40 of 50."""
    rows = {name: np.arange(100) + start for name, start in (("a", 0), ("b", 100))}
    y_N, p_N = np.zeros(200, int), np.zeros(200)
    y_N[:20] = y_N[100:150] = 1
    p_N[:10] = p_N[20:40] = p_N[100:140] = p_N[150:170] = 1.0
    masks = evaluate.rates(exam(binary(p_N), y_N))
    ratios = {name: evaluate.spread(rows, each).value for name, each in masks.items()}
    assert ratios["demographic_parity_ratio"] == pytest.approx(0.5)
    assert ratios["equal_opportunity_ratio"] == pytest.approx(0.5 / 0.8)
    assert ratios["equalized_odds_ratio"] == pytest.approx(min(0.5 / 0.8, 0.25 / 0.4))


def test_fewer_than_two_groups_give_no_ratio():
    number = evaluate.spread({"a": np.arange(50)}, [(np.ones(50, bool), np.ones(50, bool))])
    assert number.value is None
    assert "fewer than two groups" in number.why


def test_an_outcome_that_nobody_has_gives_no_ratio():
    nobody = np.zeros(100, bool)
    rows = {"a": np.arange(50), "b": np.arange(50, 100)}
    assert evaluate.spread(rows, [(nobody, ~nobody)]) == Number(value=None, why="no group has the outcome")


def test_groups_are_told_apart_and_small_ones_are_not_judged():
    group = np.where(np.arange(ROWS) < 5, "rare", GROUP)
    parts = {name: np.flatnonzero(group == name) for name in ("a", "b", "rare")}
    large = {name: rows for name, rows in parts.items() if name != "rare"}
    judged = exam(binary(POSITIVE), TRUTH)
    table = evaluate.group_table("sex", parts, large, judged)
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["rare"] == [5, None, None, None, None]
    here = parts["a"]
    chosen = POSITIVE[here] >= 0.5
    assert rows["a"] == [
        len(here),
        pytest.approx(TRUTH[here].mean()),
        pytest.approx(chosen.mean()),
        pytest.approx(chosen[TRUTH[here] == 1].mean()),
        pytest.approx(chosen[TRUTH[here] == 0].mean()),
    ]
    for p_NK, y_N in ((DRAW.dirichlet([1, 1, 1], ROWS), TRUTH), (POSITIVE[:, None], POSITIVE)):
        other = evaluate.group_table("sex", parts, large, exam(p_NK, y_N))
        assert {len(row) for row in other.rows} == {len(other.columns)}


def test_a_share_of_nothing_is_nothing():
    nobody = np.zeros(3, bool)
    assert evaluate.share(nobody, nobody) is None
    assert evaluate.share(np.array([True, False, False]), np.ones(3, bool)) == pytest.approx(1 / 3)


# ---------------------------------------------------------------- calibration


def test_a_calibrated_model_has_a_small_error_and_a_sure_one_a_large():
    truth = (np.random.default_rng(0).random(20_000) < 0.3).astype(int)
    right = evaluate.calibration_error(exam(binary(np.full(20_000, 0.3)), truth))["test.calibration_error"]
    wrong = evaluate.calibration_error(exam(binary(np.full(20_000, 0.9)), truth))["test.calibration_error"]
    assert right.value < 0.02
    assert wrong.value == pytest.approx(0.6, abs=0.02)
    assert evaluate.calibration_error(exam([[1.0]], [1.0])) == {}


def test_the_calibration_curve_rises_with_what_was_predicted():
    curve = evaluate.calibration_curve(exam(binary(POSITIVE), TRUTH))
    assert len(curve.x) == evaluate.BINS
    assert curve.x == sorted(curve.x)
    assert curve.against == curve.x
    assert all(low <= y <= high for low, y, high in zip(curve.low, curve.y, curve.high))
    values = evaluate.calibration_curve(exam(POSITIVE[:, None], POSITIVE * 2))
    assert values.y == pytest.approx([2 * x for x in values.x])


def test_the_confusion_table_worked_by_hand():
    from types import SimpleNamespace

    facts = SimpleNamespace(facts=SimpleNamespace(classes=["no", "yes"]))
    (table,) = evaluate.confusion(exam(binary([0.1, 0.6, 0.7, 0.2]), [0, 0, 1, 1]), facts)
    assert table.columns == ["truth", "no", "yes"]
    assert table.rows == [["no", 1, 1], ["yes", 1, 1]]
    assert table.note == "threshold 0.5"
    assert evaluate.confusion(exam([[1.0]], [1.0]), SimpleNamespace(facts=SimpleNamespace(classes=[]))) == []


def test_the_histogram_counts_every_answer():
    histogram = evaluate.answers_histogram(exam(binary(POSITIVE), TRUTH))
    assert sum(histogram.counts) == ROWS
    assert len(histogram.edges) == len(histogram.counts) + 1
