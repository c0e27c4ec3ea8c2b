"""What you get: one frozen type per stage, in the order of the line, and the shapes they are made of.

A record holds numbers, text, findings and references to files by digest. Everything but `meter` is decided
by spec, snapshot, seed and work log, and is what the record's digest covers.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

Kind = Literal["number", "category", "date", "image"]
"""What a column is read as."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that is written into a record."""


class Number(Shape, frozen=True):
    """One measured or computed value with its interval; a null value says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    """Confidence level of [low, high], such as 0.95."""
    unit: str = ""
    n: int | None = None
    """Rows (or draws) behind the value."""
    why: str = ""
    measured: bool = False
    """Given by a clock or a counter of this machine (latency, energy): never enters a digest."""


def scored(
    value: float, interval: tuple[float, float] | None, n: int, *, why: str = "cannot be computed on these rows"
) -> Number:
    """A score with its 95 % interval; NaN becomes null with its reason."""
    if value != value:
        return Number(value=None, n=n, why=why)
    low, high = (None, None) if interval is None or interval[0] != interval[0] else interval
    return Number(value=value, low=low, high=high, level=None if low is None else 0.95, n=n)


class Ref(Shape, frozen=True):
    """A file of the run, by digest: `artefacts/<digest>`."""

    digest: str
    size_bytes: int
    name: str = ""
    """What it would be called in a folder, such as `model.onnx`."""


class Rows(Shape, frozen=True):
    """The rows a finding speaks of: how many, and a Parquet file with `row` (0-based) and `score`.

    Where a better label is suggested for a row, the file has it as text in `value`.
    """

    count: int
    ref: Ref | None = None


class Fix(Shape, frozen=True):
    """What would mend a finding. `do` decides which of the other fields are read."""

    do: Literal["drop", "cast", "map", "missing", "drop_rows", "relabel", "split", "reweigh"]
    columns: list[str] = []
    to: Kind | None = None
    """cast: the kind to read the columns as."""
    values: dict[str, str] = {}
    """map: spelling → spelling."""
    markers: list[str] = []
    """missing: texts that mean missing; `inf` stands for infinite values."""
    says: str = ""

    @property
    def safe(self) -> bool:
        """Whether it is applied by default: it loses no row and no column."""
        return self.do in ("cast", "map", "missing")

    @property
    def by_line(self) -> bool:
        """Whether refine can apply it; the others are for a person."""
        return self.safe or self.do in ("drop", "drop_rows", "relabel")


class Finding(Shape, frozen=True):
    """One thing found in data or model: code, severity, where, numbers, what to do about it."""

    code: str
    severity: Literal["block", "warn", "note"]
    says: str
    columns: list[str] = []
    rows: Rows | None = None
    numbers: dict[str, float] = {}
    fix: Fix | None = None


def personal_columns(findings: Iterable[Finding]) -> set[str]:
    """Columns that are personal as a whole; the note of a few cells proposes nothing."""
    found = [each for each in findings if each.code.startswith("privacy.")]
    return {name for each in found if each.severity != "note" or each.fix for name in each.columns}


class Table(Shape, frozen=True):
    """A small table to be shown; cells are text, numbers or null."""

    title: str
    columns: list[str]
    rows: list[list[str | float | int | bool | None]]
    note: str = ""


class Curve(Shape, frozen=True):
    """A line to be drawn, with an optional band; `against` is a line to compare with (same x)."""

    title: str
    x: list[float]
    y: list[float]
    low: list[float] = []
    high: list[float] = []
    against: list[float] = []
    x_label: str = ""
    y_label: str = ""
    against_label: str = ""


class Histogram(Shape, frozen=True):
    """Counts between edges (one more edge than counts), or of named levels."""

    title: str
    counts: list[float]
    edges: list[float] = []
    levels: list[str] = []
    x_label: str = ""


class Sample(Shape, frozen=True):
    """A row that a model was asked about, as a person looks at it."""

    row: int
    """0-based number in the data, or in the test file."""
    truth: str
    said: str
    sure: float | None = None
    """Probability of what was said; null for values."""
    texts: dict[str, str] = {}
    """Free text that the model reads, by column."""
    pictures: list[Ref] = []
    """PNG files of what the model sees."""


class Samples(Shape, frozen=True):
    """Rows to look at."""

    title: str
    samples: list[Sample]


class Made(Shape, frozen=True):
    """What a record is a function of; its digest is the key by which a finished stage is skipped."""

    inputs: dict[str, str]
    ask: dict[str, Any]
    parts: dict[str, str]
    forgeline: str
    seed: int

    @property
    def key(self) -> str:
        """Digest of all of it."""
        return digest(self)


class GateResult(Shape, frozen=True):
    """One gate and whether it holds; `value` is what was compared."""

    gate: str
    value: float | None
    holds: bool
    why: str = ""


class Meter(Shape, frozen=True):
    """What making the record took; measured, so it never enters a digest."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    joules: float | None
    cost: float | None
    host: str
    at: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the eight records. A stage fills facts, numbers, findings and shapes; the runner the rest."""

    schema: str = ""
    stage: str = ""
    run: str = ""
    made: Made | None = None
    numbers: dict[str, Number] = {}
    findings: list[Finding] = []
    tables: list[Table] = []
    curves: list[Curve] = []
    histograms: list[Histogram] = []
    samples: list[Samples] = []
    artefacts: list[Ref] = []
    gates: list[GateResult] = []
    meter: Meter | None = None

    @property
    def digest(self) -> str:
        """Digest of what was decided: not the meter, the run's name, its gates or measured numbers."""
        plain = msgspec.to_builtins(self)
        for key in ("meter", "run", "gates", "place"):
            plain.pop(key, None)
        plain["numbers"] = {name: n for name, n in plain["numbers"].items() if not n["measured"]}
        return digest(plain)


def digest(value: Any) -> str:
    """SHA-256, in hex, of a value's canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


# ---------------------------------------------------------------- snapshot


class Column(Shape, frozen=True):
    """One column as it was read."""

    name: str
    kind: Kind
    dtype: str
    """Storage type: `int64`, `float64`, `bool`, `text`, `microseconds` or `picture`."""
    missing: int
    distinct: int
    why: str = ""
    """Why this kind."""


class Source(Shape, frozen=True):
    """One file the rows came from."""

    name: str
    rows: int
    size_bytes: int
    digest: str
    format: str
    says: str = ""
    """Encoding, delimiter and whatever else had to be guessed."""


class Code(Shape, frozen=True):
    """The code version of the user's project: git commit and, if dirty, the diff."""

    commit: str | None
    dirty: bool
    diff: Ref | None = None
    why: str = ""


class SnapshotFacts(Shape, frozen=True):
    """Facts of the data as it was frozen."""

    digest: str
    rows: int
    columns: list[Column]
    task: Literal["binary", "multiclass", "regression"] | None
    """Null when no target was named."""
    task_why: str
    target: str
    classes: list[str | bool | int | float]
    """Labels in their own type, sorted; empty for regression."""
    positive: str | bool | int | float | None
    weight: str
    keep: list[str]
    missing: list[str]
    left_out: int
    """Rows without a target."""
    sources: list[Source]
    test_digest: str | None
    """Digest of the user's own test file's snapshot."""
    test_rows: int
    test_labelled: bool
    licence: str = ""


class Place(Shape, frozen=True):
    """Where the run was made: never enters a digest."""

    code: Code
    packages: dict[str, str]
    hardware: dict[str, Any]


class Snapshot(Record, frozen=True, kw_only=True):
    """The rows, frozen."""

    facts: SnapshotFacts
    place: Place | None = None


# ---------------------------------------------------------------- assess


class Remedy(Shape, frozen=True, kw_only=True):
    """One place in the remediation queue: a finding, what mending it is expected to gain, and by which fix."""

    finding: int
    """Place among the record's findings."""
    code: str
    columns: list[str]
    rows: int
    """Rows it names; 0 when it is about whole columns."""
    do: str
    gain: float
    """Loss the fix is expected to take off: log loss in nats, or squared error ÷ the target's variance."""
    low: float
    high: float
    why: str = ""
    """Why it was not tried out, when it was not."""


class Decided(Shape, frozen=True, kw_only=True):
    """What somebody decided about a whole finding in a review."""

    code: str
    columns: list[str]
    decision: Literal["apply", "keep"]
    by: str = ""
    reason: str = ""


class AssessmentFacts(Shape, frozen=True):
    """The sealed split and what was looked for."""

    split: Ref
    """One byte a row of the snapshot (`split.npy`, uint8): 0 train, 1 test, 2 left out (no target)."""
    split_how: str
    train_rows: int
    test_rows: int
    test_digest: str | None
    """Digest of the sealed rows; null when there is nothing to read."""
    test_why: str
    """Why `test.*` is null; empty when it is not."""
    group: str
    """Column whose values stay on one side of every split."""
    time: str
    protected: list[str]
    checks: list[str]
    accepted: list[dict[str, Any]] = []
    rows_read: int = 0
    """Rows that the checks read: all of them, or an even sample of so many."""
    queue: list[Remedy] = []
    """What can be mended, the largest expected gain first."""
    decided: list[Decided] = []
    """What a review decided about findings, …"""
    review: Ref | None = None
    """… and about single rows: Parquet with row, do (or `keep`), value, code and columns."""
    not_applicable: dict[str, str] = {}
    """Check → why it could not judge: which is no pass."""
    table_schema: Ref | None = None
    """The schema that was inferred from the training rows; it ships in reference.json."""


class Assessment(Record, frozen=True, kw_only=True):
    """What the data is worth."""

    facts: AssessmentFacts


# ---------------------------------------------------------------- refine


class Step(Shape, frozen=True):
    """One thing done to the data, with the rows it saw."""

    verb: str
    columns: list[str]
    says: str
    rows: str
    """Which rows it was fitted on: `none`, `train`, `train fold 1`, …"""
    row_count: int
    row_digest: str = ""
    """Digest of the ids of those rows."""


class Input(Shape, frozen=True):
    """One column the model reads."""

    name: str
    kind: Kind
    dtype: str
    missing: list[str] = []
    """Texts that mean missing in this column, besides the snapshot's; in numbers and dates what they stand for."""
    map: dict[str, str] = {}
    """Spelling → the spelling it was made one with."""
    shape: list[int] = []
    """Of pictures: height, width, colours that they are brought to."""


class Encoder(Shape, frozen=True):
    """A pretrained encoder that reads the texts."""

    name: str
    """The folder or hub id that was asked for."""
    licence: str
    """What its model card says; empty where it says nothing."""
    parameters: int
    layers: int
    width: int
    heads: int
    inner: int
    """Units of a layer between its two products."""
    vocabulary: int
    positions: int
    """Tokens that it can read at most."""
    epsilon: float
    """What its norms add to a variance."""
    tokens: int
    """Of a text that are read."""
    weights: Ref
    """Its weights, as a run keeps them: matrices in float16."""
    embedded: bool
    """Whether its features of the training rows' texts were worked out."""


class RefinementFacts(Shape, frozen=True):
    """The rows in the form the families read, and how they got it."""

    inputs: list[Input]
    classes: list[str | bool | int | float]
    """Labels in the order of the probabilities; binary: the positive class last."""
    table: list[Ref]
    """Training rows as arrays: numbers, codes, dates, pictures, texts, columns, target (see engine.arrays)."""
    folds: Ref
    """One byte a training row: its fold."""
    fold_count: int
    recipes: list[Ref]
    """Fitted encoder of each fold, then of all training rows, as JSON."""
    steps: list[Step]
    dropped: dict[str, str]
    """Column → why it is no input."""
    filter_kept: bool
    filter_why: str
    features: int
    """Encoded features of the last recipe, …"""
    flags: int
    """… and how many of them are 0 or 1."""
    rows: int
    plain: int = 0
    """How many of the features, the first, are of neither texts nor pictures."""
    texts: dict[str, float] = {}
    """Columns of free text, and how many words a text has on average."""
    tokens: dict[str, float] = {}
    """How many tokens, where there is an encoder."""
    encoder: Encoder | None = None


class Refinement(Record, frozen=True, kw_only=True):
    """What was mended, imputed, encoded and filtered."""

    facts: RefinementFacts


# ---------------------------------------------------------------- plan


class Cost(Shape, frozen=True):
    """What fitting one candidate on one fold, and asking it about one row, is predicted to take."""

    work: float
    """Work units: counted operations, the same on every machine."""
    seconds: float
    memory_bytes: int
    size_bytes: int
    flops_per_row: float


class Candidate(Shape, frozen=True):
    """One setting of one family."""

    name: str
    family: str
    setting: dict[str, Any]
    cost: Cost
    fits: bool
    why: str
    done: float = 1.0
    """Share of its steps that it is expected to need; the cost is of these."""
    share: float = 1.0
    """Share of its training rows that it is fitted on; with a small one it may compete again on more."""


class PlanFacts(Shape, frozen=True):
    """Who competes, in which order, and by what."""

    metric: str
    higher_is_better: bool
    candidates: list[Candidate]
    work_limit: float | None
    seconds_limit: float | None
    memory_limit: int | None
    """Bytes of the whole run; null where the machine decides, which changes no digest."""
    borrowed: dict[str, str] = {}
    """Candidates that earlier runs of the store lent, and the run each comes from."""
    paces: dict[str, float] = {}
    """Families whose networks were timed before the plan: what a second by the price list was measured to take."""


class Plan(Record, frozen=True, kw_only=True):
    """What will be tried, what it will cost, and why."""

    facts: PlanFacts


# ---------------------------------------------------------------- train


class Unit(Shape, frozen=True):
    """One finished piece of work: one candidate without one fold."""

    candidate: str
    fold: int
    """The fold it did not see; the number of folds when it saw every training row."""
    model: Ref
    """ONNX graph from features to scores."""
    predictions: Ref
    """Scores on the fold's held-out rows (float64 [n, classes or 1])."""
    share: float
    """Share of the fold's training rows it saw; below 1 after it went over its memory."""
    center: float = 0.0
    """Regression: mean of the targets it was trained on, …"""
    scale: float = 1.0
    """… and their standard deviation: prediction = score · scale + center."""
    steps: int | None = None
    """Trees, or steps of a network, that its held-out rows chose or its first folds agreed on; null without steps."""
    work: float = 0.0
    """Work units it took, counted by the steps that were made."""
    metrics: Ref | None = None
    """Step, loss, rate and loss on held rows of each step, as JSON lines; null where it was not trained in steps."""


class Member(Shape, frozen=True):
    """One candidate of the ensemble."""

    candidate: str
    family: str
    weight: float
    units: list[Unit]
    """Its fold models: what its out-of-fold predictions, and so its score and weight, come from."""
    score: float
    refits: list[Unit] = []
    """The same setting trained on every training row, with a seed each."""
    most: int | None = None
    """How many of them, or of the fold models where there are none, ship; null: all."""
    first: int = 0
    """Which of them is the first of those that ship; after the last one comes the first again."""

    @property
    def shipped(self) -> list[Unit]:
        """What goes into the model, as a mean; equal models once."""
        models = list({unit.model.digest: unit for unit in self.refits or self.units}.values())
        return (models[self.first :] + models[: self.first])[: self.most]


class Calibration(Shape, frozen=True):
    """`temperature` or `platt` on log-odds: sigmoid(slope · log-odds + intercept); `none` leaves them."""

    method: Literal["none", "temperature", "platt"]
    slope: float = 1.0
    intercept: float = 0.0
    why: str = ""


class TrainingFacts(Shape, frozen=True):
    """The ensemble and everything that was tried for it."""

    members: list[Member]
    calibration: Calibration
    tried: list[Member]
    """Every candidate that finished all its folds, weight 0 when it is not in the ensemble; where the time ended
    before any did, those with most folds."""
    predictions: Ref
    """Out-of-fold predictions of the ensemble, calibrated (float64 [rows of the members' folds, classes or 1])."""
    metric: str
    work: float
    """Work units that were counted, of all that was fitted."""
    unfinished: list[str]
    searched: list[Candidate] = []
    """Settings that the search found beside the plan's candidates, tried or not."""


class Training(Record, frozen=True, kw_only=True):
    """The best ensemble the budget allowed."""

    facts: TrainingFacts


# ---------------------------------------------------------------- compress


class CompressionFacts(Shape, frozen=True):
    """The graph that ships, and the one it was made from."""

    model: Ref
    full: Ref
    signature: Ref
    kept: list[Member]
    dropped: list[str]
    calibration: Calibration
    predictions: Ref
    """Out-of-fold predictions of the kept members, calibrated."""
    loss: float
    why: str


class Compression(Record, frozen=True, kw_only=True):
    """A smaller, faster model within the loss that was allowed."""

    facts: CompressionFacts


# ---------------------------------------------------------------- evaluate


class EvaluationFacts(Shape, frozen=True):
    """What was measured on which rows."""

    metric: str
    test_digest: str | None
    test_rows: int
    threshold: float | None
    positive: str | bool | int | float | None
    predictions: Ref | None
    """Predictions of the shipped graph on the sealed rows."""
    ledger: Ref | None = None
    """The fit ledger of this run: which rows each step saw; leaks that it shows are findings."""
    linear: Ref | None = None
    """The linear model that was asked beside the shipped one; null without one, or without labelled test rows."""


class Evaluation(Record, frozen=True, kw_only=True):
    """How good it is, how sure that is, and for whom."""

    facts: EvaluationFacts


# ---------------------------------------------------------------- release


class ReleaseFacts(Shape, frozen=True):
    """The folder that stands alone."""

    name: str
    digest: str
    """Over model.onnx, signature.json, reference.json and predict.py."""
    files: dict[str, str]
    """File → SHA-256."""
    licence: str


class Release(Record, frozen=True, kw_only=True):
    """What can be deployed."""

    facts: ReleaseFacts


STAGES: dict[str, type[Record]] = {
    "snapshot": Snapshot,
    "assess": Assessment,
    "refine": Refinement,
    "plan": Plan,
    "train": Training,
    "compress": Compression,
    "evaluate": Evaluation,
    "release": Release,
}
"""The stages in the order of the line, and the record each gives."""

VERSION = 1


def schema(stage: str) -> str:
    """`forgeline/assessment@1` for `assess`."""
    return f"forgeline/{STAGES[stage].__name__.lower()}@{VERSION}"


def file_name(stage: str) -> str:
    """`02-assess.json` for `assess`."""
    return f"{list(STAGES).index(stage) + 1:02d}-{stage}.json"


def encode(record: Record) -> bytes:
    """The record as JSON, indented for people."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1)


def decode(text: bytes) -> Record:
    """The record in a JSON text, upgraded to today's form. Errors: msgspec.ValidationError, KeyError."""
    plain = upgrade(msgspec.json.decode(text))
    record: Record = msgspec.convert(plain, STAGES[plain["stage"]])
    return record


def upgrade(plain: dict[str, Any]) -> dict[str, Any]:
    """Bring an older record's dictionary to today's form; version 1 is the first, so nothing is older."""
    name, _, version = str(plain.get("schema", "")).partition("@")
    if version != str(VERSION):
        raise ValueError(f"record {name}@{version} was written by a newer forgeline")
    return plain
