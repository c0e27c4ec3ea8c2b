"""release: the folder that stands alone, without forgeline."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from forgeline import __version__, card, catalog, models, records, spec
from forgeline.engine import sketches
from forgeline.engine.store import flush_folder, write_atomic

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

DIGESTED = ("model.onnx", "signature.json", "reference.json", "predict.py")
"""What the release's digest covers: all that decides an answer."""


def release(
    ask: spec.Release,
    assess: spec.Assess,
    source: spec.Snapshot,
    snapshot: records.Snapshot,
    assessment: records.Assessment,
    refinement: records.Refinement,
    plan: records.Plan,
    training: records.Training,
    compression: records.Compression,
    evaluation: records.Evaluation,
    work: Workspace,
) -> records.Release:
    """Write the release folder: drafted beside its place, then renamed."""
    name = ask.name or snapshot.facts.target
    licence = ask.licence or source.licence
    files = {
        "model.onnx": work.get(compression.facts.model),
        "signature.json": work.get(compression.facts.signature),
        "reference.json": reference(snapshot, assessment, refinement, evaluation, work),
        "predict.py": resources.files("forgeline.serving").joinpath("reader.py").read_bytes(),
    }
    digest = digest_of(files)
    files |= tokenizer(refinement, compression, work)
    done = [snapshot, assessment, refinement, plan, training, compression, evaluation]
    about = describe(name, licence, digest, done, work) | encoder_of(refinement, compression)
    files["forgeline.json"] = json.dumps(about, ensure_ascii=False, indent=1).encode()
    files["README.md"] = card.write(about, assess, snapshot, assessment, refinement, compression, evaluation).encode()
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    files["SHA256SUMS"] = "".join(f"{value}  {file}\n" for file, value in sums.items()).encode()
    place(files, work)
    decided = {file: sums[file] for file in DIGESTED}
    return records.Release(
        facts=records.ReleaseFacts(name=name, digest=digest, files=decided, licence=licence),
    )


def encoder_of(refinement: records.Refinement, compression: records.Compression) -> dict[str, Any]:
    """The pretrained encoder whose weights ship, in the model or as what it was trained from."""
    encoder = refinement.facts.encoder
    kinds = [getattr(catalog.load("families", each.family), "SEES", ()) for each in compression.facts.kept]
    if encoder is None or not any({"tokens", "embedded"} & {*seen} for seen in kinds):
        return {}
    return {"encoder": {"name": encoder.name, "licence": encoder.licence, "parameters": encoder.parameters}}


def tokenizer(refinement: records.Refinement, compression: records.Compression, work: Workspace) -> dict[str, bytes]:
    """What makes tokens of texts, where the model reads them; the signature, which the digest covers, names its own."""
    if not encoder_of(refinement, compression):
        return {}
    found = next(ref for ref in refinement.facts.table if ref.name == models.TOKENIZER)
    return {models.TOKENIZER: work.get(found)}


def digest_of(files: dict[str, bytes]) -> str:
    """SHA-256 over the digested files' names and SHA-256s, in the form of SHA256SUMS."""
    lines = [f"{hashlib.sha256(files[file]).hexdigest()}  {file}\n" for file in DIGESTED]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def place(files: dict[str, bytes], work: Workspace) -> None:
    """Write all files into a draft folder, then give it its name: the folder is whole or absent."""
    draft, final = work.folder / "release.draft", work.folder / "release"
    shutil.rmtree(draft, ignore_errors=True)
    for file, content in files.items():
        write_atomic(draft / file, content)
    if final.exists():
        shutil.rmtree(final)
    draft.rename(final)
    flush_folder(work.folder)


def reference(
    snapshot: records.Snapshot,
    assessment: records.Assessment,
    refinement: records.Refinement,
    evaluation: records.Evaluation,
    work: Workspace,
) -> bytes:
    """Sketches and schema of the training rows, what the shipped model says of the sealed rows; never rows.

    Out-of-fold predictions would not do: each is one fold model's, and spreads more than the mean that ships.
    """
    rows = models.table(refinement, work)
    columns: dict[str, tuple[str, Any]] = {}
    for index, each in enumerate(rows.numbers):
        columns[each] = ("number", rows.numbers_NA[:, index])
    for index, each in enumerate(rows.categories):
        columns[each] = ("category", texts(rows.codes_NC[:, index], rows.levels[index]))
    for index, each in enumerate(rows.dates):
        columns[each] = ("date", rows.dates_ND[:, index])
    used = {each.name for each in refinement.facts.inputs}
    data = models.data_of(snapshot, refinement, work)
    asked = evaluation.facts.predictions
    p_NK = work.array(asked) if asked else None
    made = sketches.sketch(
        {name: column for name, column in columns.items() if name in used},
        p_NK if p_NK is None or refinement.facts.classes else p_NK[:, 0],
        classes=refinement.facts.classes,
        target=data.y_N,
    )
    expected = assessment.facts.table_schema
    made["schema"] = json.loads(work.get(expected)) if expected else None
    return json.dumps(made, ensure_ascii=False, indent=1).encode()


def texts(codes_N: np.ndarray, levels: list[str]) -> Any:
    """A category column as polars text, null where it is missing."""
    import polars as pl

    known = pl.Series([*levels, None], dtype=pl.String)
    return known.gather(np.where(codes_N < 0, len(levels), codes_N))


def describe(name: str, licence: str, digest: str, done: list[records.Record], work: Workspace) -> dict[str, Any]:
    """forgeline.json: numbers and digests of everything the release rests on."""
    numbers = {key: number for record in done for key, number in record.numbers.items()}
    snapshot: Any = done[0]
    evaluation: Any = done[-1]
    return {
        "schema": "forgeline/release@1",
        "name": name,
        "licence": licence,
        "run": work.run,
        "digest": digest,
        "forgeline": __version__,
        "task": snapshot.facts.task,
        "target": snapshot.facts.target,
        "metric": evaluation.facts.metric,
        "snapshot": snapshot.facts.digest,
        "records": {record.stage: record.digest for record in done},
        "numbers": msgspec.to_builtins(numbers),
    }
