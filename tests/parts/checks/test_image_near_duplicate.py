import io

import numpy as np
import polars as pl
import pytest

from forgeline.engine import pictures
from forgeline.parts.checks import image_near_duplicate
from forgeline.testing import view

image = pytest.importorskip("PIL.Image")


def scene(seed, width=96, height=64):
    """A picture with large and small structure."""
    draw = np.random.default_rng(seed)
    coarse = image.fromarray(draw.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((width, height), 3)
    fine_HW3 = np.asarray(coarse, np.float64) + draw.normal(0, 12, (height, width, 3))
    return image.fromarray(np.clip(fine_HW3, 0, 255).astype(np.uint8))


def found(folder, values, **options):
    table, target = view(pl.DataFrame({"picture": values}), base=folder)
    return list(image_near_duplicate.check(table, target, **options)), table.keep_rows.kept


def written(folder, change, count=40):
    """Pictures of their own, but that each of 30 to 33 is one of 0 to 3 after a change."""
    for at in range(count):
        one = change(scene(at - 30)) if 30 <= at < 34 else scene(at)
        one.save(folder / f"{at}.png")
    return [f"{at}.png" for at in range(count)]


def compressed(one):
    kept = io.BytesIO()
    one.save(kept, "JPEG", quality=40)
    return image.open(kept)


CHANGES = {
    "same": lambda one: one,
    "smaller": lambda one: one.resize((72, 48)),
    "darker": lambda one: one.point(lambda value: value * 0.85),
    "saved once more": compressed,
}


@pytest.mark.parametrize("change", CHANGES)
def test_later_pictures_that_look_like_earlier_ones(tmp_path, change):
    values = written(tmp_path, CHANGES[change])
    (one,), ((rows, _),) = found(tmp_path, [values[0], None, *values[1:], "33.png"])
    assert (one.code, one.severity, one.columns) == ("image.near_duplicate", "warn", ["picture"])
    assert rows.tolist() == [31, 32, 33, 34, 41]


def test_pictures_of_their_own(tmp_path):
    assert found(tmp_path, written(tmp_path, lambda one: one.rotate(180)))[0] == []


def test_blank_tiny_and_broken_pictures_are_left_out(tmp_path):
    for at in range(40):
        (image.new("RGB", (64, 64), (at, 0, 0)) if at < 20 else scene(1, 16, 16)).save(tmp_path / f"{at}.png")
    (tmp_path / "0.png").write_text("broken")
    assert found(tmp_path, [f"{at}.png" for at in range(41)])[0] == []


def test_frames_of_one_film_are_no_defect(tmp_path):
    for at in range(20):
        scene(1).point(lambda value, at=at: value - at).save(tmp_path / f"{at}.png")
    assert found(tmp_path, [f"{at}.png" for at in range(20)])[0] == []


def test_without_pillow_or_files_nothing_is_said(tmp_path, monkeypatch):
    values = written(tmp_path, CHANGES["same"])
    assert found(None, values)[0] == []
    monkeypatch.setattr(pictures, "has_pillow", lambda: False)
    assert found(tmp_path, values)[0] == []


def test_other_columns_cost_nothing(monkeypatch):
    monkeypatch.setattr(pictures, "alike", None)
    table, target = view(pl.DataFrame({"file": [f"{at}.txt" for at in range(99)], "number": range(99)}))
    assert list(image_near_duplicate.check(table, target)) == []
