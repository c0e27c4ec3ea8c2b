import numpy as np
import polars as pl
import pytest

from forgeline import testing
from forgeline.parts.checks import label_error
from forgeline.records import Finding


def test_contract():
    testing.check_check(label_error)


def frame(target, flips=0.0, count=3000):
    """Rows whose target mostly follows two columns; a share of the targets is made wrong."""
    draw = np.random.default_rng(11)
    x_N, z_N = draw.normal(size=(2, count))
    wrong_N = draw.random(count) < flips
    if target == "value":
        y_N = 3 * x_N + z_N + 0.3 * draw.normal(size=count)
        y_N[wrong_N] += 10 * draw.choice([-1, 1], wrong_N.sum())
        return pl.DataFrame({"x": x_N, "z": z_N, target: y_N}), wrong_N
    true_N = (x_N + z_N + 0.1 * draw.normal(size=count) > 0).astype(int)
    given_N = np.where(wrong_N, 1 - true_N, true_N)
    return pl.DataFrame({"x": x_N, "z": z_N, target: [f"class {each}" for each in given_N]}), wrong_N


def found(data, target, **more):
    table, aim = testing.view(data, target=target, test=range(100), **more)
    findings = list(label_error.check(table, aim))
    for one in findings:
        testing.check_finding(one, table, target)
    return table, findings


@pytest.mark.parametrize("target", ["class", "value"])
def test_wrong_labels_are_found(target):
    data, wrong_N = frame(target, 0.05)
    table, (one,) = found(data, target)
    assert (one.code, one.severity, one.columns) == ("label.error", "warn", [target])
    assert one.numbers["low"] <= 0.05 <= one.numbers["high"]
    rows, scores = table.keep_rows.kept[0]
    assert rows.min() >= 100, "sealed rows are not judged"
    assert wrong_N[rows].mean() > 0.8
    assert wrong_N[rows].sum() > 0.8 * wrong_N[100:].sum()
    assert (np.diff(scores) <= 0).all()
    assert one.fix.do == "relabel"


@pytest.mark.parametrize("target", ["class", "value"])
def test_right_labels_are_not(target):
    assert not found(frame(target)[0], target)[1]


def test_labels_that_follow_nothing_are_no_errors():
    data, _ = frame("class")
    shuffled = data["class"].sample(fraction=1.0, shuffle=True, seed=1)
    assert not found(data.with_columns(shuffled.alias("class")), "class")[1]


def test_outputs_that_know_nothing_accuse_no_label():
    draw = np.random.default_rng(2)
    data = pl.DataFrame({"x": draw.normal(size=2000), "class": draw.choice(["a", "b", "c"], 2000)})
    assert not found(data, "class", probabilities=draw.dirichlet([5, 5, 5], 1900))[1]


def test_labels_of_which_half_are_wrong_block():
    draw = np.random.default_rng(3)
    true_N, wrong_N = draw.integers(0, 5, 6000), draw.random(6000) < 0.5
    given_N = np.where(wrong_N, (true_N + draw.integers(1, 5, 6000)) % 5, true_N)
    data = pl.DataFrame({"x": draw.normal(size=6000), "class": [f"class {each}" for each in given_N]})
    p_NK = np.eye(5)[true_N] * 0.375 + 0.125 + draw.uniform(-0.02, 0.02, (6000, 5))
    table, (one,) = found(data, "class", probabilities=p_NK[100:])
    rows, _ = table.keep_rows.kept[0]
    assert one.severity == "block"
    assert one.numbers["share"] == pytest.approx(0.5, abs=0.03)
    assert wrong_N[rows].mean() > 0.95


def test_outputs_of_the_user_are_judged_and_a_copy_of_the_target_is_left_out():
    data, wrong_N = frame("class", 0.05)
    true_N = (data["class"].to_numpy() == "class 1") ^ wrong_N
    p_N = np.where(true_N, 0.94, 0.06)[100:] + np.random.default_rng(0).uniform(-0.01, 0.01, len(data) - 100)
    table, positive = found(data, "class", positive="class 1", probabilities=np.column_stack([1 - p_N, p_N]))
    rows, _ = table.keep_rows.kept[0]
    assert len(positive) == 1
    assert set(rows) == set(np.flatnonzero(wrong_N[100:]) + 100)
    copied = data.with_columns(pl.col("class").alias("copy"))
    leak = Finding(code="leak.target_copy", severity="block", says="a copy", columns=["copy"])
    assert not found(copied, "class")[1], "a copy says that every label is right"
    assert found(copied, "class", found=(leak,))[1]


def test_rows_of_one_entity_are_witnesses_of_each_others_labels():
    draw = np.random.default_rng(4)
    entity_N = draw.integers(0, 60, 3000)
    own_E = draw.normal(0, 5, 60)
    wrong_N = draw.random(3000) < 0.05
    y_N = own_E[entity_N] + draw.normal(size=3000) + np.where(wrong_N, 40.0, 0.0)
    data = pl.DataFrame({"x": draw.normal(size=3000), "of": own_E[entity_N] ** 2 + entity_N, "y": y_N})
    table, target = testing.view(data, target="y")
    table.probe.unit_N = entity_N.astype(np.uint64)
    (one,) = label_error.check(table, target)
    rows, _ = table.keep_rows.kept[-1]
    assert wrong_N[rows].mean() > 0.95
    assert one.numbers["errors"] > 0.9 * wrong_N.sum()
