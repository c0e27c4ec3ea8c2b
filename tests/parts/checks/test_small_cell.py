import polars as pl

from forgeline.parts.checks import small_cell
from forgeline.testing import view


def check(frame, protected, **options):
    return list(small_cell.check(*view(frame, protected=protected), **options))


def test_groups_too_small_to_judge_are_named():
    frame = pl.DataFrame({"race": ["a"] * 200 + ["b"] * 29 + ["c"] * 4})
    (found,) = check(frame, ["race"])
    assert (found.code, found.severity, found.columns) == ("bias.small_cell", "note", ["race"])
    assert "c (4), b (29)" in found.says
    assert (found.numbers["cells"], found.numbers["rows"], found.numbers["rows b"]) == (2, 33, 29)
    assert check(frame, ["race"], least_rows=4) == []


def test_groups_of_thirty_rows_are_clean():
    assert check(pl.DataFrame({"race": ["a"] * 200 + ["b"] * 30 + [None] * 5}), ["race"]) == []


def test_an_intersection_is_named_only_where_its_groups_are_large_enough():
    frame = pl.DataFrame(
        {
            "sex": ["f"] * 110 + ["m"] * 110,
            "race": ["x"] * 100 + ["y"] * 10 + ["x"] * 50 + ["y"] * 57 + ["z"] * 3,
        }
    )
    race, both = check(frame, ["sex", "race"])
    assert race.columns == ["race"]
    assert (both.columns, both.numbers["cells"], both.numbers["rows sex × race = f × y"]) == (["sex", "race"], 1, 10)


def test_many_small_groups_are_one_finding():
    frame = pl.DataFrame({"place": [f"town {at // 3}" for at in range(300)]})
    (found,) = check(frame, ["place"])
    assert found.numbers["cells"] == 100
    assert "and 92 more" in found.says
