import gzip
import hashlib
import io
import math
import zipfile
from datetime import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from forgeline.engine import csv_spill, csv_text, tables
from forgeline.engine.rows import Held, OnDisk
from forgeline.errors import BadInput

MISSING = ["", "?", "NA"]


def rows(tmp_path, data, name="data.csv", missing=MISSING, **options):
    """Columns and settled rows of one file."""
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    frame, _ = tables.settle(tables.read([tmp_path / name], missing, **options).frame, {}, missing)
    return frame.columns, frame.rows()


def settled(values, kind=None, missing=MISSING):
    """One column, settled, and its fact."""
    frame, facts = tables.settle(pl.DataFrame({"x": values}), {"x": kind} if kind else {}, missing)
    return frame["x"], facts[0]


# ---------------------------------------------------------------- delimited text

TABLE = (["a", "b"], [(1, "x"), (2, "y")])


@pytest.mark.parametrize(
    "data",
    [
        "a,b\n1,x\n2,y\n",
        "a;b\n1;x\n2;y",
        "a\tb\n1\tx\n2\ty\n",
        "a|b\n1|x\n2|y\n",
        "a b\n1 x\n2 y\n",
        " a  b\n 1   x \n2\ty\n",
        "a,b\r\n1,x\r\n2,y\r\n",
        "a,b\r1,x\r2,y\r",
        "a, b\n 1,  x\n 2, y\n",
        'a, b\n1, "x"\n2, "y"\n',
        '"a","b"\n"1","x"\n2,"y"\n',
        "\n\na,b\n\n1,x\n   \n2,y\n\n\n",
        b"\xef\xbb\xbfa,b\n1,x\n2,y\n",
        "a,b\n1,x\n2,y\n".encode("utf-16"),
        gzip.compress(b"a,b\n1,x\n2,y\n", mtime=0),
    ],
)
def test_one_table_in_many_spellings(tmp_path, data):
    gz = isinstance(data, bytes) and data.startswith(b"\x1f\x8b")
    assert rows(tmp_path, data, "data.csv.gz" if gz else "data.csv") == TABLE


def test_quoted_cells_hold_delimiters_newlines_and_quotes(tmp_path):
    text = 'a,b\n"one, two","line 1\nline 2"\n"say ""hi""",plain\n'
    assert rows(tmp_path, text)[1] == [("one, two", "line 1\nline 2"), ('say "hi"', "plain")]


def test_a_quote_inside_a_cell_is_itself(tmp_path):
    assert rows(tmp_path, 'a,b\n5" pipe,1\nx,2\n')[1] == [('5" pipe', 1), ("x", 2)]


def test_long_cells(tmp_path):
    long = "x" * 200_000
    assert rows(tmp_path, f'a,b\n"{long}",1\n')[1] == [(long, 1)]


def test_blank_separated_cells_may_be_quoted(tmp_path):
    assert rows(tmp_path, 'a b\n1 "x y"\n2 z\n')[1] == [(1, "x y"), (2, "z")]


def test_windows_text_is_guessed_and_said(tmp_path):
    (tmp_path / "a.csv").write_bytes("stadt,n\nKöln,1\nMünchen,2\n".encode("cp1252"))
    read = tables.read([tmp_path / "a.csv"], MISSING)
    assert read.frame["stadt"].to_list() == ["Köln", "München"]
    assert read.sources[0].says == "windows-1252 (guessed), comma"


def test_missing_markers_also_behind_blanks(tmp_path):
    assert rows(tmp_path, "a,b\n1, ?\nNA,x\n3,\n")[1] == [(1, None), (None, "x"), (3, None)]


def test_empty_text_stays_when_it_is_no_marker(tmp_path):
    assert rows(tmp_path, 'a,b\n1,\n?,""\n3,x\n', missing=["?"])[1] == [(1, ""), (None, ""), (3, "x")]


def test_columns_kept_as_text(tmp_path):
    assert rows(tmp_path, "zip,n\n01234,1\n5,2\n", text=["zip"])[1] == [(1234, 1), (5, 2)]
    raw = tables.read([tmp_path / "data.csv"], MISSING, ["zip"]).frame
    assert raw["zip"].to_list() == ["01234", "5"]


def test_a_late_cell_changes_the_type_of_its_column(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_text, "TYPED_ROWS", 3)
    text = "a,b,c\n" + "1,1,1\n" * 5 + "1.5,x,99999999999999999999\n"
    last = rows(tmp_path, text)[1]
    assert last[-1] == (1.5, "x", 1e20)


def test_unnamed_columns_get_a_name(tmp_path):
    assert rows(tmp_path, ",a,\n1,2,3\n")[0] == ["column_1", "a", "column_3"]


def test_delimiter_inside_quotes_does_not_mislead(tmp_path):
    assert rows(tmp_path, 'a;b\n"1,2,3";x\n"4,5,6";y\n')[1] == [("1,2,3", "x"), ("4,5,6", "y")]


def test_one_column(tmp_path):
    assert rows(tmp_path, "a\n1\n2\n") == (["a"], [(1,), (2,)])


def test_ten_thousand_columns(tmp_path):
    header = ",".join(f"c{i}" for i in range(10_000))
    names, values = rows(tmp_path, header + "\n" + ",".join(["1"] * 10_000) + "\n")
    assert len(names) == 10_000
    assert set(values[0]) == {1}


# ---------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b" \n\n", "the file is empty"),
        ("a.csv", b"a,b\n", "a header but no rows"),
        ("a.csv", b'"a\nb",c\n', "a header but no rows"),
        ("a.csv", b"a,b\n1,2\n1\n3,4\n", "line 3 has 1 fields, but the header has 2"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, but the header has 2"),
        ("a.csv", b"a,b\n1,2,3\n1\n", "line 2 has 3 fields"),
        ("a.csv", b'a,b\n"x\ny",2\n1\n', "line 4 has 1 fields"),
        ("a.csv", b'a,b\n1,"2\n3,4\n', "line 2 has a quoted cell that does not end"),
        ("a.csv", b'a,b\n1,"x"y\n', "line 2 has a quoted cell that does not end"),
        ("a.csv", b"a,b,a\n1,2,3\n", "column names occur twice: a"),
        ("a.csv", b"a,b\n1,\0\n", "binary"),
        ("a.bin", bytes(range(1, 256)) * 20, "binary"),
        ("a.csv", "a,b\n1,ä\n2,ö\n".encode() + b"3,\xff\n", "line 4 holds byte 0xff, which is not UTF-8"),
        ("a.csv", b"a,b\n1,\x81\n", "line 2 holds byte 0x81"),
        ("a.csv", b"\xff\xfea\x00,\x00\xd8\xd8", "UTF-16"),
        ("a.csv.gz", b"a,b\n1,2\n", "gzip file is damaged"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-12], "gzip file is damaged"),
        ("a.parquet", b"PAR1 not really PAR1", "Parquet file cannot be read"),
        ("a.jsonl", b'{"a": 1}\n{"a":\n', "line 2 is no JSON object"),
        ("a.jsonl", b'{"a": 1}\n[2]\n', "line 2 is no JSON object (it is list, not an object)"),
        ("a.json", b"\n", "the file is empty"),
    ],
)
def test_unreadable(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInput) as error:
        tables.read([tmp_path / name], MISSING)
    assert says in str(error.value)
    assert str(error.value).startswith(name)
    assert "\n" not in str(error.value)


def test_a_zip_file_is_binary(tmp_path):
    file = io.BytesIO()
    zipfile.ZipFile(file, "w").writestr("a.csv", "a,b\n1,2\n")
    (tmp_path / "a.zip").write_bytes(file.getvalue())
    with pytest.raises(BadInput, match="binary"):
        tables.read([tmp_path / "a.zip"], MISSING)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        tables.read([tmp_path], MISSING)


def test_unknown_extension_is_read_when_it_is_text(tmp_path):
    assert rows(tmp_path, "a,b\n1,x\n2,y\n", "adult.test") == TABLE


# ---------------------------------------------------------------- other formats


def test_parquet_and_json_lines(tmp_path):
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_ndjson(tmp_path / "t.jsonl")
    for name in ("t.parquet", "t.jsonl"):
        assert tables.read([tmp_path / name], MISSING).frame.equals(frame)


def test_json_lines_with_gaps_and_mixed_values(tmp_path):
    text = '{"a": 1, "b": NaN}\n\n{"b": true}\n{"a": "x", "b": 2.5}\n'
    assert rows(tmp_path, text, "t.ndjson") == (["a", "b"], [("1", None), (None, "true"), ("x", "2.5")])


def test_source_facts(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a;b\n1;2\n")
    source = tables.read([tmp_path / "a.csv"], MISSING).sources[0]
    assert source[:3] == ("a.csv", 1, 8)
    assert source.digest == hashlib.sha256(b"a;b\n1;2\n").hexdigest()
    assert source[4:] == ("delimited text", "utf-8, semicolon")


def test_several_files_in_order_with_columns_in_any_order(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,x\n")
    (tmp_path / "2.csv").write_text("b,a\ny,2.5\n")
    read = tables.read(tables.find(str(tmp_path), tmp_path), MISSING)
    assert read.frame.rows() == [(1.0, "x"), (2.5, "y")]
    assert [source.rows for source in read.sources] == [1, 1]


def test_files_that_disagree_on_a_type_are_read_as_text(tmp_path):
    (tmp_path / "1.csv").write_text("a\n007\n")
    (tmp_path / "2.csv").write_text("a\nx\n")
    read = tables.read([tmp_path / "1.csv", tmp_path / "2.csv"], MISSING)
    assert read.frame["a"].to_list() == ["007", "x"]


def test_files_with_other_columns(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,c\n1,2\n")
    with pytest.raises(BadInput, match=r"2\.csv: its columns are not those of 1\.csv: it lacks b and adds c"):
        tables.read([tmp_path / "1.csv", tmp_path / "2.csv"], MISSING)


# ---------------------------------------------------------------- finding files


def test_find(tmp_path):
    for name in ("b.csv", "a.csv.gz", "c.parquet", "_SUCCESS", ".hidden.csv"):
        (tmp_path / name).write_bytes(b"x")
    assert [file.name for file in tables.find(".", tmp_path)] == ["a.csv.gz", "b.csv", "c.parquet"]
    assert [file.name for file in tables.find("*.csv*", tmp_path)] == ["a.csv.gz", "b.csv"]
    assert tables.find("b.csv", tmp_path) == [tmp_path / "b.csv"]
    assert tables.find(str(tmp_path / "b.csv"), tmp_path / "elsewhere") == [tmp_path / "b.csv"]


def test_find_nothing(tmp_path):
    (tmp_path / "adult.csv").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"adlt\.csv: no such file or folder\. Did you mean adult\.csv\?"):
        tables.find("adlt.csv", tmp_path)
    with pytest.raises(BadInput, match="the folder has no data files"):
        tables.find("empty", tmp_path)
    with pytest.raises(BadInput, match="no file matches"):
        tables.find("*.parquet", tmp_path)
    with pytest.raises(BadInput, match="no such file or folder"):
        tables.find("nowhere/a.csv", tmp_path)


# ---------------------------------------------------------------- frames


def test_frames_of_other_libraries():
    when = [datetime(2020, 1, 1), None]
    plain = pl.DataFrame({"i": [1, 2], "f": [0.5, None], "s": ["x", None], "b": [True, False], "d": when})
    assert tables.from_object(plain).equals(plain)
    assert tables.from_object(plain.lazy()).equals(plain)
    assert tables.from_object(plain.to_arrow()).equals(plain)
    assert tables.from_object(pd.DataFrame(plain.to_dict(as_series=False))).equals(plain)


def test_pandas_oddities():
    zoned = pd.to_datetime(["2020-01-01T02:00+02:00", None], utc=True)
    frame = pd.DataFrame({"mixed": [1, "x"], "level": pd.Categorical(["u", None]), 3: zoned})
    frame["nullable"] = pd.array([1, None], dtype="Int64")
    read = tables.from_object(frame)
    assert read.columns == ["mixed", "level", "3", "nullable"]
    assert read.rows() == [("1", "u", datetime(2020, 1, 1), 1), ("x", None, None, None)]


def test_arrow_dictionary_becomes_text():
    table = pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode()})
    assert tables.from_object(table)["a"].to_list() == ["x", "y", "x"]


def test_no_frame():
    with pytest.raises(BadInput, match="list is no table"):
        tables.from_object([1, 2])


# ---------------------------------------------------------------- settling


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["1", " 2", "?"], "int64", [1, 2, None]),
        (["1", "2.5", ""], "float64", [1.0, 2.5, None]),
        (["1e3", "-.5"], "float64", [1000.0, -0.5]),
        (["nan", "1"], "float64", [None, 1.0]),
        (["True", "FALSE", "NA"], "bool", [True, False, None]),
        (["1,000", "2,000"], "text", ["1,000", "2,000"]),
        (["x", " y "], "text", ["x", "y"]),
        (["?", ""], "text", [None, None]),
        (["2020-01-31", "?"], "microseconds", [datetime(2020, 1, 31), None]),
        (["2020-01-31 10:20", "2020-01-31T10:20:30.5"], "microseconds", None),
        (["2020-01-31T02:00:00+02:00", "2020-01-31T00:00Z"], "microseconds", [datetime(2020, 1, 31)] * 2),
        (["2020-01-31", "2020-02-31"], "text", ["2020-01-31", "2020-02-31"]),
        (["31/01/2020"], "text", ["31/01/2020"]),
    ],
)
def test_text_is_inferred(cells, dtype, values):
    series, fact = settled(cells)
    assert fact.dtype == dtype
    expected = values or [datetime(2020, 1, 31, 10, 20), datetime(2020, 1, 31, 10, 20, 30, 500_000)]
    assert series.to_list() == expected
    assert fact.missing == expected.count(None)


@pytest.mark.parametrize(
    ("series", "dtype", "value"),
    [
        (pl.Series([1], dtype=pl.UInt8), "int64", 1),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), "float64", 2.0**64),
        (pl.Series([0.5], dtype=pl.Float32), "float64", 0.5),
        (pl.Series([Decimal("1.5")]), "float64", 1.5),
        (pl.Series(["u"], dtype=pl.Categorical), "text", "u"),
        (pl.Series(["u"], dtype=pl.Enum(["u"])), "text", "u"),
        (pl.Series([None], dtype=pl.Null), "text", None),
        (pl.Series([datetime(2020, 1, 1).date()]), "microseconds", datetime(2020, 1, 1)),
        (pl.Series([float("nan")]), "float64", None),
    ],
)
def test_typed_columns_get_one_of_five_storages(series, dtype, value):
    column, fact = settled(series)
    assert fact.dtype == dtype
    assert column[0] == value


def test_zoned_dates_become_utc():
    zoned = pl.Series([datetime(2020, 1, 1, 2)]).dt.replace_time_zone("Europe/Berlin").dt.cast_time_unit("ns")
    assert settled(zoned)[0][0] == datetime(2020, 1, 1, 1)


def test_nested_columns_are_refused():
    with pytest.raises(BadInput, match=r'column x holds List\(Int64\).*drop = \["x"\]'):
        settled([[1], [2]])


def test_asked_kinds():
    numbers, fact = settled(["1", "x", "?", "y"], "number")
    assert numbers.to_list() == [1, None, None, None]
    assert (fact.missing, fact.unparsable) == (3, (2, 1, "x"))
    assert settled([1, 2], "category")[0].to_list() == ["1", "2"]
    assert settled([True, False], "number")[0].to_list() == [1, 0]
    dates, fact = settled([20200131, 5], "date")
    assert dates.to_list() == [datetime(2020, 1, 31), None]
    assert fact.unparsable == (1, 1, "5")


def test_mixed_columns_are_counted_from_nine_tenths_numbers():
    _, fact = settled([*map(str, range(9)), "x"])
    assert (fact.dtype, fact.mixed) == ("text", (1, 9, "x"))
    assert settled([*map(str, range(8)), "x"])[1].mixed is None


def test_infinite_and_large_values_are_counted():
    assert settled(["inf", "-inf", "1"])[1].infinite == 2
    assert settled([2**53, 2**53 + 1, -(2**53) - 1])[1].large == 2
    _, fact = settled(["99999999999999999999", "1"])
    assert (fact.dtype, fact.large) == ("float64", 1)
    assert settled([1e300])[1].large == 0


def test_distinct_leaves_missing_out():
    assert settled(["a", "b", "a", "?"])[1].distinct == 2


def test_large_parquet_stays_on_disk_until_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_HELD", 5)
    one = pl.DataFrame({"a": [1, 2, None], "s": ["x", None, "y"]})
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for path in paths:
        one.write_parquet(path)
    small = tables.read(paths[:1], MISSING, spill=tmp_path)
    assert isinstance(small.rows, Held)
    large = tables.read(paths, MISSING, spill=tmp_path)
    assert isinstance(large.rows, OnDisk)
    assert (large.rows.rows, large.rows.names) == (6, ["a", "s"])
    assert large.frame.equals(pl.concat([one, one]))
    assert [source.digest for source in large.sources] == [small.sources[0].digest] * 2


PLAIN = "n,s,day,gap\n" + "".join(f"{at},t{at % 7},2024-01-{at % 28 + 1:02d},{at % 3 or ''}\n" for at in range(300))
TEXTS = {
    "plain": PLAIN,
    "late text in a column of numbers": PLAIN + "x,a,2024-01-01,1\n",
    "dos": PLAIN.replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + PLAIN,
    "accents": PLAIN.replace("t3", "tö"),
    "no line end": PLAIN.rstrip(),
    "semicolons": PLAIN.replace(",", ";"),
}
ODD = {
    "quotes": PLAIN + '1,"a, b",2024-01-01,1\n',
    "blank line": PLAIN + "\n1,a,2024-01-01,1\n",
    "windows-1252": PLAIN.replace("t3", "tö").encode("cp1252"),
}


@pytest.mark.parametrize("name", [*TEXTS, *ODD])
@pytest.mark.parametrize("packed", [False, True])
def test_large_text_is_read_as_small_text_is(tmp_path, monkeypatch, name, packed):
    text = {**TEXTS, **ODD}[name]
    data = text if isinstance(text, bytes) else text.encode()
    path = tmp_path / ("data.csv.gz" if packed else "data.csv")
    path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    small = tables.read([path], MISSING, ["day"])
    monkeypatch.setattr(tables, "MOST_HELD", 100)
    for limit, value in (("LARGE_BYTES", 10), ("LARGE_PACKED_BYTES", 10), ("BLOCK_BYTES", 1000)):
        monkeypatch.setattr(csv_spill, limit, value)
    large = tables.read([path], MISSING, ["day"], spill=tmp_path / "spill")
    assert isinstance(large.rows, OnDisk if name in TEXTS else Held)
    assert large.frame.equals(small.frame)
    assert large.sources == small.sources
    del large
    assert not list((tmp_path / "spill").iterdir())


def test_a_ragged_or_damaged_large_text_is_refused_as_a_small_one_is(tmp_path, monkeypatch):
    for limit in ("LARGE_BYTES", "LARGE_PACKED_BYTES"):
        monkeypatch.setattr(csv_spill, limit, 10)
    (tmp_path / "ragged.csv").write_text(PLAIN + "1,2\n")
    with pytest.raises(BadInput, match="line 302 has 2 fields"):
        tables.read([tmp_path / "ragged.csv"], MISSING, spill=tmp_path)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(PLAIN.encode(), mtime=0)[:-20])
    with pytest.raises(BadInput, match="gzip file is damaged"):
        tables.read([tmp_path / "cut.csv.gz"], MISSING, spill=tmp_path)


def test_a_large_text_that_cannot_be_opened_is_left_to_the_plain_reader(tmp_path, monkeypatch):
    (tmp_path / "data.csv").write_text(PLAIN)
    monkeypatch.setattr(csv_spill, "LARGE_BYTES", 10)

    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(csv_spill, "shape_of", refused)
    read = tables.read([tmp_path / "data.csv"], MISSING, spill=tmp_path / "spill")
    assert isinstance(read.rows, Held)
    assert not list((tmp_path / "spill").iterdir())


def test_parquet_files_that_differ_are_put_together_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_HELD", 1)
    pl.DataFrame({"a": [1, 2], "b": [1, 2]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"b": [3.5], "a": [3]}).write_parquet(tmp_path / "2.parquet")
    read = tables.read([tmp_path / "1.parquet", tmp_path / "2.parquet"], MISSING, spill=tmp_path)
    assert read.frame.rows() == [(1, 1.0), (2, 2.0), (3, 3.5)]


# ---------------------------------------------------------------- digest


def digest(frame):
    return tables.digest(Held(frame))


def frame_of(*columns):
    return pl.DataFrame(dict(zip("abcd", columns)))


def test_digest_depends_on_content_only():
    whole = frame_of([1, 2, 3], [0.5, None, -0.0], ["x", None, "yz"], [True, None, False])
    chunked = pl.concat([whole[:1], whole[1:]], rechunk=False)
    zeros = whole.with_columns(pl.Series("b", [0.5, None, 0.0]))
    assert digest(whole) == digest(chunked) == digest(zeros)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (frame_of([1, 2]), frame_of([2, 1])),
        (frame_of([1]), frame_of([1.0])),
        (frame_of([1]), pl.DataFrame({"b": [1]})),
        (frame_of([1], [2]), frame_of([1], [2]).select("b", "a")),
        (frame_of([0, None]), frame_of([None, 0])),
        (frame_of(["ab", "c"]), frame_of(["a", "bc"])),
        (frame_of(["", None]), frame_of([None, ""])),
        (frame_of([True]), frame_of([1])),
    ],
)
def test_digest_tells_frames_apart(one, other):
    assert digest(one) != digest(other)


def test_digest_makes_every_nan_one():
    odd = np.array([0x7FF8000000000001], dtype=np.uint64).view(np.float64)
    assert math.isnan(odd[0])
    assert digest(pl.DataFrame({"a": odd})) == digest(pl.DataFrame({"a": [math.nan]}))


def test_digest_of_long_columns_does_not_depend_on_slices():
    long = pl.DataFrame({"a": range(100), "s": [str(i) for i in range(100)]})
    before = digest(long)
    assert before == digest(pl.concat([long[:33], long[33:]], rechunk=False))
    assert before != digest(long[:99])
