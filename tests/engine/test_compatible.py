import os
from importlib import metadata

import pytest

from forgeline.engine import compatible

pytest.importorskip("torch")


@pytest.fixture
def torchvision(tmp_path, monkeypatch):
    """Puts a torchvision of these lines in the way of the real one."""

    def put(lines):
        (tmp_path / "torchvision.py").write_text(lines)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    compatible.complaint.cache_clear()
    yield put
    compatible.complaint.cache_clear()


def test_a_torchvision_of_another_build_is_named_with_its_error(torchvision):
    torchvision("raise RuntimeError('operator torchvision::nms does not exist')")
    what, remedy = compatible.complaint()
    assert "operator torchvision::nms does not exist" in what
    assert "pip uninstall torchvision" in remedy


def test_one_that_takes_the_process_down_is_named_too(torchvision):
    torchvision("import os; os._exit(3)")
    assert "exit code 3" in compatible.complaint()[0]


def test_one_that_can_be_imported_is_fine(torchvision):
    torchvision("")
    assert compatible.complaint() is None


def test_an_old_torch_is_named(torchvision, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "2.8.1+cpu")
    what, remedy = compatible.complaint()
    assert what == "torch 2.8.1+cpu is too old"
    assert "forgeline[deep]" in remedy
