from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from forgeline import partition, spec
from forgeline.engine.rows import Held
from forgeline.engine.structure import Structure
from forgeline.errors import BadInput

ROWS = 400
FRAME = pl.DataFrame(
    {
        "patient": [f"p{at // 4}" for at in range(ROWS)],
        "when": [datetime(2020, 1, 1) + timedelta(days=at) for at in range(ROWS)],
        "x": np.random.default_rng(0).normal(size=ROWS),
        "y": ["a", "b"] * (ROWS // 2),
    }
)
KINDS = {"patient": "category", "when": "date", "x": "number", "y": "category"}
FACTS = SimpleNamespace(
    target="y",
    weight="",
    keep=[],
    classes=["a", "b"],
    columns=[SimpleNamespace(name=name, kind=kind) for name, kind in KINDS.items()],
)
BOTH = Structure(
    group="patient", group_sure=0.9, time="when", time_sure=0.9, entities=100, rows_per_entity=4.0, by="patient"
)


def parted(by="", found=BOTH, **split):
    return partition.part(spec.Split(by=by, **split), FACTS, Held(FRAME), found)


def test_found_entities_stay_whole_and_the_record_says_that_nobody_asked():
    found = parted()
    sides = pl.DataFrame({"patient": FRAME["patient"], "side": found.side_N}).group_by("patient").n_unique()
    assert (sides["side"] == 1).all()
    assert (found.group, found.time) == ("patient", "")
    assert "nobody asked for it" in found.how


def test_found_time_gives_the_last_rows():
    found = parted(found=Structure(time="when", time_sure=0.9, by="when"))
    assert found.side_N.tolist() == [0] * 320 + [1] * 80
    assert (found.group, found.time) == ("", "when")


@pytest.mark.parametrize(
    ("by", "found", "group", "time"),
    [
        ("none", BOTH, "", ""),
        ("when", BOTH, "", "when"),
        ("patient", Structure(), "patient", ""),
        ("", Structure(group="patient", group_sure=0.7, by="patient"), "", ""),
        ("", Structure(), "", ""),
    ],
)
def test_what_is_asked_goes_before_what_is_found_and_a_doubt_is_not_followed(by, found, group, time):
    result = parted(by, found)
    assert (result.group, result.time) == (group, time)
    assert "nobody asked" not in result.how


def test_a_test_file_sets_nothing_aside():
    assert not parted(file="t.csv").side_N.any()


def test_a_column_that_is_not_there():
    with pytest.raises(BadInput, match="Did you mean patient"):
        parted("patiant")
