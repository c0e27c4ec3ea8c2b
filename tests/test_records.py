import msgspec
import pytest

from forgeline import records
from forgeline.records import Fix, GateResult, Made, Meter, Number, Ref, scored

MADE = Made(inputs={"assess": "a" * 64}, ask={"plan": {"metric": ""}}, parts={}, forgeline="0.1.0", seed=0)
FACTS = records.PlanFacts(
    metric="rmse", higher_is_better=False, candidates=[], work_limit=3.0, seconds_limit=None, memory_limit=10**9
)
PLAN = records.Plan(
    schema="forgeline/plan@1",
    stage="plan",
    run="r1",
    made=MADE,
    facts=FACTS,
    numbers={
        "plan.work": Number(value=1.5, unit="work units"),
        "time.total": Number(value=2.0, measured=True),
    },
    artefacts=[Ref(digest="b" * 64, size_bytes=3, name="x.npy")],
)
METER = Meter(seconds=1.0, cpu_seconds=0.5, peak_bytes=7, joules=None, cost=None, host="here", at="2024-01-01T00:00:00")


def changed(**fields):
    return msgspec.structs.replace(PLAN, **fields)


def test_a_record_reads_back_the_same():
    record = changed(meter=METER, gates=[GateResult(gate="plan.work <= 2", value=1.5, holds=True)])
    back = records.decode(records.encode(record))
    assert back == record
    assert isinstance(back, records.Plan)
    assert back.digest == record.digest


@pytest.mark.parametrize(
    "fields",
    [
        {"meter": METER},
        {"run": "r2"},
        {"gates": [GateResult(gate="plan.work <= 2", value=1.5, holds=True)]},
        {"numbers": PLAN.numbers | {"time.total": Number(value=3.0, measured=True)}},
        {"numbers": {"plan.work": PLAN.numbers["plan.work"]}},
    ],
)
def test_what_is_measured_is_not_in_the_digest(fields):
    assert changed(**fields).digest == PLAN.digest


@pytest.mark.parametrize(
    "fields",
    [
        {"numbers": PLAN.numbers | {"plan.work": Number(value=1.6, unit="work units")}},
        {"made": msgspec.structs.replace(MADE, seed=1)},
        {"artefacts": []},
        {"facts": msgspec.structs.replace(FACTS, metric="mae")},
        {"findings": [records.Finding(code="x", severity="note", says="y")]},
    ],
)
def test_what_is_decided_is_in_the_digest(fields):
    assert changed(**fields).digest != PLAN.digest


def test_the_place_is_not_in_a_snapshots_digest():
    facts = {
        **dict.fromkeys(("digest", "task_why", "target", "weight"), ""),
        **{name: [] for name in ("columns", "classes", "keep", "missing", "sources")},
        **dict.fromkeys(("rows", "left_out", "test_rows"), 0),
        **dict.fromkeys(("task", "positive", "test_digest")),
        "test_labelled": False,
    }
    plain = records.Snapshot(facts=records.SnapshotFacts(**facts))
    place = records.Place(code=records.Code(commit="c", dirty=True), packages={}, hardware={})
    assert msgspec.structs.replace(plain, place=place).digest == plain.digest


def test_the_digest_does_not_depend_on_the_order_of_keys():
    assert records.digest({"a": 1, "b": [2.5, None]}) == records.digest({"b": [2.5, None], "a": 1})
    assert records.digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_the_key_changes_with_all_it_is_made_of():
    others = [
        msgspec.structs.replace(MADE, **{name: value})
        for name, value in {
            "inputs": {"assess": "b" * 64},
            "ask": {"plan": {"metric": "mae"}},
            "parts": {"families.linear": "c" * 64},
            "forgeline": "0.2.0",
            "seed": 1,
        }.items()
    ]
    assert len({MADE.key, *(each.key for each in others)}) == 6


def test_scored():
    assert scored(0.5, (0.4, 0.6), 10) == Number(value=0.5, low=0.4, high=0.6, level=0.95, n=10)
    assert scored(0.5, None, 10) == Number(value=0.5, n=10)
    assert scored(0.5, (float("nan"), float("nan")), 10) == Number(value=0.5, n=10)
    assert scored(float("nan"), (0.0, 1.0), 10, why="one class") == Number(value=None, n=10, why="one class")


def test_safe_fixes_lose_neither_row_nor_column():
    verbs = ("drop", "cast", "map", "missing", "drop_rows", "relabel", "split", "reweigh")
    assert [do for do in verbs if Fix(do=do).safe] == ["cast", "map", "missing"]


def test_stages_have_numbered_files_and_schemas():
    assert [records.file_name(stage) for stage in records.STAGES] == [
        *("01-snapshot.json", "02-assess.json", "03-refine.json", "04-plan.json"),
        *("05-train.json", "06-compress.json", "07-evaluate.json", "08-release.json"),
    ]
    assert records.schema("assess") == "forgeline/assessment@1"


def test_a_record_of_a_newer_version_is_refused():
    text = records.encode(changed(schema="forgeline/plan@2"))
    with pytest.raises(ValueError, match="newer forgeline"):
        records.decode(text)


def test_a_record_with_a_wrong_field_is_refused():
    with pytest.raises(msgspec.ValidationError):
        records.decode(records.encode(PLAN).replace(b'"rmse"', b"5"))
