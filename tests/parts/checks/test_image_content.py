from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forgeline.engine import pictures
from forgeline.parts.checks import image_content
from forgeline.testing import view

image = pytest.importorskip("PIL.Image")
filters = pytest.importorskip("PIL.ImageFilter")

COUNT = 60


def scene(seed, width=96, height=64):
    """A picture with large and small structure."""
    draw = np.random.default_rng(seed)
    coarse = image.fromarray(draw.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((width, height), 3)
    fine_HW3 = np.asarray(coarse, np.float64) + draw.normal(0, 12, (height, width, 3))
    return image.fromarray(np.clip(fine_HW3, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Sixty pictures of sizes that differ a little."""
    folder = tmp_path_factory.mktemp("pictures")
    for at in range(COUNT):
        scene(at, width=90 + at % 20, height=60 + at % 9).save(folder / f"{at:02d}.png")
    return folder


@pytest.fixture
def folder(clean, tmp_path):
    """A copy that a test may spoil."""
    for path in clean.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def names(rows=COUNT):
    return [f"{at:02d}.png" for at in range(rows)]


def found(folder, values, **options):
    table, target = view(pl.DataFrame({"count": values}), base=folder)
    return list(image_content.check(table, target, **options)), [rows.tolist() for rows, _ in table.keep_rows.kept]


def spoil(folder, rows, change):
    for row in rows:
        with image.open(folder / f"{row:02d}.png") as one:
            changed = change(one)
        changed.save(folder / f"{row:02d}.png")


CHANGES = {
    "blank": lambda one: image.new("RGB", one.size, (40, 90, 200)),
    "dark": lambda one: one.point(lambda value: value * 0.1),
    "blurred": lambda one: one.filter(filters.GaussianBlur(4)),
    "odd_size": lambda one: one.resize((300, 20)),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_bad_pictures_are_found_row_by_row(folder, kind):
    spoil(folder, range(5, 9), CHANGES[kind])
    (one,), (rows,) = found(folder, [*names(), "05.png", None])
    assert (one.code, one.severity, one.columns) == (f"image.{kind}", "warn", ["count"])
    assert rows == [5, 6, 7, 8, 60]
    assert (one.numbers["pictures"], one.numbers["opened"]) == (4, 60)


def test_clean_pictures(clean):
    assert found(clean, names()) == ([], [])


def test_broken_and_missing_files(folder):
    (folder / "03.png").write_bytes(b"no picture")
    (folder / "04.png").write_bytes((folder / "04.png").read_bytes()[:3_000])
    (folder / "05.png").unlink()
    (one,), (rows,) = found(folder, names())
    assert (one.code, one.severity) == ("image.unreadable", "warn")
    assert rows == [3, 4, 5]


def test_absolute_paths_need_no_folder(folder):
    spoil(folder, range(4), CHANGES["blank"])
    values = [str(folder / name) for name in names()]
    assert [one.code for one in found(None, values)[0]] == ["image.blank"]


def test_of_one_size_any_other_is_odd(folder):
    spoil(folder, range(COUNT), lambda one: one.resize((64, 64)))
    spoil(folder, range(3), lambda one: one.resize((70, 64)))
    (one,), (rows,) = found(folder, names())
    assert (one.code, rows) == ("image.odd_size", [0, 1, 2])


def test_one_row_is_a_note_and_a_sample_is_said(folder):
    spoil(folder, [0], CHANGES["blank"])
    (one,), _ = found(folder, names(), most_pictures=40)
    assert one.severity == "note"
    assert "an even sample of 40 pictures" in one.says


def test_few_pictures_tell_nothing_of_each_other(folder):
    spoil(folder, [0], CHANGES["odd_size"])
    spoil(folder, [1], CHANGES["blurred"])
    assert found(folder, names(10))[0] == []


@pytest.mark.parametrize("base", [None, Path("elsewhere")])
def test_files_that_are_not_there_are_a_note(base):
    (one,), _ = found(base, names())
    assert (one.code, one.severity, one.rows) == ("image.not_checked", "note", None)


def test_without_pillow_the_remedy_is_named(clean, monkeypatch):
    monkeypatch.setattr(pictures, "has_pillow", lambda: False)
    (one,), _ = found(clean, names())
    assert one.code == "image.not_checked"
    assert "pip install 'forgeline[image]'" in one.says


def test_other_columns_cost_nothing(monkeypatch):
    monkeypatch.setattr(pictures, "located", None)
    table, target = view(pl.DataFrame({"file": [f"{at}.txt" for at in range(99)], "number": range(99)}))
    assert list(image_content.check(table, target)) == []
