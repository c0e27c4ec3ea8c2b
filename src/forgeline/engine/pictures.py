"""Pictures that a column names: opened, measured and hashed once. Needs Pillow, the extra `image`.

Shapes: H rows and W columns of a picture's luminance, 0 to 255.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from forgeline.engine.cells import Levels

NAME = r"(?i)^[^\x00-\x1f]*[^/\\\x00-\x1f]\.(png|jpe?g|bmp|gif|webp|tiff?|pgm|ppm)$"
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
ADDRESS = r"^[a-zA-Z][a-zA-Z0-9+.-]+://"
REMEDY = "pip install 'forgeline[image]'"
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
MOST_PIXELS = 50_000_000
"""Of one picture: a small file may unfold to any size."""
MOST_KEPT = 20_000
MEASURED: dict[str, Picture | str] = {}
"""Name of a picture → its measures."""


def has_pillow() -> bool:
    """Whether pictures can be opened at all."""
    return importlib.util.find_spec("PIL") is not None


def are_paths(levels: Levels, *, least_levels: int = 3, least_share: float = 0.9) -> bool:
    """Whether the values of a text column are paths of picture files; addresses in the web are none."""
    if len(levels) < least_levels or levels.values.dtype != pl.String:
        return False
    few = [value.lower().endswith(ENDINGS) for value in levels.values.head(20).to_list()]
    if 2 * sum(few) < len(few):  # settles nearly all columns
        return False
    good_L = levels.values.str.contains(NAME) & ~levels.values.str.contains(ADDRESS)
    return float(good_L.mean()) >= least_share  # type: ignore[arg-type]


def located(values: Sequence[str], base: Path | None) -> list[Path | None]:
    """Where each path lies; None for a relative one when no folder is known."""
    found: list[Path | None] = []
    for value in values:
        path = Path(value.replace("\\", "/"))
        found.append(path if path.is_absolute() else base / path if base else None)
    return found


@dataclass(frozen=True)
class Picture:
    """What is measured of one picture."""

    width: int
    height: int
    mean: float
    """Luminance on average."""
    bright: float
    """Luminance that 5 % of the pixels are above."""
    spread: float
    """Standard deviation of the colour that varies most."""
    sharpness: float
    """log10 of the variance of the Laplacian over that of the luminance; NaN for a blank picture."""
    difference_hash: int
    """64 bits: whether each of 8 by 8 places is brighter than the next on its row (Krawetz 2013)."""
    frequency_hash: int
    """64 bits: whether each of the 64 lowest frequencies is above their median (Zauner 2010)."""
    small: bytes
    """16 by 16 pixels of luminance."""


def measure(path: Path) -> Picture | str:
    """A picture's measures, or why it cannot be read; kept until the file changes."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return "there is no such file"
    if not path.is_file():
        return "it is no file"
    return measured(str(path), facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=20_000)
def measured(path: str, changed: int, size_bytes: int) -> Picture | str:
    """The measures of the file as it was at a time."""
    if not size_bytes:
        return "the file is empty"
    return opened(Path(path))


def measure_all(names: Sequence[str], files: Callable[[Collection[str]], Mapping[str, bytes]]) -> list[Picture | str]:
    """The measures of pictures whose files are handed over, by names that are theirs alone; kept while they are few."""
    if len(MEASURED) > MOST_KEPT:
        MEASURED.clear()
    new = [name for name in names if name not in MEASURED]
    MEASURED.update({name: opened(io.BytesIO(content)) for name, content in files(new).items()})
    return [MEASURED.get(name, "there is no such file") for name in names]


def opened(file: Path | io.BytesIO) -> Picture | str:
    """The measures of a picture in a file, or why it cannot be read."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    return f"it has {image.width} x {image.height} pixels"
                image.load()
                return facts_of(image)
    # A decoder given broken bytes raises nearly anything, and whatever it raises, the picture cannot be read.
    except Exception as error:
        return str(error).replace(str(file), "the file") or type(error).__name__


def facts_of(image: Any, *, most_pixels: int = 512) -> Picture:
    """The measures of an open picture; of a large one in a size whose longer side is below 2 * `most_pixels`."""
    from PIL import ImageStat

    width, height = image.size
    coloured = in_colour(image)
    coloured = coloured.reduce(max(1, max(width, height) // most_pixels))
    grey = coloured.convert("L")
    grey_HW = np.asarray(grey, np.float32)
    up_to_V = np.cumsum(grey.histogram())
    return Picture(
        width,
        height,
        mean=float(grey_HW.mean(dtype=np.float64)),
        bright=float(np.searchsorted(up_to_V, 0.95 * up_to_V[-1])),
        spread=max(ImageStat.Stat(coloured).stddev),
        sharpness=sharpness(grey_HW),
        difference_hash=difference_hash(shrunk(grey, 9, 8)),
        frequency_hash=frequency_hash(shrunk(grey, 32, 32)),
        small=shrunk(grey, 16, 16).round().astype(np.uint8).tobytes(),
    )


def in_colour(image: Any) -> Any:
    """Eight bits of red, green and blue; what is transparent is white."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        deep_HW = np.asarray(image, np.float64)
        top = 65535.0 if image.mode.startswith("I") else max(1.0, float(np.nanmax(deep_HW, initial=1.0)))
        eight_HW = np.clip(np.nan_to_num(deep_HW) * (255 / top), 0, 255).astype(np.uint8)
        return Image.fromarray(eight_HW).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image.convert("RGB")


def shrunk(grey: Any, width: int, height: int) -> np.ndarray:
    """Luminance in another size, float64 [height, width]."""
    from PIL import Image

    return np.asarray(grey.resize((width, height), Image.Resampling.BOX), np.float64)


def sharpness(grey_HW: np.ndarray) -> float:
    """log10 of the variance of the Laplacian (Pech-Pacheco et al. 2000) over the variance: contrast does not count."""
    if min(grey_HW.shape) < 3 or grey_HW.var() < 1:
        return float("nan")
    inner = grey_HW[1:-1, 1:-1]
    laplacian_HW = grey_HW[:-2, 1:-1] + grey_HW[2:, 1:-1] + grey_HW[1:-1, :-2] + grey_HW[1:-1, 2:] - 4 * inner
    return float(np.log10(max(float(laplacian_HW.var()), 1e-6) / grey_HW.var()))


def difference_hash(grey_8x9: np.ndarray) -> int:
    """64 bits of brighter-than-the-next."""
    return packed(grey_8x9[:, :-1] > grey_8x9[:, 1:])


def frequency_hash(grey_32x32: np.ndarray) -> int:
    """64 bits of the lowest frequencies of a cosine transform, the mean left out of their median."""
    at = np.arange(32)
    wave_8x32 = np.cos(np.pi * (2 * at[None, :] + 1) * np.arange(8)[:, None] / 64)
    low_8x8 = wave_8x32 @ grey_32x32 @ wave_8x32.T
    return packed(low_8x8 > np.median(low_8x8.ravel()[1:]))


def packed(bits: np.ndarray) -> int:
    """64 true-or-false as one number."""
    return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")


# ---------------------------------------------------------------- likeness


def alike(
    pictures: Sequence[Picture], *, most_bits: int = 6, most_bits_frequency: int = 10, least_correlation: float = 0.97
) -> np.ndarray:
    """Pairs of pictures that look the same, int64 [P, 2], the earlier first.

    Both hashes must be near, and 16 by 16 pixels correlate: pictures of one thing on white share hashes by chance.
    """
    first_N = np.array([one.difference_hash for one in pictures], np.uint64)
    second_N = np.array([one.frequency_hash for one in pictures], np.uint64)
    small_NE = np.array([np.frombuffer(one.small, np.uint8) for one in pictures], np.float32).reshape(-1, 256)
    small_NE -= small_NE.mean(axis=1, keepdims=True)
    small_NE /= np.maximum(np.linalg.norm(small_NE, axis=1, keepdims=True), 1e-6)
    found = [np.zeros((0, 2), np.int64)]
    for at in range(len(pictures) - 1):
        near = at + 1 + np.flatnonzero(np.bitwise_count(first_N[at + 1 :] ^ first_N[at]) <= most_bits)
        near = near[np.bitwise_count(second_N[near] ^ second_N[at]) <= most_bits_frequency]
        near = near[small_NE[near] @ small_NE[at] >= least_correlation]
        found.append(np.column_stack([np.full(len(near), at), near]))
    return np.concatenate(found)
