import gzip
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from forgeline import records, spec
from forgeline.engine import machine, snapshots, tables
from forgeline.engine.columns import Fact, Odd
from forgeline.engine.rows import Held
from forgeline.errors import BadInput
from forgeline.stages.snapshot import mixed_says, snapshot, source_digests, unparsable_says


@dataclass
class Work:
    """What the stage uses of a workspace."""

    base: Path
    said: list[str] = field(default_factory=list)

    @property
    def source_folder(self):
        return self.base

    @property
    def snapshots(self):
        return self.base / ".forgeline" / "snapshots"

    def put(self, data, name=""):
        (self.base / name).write_bytes(data)
        return records.Ref(digest=records.digest(name), size_bytes=len(data), name=name)

    def say(self, text):
        self.said.append(text)


@pytest.fixture
def freeze(tmp_path, monkeypatch):
    """Writes data.csv and snapshots it; options go to [snapshot], `test` is the text of a test file."""
    monkeypatch.setattr(machine, "packages", lambda: {"polars": "1"})
    monkeypatch.setattr(machine, "code", lambda folder: machine.Code(None, False, b"", "not asked"))

    def do(text, test=None, **options):
        (tmp_path / "data.csv").write_text(text)
        if test is not None:
            (tmp_path / "test.csv").write_text(test)
        ask = spec.Snapshot(**({"source": "data.csv"} | options))
        return snapshot(ask, spec.Split(file="test.csv" if test is not None else ""), Work(tmp_path))

    return do


def target(values, feature="x"):
    """A CSV with one feature and this target."""
    return f"{feature},y\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values))


def found(record, code):
    return [finding for finding in record.findings if finding.code == code]


def frame_of(record, tmp_path):
    return snapshots.get(Work(tmp_path).snapshots, record.facts.digest)


# ---------------------------------------------------------------- the record


def test_record(freeze, tmp_path):
    text = "id,age,job,w,y\n1,30,a,1,no\n2,?,b,2,no\n3,50,a,1.5,yes\n"
    record = freeze(text, target="y", keep=["id"], weight="w", licence="CC0-1.0")
    facts = record.facts
    assert (facts.rows, facts.task, facts.classes, facts.positive) == (3, "binary", ["no", "yes"], "yes")
    assert facts.task_why == "text with 2 labels"
    assert (facts.weight, facts.keep, facts.left_out, facts.licence) == ("w", ["id"], 0, "CC0-1.0")
    assert [(c.name, c.kind, c.dtype, c.missing, c.distinct) for c in facts.columns] == [
        ("id", "number", "int64", 0, 3),
        ("age", "number", "int64", 1, 2),
        ("job", "category", "text", 0, 2),
        ("w", "number", "float64", 0, 3),
        ("y", "category", "text", 0, 2),
    ]
    assert facts.sources[0].name == "data.csv"
    assert record.place.code.why == "not asked"
    assert record.place.hardware["cpus"] >= 1
    assert frame_of(record, tmp_path)["age"].to_list() == [30, None, 50]
    assert record.findings == []


def test_manifest(freeze, tmp_path):
    record = freeze("a,y\n1,0\n2,1\n", target="y", licence="CC0-1.0")
    manifest = json.loads((Work(tmp_path).snapshots / record.facts.digest / "manifest.json").read_text())
    assert manifest["schema"] == [
        {"name": "a", "kind": "number", "dtype": "int64"},
        {"name": "y", "kind": "number", "dtype": "int64"},
    ]
    assert (manifest["rows"], manifest["licence"], manifest["sources"][0]["name"]) == (2, "CC0-1.0", "data.csv")


def test_without_a_target(freeze):
    facts = freeze("a,b\n1,2\n").facts
    assert (facts.task, facts.task_why, facts.classes, facts.positive) == (None, "no target is named", [], None)


def test_dropped_columns_are_not_stored(freeze, tmp_path):
    assert frame_of(freeze("a,b\n1,2\n", drop=["b"]), tmp_path).columns == ["a"]


def test_same_rows_in_another_format_are_one_snapshot(freeze, tmp_path):
    record = freeze("a,y\n1,0\n2,1\n", target="y")
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(b"a;y\n1;0\n2;1\n"))
    other = freeze("", source="data.csv.gz", target="y")
    assert other.facts.digest == record.facts.digest
    assert len(list(Work(tmp_path).snapshots.iterdir())) == 1


def test_several_files_are_one_table(freeze, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "1.csv").write_text("a,y\n1,0\n")
    (tmp_path / "parts" / "2.csv").write_text("a,y\n2,1\n3,\n")
    record = freeze("", source="parts", target="y")
    assert [source.rows for source in record.facts.sources] == [1, 2]
    assert "left out: 2 (" in found(record, "quality.missing_target")[0].says


def test_types_are_read_from_the_text(freeze, tmp_path):
    record = freeze("zip,y\n01234,0\n5,1\n", target="y", types={"zip": "category"})
    assert frame_of(record, tmp_path)["zip"].to_list() == ["01234", "5"]
    assert record.facts.columns[0].why == "as asked"


# ---------------------------------------------------------------- snapshots as sources


def test_a_snapshot_is_a_source(freeze):
    first = freeze("zip,y\n01234,0\n5,1\n", target="y", types={"zip": "category"})
    again = freeze("", source=f"snapshot:{first.facts.digest}", target="y")
    assert again.facts.digest == first.facts.digest
    assert again.facts.sources[0].format == "snapshot"


def test_a_frame_kept_as_a_snapshot_is_settled(freeze, tmp_path):
    frame = tables.from_object(pl.DataFrame({"a": ["1", "?"], "y": ["no", "yes"]}))
    digest = snapshots.put(Work(tmp_path).snapshots, Held(frame), {"source": "frame"})
    record = freeze("", source=f"snapshot:{digest}", target="y")
    assert frame_of(record, tmp_path)["a"].to_list() == [1, None]


def test_unknown_snapshot(freeze):
    with pytest.raises(BadInput, match="no such snapshot"):
        freeze("", source="snapshot:abc")


# ---------------------------------------------------------------- the task


@pytest.mark.parametrize(
    ("values", "options", "task", "classes", "positive"),
    [
        (["b", "a", "a"], {}, "binary", ["a", "b"], "b"),
        (["b", "b", "a", "a"], {}, "binary", ["a", "b"], "b"),
        (["a", "b", "b"], {}, "binary", ["a", "b"], "a"),
        (["true", "false", "true"], {}, "binary", [False, True], True),
        ([1, 0, 1], {}, "binary", [0, 1], 1),
        ([2, 1, 1], {}, "binary", [1, 2], 2),
        (["1.0", "2.0", "2.0"], {}, "binary", [1, 2], 1),
        (["a", "b", "c"] * 3, {}, "multiclass", ["a", "b", "c"], None),
        (list(range(10)), {}, "multiclass", list(range(10)), None),
        (list(range(11)), {}, "regression", [], None),
        (["1.5", "2"], {}, "regression", [], None),
        ([1, 0, 1], {"types": {"y": "number"}}, "regression", [], None),
        (list(range(11)), {"types": {"y": "category"}}, "multiclass", list(range(11)), None),
        (["a", "b", "b"], {"positive": "b"}, "binary", ["a", "b"], "b"),
        ([1, 0, 1], {"positive": "0"}, "binary", [0, 1], 0),
        (["true", "false", "true"], {"positive": "false"}, "binary", [False, True], False),
    ],
)
def test_task(freeze, values, options, task, classes, positive):
    facts = freeze(target(values), target="y", **options).facts
    assert (facts.task, facts.classes, facts.positive) == (task, classes, positive)
    assert [type(label) for label in facts.classes] == [type(label) for label in classes]


def test_a_target_asked_to_be_a_category_is_one(freeze):
    column = freeze(target(range(11)), target="y", types={"y": "category"}).facts.columns[-1]
    assert (column.kind, column.dtype) == ("category", "int64")


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (target(["a", "b"]), {"target": "z"}, "target names no column: z. Known: x, y."),
        (target(["a", "b"]), {"target": "y", "weight": "xx"}, "weight names no column: xx. Did you mean x?"),
        (target(["a", "b"]), {"target": "y", "drop": ["q"]}, "drop names no column: q"),
        (target(["a", "b"]), {"target": "y", "keep": ["q"]}, "keep names no column: q"),
        (target(["a", "b"]), {"target": "y", "types": {"q": "number"}}, "types names no column: q"),
        (target(["a", "b"]), {"target": "y", "keep": ["y"]}, "y is the target and also named by keep"),
        (target(["a", "b"]), {"target": "y", "keep": ["x"], "drop": ["x"]}, "x is named by keep and by drop"),
        (target(["a", "b"]), {"target": "y", "drop": ["x"]}, "no column is left to learn from"),
        (target(["?", "?"]), {"target": "y"}, "every row lacks a target"),
        (
            target(["a", "b"]),
            {"target": "y", "types": {"y": "number"}},
            "no row has a target that reads as a number",
        ),
        (target(["a", "a"]), {"target": "y"}, "every row has the same value, 'a'"),
        (target([5, 5]), {"target": "y"}, "every row has the same value, 5"),
        (target(["a", "b", "c"]), {"target": "y"}, "3 distinct labels in 3 rows look like an identifier"),
        (target(["2020-01-01", "2020-01-02"]), {"target": "y"}, "a date is no target"),
        (target(["no", "yes"]), {"target": "y", "positive": "yess"}, "Did you mean yes?"),
        (target(["1.5", "2"]), {"target": "y", "positive": 2}, "and this one is regression"),
        (target(["a", "b", "c"] * 2), {"target": "y", "positive": "a"}, "and this one is multiclass"),
        ("x,w,y\n1,1,a\n2,0,b\n", {"target": "y", "weight": "w"}, "weight w is 0 in row 1 (counted from 0)"),
        ("x,w,y\n1,1,a\n2,,b\n", {"target": "y", "weight": "w"}, "weight w is None in row 1"),
        ("x,w,y\n1,1,a\n2,inf,b\n", {"target": "y", "weight": "w"}, "weight w is inf in row 1"),
        ("x,w,y\n1,u,a\n2,v,b\n", {"target": "y", "weight": "w"}, "weight w holds no numbers"),
        ("x\n1\n", {"source": ""}, "no source is named"),
        ("x\n1\n", {"source": "dota.csv"}, "Did you mean data.csv?"),
    ],
)
def test_bad_asks(freeze, tmp_path, text, options, says):
    with pytest.raises(BadInput) as error:
        freeze(text, **options)
    assert says in str(error.value)
    assert not Work(tmp_path).snapshots.exists()


def test_more_than_a_thousand_classes(freeze):
    values = list(range(1001)) * 2
    with pytest.raises(BadInput, match="1001 distinct labels"):
        freeze(target(values), target="y", types={"y": "category"})


# ---------------------------------------------------------------- findings


def test_mixed_type(freeze):
    text = "a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(19)) + "n.a.,1\n"
    (finding,) = found(freeze(text, target="y"), "quality.mixed_type")
    assert (finding.severity, finding.columns, finding.rows.count) == ("warn", ["a"], 1)
    assert "'n.a.' in row 19" in finding.says
    assert (finding.fix.do, finding.fix.columns, finding.fix.to) == ("cast", ["a"], "number")


def test_infinite(freeze):
    (finding,) = found(freeze("a,y\ninf,0\n-inf,1\n2.5,1\n", target="y"), "quality.infinite")
    assert finding.numbers == {"cells": 2}
    assert (finding.fix.do, finding.fix.columns, finding.fix.markers) == ("missing", ["a"], ["inf"])


@pytest.mark.parametrize(
    ("cells", "code", "rows"),
    [([*range(19), "n.a."], "quality.mixed_type", [19]), ([1.5, "inf", 2, "-inf"], "quality.infinite", [1, 3])],
)
def test_odd_cells_are_named_by_their_rows(freeze, tmp_path, cells, code, rows):
    text = "a,y\n" + "".join(f"{cell},{at % 2}\n" for at, cell in enumerate(cells))
    (finding,) = found(freeze(text, target="y"), code)
    assert pl.read_parquet(tmp_path / finding.rows.ref.name)["row"].to_list() == rows


def test_an_infinite_target_is_a_missing_one(freeze, tmp_path):
    record = freeze("a,y\n1,inf\n2,1.5\n3,2.5\n", target="y")
    assert record.facts.left_out == 1
    assert frame_of(record, tmp_path)["y"].to_list() == [None, 1.5, 2.5]
    assert (record.facts.columns[1].missing, record.facts.columns[1].distinct) == (1, 2)
    assert found(record, "quality.infinite")[0].fix is None


def test_large_integers(freeze):
    text = f"a,id,y\n{2**53 + 1},{2**60},0\n1,2,1\n"
    (finding,) = found(freeze(text, target="y", keep=["id"]), "quality.large_integer")
    assert (finding.columns, finding.rows.count, finding.fix) == (["a"], 1, None)


def test_missing_target(freeze, tmp_path):
    record = freeze(target(["a", "?", "b", "", "a"]), target="y")
    (finding,) = found(record, "quality.missing_target")
    assert finding.says == "2 rows without y left out: 1, 3 (counted from 0)"
    assert finding.numbers == {"rows": 2, "share": 0.4}
    assert (record.facts.left_out, record.facts.rows) == (2, 5)
    assert frame_of(record, tmp_path).height == 5


def test_unparsable(freeze, tmp_path):
    record = freeze("a,y\n1,0\nx,1\n", target="y", types={"a": "number"})
    (finding,) = found(record, "quality.unparsable")
    assert "1 cell that cannot be became missing: the first is 'x' in row 1" in finding.says
    assert frame_of(record, tmp_path)["a"].to_list() == [1, None]


def test_many_columns_share_one_finding(freeze):
    names = [f"c{i}" for i in range(1001)]
    text = ",".join([*names, "y"]) + "\n" + ",".join(["inf"] * 1001 + ["0"]) + "\n" + ",".join(["1"] * 1002) + "\n"
    record = freeze(text, target="y")
    assert [finding.code for finding in record.findings] == ["quality.infinite", "quality.wide"]
    assert record.findings[0].columns == record.findings[0].fix.columns == names
    assert record.findings[1].numbers == {"columns": 1002}


# ---------------------------------------------------------------- the user's own test file

TRAIN = "a,b,c,y\n1.5,x,true,no\n2.5,y,false,no\n3,x,true,yes\n"


def sealed(record, tmp_path):
    return snapshots.get(Work(tmp_path).snapshots, record.facts.test_digest)


def test_labelled_test_file_gets_the_training_types(freeze, tmp_path):
    record = freeze(TRAIN, "y,extra,c,b,a\nyes,1,TRUE,007,4\nno,1,,8,5\n", target="y")
    assert (record.facts.test_rows, record.facts.test_labelled) == (2, True)
    frame = sealed(record, tmp_path)
    assert frame.schema == frame_of(record, tmp_path).schema
    assert frame.rows() == [(4.0, "007", True, "yes"), (5.0, "8", None, "no")]
    assert [source.name for source in record.facts.sources] == ["data.csv", "test.csv"]


@pytest.mark.parametrize("text", ["a,b,c\n1,x,true\n", "a,b,c,y\n1,x,true,?\n"])
def test_unlabelled_test_file(freeze, tmp_path, text):
    record = freeze(TRAIN, text, target="y")
    assert (record.facts.test_rows, record.facts.test_labelled) == (1, False)
    assert sealed(record, tmp_path).columns == ["a", "b", "c"]


def test_partly_labelled_test_file(freeze, tmp_path):
    record = freeze(TRAIN, "a,b,c,y\n1,x,true,?\n2,x,true,no\n", target="y")
    assert (record.facts.test_rows, record.facts.test_labelled) == (1, True)
    assert sealed(record, tmp_path)["a"].to_list() == [2.0]


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        (TRAIN, "a,b,y\n1,x,no\n", "the test file lacks 1 columns of the training data: c"),
        (
            TRAIN,
            "a,b,c,y\n1,x,true,no.\n",
            "y is no. here, which never occurs in training. Did you mean no? Known: no, yes.",
        ),
        (target([0, 1]), "x,y\n1,2\n", "y is 2 here, which never occurs in training"),
        (target([0, 1]), "x,y\n1,one\n", "y is one here, which never occurs in training"),
        (target(["true", "false"]), "x,y\n1,maybe\n", "y is maybe here, which never occurs in training"),
        (target(["1.5", "2"]), "x,y\n1,one\n", "y is one here, which cannot be read as in training"),
    ],
)
def test_bad_test_files(freeze, train, test, says):
    with pytest.raises(BadInput) as error:
        freeze(train, test, target="y")
    assert str(error.value).startswith("test.csv: ")
    assert says in str(error.value)


def test_whole_float_labels_are_the_training_labels(freeze):
    assert freeze(target([0, 1]), "x,y\n1,1.0\n", target="y").facts.test_labelled


# ---------------------------------------------------------------- keys and place


def test_source_digests_follow_the_bytes(tmp_path):
    work = Work(tmp_path)
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "t.csv").write_text("a\n2\n")
    ask, split = spec.Snapshot(source="a.csv"), spec.Split(file="t.csv")
    before = source_digests(ask, split, work)
    assert list(before) == ["source.0.a.csv", "test.0.t.csv"]
    (tmp_path / "t.csv").write_text("a\n3\n")
    after = source_digests(ask, split, work)
    assert [key for key in before if before[key] != after[key]] == ["test.0.t.csv"]
    assert source_digests(spec.Snapshot(source="snapshot:abc"), spec.Split(), work) == {"source": "abc"}


def test_code_version(tmp_path):
    def git(*arguments):
        name = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    assert machine.code(tmp_path).commit is None
    (tmp_path / "a.txt").write_text("one\n")
    git("add", ".")
    git("commit", "-m", "one")
    clean = machine.code(tmp_path)
    assert (len(clean.commit), clean.dirty, clean.why) == (40, False, "")
    (tmp_path / "a.txt").write_text("two\n")
    dirty = machine.code(tmp_path)
    assert (dirty.commit, dirty.dirty) == (clean.commit, True)
    assert b"-one\n+two\n" in dirty.diff


def test_no_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    code = machine.code(tmp_path)
    assert code.commit is None
    assert "not a git repository" in code.why


def test_no_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.code(tmp_path).why == "git is not installed"


def test_packages():
    assert machine.packages()["polars"] == pl.__version__


def test_text_labels_of_a_typed_source_stay_text(tmp_path):
    frame = pl.DataFrame({"x": [1, 2, 3, 4], "y": ["01", "1", "01", "1"]})
    frame.write_parquet(tmp_path / "typed.parquet")
    made = snapshot(spec.Snapshot(source="typed.parquet", target="y"), spec.Split(), Work(tmp_path))
    assert made.facts.classes == ["01", "1"]


# ---------------------------------------------------------------- more rows than are held


def test_rows_on_disk_make_the_same_record_as_rows_in_memory(tmp_path, monkeypatch):
    frame = pl.DataFrame(
        {
            "n": [1.5, float("nan"), float("inf"), 2.0] * 5,
            "s": [" x", "NA", "y ", "z"] * 5,
            "odd": [*["1"] * 19, "n/k"],
            "y": [0.5, 1.5, float("inf"), None] * 5,
        }
    )
    frame.write_parquet(tmp_path / "data.parquet")
    ask = spec.Snapshot(source="data.parquet", target="y")
    held = snapshot(ask, spec.Split(), Work(tmp_path))
    monkeypatch.setattr(tables, "MOST_HELD", 3)
    stored = snapshot(ask, spec.Split(), Work(tmp_path))
    assert stored.facts == held.facts
    assert stored.findings == held.findings


def test_a_bad_target_on_disk_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_HELD", 3)
    pl.DataFrame({"a": range(9), "y": [1] * 9}).write_parquet(tmp_path / "data.parquet")
    work = Work(tmp_path)
    with pytest.raises(BadInput, match="every row has the same value"):
        snapshot(spec.Snapshot(source="data.parquet", target="y"), spec.Split(), work)
    assert not work.snapshots.exists() or not list(work.snapshots.iterdir())


@pytest.mark.parametrize(
    ("secret", "kind"),
    [
        ("bob@x.org", "an e-mail address"),
        ("+49 151 23456789", "a phone number"),
        ("4111 1111 1111 1111", "a card number"),
    ],
)
def test_a_personal_cell_is_named_by_its_kind(secret, kind):
    odd = Odd(25, 5, secret)
    fact = Fact("a", "number", "float64", 0, 9, "", mixed=odd, unparsable=odd)
    for says in (mixed_says(fact), unparsable_says(fact)):
        assert f"the first is {kind}, in row 5 (counted from 0)" in says
        assert secret not in says
    plain = Fact("a", "number", "float64", 0, 9, "", mixed=Odd(2, 5, "n/a"))
    assert "the first is 'n/a' in row 5 (counted from 0)" in mixed_says(plain)
