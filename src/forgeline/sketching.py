"""What the networks among the candidates take, found out in workers on a few training rows before the plan is made.

Rests on fitting and the contest's prices.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from forgeline import catalog, deep, fitting, kinds, records
from forgeline.contest import at
from forgeline.engine.clock import process_start
from forgeline.engine.seeds import Seed
from forgeline.engine.sketch import Sketch, head, sketch
from forgeline.engine.store import Artefacts
from forgeline.engine.workers import Job
from forgeline.records import Candidate, Table

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

BATCHES = 4
"""Of training rows that are read."""
STEPS = 3
"""That are timed."""
COUNTED, TIMED = 3.0, 3.5
"""Seconds that a look is expected to take: most of them import torch."""
WORTH = 0.1
"""Largest share of what is left that a look may be expected to take."""
PATIENCE = 2 * WORTH
"""Of what is left under a time budget, after which a look is ended."""
SMALLEST_CHANGE = 0.02
"""Share of operations by which two networks differ at least."""
Cell = str | float | int | bool | None


class Look(msgspec.Struct, frozen=True):
    """What a worker found out of one network."""

    candidate: str
    family: str
    flops: float
    """Its operations by the price list, which tell it from wider and narrower ones of its family."""
    sketch: Sketch
    start_seconds: float
    """Until there is a module: a process, its imports, rows."""
    pace: float | None
    """Predicted seconds of a fit, for each that the price list says; None where nothing was timed."""


class Looks(msgspec.Struct, frozen=True):
    """What all workers found out."""

    found: list[Look] = []
    lost: dict[str, str] = {}
    """Candidates of which nothing is known, and why."""
    seconds: float = 0.0
    """That it took: measured, so 0 under a work budget."""

    @property
    def paces(self) -> dict[str, float]:
        """By family, the median of its looks: one alone may have been disturbed."""
        paces: dict[str, list[float]] = {}
        for each in self.found:
            if each.pace is not None:
                paces.setdefault(each.family, []).append(each.pace)
        return {family: statistics.median(found) for family, found in paces.items()}

    def of(self, candidate: Candidate) -> Look | None:
        """The look at a candidate's network, or at the same one of another candidate."""
        flops = candidate.cost.flops_per_row
        akin = [each for each in self.found if each.family == candidate.family]
        return next((each for each in akin if same(each.flops, flops)), None)


def same(one: float, other: float) -> bool:
    """Whether networks of so many operations are one."""
    return abs(one - other) <= SMALLEST_CHANGE * max(one, other)


def networks(priced: Sequence[Candidate], shape: kinds.Shape, seed: Seed) -> list[Candidate]:
    """Candidates that learn in steps with torch, told without importing it."""

    def learns_in_steps(each: Candidate) -> bool:
        module = catalog.load("families", each.family)
        return catalog.requires(module, "torch") and not hasattr(module.build(shape, each.setting, seed), "fit")

    return [each for each in priced if learns_in_steps(each)]


# ---------------------------------------------------------------- looking


def look(
    priced: Sequence[Candidate],
    asked: set[str],
    shape: kinds.Shape,
    refinement: records.Refinement,
    units: float | None,
    work: Workspace,
) -> Looks:
    """Sketch the networks that are given raw inputs, each in a worker; those of families in `asked` stay as they are.

    Under a budget of work `units` they are only counted, and only where that is worth it. Under a time budget the work
    log keeps what was found, and a replay follows it. What does not fit a worker's memory is not looked at.
    """
    if done := work.decided("sketched", stage="plan"):
        return msgspec.convert(done["looks"], Looks)
    stepped = networks(priced, shape, work.seed)
    seeing = [each for each in stepped if getattr(catalog.load("families", each.family), "SEES", False)]
    seeing = [each for each in seeing if each.cost.memory_bytes <= work.workers.memory_bytes]
    if not seeing or not worth(units, work):
        return Looks()
    timed, began = units is None, time.perf_counter()
    jobs = [job(each, each.family not in asked, timed, shape, refinement, work) for each in seeing]
    outcomes = {each.job.name: each for each in work.workers.run(jobs, lambda: work.clock.remaining)}
    ordered = [outcomes[each.name] for each in seeing]
    found = [each for outcome in ordered for each in outcome.value or []]
    lost = {outcome.job.name: outcome.lost for outcome in ordered if outcome.lost}
    looks = msgspec.convert({"found": found, "lost": lost}, Looks)
    if not timed:
        return looks
    looks = msgspec.structs.replace(looks, seconds=time.perf_counter() - began)
    line = work.note("sketched", stage="plan", looks=looks)
    return msgspec.convert(line["looks"], Looks)


def worth(units: float | None, work: Workspace) -> bool:
    """Whether what is left is many times what a look is expected to take."""
    if units is not None:
        return units * WORTH >= COUNTED
    return work.affords("networks", stage="plan", share=1.0, seconds=TIMED / WORTH)


def job(
    candidate: Candidate, free: bool, timed: bool, shape: kinds.Shape, refinement: records.Refinement, work: Workspace
) -> Job:
    """The call that looks at one candidate's network, and at the one that it then turns out to be."""
    facts = refinement.facts
    seed = work.seed.child("plan", "sketch")
    assignment = {
        "artefacts": str(work.artefacts.folder),
        "table": {ref.name: ref.digest for ref in facts.table},
        "folds": facts.folds.digest,
        "recipe": facts.recipes[-1].digest,
        "candidate": candidate.name,
        "family": candidate.family,
        "setting": candidate.setting,
        "fold": facts.fold_count,  # no row is of it: as for a fit on all rows
        "share": 1.0,
        "steps": 1,
        "task": shape.task,
        "outputs": shape.outputs,
        "quantile": shape.quantile,
        "seed": (seed.root, seed.path),
        "checkpoints": "",
    }
    shared = {"assignment": assignment, "shape": shape, "rows": facts.rows, "held": facts.rows // facts.fold_count}
    arguments = {**shared, "work": candidate.cost.work, "free": free, "timed": timed}
    seconds = PATIENCE * work.clock.remaining if timed else float("inf")
    return Job(candidate.name, "forgeline.sketching:look_at", arguments, seconds)


def look_at(
    *, assignment: dict[str, Any], shape: kinds.Shape, rows: int, held: int, work: float, free: bool, timed: bool
) -> list[dict[str, Any]]:
    """In a worker: a network and, where at its true pace `work` bears another one, that one."""
    ask = fitting.Assignment(**assignment)
    module = catalog.load("families", ask.family)
    looks = [look_once(ask, module, shape, rows, held, timed)]
    if free and looks[0].pace:
        setting = module.brief(shape, ask.setting, work / looks[0].pace)
        if not same(module.cost(shape, setting).flops_per_row, looks[0].flops):
            began = looks[0].start_seconds
            looks.append(look_once(replace(ask, setting=setting), module, shape, rows, held, timed, began))
    return [msgspec.to_builtins(each) for each in looks]


def look_once(
    ask: fitting.Assignment,
    module: Any,
    shape: kinds.Shape,
    rows: int,
    held: int,
    timed: bool,
    start_seconds: float | None = None,
) -> Look:
    """A network of the shape that it will have, on a sample of a few batches."""
    built: kinds.Stepped = module.build(shape, ask.setting, Seed(*ask.seed))
    some = replace(ask, share=min(1.0, (BATCHES * built.batch + 1) / rows))
    lot = fitting.read(some, Artefacts(Path(ask.artefacts)), module)
    batch = head(built.begin(replace(lot.rows, shape=shape)), 3 * built.batch // 2)
    methods = [deep.method_of(each) for each in getattr(built, "methods", [])]
    if timed:
        built.optimizer()  # the first one of a process imports much
    start = time.time() - process_start() if start_seconds is None else start_seconds
    found = sketch(built, batch, steps=STEPS if timed else 0, methods=methods, rows=built.batch)
    cost = module.cost(shape, ask.setting)
    seen = Look(ask.candidate, ask.family, cost.flops_per_row, found, start, None)
    seconds = seconds_of(seen, built, held, judged_of(module, held)) if timed else None
    return msgspec.structs.replace(seen, pace=seconds and seconds / cost.seconds)


def judged_of(module: Any, held: int) -> int:
    """Held rows that a family looks at while it is trained."""
    return min(held, int(getattr(module, "JUDGED_ROWS", fitting.STOPPING_ROWS)))


def seconds_of(look: Look, built: kinds.Stepped, held: int, judged: int) -> float:
    """Predicted seconds of one fit: its start, its steps, and the held rows that are looked at and answered."""
    sketch, recipe = look.sketch, built.recipe
    assert sketch.step_seconds is not None
    assert sketch.forward_seconds is not None
    answered = math.ceil(recipe.steps / recipe.check_every) * judged + held + min(held, fitting.CHECKED_ROWS)
    forward = answered * sketch.forward_seconds / sketch.rows
    return look.start_seconds + recipe.steps * sketch.step_seconds + forward


# ---------------------------------------------------------------- the table


def tables(
    judged: Sequence[Candidate],
    looks: Looks,
    shape: kinds.Shape,
    folds: int,
    allowed: float,
    timed: bool,
    seed: Seed,
) -> list[Table]:
    """What is known of the networks among the candidates; no table where there are none."""
    sheet = Sheet(looks, shape, folds, allowed, timed, seed)
    rows = [sheet.row(each) for each in networks(judged, shape, seed)]
    if not rows:
        return []
    note = f"seconds and bytes of a release for all {folds} folds together, the rest of one model; "
    note += "FLOPs of a step are three times those of its rows forward; activations as autograd keeps them"
    if timed:
        note += "; sparsity of the weights at the start; seconds measured on a few steps before the plan was made"
    return [Table(title="Networks", columns=list(rows[0]), rows=[list(each.values()) for each in rows], note=note)]


@dataclass(frozen=True)
class Sheet:
    """Where the figures of a row come from."""

    looks: Looks
    shape: kinds.Shape
    folds: int
    allowed: float
    """Work units, or seconds of one core."""
    timed: bool
    seed: Seed

    def row(self, candidate: Candidate) -> dict[str, Cell]:
        """A candidate's figures by column; null where nobody looked. What was measured is left out under a work
        budget, sparsity too: it depends on the last bits of sums."""
        module, look = catalog.load("families", candidate.family), self.looks.of(candidate)
        shape = at(self.shape, candidate.share)
        built = module.build(shape, candidate.setting, self.seed)
        sketch = None if look is None else look.sketch
        flops = candidate.cost.flops_per_row if sketch is None else sketch.flops_per_row
        batch = built.batch
        counted: dict[str, Cell] = {
            "candidate": candidate.name,
            "FLOPs per row": flops,
            "FLOPs per step": 3 * flops * batch,
            "parameters": None if sketch is None else sketch.parameters,
            "batch": batch,
            "activation bytes": None if sketch is None else round(sketch.activation_bytes_of(batch)),
            "row's activation bytes": None if sketch is None else round(sketch.row_activation_bytes),
            "seconds by price": candidate.cost.seconds * self.folds,
            "release bytes": candidate.cost.size_bytes * self.folds,
        }
        if not self.timed:
            return counted | {"feasible": self.feasible(candidate, None)}
        seconds = self.seconds(candidate, look, built, module)
        answer = None if sketch is None or sketch.forward_seconds is None else sketch.forward_seconds / sketch.rows
        return counted | {
            "sparsity": None if sketch is None else sketch.sparsity,
            "seconds by measure": seconds,
            "seconds to answer a row": answer and answer * self.folds,
            "feasible": self.feasible(candidate, seconds),
        }

    def seconds(self, candidate: Candidate, look: Look | None, built: kinds.Stepped, module: Any) -> float | None:
        """Of all folds, at the measured pace."""
        if look is None:
            return None
        held = int(self.shape.rows * candidate.share) // max(1, self.folds - 1)
        return self.folds * candidate.done * seconds_of(look, built, held, judged_of(module, held))

    def feasible(self, candidate: Candidate, seconds: float | None) -> str:
        """`yes`, or why not; and where nobody could look, why."""
        if not candidate.fits:
            return candidate.why
        if seconds is not None and seconds > self.allowed:
            return f"needs {seconds:.0f} core seconds of {self.allowed:.0f}"
        lost = self.looks.lost.get(candidate.name.partition("@")[0])
        return f"yes, as far as is known: {lost}" if lost else "yes"
