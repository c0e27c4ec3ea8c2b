"""docs/assess.md tells the truth about codes and options; a new check need not be told there to be complete."""

import re
from pathlib import Path

import pytest

from forgeline import catalog

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "assess.md").read_text(encoding="utf-8")
CODES = re.findall(r"^\| `([a-z_.]+)` \|", PAGE, flags=re.MULTILINE)
TOLD = dict(re.findall(r"`(\w+)` has ([^;]+?)(?:;|\.\n)", PAGE))


@pytest.mark.parametrize("code", [code for code in CODES if "." in code])
def test_every_code_on_the_page_is_one_that_the_code_can_give(code):
    sources = [*(ROOT / "src/forgeline/parts/checks").glob("*.py"), *(ROOT / "src/forgeline/stages").glob("*.py")]
    assert any(f'"{code}"' in source.read_text(encoding="utf-8") for source in sources)


@pytest.mark.parametrize("name", sorted(TOLD))
def test_every_option_on_the_page_has_its_default(name):
    options = catalog.options("checks", name)
    assert options
    for option, default in options.items():
        assert f"`{option}` ({default!r})" in TOLD[name].replace("1e-6", "1e-06")
