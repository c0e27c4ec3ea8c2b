"""A pretrained encoder of texts: found and checked, and the texts of a table read by it, in workers.

Rests on the workspace. Shapes: U distinct texts, T tokens of the longest, D width.
"""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from forgeline.engine import transformer
from forgeline.engine.arrays import Arrays
from forgeline.engine.transformer import Architecture, Weights
from forgeline.engine.workers import Job
from forgeline.errors import BadInput
from forgeline.models import ANSWERING, TOKENIZER
from forgeline.records import Encoder, Ref

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

WEIGHTS, MADE_OF = "encoder.safetensors", "encoder.json"
"""What a run keeps of an encoder, among the files of its training table."""
NEEDED = ("config.json", "model.safetensors", TOKENIZER)
"""Files of a folder that holds one."""
HUB = re.compile(r"[\w.-]+/[\w.-]+")
MOST_LAYERS = 100
MOST_TOKENS = 256
"""Of a text that are read."""
ENOUGH_TEXTS = 0.99
"""Share of the texts that are read whole; the longest of the others are cut."""
MOST_FLOPS = 1e13
"""Operations that embedding all texts may take: about a minute on two cores."""
TOGETHER = 500
"""Texts that a worker takes at once."""
EMBEDDING = "embedded texts"
"""What a short time does without."""
FILLED = 1.4
"""Tokens that are worked out for each that is there."""
EMBEDDED_SHARE = 0.25
"""Share of a time limit that may be gone once texts are embedded."""


@dataclass(frozen=True)
class Found:
    """An encoder as it was given."""

    name: str
    licence: str
    weights: Weights
    tokenizer: bytes


def find(asked: str, base: Path) -> Found:
    """The encoder in a folder, relative to `base`, or of a hub id, which is fetched once and kept in the hub's cache.

    Its matrices are rounded to float16, which halves a release. Errors: BadInput.
    """
    folder = located(asked, base)
    architecture = architecture_of(folder / "config.json")
    arrays = weights_of(folder / "model.safetensors", architecture)
    tokenizer = (folder / TOKENIZER).read_bytes()
    words(tokenizer, folder / TOKENIZER, architecture)
    return Found(asked, licence_of(folder), Weights(architecture, arrays), tokenizer)


def located(asked: str, base: Path) -> Path:
    """The folder of an encoder, all of whose files are there. Errors: BadInput."""
    folder = base / asked
    if not folder.is_dir():
        folder = fetched(asked)
    for file in NEEDED:
        if not (folder / file).is_file():
            remedy = f"A folder of a pretrained encoder holds {', '.join(NEEDED)}, as Hugging Face keeps them."
            raise BadInput(f"{file} is missing", where=str(folder), remedy=remedy)
    return folder


def fetched(asked: str) -> Path:
    """The folder of a hub id. Errors: BadInput."""
    if not HUB.fullmatch(asked):
        remedy = "Name a folder, or a hub id such as sentence-transformers/all-MiniLM-L6-v2."
        raise BadInput(f"there is no folder {asked}", where="[refine] encoder", remedy=remedy)
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        remedy = "Install it with: pip install 'forgeline[deep]', or name a folder."
        raise BadInput(f"{asked} is fetched with huggingface_hub", where="[refine] encoder", remedy=remedy) from None
    files = [*NEEDED, "README.md"]
    with suppress(Exception):  # not in the cache yet, whatever the hub's library raises then
        return Path(snapshot_download(asked, allow_patterns=files, local_files_only=True))
    try:
        return Path(snapshot_download(asked, allow_patterns=files))
    # Whatever a network, a hub or a cache raises, the weights are not here.
    except Exception as error:
        says = str(error).partition("\n")[0]
        remedy = "Is it spelt right, and is there a network? A folder of your own needs none."
        raise BadInput(f"{asked} cannot be fetched ({says})", where="[refine] encoder", remedy=remedy) from None


def architecture_of(path: Path) -> Architecture:
    """What config.json says. Errors: BadInput for what is no BERT."""
    try:
        told = json.loads(path.read_bytes())
        made = Architecture(
            layers=int(told["num_hidden_layers"]),
            width=int(told["hidden_size"]),
            heads=int(told["num_attention_heads"]),
            inner=int(told["intermediate_size"]),
            vocabulary=int(told["vocab_size"]),
            positions=int(told["max_position_embeddings"]),
            epsilon=float(told.get("layer_norm_eps", 1e-12)),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"this is no encoder's config.json ({error})", where=str(path)) from None
    if not (1 <= made.layers <= MOST_LAYERS and made.heads >= 1 and made.width % made.heads == 0):
        what = f"{made.layers} layers of {made.heads} heads and {made.width} units are no encoder"
        raise BadInput(what, where=str(path), remedy="Heads divide the units; take the config.json of the weights.")
    kinds = told.get("model_type"), told.get("hidden_act"), told.get("position_embedding_type", "absolute")
    if kinds != ("bert", "gelu", "absolute") or told.get("pad_token_id", 0) != transformer.PADDING:
        what = f"model_type {kinds[0]} with {kinds[1]} and {kinds[2]} positions is not supported"
        raise BadInput(
            what, where=str(path), remedy="Take an encoder of model_type bert, with gelu and padding token 0."
        )
    return made


def weights_of(path: Path, architecture: Architecture) -> dict[str, np.ndarray]:
    """The encoder's own weights in a file, by transformers' names. Errors: BadInput."""
    try:
        from safetensors.numpy import load_file
    except ImportError:
        remedy = "Install it with: pip install 'forgeline[deep]'"
        raise BadInput("weights are read with safetensors", where=str(path), remedy=remedy) from None
    try:
        held = load_file(path)
    # A damaged file raises whatever its reader stumbles over.
    except Exception as error:
        raise BadInput(f"the weights cannot be read ({error})", where=str(path), remedy="Fetch them again.") from None
    found = {}
    for name, shape in transformer.names(architecture).items():
        array = held.get(name, held.get(f"bert.{name}"))
        if array is None or array.shape != shape:
            what = f"{name} is missing" if array is None else f"{name} has shape {list(array.shape)}, not {list(shape)}"
            raise BadInput(what, where=str(path), remedy="Weights and config.json must be of one model.")
        found[name] = array.astype(np.float16 if array.ndim > 1 else np.float32)
    return found


def words(tokenizer: bytes, path: Path, architecture: Architecture) -> Any:
    """What makes tokens of texts. Errors: BadInput."""
    from forgeline.serving.reader import WordPiece

    try:
        pieces = WordPiece(tokenizer)
        ids = {*map(operator.index, pieces.vocabulary.values()), pieces.first, pieces.last}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "Take an encoder whose tokenizer.json is BERT's WordPiece."
        raise BadInput(f"the tokenizer cannot be used: {error}".rstrip("."), where=str(path), remedy=remedy) from None
    if min(ids) < 0 or max(ids) >= architecture.vocabulary:
        remedy = "Take config.json and tokenizer.json of one model."
        raise BadInput(
            f"the tokenizer has tokens beyond 0 to {architecture.vocabulary - 1}", where=str(path), remedy=remedy
        )
    return pieces


def licence_of(folder: Path) -> str:
    """What the model card says; empty where it says nothing."""
    card = folder / "README.md"
    head = card.read_text(encoding="utf-8", errors="replace")[:4_000] if card.is_file() else ""
    told = re.search(r"^licen[sc]e:\s*(\S+)\s*$", head, re.MULTILINE)
    return told[1] if told else ""


# ---------------------------------------------------------------- read texts


@dataclass(frozen=True)
class ReadTexts:
    """Texts as an encoder reads them."""

    tokens: list[np.ndarray]
    """Of each column of texts unsigned [U + 1, T], 0 after the last token; the last row is of no text."""
    embedded: list[np.ndarray]
    """Of each column float32 [U + 1, D]; no columns where the time was too short, or the texts too many."""
    files: list[Ref]
    """What a run keeps of the encoder."""
    facts: Encoder


def read(found: Found, arrays: Arrays, work: Workspace) -> ReadTexts:
    """The texts of a table's columns, as an encoder reads them."""
    from safetensors.numpy import save

    pieces = words(found.tokenizer, Path(TOKENIZER), found.weights.architecture)
    levels = [arrays.levels[arrays.categories.index(name)] for name in arrays.texts]
    longest = min(MOST_TOKENS, found.weights.architecture.positions)
    spelt = [[pieces.ids(text, longest) for text in [*texts, ""]] for texts in levels]
    lengths = np.array([len(each) for column in spelt for each in column])
    most = transformer.edge(int(np.quantile(lengths, ENOUGH_TEXTS, method="higher")), longest)
    architecture = found.weights.architecture
    dtype = np.uint16 if architecture.vocabulary <= 2**16 else np.uint32
    tokens = [filled(column, most, dtype) for column in spelt]
    files = [
        work.put(save(dict(found.weights.arrays)), WEIGHTS),
        work.put(msgspec.json.encode(architecture), MADE_OF),
        work.put(found.tokenizer, TOKENIZER),
    ]
    flops = sum(architecture.flops(float(each)) for each in np.minimum(lengths, most))
    seconds = FILLED * flops / ANSWERING / work.workers.count
    few = flops <= MOST_FLOPS
    afforded = few and work.affords(EMBEDDING, stage="refine", share=EMBEDDED_SHARE, seconds=seconds)
    made = [embed(each, files, work) for each in tokens] if afforded else []
    embedded = [each for each in made if each is not None]
    embedded = embedded if len(embedded) == len(tokens) else []
    facts = Encoder(
        name=found.name,
        licence=found.licence,
        parameters=architecture.parameters,
        **msgspec.to_builtins(architecture),
        tokens=most,
        weights=files[0],
        embedded=bool(embedded),
    )
    return ReadTexts(tokens, embedded, files, facts)


def filled(spelt: Sequence[Sequence[int]], most: int, dtype: Any) -> np.ndarray:
    """Tokens side by side [U, most], padding after the last of each; of what is longer the end stays the last."""
    tokens = np.full((len(spelt), most), transformer.PADDING, dtype)
    for row, each in zip(tokens, spelt):
        row[: len(each)] = each if len(each) <= most else [*each[: most - 1], each[-1]]
    return tokens


def embed(tokens_UT: np.ndarray, files: Sequence[Ref], work: Workspace) -> np.ndarray | None:
    """What the encoder makes of texts, by the runtime that will answer, float32 [U, D]; None where that takes twice the
    time that was meant for it, which a replay is told."""
    order_U = np.argsort((tokens_UT != transformer.PADDING).sum(1), kind="stable")
    parts = [order_U[at : at + TOGETHER] for at in range(0, len(order_U), TOGETHER)]
    folder = work.artefacts.folder
    shared = {"weights": str(folder / files[0].digest), "made_of": str(folder / files[1].digest)}
    call = "forgeline.pretrained:embedded"
    jobs = [
        Job(f"texts {place + 1}", call, {**shared, "tokens_UT": tokens_UT[part]}) for place, part in enumerate(parts)
    ]
    done: dict[str, np.ndarray] = {}
    with work.progress("texts embedded", len(jobs)) as bar:
        limit = work.clock.limit
        until = float("inf") if limit is None else 2 * EMBEDDED_SHARE * limit
        for outcome in work.workers.run(jobs, lambda: min(work.clock.remaining, until - work.clock.elapsed)):
            if outcome.lost != "time":
                done[outcome.job.name] = outcome.answer()
                bar.step()
    if len(done) < len(jobs):
        work.note("skip", stage="refine", what=EMBEDDING)
        return None
    found = np.zeros((len(tokens_UT), done[jobs[0].name].shape[1]), np.float32)
    for job, part in zip(jobs, parts):
        found[part] = done[job.name]
    return found


def embedded(*, weights: str, made_of: str, tokens_UT: np.ndarray) -> np.ndarray:
    """In a worker: what the encoder makes of texts, float32 [U, D]; each is filled up as a release fills it up."""
    from forgeline.engine.graph import Graph
    from forgeline.models import open_session

    known = load(Path(weights), Path(made_of))
    graph = Graph()
    graph.output(
        transformer.draw(known, graph, graph.input("tokens", "int64", "T")),
        *("embedded", "float", known.architecture.width),
    )
    session = open_session(graph.model())
    found = np.zeros((len(tokens_UT), known.architecture.width), np.float32)
    for rows_N, width in transformer.batches((tokens_UT != transformer.PADDING).sum(1), tokens_UT.shape[1]):
        some_N = np.repeat(rows_N, 2) if len(rows_N) == 1 else rows_N
        found[rows_N] = session.run(None, {"tokens": tokens_UT[some_N, :width].astype(np.int64)})[0][: len(rows_N)]
    return found


def load(weights: Path, made_of: Path) -> Weights:
    """The encoder that a run keeps."""
    from safetensors.numpy import load_file

    return Weights(msgspec.json.decode(made_of.read_bytes(), type=Architecture), load_file(weights))


def digest_of(asked: str, base: Path) -> str:
    """SHA-256 over an encoder's files, by which a finished stage is known. Errors: BadInput."""
    folder = located(asked, base)
    sums = [hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in NEEDED]
    return hashlib.sha256(" ".join(sums).encode()).hexdigest()
