import numpy as np
import polars as pl
import pytest

from forgeline.engine import giveaway
from forgeline.parts.checks import proxy
from forgeline.records import Finding
from forgeline.testing import view

ROWS = 1500


def table(task, seed=1):
    """Features that go together, and a target that follows them."""
    draw = np.random.default_rng(seed)
    common = draw.normal(size=ROWS)
    x = {f"x{at}": common + draw.normal(size=ROWS) for at in range(4)}
    value = x["x0"] + x["x1"] + 2 * draw.normal(size=ROWS)
    y = value if task == "value" else (value > 0.5).astype(int) if task == "two" else np.digitize(value, [-1, 1])
    return pl.DataFrame({**x, "y": y if task == "value" else pl.Series(y).cast(pl.String)}), y, draw


def found(frame, **more):
    return list(proxy.check(*view(frame, target="y", **more)))


@pytest.mark.parametrize("task", ["two", "three", "value"])
def test_the_target_and_noise_is_warned_of(task):
    frame, y, draw = table(task)
    assert found(frame) == []
    noise = draw.normal(size=ROWS) * (2 if task == "value" else 0.8)
    (finding,) = found(frame.with_columns(count=pl.Series(y + noise)))
    assert (finding.code, finding.severity, finding.columns) == ("leak.proxy", "warn", ["count"])
    assert 0 < finding.numbers["low"] < finding.numbers["inflation"] < finding.numbers["high"]
    assert (finding.fix.do, finding.fix.columns) == ("drop", ["count"])


def test_it_blocks_where_it_is_nearly_certain():
    frame, y, draw = table("two")
    (finding,) = found(frame.with_columns(leak=pl.Series(y + 0.15 * draw.normal(size=ROWS))))
    assert finding.severity == "block"


def test_several_proxies_do_not_hide_one_another():
    frame, y, draw = table("two")
    noisy = {f"after{at}": y + 0.15 * draw.normal(size=ROWS) for at in range(3)}
    assert sorted((one.severity, *one.columns) for one in found(frame.with_columns(**noisy))) == [
        ("block", f"after{at}") for at in range(3)
    ]


def test_a_class_that_is_a_limit_on_a_column_is_a_warning():
    frame, _, _ = table("two")
    (finding,) = found(frame.with_columns(y=pl.when(pl.col("x0") > 0.3).then(pl.lit("yes")).otherwise(pl.lit("no"))))
    assert (finding.severity, finding.columns) == ("warn", ["x0"])


def test_a_strong_feature_that_goes_with_others_is_honest():
    frame, y, draw = table("two")
    assert found(frame.with_columns(strong=frame["x0"] * 0.8 + 1.5 * pl.Series(y + draw.normal(size=ROWS)))) == []


def test_a_time_along_which_the_target_moves_is_no_proxy():
    frame, y, draw = table("two")
    frame = frame.with_columns(day=pl.Series(y + 0.8 * draw.normal(size=ROWS)))
    moves = Finding(code="structure.time", severity="note", says="it moves", columns=["day"])
    assert found(frame, found=[moves]) == []


def test_a_column_that_leaks_in_a_finer_way_is_not_named_again():
    frame, y, draw = table("two")
    frame = frame.with_columns(leak=pl.Series(y + 0.8 * draw.normal(size=ROWS)))
    said = [Finding(code="leak.missingness", severity="warn", says="said", columns=["leak"])]
    assert found(frame, found=said) == []


def test_two_proxies_do_not_hide_each_other():
    frame, y, draw = table("two")
    both = {name: pl.Series(y + 0.8 * draw.normal(size=ROWS)) for name in ("one", "other")}
    assert {finding.columns[0] for finding in found(frame.with_columns(**both))} == {"one", "other"}


def test_nothing_without_a_target():
    assert list(proxy.check(*view(pl.DataFrame({"a": [1, 2, 3]})))) == []


def test_a_proxy_of_a_value_that_the_others_nearly_tell():
    """What it says in steps goes with the others, for they tell where within a step the target is.

    Folds are dealt by the cells' hashes, so the cells are rounded: the last bit of an exponential is the processor's.
    """
    draw, rows = np.random.default_rng(10), 4_000
    x = {f"x{at}": draw.normal(size=rows).round(6) for at in range(3)}
    value = (np.exp(0.7 * (x["x0"] + x["x1"])) + 0.4 * draw.normal(size=rows)).round(6)
    frame = pl.DataFrame({**x, "reading": (value + 0.25 * draw.normal(size=rows)).round(6), "y": value})
    table, target = view(frame, target="y")
    evidence_S, value_S = giveaway.signals(table.probe, "reading")
    assert not giveaway.apart(table.probe, "reading", evidence_S)
    assert giveaway.apart(table.probe, "reading", value_S)
    (finding,) = proxy.check(table, target)
    assert finding.columns == ["reading"]
