import numpy as np
import polars as pl
import pytest

from forgeline.engine import split
from forgeline.engine.probe import Probe


def few_levels(rows=1500, seed=0):
    draw = np.random.default_rng(seed)
    y_N = draw.integers(0, 2, rows)
    frame = pl.DataFrame(
        {"a": draw.integers(0, 12, rows), "count": draw.integers(0, 12, rows), "leak": [f"is {one}" for one in y_N]}
    )
    return frame, y_N


def test_a_column_that_is_left_out_does_not_decide_the_folds():
    """Rows equal but for a copy of the target, one class in each fold, would teach the contrary of the truth."""
    probe = Probe(*few_levels(), "binary", 2)
    assert probe.cross().score > 0.99
    assert 0.46 < probe.cross(without=("leak",)).score < 0.54


def test_folds_are_the_same_where_a_column_tells_no_rows_apart():
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({"a": draw.normal(size=300), "b": draw.integers(0, 3, 300)})
    probe = Probe(frame, draw.integers(0, 2, 300), "binary", 2)
    assert probe.folds_without(("b",)) is probe.fold_P
    assert probe.folds_without(("not there",)) is probe.fold_P
    assert (split.mix(probe.sum_P) == split.keys(frame, frame.columns)).all()


def test_equal_rows_stay_together_without_a_key():
    draw = np.random.default_rng(0)
    one = pl.DataFrame({"a": draw.normal(size=200)})
    frame = pl.concat([one, one]).with_columns(pl.Series("key", [f"k{at}" for at in range(400)]))
    probe = Probe(frame, draw.integers(0, 2, 400), "binary", 2)
    fold_P = probe.folds_without(("key",))
    assert (fold_P[:200] == fold_P[200:]).all()
    assert not (probe.fold_P[:200] == probe.fold_P[200:]).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", ["all", "one", "most"])
def test_targets_whose_squares_are_infinite_are_told_in_a_smaller_unit(case):
    draw = np.random.default_rng(5)
    x = draw.normal(size=300)
    y_N = x + 0.1 * draw.normal(size=300)
    usual = Probe(pl.DataFrame({"x": x}), y_N, "regression", 1).cross()
    y_N = np.append(y_N[:-1], 1e300) if case == "one" else np.ldexp(y_N, 1000 if case == "all" else 1021)
    probe = Probe(pl.DataFrame({"x": x}), y_N, "regression", 1)
    found = probe.cross()
    assert np.isfinite(found.p_SK).all()
    assert np.isfinite(probe.losses(found.p_SK, probe.y_P)).all()
    if case != "one":
        assert found.score == pytest.approx(usual.score, rel=1e-6)
