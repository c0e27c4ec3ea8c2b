from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from forgeline.engine.cells import Cells
from forgeline.parts.checks import sampling
from forgeline.testing import view


def people(rows, seed, columns=8):
    draw = np.random.default_rng(seed)
    numbers = draw.normal(size=(rows, columns))
    frame = pl.DataFrame(numbers, schema=[f"x{at}" for at in range(columns)])
    return frame.with_columns(
        city=pl.Series(draw.choice(list("uvwxyz"), rows)),
        gap=pl.Series(draw.normal(size=rows)).set(pl.Series(draw.random(rows) < 0.2), None),
        y=pl.Series((numbers[:, 0] + draw.normal(size=rows) > 0).astype(int)),
    )


def found(test, rows=1500, target="y"):
    table, aim = view(people(rows, 1) if target else people(rows, 1).drop("y"), target=target)
    return list(sampling.check(replace(table, test=test.drop("y")), aim))


SHIFTED = {
    "mean": lambda test: test.with_columns(x3=pl.col("x3") + 0.4),
    "spread": lambda test: test.with_columns(x3=pl.col("x3") * 1.6),
    "levels": lambda test: test.filter(~pl.col("city").is_in(["u"])),
    "missing": lambda test: test.with_columns(gap=pl.when(pl.col("x1") > 0.8).then(None).otherwise("gap")),
    "easy rows": lambda test: test.filter(pl.col("x0").abs() > 0.5),
    "together": lambda test: test.filter(pl.col("x1") * pl.col("x2") > 0),
}


@pytest.mark.parametrize("case", SHIFTED)
def test_another_population_is_seen(case):
    (finding,) = found(SHIFTED[case](people(1000, 2)))
    assert (finding.code, finding.severity, finding.fix.do) == ("leak.sampling", "block", "split")


def test_a_weakly_shifted_column_among_many_is_named_and_does_not_block():
    table, target = view(people(3000, 1, columns=40), target="y")
    test = people(3000, 2, columns=40).with_columns(x7=pl.col("x7") + 0.15)
    (finding,) = sampling.check(replace(table, test=test.drop("y")), target)
    assert (finding.severity, finding.columns) == ("warn", ["x7"])


def test_easier_rows_inflate_the_score():
    (finding,) = found(people(1500, 2).filter(pl.col("x0").abs() > 0.7))
    assert finding.numbers["low"] > 0.03


def test_rows_of_the_same_population_are_clean():
    rows = people(15_000, 3)
    for at in range(15):
        table, target = view(rows[1000 * at : 1000 * at + 600], target="y")
        test = rows[1000 * at + 600 : 1000 * at + 1000].drop("y")
        assert not list(sampling.check(replace(table, test=test), target))


@pytest.mark.slow
def test_false_alarms_are_at_most_one_in_a_hundred():
    alarms = 0
    for seed in range(200):
        both = people(1000, 5000 + seed).drop("y")
        side_N = (np.arange(1000) >= 600).astype(int)
        cells = Cells(both)
        alarms += sampling.tell_apart(both, side_N, 4000).p_value < 0.004
        alarms += bool(
            sampling.holm({name: sampling.column_gap(cells, name, side_N)[0] for name in both.columns}, 0.004)
        )
    assert alarms <= 5  # 1.6 are expected of 200 tables


def test_a_later_test_file_and_no_test_file_are_not_its_matter():
    table, target = view(people(500, 1).with_columns(day=pl.int_range(500).cast(pl.Datetime("us"))), target="y")
    assert not list(sampling.check(table, target))
    later = people(300, 2).with_columns(pl.col("x0") + 2, day=pl.int_range(500, 800).cast(pl.Datetime("us")))
    assert not list(sampling.check(replace(table, test=later.drop("y")), target))


def test_without_a_target():
    (finding,) = found(people(1000, 2).with_columns(x3=pl.col("x3") + 1), target="")
    assert finding.columns == ["x3"]
    assert finding.numbers["inflation"] == 0


def test_p_values_are_scipys():
    draw = np.random.default_rng(5)
    value_N, side_N = np.round(draw.normal(size=900), 1), (np.arange(900) >= 500).astype(int)
    p, distance = sampling.kolmogorov(value_N, side_N)
    reference = stats.ks_2samp(value_N[:500], value_N[500:], method="asymp")
    assert distance == pytest.approx(reference.statistic)
    assert p == pytest.approx(reference.pvalue, rel=0.2)
    code_N = draw.integers(0, 5, 900)
    table = np.stack([np.bincount(code_N[side_N == side]) for side in (0, 1)])
    assert sampling.chi_squared(code_N, side_N)[0] == pytest.approx(stats.chi2_contingency(table, False).pvalue)


def test_holm():
    assert sampling.holm({"a": 0.02, "b": 0.001, "c": 0.3}, 0.05) == ["b", "a"]
    assert sampling.holm({"a": 0.03, "b": 0.04}, 0.05) == []


def test_levels_are_asked_in_the_codes_of_the_model():
    both = people(300, 1).drop("y")
    apart = sampling.tell_apart(both, np.arange(300) % 2, 1000)
    drawn = np.append(np.arange(0, 300, 2), np.arange(1, 300, 2))  # training rows first
    asked = sampling.matrix_like(apart.probe, Cells(both[drawn[[5, 77, 200]]]))
    assert np.array_equal(asked, apart.probe.matrix(apart.probe.names, np.array([5, 77, 200])), equal_nan=True)
