from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from forgeline import mending, testing
from forgeline.parts.checks import bad_date
from forgeline.testing import view

ROWS = 400
START = datetime(2020, 1, 1)
DRAW = np.random.default_rng(6)
DAYS = [START + timedelta(days=int(day), hours=int(day) % 24) for day in DRAW.integers(0, 700, ROWS)]
BIRTHS = [datetime(1930, 1, 1) + timedelta(days=int(day)) for day in DRAW.integers(0, 80 * 365, ROWS)]


@pytest.mark.parametrize(
    "wrong",
    [datetime(1900, 1, 1), datetime(1970, 1, 1), datetime(2999, 12, 31), datetime(1, 1, 1), datetime(2038, 1, 19)],
)
@pytest.mark.parametrize("every", [100, 20, 5])
def test_dates_far_from_all_others_are_found_and_mended(wrong, every):
    values = [wrong if at % every == 0 else day for at, day in enumerate(DAYS)]
    table, _ = view(pl.DataFrame({"seen": values}))
    (found,) = bad_date.check(table, None)
    assert (found.code, found.columns, found.severity) == ("quality.date", ["seen"], "warn")
    rows = list(range(0, ROWS, every))
    assert table.keep_rows.kept[-1][0].tolist() == rows
    assert mending.mended(table.all, found.fix)["seen"].is_null().arg_true().to_list() == rows


def test_a_filler_among_births_is_found():
    values = [datetime(1900, 1, 1) if at % 20 == 0 else day for at, day in enumerate(BIRTHS)]
    (found,) = bad_date.check(*view(pl.DataFrame({"born": values})))
    assert found.numbers["cells"] == ROWS // 20


def test_years_too_late_are_found_each_by_itself():
    values = [day.replace(year=day.year + 40, day=1) if at % 20 == 0 else day for at, day in enumerate(DAYS)]
    table, _ = view(pl.DataFrame({"seen": values}))
    assert list(bad_date.check(table, None))
    assert table.keep_rows.kept[-1][0].tolist() == list(range(0, ROWS, 20))


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ("%Y-%m-%d", "2021-02-31"),
        ("%Y-%m-%d", "2021-13-01"),
        ("%Y-%m-%d", "0000-00-00"),
        ("%d/%m/%Y", "31/02/2021"),
        ("%m/%d/%Y", "02/30/2021"),
        ("%d.%m.%Y", "99.99.2020"),
        ("%Y%m%dT000000", "20210231T000000"),
    ],
)
def test_days_that_do_not_exist_are_found(form, wrong):
    values = [wrong if at % 20 == 0 else day.strftime(form) for at, day in enumerate(DAYS)]
    table, _ = view(pl.DataFrame({"seen": values}))
    (found,) = bad_date.check(table, None)
    assert wrong in found.says
    assert table.keep_rows.kept[-1][0].tolist() == list(range(0, ROWS, 20))


def test_an_end_before_its_start_is_found():
    ends = [day + timedelta(days=int(stay)) for day, stay in zip(DAYS, DRAW.integers(0, 15, ROWS), strict=True)]
    starts = list(DAYS)
    for row in (7, 77, 177):
        starts[row], ends[row] = ends[row] + timedelta(days=2), starts[row]
    table, _ = view(pl.DataFrame({"left": ends, "came": starts}))
    (found,) = bad_date.check(table, None)
    assert found.columns == ["came", "left"]
    assert table.keep_rows.kept[-1][0].tolist() == [7, 77, 177]


@pytest.mark.parametrize(
    "columns",
    [
        {"seen": DAYS},
        {"born": BIRTHS},
        {"seen": DAYS, "born": BIRTHS},
        {"one": DAYS, "another": DAYS[::-1]},
        {"text": [day.strftime("%m/%d/%Y") for day in DAYS]},
        {"month": [["2020-01", "2020-02"][at % 2] for at in range(ROWS)]},
        {"phone": [f"{200 + at}-{1000 + at}" for at in range(ROWS)]},
        {"since": [START - timedelta(days=int(day)) for day in np.exp(DRAW.normal(5, 1.3, ROWS))]},
    ],
)
def test_honest_dates_are_clean(columns):
    assert not list(bad_date.check(*view(pl.DataFrame(columns))))


def test_it_keeps_the_contract():
    testing.check_check(bad_date)
