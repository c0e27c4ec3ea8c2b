"""How a run ended, what stands against it, and what to type next."""

from dataclasses import dataclass
from shlex import quote
from typing import Any

from forgeline import records
from forgeline.board import figures, worth
from forgeline.board.reading import Run, placed
from forgeline.records import Finding, Fix, GateResult, Record


@dataclass(frozen=True)
class Verdict:
    """How the run ended, in a word and a sentence, and what to type next."""

    word: str
    says: str
    blockers: list[Finding]
    commands: list[tuple[str, str]]


def verdict(run: Run) -> Verdict:
    """Blocked by a gate, passed to the end or to where it was asked to stop, or unfinished."""
    for stage, record in run.shown.items():
        if any(not gate.holds for gate in record.gates):
            return blocked(run, stage, record)
    if len(run.records) == len(records.STAGES):
        return passed(run)
    return stopped(run) if run.until in run.records else unfinished(run)


def blocked(run: Run, stage: str, record: Record) -> Verdict:
    """Which gate stopped the line, the findings behind it, and the command that applies their fixes."""
    failing = [gate for gate in record.gates if not gate.holds]
    blocking = [finding for finding in record.findings if finding.severity == "block"]
    blockers = [each for each in blocking if not (accepted(run, each) or named(run, each))]
    gates = "; ".join(gate_text(gate) for gate in failing)
    codes = sorted({finding.code for finding in blockers if finding.fix and finding.fix.by_line})
    place, command = run.again(" ".join(f"--apply {quote(code)}" for code in codes))
    says = "To apply the fix and run the line again" if codes else "Mend it or change the condition in [gates]; then"
    commands = [(f"{says}, {place}:" if place != "here" else f"{says}:", command)]
    return Verdict("blocked", f"The line stopped after {stage}: {gates}.", blockers, commands)


def gate_text(gate: GateResult) -> str:
    """`findings.blocking == 0 does not hold (it is 1)`."""
    value = gate.why or "no value" if gate.value is None else f"it is {figures.figure(gate.value)}"
    return f"{gate.gate} does not hold ({value})"


def passed(run: Run) -> Verdict:
    """The line is complete and nothing stands against the release."""
    name = quote(run.folder.name)
    commands = [
        ("Predict a file:", f"forgeline predict {name} DATA -o predictions.csv"),
        ("Answer over HTTP:", f"forgeline serve {name}"),
        ("Prove that it can be made again:", f"forgeline verify {name}"),
    ]
    return Verdict("passed", f"All {len(records.STAGES)} stages are done and {held(run)}.", [], commands)


def held(run: Run) -> str:
    """That no gate stands against it."""
    return "every gate holds" if run.gates else "no gate was asked for"


def stopped(run: Run) -> Verdict:
    """The line came to the stage where it was asked to stop."""
    done = f"{len(run.records)} of {len(records.STAGES)} stages are done"
    where, command = run.again()
    says = f"The line was asked to stop at {run.until}: {done} and {held(run)}."
    return Verdict("passed", says, [], [(f"To run the whole line{placed(where)}:", command)])


def unfinished(run: Run) -> Verdict:
    """The line was interrupted, or is still at work."""
    done, total = len(run.records), len(records.STAGES)
    missing = next(stage for stage in records.STAGES if stage not in run.records)
    if run.running:
        says = f"{done} of {total} stages are done; {missing} is at work, as of {run.running}."
        return Verdict("running", says, [], [])
    says = f"{done} of {total} stages are done; {missing} has no record yet."
    return Verdict("unfinished", says, [], [("Go on from here:", f"forgeline resume {quote(run.folder.name)}")])


def accepted(run: Run, finding: Finding) -> dict[str, Any] | None:
    """Who signed for a finding and why, or None."""
    for accept in getattr(run.facts("assess"), "accepted", []):
        columns = accept.get("columns") or finding.columns
        if accept.get("code") == finding.code and set(columns) == set(finding.columns):
            return dict(accept)
    return None


def named(run: Run, finding: Finding) -> bool:
    """Whether the spec asks for the fix of a finding by its code."""
    wanted = run.spec.refine.apply
    return finding.fix is not None and isinstance(wanted, list) and finding.code in wanted


def fix_state(run: Run, finding: Finding, fix: Fix) -> str:
    """Whether the fix of a finding is applied, and what to type if it is not."""
    told = worth.step(finding, run.spec.refine.apply, getattr(run.facts("assess"), "decided", []))
    if told.says == worth.BY_DEFAULT:
        return f"{told.says}: it loses no row and no column"
    if not fix.by_line and told.command:
        return "not applied: this is for a person to do"
    return f"not applied; to apply it: {told.command}" if told.command else told.says


def fix_text(fix: Fix) -> str:
    """What a fix does."""
    if fix.says and not fix.by_line:
        return fix.says
    values = [f"{old} → {new}" for old, new in fix.values.items()] + fix.markers
    what = f"{fix.do} {figures.cut(fix.columns)}".rstrip() + (f" to {fix.to}" if fix.to else "")
    return what + (f" ({figures.cut(values)})" if values else "") + (f", {fix.says}" if fix.says else "")


def by_severity(found: list[Finding]) -> list[Finding]:
    """The findings, blocking ones first, otherwise in the order they were made."""
    return sorted(found, key=lambda finding: ("block", "warn", "note").index(finding.severity))
