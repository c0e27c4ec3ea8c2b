"""Runs a stage once: skips it if it is done already, meters it, applies its gates, publishes NN-stage.json."""

from __future__ import annotations

import datetime
import importlib
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from forgeline import __version__, catalog, portfolio, records
from forgeline.engine.clock import Stopwatch
from forgeline.engine.store import Artefacts, write_atomic
from forgeline.errors import BadInput, Stop
from forgeline.records import GateResult, Made, Meter, Number, Record, Ref
from forgeline.spec import Gate, Section, Spec, parse_gate
from forgeline.workspace import Workspace

BUILT_IN = Gate("findings.blocking", "value", "==", 0.0)
"""Stands after assess in every line."""

PARTS_OF = {
    "assess": ("checks",),
    "refine": ("families",),
    "plan": ("families", "metrics"),
    "train": ("families", "metrics"),
    "compress": ("metrics",),
    "evaluate": ("metrics",),
}
"""Kinds of parts whose code a stage's record depends on."""


class GateBlocks(Stop):
    """A gate does not hold (exit 3)."""

    exit_code = 3

    def __init__(self, gates: list[GateResult], findings: list[records.Finding]) -> None:
        self.gates, self.findings = gates, findings
        lines = [f"gate does not hold: {gate.gate} (it is {show(gate.value)})" for gate in gates]
        lines += [f"{finding.code}: {finding.says}" for finding in findings]
        super().__init__("\n".join(lines))


class Until(Exception):
    """The stage named by `--until` is done."""


class Runner:
    """Calls stages with what they ask for and keeps their records; a record is written last."""

    def __init__(self, ask: Spec, work: Workspace, *, until: str = "release", reuse: bool = True) -> None:
        self.ask, self.work, self.until, self.reuse = ask, work, until, reuse
        self.done: list[Record] = []

    def __call__(self, stage: str, *given: Section | Record) -> Any:
        """The stage's record: found, or made now."""
        made = self.made(stage, given)
        record = self.found(stage, made) or self.make(stage, made, given)
        self.done.append(record)
        self.apply_gates(record)
        if stage == self.until:
            raise Until
        return record

    def made(self, stage: str, given: Iterable[Section | Record]) -> Made:
        """What the record is a function of."""
        inputs = {each.stage: each.digest for each in given if isinstance(each, Record)}
        ask = {type(each).__name__.lower(): msgspec.to_builtins(each) for each in given if isinstance(each, Section)}
        if stage == "snapshot":
            from forgeline.stages.snapshot import source_digests

            inputs |= source_digests(self.ask.snapshot, self.ask.split, self.work)
        if stage == "assess":
            from forgeline.stages.snapshot import file_digests

            for role in ("review", "probabilities", "ledger", "schema"):
                inputs |= file_digests(role, getattr(self.ask.assess, role), self.work)
        if stage == "refine" and self.ask.refine.encoder:
            from forgeline import pretrained

            inputs["encoder"] = pretrained.digest_of(self.ask.refine.encoder, self.work.base)
        if stage == "plan":
            from forgeline.stages.snapshot import file_digests

            inputs |= file_digests("portfolio", self.ask.plan.portfolio or str(portfolio.SHIPPED), self.work)
        return Made(
            inputs=inputs,
            ask=without_workers(ask),
            parts=part_digests(*PARTS_OF.get(stage, ())),
            forgeline=__version__,
            seed=self.ask.seed,
        )

    def found(self, stage: str, made: Made) -> Record | None:
        """A finished record with the same key, of this run or of another in the store."""
        own = read(self.work.folder, stage)
        if own and own.made and own.made.key == made.key and self.whole(own, self.work.artefacts):
            self.work.say(f"{stage}: done already")
            return own
        for name in self.work.store.lookup(made.key) if self.reuse else []:
            other = self.work.store.runs / name
            record = read(other, stage)
            if record and record.made and record.made.key == made.key:
                return self.adopt(record, other)
        return None

    def adopt(self, record: Record, other: Path) -> Record | None:
        """Take over another run's record with its artefacts and what it wrote into its work log.

        A record that went without something for lack of time is no other run's; nor is a snapshot whose rows name
        pictures in files of their own, which may have changed.
        """
        if isinstance(record, records.Snapshot) and names_pictures(record):
            return None
        theirs = Artefacts(other / "artefacts")
        written = [each for each in read_log(other) if each.get("stage") == record.stage]
        if not self.whole(record, theirs) or any(each["do"] == "skip" for each in written):
            return None
        if isinstance(record, records.Snapshot):
            from forgeline.stages.snapshot import place

            record = msgspec.structs.replace(record, place=place(self.work))  # this run's code, not theirs
        for ref in refs(record):
            self.work.artefacts.copy(ref.digest, theirs)
        if record.stage == "release":
            return None  # cheap to make, and its folder names this run
        for each in written:
            if each not in self.work.log.lines:
                self.work.log.append({**each, "elapsed": 0.0})
        self.work.say(f"{record.stage}: taken over from run {other.name}")
        record = msgspec.structs.replace(record, run=self.work.run, gates=[])
        return self.publish(self.with_totals(record) if record.stage == "evaluate" else record)  # at this run's prices

    def whole(self, record: Record, artefacts: Artefacts) -> bool:
        """Whether everything the record speaks of is still there and unchanged. Errors: BadInput."""
        if isinstance(record, records.Release) and not (self.work.folder / "release" / "SHA256SUMS").exists():
            return False
        if isinstance(record, records.Snapshot):
            facts = record.facts
            stored = [digest for digest in (facts.digest, facts.test_digest) if digest]
            if not all((self.work.snapshots / digest).is_dir() for digest in stored):
                return False
            for digest in stored:
                self.work.rows(digest)
        return all(artefacts.holds(ref.digest) for ref in refs(record))

    def make(self, stage: str, made: Made, given: Iterable[Section | Record]) -> Record:
        """Call the stage, meter it, publish its record."""
        watch = Stopwatch()
        self.work.say(f"{stage} …")
        module = importlib.import_module(f"forgeline.stages.{stage}")
        record: Record = getattr(module, stage)(*given, self.work)
        record = msgspec.structs.replace(
            record, schema=records.schema(stage), stage=stage, run=self.work.run, made=made, meter=None
        )
        aside = refs(getattr(record, "place", None))  # where it was made is no decision
        record = msgspec.structs.replace(record, artefacts=[ref for ref in refs(record) if ref not in aside])
        record = msgspec.structs.replace(record, meter=self.meter(watch))
        return self.publish(self.with_totals(record) if stage == "evaluate" else record)

    def meter(self, watch: Stopwatch) -> Meter:
        """What making a record took."""
        seconds, cpu_seconds, peak, joules = watch.read()
        workers = self.work.workers.take_usage()
        price = self.ask.budget.price_per_hour
        return Meter(
            seconds=seconds,
            cpu_seconds=cpu_seconds + workers.cpu_seconds,
            peak_bytes=max(peak, workers.peak_bytes),
            joules=joules,
            cost=None if price is None else seconds / 3600 * price,
            host=platform.node(),
            at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )

    def with_totals(self, record: Record) -> Record:
        """The evaluation with what the line has taken so far; a total of unknowns is unknown."""
        meters = [each.meter for each in [*self.done, record] if each.meter]
        totals = totals_of(meters, self.ask)
        return msgspec.structs.replace(record, numbers=record.numbers | totals)

    def publish(self, record: Record) -> Record:
        """Write the record, last of all, with its gates, and index it."""
        record = msgspec.structs.replace(record, gates=self.gates(record))
        data = records.encode(record)
        write_atomic(self.work.folder / records.file_name(record.stage), data)
        if record.made:
            self.work.store.remember(self.work.run, record.stage, record.made.key)
        if self.work.mirror:
            from forgeline.engine.mirror import copy

            copy(self.work.folder, self.work.mirror)
        return records.decode(data)  # as a resumed run will read it: 5 has become 5.0, and so has the digest

    def gates(self, record: Record) -> list[GateResult]:
        """The gates on numbers that this record brings; at the release, also those that no record brought."""
        seen = {name for each in self.done for name in each.numbers}
        asked = [parse_gate(name, condition) for name, condition in self.ask.gates.items()]
        asked += [BUILT_IN] if not any(gate.number == BUILT_IN.number for gate in asked) else []
        here = [gate for gate in asked if gate.number in record.numbers]
        results = [judge(gate, record.numbers[gate.number]) for gate in here]
        if record.stage == "evaluate":
            known = seen | set(record.numbers)
            results += [unknown(gate, known) for gate in asked if gate.number not in known]
        return results

    def apply_gates(self, record: Record) -> None:
        """Stop the line where a gate does not hold. Errors: GateBlocks."""
        gates = self.gates(record)
        if gates != record.gates:
            self.publish(record)
        broken = [gate for gate in gates if not gate.holds]
        if broken:
            blocking = [each for each in record.findings if each.severity == "block"]
            raise GateBlocks(broken, blocking if record.stage == "assess" else [])


def without_workers(ask: dict[str, Any]) -> dict[str, Any]:
    """The asked sections without what never changes a decision: prices and the number of workers."""
    budget = ask.get("budget")
    if budget is None:
        return ask
    kept = {key: budget[key] for key in ("work", "time", "memory")}
    return ask | {"budget": kept}


def names_pictures(record: records.Snapshot) -> bool:
    """Whether text named the pictures of a snapshot."""
    facts = record.facts
    texts = ("delimited text", "json lines", "parquet")
    named = any(source.format in texts for source in facts.sources)
    return named and any(column.kind == "image" for column in facts.columns)


def part_digests(*kinds: str) -> dict[str, str]:
    """Digest of the code of every part of some kinds."""
    return {f"{kind}.{entry.name}": catalog.source_digest(entry) for kind in kinds for entry in catalog.parts(kind)}


def refs(record: Any) -> list[Ref]:
    """Every file that a record, or a part of one, refers to, each once, in order."""
    found: dict[str, Ref] = {}

    def walk(value: Any) -> None:
        if isinstance(value, Ref):
            found.setdefault(value.digest, value)
        elif isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                walk(getattr(value, name))
        elif isinstance(value, dict):
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(record)
    return list(found.values())


def read(folder: Path, stage: str) -> Record | None:
    """A stage's record in a run folder, or None. Errors: BadInput when it cannot be read."""
    path = folder / records.file_name(stage)
    if not path.exists():
        return None
    try:
        return records.decode(path.read_bytes())
    except (ValueError, KeyError, msgspec.DecodeError) as error:
        raise BadInput(
            f"not a record ({error})", where=str(path), remedy="Delete the file and resume the run."
        ) from None


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's work log."""
    from forgeline.engine.store import read_lines

    return list(read_lines(folder / "work.log"))


def read_all(folder: Path) -> list[Record]:
    """The records of a run, in the order of the line."""
    return [record for stage in records.STAGES if (record := read(folder, stage))]


RELATIONS = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}


def judge(gate: Gate, number: Number) -> GateResult:
    """Whether a number meets a gate; what was not measured does not hold."""
    value = getattr(number, gate.side)
    if value is None:
        why = number.why or f"{gate.number} has no {gate.side}"
        return GateResult(gate=gate.text, value=None, holds=False, why=why)
    return GateResult(gate=gate.text, value=value, holds=bool(RELATIONS[gate.relation](value, gate.bound)))


def unknown(gate: Gate, known: set[str]) -> GateResult:
    """A gate on a number that the run has not: it does not hold."""
    from forgeline.errors import choices

    why = f"this run has no number {gate.number}. {choices(gate.number, known)}"
    return GateResult(gate=gate.text, value=None, holds=False, why=why)


def totals_of(meters: list[Meter], ask: Spec) -> dict[str, Number]:
    """`cost.total`, `energy.total` and `carbon.total`; unknown prices stay unknown."""
    seconds = sum(meter.seconds for meter in meters)
    price, carbon = ask.budget.price_per_hour, ask.budget.carbon_per_kwh
    joules = [meter.joules for meter in meters]
    energy = None if any(each is None for each in joules) else sum(each or 0.0 for each in joules)
    no_energy = "this machine has no energy counter that can be read"
    numbers = {
        "time.total": Number(value=seconds, unit="s", measured=True),
        "cost.total": Number(
            value=None if price is None else seconds / 3600 * price,
            why="" if price is not None else "set [budget] price_per_hour",
            measured=True,
        ),
        "energy.total": Number(value=energy, unit="J", why="" if energy is not None else no_energy, measured=True),
    }
    grams = None if energy is None or carbon is None else energy / 3.6e6 * carbon
    why = "" if grams is not None else (no_energy if energy is None else "set [budget] carbon_per_kwh")
    return numbers | {"carbon.total": Number(value=grams, unit="gCO2e", why=why, measured=True)}


def show(value: float | None) -> str:
    """A number as people read it."""
    return "unknown" if value is None else f"{value:.6g}"
