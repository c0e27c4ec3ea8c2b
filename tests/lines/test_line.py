"""Whole small lines: what goes in, what comes out, and what always holds between."""

import csv
import io
import json
import shutil
import subprocess
import sys

import msgspec
import numpy as np
import polars as pl
import pytest

import forgeline as fl
from forgeline import catalog, fitting, kinds, records, runner, session
from forgeline.engine import arrays, encode
from forgeline.engine.seeds import Seed
from forgeline.engine.store import Artefacts, Store, WorkLog
from forgeline.errors import BadInput, BudgetSpent
from forgeline.runner import GateBlocks

TARGETS = ("hired", "grade", "pay")
STAGES = list(records.STAGES)


def done(run):
    return {record.stage: record for record in run.records}


def array(run, ref):
    return np.load(io.BytesIO(Artefacts(run.folder / "artefacts").get(ref.digest)))


def frame_of(run):
    """The snapshot's rows."""
    digest = done(run)["snapshot"].facts.digest
    return pl.read_parquet(run.folder.parent.parent / "snapshots" / digest / "data.parquet")


def test_rows(run):
    return np.flatnonzero(array(run, done(run)["assess"].facts.split) == 1)


test_rows.__test__ = False


def answers(run, frame):
    """[N, K] of the release."""
    found = run.release.predict(frame)
    columns = [name for name in found.columns if name.startswith("probability_")] or ["prediction"]
    return found.select(columns).to_numpy()


# ---------------------------------------------------------------- what every line gives


@pytest.mark.parametrize("target", TARGETS)
def test_a_line_ends_in_a_release_with_all_its_records(runs, target):
    run = runs[target]
    assert run.verdict == "passed"
    assert [record.stage for record in run.records] == STAGES
    assert run.report.exists()
    assert {file.name for file in run.release.folder.iterdir()} == {
        *("model.onnx", "signature.json", "reference.json", "forgeline.json", "README.md", "predict.py"),
        "SHA256SUMS",
    }
    for record in run.records:
        assert record.schema == records.schema(record.stage)
        assert record.run == run.name
        assert record.meter.seconds >= 0
        assert records.decode(records.encode(record)) == record
        for name, number in record.numbers.items():
            assert (number.value is None) == bool(number.why), name


@pytest.mark.parametrize(("target", "task"), list(zip(TARGETS, ("binary", "multiclass", "regression"))))
def test_the_model_has_learned(runs, target, task):
    run = runs[target]
    assert done(run)["snapshot"].facts.task == task
    metric = done(run)["plan"].facts.metric
    assert metric == ("rmse" if task == "regression" else "log_loss")
    numbers = run.numbers
    assert numbers[f"cv.{metric}"].value < 0.85 * numbers[f"cv.baseline.majority.{metric}"].value
    assert numbers[f"test.{metric}"].value < numbers[f"test.baseline.majority.{metric}"].value
    assert numbers[f"test.{metric}"].low <= numbers[f"test.{metric}"].value <= numbers[f"test.{metric}"].high
    assert numbers["test.reads"].value == 1


@pytest.mark.parametrize("target", TARGETS)
def test_the_reader_answers_as_evaluated(runs, target):
    run = runs[target]
    rows_N = test_rows(run)
    evaluated = array(run, done(run)["evaluate"].facts.predictions)
    assert len(rows_N) == len(evaluated) == done(run)["evaluate"].facts.test_rows > 20
    assert np.array_equal(answers(run, frame_of(run)[rows_N]), evaluated)


@pytest.mark.parametrize("target", TARGETS)
def test_the_graph_equals_the_mean_of_native_models(runs, target):
    """Every member is trained again here, without ONNX, and asked about the whole test set."""
    run = runs[target]
    facts, compression = done(run)["refine"].facts, done(run)["compress"].facts
    task, outputs = done(run)["snapshot"].facts.task, len(facts.classes) or 1
    store = Artefacts(run.folder / "artefacts")
    files = {ref.name: store.folder / ref.digest for ref in facts.table}
    table, fold_N, y_N = arrays.load(files), array(run, facts.folds), np.load(files["target.npy"])
    weight_N = np.load(files["weight.npy"]) if "weight.npy" in files else None
    rows_N = test_rows(run)
    test = arrays.from_frame(frame_of(run)[rows_N], [(each.name, each.kind) for each in facts.inputs])
    competed = [*done(run)["plan"].facts.candidates, *done(run)["train"].facts.searched]
    settings = {each.name: each.setting for each in competed}
    total = np.zeros((len(rows_N), outputs))
    for member in compression.kept:
        for unit in member.shipped:
            recipe = encode.decode(store.get(facts.recipes[min(unit.fold, facts.fold_count)].digest))
            here_N = np.flatnonzero(fold_N != unit.fold)
            y, present, center, scale = fitting.standardised(y_N[here_N], task)
            target_NY = encode.target_columns(y_N[here_N], outputs) if recipe.means else None
            x_NF = encode.transform(recipe, table, here_N, target_NY)
            shape = kinds.Shape(len(here_N), x_NF.shape[1], task, len(present) or 1)
            seed = Seed(0).child("train", member.candidate, unit.fold)
            model = catalog.load("families", member.family).build(shape, settings[member.candidate], seed)
            weights = None if weight_N is None else weight_N[here_N]
            fitted = model.fit(kinds.TrainRows(x_NF, y, weights, shape, steps=unit.steps))
            scores = fitted.predict(encode.transform(recipe, test, np.arange(len(rows_N)))) * scale + center
            total += member.weight / len(member.shipped) * scores
    from forgeline.models import calibrated

    expected = calibrated(total, compression.calibration)
    allowed = 1e-5 * (y_N.std() if task == "regression" else 1.0)
    assert np.abs(answers(run, frame_of(run)[rows_N]) - expected).max() <= allowed


@pytest.mark.parametrize("target", TARGETS)
def test_answers_do_not_depend_on_the_batch(runs, target):
    run = runs[target]
    frame = frame_of(run)
    whole = answers(run, frame)
    for size in (1, 2, 31):
        parts = [answers(run, frame[start : start + size]) for start in range(0, 62, size)]
        assert np.array_equal(np.concatenate(parts), whole[: len(np.concatenate(parts))])


def test_a_release_stands_alone(runs, tmp_path):
    """predict.py in a process that cannot import forgeline gives what `release.predict` gives."""
    run = runs["hired"]
    folder = shutil.copytree(run.release.folder, tmp_path / "release")
    frame = frame_of(run)[test_rows(run)]
    frame.write_csv(tmp_path / "rows.csv")
    command = [sys.executable, "-I", str(folder / "predict.py"), "rows.csv", "-o", "out.csv"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60, capture_output=True)
    with (tmp_path / "out.csv").open() as file:
        alone = [float(row["probability_yes"]) for row in csv.DictReader(file)]
    assert np.array_equal(np.array(alone), run.release.predict(frame)["probability_yes"].to_numpy())


# ---------------------------------------------------------------- the test set is sealed


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_fitted_on_a_sealed_row(runs, target):
    facts = done(runs[target])["refine"].facts
    files = {ref.name: ref for ref in facts.table}
    trained = array(runs[target], files["ids.npy"])
    sealed = test_rows(runs[target])
    assert not set(trained.tolist()) & set(sealed.tolist())
    assert len(trained) + len(sealed) == 300
    fitted = [step for step in facts.steps if step.rows != "none"]
    assert len(fitted) >= 2 * (facts.fold_count + 1)
    assert max(step.row_count for step in fitted) == len(trained)


@pytest.mark.slow
def test_other_labels_in_the_test_set_change_no_model(line, table):
    """Whatever the sealed labels say, train, compress and the model stay the same."""
    frame = table("hired")
    first = line(frame, "hired")
    sealed = test_rows(first)
    flipped = frame["hired"].to_numpy().copy()
    flipped[sealed] = np.where(flipped[sealed] == "yes", "no", "yes")
    second = line(frame.with_columns(pl.Series("hired", flipped)), "hired")
    assert np.array_equal(test_rows(second), sealed)
    one, two = (run.release.folder / "model.onnx" for run in (first, second))
    assert one.read_bytes() == two.read_bytes()
    assert first.numbers["test.log_loss"].value < second.numbers["test.log_loss"].value


@pytest.mark.slow
def test_the_seed_moves_models_but_never_the_split(line, table):
    forest = {"families": [{"use": "extra_trees", "trees": 5}]}
    one, two = (line(table("pay"), "pay", seed=seed, train=forest) for seed in (0, 5))
    assert np.array_equal(test_rows(one), test_rows(two))
    assert one.digest != two.digest


# ---------------------------------------------------------------- kinds of splits


def test_groups_stay_together_in_the_split_and_in_the_folds(line, table):
    run = line(table("hired"), "hired", split={"by": "household"})
    frame, rows_N = frame_of(run), test_rows(run)
    facts = done(run)["refine"].facts
    ids = array(run, {ref.name: ref for ref in facts.table}["ids.npy"])
    assert not set(frame["household"][rows_N]) & set(frame["household"][ids])
    folds = pl.DataFrame({"household": frame["household"][ids], "fold": array(run, facts.folds)})
    assert folds.group_by("household").agg(pl.col("fold").n_unique())["fold"].max() == 1


@pytest.mark.slow
def test_time_splits_take_the_last_rows_and_folds_are_blocks(line, table):
    run = line(table("hired"), "hired", split={"by": "since"})
    frame, rows_N = frame_of(run), test_rows(run)
    facts = done(run)["refine"].facts
    ids = array(run, {ref.name: ref for ref in facts.table}["ids.npy"])
    assert frame["since"][rows_N].min() >= frame["since"][ids].max()
    folds = pl.DataFrame({"since": frame["since"][ids], "fold": array(run, facts.folds)}).sort("since")["fold"]
    assert (folds != folds.shift()).sum() == facts.fold_count - 1


@pytest.fixture
def files(tmp_path, table):
    """A training file and a test file, labelled or not."""
    frame = table("hired").drop("since")
    frame[:220].write_csv(tmp_path / "train.csv")
    frame[220:].write_csv(tmp_path / "labelled.csv")
    frame[220:].drop("hired").write_csv(tmp_path / "unlabelled.csv")
    return tmp_path


def from_files(files, test, **sections):
    return fl.run(
        files / "train.csv",
        target="hired",
        test=files / test,
        work=2,
        store=files / "store",
        train={"families": [{"use": "linear", "penalty": 3.0}]},
        **sections,
    )


def test_a_labelled_test_file_is_the_sealed_test(files, table):
    run = from_files(files, "labelled.csv")
    assert done(run)["assess"].facts.train_rows == 220
    assert done(run)["evaluate"].facts.test_rows == 80
    rows = table("hired")[220:]
    found = run.release.predict(rows.drop("hired"))["prediction"]
    assert run.numbers["test.accuracy"].value == pytest.approx((rows["hired"] == found).mean())


def test_an_unlabelled_test_file_leaves_test_numbers_null_with_the_reason(files):
    run = from_files(files, "unlabelled.csv")
    assert (run.verdict, done(run)["evaluate"].facts.test_digest) == ("passed", None)
    assert run.numbers["test.roc_auc"] == records.Number(value=None, why="the test file has no labels")
    assert run.numbers["cv.roc_auc"].value > 0.7
    assert "test.reads" not in run.numbers
    with pytest.raises(GateBlocks, match=r"test\.roc_auc"):
        from_files(files, "unlabelled.csv", gates={"test.roc_auc": ">= 0.5"})


# ---------------------------------------------------------------- odd tables


@pytest.mark.slow
def test_a_class_of_one_row(line, table):
    frame = table("grade").with_columns(pl.when(pl.int_range(pl.len()) == 7).then(9).otherwise("grade").alias("grade"))
    run = line(frame, "grade")
    assert run.verdict == "passed"
    found = run.release.predict(frame)
    assert {"probability_0", "probability_1", "probability_2", "probability_9"} < set(found.columns)
    assert found.select(pl.sum_horizontal(pl.col("^probability_.*$"))).to_numpy() == pytest.approx(1.0, abs=1e-5)


def test_two_classes_of_which_a_fold_lacks_one(line, table, tmp_path):
    """Without the fold that holds the only row of its class, a model is certain."""
    frame = table("hired", 120)
    frame.with_columns(pl.when(pl.col("hired") == "yes").then(1).otherwise(0).alias("hired")).write_csv(
        tmp_path / "test.csv"
    )
    frame = frame.with_columns(pl.when(pl.int_range(pl.len()) == 7).then(1).otherwise(0).alias("hired"))
    run = line(frame, "hired", split={"file": str(tmp_path / "test.csv")}, gates={"findings.blocking": ">= 0"})
    assert run.verdict == "passed"
    training = done(run)["train"]
    assert "train.lost" not in [finding.code for finding in training.findings]
    assert {len(member.units) for member in training.facts.tried} == {done(run)["refine"].facts.fold_count}
    assert set(run.release.predict(frame)["prediction"]) <= {0, 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (("no", "yes"), pl.String),
        ((0, 1), pl.Int64),
        ((-1, 7), pl.Int64),
        ((False, True), pl.Boolean),
    ],
)
def test_labels_keep_their_type(line, table, labels, dtype):
    frame = table("hired", 160)
    frame = frame.with_columns(pl.Series("hired", [labels[each == "yes"] for each in frame["hired"]]))
    run = line(frame, "hired", work=1, families=1)
    found = run.release.predict(frame)
    assert found["prediction"].dtype == dtype
    assert set(found["prediction"]) == set(labels)
    assert (found["prediction"] == frame["hired"]).mean() > 0.7


@pytest.mark.slow
def test_the_positive_label_can_be_chosen(line, table):
    frame = table("hired", 160)
    for positive in ("no", "yes"):
        run = line(frame, "hired", work=1, families=1, snapshot={"positive": positive})
        assert done(run)["refine"].facts.classes[1] == positive
        signature = json.loads((run.release.folder / "signature.json").read_text())
        assert signature["positive"] == positive


@pytest.mark.slow
def test_the_threshold_decides_the_answer(line, table):
    frame = table("hired", 160)
    run = line(frame, "hired", work=1, families=1, evaluate={"threshold": 0.9})
    found = run.release.predict(frame)
    positive = done(run)["snapshot"].facts.positive
    sure = found[f"probability_{positive}"] >= 0.9
    assert ((found["prediction"] == positive) == sure).all()


@pytest.mark.slow
def test_frames_of_three_kinds_give_one_release(line, table):
    """polars, pandas and Arrow."""
    frame = table("hired", 160)
    given = [frame, frame.to_pandas(), frame.to_arrow()]
    runs = [line(each, "hired", work=1, families=1) for each in given]
    assert len({done(run)["snapshot"].facts.digest for run in runs}) == 1
    assert len({run.digest for run in runs}) == 1
    found = [runs[0].release.predict(each) for each in given]
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


def test_dropped_kept_and_weight_columns_are_no_inputs(line, table):
    run = line(
        table("hired", 160),
        "hired",
        work=1,
        families=1,
        snapshot={"drop": ["income"], "keep": ["household"], "weight": "weight"},
    )
    names = {each.name for each in done(run)["refine"].facts.inputs}
    assert not names & {"income", "household", "weight", "hired"}
    assert {"age", "city"} <= names
    assert done(run)["refine"].facts.dropped["household"] == "kept beside the rows"


@pytest.mark.slow
def test_weights_move_the_model(line, table, runs):
    assert "weight.npy" in {ref.name for ref in done(runs["grade"])["refine"].facts.table}
    plain = line(table("grade"), "grade", snapshot={"drop": ["weight"]})
    assert plain.numbers["cv.log_loss"].value != runs["grade"].numbers["cv.log_loss"].value


@pytest.mark.slow
def test_protected_columns_can_be_kept_from_the_model(line, table, runs):
    run = line(
        table("hired"),
        "hired",
        families=1,
        assess={"protected": ["city"]},
        refine={"use_protected": False},
    )
    assert "city" not in {each.name for each in done(run)["refine"].facts.inputs}
    assert "city" in {each.name for each in done(runs["hired"])["refine"].facts.inputs}
    assert "protected" in done(run)["refine"].facts.dropped["city"]
    assert "fairness.city.demographic_parity_ratio" in run.numbers


# ---------------------------------------------------------------- fixes


@pytest.fixture(scope="module")
def leaky(table):
    frame = table("pay", 200)
    return frame.with_columns((pl.col("pay") * 2 + 1).alias("twice"))


def test_a_leak_blocks_until_its_fix_is_named(line, leaky, tmp_path):
    with pytest.raises(GateBlocks) as caught:
        line(leaky, "pay", store=tmp_path)
    assert caught.value.exit_code == 3
    assert [finding.code for finding in caught.value.findings] == ["leak.target_copy"]
    blocked = session.Run(Store(tmp_path).find("latest"))
    assert (blocked.verdict, len(blocked.records), blocked.release) == ("blocked", 2, None)
    assert blocked.report.exists()
    run = line(leaky, "pay", store=tmp_path, refine={"apply": ["leak.target_copy"]})
    assert run.verdict == "passed"
    assert "twice" in done(run)["refine"].facts.dropped


@pytest.mark.slow
def test_a_leak_that_someone_signed_for_passes_and_is_in_the_card(line, leaky):
    accept = {"code": "leak.target_copy", "columns": ["twice"], "by": "Ada", "reason": "known before"}
    run = line(leaky, "pay", families=1, assess={"accept": [accept]})
    assert run.verdict == "passed"
    assert "twice" in {each.name for each in done(run)["refine"].facts.inputs}
    assert "known before (signed Ada)" in (run.release.folder / "README.md").read_text()


@pytest.mark.slow
def test_duplicate_rows_go_when_named(line, table):
    frame = table("hired", 200)
    frame = pl.concat([frame, frame[:40]])
    plain = line(frame, "hired", families=1)
    fewer = line(frame, "hired", families=1, refine={"apply": ["quality.duplicate"]})
    before, after = (done(run)["refine"].facts for run in (plain, fewer))
    gone = before.rows - after.rows
    assert 20 <= gone <= 40
    assert after.steps[0].verb == "drop_rows"
    assert done(fewer)["assess"].facts.test_rows == done(plain)["assess"].facts.test_rows


@pytest.mark.slow
def test_apply_none_applies_nothing_and_safe_fixes_are_applied(line, table):
    frame = table("hired", 200).with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(float("inf")).otherwise("income").alias("income")
    )
    safe = line(frame, "hired", families=1)
    none = line(frame, "hired", families=1, refine={"apply": "none"})
    verbs = [[step.verb for step in done(run)["refine"].facts.steps] for run in (safe, none)]
    assert "missing" in verbs[0]
    assert set(verbs[1]) == {"impute and encode", "filter by mutual information"}


@pytest.mark.slow
def test_a_code_that_was_not_found_is_said(line, table):
    run = line(table("hired", 160), "hired", work=1, refine={"apply": ["leak.taget_copy"]})
    found = done(run)["refine"].findings
    assert [finding.code for finding in found] == ["spec.apply_unused"]


# ---------------------------------------------------------------- families and budgets


@pytest.mark.slow
def test_families_can_be_named(line, table):
    run = line(table("hired", 160), "hired", train={"families": ["linear"]})
    assert {each.family for each in done(run)["plan"].facts.candidates} == {"linear"}
    with pytest.raises(BadInput, match=r"unknown part lightbgm.*Did you mean lightgbm\?"):
        line(table("hired", 160), "hired", train={"families": ["lightbgm"]})
    with pytest.raises(BadInput, match=r"lightgbm has no option tree.*Did you mean trees\?"):
        line(table("hired", 160), "hired", train={"families": [{"use": "lightgbm", "tree": 3}]})


@pytest.mark.slow
def test_a_percentile_can_be_asked_for(line, table):
    high, low = (
        line(table("pay", 600), "pay", work=6, train={"families": "auto"}, plan={"metric": f"pinball@{at}"})
        for at in (85, 15)
    )
    y_N = frame_of(high)["pay"].to_numpy()
    above, below = (answers(run, frame_of(run))[:, 0] for run in (high, low))
    assert 0.75 < (y_N <= above).mean() < 0.95
    assert 0.05 < (y_N <= below).mean() < 0.25
    families = {each.family for each in done(high)["plan"].facts.candidates}
    assert {"linear", "lightgbm", "network"} <= families <= {"linear", "lightgbm", "catboost", "network"}
    numbers = done(high)["evaluate"].numbers
    assert numbers["cv.pinball@85"].value < numbers["cv.baseline.majority.pinball@85"].value
    assert "cv.pinball" not in numbers
    with pytest.raises(BadInput, match="there is no 100th percentile"):
        line(table("pay", 600), "pay", plan={"metric": "pinball@100"})


def test_too_little_work_ends_before_any_model(line, table, tmp_path):
    with pytest.raises(BudgetSpent, match=r"Give more than --work 1e-06") as caught:
        line(table("hired", 160), "hired", work=1e-6, store=tmp_path)
    assert caught.value.exit_code == 4


def test_too_little_memory_ends_with_what_to_do(line, table):
    with pytest.raises(BudgetSpent, match=r"needs 0.* GB of 0.* GB.*Give a larger \[budget\] memory"):
        line(table("hired", 160), "hired", budget={"memory": "256MB"}, train={"families": ["catboost"]})


@pytest.mark.slow
def test_where_memory_is_short_there_are_fewer_workers(line, table):
    assert done(line(table("hired", 160), "hired", budget={"memory": "256MB", "workers": 8}))["release"]


# ---------------------------------------------------------------- gates


@pytest.mark.slow
def test_gates_on_numbers(line, table, tmp_path):
    frame = table("hired", 160)
    given = {"work": 1, "families": 1, "store": tmp_path}
    run = line(frame, "hired", gates={"test.roc_auc": "low >= 0.1", "cv.accuracy": "<= 1"}, **given)
    assert [(gate.gate, gate.holds) for gate in run.gates] == [
        ("findings.blocking == 0", True),
        ("test.roc_auc low >= 0.1", True),
        ("cv.accuracy <= 1", True),
    ]
    with pytest.raises(GateBlocks, match=r"test\.roc_auc high < 0\.1"):
        line(frame, "hired", gates={"test.roc_auc": "high < 0.1"}, **given)
    with pytest.raises(GateBlocks) as caught:
        line(frame, "hired", gates={"test.roc_au": ">= 0.1"}, **given)
    assert "Did you mean test.roc_auc?" in caught.value.gates[0].why
    blocked = session.Run(Store(tmp_path).find("latest"))
    assert (blocked.verdict, blocked.release) == ("blocked", None)
    with pytest.raises(GateBlocks, match=r"cost\.total <= 5 \(it is unknown\)"):
        line(frame, "hired", gates={"cost.total": "<= 5"}, **given)


@pytest.mark.slow
def test_a_price_makes_the_cost_known(line, table):
    run = line(
        table("hired", 160),
        "hired",
        work=1,
        families=1,
        budget={"price_per_hour": 3600.0},
        gates={"cost.total": "<= 100"},
    )
    assert run.numbers["cost.total"].value == pytest.approx(run.numbers["time.total"].value)


# ---------------------------------------------------------------- decided and measured


def digests(run):
    return {record.stage: record.digest for record in run.records}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_more_workers_change_no_digest(line, table, runs, workers):
    frame = table("hired")
    again = line(frame, "hired", assess={"protected": ["sex"]}, budget={"workers": workers})
    assert again.digest == runs["hired"].digest
    assert digests(again) == digests(runs["hired"])


@pytest.mark.slow
def test_verify_makes_everything_again(runs):
    run = runs["hired"]
    store = Store(run.folder.parent.parent)
    before = sorted(str(path) for path in run.folder.rglob("*"))
    result = session.verify(run.folder, store=store, quiet=True)
    assert result["stages"] == dict.fromkeys(STAGES, True)
    assert result["equal"]
    assert result["release"]["made_again"] == run.digest
    assert sorted(str(path) for path in run.folder.rglob("*")) == before
    assert list((store.root / "verify").iterdir()) == []


# ---------------------------------------------------------------- what is finished is not redone


SAME = {"work": 1, "families": 2}


@pytest.fixture(scope="module")
def original(line, table):
    """A finished run in a store of its own."""
    return line(table("hired", 160), "hired", **SAME)


@pytest.fixture
def mine(original, tmp_path):
    """A copy of it, store and all, that a test may spoil; its index is built when it is asked."""
    shutil.copytree(original.folder.parent.parent, tmp_path / "store")
    (tmp_path / "store" / "index.sqlite").unlink()
    return session.Run(tmp_path / "store" / "runs" / original.name)


def resume(run):
    return session.resume(run.folder, store=Store(run.folder.parent.parent), started=session.now(), quiet=True)


def files_and_times(run):
    return {
        path: path.stat().st_mtime_ns
        for path in run.folder.rglob("*")
        if path.is_file() and path.name not in ("report.html", ".lock")
    }


def test_a_finished_run_is_not_touched(mine):
    before = files_and_times(mine)
    assert resume(mine).digest == mine.digest
    assert files_and_times(mine) == before


@pytest.mark.slow
def test_another_run_takes_over_what_one_has_finished(line, table, mine):
    store, digest = mine.folder.parent.parent, mine.digest
    again = line(table("hired", 160), "hired", store=store, **SAME)
    assert again.name != mine.name
    assert digests(again) == digests(mine)
    assert done(again)["train"].meter == done(mine)["train"].meter
    assert done(again)["train"].run == again.name
    logs = [[each["unit"] for each in runner.read_log(run.folder) if each["do"] == "unit"] for run in (mine, again)]
    assert logs[0] == logs[1]
    shutil.rmtree(mine.folder)
    assert resume(again).digest == digest
    assert session.verify(again.folder, store=Store(store), quiet=True)["equal"]
    assert again.numbers["test.reads"].value == 1


def test_only_what_depends_on_a_change_is_made_again(line, table, mine):
    store = mine.folder.parent.parent
    again = line(table("hired", 160), "hired", store=store, evaluate={"threshold": 0.4}, **SAME)
    same = {stage for stage, record in done(again).items() if record.meter == done(mine)[stage].meter}
    assert same == {"snapshot", "assess", "refine", "plan", "train"}
    assert again.numbers["test.reads"].value == 2
    Store(store).remove(mine.folder)
    third = line(table("hired", 160), "hired", store=store, evaluate={"threshold": 0.3}, **SAME)
    assert third.numbers["test.reads"].value == 3


@pytest.mark.parametrize("stage", ["refine", "train", "evaluate", "release"])
def test_a_lost_record_is_made_again_and_equal(mine, stage):
    before = digests(mine)
    for each in STAGES[STAGES.index(stage) :]:
        (mine.folder / records.file_name(each)).unlink()
    log = (mine.folder / "work.log").read_bytes()
    again = resume(mine)
    assert digests(again) == before
    if stage == "train":  # its units were in the log, so none was fitted again
        assert (mine.folder / "work.log").read_bytes() == log


@pytest.mark.slow
def test_a_torn_log_costs_one_unit_only(mine, original):
    path = mine.folder / "work.log"
    for each in STAGES[STAGES.index("train") :]:
        (mine.folder / records.file_name(each)).unlink()
    lines = path.read_bytes().splitlines(keepends=True)
    places = [place for place, text in enumerate(lines) if b'"do": "unit"' in text]
    path.write_bytes(b"".join(lines[: places[2]]) + lines[places[2]][:40])
    assert resume(mine).digest == original.digest
    assert len([line for line in WorkLog(path).lines if line["do"] == "unit"]) == len(places)


def test_a_lost_artefact_is_made_again(mine):
    before = digests(mine)
    model = done(mine)["compress"].facts.model
    (mine.folder / "artefacts" / model.digest).unlink()
    assert digests(resume(mine)) == before


@pytest.mark.slow
def test_a_lost_snapshot_of_a_file_is_made_again(files):
    first = from_files(files, "labelled.csv")
    shutil.rmtree(files / "store" / "snapshots")
    again = from_files(files, "labelled.csv")
    assert (again.verdict, again.digest) == ("passed", first.digest)


# ---------------------------------------------------------------- ends


def test_until_ends_after_a_stage(table, tmp_path):
    run = fl.run(table("hired", 160), target="hired", until="plan", store=tmp_path)
    assert [record.stage for record in run.records] == STAGES[:4]
    assert (run.verdict, run.release, run.digest) == ("passed", None, None)


def test_an_unknown_stage_is_refused_before_anything(tmp_path, table):
    with pytest.raises(BadInput, match=r"no stage trian.*Did you mean train\?"):
        fl.run(table("hired"), target="hired", until="trian", store=tmp_path)
    assert not list((tmp_path / "runs").glob("*"))


def test_bad_input_leaves_no_run_folder(line, table, tmp_path):
    with pytest.raises(BadInput, match="Did you mean hired"):
        line(table("hired"), "hird", store=tmp_path)
    assert list((tmp_path / "runs").iterdir()) == []


def test_assess_answers_even_when_it_blocks(leaky, tmp_path):
    found = fl.assess(leaky, target="pay", store=tmp_path)
    assert isinstance(found, records.Assessment)
    assert found.findings[0].code == "leak.target_copy"


@pytest.mark.slow
def test_a_finished_run_can_be_mirrored(tmp_path, table):
    run = fl.run(
        table("hired", 160),
        target="hired",
        work=1,
        store=tmp_path / "here",
        mirror=str(tmp_path / "there"),
        train={"families": ["linear"]},
    )
    copied = session.Run(tmp_path / "there" / "runs" / run.name)
    assert copied.digest == run.digest
    assert msgspec.to_builtins(copied.numbers) == msgspec.to_builtins(run.numbers)
    assert (copied.folder / "release" / "model.onnx").exists()
