"""Finds a part by kind and name: a file in `parts/<kind>/`, else an entry point `forgeline.<kind>`."""

import ast
import hashlib
import importlib
import inspect
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from forgeline.errors import BadInput
from forgeline.kinds import VERBS

PARTS = Path(__file__).parent / "parts"


@dataclass(frozen=True)
class Entry:
    """One part as it is listed: found, but not imported."""

    kind: str
    name: str
    says: str
    origin: str
    """`forgeline`, or the distribution that brings it."""
    module: str
    codes: tuple[str, ...] = ()
    """Checks: the codes of what they find."""


def kinds() -> list[str]:
    """Kinds that parts exist for."""
    return sorted(VERBS)


def parts(kind: str | None = None) -> list[Entry]:
    """Every part found, without importing any; own files first, then entry points, by name."""
    if kind is not None and kind not in VERBS:
        raise BadInput(f"unknown kind of part {kind}", asked=kind, known=kinds())
    wanted = kinds() if kind is None else [kind]
    return [entry for each in wanted for entry in [*own_parts(each), *outside_parts(each)]]


def own_parts(kind: str) -> list[Entry]:
    """Parts in this package."""
    return [own_part(kind, file) for file in sorted((PARTS / kind).glob("[!_]*.py"))]


def own_part(kind: str, file: Path) -> Entry:
    """The part in a file of this package."""
    return Entry(kind, file.stem, first_line(file), "forgeline", f"forgeline.parts.{kind}.{file.stem}", codes(file))


def outside_parts(kind: str) -> list[Entry]:
    """Parts that other installed distributions bring; a name that is taken already is left out."""
    taken = {file.stem for file in (PARTS / kind).glob("[!_]*.py")}
    found = metadata.entry_points(group=f"forgeline.{kind}")
    return [
        Entry(
            kind, point.name, says(point.value), point.dist.name if point.dist else "?", point.value, told(point.value)
        )
        for point in sorted(found, key=lambda point: point.name)
        if point.name not in taken
    ]


def says(module: str) -> str:
    """First docstring line of an outside module, read from its file."""
    file = file_of(module)
    return first_line(file) if file else "(cannot be imported)"


def told(module: str) -> tuple[str, ...]:
    """The codes of an outside check, read from its file."""
    file = file_of(module)
    return codes(file) if file else ()


def file_of(module: str) -> Path | None:
    """A module's source file, found without importing the module itself."""
    try:
        spec = find_spec(module)
    except ImportError:
        return None
    return Path(spec.origin) if spec and spec.origin else None


def first_line(file: Path) -> str:
    """First line of a module's docstring, without importing it."""
    return read(file, file.stat().st_mtime_ns)[0]


def codes(file: Path) -> tuple[str, ...]:
    """What a module's `codes` holds, without importing it; none where it has no such constant."""
    return read(file, file.stat().st_mtime_ns)[1]


@cache
def read(file: Path, changed: int) -> tuple[str, tuple[str, ...]]:
    """First line of the docstring, and codes, of a module last `changed` then: parts are listed many times a run."""
    module = ast.parse(file.read_text(encoding="utf-8"))
    title = (ast.get_docstring(module) or "").partition("\n")[0]
    for statement in module.body:
        if isinstance(statement, ast.Assign) and [getattr(each, "id", "") for each in statement.targets] == ["codes"]:
            return title, tuple(ast.literal_eval(statement.value))
    return title, ()


def names(kind: str) -> list[str]:
    """Names of the parts of a kind."""
    return [entry.name for entry in parts(kind)]


def load(kind: str, name: str, where: str = "") -> Any:
    """The part's module; `name@value` gives its only option a value. Errors: BadInput with the nearest name, or naming
    the verb it lacks."""
    name, _, value = name.partition("@")
    entry = find(kind, name)
    if entry is None:
        raise BadInput(f"unknown part {name}", where=where or f"parts/{kind}", asked=name, known=names(kind))
    module = importlib.import_module(entry.module)
    for verb in VERBS[kind]:
        if not callable(getattr(module, verb, None)):
            raise BadInput(f"part {name} of {entry.origin} has no verb {verb}", where=f"parts/{kind}")
    return bound(kind, name, module, value, where or f"parts/{kind}") if value else module


def bound(kind: str, name: str, module: Any, value: str, where: str) -> SimpleNamespace:
    """The part with its only option given, which is an attribute, too. Errors: BadInput."""
    known = options(kind, name)
    if len(known) != 1:
        raise BadInput(f"{name} takes no value behind @", where=where, asked=name, known=names(kind))
    ((key, default),) = known.items()
    try:
        given = {key: type(default)(value)}
    except ValueError:
        remedy = f"Write a {key} like its default: {name}@{default}."
        raise BadInput(f"{key} of {name} is {value!r}", where=where, remedy=remedy) from None
    verb = VERBS[kind][0]
    return SimpleNamespace(**vars(module) | given | {verb: partial(getattr(module, verb), **given)})


def find(kind: str, name: str) -> Entry | None:
    """The part of that name; entry points are looked through only when there is no file."""
    file = PARTS / kind / f"{name}.py"
    if kind in VERBS and name.isidentifier() and not name.startswith("_") and file.exists():
        return own_part(kind, file)
    return next((entry for entry in parts(kind) if entry.name == name), None)


def options(kind: str, name: str) -> dict[str, Any]:
    """Keyword-only arguments of the part's first verb, with their defaults."""
    verb = getattr(load(kind, name), VERBS[kind][0])
    return {p.name: p.default for p in inspect.signature(verb).parameters.values() if p.kind is p.KEYWORD_ONLY}


def check_options(kind: str, part: dict[str, Any], where: str) -> dict[str, Any]:
    """The options of `{use = "name", …}` without `use`. Errors: BadInput with the nearest option."""
    if "use" not in part:
        raise BadInput("a part is named by `use`", where=where, remedy=f"Known: {', '.join(names(kind))}.")
    load(kind, part["use"], where)
    known = options(kind, part["use"])
    return {key: option(part, key, known, where) for key in part if key != "use"}


def option(part: dict[str, Any], key: str, known: dict[str, Any], where: str) -> Any:
    """One option's value, of its default's type. Errors: BadInput with the nearest option, or the default."""
    import msgspec

    if key not in known:
        raise BadInput(f"{part['use']} has no option {key}", where=where, asked=key, known=known or ["use"])
    try:
        return msgspec.convert(part[key], type(known[key]))
    except msgspec.ValidationError:
        what = f"{key} of {part['use']} is {part[key]!r}"
        raise BadInput(what, where=where, remedy=f"Give a value like its default, {known[key]!r}.") from None


def requires(module: Any, package: str) -> bool:
    """Whether a part says that it needs a package, or one that cannot do without it."""
    needs: tuple[str, str] = getattr(module, "REQUIRES", ("", ""))
    return needs[0] == package or (package == "torch" and needs[0] == "transformers")


def source_digest(entry: Entry) -> str:
    """SHA-256 of a part's source, without importing it: goes into `made.parts`, so an edited part is run again."""
    file = file_of(entry.module)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file else ""
