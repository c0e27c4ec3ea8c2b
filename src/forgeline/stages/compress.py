"""compress: drop ensemble members along size and latency, within the loss that is allowed."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from forgeline import catalog, models, records, spec
from forgeline.engine import assemble
from forgeline.records import Calibration, Member, Number, Table

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

MODELS = 0.97
"""Share of the size limit that is for models; the rest is for what prepares their rows."""
LATENCY_CALLS, FEWEST_CALLS, LATENCY_SECONDS = 200, 20, 1.0
"""One-row calls timed for each model; fewer where they take longer than so many seconds together."""


@dataclass(frozen=True)
class Option:
    """One subset of the ensemble: what it would cost and what it would lose."""

    members: list[Member]
    """With as many models each as the size allows."""
    calibration: Calibration
    loss: float
    """Relative loss of the metric on out-of-fold predictions; negative when it gains."""
    size_bytes: int
    flops: float
    whole: tuple[int, float]
    """Bytes and operations of all models of these members, whatever is allowed: what the subset is priced by."""

    @property
    def names(self) -> list[str]:
        """Its candidates."""
        return [member.candidate for member in self.members]


def compress(
    ask: spec.Compress,
    evaluate: spec.Evaluate,
    budget: spec.Budget,
    snapshot: records.Snapshot,
    refinement: records.Refinement,
    plan: records.Plan,
    training: records.Training,
    work: Workspace,
) -> records.Compression:
    """The smallest subset within `most_loss`; under a time budget the fastest, by measurement."""
    data = models.data_of(snapshot, refinement, work)
    encoder = refinement.facts.encoder
    most_bytes = ask.most_bytes(encoder.weights.size_bytes if encoder else 0)
    options = frontier(int(MODELS * most_bytes), training, plan, encoder, data, work)
    allowed = affordable(options, ask.most_loss, most_bytes)
    full = options[0]
    signature = signature_of(snapshot, refinement, evaluate, work)
    graphs = {"full": models.draw(full.members, full.calibration, refinement, work)}
    timed = budget.units is None
    chosen = measured_choice(allowed, graphs["full"], refinement, work) if timed else counted_choice(allowed)
    same = chosen is full
    graphs["chosen"] = graphs["full"] if same else models.draw(chosen.members, chosen.calibration, refinement, work)
    rows = probe_rows(refinement, work)
    latency = {"full": latencies(graphs["full"], rows)}
    latency["chosen"] = latency["full"] if same else latencies(graphs["chosen"], rows)
    return record(chosen, options, graphs, latency, signature, data, work)


# ---------------------------------------------------------------- choosing


def fewer(members: list[Member], most_bytes: int) -> list[Member]:
    """The members with as many models each as the size allows, at least one: the largest member goes first.

    A model fewer of a mean costs little score, none of it out of fold; a member fewer costs more. Each member goes on
    with the fold after that of the member before it, so that together they still know all rows.
    """
    while size_of(members) > most_bytes and any(len(member.shipped) > 1 for member in members):
        large = max((one for one in members if len(one.shipped) > 1), key=lambda one: size_of([one]))
        less = msgspec.structs.replace(large, most=len(large.shipped) - 1)
        members = [less if member is large else member for member in members]
    return spread(members)


def spread(members: list[Member]) -> list[Member]:
    """As many models of each, of folds that follow one another; a member that ships all of its own stays as it is."""
    begun, found = 0, []
    for member in members:
        count = len(msgspec.structs.replace(member, most=None).shipped)
        first = begun % count if len(member.shipped) < count else 0
        found.append(msgspec.structs.replace(member, first=first))
        begun += len(member.shipped)
    return found


def frontier(
    most_bytes: int,
    training: records.Training,
    plan: records.Plan,
    encoder: records.Encoder | None,
    data: models.Data,
    work: Workspace,
) -> list[Option]:
    """The whole ensemble, then one member fewer at a time: the one whose bytes and operations cost least score.

    Room that a member leaves is for models of the others.
    """
    metric = catalog.load("metrics", training.facts.metric)
    sign = -1.0 if metric.higher_is_better else 1.0
    ensemble = training.facts.members
    picked = models.sample(models.judged(ensemble, data))
    competed = [*plan.facts.candidates, *training.facts.searched]
    flops = {each.name: each.cost.flops_per_row for each in competed}
    answers = {member.candidate: models.out_of_fold(member, data, work, picked) for member in ensemble}

    def operations(members: list[Member]) -> float:
        return sum(flops[member.candidate] * len(member.shipped) for member in members)

    def option(names: list[str], base: float | None) -> tuple[Option, float]:
        members = [member for member in ensemble if member.candidate in names]
        total = sum(member.weight for member in members)
        members = [msgspec.structs.replace(member, weight=member.weight / total) for member in members]
        p_NK = models.mean([answers[member.candidate] for member in members], members)
        same = len(members) == len(ensemble)
        calibration = training.facts.calibration if same else models.calibrate(p_NK, data, picked)
        value = sign * models.score(metric, models.calibrated(p_NK, calibration), data, picked)
        loss = 0.0 if base is None else (value - base) / max(abs(base), 1e-12)
        beside = encoder.weights.size_bytes if encoder and any(map(reads_features, members)) else 0
        whole = size_of(members) + beside, operations(members)
        small = fewer(members, most_bytes - beside)
        return Option(small, calibration, loss, size_of(small) + beside, operations(small), whole), value

    first, base = option([member.candidate for member in ensemble], None)
    options = [first]
    while len(names := options[-1].names) > 1:
        without = [option([name for name in names if name != gone], base)[0] for gone in names]
        options.append(min(without, key=lambda each: price(options[-1], each)))
    return options


def price(before: Option, after: Option) -> tuple[float, int]:
    """Score lost for each share of bytes and operations saved; what gains score comes first."""
    share = saved(before, after)
    return (after.loss / share if after.loss > 0 else after.loss * share), after.whole[0]


def saved(before: Option, after: Option) -> float:
    """Share of bytes and operations that are saved, averaged, as if all models shipped."""
    (bytes_after, flops_after), (bytes_before, flops_before) = after.whole, before.whole
    return (2 - bytes_after / bytes_before - flops_after / max(flops_before, 1.0)) / 2 + 1e-9


def reads_features(member: Member) -> bool:
    """Whether a member reads the features of a pretrained encoder, which then ships beside it."""
    return "embedded" in getattr(catalog.load("families", member.family), "SEES", ())


def size_of(members: Sequence[Member]) -> int:
    """Bytes of the members' graphs."""
    return sum(unit.model.size_bytes for member in members for unit in member.shipped)


def affordable(options: list[Option], most_loss: float, most_bytes: int) -> list[Option]:
    """Options within the loss and the size that are allowed; where none is, the best of those within the size.

    The loss that is allowed is `most_loss` for all bytes and operations, and for a share of them as small a share.
    """
    small = [option for option in options if option.size_bytes <= most_bytes] or options[-1:]
    within = [option for option in small if option.loss <= most_loss * saved(options[0], option)]
    return within or [min(small, key=lambda each: each.loss)]


def counted_choice(allowed: list[Option]) -> Option:
    """The subset with the fewest bytes: the same on every machine."""
    return min(allowed, key=lambda option: (option.size_bytes, option.flops))


def measured_choice(allowed: list[Option], full: bytes, refinement: records.Refinement, work: Workspace) -> Option:
    """The subset that answers fastest here, and is smaller; a replay follows the choice in the work log."""
    done = work.decided("choice", stage="compress")
    if done:
        return next(option for option in allowed if option.names == done["members"])
    rows = probe_rows(refinement, work)
    best, fastest = allowed[0], float(np.median(latencies(full, rows)))
    for option in reversed(allowed[1:]):
        if work.clock.remaining < 3.0:
            break
        graph = models.draw(option.members, option.calibration, refinement, work)
        seconds = float(np.median(latencies(graph, rows)))
        if seconds < fastest and option.size_bytes < best.size_bytes:
            best, fastest = option, seconds
            break
    work.note("choice", stage="compress", members=best.names, seconds=fastest)
    return best


# ---------------------------------------------------------------- measuring


def probe_rows(refinement: records.Refinement, work: Workspace, rows: int = 16) -> dict[str, np.ndarray]:
    """Feeds of a few training rows, one array [rows, 1] an input."""
    arrays = models.table(refinement, work).take(np.arange(min(rows, refinement.facts.rows)))
    return models.feeds(arrays, refinement)


def latencies(model: bytes, rows: dict[str, np.ndarray]) -> np.ndarray:
    """Seconds of one-row answers (padded to two rows, as every reader asks), one value a call."""
    session = models.open_session(model)
    rows = {each.name: rows[each.name] for each in session.get_inputs()}
    count = len(next(iter(rows.values())))
    seconds = []
    for call in range(LATENCY_CALLS):
        pair = [call % count, (call + 1) % count]
        feed = {name: values[pair] for name, values in rows.items()}
        began = time.perf_counter()
        session.run(None, feed)
        seconds.append(time.perf_counter() - began)
        if call >= FEWEST_CALLS and sum(seconds) > LATENCY_SECONDS:
            break
    return np.array(seconds[len(seconds) // 10 :])


# ---------------------------------------------------------------- the record


def signature_of(
    snapshot: records.Snapshot, refinement: records.Refinement, evaluate: spec.Evaluate, work: Workspace
) -> dict[str, Any]:
    """What the model reads and gives: signature.json."""
    facts = snapshot.facts
    levels = models.known_levels(refinement, work)
    inputs = [
        {
            "name": each.name,
            "tensor": models.tensor(index),
            "kind": each.kind,
            "dtype": each.dtype,
            "missing": each.missing,
            **({"map": each.map} if each.map else {}),
            **({"levels": levels[each.name]} if each.name in levels else {}),
            **dict(zip(("height", "width", "channels"), each.shape)),
            **({"text": True} if each.name in refinement.facts.texts else {}),
            **tokens_of(index, each.name, refinement),
        }
        for index, each in enumerate(refinement.facts.inputs)
    ]
    binary = facts.task == "binary"
    reads = [ref for ref in refinement.facts.table if ref.name == models.TOKENIZER]
    return {
        "schema": "forgeline/signature@1",
        "task": facts.task,
        "target": facts.target,
        "classes": refinement.facts.classes,
        "positive": facts.positive if binary else None,
        "threshold": evaluate.threshold if binary else None,
        "inputs": inputs,
        "missing": facts.missing,
        "missing_category": "\u0000",
        "missing_date": int(np.iinfo(np.int64).min),
        "output": "prediction" if facts.task == "regression" else "probabilities",
        **({"tokenizer": reads[0].digest} if reads else {}),
    }


def tokens_of(index: int, column: str, refinement: records.Refinement) -> dict[str, Any]:
    """By which tensor the tokens of a text enter, and how many there may be; nothing where there is no encoder."""
    encoder = refinement.facts.encoder
    if encoder is None or column not in refinement.facts.texts:
        return {}
    return {"tokens": {"tensor": assemble.tokens_of(models.tensor(index)), "most": encoder.tokens}}


def record(
    chosen: Option,
    options: list[Option],
    graphs: dict[str, bytes],
    latency: dict[str, np.ndarray],
    signature: dict[str, Any],
    data: models.Data,
    work: Workspace,
) -> records.Compression:
    """What compress gives."""
    full = options[0]
    dropped = [name for name in full.names if name not in chosen.names]
    rows_N = models.judged(chosen.members, data)
    p_NK = models.mean([models.out_of_fold(member, data, work, rows_N) for member in chosen.members], chosen.members)
    why = (
        f"{len(dropped)} of {len(full.members)} members dropped"
        if dropped
        else "no member could go within the loss allowed"
    )
    quick, slow = latency["chosen"], latency["full"]
    return records.Compression(
        facts=records.CompressionFacts(
            model=work.put(graphs["chosen"], "model.onnx"),
            full=work.put(graphs["full"], "full.onnx"),
            signature=work.put(json.dumps(signature, ensure_ascii=False, indent=1).encode(), "signature.json"),
            kept=chosen.members,
            dropped=dropped,
            calibration=chosen.calibration,
            predictions=work.put_array(models.calibrated(p_NK, chosen.calibration), "predictions.npy"),
            loss=chosen.loss,
            why=why,
        ),
        numbers={
            "size.bytes": Number(value=len(graphs["chosen"]), unit="bytes"),
            "size.full.bytes": Number(value=len(graphs["full"]), unit="bytes"),
            "flops.row": Number(value=chosen.flops, unit="FLOPs"),
            "compress.loss": Number(value=chosen.loss, n=len(models.sample(rows_N)), unit="relative"),
            "latency.p50": seconds(quick, 50),
            "latency.p99": seconds(quick, 99),
            "latency.full.p50": seconds(slow, 50),
            "latency.full.p99": seconds(slow, 99),
        },
        tables=[table(options, chosen)],
    )


def seconds(measured: np.ndarray, percentile: float) -> Number:
    """A percentile of one-row latencies."""
    return Number(value=float(np.percentile(measured, percentile)), unit="s", n=len(measured), measured=True)


def table(options: list[Option], chosen: Option) -> Table:
    """The frontier: what each further drop would save and cost."""
    rows: list[list[str | float | int | bool | None]] = [
        [", ".join(each.names), each.size_bytes, each.flops, each.loss, each is chosen] for each in options
    ]
    columns = ["members", "bytes", "FLOPs per row", "relative loss", "chosen"]
    return Table(title="Ensembles along size", columns=columns, rows=rows, note="loss on out-of-fold predictions")
