"""Units of work: one candidate without one fold, given to a worker, logged, never done twice."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from forgeline import records
from forgeline.engine.attempts import TAKEN, Attempts, Spent
from forgeline.engine.checkpoint import reached
from forgeline.engine.controller import PROBES, Key, Listed, Schedule
from forgeline.engine.workers import Job, Outcome
from forgeline.errors import BadInput
from forgeline.models import Data
from forgeline.records import Candidate, Unit
from forgeline.watching import Watch

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

SMALLEST_SHARE = 0.1
"""A unit that goes over its memory is tried with half its rows, down to this share of those it was to have."""


@dataclass
class Bench:
    """Where units are fitted, and what they are fitted from."""

    refinement: records.Refinement
    candidates: dict[str, Candidate]
    """Everything that may be fitted, by name."""
    data: Data
    work: Workspace
    quantile: float | None = None
    """Regression: the quantile to predict; None: the mean."""
    lost: dict[str, str] = field(default_factory=dict)
    """Unit → why it is not there."""

    seconds: dict[Key, float] = field(default_factory=dict)
    """Seconds that each finished unit took."""
    paces: dict[Key, float] = field(default_factory=dict)
    """Seconds that each finished unit's graph takes for a row."""

    works: dict[Key, float] = field(default_factory=dict)
    """Work units that were counted of each finished unit."""

    @property
    def timed(self) -> bool:
        """Whether the clock decides."""
        return self.work.clock.limit is not None

    @property
    def spent(self) -> float:
        """Work units that were counted so far; the sum is the same in whatever order units came back."""
        return math.fsum(self.works.values())

    @property
    def folds(self) -> int:
        """Folds of the training rows."""
        return self.refinement.facts.fold_count

    def __post_init__(self) -> None:
        """Read what was found and measured before this process began, or in the run that is replayed."""
        for line in [*self.work.replay, *self.work.log.lines]:
            if line["do"] == "searched":
                found = msgspec.convert(line["candidate"], Candidate)
                self.candidates[found.name] = found
        for line in self.work.log.lines:
            if line["do"] == "unit":
                self.measured(line)

    def admit(self, candidate: Candidate) -> None:
        """Let a candidate compete that the plan did not name, and keep it in the work log."""
        if candidate.name not in self.candidates:
            self.candidates[candidate.name] = candidate
            self.work.note("searched", stage="train", candidate=candidate)

    def measured(self, line: dict[str, Any]) -> None:
        """Keep what a line of the work log says of its unit."""
        key = line["unit"]["candidate"], line["unit"]["fold"]
        self.seconds[key] = float(line["seconds"])
        self.paces[key] = float(line["predict_seconds_per_row"])

    def fit(
        self,
        schedule: Schedule[Unit],
        phase: str,
        remaining: Callable[[], float],
        told: Callable[[dict[Key, Unit]], None],
        share: Callable[[], float] | None = None,
    ) -> dict[Key, Unit]:
        """Finished units in the order of the schedule; what the work log has is not done again.

        The schedule sees the finished units, and None of those that were lost. Where `remaining` comes to 0 the rest is
        left; the log's `close` line says what was finished and what was lost, which a replay follows. `told` hears of
        every finished unit; `share` says how much of the budget is gone.
        """
        closed = self.work.decided("close", stage="train", phase=phase)
        if closed:
            keys = [(name, fold) for name, fold in closed["units"]]
            check_planned([name for name, _ in keys], self.candidates)
            schedule = Listed(keys)
            self.lost |= closed.get("lost", {})
        desk = Desk(self, schedule, finished_units(self.work), told)
        if closed or self.timed:
            desk.recall(of_phase(phase, self.folds, closed))
        with self.work.progress(phase, len(closed["units"]) if closed else 0, None if closed else share) as bar:
            watch = Watch(self.work.checkpoints, bar.show, self.work.draw, remaining)
            with closing(self.work.workers.feed(desk.give, remaining, watch)) as outcomes:
                for outcome in outcomes:
                    if unit := desk.take(outcome):
                        bar.step(unit.candidate)
        finished = {key: unit for key in desk.named if (unit := desk.results.get(key))}
        if not self.work.log.find("close", stage="train", phase=phase):
            units = [list(key) for key in finished]
            self.work.note("close", stage="train", phase=phase, units=units, lost=self.lost)
        return finished

    def job(self, candidate: Candidate, fold: int, share: float, steps: int | None) -> Job:
        """The call that fits one unit in a worker."""
        facts = self.refinement.facts
        arguments = {
            "artefacts": str(self.work.artefacts.folder),
            "table": {ref.name: ref.digest for ref in facts.table},
            "folds": facts.folds.digest,
            "recipe": facts.recipes[min(fold, self.folds)].digest,
            "candidate": candidate.name,
            "family": candidate.family,
            "setting": candidate.setting,
            "fold": fold,
            "share": share,
            "steps": steps,
            "task": self.data.task,
            "outputs": self.data.outputs,
            "quantile": self.quantile,
            "seed": (self.work.seed.root, self.work.seed.path),
        }
        what = f"all rows {fold - self.folds + 1}" if fold >= self.folds else f"fold {fold + 1}"
        name = f"{candidate.name} {what}"
        checkpoints = {"checkpoints": str(self.work.checkpoints / name)}
        return Job(name, "forgeline.fitting:fit_unit", arguments | checkpoints)


def check_planned(names: list[str], candidates: Mapping[str, Candidate]) -> None:
    """Errors: BadInput where a work log names what this version of the program does not plan."""
    for name in names:
        if name not in candidates:
            remedy = "Take that version, or make the run anew."
            raise BadInput(f"another version of forgeline planned {name}", where="work.log", remedy=remedy)


def of_phase(phase: str, folds: int, closed: Mapping[str, Any] | None) -> Callable[[Key], bool]:
    """Whether a unit that is there counts for a phase: of one that was closed, only what it finished."""
    if closed:
        finished = {(name, fold) for name, fold in closed["units"]}
        return lambda key: key in finished
    return lambda key: (key[1] >= folds) == (phase == "refit")


@dataclass
class Desk:
    """Where units are given out and come back to."""

    bench: Bench
    schedule: Schedule[Unit]
    before: dict[Key, Unit]
    """Units that were finished before this process began."""
    told: Callable[[dict[Key, Unit]], None]
    named: list[Key] = field(default_factory=list)
    results: dict[Key, Unit | None] = field(default_factory=dict)
    again: list[Job] = field(default_factory=list)

    def recall(self, wanted: Callable[[Key], bool]) -> None:
        """Begin with what was finished before, though there may be no time left to give out anything."""
        for key, unit in self.before.items():
            if wanted(key) and key not in self.results and key[0] in self.bench.candidates:
                self.named.append(key)
                self.finish(key, unit)

    def give(self) -> Job | None:
        """The next unit to fit; one that is tried again comes first."""
        if self.again:
            return self.again.pop()
        while (key := self.schedule.next(self.named, self.results)) is not None:
            self.named.append(key)
            if key not in self.before:
                patience = self.schedule.patience(key, self.named, self.results) if self.bench.timed else math.inf
                return replace(self.job(*key), seconds=patience)
            self.finish(key, self.before[key])
        return None

    def job(self, name: str, fold: int) -> Job:
        """The job that fits a unit; a replayed one is given the rows it had and, but for probes, the steps."""
        bench = self.bench
        replayed = replayed_unit(name, fold, bench.work)
        candidate = bench.candidates[name]
        share = candidate.share if replayed is None else float(replayed["share"])
        steps = self.steps(name, fold) if replayed is None or fold < PROBES else replayed["steps"]
        return bench.job(candidate, fold, share, steps)

    def steps(self, name: str, fold: int) -> int | None:
        """The mean of the last steps that the probes chose; the probes themselves choose their own."""
        if fold < PROBES:
            return None
        known = self.before | self.results  # the fit on all rows comes in a phase of its own
        found = [known.get((name, probe)) for probe in range(PROBES)]
        steps = [unit.steps for unit in found if unit and unit.steps]
        return max(1, round(sum(steps) / len(steps))) if steps else None

    def take(self, outcome: Outcome) -> Unit | None:
        """The unit that came back, logged; None where it was lost, or is tried again."""
        arguments, work = outcome.job.arguments, self.bench.work
        key = arguments["candidate"], arguments["fold"]
        if outcome.value is not None:
            unit = msgspec.convert(outcome.value["unit"], Unit)
            seconds = round(outcome.seconds + outcome.value["seconds_before"], 3)
            self.bench.measured(work.note("unit", stage="train", unit=unit, seconds=seconds, **timing(outcome)))
            shutil.rmtree(arguments["checkpoints"], ignore_errors=True)
            self.finish(key, unit)
            return unit
        if again := another(outcome, SMALLEST_SHARE * self.bench.candidates[arguments["candidate"]].share):
            self.again.append(again)
        else:
            shutil.rmtree(arguments["checkpoints"], ignore_errors=True)
            self.bench.lost[outcome.job.name] = outcome.lost
            self.results[key] = None
        return None

    def finish(self, key: Key, unit: Unit) -> None:
        """Tell everyone."""
        self.results[key] = unit
        self.bench.works[key] = unit.work
        self.told({key: unit for key, unit in self.results.items() if unit})


def another(outcome: Outcome, least: float) -> Job | None:
    """What is tried in place of a job that was lost; None: it stays lost.

    One that went over its memory is tried with half its rows, at `least` a share of them; one that somebody else took
    away as it was, from its checkpoints where there are any. An error would only happen again.
    """
    job, arguments = outcome.job, outcome.job.arguments
    folder, share = Path(arguments["checkpoints"]), arguments["share"] / 2
    if outcome.lost == "memory" and share >= least:
        shutil.rmtree(folder, ignore_errors=True)  # of more rows
        halved = {"share": share, "checkpoints": str(folder.with_name(f"{folder.name}, {share:.3g} of the rows"))}
        return Job(job.name, job.call, arguments | halved)
    if outcome.exit_code not in TAKEN:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    try:
        Attempts(folder / "attempts.json").count(outcome.exit_code, reached(folder))
    except Spent:
        return None
    return replace(job, seconds=job.seconds - outcome.seconds)


def finished_units(work: Workspace) -> dict[tuple[str, int], Unit]:
    """Units of this run's work log whose files are whole."""
    lines = [line for line in work.log.lines if line["do"] == "unit"]
    units = [msgspec.convert(line["unit"], Unit) for line in lines]
    return {
        (unit.candidate, unit.fold): unit
        for unit in units
        if all(work.artefacts.holds(ref.digest) for ref in (unit.model, unit.predictions, unit.metrics) if ref)
    }


def timing(outcome: Outcome) -> dict[str, Any]:
    """What a unit measured on its way; never decides anything but when to stop."""
    return {
        "peak_bytes": outcome.peak_bytes,
        "predict_seconds_per_row": outcome.value["predict_seconds_per_row"],
    }


def replayed_unit(candidate: str, fold: int, work: Workspace) -> dict[str, Any] | None:
    """The unit of that name in the log that is replayed."""
    lines = [line["unit"] for line in work.replay if line["do"] == "unit"]
    found = [each for each in lines if each["candidate"] == candidate and each["fold"] == fold]
    return found[-1] if found else None
