import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2_contingency
from sklearn.metrics import mutual_info_score

from forgeline.engine import arrays, information


def test_information_is_scikit_learns():
    draw = np.random.default_rng(1)
    x = draw.integers(0, 7, 500)
    y = (x + draw.integers(0, 4, 500)) % 5
    assert information.mutual_information(x, y).nats == pytest.approx(mutual_info_score(x, y), abs=1e-12)


def test_g_test_is_scipys_but_for_williams_correction():
    counts = np.array([[30, 20, 10], [20, 30, 25]])
    expected = chi2_contingency(counts, correction=False, lambda_="log-likelihood")
    corrected = information.g_test(counts)
    assert 2 * counts.sum() * information.nats(counts) == pytest.approx(expected.statistic)
    assert expected.pvalue < corrected < expected.pvalue * 1.1
    assert information.g_test(counts * 10_000_000) == 0.0


def test_one_bin_tells_nothing():
    found = information.mutual_information(np.zeros(20, np.int64), np.arange(20) % 2)
    assert found == information.Information(0.0, 1.0)


def test_quantile_bins_hold_equal_shares_and_missing_apart():
    x = np.array([5, 1, 2, 3, 4, 6, 7, 8, np.nan])
    assert information.quantile_bins(x, 4).tolist() == [2, 0, 0, 1, 1, 2, 3, 3, 4]
    assert information.quantile_bins(np.array([0.0, 0.0, 0.0, 1.0]), 16).tolist() == [0, 0, 0, 1]


def test_rare_levels_are_one():
    assert information.frequent_codes(np.array([7, 7, 7, -1, -1, 3, 4]), 2).tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_rarest_rows_are_merged():
    found = information.merged(np.array([[1, 0], [9, 9], [0, 0], [1, 1], [4, 4]]), 4)
    assert found.tolist() == [[6, 5], [9, 9]] or found.tolist() == [[2, 1], [4, 4], [9, 9]]


def made_up(task):
    draw = np.random.default_rng(2)
    x = draw.normal(size=2000)
    city = np.where(x > 0.5, "north", draw.choice(["south", "west"], 2000))
    micros = (x * 1e15).astype(np.int64)
    table = arrays.from_frame(
        pl.DataFrame({"x": x, "blank": [None] * 2000, "city": city, "when": micros}).with_columns(
            pl.col("blank").cast(pl.Float64)
        ),
        [("x", "number"), ("blank", "number"), ("city", "category"), ("when", "date")],
    )
    y = x**2 + 0.1 * draw.normal(size=2000)
    return table, y if task == "regression" else (y > 1).astype(np.int64)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_what_tells_of_the_target_is_found(task):
    table, y = made_up(task)
    assert information.informative(table, np.arange(2000), y, task) == ["x", "city", "when"]
    assert information.informative(table, np.arange(0, 2000, 2), y[::2], task) == ["x", "city", "when"]


@pytest.mark.parametrize("positives", [0.5, 0.1, 0.02])
def test_false_alarm_rate_on_useless_columns(positives):
    draw = np.random.default_rng(3)
    columns = {f"normal {index}": draw.normal(size=600) for index in range(150)}
    columns |= {f"zipf {index}": [f"{level}" for level in draw.zipf(1.5, 600) % 300] for index in range(150)}
    kinds = [(name, "number" if name.startswith("normal") else "category") for name in columns]
    table = arrays.from_frame(pl.DataFrame(columns), kinds)
    y = (draw.random(600) < positives).astype(np.int64)
    kept = information.informative(table, np.arange(600), y, "binary", alpha=0.05)
    assert len(kept) <= 27  # 15 are expected; more than 27 of 300 come up once in 500 times
