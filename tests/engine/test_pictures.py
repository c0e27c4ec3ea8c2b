from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forgeline.engine import pictures
from forgeline.engine.cells import Cells

image = pytest.importorskip("PIL.Image")
filters = pytest.importorskip("PIL.ImageFilter")


def scene(seed, width=96, height=64):
    """A picture with large and small structure."""
    draw = np.random.default_rng(seed)
    coarse = image.fromarray(draw.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((width, height), 3)
    fine_HW3 = np.asarray(coarse, np.float64) + draw.normal(0, 12, (height, width, 3))
    return image.fromarray(np.clip(fine_HW3, 0, 255).astype(np.uint8))


def paths(values):
    return pictures.are_paths(Cells(pl.DataFrame({"text": values})).levels("text"))


def test_paths_of_pictures():
    assert paths(["a.png", "b/c.JPG", "/d/e.jpeg", "c:\\f\\g h.tif"])
    assert not paths(["a.txt", "b.txt", "c.txt"])
    assert not paths(["https://example.org/a.png", "https://example.org/b.png", "http://example.org/c.png"])
    assert not paths(["png", ".png", "no", "yes"])
    assert not paths([1, 2, 3])


def test_where_they_lie():
    assert pictures.located(["a.png", "/b.png"], None) == [None, Path("/b.png")]
    assert pictures.located(["s\\a.png"], Path("/data")) == [Path("/data/s/a.png")]


def test_hashes_by_hand():
    falling = np.tile(np.arange(9.0)[::-1], (8, 1))
    assert pictures.difference_hash(falling) == 2**64 - 1
    assert pictures.difference_hash(falling[:, ::-1]) == 0
    wave = np.tile(np.cos(np.pi * (2 * np.arange(32) + 1) * 3 / 64), (32, 1))  # frequency 3 across, 0 down
    assert pictures.frequency_hash(wave) >> 60 & 1


def test_sharpness_falls_with_blur_and_not_with_contrast():
    grey = np.asarray(scene(1).convert("L"), np.float64)
    blurred = np.asarray(scene(1).filter(filters.GaussianBlur(3)).convert("L"), np.float64)
    assert pictures.sharpness(blurred) < pictures.sharpness(grey) - 1
    assert pictures.sharpness(grey / 2) == pytest.approx(pictures.sharpness(grey))
    assert np.isnan(pictures.sharpness(np.ones((9, 9))))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_is_measured(mode, tmp_path):
    picture = image.fromarray(np.full((40, 50), 128, np.uint8)).convert("L")
    if mode == "I;16":
        picture = image.fromarray(np.full((40, 50), 128 * 257, np.uint16))
    elif mode == "F":
        picture = image.fromarray(np.tile(np.linspace(0, 1, 50, dtype=np.float32), (40, 1)))
    else:
        picture = picture.convert(mode)
    picture.save(tmp_path / "one.tif")
    one = pictures.measure(tmp_path / "one.tif")
    assert (one.width, one.height) == (50, 40)
    assert one.mean == pytest.approx(128, abs=2)


def test_what_cannot_be_read_says_why(tmp_path):
    scene(1).save(tmp_path / "good.png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "half.png").write_bytes((tmp_path / "good.png").read_bytes()[:2_000])
    (tmp_path / "folder.png").mkdir()
    for name in ("empty", "text", "half", "folder", "absent"):
        why = pictures.measure(tmp_path / f"{name}.png")
        assert isinstance(why, str)
        assert why
        assert str(tmp_path) not in why
    assert isinstance(pictures.measure(tmp_path / "good.png"), pictures.Picture)


def test_a_changed_file_is_measured_again(tmp_path):
    scene(1).save(tmp_path / "one.png")
    before = pictures.measure(tmp_path / "one.png")
    scene(1, width=80).save(tmp_path / "one.png")
    assert (before.width, pictures.measure(tmp_path / "one.png").width) == (96, 80)


def test_pictures_that_look_alike():
    first, others = scene(1), [scene(seed) for seed in range(2, 30)]
    again = [first.resize((70, 50)), first.point(lambda value: value * 0.9), first.filter(filters.GaussianBlur(1))]
    measured = [pictures.facts_of(one) for one in [first, *others, *again]]
    pairs = {tuple(pair) for pair in pictures.alike(measured).tolist()}
    same = [0, 29, 30, 31]
    assert pairs == {(one, other) for one in same for other in same if one < other}
    assert len(pictures.alike([])) == len(pictures.alike(measured[:1])) == 0
