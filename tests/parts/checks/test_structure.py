import numpy as np
import polars as pl
import pytest

from forgeline.engine.structure import Structure
from forgeline.parts.checks import structure
from forgeline.testing import view

FRAME = pl.DataFrame({"who": [1, 1, 2, 2], "when": np.arange(4), "x": np.ones(4)})


def found(force="", **facts):
    group, time = (force if force == name else "" for name in ("who", "when"))
    table, target = view(FRAME, structure=Structure(**facts), group=group, time=time)
    return list(structure.check(table, target))


def test_entities_and_time_are_noted_with_the_split_that_follows():
    who = {"group": "who", "group_sure": 0.9, "entities": 2, "rows_per_entity": 2.0, "resemblance": 0.3}
    group, time = found("who", **who, time="when", time_sure=0.8, moments=4, persistence=0.5)
    assert (group.code, group.severity, group.columns) == ("structure.group", "note", ["who"])
    assert group.numbers == {"sure": 0.9, "entities": 2, "rows_per_entity": 2.0, "resemblance": 0.3}
    assert (group.fix.do, group.fix.columns) == ("split", ["who"])
    assert "the split follows it" in group.says
    assert (time.code, time.severity, time.columns) == ("structure.time", "note", ["when"])
    assert time.numbers == {"sure": 0.8, "moments": 4, "persistence": 0.5}
    assert "the split goes by who" in time.says


def test_what_the_split_ignores_is_said():
    (time,) = found(time="when", time_sure=0.8, moments=4)
    assert "the split does not follow it" in time.says


def test_an_order_of_rows_that_no_column_tells():
    (time,) = found(row_order=0.6)
    assert (time.code, time.columns, time.fix) == ("structure.time", [], None)
    assert time.numbers == {"resemblance": 0.6}


def planted(share=0.05, *, rows=3000, classes=0, seed=3, text=False, own=True):
    """Entities of 3 to 10 rows and dates, each of which explains that share of the target's variance."""
    draw = np.random.default_rng(seed)
    y_N = draw.normal(size=rows)
    if classes:
        y_N = np.digitize(y_N, np.quantile(y_N, np.arange(1, classes) / classes)).astype(float)
    entity_N, day_N = np.empty(rows, int), np.empty(rows, int)
    order_N = np.argsort(share**0.5 * y_N / y_N.std() + (1 - share) ** 0.5 * draw.normal(size=rows))
    entity_N[order_N] = np.repeat(np.arange(rows), draw.integers(3, 11, rows))[:rows]
    order_N = np.argsort(share**0.5 * y_N / y_N.std() + (1 - share) ** 0.5 * draw.normal(size=rows))
    day_N[order_N] = np.sort(draw.integers(0, 1000, rows))
    names_E = draw.permutation(90_000)[:rows] + 10_000
    frame = {
        "zzz": [f"P{one}" for one in names_E[entity_N]] if text else names_E[entity_N],
        "booked": pl.Series(day_N * 86_400_000_000 + 1_500_000_000_000_000).cast(pl.Datetime("us")),
        "age": draw.integers(18, 90, rows),
        "other": draw.normal(size=rows),
        "y": [f"class {one:.0f}" for one in y_N] if classes else y_N,
    }
    return pl.DataFrame(frame | ({"own": draw.normal(40, 12, rows).round(1)[entity_N]} if own else {}))


def in_target(frame, **more):
    table, target = view(frame, target="y", test=range(0, frame.height, 5), structure=Structure(), **more)
    return list(structure.check(table, target))


@pytest.mark.parametrize(
    "asked",
    [{}, {"classes": 2}, {"classes": 4, "own": False, "share": 0.2}, {"text": True}, {"share": 0.2, "own": False}],
)
def test_what_shows_in_the_target_alone(asked):
    group, time = in_target(planted(**asked))
    assert (group.code, group.severity, group.columns[0]) == ("structure.group", "note", "zzz")
    assert group.columns[1:] == (["own"] if asked.get("own", True) else [])
    assert group.numbers["sure"] < 0.8
    assert group.numbers["effect"] >= 0.02
    assert (group.fix.do, group.fix.columns) == ("split", ["zzz"])
    assert '[split] by = "zzz" would' in group.says
    assert (time.code, time.severity, time.columns) == ("structure.time", "note", ["booked"])
    assert time.numbers["sure"] < 0.8
    assert 0.005 <= time.numbers["effect"] <= 0.4
    assert '[split] by = "booked"' in time.says


def test_without_effect_nothing_shows_in_the_target():
    for seed in range(5):
        assert not in_target(planted(0.0, seed=seed))


def test_ordinary_numbers_and_places_are_no_entities():
    draw = np.random.default_rng(5)
    reading_N = draw.integers(0, 400, 3000)
    town_N = draw.integers(0, 300, 3000)
    frame = pl.DataFrame(
        {
            "reading": reading_N,
            "rounded": (draw.gamma(2, 40, 3000)).round(),
            "zip code": 10_000 + 7 * town_N,
            "city": [f"town {one}" for one in town_N],
            "birth_date": pl.Series(reading_N * 86_400_000_000).cast(pl.Datetime("us")),
            "month": draw.integers(1, 13, 3000),
        }
    )
    effect_T = draw.normal(size=300)
    assert not in_target(
        frame.with_columns(y=np.sin(reading_N / 60) + pl.Series(effect_T[town_N] + 0.5 * draw.normal(size=3000)))
    )


def test_copies_are_alike_for_another_reason():
    frame = planted(0.0, own=False).drop("booked")
    assert not in_target(pl.concat([frame.head(1000).with_columns(zzz=pl.arange(1000))] * 3))


def test_a_split_by_what_the_target_shows():
    group, time = in_target(planted(), group="zzz")
    assert "the split follows it" in group.says
    assert "the split goes by zzz" in time.says


def test_rows_without_structure_are_clean():
    assert not found()
    assert not list(structure.check(*view(FRAME)))
