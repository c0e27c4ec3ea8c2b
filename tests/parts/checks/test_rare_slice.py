import numpy as np
import polars as pl

from forgeline import records, testing
from forgeline.parts.checks import rare_slice
from forgeline.testing import view


def shops(odd):
    """Two common shops and two rare ones; in `odd` the answer is the other way round."""
    draw = np.random.default_rng(1)
    shop_N = draw.choice(["north", "south", "island", "harbour"], 3000, p=[0.5, 0.48, 0.01, 0.01])
    x_N = draw.normal(size=3000)
    y_N = (x_N + 0.3 * draw.normal(size=3000) > 0) ^ (shop_N == odd)
    return pl.DataFrame({"x": x_N, "shop": shop_N, "y": np.where(y_N, "yes", "no")})


def test_a_rare_value_with_its_own_rules_is_found():
    table, target = view(shops("island"), target="y")
    (found,) = rare_slice.check(table, target, least_z=2.0)
    assert (found.code, found.columns) == ("quality.rare_slice", ["shop"])
    assert found.says.startswith("shop = island")
    assert set(table.keep_rows.kept[-1][0]) == set(np.flatnonzero(table.all["shop"].to_numpy() == "island"))


def test_a_rare_value_that_behaves_like_the_rest_is_clean():
    assert not list(rare_slice.check(*view(shops(""), target="y"), least_z=2.0))


def towns(outcome, told=False):
    """Three common towns, and thirty of six rows each, whose outcome is `outcome` of their numbers."""
    draw = np.random.default_rng(2)
    town_N = draw.choice(["Leeds", "York", "Hull"], 2000).astype("<U12")
    small_N = np.repeat(np.arange(30), 6)
    town_N[:180] = np.array([f"village {number}" for number in range(30)])[small_N]
    y_N = draw.random(2000) < 0.4
    y_N[:180] = outcome(small_N, draw)
    x_N = y_N + 0.01 * draw.normal(size=2000) if told else draw.normal(size=2000)
    return pl.DataFrame({"x": x_N, "town": town_N, "y": np.where(y_N, "yes", "no")})


def test_a_value_whose_own_rules_the_model_learns_is_found_by_what_it_says_elsewhere():
    draw = np.random.default_rng(4)
    shop_N = np.where(np.arange(6000) < 110, "island", draw.choice(["north", "south"], 6000))
    x_N = draw.normal(size=6000)
    y_N = (x_N + 0.3 * draw.normal(size=6000) > 0.5) ^ (shop_N == "island")
    frame = pl.DataFrame({"x": x_N, "shop": shop_N, "y": np.where(y_N, "yes", "no")})
    table, target = view(frame, target="y")
    learnt = [one for one in rare_slice.check(table, target) if one.says.startswith("shop = island")]
    assert len(learnt) == 1
    assert set(table.keep_rows.kept[-1][0]) == set(range(110))
    assert not list(rare_slice.check(*view(frame.with_columns(y=pl.Series(x_N > 0.5).cast(pl.String)), target="y")))


def test_small_values_of_one_outcome_each_are_found_together():
    table, target = view(towns(lambda small_N, draw: small_N % 5 < 2), target="y")
    (found,) = rare_slice.check(table, target)
    assert (found.columns, found.severity, found.numbers["values"]) == (["town"], "warn", 30)
    assert set(table.keep_rows.kept[-1][0]) == set(range(180))


def test_they_are_a_note_where_other_columns_tell_their_outcome():
    (found,) = rare_slice.check(*view(towns(lambda small_N, draw: small_N % 5 < 2, told=True), target="y"))
    assert (found.columns, found.severity) == (["town"], "note")


def test_small_values_like_the_rest_are_clean():
    assert not list(rare_slice.check(*view(towns(lambda small_N, draw: draw.random(180) < 0.4), target="y")))


def test_names_of_entities_are_no_slices():
    frame = towns(lambda small_N, draw: small_N % 5 < 2)
    for code in ("structure.group", "structure.time"):
        known = records.Finding(code=code, severity="note", says="-", columns=["town"])
        assert not list(rare_slice.check(*view(frame, target="y", found=[known])))
    many = pl.concat([frame[:180], frame[180:230]])  # most rows lie in small values
    assert not list(rare_slice.check(*view(many, target="y")))


def test_small_values_of_other_sizes_of_a_number_are_found():
    frame = towns(lambda small_N, draw: small_N % 5 < 2)
    y_N = np.random.default_rng(3).normal(size=2000) + 3 * (frame["y"].to_numpy() == "yes") * (np.arange(2000) < 180)
    (found,) = rare_slice.check(*view(frame.with_columns(y=y_N), target="y"))
    assert found.columns == ["town"]


def test_it_keeps_the_contract():
    testing.check_check(rare_slice)


def test_dates_and_numbers_that_are_text_are_no_slices():
    frame = towns(lambda small_N, draw: small_N % 5 < 2)
    few = np.arange(2000) < 180
    number_N = np.where(few, np.arange(2000) // 6, 100 + np.arange(2000) % 3)
    for form in ("{}.5", "{}/01/2020"):
        texts = [form.format(number) for number in number_N[:-40]] + ["?!"] * 40
        assert not list(rare_slice.check(*view(frame.with_columns(town=pl.Series(texts)), target="y"))), form
