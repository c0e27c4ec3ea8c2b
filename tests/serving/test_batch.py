"""Batch prediction: the same answers as the reader, from files of every kind into CSV and Parquet."""

import datetime
import gzip
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from forgeline.engine.tables import from_object
from forgeline.serving.batch import predict, predict_frame
from forgeline.serving.reader import BadRows

SIZES = [1, 2, 3, 31, 64, 1000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_forgeline_predict_and_predict_py_write_the_same_bytes(releases, rows, write_rows, tmp_path, task, size):
    data = write_rows(tmp_path / "rows.csv", rows[:size])
    told = predict(releases[task], data, tmp_path / "ours.csv", ["id"])
    assert told["rows"] == size
    if size in (1, 1000):  # a process each
        command = [
            sys.executable,
            "-I",
            releases[task] / "predict.py",
            data,
            "-o",
            tmp_path / "its.csv",
            "--keep",
            "id",
        ]
        subprocess.run(command, check=True, capture_output=True)
        assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "its.csv").read_bytes()
    predict(releases[task], data, tmp_path / "ours.parquet", ["id"])
    typed, texts = pl.read_parquet(tmp_path / "ours.parquet"), pl.read_csv(tmp_path / "ours.csv")
    assert typed.columns == texts.columns
    for name in typed.columns:
        assert typed[name].to_list() == texts[name].to_list()


def test_cells_keep_their_texts(releases, tmp_path):
    (tmp_path / "rows.csv").write_text("age,city,when\n01,7.0,\n1,7,\n")
    predict(releases["multiclass"], tmp_path / "rows.csv", tmp_path / "out.parquet")
    one, two = pl.read_parquet(tmp_path / "out.parquet").drop("prediction").rows()
    assert one != two


def test_files_of_every_kind_give_the_same_answers(releases, tmp_path):
    frame = pl.DataFrame(
        {
            "age": [33.0, None, 41.5],
            "city": pl.Series(["Oslo", None, "Atlantis"], dtype=pl.Categorical),
            "when": [datetime.datetime(2024, 5, 17, 8, 30, tzinfo=datetime.UTC), None, None],
            "n": [1, None, 3],
        }
    )
    (tmp_path / "rows").mkdir()
    plain = frame.with_columns(pl.col("when").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    files = {name: tmp_path / f"rows.{name}" for name in ("csv", "parquet", "jsonl", "csv.gz")}
    plain.write_csv(files["csv"])
    plain.write_ndjson(files["jsonl"])
    files["csv.gz"].write_bytes(gzip.compress(files["csv"].read_bytes()))
    frame.write_parquet(files["parquet"])
    frame[:2].write_parquet(tmp_path / "rows" / "1.parquet")
    plain[2:].write_csv(tmp_path / "rows" / "2.csv")
    found = predict_frame(releases["binary"], frame)
    for data in [*files.values(), tmp_path / "rows"]:
        told = predict(releases["binary"], data, tmp_path / "out.parquet")
        assert told["notes"] == ["never seen in training: city (1 cells)", "not read by the model: n"]
        assert pl.read_parquet(tmp_path / "out.parquet").equals(found)
    assert predict_frame(releases["binary"], from_object(frame.to_pandas())).equals(found)
    predict(releases["binary"], files["parquet"], tmp_path / "out.csv", ["n", "age"])
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines] == [["n", "age"], ["1", "33.0"], ["", ""], ["3", "41.5"]]


def test_kept_columns_keep_their_types_in_parquet(releases, tmp_path):
    days = [datetime.date(2024, 1, 1), None]
    frame = pl.DataFrame({"age": [1, 2], "city": ["a", "b"], "when": days, "n": [None, 5]})
    frame.write_parquet(tmp_path / "rows.parquet")
    predict(releases["multiclass"], tmp_path / "rows.parquet", tmp_path / "out.parquet", ["when", "n"])
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out.select("when", "n").equals(frame.select("when", "n"))
    assert out.schema["prediction"] == pl.Int64
    assert out.schema["probability_1"] == pl.Float32


def test_labels_that_are_true_and_false(release, tmp_path, seal):
    signature = json.loads((release / "signature.json").read_text())
    (release / "signature.json").write_text(json.dumps(signature | {"classes": [False, True], "positive": True}))
    seal(release)
    (tmp_path / "rows.csv").write_text("age,city,when\n1,Oslo,\n")
    for name in ("out.csv", "out.parquet"):
        predict(release, tmp_path / "rows.csv", tmp_path / name)
    assert (tmp_path / "out.csv").read_text().startswith("prediction,probability_false,probability_true\ntrue,")
    assert pl.read_parquet(tmp_path / "out.parquet")["prediction"].to_list() == [True]


def test_no_rows(releases, tmp_path):
    pl.DataFrame({"age": [], "city": [], "when": []}).write_parquet(tmp_path / "rows.parquet")
    for name in ("out.csv", "out.parquet"):
        assert predict(releases["binary"], tmp_path / "rows.parquet", tmp_path / name)["rows"] == 0
    assert (tmp_path / "out.csv").read_text() == "prediction,probability_<=50K,probability_>50K\n"
    assert pl.read_parquet(tmp_path / "out.parquet").schema["prediction"] == pl.String


def test_what_is_there_is_replaced_only_by_what_is_whole(releases, tmp_path):
    (tmp_path / "rows.csv").write_text("age,city,when\n1,Oslo,\n")
    (tmp_path / "broken.csv").write_text("age,city,when\n1,Oslo,\n1\n")
    for name in ("out.csv", "out.parquet"):
        predict(releases["binary"], tmp_path / "rows.csv", tmp_path / name)
        before = (tmp_path / name).read_bytes()
        with pytest.raises(BadRows, match="line 3: 1 cells"):
            predict(releases["binary"], tmp_path / "broken.csv", tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("data", "out", "keep", "message"),
    [
        (
            "rows.csv",
            "out.xlsx",
            [],
            "out.xlsx: predictions are written as .csv or .parquet. Name the output so.",
        ),
        ("rows.csv", "none/out.parquet", [], "out.parquet: it cannot be written (No such file or directory)."),
        ("rows.csv", "rows.csv/out.csv", [], "out.csv: it cannot be written (Not a directory)."),
        (
            "rows.csv",
            "out.csv",
            ["prediction"],
            "column prediction, to be kept, would be two columns of the output.",
        ),
        ("rows.csv", "out.parquet", ["Age"], "column Age, to be kept, is not in the data. Is it age?"),
        ("none.csv", "out.csv", [], "none.csv: the file cannot be read (No such file or directory)."),
        ("rows.xlsx", "out.csv", [], "rows.xlsx: files ending in .xlsx are not read. Known: .csv,"),
        ("junk.parquet", "out.csv", [], "junk.parquet: the Parquet file cannot be read ("),
        ("empty", "out.csv", [], "empty: the folder holds no data files. Known: .csv,"),
        ("list.parquet", "out.csv", [], "column city: a cell holds a list, ['a']. A cell is text"),
    ],
)
def test_bad_input(releases, tmp_path, data, out, keep, message):
    (tmp_path / "rows.csv").write_text("age,city,when\n1,Oslo,\n")
    (tmp_path / "junk.parquet").write_bytes(b"PAR1junk")
    (tmp_path / "empty").mkdir()
    pl.DataFrame({"age": [1], "city": [["a"]], "when": [1]}).write_parquet(tmp_path / "list.parquet")
    with pytest.raises(BadRows) as caught:
        predict(releases["binary"], tmp_path / data, tmp_path / out, keep)
    assert message in str(caught.value)
    assert not list(tmp_path.glob("*out*"))


def test_a_pandas_frame_with_its_own_missing_values(releases):
    frame = pd.DataFrame({"age": pd.array([1, None], "Int64"), "city": ["Oslo", None], "when": pd.NaT})
    found = predict_frame(releases["regression"], from_object(frame))
    assert found.columns == ["prediction"]
    assert np.isfinite(found["prediction"].to_numpy()).all()
