import polars as pl

from forgeline.parts.checks import missing
from forgeline.testing import view


def test_gaps_are_counted_and_judged_by_their_share():
    frame = pl.DataFrame({"few": [1, None, 3, 4], "many": [None, None, None, "a"], "full": [1, 2, 3, 4]})
    few, many = missing.check(*view(frame))
    assert (few.columns, few.severity, few.numbers) == (["few"], "note", {"missing": 1, "share": 0.25})
    assert (many.columns, many.severity, many.fix) == (["many"], "warn", None)
    assert few.says == "few is missing in 1 of 4 rows (25.0%)"


def test_a_column_of_nothing_is_to_be_dropped():
    (found,) = missing.check(*view(pl.DataFrame({"a": [1, 2], "b": pl.Series([None, None], dtype=pl.String)})))
    assert (found.severity, found.fix.do, found.fix.columns) == ("warn", "drop", ["b"])


def test_the_threshold_is_an_option():
    (found,) = missing.check(*view(pl.DataFrame({"a": [1, None, 3, 4]})), warn_above=0.2)
    assert found.severity == "warn"


def test_full_columns_are_clean():
    assert not list(missing.check(*view(pl.DataFrame({"a": [0, 1], "b": ["x", "y"]}))))


def test_the_rows_are_named_up_to_a_number():
    table, _ = view(pl.DataFrame({"a": [1, None, None, 4, 5, 6]}))
    (found,) = missing.check(table, None)
    assert found.rows.count == 2
    assert table.keep_rows.kept[-1][0].tolist() == [1, 2]
    (found,) = missing.check(table, None, most_rows=1)
    assert found.rows.count == 2
    assert len(table.keep_rows.kept) == 1
