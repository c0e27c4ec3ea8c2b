import re
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs"


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(), re.S)


def test_the_example_trains_and_goes_on(tmp_path):
    names = {}
    exec(blocks("loop.md")[0], names)
    done = names["digits"](tmp_path)
    assert done.steps == 300
    assert names["digits"](tmp_path).steps == 300  # from its last checkpoint: nothing is left to do
    assert len((tmp_path / "metrics.jsonl").read_bytes().splitlines()) == 300


def test_the_example_of_a_method_keeps_the_contract():
    from types import ModuleType

    from forgeline.testing import check_method

    source = next(block for block in blocks("parts.md") if "GRADIENTS" in block)
    module = ModuleType("noise")
    exec(source, module.__dict__)
    check_method(module)
