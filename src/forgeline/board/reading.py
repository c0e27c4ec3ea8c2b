"""What a run folder holds, as the page is drawn from it."""

import base64
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

import msgspec

from forgeline import records, spec
from forgeline.board.private import withheld
from forgeline.errors import BadInput
from forgeline.records import GateResult, Number, Record, Ref


@dataclass(frozen=True)
class Run:
    """What a run folder holds: its spec and the records so far, in the order of the line."""

    folder: Path
    spec: spec.Spec
    spec_text: str
    records: dict[str, Record]
    until: str = "release"
    """The stage that the line was asked to stop at."""
    running: str = ""
    """When the page is drawn, of a run that goes on."""

    @cached_property
    def numbers(self) -> dict[str, Number]:
        """Every number of every record."""
        return {name: number for record in self.records.values() for name, number in record.numbers.items()}

    @cached_property
    def shown(self) -> dict[str, Record]:
        """The records as they are drawn: without values of personal columns."""
        return {stage: withheld(record) for stage, record in self.records.items()}

    @cached_property
    def gates(self) -> list[GateResult]:
        """Every gate, once, as it was judged last."""
        return list({gate.gate: gate for record in self.records.values() for gate in record.gates}.values())

    def again(self, options: str = "", verb: str = "run") -> tuple[str, str]:
        """Where to type what runs, or assesses, the same spec anew, with these options."""
        source = self.spec.snapshot.source
        if verb == "run" and not self.spec.snapshot.target:
            options = f"--target COLUMN {options}"
        if not (Path(source).is_absolute() or ":" in source):
            # Relative to the folder of the user's own spec, which the run does not record.
            return "in the folder of your forgeline.toml", f"forgeline {verb} {options}".rstrip()
        here, top = self.folder.resolve(), Path.cwd()
        folder = here.relative_to(top) if here.is_relative_to(top) else here
        return "here", f"forgeline {verb} {quote(str(folder / 'spec.toml'))} {options}".rstrip()

    def facts(self, stage: str) -> Any:
        """The stage's own facts, or None when it has no record yet."""
        return getattr(self.records.get(stage), "facts", None)


def read(folder: Path) -> Run:
    """The run in a folder. Errors: BadInput naming the file that is no record or no spec."""
    found = {}
    for stage in records.STAGES:
        file = folder / records.file_name(stage)
        if file.exists():
            found[stage] = decode(file)
    file = folder / "spec.toml"
    return Run(folder, spec.read(file), file.read_text(encoding="utf-8"), found, until(folder))


def picture(run: Run, ref: Ref) -> str:
    """A picture of the run as an address that holds it; an empty one where the file is gone."""
    file = run.folder / "artefacts" / ref.digest
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}" if file.exists() else "data:,"


def until(folder: Path) -> str:
    """The stage that the line was asked to stop at, by the run's log; the last one when that does not say."""
    log = folder / "work.log"
    first = log.read_bytes().partition(b"\n")[0] if log.exists() else b""
    try:
        return str(json.loads(first).get("until", "release"))
    except ValueError:
        return "release"


def decode(file: Path) -> Record:
    """The record in a file. Errors: BadInput."""
    try:
        return records.decode(file.read_bytes())
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        raise BadInput(f"not a record ({error})", where=str(file), remedy="Run: forgeline resume RUN") from None


def placed(where: str) -> str:
    """Where to type it, unless it is here."""
    return "" if where == "here" else f", {where}"
