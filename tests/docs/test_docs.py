"""The docs say what the code says: verbs, options, stages, keys and fields appear, and the examples run."""

import ast
import inspect
import re
import types
from pathlib import Path

import msgspec
import pytest

from forgeline import catalog, cli, errors, records, spec

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))]
RECORD_TYPES = [
    value
    for value in vars(records).values()
    if isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not records.Shape
]
STAGE_SECTIONS = [name for name in records.STAGES if name in spec.Spec.__struct_fields__]


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def plain(words: str) -> str:
    return " ".join(words.split())


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_and_its_options_are_told(verb):
    assert re.search(rf"^    forgeline {verb}\b", text("cli.md"), re.MULTILINE)
    for names, _ in cli.VERBS[verb][1]:
        for name in names:
            assert not name.startswith("-") or re.search(rf"(?<!\S)[`]?{name}\b", text("cli.md")), name


def test_no_verb_is_made_up():
    told = {verb for page in PAGES for verb in re.findall(r"^    forgeline ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert told <= set(cli.VERBS)


def test_every_exit_code_is_told():
    codes = {
        kind.exit_code for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.Stop)
    }
    for code in codes | {0, 3, 130}:
        assert f"| {code} |" in text("cli.md")


@pytest.mark.parametrize("stage", records.STAGES)
def test_every_stage_has_a_page_that_names_its_record(stage):
    page = text(f"{stage}.md")
    assert page.startswith(f"# {stage}")
    assert records.file_name(stage) in page


@pytest.mark.parametrize("stage", STAGE_SECTIONS)
def test_every_key_of_a_stage_is_on_its_page(stage):
    for field in msgspec.structs.fields(spec.Spec):
        if field.name == stage:
            for key in field.type.__struct_fields__:
                assert re.search(rf"\b{key}\b", text(f"{stage}.md")), key


@pytest.mark.parametrize("section", spec.Spec.__struct_fields__)
def test_every_section_of_the_spec_is_told(section):
    assert f"[{section}]" in text("spec.md") or f"`{section}`" in text("spec.md")


@pytest.mark.parametrize("kind", RECORD_TYPES, ids=lambda kind: kind.__name__)
def test_every_field_of_a_record_is_told_in_its_own_words(kind):
    told = re.search(rf"^### {kind.__name__}\n(.*?)(?=^##|\Z)", text("records.md"), re.MULTILINE | re.DOTALL)
    assert told, f"docs/records.md has no heading ### {kind.__name__}"
    assert plain(inspect.getdoc(kind)) in plain(told[1])
    for name, words in own_fields(kind).items():
        assert f"| `{name}` |" in told[1], name
        assert plain(words) in plain(told[1]), name


def own_fields(kind: type) -> dict[str, str]:
    """Field → the text under it, empty where there is none."""
    body = ast.parse(inspect.getsource(kind)).body[0].body
    pairs = [
        (each.target.id, after.value.value if isinstance(after, ast.Expr) else "")
        for each, after in zip(body, [*body[1:], None], strict=True)
        if isinstance(each, ast.AnnAssign)
    ]
    return dict(pairs)


@pytest.mark.parametrize("part", catalog.parts(), ids=lambda part: f"{part.kind}.{part.name}")
def test_every_part_brings_its_entry(part):
    """The first docstring line is the entry: a list kept by hand would be a second file to touch."""
    assert len(part.says) > 10
    assert part.says.endswith(".")


def test_every_kind_of_part_is_told():
    for kind, verbs in catalog.VERBS.items():
        for word in (kind, *verbs):
            assert f"`{word}`" in text("parts.md") or f"| {word} |" in text("parts.md"), word


def test_examples_in_parts_run():
    """Each block is a module of its own but for what stands above it; each test function in it is called."""
    module = types.ModuleType("docs_parts")
    called = []
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", text("parts.md"), re.MULTILINE | re.DOTALL)):
        exec(compile(block, f"docs/parts.md block {number}", "exec"), vars(module))
        for name in re.findall(r"^def (test_\w+)", block, re.MULTILINE):
            getattr(module, name)()
            called.append(name)
    assert len(called) == 4


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target
