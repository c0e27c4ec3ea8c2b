import numpy as np
import polars as pl
import pytest

from forgeline.engine import split

ROWS = pl.DataFrame(
    {
        "age": [31, 45, 31, None],
        "pay": [1.5, -0.0, 1.5, float("nan")],
        "city": ["Oslo", None, "Oslo", ""],
        "member": [True, False, True, None],
    }
)


def random_rows(count: int, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    return pl.DataFrame({"a": draw.normal(size=count), "b": draw.integers(0, 50, count).astype(str)})


def test_keys_are_the_same_on_every_machine_and_version():
    assert split.keys(ROWS, ROWS.columns).tolist() == [
        15202918263860800148,
        13358609051279050373,
        15202918263860800148,
        12081009435710741234,
    ]


def test_equal_rows_have_equal_keys_and_others_do_not():
    first, second, third, fourth = split.keys(ROWS, ROWS.columns)
    assert first == third
    assert len({first, second, fourth}) == 3


def test_the_order_of_columns_does_not_matter_but_their_names_do():
    frame = pl.DataFrame({"a": [1, 2], "b": [2, 1]})
    assert (split.keys(frame, ["a", "b"]) == split.keys(frame, ["b", "a"])).all()
    assert split.keys(frame, ["a", "b"])[0] != split.keys(frame, ["a", "b"])[1]


def test_a_number_has_one_key_whatever_its_type():
    as_integer, as_float = pl.DataFrame({"a": [3, 0, 1]}), pl.DataFrame({"a": [3.0, -0.0, 1.0]})
    assert (split.keys(as_integer, ["a"]) == split.keys(as_float, ["a"])).all()
    assert split.keys(pl.DataFrame({"a": [True]}), ["a"])[0] == split.keys(as_integer, ["a"])[2]


def test_nan_is_missing_and_missing_is_neither_zero_nor_empty_text():
    assert (
        split.keys(pl.DataFrame({"a": [float("nan")]}), ["a"]) == split.keys(pl.DataFrame({"a": [None, 1.0]}), ["a"])[0]
    )
    assert len(set(split.keys(pl.DataFrame({"a": [None, 0]}), ["a"]))) == 2
    assert len(set(split.keys(pl.DataFrame({"a": [None, ""]}), ["a"]))) == 2


def test_integers_beyond_what_a_float_holds_stay_apart():
    large = pl.DataFrame({"a": [2**53, 2**53 + 1, 2**53 + 2, 2**63 - 1, 2**63 - 2, -(2**63)]})
    assert len(set(split.keys(large, ["a"]))) == 6


def test_texts_have_equal_keys_exactly_when_they_are_equal():
    texts = ["a", None, "", "A", "a ", "å", "a", "\u0000", None, "a" * 10_000]
    found = split.keys(pl.DataFrame({"a": texts}), ["a"])
    assert (found[:, None] == found).tolist() == [[one == other for other in texts] for one in texts]


def test_holdout_takes_its_share_and_does_not_lean_on_other_rows():
    frame = random_rows(20_000)
    side = split.holdout(frame, ["a", "b"], 0.2, "")
    assert side.dtype == np.uint8
    assert abs(side.mean() - 0.2) < 0.012  # four standard errors
    grown = pl.concat([frame, random_rows(5_000, seed=1)])
    assert (split.holdout(grown, ["a", "b"], 0.2, "")[:20_000] == side).all()


def test_a_larger_share_keeps_the_rows_of_a_smaller_one():
    frame = random_rows(2_000)
    small, large = (split.holdout(frame, ["a", "b"], share, "") for share in (0.1, 0.3))
    assert (large >= small).all()


def test_groups_stay_together_and_rows_without_one_stand_alone():
    frame = random_rows(2_000).with_columns(pl.when(pl.col("b") < "3").then("b").alias("group"))
    side = split.holdout(frame, ["a", "b"], 0.3, "group")
    sides = frame.with_columns(side=side).group_by("group").agg(pl.col("side").n_unique())
    assert dict(sides.iter_rows()).pop(None) == 2
    assert sides.drop_nulls()["side"].max() == 1


def test_a_date_column_seals_the_last_rows_and_ties_stay_in_training():
    times = pl.Series([5, 1, 9, 9, None, 3, 7, 2, 4, 9]).cast(pl.Datetime("us"))
    side = split.last(pl.Series(times).to_physical(), 0.34)
    assert side.tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0, 1]
    side = split.last(pl.Series(times).to_physical(), 0.23)
    assert side.sum() == 0  # the boundary falls among the nines


def test_folds_are_even_in_every_class():
    key, stratum = np.arange(103, dtype=np.uint64) * 7919 % 104729, np.arange(103) % 3
    fold = split.folds(key, stratum, 5)
    counts = np.array([np.bincount(fold[stratum == each], minlength=5) for each in range(3)])
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()
    assert np.ptp(np.bincount(fold)) <= 1


def test_folds_follow_the_key_and_not_the_order_of_rows():
    draw = np.random.default_rng(3)
    key = draw.integers(0, 40, 400).astype(np.uint64)
    stratum = (key % 2).astype(int)
    fold, order = split.folds(key, stratum, 4), draw.permutation(400)
    assert (split.folds(key[order], stratum[order], 4) == fold[order]).all()
    assert all(len(set(fold[key == each])) == 1 for each in np.unique(key))


def test_a_key_counts_for_the_class_most_of_its_rows_are_in():
    position, stratum = np.array([0, 0, 0, 1, 1]), np.array([9, 4, 9, 9, 4])
    assert split.main_stratum(position, stratum).tolist() == [1, 0]


def test_strata_of_a_number_are_its_quantiles():
    assert split.strata(np.arange(100.0), 4).tolist() == [0] * 25 + [1] * 25 + [2] * 25 + [3] * 25
    assert split.strata(np.array([0.0] * 9 + [1.0]), 2).tolist() == [1] * 10  # ties are never torn


@pytest.mark.parametrize(
    ("times", "fold"),
    [([3, 1, 2, 4], [1, 0, 0, 1]), ([1, 1, 1, 2], [0, 0, 0, 1]), ([7, 7], [0, 0])],
)
def test_blocks_are_contiguous_in_time_and_keep_ties(times, fold):
    assert split.blocks(np.array(times), 2).tolist() == fold
