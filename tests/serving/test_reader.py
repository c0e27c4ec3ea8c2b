"""The reader: the token rule, the release, the answers."""

import ast
import datetime
import gzip
import io
import json
import math
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forgeline.engine import arrays
from forgeline.engine import columns as training
from forgeline.serving import reader
from forgeline.serving.reader import BadRows, Reader

SIZES = [1, 2, 3, 31, 64, 1000]
MISSING = frozenset({"", "?", "NA"})


def by_column(rows):
    return {name: [row[name] for row in rows] for name in ("age", "city", "when")}


def converted(kind, cells, dtype="text", blank="gone"):
    blank = {"number": math.nan, "category": blank, "date": -1}[kind]
    values, unread = reader.convert(cells, kind, dtype, MISSING, blank)
    return values.tolist(), unread


# ---------------------------------------------------------------- the file itself


def test_it_imports_the_standard_library_numpy_and_onnxruntime_only():
    """And Pillow where a picture of another size or format asks for it."""
    tree = ast.parse(Path(reader.__file__).read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and node.module != "PIL"}
    tops = {name.partition(".")[0] for name in named}
    assert tops - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}


# ---------------------------------------------------------------- the token rule


def test_markers_are_missing_as_numbers_and_dates_too_and_spellings_are_one():
    ask = {"kind": "number", "dtype": "int64", "missing": ["-999", "x"]}
    assert np.isnan(reader.mended(np.array([1.0, -999.0]), ask, math.nan)).tolist() == [False, True]
    ask = {"kind": "date", "dtype": "microseconds", "missing": ["1970-01-02"]}
    assert reader.mended(np.array([5, 86_400_000_000]), ask, -1).tolist() == [5, -1]
    ask = {"kind": "category", "dtype": "text", "missing": [], "map": {"NY": "ny"}}
    assert reader.mended(np.array(["NY", "LA"], dtype=object), ask, "gone").tolist() == ["ny", "LA"]


def test_numbers():
    cells = [
        "5",
        " +5. ",
        ".5",
        "1e3",
        "true",
        "False",
        "?",
        "",
        "  ",
        None,
        math.nan,
        7,
        True,
        np.float32(0.5),
    ]
    values, unread = converted("number", [*cells, Decimal("2.5"), datetime.datetime(1970, 1, 1, 0, 0, 1), 10**400])
    assert values[:6] == [5.0, 5.0, 0.5, 1000.0, 1.0, 0.0]
    assert all(math.isnan(value) for value in values[6:11])
    assert values[11:] == [7.0, 1.0, 0.5, 2.5, 1e6, math.inf]
    assert unread == 0


@pytest.mark.parametrize("text", ["nan", "inf", "1_000", "0x10", "five", "1,5", "１２", "--1", "."])
def test_text_that_is_no_number_is_missing_and_counted(text):
    values, unread = converted("number", [text, "1"])
    assert math.isnan(values[0])
    assert values[1] == 1.0
    assert unread == 1


def test_categories():
    cells = [
        True,
        5,
        5.0,
        0.1,
        " Oslo ",
        "05",
        "NA",
        None,
        math.nan,
        np.bool_(False),
        np.int8(5),
        np.float64(5),
    ]
    expected = ["true", "5", "5", "0.1", "Oslo", "05", "gone", "gone", "gone", "false", "5", "5"]
    assert converted("category", cells) == (expected, 0)


def test_categories_of_columns_that_training_held_as_numbers_or_booleans():
    assert converted("category", ["05", "5.0", "5e0", "x", "1e999"], "int64")[0] == ["5", "5", "5", "x", "inf"]
    assert converted("category", ["TRUE", "false", "yes"], "bool")[0] == ["true", "false", "yes"]


def test_true_one_and_one_point_zero_stay_apart():
    assert converted("category", [True, 1, 1.0, "1", "true"])[0] == ["true", "1", "1", "1", "true"]


def test_dates():
    moment = datetime.datetime(2024, 5, 17, 8, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    cells = ["1970-01-02", "1970-01-01T00:00:01Z", "1970-01-01 00:00:00.1234567", "1970-01-01T01:00:00+0100"]
    values, unread = converted("date", [*cells, datetime.date(1970, 1, 2), moment, 5, 5.0, "?", "19700102", 19700102])
    day = 86_400_000_000
    assert values[:5] == [day, 1_000_000, 123_456, 0, day]
    assert values[5] == int(moment.timestamp()) * 1_000_000
    assert values[6:] == [5, 5, -1, day, day]
    assert unread == 0


@pytest.mark.parametrize("cell", ["2024-13-01", "17.5.2024", "2024-05-17T24:00", "2024", True, 0.5, 2**63, math.inf])
def test_what_is_no_date_is_missing_and_counted(cell):
    assert converted("date", [cell]) == ([-1], 1)


@pytest.mark.parametrize("cell", [[1], {"a": 1}, b"x", 1j])
def test_cells_of_other_types_are_refused(cell):
    with pytest.raises(BadRows, match=f"a cell holds a {type(cell).__name__}"):
        converted("category", ["a", cell])


@pytest.mark.parametrize("kind", ["number", "category", "date"])
@pytest.mark.parametrize("dtype", ["int64", "float64", "bool", "float32", "uint8"])
def test_arrays_mean_what_lists_mean(kind, dtype):
    array = np.array([0, 1, 20240517, 3, 0]).astype(dtype)
    one, two = converted(kind, array), converted(kind, array.tolist())
    assert np.array_equal(np.array(one[0]), np.array(two[0]))
    assert one[1] == two[1]


def test_arrays_with_missing_cells_mean_what_lists_mean():
    assert converted("category", np.array([1.5, math.nan, math.inf]))[0] == ["1.5", "gone", "inf"]
    dates = np.array(["1970-01-02", "NaT"], dtype="datetime64[D]")
    assert converted("date", dates)[0] == [86_400_000_000, -(2**63)]
    assert converted("category", dates)[0] == ["1970-01-02 00:00:00", "gone"]
    assert converted("category", np.array([" a", None, 3], dtype=object))[0] == ["a", "gone", "3"]


def test_training_reads_numbers_by_the_same_rule():
    texts = [
        "5",
        "+5",
        "5.",
        ".5",
        "-1e-3",
        "1E5",
        "0.1",
        "inf",
        "nan",
        "1_000",
        "0x1",
        "abc",
        "1e400",
        "9007199254740993",
    ]
    trained = arrays.numbers(training.as_number(pl.Series("x", texts)))
    here, _ = reader.convert(texts, "number", "float64", MISSING, math.nan)
    with np.errstate(over="ignore"):
        here = here.astype(np.float32)
    here[~np.isfinite(here)] = math.nan
    assert np.array_equal(trained, here, equal_nan=True)


def test_training_reads_dates_by_the_same_rule():
    texts = [
        "2024-05-17",
        "2024-05-17 08:30",
        "2024-05-17T08:30:01Z",
        "2024-05-17T08:30:01.5+02:00",
        "20240517",
    ]
    texts += ["2024-05-17T08:30:01.123456789", "2024-05-17 08:30 -0330", "1900-02-29", "soon", "1066-10-14"]
    trained = arrays.dates(training.as_date(pl.Series("x", texts))).tolist()
    here, _ = reader.convert(texts, "date", "microseconds", MISSING, arrays.MISSING_DATE)
    assert here.tolist() == trained


@pytest.mark.parametrize(
    "cell", [True, False, 5, -5, 5.0, 0.1, -0.0, 1e300, math.inf, math.nan, " a ", " ", "05", None]
)
def test_training_names_categories_by_the_same_rule(cell):
    assert reader.convert([cell], "category", "text", frozenset(), arrays.MISSING)[0][0] == arrays.token(cell)


# ---------------------------------------------------------------- the release


def test_the_release_is_verified(release):
    assert json.loads(reader.verify(release)["signature.json"])["target"] == "visits"


@pytest.mark.parametrize("name", ["model.onnx", "signature.json", "predict.py", "forgeline.json"])
def test_a_changed_file_is_refused(release, name):
    content = (release / name).read_bytes()
    (release / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BadRows, match=f"tampered release: {name} does not match SHA256SUMS. Do not use"):
        Reader(release)


def test_a_file_that_is_gone_or_not_listed_is_refused(release):
    sums = (release / "SHA256SUMS").read_text().splitlines(keepends=True)
    (release / "SHA256SUMS").write_text("".join(line for line in sums if "model.onnx" not in line))
    with pytest.raises(BadRows, match=r"tampered release: model.onnx does not match SHA256SUMS"):
        Reader(release)
    (release / "model.onnx").unlink()
    with pytest.raises(BadRows, match=r"model.onnx: the file cannot be read"):
        Reader(release)


def test_a_folder_that_is_no_release_is_refused(tmp_path):
    with pytest.raises(BadRows, match=r"this is no release, SHA256SUMS cannot be read. Name the folder"):
        Reader(tmp_path)


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_answers_are_bit_equal_at_any_batch(releases, rows, task):
    one = Reader(releases[task])
    whole = one.predict(by_column(rows * 5))  # over one chunk
    scores = whole.values if task == "regression" else whole.probabilities
    assert len(np.unique(scores, axis=0)) > 300
    for size in [*SIZES, 4096, 4097]:
        part = one.predict(by_column((rows * 5)[:size]))
        assert part.labels == whole.labels[:size]
        assert np.array_equal(part.values if task == "regression" else part.probabilities, scores[:size])
    last = one.predict(by_column(rows[-1:]))
    assert last.labels == whole.labels[-1:]


def test_labels(releases, rows):
    binary = Reader(releases["binary"]).predict(by_column(rows))
    assert set(binary.labels) == {"<=50K", ">50K"}
    assert binary.labels == [">50K" if p >= 0.51 else "<=50K" for p in binary.probabilities[:, 1].tolist()]
    many = Reader(releases["multiclass"]).predict(by_column(rows))
    assert many.labels == [1 + index for index in many.probabilities.argmax(axis=1).tolist()]
    values = Reader(releases["regression"]).predict(by_column(rows))
    assert values.probabilities is None
    assert values.labels == values.values.tolist()


def test_no_rows(releases):
    empty = Reader(releases["binary"]).predict({"age": [], "city": [], "when": []})
    assert empty.labels == []
    assert empty.probabilities.shape == (0, 2)
    assert Reader(releases["regression"]).predict({"age": [], "city": [], "when": []}).values.shape == (0,)


def test_what_is_odd_is_noted(releases):
    cells = {
        "age": ["abc", 5, None],
        "city": ["Atlantis", "Oslo", "?"],
        "when": ["soon", None, ""],
        "id": [1, 2, 3],
    }
    assert Reader(releases["binary"]).predict(cells).notes == [
        "never seen in training: city (1 cells)",
        "no date, so taken as missing: when (1 cells)",
        "no number, so taken as missing: age (1 cells)",
        "not read by the model: id",
    ]


def test_a_missing_column_is_refused_with_the_nearest_name(releases):
    with pytest.raises(BadRows, match=r"column when is missing. Is it wen\? Given: age, city, wen."):
        Reader(releases["binary"]).predict({"age": [1], "city": ["a"], "wen": [1]})


def test_columns_of_different_length_are_refused(releases):
    with pytest.raises(BadRows, match="columns age and city do not have the same number of cells"):
        Reader(releases["binary"]).predict({"age": [1], "city": ["a", "b"], "when": [1]})


def test_missing_and_unseen_are_two_things(releases):
    found = Reader(releases["binary"]).predict({"age": [1] * 4, "city": [None, "", "x", "\ud800"], "when": [0] * 4})
    p = found.probabilities[:, 1].tolist()
    assert p[0] == p[1] != p[2] == p[3]


# ---------------------------------------------------------------- files


def read_text(tmp_path, text, name="rows.csv"):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return [{name: list(cells) for name, cells in block.items()} for block in reader.read(tmp_path / name)]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_csv(tmp_path, mark):
    text = f'a{mark} b \r\n1{mark}"x\n{mark}""y"""\r\n\r\n?{mark}\r\n'
    assert read_text(tmp_path, text) == [{"a": ["1", "?"], "b": [f'x\n{mark}"y"', ""]}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path, encoding):
    assert read_text(tmp_path, "ä,b\né,1\n".encode(encoding)) == [{"ä": ["é"], "b": ["1"]}]


def test_csv_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "BLOCK", 2)
    assert read_text(tmp_path, "a\n1\n2\n3\n") == [{"a": ["1", "2"]}, {"a": ["3"]}]
    assert read_text(tmp_path, "a,b\n") == [{"a": [], "b": []}]


def test_json_lines(tmp_path):
    text = '{"a": 1}\n\n{"b": "x", "a": null}\n'
    assert read_text(tmp_path, gzip.compress(text.encode()), "rows.jsonl.gz") == [{"a": [1, None], "b": [None, "x"]}]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rows.csv", "", "rows.csv: the file is empty"),
        ("rows.csv", "a,b\n1,2\n3\n", "rows.csv, line 3: 1 cells, but the header has 2. A cell that"),
        ("rows.csv", "a,b\n1,2,3\n", "rows.csv, line 2: 3 cells, but the header has 2"),
        ("rows.csv", 'a,b\n1,"2\n', "rows.csv, line 2: unexpected end of data"),
        ("rows.csv", "a, a\n", "rows.csv: columns are named twice: a. Rename them."),
        ("rows.csv", "PAR1\0\1", "rows.csv: the file is binary, not text"),
        ("rows.csv", b"\x1f\x8babc", "rows.csv: the gzip file is damaged"),
        ("rows.jsonl", '{"a": 1}\n{"a": }', "rows.jsonl, line 2: this is not JSON"),
        ("rows.jsonl", "[1]", "rows.jsonl, line 1: this is not a JSON object"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, text, message):
    with pytest.raises(BadRows) as caught:
        read_text(tmp_path, text, name)
    assert f"{tmp_path}/{message}" in str(caught.value)


# ---------------------------------------------------------------- predict.py


def predict_py(folder, *arguments):
    command = [sys.executable, "-I", str(folder / "predict.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_predict_py_writes_what_the_reader_says(releases, rows, write_rows, tmp_path):
    data = write_rows(tmp_path / "rows.csv", rows)
    done = predict_py(releases["binary"], data, "-o", tmp_path / "out.csv", "--keep", "id")
    assert done.returncode == 0
    assert "note: never seen in training: city" in done.stderr
    assert "1000 predictions in" in done.stderr
    found = Reader(releases["binary"]).predict(by_column(rows))
    lines = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    assert lines[0] == ["id", "prediction", "probability_<=50K", "probability_>50K"]
    assert [line[:2] for line in lines[1:]] == [[row["id"], label] for row, label in zip(rows, found.labels)]
    assert np.array_equal(np.array(lines[1:])[:, 2:].astype(np.float64), found.probabilities.astype(np.float64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv", "-o", "out.csv"], "none.csv: the file cannot be read (No such file or directory)"),
        (
            ["rows.csv", "-o", "none/out.csv"],
            "out.csv: it cannot be written (No such file or directory). Name a file",
        ),
        (
            ["rows.csv", "-o", "out.csv", "--keep", "idd"],
            "column idd, to be kept, is not in the data. Is it id?",
        ),
        (["short.csv", "-o", "out.csv"], "column when is missing. Given: id, age, city."),
    ],
)
def test_predict_py_answers_bad_input(releases, rows, write_rows, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reader, "__file__", str(releases["binary"] / "predict.py"))
    write_rows(tmp_path / "rows.csv", rows[:3])
    (tmp_path / "short.csv").write_text("id,age,city\n1,2,3\n")
    assert reader.main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "short.csv"]


# ---------------------------------------------------------------- pictures

SIZE = {"name": "photo", "height": 2, "width": 3, "channels": 1, "missing": []}
GREY = np.array([[1, 2, 3], [4, 5, 255]], np.uint8)


@pytest.mark.parametrize(
    "cell", [GREY, GREY[..., None], GREY.astype(np.int64), GREY.tolist(), b"P5\n3 2\n255\n" + GREY.tobytes()]
)
def test_a_picture_of_the_right_size_is_read_as_it_is(cell):
    assert reader.picture(cell, SIZE, None).tolist() == GREY[..., None].tolist()


@pytest.mark.parametrize(
    "cell", [GREY + 0.5, [[1, 2], [3]], np.full((2, 3), 256), b"", "nowhere.png", 7, {"bytes": None}]
)
def test_what_is_no_picture_is_none(cell, tmp_path):
    assert reader.picture(cell, SIZE, tmp_path) is None


def test_no_path_is_followed_without_a_folder(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5\n3 2\n255\n" + GREY.tobytes())
    assert reader.picture(str(tmp_path / "a.pgm"), SIZE, None) is None
    assert reader.picture("a.pgm", SIZE, tmp_path) is not None
    assert reader.picture(str(tmp_path), SIZE, tmp_path) is None


def test_a_file_that_unfolds_to_any_size_is_none(monkeypatch):
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.new("L", (300, 300)).save(file, "PNG")
    assert reader.picture(file.getvalue(), SIZE, None).shape == (2, 3, 1)
    monkeypatch.setattr(reader, "MOST_PIXELS", 80_000)
    assert reader.picture(file.getvalue(), SIZE, None) is None
