"""A run as the line leaves it, built from the record types: census rows, a passed and a blocked one."""

from pathlib import Path

import msgspec
import pytest

from forgeline import records
from forgeline.records import (
    Calibration,
    Candidate,
    Column,
    Cost,
    Curve,
    Finding,
    Fix,
    GateResult,
    Histogram,
    Made,
    Member,
    Meter,
    Number,
    Ref,
    Remedy,
    Rows,
    Source,
    Step,
    Table,
)

SPEC = """seed = 0
[snapshot]
source = "adult.csv"
target = "income"
positive = ">50K"
[assess]
protected = ["sex", "race"]
[release]
name = "income"
[gates]
"test.roc_auc" = "low >= 0.90"
"""


def digest(text):
    return records.digest(text)


def ref(name, size_bytes=1000):
    return Ref(digest=digest(name), size_bytes=size_bytes, name=name)


def meter(seconds, peak_bytes):
    return Meter(
        seconds=seconds,
        cpu_seconds=seconds * 1.8,
        peak_bytes=peak_bytes,
        joules=None,
        cost=None,
        host="laptop",
        at="2026-03-02T09:14:05Z",
    )


def common(stage, seconds, peak_bytes):
    made = Made(inputs={}, ask={}, parts={}, forgeline="0.1.0", seed=0)
    return {
        "schema": records.schema(stage),
        "stage": stage,
        "run": "income-3f2a",
        "made": made,
        "meter": meter(seconds, peak_bytes),
    }


def score(value, half, n=9768, unit=""):
    return Number(value=value, low=value - half, high=value + half, level=0.95, n=n, unit=unit)


def snapshot():
    numbers = [("age", 74), ("fnlwgt", 28523), ("education_num", 16), ("capital_gain", 123)]
    texts = [
        ("workclass", 8, 2799),
        ("education", 16, 0),
        ("occupation", 14, 2809),
        ("sex", 2, 0),
        ("race", 5, 0),
    ]
    columns = [
        Column(
            name=name,
            kind="number",
            dtype="int64",
            missing=0,
            distinct=many,
            why="every cell is a whole number",
        )
        for name, many in numbers
    ] + [
        Column(name=name, kind="category", dtype="text", missing=gaps, distinct=many, why="text with few levels")
        for name, many, gaps in texts
    ]
    facts = records.SnapshotFacts(
        digest=digest("adult"),
        rows=48842,
        columns=columns,
        task="binary",
        task_why="two labels",
        target="income",
        classes=["<=50K", ">50K"],
        positive=">50K",
        weight="",
        keep=[],
        missing=["", "?"],
        left_out=0,
        sources=[
            Source(
                name="adult.csv",
                rows=48842,
                size_bytes=5326368,
                digest=digest("f"),
                format="csv",
                says="utf-8, comma",
            )
        ],
        test_digest=None,
        test_rows=0,
        test_labelled=False,
        licence="CC-BY-4.0",
    )
    place = records.Place(
        code=records.Code(commit="9c1f0d2e77", dirty=True),
        packages={"numpy": "2.1.0", "polars": "1.31.0"},
        hardware={"cores": 2, "memory": "8 GB", "processor": "x86_64"},
    )
    return records.Snapshot(**common("snapshot", 0.84, 310_000_000), facts=facts, place=place)


FINDINGS = [
    Finding(
        code="bias.disparate_impact",
        severity="warn",
        says="income = >50K falls to 10.9% of sex = Female but 30.4% of Male: ratio 0.36 [0.33, 0.39], below 0.8",
        columns=["sex"],
        numbers={"ratio": 0.35956, "low": 0.33, "high": 0.39},
        fix=Fix(do="reweigh", columns=["sex"], says="later stages offer reweighing"),
    ),
    Finding(
        code="quality.missing",
        severity="note",
        says="3 columns have missing cells, at most 5.75 % of their rows.",
        columns=["workclass", "occupation", "native_country"],
        rows=Rows(count=3620, ref=ref("missing rows")),
        numbers={"share": 0.0575},
    ),
    Finding(
        code="quality.infinite",
        severity="warn",
        says="capital_gain holds 4 infinite values.",
        columns=["capital_gain"],
        rows=Rows(count=4),
        fix=Fix(do="missing", columns=["capital_gain"], markers=["inf"]),
    ),
    Finding(
        code="leak.group",
        severity="note",
        says="the split follows household: a quick model has 0.941 with a random split, 0.903 on unseen entities",
        columns=["household"],
        numbers={"inflation": 0.038, "low": 0.03, "high": 0.046, "random": 0.941, "honest": 0.903},
    ),
]

LEAK = Finding(
    code="leak.target_copy",
    severity="block",
    says="casual + registered give the target cnt exactly on all 13,903 training rows.",
    columns=["casual", "registered"],
    numbers={"r_squared": 1.0, "inflation": 0.0831, "low": 0.0712, "high": 0.0954},
    fix=Fix(do="drop", columns=["casual", "registered"]),
)


def assess(findings=None, gates=None):
    found = FINDINGS if findings is None else findings
    note = "Training rows; 95% intervals. Groups of fewer than 30 rows are not judged."
    heads = ["group", "rows", "base rate", "low", "high", "ratio to highest", "difference to highest", "judged"]
    groups = [
        Table(
            title="sex: how often income = >50K",
            columns=heads,
            rows=[
                ["Female", 12954, 0.10925, 0.104, 0.1148, 0.35956, -0.19459, True],
                ["Male", 26120, 0.30384, 0.2983, 0.3095, 1.0, 0.0, True],
            ],
            note=note,
        ),
        Table(
            title="sex × race: how often income = >50K",
            columns=heads,
            rows=[
                ["Female × Black", 1900, 0.0612, 0.0512, 0.0729, 0.1917, -0.2580, True],
                ["Male × White", 22800, 0.3192, 0.3132, 0.3253, 1.0, 0.0, True],
                ["Female × Other", 21, None, None, None, None, None, False],
            ],
            note=note,
        ),
        Table(title="Columns", columns=["column", "kind", "missing"], rows=[["age", "number", 0.0]]),
    ]
    queue = [
        Remedy(
            finding=at,
            code=each.code,
            columns=each.columns,
            rows=each.rows.count if each.rows else 0,
            do=each.fix.do if each.fix else "",
            gain=0.01 / 4**at,
            low=0.0,
            high=0.02 / 4**at,
        )
        for at, each in enumerate(found)
        if each.rows or each.fix
    ]
    facts = records.AssessmentFacts(
        split=ref("split.npy", 48842),
        split_how="keyed hash of the features, 20 % sealed",
        train_rows=39074,
        test_rows=9768,
        test_digest=digest("test"),
        test_why="",
        group="",
        time="",
        protected=["sex", "race"],
        checks=["missing", "constant", "target_copy", "split_leaks"],
        rows_read=48842,
        queue=queue,
        not_applicable={"fit_ledger": "no fit ledger was given"},
    )
    return records.Assessment(
        **common("assess", 2.31, 520_000_000),
        facts=facts,
        numbers={
            "quality.completeness": Number(
                value=0.99076, low=0.9904, high=0.9911, level=0.95, n=48842, unit="share of cells"
            ),
            "quality.label_fidelity": Number(value=None, why="the labels could not be judged"),
            "bias.sex.disparate_impact": Number(value=0.35956, low=0.33, high=0.39, level=0.95, n=39074, unit="ratio"),
            "quality.gain": Number(value=0.0123, low=0.0, high=0.0246, level=0.95, unit="loss"),
            "findings.blocking": Number(value=float(sum(f.severity == "block" for f in found))),
            "quality.score": Number(value=0.959, low=0.918, high=1.0, level=0.95, unit="share of the skill"),
        },
        findings=found,
        tables=groups,
        histograms=[
            Histogram(
                title="age",
                counts=[5570, 8211, 8046, 6983, 4128, 1890, 560, 86],
                edges=[17, 26, 35, 44, 53, 62, 71, 80, 90],
                x_label="years",
            ),
            Histogram(
                title="race",
                counts=[33410, 3748, 1215, 371, 330],
                levels=["White", "Black", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other"],
            ),
        ],
        gates=gates or [GateResult(gate="findings.blocking == 0", value=0.0, holds=True)],
    )


def refine():
    facts = records.RefinementFacts(
        classes=["<=50K", ">50K"],
        inputs=[records.Input(name=name, kind="category", dtype="text") for name in ("sex", "race", "education")],
        table=[ref("numbers")],
        folds=ref("folds"),
        fold_count=5,
        recipes=[ref("recipe")],
        steps=[
            Step(
                verb="missing",
                columns=["capital_gain"],
                says="inf is read as missing",
                rows="none",
                row_count=0,
            ),
            Step(verb="impute", columns=["age", "fnlwgt"], says="median", rows="train fold 1", row_count=31259),
            Step(verb="encode", columns=["sex", "race"], says="one column a level", rows="train", row_count=39074),
        ],
        dropped={"fnlwgt": "mutual information with the target is 0"},
        filter_kept=True,
        filter_why="log_loss 0.2991 with it, 0.2990 without",
        features=104,
        flags=98,
        rows=39074,
    )
    return records.Refinement(**common("refine", 4.9, 640_000_000), facts=facts)


CANDIDATES = [
    ("lightgbm default", "lightgbm", 6.2, 3.4, 410_000_000, 690_000, 3200.0, True),
    ("lightgbm deep", "lightgbm", 18.0, 9.9, 520_000_000, 2_600_000, 12800.0, True),
    ("linear", "linear", 1.1, 0.7, 210_000_000, 3_500, 208.0, True),
    ("extra_trees large", "extra_trees", 96.0, 55.0, 2_900_000_000, 88_000_000, 41000.0, False),
]


def plan():
    candidates = [
        Candidate(
            name=name,
            family=family,
            setting={"rate": 0.05},
            cost=Cost(work=work, seconds=seconds, memory_bytes=memory, size_bytes=size, flops_per_row=flops),
            fits=fits,
            why="fits" if fits else "96 of 100 work units for one fold",
        )
        for name, family, work, seconds, memory, size, flops, fits in CANDIDATES
    ]
    table = Table(
        title="Candidates, in order",
        columns=["candidate", "fits", "work", "seconds", "memory_bytes", "size_bytes", "flops per row", "why"],
        rows=[
            [
                c.name,
                c.fits,
                c.cost.work,
                c.cost.seconds,
                c.cost.memory_bytes,
                c.cost.size_bytes,
                c.cost.flops_per_row,
                c.why,
            ]
            for c in candidates
        ],
    )
    facts = records.PlanFacts(
        metric="log_loss",
        higher_is_better=False,
        candidates=candidates,
        work_limit=100.0,
        seconds_limit=None,
        memory_limit=6_000_000_000,
    )
    return records.Plan(**common("plan", 0.05, 300_000_000), facts=facts, tables=[table])


MEMBERS = [
    Member(candidate="lightgbm default", family="lightgbm", weight=0.6, units=[], score=0.2771),
    Member(candidate="lightgbm deep", family="lightgbm", weight=0.4, units=[], score=0.2769),
]


def train():
    tried = [*MEMBERS, Member(candidate="linear", family="linear", weight=0.0, units=[], score=0.3198)]
    table = Table(
        title="Every candidate tried",
        columns=["candidate", "weight", "log_loss"],
        rows=[[m.candidate, m.weight, m.score] for m in tried],
    )
    facts = records.TrainingFacts(
        members=MEMBERS,
        calibration=Calibration(method="temperature", slope=1.04),
        tried=tried,
        predictions=ref("out of fold"),
        metric="log_loss",
        work=83.4,
        unfinished=["extra_trees large"],
    )
    return records.Training(**common("train", 43.7, 1_240_000_000), facts=facts, tables=[table])


def compress():
    facts = records.CompressionFacts(
        model=ref("model.onnx", 1_450_000),
        full=ref("full.onnx", 3_310_000),
        signature=ref("signature.json"),
        kept=MEMBERS[:1],
        dropped=["lightgbm deep"],
        calibration=Calibration(method="temperature", slope=1.04),
        predictions=ref("kept"),
        loss=0.0009,
        why="2.28 times smaller and 1.9 times faster for 0.09 % of log_loss",
    )
    numbers = {
        "size.bytes": Number(value=1_450_000, unit="bytes"),
        "size.full.bytes": Number(value=3_310_000, unit="bytes"),
        "latency.p99": Number(
            value=0.000_213, low=0.000_201, high=0.000_236, level=0.95, unit="s", measured=True, n=2000
        ),
        "latency.full.p99": Number(value=0.000_402, low=0.000_380, high=0.000_441, level=0.95, unit="s", measured=True),
    }
    return records.Compression(**common("compress", 6.2, 900_000_000), facts=facts, numbers=numbers)


def evaluate():
    numbers = {
        "cv.log_loss": score(0.27688, 0.0039, n=39074),
        "cv.roc_auc": score(0.92841, 0.0026, n=39074),
        "test.log_loss": score(0.27541, 0.0078),
        "test.roc_auc": score(0.92906, 0.0052),
        "test.accuracy": score(0.87449, 0.0066),
        "test.full.log_loss": score(0.27511, 0.0078),
        "test.full.roc_auc": score(0.92921, 0.0052),
        "test.baseline.majority.log_loss": score(0.5513, 0.0072),
        "test.baseline.majority.roc_auc": score(0.5, 0.0),
        "test.baseline.majority.accuracy": score(0.76072, 0.0085),
        "test.baseline.linear.log_loss": score(0.31873, 0.0081),
        "test.baseline.linear.roc_auc": score(0.90714, 0.0061),
        "test.baseline.linear.accuracy": score(0.85217, 0.007),
        "test.lead.linear.roc_auc": score(0.02192, 0.0031),
        "test.lead.majority.roc_auc": score(0.42906, 0.0052),
        "gap.log_loss": Number(value=0.0147, n=39074),
        "fairness.sex.demographic_parity_ratio": score(0.312, 0.031),
        "fairness.race.demographic_parity_ratio": score(0.441, 0.092),
        "fairness.age.demographic_parity_ratio": Number(value=None, why="age is not protected"),
        "test.reads": Number(value=1.0),
    }
    calibration = Curve(
        title="Calibration",
        x=[0.02, 0.12, 0.25, 0.38, 0.52, 0.66, 0.81, 0.95],
        y=[0.018, 0.131, 0.241, 0.402, 0.507, 0.689, 0.802, 0.958],
        low=[0.013, 0.110, 0.212, 0.362, 0.461, 0.641, 0.763, 0.934],
        high=[0.024, 0.152, 0.271, 0.442, 0.553, 0.737, 0.841, 0.975],
        against=[0.02, 0.12, 0.25, 0.38, 0.52, 0.66, 0.81, 0.95],
        x_label="predicted probability",
        y_label="share that came true",
    )
    groups = Table(
        title="By group",
        columns=["column", "group", "rows", "roc_auc", "low", "high", "selection rate"],
        rows=[
            ["sex", "Male", 6530, 0.912, 0.905, 0.919, 0.2549],
            ["sex", "Female", 3238, 0.944, 0.931, 0.957, 0.0795],
            ["sex", "Other", 3, None, None, None, None],
        ],
    )
    facts = records.EvaluationFacts(
        metric="log_loss",
        test_digest=digest("test"),
        test_rows=9768,
        threshold=0.5,
        positive=">50K",
        predictions=ref("test predictions"),
    )
    gate = GateResult(gate="test.roc_auc low >= 0.9", value=0.92386, holds=True)
    return records.Evaluation(
        **common("evaluate", 5.1, 700_000_000),
        facts=facts,
        numbers=numbers,
        curves=[calibration],
        tables=[groups],
        gates=[gate],
    )


def release():
    files = {name: digest(name) for name in ("model.onnx", "signature.json", "reference.json", "predict.py")}
    facts = records.ReleaseFacts(name="income", digest=digest("release"), files=files, licence="CC-BY-4.0")
    return records.Release(**common("release", 1.2, 400_000_000), facts=facts)


def write(folder: Path, made, spec=SPEC) -> Path:
    """A run folder that holds these records."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.toml").write_text(spec)
    for record in made:
        (folder / records.file_name(record.stage)).write_bytes(records.encode(record))
    return folder


def blocked_assess():
    gate = GateResult(gate="findings.blocking == 0", value=1.0, holds=False)
    return assess(findings=[*FINDINGS, LEAK], gates=[gate])


@pytest.fixture
def passed(tmp_path):
    made = [snapshot(), assess(), refine(), plan(), train(), compress(), evaluate(), release()]
    return write(tmp_path / "income-3f2a", made)


@pytest.fixture
def blocked(tmp_path):
    return write(tmp_path / "bikes-77b1", [snapshot(), blocked_assess()])


@pytest.fixture
def unfinished(tmp_path):
    return write(tmp_path / "income-half", [snapshot(), assess(), refine(), plan()])


@pytest.fixture
def hostile(tmp_path):
    """Every text that data can bring is markup."""
    bad = "<script>alert(1)</script>"
    finding = msgspec.structs.replace(LEAK, columns=[bad], says=bad, code="x" + bad, fix=Fix(do="drop", columns=[bad]))
    table = Table(title=bad, columns=[bad], rows=[[bad]], note=bad)
    shape = Histogram(title=bad, counts=[1], levels=[bad], x_label=bad)
    line = Curve(title=bad, x=[0, 1], y=[0, 1], x_label=bad, y_label=bad)
    number = {
        bad: Number(value=None, why=bad),
        f"{bad}.b": score(1.5, 0.1, unit=bad),
        f"{bad}2.b": score(1, 0.1),
    }
    unfair = Table(title=f"{bad}: rates", columns=["group", bad, "base rate"], rows=[[bad, bad, 0.5]], note=bad)
    leak = msgspec.structs.replace(FINDINGS[-1], columns=[bad], says=bad)
    gate = GateResult(gate="findings.blocking == 0", value=1.0, holds=False)
    made = assess([finding, leak], gates=[gate])
    facts = msgspec.structs.replace(
        made.facts, protected=[bad], split_how=bad, group=bad, not_applicable={bad: bad, "fit_ledger": bad}
    )
    record = msgspec.structs.replace(
        made, facts=facts, tables=[table, unfair], histograms=[shape], curves=[line], numbers=number
    )
    return write(tmp_path / "hostile", [snapshot(), record])


@pytest.fixture
def huge(tmp_path):
    """Ten thousand findings, one of ten thousand columns, and ten thousand rows in a table."""
    names = [f"column_{index}" for index in range(10_000)]
    found = [
        Finding(code="constant", severity="note", says=f"{name} never varies.", columns=[name]) for name in names
    ] + [Finding(code="identifier", severity="warn", says="Many identifiers.", columns=names)]
    table = Table(title="Columns", columns=["name", "distinct"], rows=[[name, 1] for name in names])
    record = msgspec.structs.replace(assess(found), tables=[table])
    return write(tmp_path / "huge", [snapshot(), record])


@pytest.fixture
def assessed():
    """Makes the record of assess, of given findings or the usual ones."""
    return assess
