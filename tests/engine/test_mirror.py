import fsspec
import pytest

from forgeline.engine.mirror import copy
from forgeline.engine.store import write_atomic
from forgeline.errors import BadInput


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "r1"
    for name in ("artefacts/aa", "release/model.onnx", "01-snapshot.json", ".lock", "checkpoints/tabm-1 fold 1/latest"):
        write_atomic(folder / name, name.encode())
    return folder


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_everything_but_hidden_files_and_what_is_half_done_is_copied(run, tmp_path):
    copy(run, str(tmp_path / "there"))
    assert files(tmp_path / "there") == [
        f"runs/r1/{name}" for name in ("01-snapshot.json", "artefacts/aa", "release/model.onnx")
    ]


def test_records_follow_changes_and_artefacts_are_sent_once(run, tmp_path):
    there = tmp_path / "there"
    copy(run, str(there))
    (there / "runs/r1/artefacts/aa").write_bytes(b"theirs")
    write_atomic(run / "01-snapshot.json", b"new")
    copy(run, f"file://{there}")
    assert (there / "runs/r1/01-snapshot.json").read_bytes() == b"new"
    assert (there / "runs/r1/artefacts/aa").read_bytes() == b"theirs"


def test_records_are_copied_last(run, monkeypatch):
    memory = fsspec.filesystem("memory")
    order = []
    put = type(memory).put_file
    monkeypatch.setattr(type(memory), "put_file", lambda self, a, b, **k: (order.append(b), put(self, a, b, **k))[1])
    copy(run, "memory://bucket")
    assert order[-1].endswith("01-snapshot.json")
    assert len(order) == 3


def test_a_url_that_cannot_be_reached_is_named(run, tmp_path):
    with pytest.raises(BadInput, match="nosuch://x: cannot copy the run there"):
        copy(run, "nosuch://x")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot copy"):
        copy(run, str(tmp_path / "file"))
