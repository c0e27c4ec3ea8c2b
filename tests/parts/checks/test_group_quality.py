import numpy as np
import polars as pl

from forgeline.parts.checks import group_quality
from forgeline.testing import view


def people(rows=2000, gap=None, flips=None, seed=2):
    """`gap`, `flips`: share of missing cells of `pay`, and of flipped labels, of each sex."""
    draw = np.random.default_rng(seed)
    sex = draw.choice(["f", "m"], rows)
    signal = draw.normal(size=rows)
    label = signal + 0.2 * draw.normal(size=rows) > 0
    flipped = draw.random(rows) < np.where(sex == "f", (flips or {}).get("f", 0), (flips or {}).get("m", 0))
    empty = draw.random(rows) < np.where(sex == "f", (gap or {}).get("f", 0), (gap or {}).get("m", 0))
    return pl.DataFrame(
        {
            "sex": sex,
            "signal": signal,
            "pay": pl.Series(draw.normal(size=rows)).set(pl.Series(empty), None),
            "y": np.where(label ^ flipped, "yes", "no"),
        }
    )


def check(frame, target="", protected=("sex",), **options):
    return list(group_quality.check(*view(frame, target=target, protected=protected), **options))


def test_cells_missing_more_often_for_one_group_are_found():
    (found,) = check(people(gap={"f": 0.2, "m": 0.02}))
    assert (found.code, found.severity, found.columns) == ("bias.missingness", "warn", ["sex", "pay"])
    assert found.numbers["low"] < found.numbers["difference"] < found.numbers["high"]
    assert "of f" in found.says
    assert (found.fix.do, found.fix.columns) == ("reweigh", ["sex"])


def test_a_smaller_difference_is_a_note_and_an_equal_share_nothing():
    assert [each.severity for each in check(people(gap={"f": 0.08}))] == ["note"]
    assert check(people(gap={"f": 0.2, "m": 0.2})) == []


def test_where_the_attribute_is_missing_too_is_no_group():
    frame = people().with_columns(
        sex=pl.when(pl.int_range(pl.len()) < 300).then(None).otherwise("sex"),
        pay=pl.when(pl.int_range(pl.len()) < 300).then(None).otherwise("pay"),
    )
    assert check(frame) == []


def test_equal_gaps_are_named_in_at_most_one_case_in_twenty():
    draw = np.random.default_rng(8)
    named = 0
    for _ in range(200):
        columns = {
            name: pl.Series(draw.normal(size=400)).set(pl.Series(draw.random(400) < 0.2), None) for name in "abc"
        }
        frame = pl.DataFrame({"g": draw.choice(list("vwxyz"), 400), **columns})
        named += bool(check(frame, protected=["g"], least_difference=0.0))
    assert named <= 17  # 5% of 200, and two standard errors


def test_flipped_labels_of_one_group_are_found():
    (found,) = check(people(4000, flips={"f": 0.1}), target="y")
    assert (found.code, found.columns) == ("bias.label_quality", ["sex"])
    assert found.numbers["low"] < 0.1 < found.numbers["high"]
    assert found.numbers["error m"] < 0.03


def test_labels_equally_good_or_bad_are_clean():
    assert check(people(4000), target="y") == []
    assert check(people(4000, flips={"f": 0.1, "m": 0.1}), target="y") == []


def test_nothing_is_said_of_the_labels_of_small_groups():
    assert check(people(500, flips={"f": 0.3}), target="y") == []
