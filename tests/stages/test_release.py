import hashlib
from types import SimpleNamespace

import numpy as np
import pytest

from forgeline.stages import release

FILES = {name: name.encode() for name in (*release.DIGESTED, "README.md")}


def test_the_digest_is_over_what_decides_an_answer():
    sums = [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in release.DIGESTED]
    assert release.digest_of(FILES) == hashlib.sha256("".join(sums).encode()).hexdigest()
    assert release.digest_of(FILES | {"README.md": b"other"}) == release.digest_of(FILES)
    for name in release.DIGESTED:
        assert release.digest_of(FILES | {name: b"other"}) != release.digest_of(FILES)


def test_the_folder_is_replaced_as_a_whole(tmp_path):
    work = SimpleNamespace(folder=tmp_path)
    (tmp_path / "release.draft").mkdir()
    (tmp_path / "release.draft" / "torn").write_bytes(b"1")
    release.place(FILES | {"old": b"1"}, work)
    release.place(FILES, work)
    assert {file.name: file.read_bytes() for file in (tmp_path / "release").iterdir()} == FILES
    assert [each.name for each in tmp_path.iterdir()] == ["release"]


def test_a_write_that_fails_leaves_no_half_release(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(release, "write_atomic", full)
    with pytest.raises(OSError, match="No space"):
        release.place(FILES, SimpleNamespace(folder=tmp_path))
    assert not (tmp_path / "release").exists()


def test_codes_become_texts_again():
    found = release.texts(np.array([1, -1, 0, 1]), ["Lima", "Oslo"])
    assert found.to_list() == ["Oslo", None, "Lima", "Oslo"]
    assert release.texts(np.array([-1, -1]), []).to_list() == [None, None]
