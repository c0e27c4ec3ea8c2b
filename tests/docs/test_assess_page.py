"""docs/assess.md lists the codes of every check here, and no others."""

import re
from pathlib import Path

from forgeline import catalog

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "assess.md").read_text(encoding="utf-8")
TOLD = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (?:block|warn|note)(?:,| \|)", PAGE, flags=re.MULTILINE))


def test_every_code_of_a_check_is_on_the_page_and_no_other():
    given = {code for part in catalog.parts("checks") if part.origin == "forgeline" for code in part.codes}
    assert {code for code in TOLD if not code.startswith("spec.")} == given


def test_what_the_stage_itself_says_is_on_the_page():
    for code in (code for code in TOLD if code.startswith("spec.")):
        sources = [ROOT / "src/forgeline/stages/assess.py", ROOT / "src/forgeline/review.py"]
        assert any(f'"{code}"' in source.read_text(encoding="utf-8") for source in sources)
