from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from forgeline.engine import columns, structure
from forgeline.engine.cells import Cells


def find(frame, **options):
    """What is found in a frame whose columns are settled as a snapshot's are."""
    frame, _ = columns.settle(frame, {}, {})
    return structure.find(frame, Cells(frame), **options)


def visits(entities=150, rows_each=8, *, seed=1, name="patient_id", shuffle=True):
    """Patients seen several times: some columns are constant within one, some vary around the patient's own."""
    draw = np.random.default_rng(seed)
    who_N = np.repeat(np.arange(entities), draw.integers(2, 2 * rows_each - 1, entities))
    code_E = draw.permutation(np.arange(10_000, 10_000 + 7 * entities, 7))
    own_E = draw.normal(size=(entities, 3))
    count = len(who_N)
    frame = pl.DataFrame(
        {
            name: code_E[who_N],
            "sex": draw.choice(["f", "m"], entities)[who_N],
            "age": draw.integers(20, 90, entities)[who_N],
            "pressure": own_E[who_N, 0] + draw.normal(size=count),
            "pulse": own_E[who_N, 1] + draw.normal(size=count),
            "weight": own_E[who_N, 2] + 0.3 * draw.normal(size=count),
            "ward": draw.choice(["a", "b", "c"], count),
            "noise": draw.normal(size=count),
        }
    )
    return frame[draw.permutation(count)] if shuffle else frame


def accounts(rows=8_000, branches=40, *, seed=2, name="branch"):
    """Customers of bank branches, 200 each: a category that decides the city and the region, and nothing more."""
    draw = np.random.default_rng(seed)
    branch_N = draw.integers(0, branches, rows)
    return pl.DataFrame(
        {
            name: [f"B{at:03d}" for at in branch_N],
            "city": [f"city {at // 2}" for at in branch_N],
            "region": [f"region {at // 10}" for at in branch_N],
            "age": draw.integers(18, 90, rows),
            "balance": draw.lognormal(8, 1, rows),
            "products": draw.integers(1, 5, rows),
            "active": draw.integers(0, 2, rows),
        }
    )


def series(rows=2_000, *, seed=3, step=timedelta(hours=1)):
    """A sensor's readings, hour by hour."""
    draw = np.random.default_rng(seed)
    level_N = np.cumsum(draw.normal(size=rows)) * 0.2
    return pl.DataFrame(
        {
            "taken": [datetime(2020, 1, 1) + at * step for at in range(rows)],
            "load": level_N + draw.normal(size=rows),
            "heat": np.roll(level_N, 5) + draw.normal(size=rows),
            "noise": draw.normal(size=rows),
        }
    )


# ---------------------------------------------------------------- entities


@pytest.mark.parametrize("name", ["patient_id", "who", "ID", "customerID"])
def test_entities_are_found_by_resemblance_whatever_their_name(name):
    found = find(visits(name=name))
    assert (found.group, found.by, found.time) == (name, name, "")
    assert found.group_sure >= 0.6
    assert found.entities == 150
    assert 6 <= found.rows_per_entity <= 10


def test_a_few_entities_of_many_rows_in_the_order_of_the_file():
    frame = visits(42, 60, name="c0", shuffle=False).with_columns(pl.col("c0").rank("dense") / 41)
    found = find(frame.sort("c0"))
    assert (found.group, found.time) == ("c0", "")


def test_students_who_come_twice_are_entities_by_their_name():
    draw = np.random.default_rng(4)
    frame = visits(600, 2, name="id_student").filter(pl.Series(draw.random(len(visits(600, 2))) < 0.5))
    assert find(frame).group == "id_student"


def test_a_visit_goes_with_its_patient():
    frame = visits(100, 12)
    frame = frame.with_columns((pl.col("patient_id") * 10 + pl.int_range(pl.len()) % 3).alias("visit_id"))
    assert find(frame).group == "patient_id"


@pytest.mark.parametrize("name", ["branch", "who", "c3", "branch_id"])
def test_a_large_category_is_no_entity(name):
    assert find(accounts(name=name)).group == ""


@pytest.mark.parametrize("branches", [20, 100, 1000])
def test_categories_of_any_size_are_no_entities(branches):
    assert find(accounts(branches=branches)).group == ""


def test_ordinary_numbers_are_no_entities():
    draw = np.random.default_rng(5)
    age_N = draw.integers(18, 80, 3000)
    frame = {"age": age_N} | {f"x{at}": age_N * 0.1 + draw.normal(size=3000) for at in range(5)}
    assert find(pl.DataFrame(frame)).group == ""


def test_copies_are_counted_and_make_no_entities():
    draw = np.random.default_rng(6)
    plain = pl.DataFrame({f"x{at}": draw.integers(0, 300, 600) for at in range(6)})
    found = find(pl.concat([plain, plain.head(200)]))
    assert (found.group, found.copies) == ("", 200)


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_date_that_readings_follow_is_time(shuffle):
    frame = series()
    frame = frame.sample(fraction=1.0, shuffle=True, seed=1) if shuffle else frame
    found = find(frame)
    assert (found.time, found.by, found.group) == ("taken", "taken", "")
    assert found.time_sure >= 0.7
    assert found.moments == 2_000


def test_a_date_by_name_is_time():
    frame = accounts().with_columns(
        pl.Series("created_at", [datetime(2021, 1, 1) + timedelta(days=int(at * 7919 % 700)) for at in range(8000)])
    )
    assert find(frame).time == "created_at"


@pytest.mark.parametrize("name", ["timestamp", "x"])
def test_numbers_can_be_time(name):
    frame = series().with_columns((pl.int_range(pl.len()) * 3600 + 1_600_000_000).alias(name)).drop("taken")
    assert find(frame).time == name


@pytest.mark.parametrize("form", ["%d/%m/%Y %H:%M", "%Y%m%dT%H%M%S"])
def test_texts_that_spell_dates_are_time(form):
    assert find(series().with_columns(pl.col("taken").dt.strftime(form))).time == "taken"


@pytest.mark.parametrize("name", ["birth_date", "dob", "x"])
def test_a_date_of_birth_is_no_time(name):
    born = [datetime(1930, 1, 1) + timedelta(days=int(at * 7919 % 25_000)) for at in range(8000)]
    assert find(accounts().with_columns(pl.Series(name, born))).time == ""


def test_spans_and_counters_are_no_time():
    frame = accounts().with_columns(
        pl.int_range(pl.len()).alias("rownames"),
        (pl.int_range(pl.len()) * 7919 % 40).alias("lead_time"),
        (pl.int_range(pl.len()) * 31 % 12 + 1).alias("month"),
        (pl.int_range(pl.len()) * 17 % 100 + 1900).alias("year_built"),
    )
    found = find(frame)
    assert (found.time, found.row_order) == ("", 0)


def test_sorting_by_a_column_makes_no_time():
    draw = np.random.default_rng(8)
    price_N = np.sort(draw.normal(size=3000))
    frame = {"price": price_N} | {f"x{at}": price_N + draw.normal(size=3000) for at in range(4)}
    found = find(pl.DataFrame(frame))
    assert (found.time, found.row_order) == ("", 0)


def test_rows_in_an_order_that_no_column_tells():
    draw = np.random.default_rng(9)
    walk = np.cumsum(draw.normal(size=(3000, 4)), axis=0)
    frame = pl.DataFrame({f"x{at}": walk[:, at] for at in range(4)})
    assert find(frame).row_order >= 0.4
    assert find(frame[draw.permutation(3000)]).row_order == 0


# ---------------------------------------------------------------- both


def test_stations_stay_so_later_rows_are_the_test():
    draw = np.random.default_rng(10)
    station_N = np.tile(np.arange(25), 100)
    day_N = np.repeat(np.arange(100), 25)
    own = draw.normal(size=(25, 4))
    frame = {"date": [datetime(2022, 1, 1) + timedelta(days=int(at)) for at in day_N], "device_id": station_N + 100}
    frame |= {f"x{at}": own[station_N, at] + draw.normal(size=2500) for at in range(4)}
    found = find(pl.DataFrame(frame))
    assert (found.group, found.time, found.by) == ("device_id", "date", "date")
    assert found.panel
    assert found.persistence > 0.9


def test_patients_come_and_go_so_others_are_the_test():
    frame = visits(300, 4, shuffle=False)
    days = [datetime(2020, 1, 1) + timedelta(days=int(at)) for at in np.arange(frame.height) * 0.5]
    found = find(frame.with_columns(pl.Series("visit_date", days)))
    assert (found.group, found.time, found.by) == ("patient_id", "visit_date", "patient_id")
    assert found.persistence < 0.1


def test_odd_frames_and_names_are_answered():
    draw = np.random.default_rng(11)
    frame = pl.DataFrame(
        {
            "": [None] * 200,
            "count": [1] * 200,
            "row": draw.integers(0, 5, 200),
            "index": pl.Series(np.arange(200)).cast(pl.Float64).set(pl.Series(np.arange(200) % 3 == 0), float("inf")),
            "value": ["only"] * 199 + [None],
        },
        schema_overrides={"": pl.String},
    )
    assert find(frame).group == ""
    assert find(frame.head(3)) == structure.Structure()
    assert find(frame.select([])) == structure.Structure()


def test_the_same_answer_every_time():
    assert find(visits()) == find(visits())
