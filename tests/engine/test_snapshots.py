import json
import stat

import numpy as np
import polars as pl
import pytest

from forgeline.engine import snapshots
from forgeline.engine.rows import Held, OnDisk, spilled
from forgeline.errors import BadInput

FRAME = pl.DataFrame({"a": [1, None], "s": ["x", "ü"]})


def test_put_and_get(tmp_path):
    digest = snapshots.put(tmp_path, Held(FRAME), {"rows": 2})
    assert snapshots.get(tmp_path, digest).equals(FRAME)
    assert snapshots.manifest(tmp_path, digest) == {"rows": 2}
    assert sorted(file.name for file in (tmp_path / digest).iterdir()) == ["data.parquet", "manifest.json"]
    assert [folder.name for folder in tmp_path.iterdir()] == [digest]


def test_files_are_read_only(tmp_path):
    digest = snapshots.put(tmp_path, Held(FRAME), {})
    for file in (tmp_path / digest).iterdir():
        assert not file.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


def test_never_stored_twice(tmp_path):
    digest = snapshots.put(tmp_path, Held(FRAME), {"first": True})
    before = (tmp_path / digest / "data.parquet").stat().st_mtime_ns
    chunked = pl.concat([FRAME[:1], FRAME[1:]], rechunk=False)
    assert snapshots.put(tmp_path, Held(chunked), {"first": False}) == digest
    assert (tmp_path / digest / "data.parquet").stat().st_mtime_ns == before
    assert json.loads((tmp_path / digest / "manifest.json").read_text()) == {"first": True}


def test_same_bytes_for_the_same_rows(tmp_path):
    chunked = pl.concat([FRAME[:1], FRAME[1:]], rechunk=False)
    digest = snapshots.put(tmp_path / "one", Held(FRAME), {"b": 1, "a": 2})
    snapshots.put(tmp_path / "two", Held(chunked), {"a": 2, "b": 1})
    for name in ("data.parquet", "manifest.json"):
        one, two = ((tmp_path / folder / digest / name).read_bytes() for folder in ("one", "two"))
        assert one == two


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        snapshots.put(tmp_path, Held(FRAME), {"not json": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"junk", b"", None])
def test_corrupted(tmp_path, damage):
    digest = snapshots.put(tmp_path, Held(FRAME), {})
    data = tmp_path / digest / "data.parquet"
    data.unlink()
    if damage is not None:
        data.write_bytes(damage)
    with pytest.raises(BadInput, match="corrupted snapshot") as error:
        snapshots.get(tmp_path, digest)
    assert "Delete that folder" in str(error.value)


@pytest.mark.parametrize("other", [FRAME[::-1], FRAME.rename({"a": "b"}), FRAME.cast({"a": pl.Int8})])
def test_other_rows_under_its_name(tmp_path, other):
    digest = snapshots.put(tmp_path, Held(FRAME), {})
    (tmp_path / digest / "data.parquet").unlink()
    other.write_parquet(tmp_path / digest / "data.parquet")
    with pytest.raises(BadInput, match="corrupted snapshot"):
        snapshots.get(tmp_path, digest)


def test_unknown(tmp_path):
    digest = snapshots.put(tmp_path, Held(FRAME), {})
    with pytest.raises(BadInput, match=f"Did you mean {digest}"):
        snapshots.get(tmp_path, digest[:-1] + "0")
    with pytest.raises(BadInput, match="no such snapshot"):
        snapshots.get(tmp_path / "nowhere", "abc")


def test_stored_rows_are_those_in_memory_a_part_at_a_time(tmp_path):
    frame = pl.DataFrame({"a": range(1000), "b": [f"t{at % 7}" for at in range(1000)], "c": [0.5, None] * 500})
    digest = snapshots.put(tmp_path, Held(frame), {})
    stored, held = snapshots.Stored(tmp_path, digest, rows_each=300), Held(frame)
    assert (stored.rows, stored.names) == (held.rows, held.names) == (1000, ["a", "b", "c"])
    assert [part.height for part in stored.parts()] == [300, 300, 300, 100]
    assert pl.concat(stored.parts()).equals(pl.concat(held.parts()))
    some = np.array([3, 500, 999])
    assert stored.take(some).equals(held.take(some))
    assert stored.column("b").equals(held.column("b"))


def test_stored_rows_are_checked_too(tmp_path):
    with pytest.raises(BadInput, match="no such snapshot"):
        snapshots.Stored(tmp_path, "gone")
    digest = snapshots.put(tmp_path, Held(pl.DataFrame({"a": [1, 2]})), {})
    file = tmp_path / digest / "data.parquet"
    file.chmod(0o644)
    pl.DataFrame({"a": [1, 3]}).write_parquet(file)
    with pytest.raises(BadInput, match="corrupted snapshot"):
        snapshots.Stored(tmp_path, digest)


def test_columns_on_disk_are_stored_as_those_in_memory_are(tmp_path, monkeypatch):
    frame = pl.DataFrame({"a": range(1000), "b": [f"t{at % 7}" for at in range(1000)], "c": [0.5, None] * 500})
    spill = spilled(iter(frame), tmp_path)
    (folder,) = tmp_path.glob(".new-*")
    assert (spill.rows, spill.names, dict(spill.schema)) == (1000, ["a", "b", "c"], dict(frame.schema))
    assert spill.column("b").equals(frame["b"])
    digest = snapshots.put(tmp_path / "one", spill, {})
    assert digest == snapshots.put(tmp_path / "two", Held(frame), {})
    assert snapshots.get(tmp_path / "one", digest).equals(frame)
    assert isinstance(snapshots.rows(tmp_path / "one", digest), Held)
    monkeypatch.setattr(snapshots, "MOST_HELD", 999)
    assert isinstance(snapshots.rows(tmp_path / "one", digest), OnDisk)
    del spill
    assert not folder.exists()
