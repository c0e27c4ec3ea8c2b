"""docs/assess.md names every code that the checks can yield, and every option with its default."""

import re
from pathlib import Path

import pytest

from forgeline import catalog

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "assess.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [part.name for part in catalog.own_parts("checks")])
def test_codes_and_options_of_a_check_are_told(name):
    source = Path(catalog.load("checks", name).__file__).read_text(encoding="utf-8")
    for code in re.findall(r'code="([a-z_.]+)"', source):
        assert f"| `{code}` |" in PAGE
    told = re.search(rf"`{name}` has ([^;]+?)(?:;|\.\n)", PAGE)
    for option, default in catalog.options("checks", name).items():
        assert f"`{option}` ({default!r})" in told[1].replace("1e-6", "1e-06")
