"""Whole lines over pictures: from files to a release that says what new pictures show."""

import base64
import json
import subprocess
import sys

import drawn
import numpy as np
import polars as pl
import pytest

import forgeline as fl
from forgeline.errors import BadInput
from forgeline.serving.reader import Reader

pytest.importorskip("torch")

NET = {"use": "convnet", "width": 8, "stages": 2, "batch": 32, "epochs": 6.0}


def run(source, place, *, families=("linear",), **options):
    asked = {"target": "label", "work": 6, "train": {"families": list(families)}} | options
    return fl.run(source if isinstance(source, pl.DataFrame) else str(source), store=place / "store", **asked)


def codes(run):
    return {finding.code: finding for record in run.records for finding in record.findings}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run over files of MNIST's kind, a network among its candidates, and the folder of the files."""
    place = tmp_path_factory.mktemp("idx")
    source = drawn.write_idx(place, "train", *drawn.bars(600))
    test = drawn.write_idx(place, "t10k", *drawn.bars(200, seed=1))
    return place, run(source, place, families=["linear", NET], work=20, test=test)


def test_a_network_learns_what_pictures_show(made):
    _, done = made
    assert done.verdict == "passed"
    numbers = done.numbers
    assert numbers["test.accuracy"].value > 0.9
    assert numbers["test.accuracy"].value > numbers["test.baseline.linear.accuracy"].value + 0.1
    assert numbers["test.accuracy"].n == 200


def test_samples_are_drawn(made):
    _, done = made
    sheets = {each.title: each.samples for each in done.records[6].samples}
    assert len(sheets["Drawn by lot (test)"]) == 12
    page = (done.folder / "report.html").read_text()
    assert "img-src data:" in page, "else a browser would not show them"
    assert page.count("data:image/png;base64,") == sum(map(len, sheets.values()))
    for one in sheets.get("Worst errors (test)", []):
        assert one.said != one.truth


def test_the_record_says_what_the_column_is(made):
    _, done = made
    column = next(each for each in done.records[0].facts.columns if each.name == "image")
    assert (column.kind, column.dtype, column.missing) == ("image", "picture", 0)
    asked = json.loads((done.folder / "release" / "signature.json").read_text())["inputs"]
    assert [(each["kind"], each["height"], each["width"], each["channels"]) for each in asked] == [("image", 12, 12, 1)]


def test_a_release_answers_files_arrays_and_addresses_alike(made, tmp_path):
    _, done = made
    pictures, shows = drawn.bars(40, seed=2)
    reader = Reader(done.folder / "release")
    as_files = [drawn.png(each) for each in pictures]
    for place, content in enumerate(as_files):
        (tmp_path / f"{place}.png").write_bytes(content)
    answers = [
        reader.predict({"image": list(pictures)}),
        reader.predict({"image": as_files}),
        reader.predict({"image": [f"{place}.png" for place in range(40)]}, tmp_path),
        reader.predict({"image": ["data:image/png;base64," + base64.b64encode(each).decode() for each in as_files]}),
    ]
    for other in answers[1:]:
        assert (other.probabilities == answers[0].probabilities).all()
    assert np.mean(np.array(answers[0].labels) == shows) > 0.85
    alone = [reader.predict({"image": pictures[place : place + 1]}).probabilities[0] for place in range(10)]
    assert (np.array(alone) == answers[0].probabilities[:10]).all()


def test_what_is_no_picture_is_counted(made, tmp_path):
    _, done = made
    reader = Reader(done.folder / "release")
    found = reader.predict({"image": [b"\x89PNG broken", None, "there/is/none.png"]}, tmp_path)
    assert found.notes == ["no picture that can be read, so taken as missing: image (2 cells)"]
    hidden = reader.predict({"image": [str(tmp_path / "secret.png")]})
    assert "no picture" in hidden.notes[0], "without a folder no path is followed"


def test_predict_py_stands_alone(made, tmp_path):
    _, done = made
    pictures, shows = drawn.bars(12, seed=3)
    for place, each in enumerate(pictures):
        (tmp_path / f"{place}.png").write_bytes(drawn.png(each))
    (tmp_path / "new.csv").write_text("image\n" + "".join(f"{place}.png\n" for place in range(12)))
    command = [sys.executable, str(done.folder / "release" / "predict.py"), "new.csv", "-o", "out.csv"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "no picture" not in said.stderr
    assert (pl.read_csv(tmp_path / "out.csv")["prediction"].to_numpy() == shows).mean() > 0.7


@pytest.mark.slow
def test_the_same_run_again_ends_in_the_same_digest(made, tmp_path):
    place, done = made
    again = run(
        place / "train-images-idx3-ubyte.gz",
        tmp_path,
        families=["linear", NET],
        work=20,
        test=place / "t10k-images-idx3-ubyte.gz",
    )
    assert again.digest == done.digest


def test_folders_of_pictures_are_a_table(tmp_path):
    folder = drawn.write_folders(tmp_path / "bars", *drawn.bars(240))
    (folder / "lying" / "broken.png").write_bytes(b"\x89PNG no more")
    done = run(folder, tmp_path, until="refine")
    facts = done.records[0].facts
    assert (facts.rows, facts.classes) == (241, sorted(drawn.LABELS))
    assert codes(done)["image.unreadable"].numbers["pictures"] == 1
    assert done.records[2].facts.inputs[0].shape == [12, 12, 1]


def test_paths_bytes_and_columns_beside(tmp_path):
    pictures, shows = drawn.bars(240)
    draw = np.random.default_rng(4)
    light = draw.normal(size=240)
    y = np.where((shows == 1) & (light > 0), "yes", "no")
    (tmp_path / "seen").mkdir()
    for place, each in enumerate(pictures):
        (tmp_path / "seen" / f"{place}.png").write_bytes(drawn.png(each))
    paths = [f"seen/{place}.png" for place in range(240)]
    paths[7] = "seen/gone.png"
    pl.DataFrame({"photo": paths, "light": light, "label": y}).write_csv(tmp_path / "by_path.csv")
    by_path = run(tmp_path / "by_path.csv", tmp_path, until="snapshot")
    assert {each.name: each.kind for each in by_path.records[0].facts.columns}["photo"] == "image"
    assert codes(by_path)["image.missing_file"].rows.count == 1
    frame = pl.DataFrame({"photo": [drawn.png(each) for each in pictures], "light": light, "label": y})
    by_bytes = run(frame, tmp_path, families=[NET | {"epochs": 1.0}], work=12)
    assert {each.name for each in by_bytes.records[2].facts.inputs} == {"photo", "light"}
    answers = by_bytes.release.predict(frame.head(5))
    assert answers.height == 5


def test_colours_and_other_sizes_are_brought_to_one(tmp_path):
    small, shows = drawn.bars(90, colours=3)
    large, others = drawn.bars(90, seed=5, side=100, colours=3)
    drawn.write_folders(tmp_path / "mixed", small, shows)
    folder = drawn.write_folders(tmp_path / "mixed" / "large", large, others)
    done = run(folder.parent, tmp_path, until="refine")
    shape = done.records[2].facts.inputs[0].shape
    assert shape[2] == 3
    assert shape[0] == shape[1] <= 64


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("labels", "300 labels for 299 pictures"),
        ("damaged", "the idx file is damaged"),
        ("other", "this is no idx file of bytes"),
    ],
)
def test_idx_files_that_are_none(broken, says, tmp_path):
    pictures, shows = drawn.bars(300)
    source = drawn.write_idx(tmp_path, "train", pictures, shows)
    if broken == "labels":
        drawn.write_idx(tmp_path, "other", pictures[:299], shows[:299])
        (tmp_path / "other-images-idx3-ubyte.gz").replace(source)
    elif broken == "damaged":
        import gzip

        source.write_bytes(gzip.compress(gzip.decompress(source.read_bytes())[:-5]))
    else:
        import gzip

        source.write_bytes(gzip.compress(b"image,label\n"))
    with pytest.raises(BadInput, match=says):
        run(source, tmp_path)


def test_no_picture_at_all_is_one_clear_error(tmp_path):
    frame = pl.DataFrame({"photo": [f"gone/{place}.png" for place in range(50)], "label": ["a", "b"] * 25})
    frame.write_csv(tmp_path / "rows.csv")
    with pytest.raises(BadInput, match=r"photo names no picture file that is there, such as gone/0\.png"):
        run(tmp_path / "rows.csv", tmp_path, snapshot={"types": {"photo": "image"}})


def test_a_class_of_one_picture_is_no_obstacle(tmp_path):
    pictures, shows = drawn.bars(200)
    shows = np.where(shows == 2, 1, shows)
    shows[3] = 2
    done = run(drawn.write_folders(tmp_path / "bars", pictures, shows), tmp_path, until="refine")
    assert done.records[0].facts.classes == sorted(drawn.LABELS)


def test_a_target_of_bytes_is_refused(tmp_path):
    pictures, _ = drawn.bars(60)
    frame = pl.DataFrame({"photo": [drawn.png(each) for each in pictures], "x": np.arange(60)})
    frame.write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(BadInput, match="target photo holds bytes, which are no labels"):
        run(tmp_path / "rows.parquet", tmp_path, target="photo")


def test_kept_and_dropped_pictures_are_no_inputs(tmp_path):
    pictures, shows = drawn.bars(120)
    content = [drawn.png(each) for each in pictures]
    frame = pl.DataFrame({"kept": content, "gone": content, "x": shows + np.random.default_rng(0).normal(size=120)})
    frame = frame.with_columns(pl.Series("label", np.array(drawn.LABELS)[shows]))
    done = run(frame, tmp_path, until="refine", snapshot={"keep": ["kept"], "drop": ["gone"]})
    assert [each.name for each in done.records[2].facts.inputs] == ["x"]


def test_paths_stay_what_somebody_asked_for(tmp_path):
    pictures, shows = drawn.bars(60)
    for place, each in enumerate(pictures):
        (tmp_path / f"{place}.png").write_bytes(drawn.png(each))
    paths = [f"{place}.png" for place in range(60)]
    pl.DataFrame({"path": paths, "x": shows * 1.5, "label": shows}).write_csv(tmp_path / "rows.csv")
    asked = {"types": {"path": "category", "label": "category"}}
    done = run(tmp_path / "rows.csv", tmp_path, until="snapshot", snapshot=asked)
    assert {each.name: each.kind for each in done.records[0].facts.columns}["path"] == "category"


def test_a_picture_that_was_replaced_is_seen(tmp_path):
    pictures, shows = drawn.bars(40)
    for place, each in enumerate(pictures):
        (tmp_path / f"{place}.png").write_bytes(drawn.png(each))
    rows = pl.DataFrame({"photo": [f"{place}.png" for place in range(40)], "label": shows})
    rows.write_csv(tmp_path / "rows.csv")
    first = run(tmp_path / "rows.csv", tmp_path, until="snapshot")
    (tmp_path / "3.png").write_bytes(drawn.png(255 - pictures[3]))
    second = run(tmp_path / "rows.csv", tmp_path, until="snapshot")
    assert first.records[0].facts.digest != second.records[0].facts.digest
