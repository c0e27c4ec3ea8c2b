import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from forgeline import doctor
from forgeline.engine import compatible
from forgeline.engine.store import Store


def test_a_machine_that_can_run_the_tests_is_well(tmp_path):
    result = doctor.examine(Store(tmp_path / ".forgeline"))
    assert result["ok"], result
    assert [check["name"] for check in result["checks"]] == [
        *("python", *doctor.needed(), *(["torch"] if find_spec("torch") else []), "memory", "disk", "worker"),
    ]
    assert all(set(check) == {"name", "ok", "says"} for check in result["checks"])


def test_every_runtime_dependency_is_looked_for():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert sorted(re.split("[>=<]", each)[0] for each in project["dependencies"]) == doctor.needed()


def test_a_torch_that_does_not_go_with_what_is_beside_it_is_told(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(compatible, "complaint", lambda: ("torchvision does not work", "pip uninstall torchvision"))
    (found,) = doctor.deep()
    assert found == {"name": "torch", "ok": False, "says": "torchvision does not work. pip uninstall torchvision"}


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "needed", lambda: ["numpy", "no-such-package"])
    found = doctor.packages()
    assert [check["ok"] for check in found] == [True, False]
    assert found[1]["says"] == "pip install no-such-package"
