"""docs/spec.md and spec.py say the same: every section, key, default and text, and no others."""

import ast
import inspect
import json
import re
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from forgeline import spec

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "spec.md").read_text(encoding="utf-8")


def told():
    """Heading → {key: (default, meaning)}, as the page tells it."""
    parts = re.split(r"^### `(.+)`$", PAGE, flags=re.MULTILINE)[1:]
    row = re.compile(r"^\| `(\w+)` \| .+? \| (.+?) \| (.+) \|$", re.MULTILINE)
    return {
        heading: {key: (default, meaning) for key, default, meaning in row.findall(body)}
        for heading, body in zip(parts[::2], parts[1::2], strict=True)
    }


def asked():
    """Heading → the type behind it; plain keys of the spec stand under their own name."""
    found = {}
    for field in msgspec.structs.fields(spec.Spec):
        section = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
        found[f"[{field.name}]" if section else field.name] = field.type if section else field
    return found | {"[[assess.accept]]": spec.Accept}


def default(field):
    """A default as the page writes it: TOML in backticks, `none`, or `required`."""
    if field.required:
        return "required"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return "none" if value is None else f"`{json.dumps(value)}`"


def texts(kind):
    """Field → the text under it."""
    body = ast.parse(inspect.getsource(kind)).body[0].body
    return {
        each.target.id: after.value.value
        for each, after in pairwise(body)
        if isinstance(each, ast.AnnAssign) and isinstance(after, ast.Expr)
    }


SECTIONS = {heading: kind for heading, kind in asked().items() if heading.startswith("[")}


def test_the_page_has_every_section_and_no_other():
    plain = {"[gates]" if heading == "gates" else heading for heading in asked()}
    assert set(told()) == plain


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_stands_there_with_its_default_and_no_other(heading):
    fields = msgspec.structs.fields(SECTIONS[heading])
    assert {key: row[0] for key, row in told()[heading].items()} == {each.name: default(each) for each in fields}


@pytest.mark.parametrize("heading", SECTIONS)
def test_meanings_are_those_of_the_code(heading):
    kind = SECTIONS[heading]
    body = PAGE.partition(f"### `{heading}`")[2].partition("###")[0]
    assert inspect.getdoc(kind).rstrip(".") in body
    for key, meaning in texts(kind).items():
        words = re.sub(r" \(`number`, `category`, `date`, `image`\)", "", told()[heading][key][1])
        assert words == meaning, key


@pytest.mark.parametrize(("heading", "key"), [("seed", "seed"), ("[gates]", "gates")])
def test_plain_keys_stand_there_with_their_default(heading, key):
    assert told()[heading][key][0] == default(asked()[key])


def test_the_example_is_a_spec():
    example = re.search(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
    assert spec.check(msgspec.toml.decode(example)).snapshot.target == "income"
