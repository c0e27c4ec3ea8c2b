import hashlib
import io
import time
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import polars as pl
import pytest

from forgeline import catalog, records, spec
from forgeline.engine import columns, ledger, targets
from forgeline.engine.rows import Held
from forgeline.engine.seeds import Seed
from forgeline.errors import BadInput
from forgeline.stages.assess import assess, unscored

DRAW = np.random.default_rng(12)
ROWS = 600
PEOPLE = pl.DataFrame(
    {
        "id": np.arange(ROWS),
        "age": DRAW.integers(18, 80, ROWS),
        "sex": DRAW.choice(["f", "m"], ROWS),
        "city": [f"city {at % 7}" for at in range(ROWS)],
        "since": [datetime(2020, 1, 1) + timedelta(days=at // 2) for at in range(ROWS)],
        "gap": pl.Series(DRAW.normal(size=ROWS)).set(pl.Series(DRAW.random(ROWS) < 0.25), None),
        "unit": ["kg"] * ROWS,
        "hired": DRAW.choice(["no", "yes"], ROWS, p=[0.7, 0.3]),
    }
)


class Workspace:
    """Keeps a frame and what is stored, in memory."""

    def __init__(self, frame: pl.DataFrame):
        self.given, self.files = frame, {}
        self.seed, self.catalog, self.said, self.source_folder = Seed(0), catalog, [], None
        self.base, self.time, self.snapshots = Path(), True, Path()

    def frame(self, digest):
        return self.given

    def rows(self, digest):
        return Held(self.frame(digest))

    def put(self, data, name=""):
        digest = hashlib.sha256(data).hexdigest()
        self.files[digest] = data
        return records.Ref(digest=digest, size_bytes=len(data), name=name)

    def get(self, ref):
        return self.files[ref.digest]

    def say(self, text):
        self.said.append(text)

    def affords(self, what, *, stage, share):
        return self.time


def run(frame, target="hired", *, keep=(), labelled=True, findings=(), refine=None, split=None, time=True, **ask):
    """The assessment of a frame, and the side of each row."""
    frame, facts = columns.settle(frame, {}, {})
    aim = targets.aim(frame[target]) if target else None
    snapshot = records.Snapshot(
        findings=list(findings),
        facts=records.SnapshotFacts(
            digest="snapshot",
            rows=frame.height,
            columns=[
                records.Column(name=f.name, kind=f.kind, dtype=f.dtype, missing=f.missing, distinct=f.distinct)
                for f in facts
            ],
            task=aim.task if aim else None,
            task_why="",
            target=target,
            classes=aim.classes if aim else [],
            positive=aim.positive if aim else None,
            weight="",
            keep=list(keep),
            missing=[],
            left_out=0,
            sources=[],
            test_digest="their test" if (split or {}).get("file") else None,
            test_rows=50,
            test_labelled=labelled,
        ),
    )
    work = Workspace(frame)
    work.time = time
    asked = spec.check({"assess": ask, "split": split or {}, "refine": refine or {}})
    found = assess(asked.assess, asked.split, asked.refine, snapshot, work)
    return found, np.load(io.BytesIO(work.files[found.facts.split.digest])), work


def codes(assessment):
    return [finding.code for finding in assessment.findings]


def test_the_split_is_one_byte_a_row_and_counted():
    found, side, _ = run(PEOPLE)
    facts = found.facts
    assert (side.dtype, side.shape) == (np.uint8, (ROWS,))
    assert (facts.train_rows, facts.test_rows) == ((side == 0).sum(), (side == 1).sum())
    assert found.numbers["rows.test"].value == facts.test_rows
    assert 80 < facts.test_rows < 160
    assert (len(facts.test_digest), facts.test_why, facts.group, facts.time) == (64, "", "", "")
    assert "20% of the rows" in facts.split_how


def test_the_record_is_a_function_of_the_data_alone():
    first, second = (run(PEOPLE, protected=["sex"])[0] for _ in range(2))
    assert first.digest == second.digest
    assert records.decode(
        records.encode(records.Assessment(facts=first.facts, stage="assess", schema=records.schema("assess")))
    )


def test_without_time_no_check_is_fitted_and_that_is_said():
    found, *_ = run(PEOPLE, time=False)
    left = [name for name, why in found.facts.not_applicable.items() if why == "the time budget was too short"]
    assert "label_error" in left
    assert "duplicate" not in left
    (said,) = [finding for finding in found.findings if finding.code == "spec.time"]
    assert said.severity == "warn"
    assert "label_error" in said.says
    for name in ("quality.score", "quality.label_fidelity"):
        assert (found.numbers[name].value, found.numbers[name].why) == (None, "the time budget was too short")
    assert found.facts.queue == []


def test_rows_without_a_target_are_left_out():
    frame = PEOPLE.with_columns(pl.when(pl.col("id") % 10 == 3).then(None).otherwise("hired").alias("hired"))
    found, side, _ = run(frame)
    assert (np.flatnonzero(side == 2) == np.arange(3, ROWS, 10)).all()
    assert found.facts.train_rows + found.facts.test_rows == ROWS - 60


def test_the_test_digest_changes_with_the_sealed_rows():
    assert run(PEOPLE)[0].facts.test_digest == run(PEOPLE)[0].facts.test_digest
    assert run(PEOPLE)[0].facts.test_digest != run(PEOPLE, split={"share": 0.3})[0].facts.test_digest


def test_groups_stay_on_one_side():
    found, side, _ = run(PEOPLE, split={"by": "city", "share": 0.4})
    sides = PEOPLE.with_columns(side=side).group_by("city").agg(pl.col("side").n_unique())
    assert sides["side"].max() == 1
    assert (found.facts.group, found.facts.time) == ("city", "")


def test_a_kept_identifier_may_name_the_groups():
    assert run(PEOPLE, keep=["city"], split={"by": "city", "share": 0.4})[0].facts.group == "city"


def test_a_date_column_seals_the_last_rows():
    found, side, _ = run(PEOPLE, split={"by": "since"})
    assert (found.facts.group, found.facts.time) == ("", "since")
    assert side.tolist() == sorted(side.tolist())
    assert side.sum() == 120


@pytest.mark.parametrize(
    ("labelled", "digest", "why"), [(True, "their test", ""), (False, None, "the test file has no labels")]
)
def test_a_test_file_replaces_the_split(labelled, digest, why):
    found, side, _ = run(PEOPLE, split={"file": "test.csv"}, labelled=labelled)
    assert not side.any()
    assert (found.facts.test_digest, found.facts.test_why, found.facts.test_rows) == (digest, why, 50)


def test_a_seal_of_hardly_any_row_says_why_there_is_no_test():
    found, _, _ = run(PEOPLE, split={"share": 1e-9})
    assert found.facts.test_digest is None
    assert found.facts.test_why == "the split sealed 0 of 600 rows: too few"


def test_without_a_target_the_facts_are_still_found():
    found, _, _ = run(PEOPLE.drop("hired"), target="", protected=["sex"])
    assert found.facts.test_why == "no target was named"
    assert {"quality.missing", "quality.constant", "quality.identifier"} <= set(codes(found))


def test_findings_come_blocking_first_and_with_those_of_the_snapshot():
    earlier = records.Finding(
        code="quality.infinite", severity="warn", says="inf", columns=["age"], numbers={"cells": 6}
    )
    found, _, _ = run(PEOPLE.with_columns(copy=pl.col("hired").str.to_uppercase()), findings=[earlier])
    assert codes(found) == [
        "leak.target_copy",
        "quality.identifier",
        "quality.infinite",
        "bias.undeclared",
        "bias.undeclared",
        "quality.constant",
        "quality.missing",
    ]
    assert [found.numbers[f"findings.{kind}"].value for kind in ("blocking", "warn", "note")] == [1, 2, 4]


LEAKING = PEOPLE.with_columns(copy=pl.col("hired").str.to_uppercase())
SIGNED = {"code": "leak.target_copy", "by": "Ada", "reason": "it is a toy"}


@pytest.mark.parametrize(
    ("accept", "apply", "blocking"),
    [
        ([], "safe", 1),
        ([SIGNED], "safe", 0),
        ([SIGNED | {"columns": ["copy", "age"]}], "safe", 0),
        ([SIGNED | {"columns": ["age"]}], "safe", 1),
        ([SIGNED | {"code": "leak.other"}], "safe", 1),
        ([], ["safe", "leak.target_copy"], 0),
        ([], ["quality.constant"], 1),
    ],
)
def test_a_block_is_lifted_by_a_signature_or_by_naming_its_fix(accept, apply, blocking):
    found, _, _ = run(LEAKING, accept=accept, refine={"apply": apply})
    assert found.numbers["findings.blocking"].value == blocking
    assert "leak.target_copy" in codes(found)


def test_a_signature_is_kept_and_one_for_nothing_is_noted():
    found, _, _ = run(LEAKING, accept=[SIGNED, SIGNED | {"code": "bias.never"}])
    assert found.facts.accepted == [
        {"code": "leak.target_copy", "columns": ["copy"], "by": "Ada", "reason": "it is a toy"}
    ]
    assert codes(found).count("spec.accept_unused") == 1


def test_completeness_and_consistency_are_plain_shares():
    frame = pl.DataFrame(
        {
            "a": [1.5, 2.5, None, 4.5, 4.5, 7.5, 8.5, 9.5],
            "b": [1] * 8,
            "y": [0.1, 0.2, 0.3, 0.4, 0.4, 0.5, 0.6, 0.8],
        }
    )
    numbers = run(frame, "y", split={"file": "t.csv"})[0].numbers
    assert numbers["quality.completeness"].value == 15 / 16
    assert numbers["quality.completeness"].low == pytest.approx(0.7167, abs=5e-5)  # Wilson, 15 of 16
    assert numbers["quality.consistency"].value == pytest.approx(
        1 / 2
    )  # chance explains one repeat among so few levels


def test_the_repeats_are_kept_as_a_file():
    found, _, work = run(pl.concat([PEOPLE, PEOPLE[[5, 5, 9]]]))
    repeats = next(finding for finding in found.findings if finding.code == "quality.duplicate")
    kept = pl.read_parquet(io.BytesIO(work.files[repeats.rows.ref.digest]))
    assert kept.rows() == [(600, 3.0), (601, 3.0), (602, 2.0)]


def test_base_rates_by_group_come_as_table_and_number():
    found, side, _ = run(PEOPLE, protected=["sex"])
    table = next(table for table in found.tables if table.title.startswith("sex"))
    train = PEOPLE.filter(side == 0)
    rates = dict(train.group_by("sex").agg((pl.col("hired") == "yes").mean()).iter_rows())
    assert {row[0]: row[2] for row in table.rows} == pytest.approx(rates)
    number = found.numbers["bias.sex.disparate_impact"]
    assert number.value == pytest.approx(min(rates.values()) / max(rates.values()))
    assert number.low < number.value < number.high


def test_a_ratio_that_cannot_be_has_its_reason():
    found, _, _ = run(PEOPLE.with_columns(kind=pl.lit("one")), protected=["kind"])
    number = found.numbers["bias.kind.disparate_impact"]
    assert (number.value, number.why) == (None, "1 group(s) of 30 training rows or more")


def test_the_profile_shows_every_column_and_the_bars_the_telling_ones():
    found, side, _ = run(PEOPLE)
    table = found.tables[0]
    assert [row[0] for row in table.rows] == PEOPLE.columns[:-1]
    age = dict(zip(table.columns, table.rows[1], strict=True))
    assert age["median"] == PEOPLE.filter(side == 0)["age"].median()
    titles = [histogram.title for histogram in found.histograms]
    assert titles == ["Target: hired", "age", "sex", "city", "gap"]
    assert found.histograms[0].levels == ["no", "yes"]
    assert sum(found.histograms[0].counts) == found.facts.train_rows


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"split": {"by": "citty"}}, "[split] by: no column citty. Did you mean city?"),
        ({"split": {"by": "hired"}}, "the target cannot decide the split"),
        ({"protected": ["sexx"]}, "[assess] protected: no feature column sexx. Did you mean sex?"),
        ({"checks": [{"use": "constants"}]}, "unknown part constants. Did you mean constant?"),
        (
            {"checks": [{"use": "missing", "warn_abov": 0.1}]},
            "missing has no option warn_abov. Did you mean warn_above?",
        ),
        ({"split": {"share": 0.999999}}, "the split leaves no row to learn from"),
    ],
)
def test_bad_input_is_answered(given, says):
    with pytest.raises(BadInput) as error:
        run(PEOPLE, **given)
    assert says in str(error.value)


def test_a_split_that_leaves_one_class_is_answered():
    frame = PEOPLE.with_columns(hired=pl.when(pl.col("id") < 500).then(pl.lit("no")).otherwise("hired"))
    with pytest.raises(BadInput, match=r"only hired = no to learn from.*another column than since"):
        run(frame, split={"by": "since", "share": 0.25})


def test_options_of_a_check_are_heeded():
    found, _, _ = run(PEOPLE, checks=[{"use": "missing", "warn_above": 0.1}])
    assert next(finding for finding in found.findings if finding.columns == ["gap"]).severity == "warn"


def outputs(change=()):
    """Probabilities of a model of somebody's own, some cells changed."""
    wide = pl.DataFrame({"no": np.full(ROWS, 0.7), "yes": np.full(ROWS, 0.3)})
    for row, name, value in change:
        wide[row, name] = value
    return wide


def with_outputs(tmp_path, wide, frame=PEOPLE, target="hired"):
    """The assessment with these outputs."""
    wide.write_csv(tmp_path / "own.csv")
    return run(frame, target, probabilities=str(tmp_path / "own.csv"))[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ([(9, "yes", 0.9), (4, "yes", 0.33)], r"own\.csv, row 4 \(counted from 0\): the probabilities sum to 1\.03"),
        ([(5, "no", -0.2), (5, "yes", 1.2)], r"own\.csv, row 5 \(counted from 0\): no is -0\.2, which is no prob"),
        ([(6, "no", 0.0), (6, "yes", 1.005)], r"own\.csv, row 6 \(counted from 0\): yes is 1\.005, which is no prob"),
    ],
)
def test_outputs_that_are_no_probabilities_are_answered(tmp_path, change, says):
    with pytest.raises(BadInput, match=says + r".*Give probabilities from 0 to 1"):
        with_outputs(tmp_path, outputs(change))


def test_probabilities_may_be_constant_and_rounded(tmp_path):
    assert with_outputs(tmp_path, outputs([(3, "yes", 0.305)])).facts.train_rows


def test_outputs_that_are_values_need_not_sum_to_one(tmp_path):
    wide = pl.DataFrame({"prediction": PEOPLE["age"] + 0.5})
    assert with_outputs(tmp_path, wide, target="age").facts.train_rows


@pytest.mark.parametrize(
    ("rows", "entries", "says"),
    [
        (ROWS - 9, 1, r"fit\.json: the ledger was written for 591 rows, and the data has 600\."),
        (ROWS, 0, r"fit\.json: the ledger holds no step\."),
    ],
)
def test_a_ledger_of_something_else_is_answered(tmp_path, rows, entries, says):
    entry = ledger.Entry(step="scaler", verb="fit", rows=1, digest="d")
    written = ledger.Ledger(rows=rows, entries=[entry] * entries, sets={"d": ledger.pack(np.array([0]), rows)})
    (tmp_path / "fit.json").write_bytes(msgspec.json.encode(written))
    with pytest.raises(BadInput, match=says):
        run(PEOPLE, ledger=str(tmp_path / "fit.json"))


@pytest.mark.alone
@pytest.mark.slow
def test_a_million_rows_take_seconds():
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{at}": draw.normal(size=1_000_000) for at in range(20)})
    frame = frame.with_columns(y=pl.col("x0") > pl.col("x1"))
    began = time.perf_counter()
    found, _, _ = run(frame, "y")
    assert found.findings == []
    assert time.perf_counter() - began < 20


CARD = 4111111111111111
SECRETS = ("bob@x.org", "+49 151 23456789", "4111 1111 1111 1111", str(CARD), "4.111111111111111e15")


def test_personal_values_are_nowhere_in_the_record():
    city = [f"city {at % 4}" for at in range(ROWS)]
    size = [f"{at % 50}.5" for at in range(ROWS)]
    town = city.copy()
    city[10], city[11], town[12] = SECRETS[:3]
    for at, secret in enumerate(SECRETS[:3]):
        size[20 + at] = secret
    frame = PEOPLE.with_columns(
        city=pl.Series(city),
        town=pl.Series(town),
        size=pl.Series(size),
        amount=pl.Series(np.arange(ROWS) % 90).scatter(4, CARD),
        level=pl.Series(DRAW.normal(size=ROWS)).scatter([3, 4, 5, 6], float(CARD)),
        rare=pl.Series(["usual", *[f"user{at % 3}@x.org" for at in range(4)], *["usual"] * (ROWS - 5)]),
    )
    record = run(frame)[0]
    said = msgspec.json.encode(record).decode()
    assert not [at for at, secret in enumerate((*SECRETS, "@x.org", "4111111111111111")) if secret in said]
    notes = {each.columns[0] for each in record.findings if each.code == "privacy.identifier"}
    assert {"city", "town", "amount", "level"} <= notes
    drawn = {each.title: each for each in record.histograms}
    masked = {level for each in drawn.values() for level in each.levels if level.startswith("(")}
    assert masked <= {"(an e-mail address)", "(a phone number)", "(a card number)"}
    assert masked
    assert sum(drawn["city"].counts) == sum(drawn["town"].counts) == record.facts.train_rows
    columns = {row[0]: row for row in record.tables[0].rows}
    assert columns["amount"][6] == columns["level"][6] == "a card number"
    assert columns["city"][7].startswith("city ")


def test_ordinary_values_are_shown():
    record = run(PEOPLE)[0]
    columns = {row[0]: row for row in record.tables[0].rows}
    assert columns["age"][4:7] == [18, columns["age"][5], 79]
    assert columns["unit"][7] == "kg (100%)"
    (shown,) = (each for each in record.histograms if each.title == "city")
    assert shown.levels == sorted(shown.levels, key=lambda level: -shown.counts[shown.levels.index(level)])
    assert set(shown.levels) == {f"city {at}" for at in range(7)}


def test_leaks_into_a_file_without_labels_block_nothing():
    found = records.Finding(code="leak.duplicate", severity="block", says="Rows repeat.")
    other = records.Finding(code="target_copy", severity="block", says="A copy.")

    def facts(digest, labelled):
        return SimpleNamespace(test_digest=digest, test_labelled=labelled)

    assert unscored(found, facts("ab", True)) is found
    assert unscored(found, facts(None, False)) is found
    assert unscored(other, facts("ab", False)) is other
    eased = unscored(found, facts("ab", False))
    assert eased.severity == "warn"
    assert eased.says.startswith("Rows repeat. The file has no labels")
