"""Monitor: a small release by hand, new data, and the verdict that follows."""

import hashlib
import json

import msgspec
import numpy as np
import polars as pl
import pytest

from forgeline.engine.graph import Graph
from forgeline.engine.sketches import sketch
from forgeline.monitoring.drift import Drift
from forgeline.monitoring.monitor import LEAST_ROWS, NO_PREDICTIONS, Verdict, decide, lines, monitor
from forgeline.serving import reader
from forgeline.serving.reader import BadRows

ROWS = 4_000


def frame(rows, seed, *, shift=0.0, city=(0.5, 0.3, 0.2), noise=1.0):
    """Rows whose label depends on x, and on nothing else."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows) + shift
    return pl.DataFrame(
        {
            "x": pl.Series(np.where(rng.random(rows) < 0.05, np.nan, x)).fill_nan(None),
            "city": rng.choice(["Bonn", "Köln", "Ulm"], rows, p=city),
            "day": pl.Series(rng.integers(0, 10**15, rows)).cast(pl.Datetime("us")),
            "paid": np.where(noise * rng.logistic(size=rows) < 2 * x, "yes", "no"),
        }
    )


def inputs(data):
    kinds = {"x": "number", "city": "category", "day": "date"}
    return {name: (kind, data[name]) for name, kind in kinds.items()}


def probabilities(data):
    """What the model below says: the true probability, in float32."""
    x = data["x"].fill_null(0.0).to_numpy().astype(np.float32)
    p = 1 / (1 + np.exp(-2 * x))
    return np.stack([1 - p, p], axis=1)


def graph(task):
    """1 / (1 + exp(-2x)) of two classes, or 2x; a missing x is 0."""
    made = Graph()
    x = made.input("input_0", "float", 1)
    made.input("input_1", "string", 1)
    made.input("input_2", "int64", 1)
    known = made.add("Where", made.add("IsNaN", x), made.constant([[0.0]]), x)
    twice = made.add("Mul", known, made.constant([[2.0]]))
    if task == "regression":
        made.output(made.cast(twice, "double"), "prediction", "double", 1)
    else:
        p = made.add("Sigmoid", twice)
        both = made.add("Concat", made.add("Sub", made.constant([[1.0]]), p), p, axis=1)
        made.output(both, "probabilities", "float", 2)
    return made.model()


def release(folder, reference, about, task="binary", target="paid", classes=("no", "yes")):
    """A release folder as the line writes it."""
    kinds = {"x": ("number", "float64"), "city": ("category", "text"), "day": ("date", "microseconds")}
    asked = [
        {"name": name, "tensor": f"input_{at}", "kind": kind, "dtype": dtype, "missing": []}
        for at, (name, (kind, dtype)) in enumerate(kinds.items())
    ]
    signature = {
        "schema": "forgeline/signature@1",
        "task": task,
        "target": target,
        "classes": list(classes),
        "positive": classes[-1] if classes else None,
        "threshold": 0.5 if classes else None,
        "inputs": asked,
        "missing": ["", "NA"],
        "missing_category": "\0",
        "missing_date": -(2**63),
        "output": "probabilities" if classes else "prediction",
    }
    texts = {"signature.json": signature, "reference.json": reference, "forgeline.json": about}
    contents = {"model.onnx": graph(task)} | {name: json.dumps(each).encode() for name, each in texts.items()}
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in contents.items()]
    (folder / "SHA256SUMS").write_text("\n".join(sums))
    return folder


@pytest.fixture(scope="module")
def paid(tmp_path_factory):
    train, test = frame(ROWS, 1), frame(1_000, 2)
    truth = (train["paid"] == "yes").to_numpy().astype(int)
    reference = sketch(inputs(train), probabilities(test), classes=["no", "yes"], target=truth)
    score = {"value": 0.47, "low": 0.44, "high": 0.5, "level": 0.95, "n": 1_000}
    about = {"digest": "abc", "metric": "log_loss", "numbers": {"test.log_loss": score}}
    return release(tmp_path_factory.mktemp("paid") / "release", reference, about)


def verdict(paid, tmp_path, data, **options):
    file = tmp_path / "new.parquet"
    data.write_parquet(file)
    return monitor(paid, file, **options)


def alarms(result):
    return {(test.what, test.column) for test in result.tests if test.alarm}


def test_unchanged_rows_keep_the_release(paid, tmp_path):
    result = verdict(paid, tmp_path, frame(2_000, 3))
    assert (result.verdict, result.rows, result.labelled, result.release) == ("keep", 2_000, 2_000, "abc")
    assert {test.what for test in result.tests} == {"input", "prediction", "target", "performance"}
    assert result.numbers["test.log_loss"].value == 0.47
    assert result.numbers["new.log_loss"].low < 0.47 < result.numbers["new.log_loss"].high


def test_one_drifting_input_is_watched(paid, tmp_path):
    result = verdict(paid, tmp_path, frame(2_000, 4, city=(0.2, 0.3, 0.5)))
    assert (result.verdict, alarms(result)) == ("watch", {("input", "city")})
    assert result.why == "1 of 6 tests raise an alarm: city"
    assert result.tests[0].says == "'Ulm': 19.8% → 48.9% of rows"


def test_drifting_predictions_ask_for_a_new_model(paid, tmp_path):
    result = verdict(paid, tmp_path, frame(2_000, 5, shift=0.8).drop("paid"))
    assert result.verdict == "retrain"
    assert result.why.startswith("probability_yes drifts: ")
    assert alarms(result) == {("input", "x"), ("prediction", "probability_yes")}
    assert result.numbers["new.log_loss"].why == "no row has a known target"


def test_a_worse_score_asks_for_a_new_model(paid, tmp_path):
    result = verdict(paid, tmp_path, frame(2_000, 6, noise=4.0))
    assert result.verdict == "retrain"
    assert result.why.startswith("log_loss is measurably worse, 0.47 [0.44, 0.5] → ")
    assert alarms(result) == {("performance", "log_loss")}


def test_more_than_half_of_the_inputs_ask_for_a_new_model(paid, tmp_path):
    data = (
        frame(2_000, 7, city=(0.2, 0.3, 0.5)).drop("paid").with_columns(pl.lit(0).cast(pl.Datetime("us")).alias("day"))
    )
    result = verdict(paid, tmp_path, data)
    assert (result.verdict, result.why) == ("retrain", "2 of 3 inputs drift by 10% of the rows or more")


def test_too_few_rows_are_not_judged(paid, tmp_path):
    result = verdict(paid, tmp_path, frame(LEAST_ROWS - 1, 8, shift=3.0))
    assert (result.verdict, result.tests) == ("watch", [])
    assert result.why == "too few rows to judge: 29 of 30"
    assert verdict(paid, tmp_path, frame(1, 8).clear()).rows == 0


def test_the_false_alarm_rate_can_be_chosen(paid, tmp_path):
    data = frame(2_000, 3)
    assert verdict(paid, tmp_path, data, false_alarm=0.999).verdict != "keep"


def test_blocks_of_rows_add_up(paid, tmp_path, monkeypatch):
    data = frame(500, 9)
    whole = verdict(paid, tmp_path, data)
    monkeypatch.setattr(reader, "BLOCK", 64)
    assert verdict(paid, tmp_path, data) == whole


def test_text_files_say_the_same_as_typed_ones(paid, tmp_path):
    data = frame(300, 10)
    data.write_csv(tmp_path / "new.csv", null_value="NA")
    assert monitor(paid, tmp_path / "new.csv") == verdict(paid, tmp_path, data)


def test_labels_that_training_never_saw_are_counted_apart(paid, tmp_path):
    data = frame(400, 11).with_columns(pl.Series("paid", ["maybe"] * 100 + [None] * 100 + ["yes"] * 100 + ["no"] * 100))
    result = verdict(paid, tmp_path, data)
    assert result.labelled == 200
    assert ("target", "paid") in alarms(result)
    assert next(test.says for test in result.tests if test.what == "target") == "other levels: 0.0% → 33.3% of rows"


def test_values_are_monitored_as_well(tmp_path):
    data, new = frame(ROWS, 12), frame(1_000, 13)
    value = 2 * data["x"].fill_null(0.0).to_numpy()
    reference = sketch(inputs(data), value, target=value)
    about = {"digest": None, "metric": "rmse", "numbers": {"cv.rmse": {"value": 0.5, "low": 0.4, "high": 0.6}}}
    folder = release(tmp_path / "release", reference, about, "regression", "cost", ())
    costs = new.drop("paid").with_columns(cost=2 * new["x"].fill_null(0.0) + 5)
    result = verdict(folder, tmp_path, costs)
    assert alarms(result) == {("target", "cost"), ("performance", "rmse")}
    assert result.numbers["new.rmse"].value == pytest.approx(5, abs=1e-6)
    assert verdict(folder, tmp_path, costs.drop("cost")).verdict == "keep"


def test_data_and_releases_that_cannot_be_used(paid, tmp_path):
    with pytest.raises(BadRows, match="column city is missing"):
        verdict(paid, tmp_path, frame(100, 14).drop("city"))
    with pytest.raises(BadRows, match="this is no release"):
        verdict(tmp_path, tmp_path, frame(100, 14))
    with pytest.raises(BadRows, match="cannot be read"):
        monitor(paid, tmp_path / "absent.csv")


def test_a_release_without_predictions_says_so_and_a_changed_reference_is_noticed(tmp_path):
    train = frame(200, 15)
    folder = release(tmp_path / "release", sketch(inputs(train)), {"metric": "log_loss", "numbers": {}})
    result = verdict(folder, tmp_path, train.drop("paid"))
    assert (result.verdict, result.notes) == ("keep", [NO_PREDICTIONS])
    (folder / "reference.json").write_text("{}")
    with pytest.raises(BadRows, match=r"reference\.json does not match"):
        verdict(folder, tmp_path, train)


def test_the_verdict_is_text_and_json(paid, tmp_path):
    result = verdict(paid, tmp_path, frame(2_000, 4, city=(0.2, 0.3, 0.5)).drop("paid"))
    text = lines(result)
    assert text[:3] == [
        "watch: 1 of 4 tests raise an alarm: city",
        "2,000 rows, 0 with a known target",
        "new.log_loss: not known, no row has a known target",
    ]
    heads, first = text[4], text[5]
    assert first.startswith("ALARM  city")
    assert heads.index("what") == first.index("input")
    assert "at most 0.05 of cases" in text[-1]
    assert msgspec.json.decode(msgspec.json.encode(result), type=Verdict) == result


def test_long_tables_are_cut():
    tests = [Drift(column=f"c{at}", what="input", p=1.0, size=0.0, says="") for at in range(30)]
    result = Verdict(verdict="keep", why="", release=None, rows=99, labelled=0, false_alarm=0.05, tests=tests)
    assert "and 10 more tests, less sure than these" in lines(result)


def test_small_shifts_of_many_inputs_are_watched_only():
    tests = [Drift(column=f"c{at}", what="input", p=0.0, size=0.01, alarm=True, says="") for at in range(8)]
    assert decide(tests) == ("watch", "8 of 8 tests raise an alarm: c0, c1, c2, c3, c4 …")
