"""Opens a run, drives it along the line, closes it with its report; what the command line and Python share."""

from __future__ import annotations

import datetime
import os
import re
import secrets
import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from forgeline import records, runner, spec
from forgeline.engine.clock import Clock
from forgeline.engine.seeds import Seed
from forgeline.engine.store import Store, WorkLog, hold_run, write_atomic
from forgeline.engine.workers import Workers
from forgeline.errors import BadInput
from forgeline.line import line
from forgeline.records import GateResult, Number, Record
from forgeline.runner import GateBlocks, Runner, Until
from forgeline.spec import Budget, Spec
from forgeline.workspace import PRELOAD, TORCH_AHEAD, TORCH_BYTES, Workspace

if TYPE_CHECKING:
    import polars as pl

STORE = Path(".forgeline")
OPENED: list[Run] = []
"""Runs this process has worked on, the last one last: what an interruption speaks of."""
LEAST_MEMORY = 10**9
"""Bytes that a worker has at least, where there is more than one."""
MEMORY_SHARE = 0.8
"""Share of the free memory a run may use when the spec names no limit."""


@dataclass(frozen=True)
class Release:
    """A release folder that can be asked."""

    folder: Path

    def predict(self, data: Any, base: Path | None = None) -> pl.DataFrame:
        """Predictions for a polars, pandas or Arrow frame: one row per input row, same order.

        Paths of pictures are relative to `base`; without one none is followed.
        """
        from forgeline.engine import album, tables
        from forgeline.serving.batch import predict_frame

        frame = tables.to_polars(data)
        plain = [series.name for series in frame if not album.holds_bytes(series)]
        settled = tables.from_object(frame.select(plain)) if plain else frame
        return predict_frame(self.folder, frame.with_columns(settled.get_columns()), base=base)


@dataclass(frozen=True)
class Run:
    """One pass through the line, as its folder tells it."""

    folder: Path

    @property
    def name(self) -> str:
        """The run's id."""
        return self.folder.name

    @property
    def records(self) -> list[Record]:
        """Records of the stages that are done."""
        return runner.read_all(self.folder)

    @property
    def base(self) -> Path:
        """What relative paths of the spec are relative to."""
        return Path((WorkLog(self.folder / "work.log").find("open") or {}).get("base", "."))

    @property
    def ask(self) -> Spec:
        """The spec the run was asked for."""
        return spec.read(self.folder / "spec.toml")

    @property
    def numbers(self) -> dict[str, Number]:
        """Every number of every record."""
        return {name: number for record in self.records for name, number in record.numbers.items()}

    @property
    def gates(self) -> list[GateResult]:
        """Every gate that was judged."""
        return [gate for record in self.records for gate in record.gates]

    @property
    def verdict(self) -> Literal["passed", "blocked", "failed"]:
        """passed: every gate so far holds and the line ended where it was asked to; blocked: a gate does not."""
        if any(not gate.holds for gate in self.gates):
            return "blocked"
        opened = WorkLog(self.folder / "work.log").find("open") or {}
        done = {record.stage for record in self.records}
        return "passed" if opened.get("until", "release") in done else "failed"

    @property
    def digest(self) -> str | None:
        """The release's digest."""
        last = next((each for each in self.records if isinstance(each, records.Release)), None)
        return last.facts.digest if last else None

    @property
    def release(self) -> Release | None:
        """The release, when the run ended in one."""
        return Release(self.folder / "release") if self.digest else None

    @property
    def report(self) -> Path:
        """The page to open."""
        return self.folder / "report.html"

    def plain(self) -> dict[str, Any]:
        """What `run --json` prints."""
        stages = [
            {
                "name": each.stage,
                "seconds": each.meter.seconds if each.meter else None,
                "record": str(self.folder / records.file_name(each.stage)),
            }
            for each in self.records
        ]
        gates = msgspec.to_builtins(self.gates)
        return {
            "run": self.name,
            "folder": str(self.folder),
            "verdict": self.verdict,
            "stages": stages,
            "gates": gates,
            "numbers": msgspec.to_builtins(self.numbers),
            "release": str(self.release.folder) if self.release else None,
            "digest": self.digest,
        }


def run(
    data: Any = None,
    *,
    target: str = "",
    work: float | None = None,
    time: str | None = None,
    test: str | Path | None = None,
    until: str = "release",
    store: str | Path = STORE,
    mirror: str = "",
    quiet: bool = True,
    **sections: dict[str, Any],
) -> Run:
    """Run the line on a file, a folder, a spec or a polars, pandas or Arrow frame.

    `sections` are spec sections as dictionaries: `run("adult.csv", target="income", assess={"protected": ["sex"]})`.
    Errors: BadInput, GateBlocks, BudgetSpent.
    """
    started = now()
    place = Store(Path(store).resolve())
    base, asked = Path.cwd(), dict(sections)
    budget = {"work": work} if work is not None else {"time": time} if time is not None else {}
    asked["budget"] = asked.get("budget", {}) | budget
    if test is not None:
        asked["split"] = asked.get("split", {}) | {"file": str(test)}
    if isinstance(data, str | Path):
        asked["snapshot"] = asked.get("snapshot", {}) | {"source": str(data), "target": target}
    elif data is not None:
        source = freeze(data, place)
        asked["snapshot"] = asked.get("snapshot", {}) | {"source": source, "target": target}
    return start(spec.check(asked), base=base, store=place, until=until, started=started, mirror=mirror, quiet=quiet)


def assess(data: Any, *, target: str = "", **options: Any) -> records.Assessment:
    """What the data is worth: the line up to assess; its record. Options are those of `run`."""
    try:
        done = run(data, target=target, until="assess", **options)
    except GateBlocks:
        done = Run(Store(Path(options.get("store", STORE)).resolve()).find("latest"))
    record: Any = done.records[1]
    return record  # type: ignore[no-any-return]


def freeze(frame: Any, store: Store) -> str:
    """Keep a frame in memory as a snapshot; the source that names it."""
    from forgeline.engine import album, snapshots, tables
    from forgeline.engine.rows import Held

    store.open()
    taken = album.take(tables.to_polars(frame), None)
    rows = Held(tables.from_object(taken.frame))
    return "snapshot:" + snapshots.put(store.snapshots, rows, {"source": "frame"}, taken.album)


def start(
    ask: Spec,
    *,
    base: Path,
    store: Store,
    until: str = "release",
    started: float,
    mirror: str = "",
    predict: bool = False,
    quiet: bool = False,
) -> Run:
    """Open a new run and drive it. The folder is gone again after BadInput."""
    check_until(until)
    check_parts(ask)
    if ask.refine.encoder:
        from forgeline import pretrained

        pretrained.located(ask.refine.encoder, base)
    with store.lock():
        folder = store.runs / new_name(ask)
        try:
            folder.mkdir()
            OPENED.append(Run(folder))  # first of all, so that an interruption can name it
            write_atomic(folder / "spec.toml", spec.encode(ask).encode())
            WorkLog(folder / "work.log").append(
                {"do": "open", "base": str(base), "until": until, "mirror": mirror, "predict": predict}
            )
            with hold_run(folder):
                return drive(folder, store=store, started=started, quiet=quiet)
        except BadInput:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def resume(folder: Path, *, store: Store, started: float, quiet: bool = False) -> Run:
    """Go on with a run that was interrupted; what it has finished is not done again."""
    OPENED.append(Run(folder))
    with store.lock(), hold_run(folder):
        return drive(folder, store=store, started=started, quiet=quiet)


def verify(folder: Path, *, store: Store, quiet: bool = False) -> dict[str, Any]:
    """Make everything a run has decided again, following its work log, and compare digest by digest."""
    there = {record.stage: record for record in runner.read_all(folder)}
    ask = spec.read(folder / "spec.toml")
    log = runner.read_log(folder)
    opened = next((each for each in log if each["do"] == "open"), None)
    if opened is None:
        raise BadInput("work.log is gone, so there is nothing to follow", where=str(folder))
    until = list(there)[-1] if there else "release"
    with store.lock():
        again = store.root / "verify" / f"{folder.name}-{secrets.token_hex(2)}"
        again.mkdir(parents=True)
        try:
            write_atomic(again / "spec.toml", spec.encode(ask).encode())
            WorkLog(again / "work.log").append({"do": "open", "base": opened["base"], "until": until, "mirror": ""})
            drive(again, store=store, started=now(), quiet=quiet, replay=log)
            here = {record.stage: record for record in runner.read_all(again)}
        finally:
            shutil.rmtree(again, ignore_errors=True)
    stages = {stage: stage in here and here[stage].digest == record.digest for stage, record in there.items()}
    theirs, ours = there.get("release"), here.get("release")
    digests = [each.facts.digest if isinstance(each, records.Release) else None for each in (theirs, ours)]
    return {
        "run": folder.name,
        "equal": bool(stages) and all(stages.values()),
        "stages": stages,
        "release": {"recorded": digests[0], "made_again": digests[1], "equal": digests[0] == digests[1]},
    }


def drive(
    folder: Path, *, store: Store, started: float, quiet: bool, replay: list[dict[str, Any]] | None = None
) -> Run:
    """Send one run along the line; its report is drawn however it ends."""
    ask = spec.read(folder / "spec.toml")
    log = WorkLog(folder / "work.log")
    opened = log.find("open") or {}
    work = workspace(folder, ask, store, log, started, quiet=quiet, replay=replay)
    try:
        line(ask, Runner(ask, work, until=opened.get("until", "release"), reuse=replay is None))
    except Until:
        pass
    except GateBlocks:
        if replay is None:
            raise
    except KeyboardInterrupt:
        work.note("interrupted")  # what was used of the time until now counts when the run is resumed
        raise
    finally:
        if replay is None and runner.read_all(folder):
            learn(folder, ask, store)
            close(folder, opened.get("mirror", ""))
    return Run(folder)


def learn(folder: Path, ask: Spec, store: Store) -> None:
    """Leave what the run has tried as a lesson for later plans, unless the spec says not to."""
    from forgeline import experience

    found = experience.lesson(runner.read_all(folder)) if ask.plan.experience == "auto" else None
    if found:
        experience.remember(store.root, found)


def draw(folder: Path, *, running: bool = False) -> None:
    """Draw the report as far as the run is."""
    from forgeline.board.report import report

    report(folder, running=running)


def close(folder: Path, mirror: str) -> None:
    """Draw the report and copy the run where it was asked to be."""
    draw(folder)
    if mirror:
        from forgeline.engine.mirror import copy

        copy(folder, mirror)


def workspace(
    folder: Path,
    ask: Spec,
    store: Store,
    log: WorkLog,
    started: float,
    *,
    quiet: bool,
    replay: list[dict[str, Any]] | None,
) -> Workspace:
    """The machinery of one run, with workers being warmed up."""
    opened = log.find("open") or {}
    count, shares = workers_of(ask.budget, os.cpu_count() or 1)
    workers = workers_for(ask, count, memory_each(ask, shares, log, replay or []), opened.get("until", "release"))
    limit = None if replay is not None else ask.budget.seconds
    clock = Clock(limit, started=started, used=log.elapsed)
    base = Path(opened.get("base", "."))
    work = Workspace(folder, store, base, clock, Seed(ask.seed), workers, log, replay or [], quiet)
    work.mirror, work.predict = opened.get("mirror", ""), opened.get("predict", False)
    work.source = ask.snapshot.source
    if replay is None:
        work.draw = partial(draw, folder, running=True)
    workers.start()
    return work


def workers_for(ask: Spec, count: int, memory_bytes: int, until: str) -> Workers:
    """Workers that have imported what they will need, torch too where a family that is to be trained needs it."""
    stages = list(records.STAGES)
    trains = stages.index(until) >= stages.index("train")
    if trains and needs_torch(ask.train):
        return Workers(count, memory_bytes, (*PRELOAD, TORCH_AHEAD), shared_bytes=TORCH_BYTES)
    return Workers(count, memory_bytes, PRELOAD)


def needs_torch(train: spec.Train) -> bool:
    """Whether a family that was named is trained with torch."""
    from forgeline import catalog

    named = [] if train.families == "auto" else train.families
    names = [each if isinstance(each, str) else str(each["use"]) for each in named]
    return any(catalog.requires(catalog.load("families", name), "torch") for name in names)


def check_until(until: str) -> None:
    """Errors: BadInput with the nearest stage."""
    if until not in records.STAGES:
        raise BadInput(f"no stage {until}", where="--until", asked=until, known=records.STAGES)


def check_parts(ask: Spec) -> None:
    """Errors: BadInput for a part that is not there, before hours of work rather than after."""
    from forgeline import catalog, models
    from forgeline.stages import plan

    for part in ask.assess.checks:
        catalog.check_options("checks", part, "[[assess.checks]]")
    for part in ask.evaluate.suites:
        what = f"unknown suite {part.get('use', '')}"
        raise BadInput(what, where="[evaluate] suites", remedy="None are known.")
    if ask.plan.metric:
        catalog.load("metrics", ask.plan.metric, "[plan] metric")
        models.quantile_of(ask.plan.metric)
    if ask.train.families != "auto":
        plan.families(ask.train)


def new_name(ask: Spec) -> str:
    """A run's id: when, what, and four hex digits against two in one second."""
    source = ask.release.name or Path(ask.snapshot.source.split(":")[0]).name.split(".")[0] or "run"
    slug = re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")[:30] or "run"
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{slug}-{secrets.token_hex(2)}"


def workers_of(budget: Budget, cores: int) -> tuple[int, int]:
    """How many workers there are, and into how many parts the memory is divided.

    The parts decide what fits, so they depend on the cores and not on `workers`; where memory is short there are fewer.
    """
    wanted = budget.workers or cores
    shares = max(cores, wanted)
    if budget.memory_bytes:
        shares = min(shares, max(1, budget.memory_bytes // LEAST_MEMORY))
    return min(wanted, shares), shares


def memory_each(ask: Spec, shares: int, log: WorkLog, replay: list[dict[str, Any]]) -> int:
    """Bytes a worker may use; where the machine decides, the log keeps it, for the plan depends on it."""
    if ask.budget.memory_bytes:
        return ask.budget.memory_bytes // shares
    noted = [line for line in [*replay, *log.lines] if line["do"] == "memory"]
    if not noted:
        noted = [{"do": "memory", "stage": "plan", "bytes": free_memory() // shares}]
        log.append(noted[0])
    return int(noted[-1]["bytes"])


def free_memory() -> int:
    """Bytes a run may use on this machine now."""
    import psutil

    return int(psutil.virtual_memory().available * MEMORY_SHARE)


def now() -> float:
    """Seconds since 1970."""
    return time.time()
