"""What you ask for: one frozen type per section, in the order of the line; reads and checks forgeline.toml."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from forgeline.errors import BadInput

Share = Annotated[float, Meta(gt=0.0, lt=1.0)]
Part = dict[str, Any]
"""`{use = "name", option = value, …}`: a part and its options, checked against its signature."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the sections: frozen, and unknown keys are errors."""


class Snapshot(Section, frozen=True):
    """Where the rows come from and what each column is."""

    source: str = ""
    """A file, a folder of files or of pictures, a glob, or `snapshot:<digest>`; relative to the spec's folder."""
    target: str = ""
    """The column to predict."""
    positive: str | int | float | bool | None = None
    """Binary tasks: the label whose probability is reported; default: the rarer label."""
    types: dict[str, Literal["number", "category", "date", "image"]] = {}
    """Column → kind, where the inferred kind is not the wanted one."""
    drop: list[str] = []
    """Columns left out."""
    keep: list[str] = []
    """Identifier columns: never a feature, kept beside the rows."""
    weight: str = ""
    """Column of row weights (> 0)."""
    missing: list[str] = msgspec.field(
        default_factory=lambda: ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]
    )
    """Cell texts that mean missing."""
    licence: str = ""
    """Licence of the data, repeated in the release's card."""


class Split(Section, frozen=True):
    """What is sealed away before anything is learned."""

    share: Share = 0.2
    """Share of rows in the sealed test set."""
    by: str = ""
    """Group column (kept whole) or date column (the last rows are the test); "none": neither; default: as found."""
    file: str = ""
    """A test file of the user's own; nothing is set aside then."""


class Accept(Section, frozen=True, kw_only=True):
    """A finding someone has looked at and signed for; it appears in the release's card."""

    code: str
    columns: list[str] = []
    by: str
    reason: str


class Assess(Section, frozen=True):
    """What to look for in the data."""

    protected: list[str] = []
    """Columns that name protected groups (sex, race, …)."""
    checks: list[Part] = []
    """Options of checks, `use` naming the check; every check runs with its defaults unless named here."""
    accept: list[Accept] = []
    """Blocking findings that someone takes responsibility for."""
    review: str = ""
    """A review that somebody edited (`forgeline assess --export`), relative to the spec's folder."""
    probabilities: str = ""
    """Out-of-sample outputs of a model of your own, one row per row of the data: label scores are made from them."""
    ledger: str = ""
    """The fit ledger of a pipeline of your own (`fl.ledger`), by which its leaks are judged."""
    schema: str = ""
    """A frozen schema (`schema.json` of an earlier run) that the data is compared with."""


class Refine(Section, frozen=True):
    """What is done about what was found."""

    apply: Literal["safe", "none"] | list[str] = "safe"
    """Fixes to apply: `safe` (cast, map, missing), `none`, or finding codes (`safe` may be one of them)."""
    use_protected: bool = True
    """Whether the model may see the protected columns."""
    encoder: str = ""
    """A pretrained encoder that reads texts: a folder, relative to the spec's, or a hub id; none is used unasked."""


class Plan(Section, frozen=True):
    """What the candidates are compared by."""

    metric: str = ""
    """Metric the model is selected by (`pinball@90`: a percentile); default log_loss for classes, rmse for numbers."""
    portfolio: str = ""
    """A portfolio file of your own, relative to the spec's folder; default: the shipped one."""
    experience: Literal["auto", "off"] = "auto"
    """Whether the run leaves a lesson in the store and, under a time budget, borrows settings from similar tables."""


class Train(Section, frozen=True):
    """Which families may compete."""

    families: Literal["auto"] | list[str | Part] = "auto"


class Compress(Section, frozen=True):
    """How much score may be given for size and speed."""

    most_loss: Annotated[float, Meta(ge=0.0)] = 0.002
    """Largest relative loss of the metric, on out-of-fold predictions."""
    most_size: str = ""
    """Largest model that may ship: models of members go, then members; default 20MB, and three times an encoder."""

    def most_bytes(self, encoder_bytes: int) -> int:
        """The size limit in bytes, beside an encoder of so many."""
        return parse_bytes(self.most_size) if self.most_size else parse_bytes("20MB") + 3 * encoder_bytes


class Evaluate(Section, frozen=True):
    """How the shipped model is judged."""

    threshold: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.5
    """Binary tasks: predict the positive class from this probability on."""
    suites: list[Part] = []
    """Further suites; none are known yet."""


class Release(Section, frozen=True):
    """How the release is called."""

    name: str = ""
    licence: str = ""


class Budget(Section, frozen=True):
    """What the line may spend."""

    work: Annotated[float, Meta(gt=0.0, le=1e9)] | None = None
    """Work units; 100, the default, is about a minute on two cores. Decides the same on every machine."""
    time: str = ""
    """Wall clock of the whole process, such as `60s`, `5m`, `1h`; in place of `work`."""
    memory: str = ""
    """Most memory of a run, such as `6GB`; default: most of what the machine has free."""
    workers: Annotated[int, Meta(ge=1, le=256)] | None = None
    """Worker processes; default: one a core. Never changes what is decided."""
    price_per_hour: Annotated[float, Meta(ge=0.0)] | None = None
    """Price of this machine an hour, any currency; unknown unless given."""
    carbon_per_kwh: Annotated[float, Meta(ge=0.0)] | None = None
    """Grams of CO2-equivalent a kilowatt-hour; unknown unless given."""

    @property
    def seconds(self) -> float | None:
        """The time limit in seconds, or None under a work budget."""
        return parse_seconds(self.time) if self.time else None

    @property
    def units(self) -> float | None:
        """The work limit in work units, or None under a time budget."""
        return None if self.time else (self.work or 100.0)

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes, or None when the machine decides."""
        return parse_bytes(self.memory) if self.memory else None


class Monitor(Section, frozen=True):
    """How a release is watched."""

    false_alarm: Share = 0.05
    """Probability that unchanged data raises any alarm at all (family-wise)."""


class Serve(Section, frozen=True):
    """Where a release answers."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000


class Cluster(Section, frozen=True):
    """Reserved for the cluster; nothing to set yet."""


class Spec(Section, frozen=True):
    """Everything one run is asked for: `forgeline.toml`."""

    snapshot: Snapshot = Snapshot()
    split: Split = Split()
    assess: Assess = Assess()
    refine: Refine = Refine()
    plan: Plan = Plan()
    train: Train = Train()
    compress: Compress = Compress()
    evaluate: Evaluate = Evaluate()
    release: Release = Release()
    budget: Budget = Budget()
    gates: dict[str, str] = {}
    """Number name → condition: `"test.roc_auc" = "low >= 0.90"`."""
    monitor: Monitor = Monitor()
    serve: Serve = Serve()
    cluster: Cluster = Cluster()
    seed: Annotated[int, Meta(ge=0)] = 0


def read(path: Path) -> Spec:
    """The checked spec in a TOML file or in a folder that holds `forgeline.toml`. Errors: BadInput."""
    return check(load(path), where=str(path))


def load(path: Path) -> dict[str, Any]:
    """The dictionary in a TOML file, unchecked. Errors: BadInput naming the file."""
    file = path / "forgeline.toml" if path.is_dir() else path
    try:
        asked = msgspec.toml.decode(file.read_bytes())
    except FileNotFoundError:
        raise BadInput("no such spec", where=str(file), remedy="Write one with: forgeline init DATA") from None
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"not readable as TOML ({error})", where=str(file)) from None
    return dict(asked)


def check(asked: dict[str, Any], where: str = "spec") -> Spec:
    """The spec a dictionary asks for. Errors: BadInput with the key's place and the nearest valid name."""
    known_keys(asked, Spec, where)
    try:
        spec = msgspec.convert(asked, Spec)
    except msgspec.ValidationError as error:
        raise wrong_value(str(error), asked, where) from None
    check_budget(spec.budget, where)
    if spec.compress.most_size:
        parse_bytes(spec.compress.most_size, f"{where} [compress]")
    for name, condition in spec.gates.items():
        parse_gate(name, condition)
    return spec


def known_keys(asked: Any, section: type[msgspec.Struct], where: str) -> None:
    """Raise BadInput at the first key that the section does not have."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(section)}
    for key, value in asked.items():
        if key not in fields:
            raise BadInput(f"unknown key {key}", where=where, asked=key, known=fields)
        kind = fields[key].type
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            if not isinstance(value, dict):
                raise BadInput(f"{key} is a section, so it holds keys", where=where, remedy=f"Write [{key}].")
            known_keys(value, kind, f"{where} [{key}]")


def wrong_value(error: str, asked: dict[str, Any], where: str) -> BadInput:
    """What a key holds beside what it may hold; `error` is msgspec's, which ends in the key's path."""
    from msgspec import inspect

    reason, _, path = error.partition(" - at `$")
    keys = re.findall(r"\.(\w+)", path.partition("[")[0])
    kind: Any = inspect.type_info(Spec)
    value: Any = asked
    for key in keys:
        kind = next(field.type for field in kind.fields if field.encode_name == key)
        value = value[key]
    name = ".".join(keys)
    if reason.startswith("Object"):  # a table in a list lacks a key, or has one too many
        return BadInput(f"{name}: {reason.replace('Object', 'a table')}", where=where)
    shown = json.dumps(value, ensure_ascii=False, default=str)[:60]
    return BadInput(f"{name} is {shown}, but must be {expected(kind)}", where=where)


def expected(kind: Any) -> str:
    """A type from `msgspec.inspect` in words: `a number > 0`, `"auto" or a list`."""
    names = {"StrType": "text in quotes", "BoolType": "true or false", "ListType": "a list"}
    names |= {"IntType": "a whole number", "FloatType": "a number", "AnyType": "anything"}
    name = type(kind).__name__
    if name == "UnionType":
        return " or ".join(expected(each) for each in kind.types if type(each).__name__ != "NoneType")
    if name == "LiteralType":
        return " or ".join(f'"{value}"' for value in kind.values)
    if name == "DictType":
        return f"a table {{name = {expected(kind.value_type)}, …}}"
    bounds = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    limits = [f"{sign} {getattr(kind, bound):g}" for bound, sign in bounds.items() if has(kind, bound)]
    return " ".join([names[name], " and ".join(limits)]).rstrip()


def has(kind: Any, bound: str) -> bool:
    """Whether a type from `msgspec.inspect` has a limit."""
    return getattr(kind, bound, None) is not None


def check_budget(budget: Budget, where: str) -> None:
    """Raise BadInput unless the budget's texts can be read and do not contradict each other."""
    if budget.time and budget.work is not None:
        raise BadInput("work and time are both set", where=f"{where} [budget]", remedy="Keep one of the two.")
    if budget.time:
        parse_seconds(budget.time)
    if budget.memory and parse_bytes(budget.memory) < parse_bytes("256MB"):
        raise BadInput(
            f"memory {budget.memory} is less than a run needs",
            where=f"{where} [budget]",
            remedy="Give at least 256MB.",
        )


def override(asked: dict[str, Any], sets: list[str]) -> dict[str, Any]:
    """A copy of the dictionary with each `section.key=value` put in; values are TOML, bare words are text."""
    merged = msgspec.json.decode(msgspec.json.encode(asked))
    for item in sets:
        place, equals, text = item.partition("=")
        if not equals or not place.strip():
            raise BadInput(
                f"--set {item} is not section.key=value",
                where="command line",
                remedy="Write it so: --set plan.metric=roc_auc",
            )
        keys = place.strip().split(".", 1)
        if keys[0] == "gates" and len(keys) == 2:
            keys[1] = keys[1].strip('"')
        inner = merged
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise BadInput(f"--set {item}: {key} is no section", where="command line")
        inner[keys[-1]] = toml_value(text.strip())
    return dict(merged)


def toml_value(text: str) -> Any:
    """A TOML value, or the text itself when it is none: `0.5` → 0.5, `["a"]` → ["a"], `>50K` → ">50K"."""
    try:
        return msgspec.toml.decode(f"value = {text}".encode())["value"]
    except (msgspec.DecodeError, KeyError):
        return text


def parse_seconds(text: str) -> float:
    """Seconds of `60`, `60s`, `1.5m`, `2h`. Errors: BadInput."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)?\s*", text)
    seconds = float(found[1]) * {"ms": 0.001, "m": 60, "min": 60, "h": 3600}.get(found[2], 1) if found else 0.0
    if seconds <= 0:
        raise BadInput(f"time {text!r} is no duration above 0", where="[budget]", remedy="Write 60s, 5m or 1h.")
    return seconds


def parse_bytes(text: str, where: str = "[budget]") -> int:
    """Bytes of `6GB`, `512 MB`, `1.5GiB`. Errors: BadInput."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?\s*", text)
    if not found:
        what = "memory" if "budget" in where else "most_size"
        raise BadInput(f"{what} {text!r} is no size", where=where, remedy="Write 6GB or 512MB.")
    power = " KMGT".index(found[2].upper() or " ")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


class Gate(msgspec.Struct, frozen=True):
    """One condition on one number: `low >= 0.9` on `test.roc_auc`."""

    number: str
    side: Literal["value", "low", "high"]
    relation: Literal["==", "!=", ">=", "<=", ">", "<"]
    bound: float

    @property
    def text(self) -> str:
        """As written in the spec: `test.roc_auc low >= 0.9`."""
        side = "" if self.side == "value" else f"{self.side} "
        return f"{self.number} {side}{self.relation} {self.bound:g}"


def parse_gate(number: str, condition: str) -> Gate:
    """The gate that a line of `[gates]` writes. Errors: BadInput."""
    found = re.fullmatch(
        r"\s*(value|low|high)?\s*(==|!=|>=|<=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*", condition
    )
    if not found:
        raise BadInput(
            f"{number} = {condition!r} is no condition",
            where="[gates]",
            remedy='Write "test.roc_auc" = "low >= 0.90"; low, high or value, then == != >= <= > <.',
        )
    side: Any = found[1] or "value"
    relation: Any = found[2]
    return Gate(number, side, relation, float(found[3]))


def encode(spec: Spec) -> str:
    """The spec as TOML with every section and value written out."""

    def value(item: Any) -> str:
        if isinstance(item, dict):
            return "{" + ", ".join(f"{json.dumps(k)} = {value(v)}" for k, v in item.items()) + "}"
        if isinstance(item, list):
            return "[" + ", ".join(value(v) for v in item) + "]"
        return json.dumps(item, ensure_ascii=False)

    sections = msgspec.to_builtins(spec)
    lines = [f"seed = {sections.pop('seed')}"]
    for name, section in sections.items():
        lines += ["", f"[{name}]"]
        lines += [
            f"{key if key.isidentifier() else json.dumps(key)} = {value(item)}"
            for key, item in section.items()
            if item is not None
        ]
    return "\n".join(lines) + "\n"
