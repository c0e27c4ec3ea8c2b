import json
import shutil
import threading

import pytest
import torch

from forgeline.engine.checkpoint import Vault, named, reached
from forgeline.engine.interval import Interval
from forgeline.engine.places import MANIFEST, STATE, Bucket, Folder, place_of

TENSORS = {
    "weight": torch.arange(12.0).view(3, 4).T,  # not contiguous
    "half": torch.tensor([1.5, -2.0]).bfloat16(),
    "step": torch.tensor(7.0),
    "flags": torch.tensor([True, False]),
    "nothing": torch.zeros(0, 3),
}


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    yield Folder(tmp_path / "vault") if request.param == "folder" else Bucket("memory://vault")
    if request.param == "bucket":
        import fsspec

        fsspec.filesystem("memory").store.clear()


@pytest.fixture
def vault(place):
    made = Vault(place)
    yield made
    made.close()


def save(vault, step, **facts):
    vault.save(
        {name: each + step if each.is_floating_point() else each for name, each in TENSORS.items()},
        {"step": step, **facts},
        dict,
    )
    assert vault.settle() == ""


def broken(place, name, file, change):
    """Change a file of a checkpoint as a bad disk would."""
    if isinstance(place, Folder):
        path = place.path / name / file
        path.write_bytes(change(path.read_bytes()))
    else:
        path = f"{place.root}/{name}/{file}"
        place.system.pipe_file(path, change(place.system.cat_file(path)))


def test_what_was_saved_is_found(vault):
    save(vault, 3, best=None, held_loss=0.25)
    found = vault.newest()
    assert found.facts == {"step": 3, "best": None, "held_loss": 0.25}
    for name, each in TENSORS.items():
        assert found.tensors[name].dtype == each.dtype
        assert torch.equal(found.tensors[name], each + 3 if each.is_floating_point() else each)


def test_nothing_is_found_in_an_empty_vault(vault):
    assert vault.newest() is None
    assert vault.skipped == []


def test_the_copy_is_made_before_save_returns(vault):
    weight = torch.ones(3)
    vault.save({"weight": weight}, {"step": 1}, dict)
    weight.fill_(9)
    vault.settle()
    assert vault.newest().tensors["weight"].tolist() == [1, 1, 1]


def test_the_writing_thread_calls_before_and_keeps_what_it_says(vault):
    vault.save(TENSORS, {"step": 1}, lambda: {"thread": threading.current_thread().name})
    vault.settle()
    assert vault.newest().facts["thread"].startswith("checkpoint")


def test_at_least_two_are_kept(vault):
    vault.keep = 1
    for step in (1, 2, 3, 4):
        save(vault, step)
    assert [name.split("-")[1].lstrip("0") for name in vault.names("step")] == ["4", "3"]


@pytest.mark.parametrize("file", [STATE, MANIFEST])
@pytest.mark.parametrize(
    "change",
    [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: bytes([data[0] ^ 4]) + data[1:]],
    ids=["torn", "empty", "flipped"],
)
def test_a_torn_or_changed_one_is_passed_over(vault, place, file, change):
    save(vault, 1)
    save(vault, 2)
    newest = vault.names("step")[0]
    broken(place, newest, file, change)
    assert vault.newest().facts["step"] == 1
    assert vault.skipped == [newest]
    save(vault, 2)
    save(vault, 3)
    assert [vault.read(name).facts["step"] for name in vault.names("step")] == [3, 2]  # the torn one is gone


def test_one_that_is_not_accepted_is_passed_over(vault):
    save(vault, 1)
    save(vault, 2)
    assert vault.newest(lambda saved: saved.facts["step"] < 2).facts["step"] == 1


def test_best_weights_stay_while_a_checkpoint_counts_on_them(vault):
    names = {}
    for step in (10, 20, 30, 40):
        names[step] = vault.save_best({"weight": torch.full((2,), float(step))}, {"step": step})
        save(vault, step, best=names[step])
    assert vault.names("best") == [names[40], names[30]]
    save(vault, 50, best=names[40])
    assert vault.names("best") == [names[40]]
    assert vault.read(names[40]).tensors["weight"].tolist() == [40, 40]


def test_latest_names_the_newest_that_is_durable(tmp_path):
    vault = Vault(Folder(tmp_path))
    save(vault, 1)
    save(vault, 2)
    assert (tmp_path / "latest").read_text() == vault.names("step")[0]
    vault.close()


def test_how_far_a_folder_got_is_what_latest_names(tmp_path):
    assert reached(tmp_path) == 0
    (tmp_path / "latest").write_text(named("step", 1234))
    assert reached(tmp_path) == 1234


def test_names_are_never_used_again():
    assert len({named("step", 5) for _ in range(100)}) == 100
    assert named("step", 9) < named("step", 10)


def test_what_a_kill_left_half_written_is_not_there(tmp_path):
    vault = Vault(Folder(tmp_path))
    save(vault, 1)
    shutil.copytree(tmp_path / vault.names("step")[0], tmp_path / f".draft-{named('step', 2)}")
    again = Vault(Folder(tmp_path))
    assert again.newest().facts["step"] == 1
    assert not list(tmp_path.glob(".draft-*"))
    vault.close()
    again.close()


def test_what_is_beside_outlives_the_machine_in_a_bucket(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("a line\n")
    vault = Vault(Bucket("memory://beside"), beside=[tmp_path / "metrics.jsonl"])
    save(vault, 1)
    (tmp_path / "metrics.jsonl").unlink()
    vault.fetch(vault.names("step")[0], tmp_path / "metrics.jsonl")
    assert (tmp_path / "metrics.jsonl").read_text() == "a line\n"
    vault.close()


def test_an_upload_without_manifest_is_not_there():
    bucket = place_of("memory://half")
    bucket.system.pipe_file(f"{bucket.root}/{named('step', 2)}/{STATE}", b"half of it")
    vault = Vault(bucket)
    assert vault.newest() is None
    vault.close()


class Slow(Folder):
    """A disk that waits for `go` before each piece."""

    go = threading.Event()
    pieces = 0

    def write(self, name, pieces, facts, beside=()):
        def waiting():
            for piece in pieces():
                self.pieces += 1
                self.go.wait(10)
                yield piece

        super().write(name, waiting, facts, beside)


@pytest.mark.slow
def test_a_save_that_cannot_wait_overtakes_the_one_that_is_written(tmp_path):
    slow = Slow(tmp_path)
    slow.go = threading.Event()
    vault = Vault(slow)
    vault.save({"weight": torch.zeros(100_000_000 // 4)}, {"step": 1}, dict)
    while slow.pieces < 2:
        pass
    threading.Timer(0.05, slow.go.set).start()
    vault.save_now({"weight": torch.ones(3)}, {"step": 2}, dict)
    assert [vault.read(name).facts["step"] for name in vault.names("step")] == [2]
    vault.close()


def test_due_again_only_when_the_last_is_written(tmp_path):
    slow = Slow(tmp_path)
    slow.go = threading.Event()
    vault = Vault(slow, interval=Interval(first=0.0))
    assert vault.due
    vault.save(TENSORS, {"step": 1}, dict)
    assert not vault.due
    slow.go.set()
    vault.settle()
    vault.interval.cost = 0.0
    assert vault.due
    vault.close()


class Full(Folder):
    """A disk that is full."""

    def write(self, name, pieces, facts, beside=()):
        raise OSError(28, "No space left on device")


def test_training_goes_on_when_a_save_fails_but_nobody_leaves_unsaved(tmp_path):
    vault = Vault(Full(tmp_path))
    vault.save(TENSORS, {"step": 1}, dict)
    assert "No space left" in vault.settle()
    assert len(vault.failed) == 1
    with pytest.raises(OSError, match="No space left"):
        vault.save_now(TENSORS, {"step": 2}, dict)
    vault.close()


def test_a_checkpoint_is_a_plain_safetensors_file(vault, place):
    from safetensors.torch import load

    save(vault, 1)
    data = place.read(vault.names("step")[0], STATE)
    assert set(load(data)) == set(TENSORS)
    assert json.loads(place.read(vault.names("step")[0], MANIFEST))["best"] is None
