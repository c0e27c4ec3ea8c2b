from dataclasses import replace

import numpy as np
import polars as pl

from forgeline.engine.structure import Structure
from forgeline.parts.checks import split_leaks
from forgeline.testing import view

GROUP = Structure(group="who", group_sure=0.9)
TIME = Structure(time="when", time_sure=0.9)


def patients(effect=1.0, *, seed=1, entities=120, rows_each=8):
    """The target hangs on the patient, whom the features give away, and on one feature that tells of others, too."""
    draw = np.random.default_rng(seed)
    who_N = np.repeat(np.arange(entities), rows_each)
    own_E, effect_E = draw.normal(size=(entities, 3)), effect * draw.normal(size=entities)
    x_N = draw.normal(size=len(who_N))
    frame = {f"own{at}": own_E[who_N, at] + 0.1 * draw.normal(size=len(who_N)) for at in range(3)}
    y_N = effect_E[who_N] + x_N + 0.5 * draw.normal(size=len(who_N))
    return pl.DataFrame({"who": who_N, "x": x_N} | frame | {"y": y_N > 0})


def readings(drift=1.0, *, seed=2, rows=1500):
    """What a feature says of the target turns around in time."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 3))
    angle_N = drift * np.linspace(0, np.pi, rows)
    y_N = np.cos(angle_N) * x[:, 0] + np.sin(angle_N) * x[:, 1] + 0.5 * draw.normal(size=rows)
    return pl.DataFrame({"when": np.arange(rows)} | {f"x{at}": x[:, at] for at in range(3)} | {"y": y_N})


def found(frame, structure, **more):
    table, target = view(frame, target="y", structure=structure, **more)
    return list(split_leaks.check(table, target))


def test_the_name_of_an_entity_that_was_not_seen_tells_nothing():
    """Entities of one class have more rows each, which the place of a name among all names would tell."""
    draw = np.random.default_rng(3)
    kind_E = np.arange(90) % 2
    who_N = np.repeat(np.arange(90), np.where(kind_E, 14, 6))
    rows = len(who_N)
    y_N = draw.random(rows) < np.where(kind_E[who_N], 0.9, 0.1)
    frame = pl.DataFrame({"who": [f"P{at:03d}" for at in who_N], "x": draw.normal(size=rows), "y": y_N})
    (finding,) = found(frame, GROUP)
    assert 0.4 < finding.numbers["honest"] < 0.6 < finding.numbers["random"]


def test_a_split_that_tears_entities_apart_blocks():
    (finding,) = found(patients(), GROUP)
    assert (finding.code, finding.severity, finding.columns) == ("leak.group", "block", ["who"])
    numbers = finding.numbers
    assert numbers["inflation"] >= 0.05
    assert numbers["low"] <= numbers["inflation"] <= numbers["high"]
    assert np.isclose(numbers["random"] - numbers["honest"], numbers["inflation"])
    assert finding.fix.columns == ["who"]


def test_a_split_by_entity_says_what_a_random_one_would_have_shown():
    (finding,) = found(patients(), GROUP, group="who")
    assert (finding.code, finding.severity) == ("leak.group", "note")
    assert finding.numbers["inflation"] >= 0.05


def test_a_split_that_mixes_the_times_blocks():
    (finding,) = found(readings(), TIME)
    assert (finding.code, finding.severity, finding.columns) == ("leak.time", "block", ["when"])
    assert finding.numbers["inflation"] >= 0.05
    (finding,) = found(readings(), TIME, time="when")
    assert finding.severity == "note"


def test_structure_without_effect_is_a_note():
    assert [one.severity for one in found(patients(0.0), GROUP)] == ["note"]
    assert [one.severity for one in found(readings(0.0), TIME)] == ["note"]


def test_structure_that_is_less_sure_is_a_warning_where_it_has_an_effect():
    doubted = replace(GROUP, group_sure=0.7)
    assert [one.severity for one in found(patients(), doubted)] == ["warn"]
    assert not found(patients(0.0), doubted)


def test_an_effect_that_cannot_be_measured_is_a_warning():
    frame = readings().with_columns(y=(pl.col("when") < 150) & (pl.col("y") > 0))
    (finding,) = found(frame, TIME)
    assert (finding.code, finding.severity, finding.numbers) == ("leak.time", "warn", {})
    assert "cannot be measured" in finding.says


def test_an_effect_that_hangs_on_few_entities_is_a_warning():
    draw = np.random.default_rng(4)
    who_N = np.repeat(np.arange(60), 8)
    y_N = (who_N % 30 == 7) | (draw.random(len(who_N)) < 0.02)
    own_N = draw.normal(size=60)[who_N] + 0.01 * draw.normal(size=len(who_N))
    frame = pl.DataFrame({"who": who_N, "own": own_N, "x": draw.normal(size=len(who_N)), "y": y_N})
    (finding,) = found(frame, GROUP)
    assert finding.severity == "warn"
    assert finding.numbers["low"] < 0 < 0.1 < finding.numbers["inflation"]


def test_a_test_file_with_entities_or_moments_of_the_training_rows():
    frame = patients(entities=300)
    half = pl.Series(np.arange(frame.height) % 2 == 0)
    table, target = view(frame.filter(half), target="y", structure=GROUP, group="who")
    table = replace(table, test=frame.filter(~half).drop("y"))
    (finding,) = split_leaks.check(table, target)
    assert (finding.code, finding.severity) == ("leak.group", "block")
    assert "100%" in finding.says
    table = replace(table, test=frame.with_columns(pl.col("who") + 1000).drop("y"))
    (finding,) = split_leaks.check(table, target)
    assert finding.severity == "note"


def test_a_test_file_of_later_rows_is_clean():
    frame = readings()
    table, target = view(frame.head(1000), target="y", structure=TIME)
    (finding,) = split_leaks.check(replace(table, test=frame.tail(500).drop("y")), target)
    assert finding.severity == "note"
    (finding,) = split_leaks.check(replace(table, test=frame.sample(500, seed=1).drop("y")), target)
    assert finding.severity == "block"


def test_without_structure_or_target_nothing_is_said():
    assert not found(patients(0.0), Structure())
    assert not list(split_leaks.check(*view(patients(), structure=GROUP)))


def test_what_only_the_target_shows_is_a_warning():
    (finding,) = found(patients(), Structure())
    assert (finding.code, finding.severity, finding.columns) == ("leak.group", "warn", ["who"])
    assert finding.numbers["inflation"] >= 0.05
    assert [one.severity for one in found(patients(), Structure(), group="who")] == ["note"]
    frame = readings()
    level_N = np.linspace(0, 2, frame.height)
    (finding,) = found(
        frame.with_columns(pl.col("when") * 86_400 + 1_500_000_000, y=pl.col("y") + level_N), Structure()
    )
    assert (finding.code, finding.severity, finding.columns) == ("leak.time", "warn", ["when"])
