"""The pictures of a snapshot: the bytes of each file, kept once, under the name that stands in the cells.

Cells hold names as Binary, so that nobody takes them for text. A name is half of the SHA-256 of the bytes, so equal
pictures are one, and cells tell what is in them. Arrays of bytes become PGM or PPM, the plainest formats there are.
Shapes: H rows, W columns, C colours of a picture.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from forgeline.engine import pictures
from forgeline.engine.cells import Levels
from forgeline.errors import BadInput

FILE = "pictures.parquet"
TOGETHER = 500
"""Pictures of a part of the file that is read at once."""
FORMATS = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\x00": "tif",
    b"MM\x00*": "tif",
    b"P5": "pgm",
    b"P6": "ppm",
}
"""How files of a format begin, and their ending."""


def name_of(content: bytes) -> str:
    """`<half of the SHA-256>.png`, or another ending as the bytes say; `.bin` where they say nothing."""
    ending = next((ending for begin, ending in FORMATS.items() if content.startswith(begin)), "")
    if not ending:
        ending = "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else "bin"
    return f"{hashlib.sha256(content).hexdigest()[:32]}.{ending}"


def netpbm(pixels: np.ndarray) -> bytes:
    """A PGM or PPM file of an array of bytes [H, W] or [H, W, 3]."""
    height, width = pixels.shape[:2]
    kind = b"P6" if pixels.ndim == 3 and pixels.shape[2] == 3 else b"P5"
    return b"%s\n%d %d\n255\n" % (kind, width, height) + np.ascontiguousarray(pixels, np.uint8).tobytes()


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of an array of bytes [H, W, 1 or 3] (ISO/IEC 15948), the same on every machine."""
    height, width, channels = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # 0: no filter

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    packed = zlib.compress(lines.tobytes(), 0)  # as it is: packers differ between versions
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def enter(album: dict[str, bytes], contents: Sequence[bytes | None]) -> list[str | None]:
    """Put files into an album; the names they got, None for none."""
    names = [None if content is None else name_of(content) for content in contents]
    for name, content in zip(names, contents):
        if name is not None and content is not None:
            album.setdefault(name, content)
    return names


def save(album: Mapping[str, bytes], place: Path) -> None:
    """Write an album, in the order its pictures came."""
    contents = pl.Series("content", list(album.values()), dtype=pl.Binary)
    frame = pl.DataFrame({"name": pl.Series(list(album), dtype=pl.String), "content": contents})
    frame.write_parquet(place, compression="lz4", row_group_size=TOGETHER)


def load(place: Path, names: Collection[str]) -> dict[str, bytes]:
    """Some of an album's pictures by name, whole ones only; none where there is no album. Only those parts of the file
    are read that hold them."""
    if not place.exists() or not names:
        return {}
    known = pl.read_parquet(place, columns=["name"])["name"]
    places = known.is_in(pl.Series(sorted(set(names)), dtype=pl.String).implode()).arg_true().to_numpy()
    found: dict[str, bytes] = {}
    for block in np.unique(places // TOGETHER).tolist():
        part = pl.scan_parquet(place).slice(block * TOGETHER, TOGETHER).collect()
        part = part[places[places // TOGETHER == block] % TOGETHER]
        found |= dict(zip(part["name"].to_list(), part["content"].to_list()))
    return {name: content for name, content in found.items() if name_of(content) == name}


# ---------------------------------------------------------------- columns of pictures


@dataclass(frozen=True)
class Taken:
    """A frame whose pictures are in an album: cells hold their names."""

    frame: pl.DataFrame
    album: dict[str, bytes]
    columns: list[str]
    """Those that hold pictures."""
    absent: dict[str, np.ndarray]
    """Column → rows that name a file which is not there."""


def take(frame: pl.DataFrame, base: Path | None, *, asked: Collection[str] = ()) -> Taken:
    """The frame with the files of its pictures in an album; cells are then the bytes of names, which are no text.

    A column holds pictures where it is `asked` for, where it holds bytes, and where it holds paths of picture files,
    relative to `base`, that are there. Errors: BadInput where none of an asked column's files is.
    """
    album: dict[str, bytes] = {}
    columns, absent = [], {}
    for series in frame:
        wanted = series.name in asked
        if not (wanted or holds_bytes(series) or names_files(series, base)):
            continue
        contents = files_of(series, base)
        lost = np.array([content is None for content in contents]) & series.is_not_null().to_numpy()
        if wanted and lost.any() and lost.sum() == len(series) - series.null_count():
            first = series.drop_nulls()[0]
            remedy = "Paths are relative to the folder of the data."
            raise BadInput(f"{series.name} names no picture file that is there, such as {first}", remedy=remedy)
        if lost.any():
            absent[series.name] = np.flatnonzero(lost)
        columns.append(series.name)
        names = pl.Series(series.name, enter(album, contents), dtype=pl.String)
        frame = frame.with_columns(names.cast(pl.Binary))
    return Taken(frame, album, columns, absent)


def names_in(series: pl.Series) -> list[str]:
    """The names in a column of pictures, each once."""
    return series.drop_nulls().unique(maintain_order=True).cast(pl.String).to_list()


def holds_bytes(series: pl.Series) -> bool:
    """Whether cells hold files as they are, or in a field `bytes`."""
    dtype = series.dtype
    fields = dtype.fields if isinstance(dtype, pl.Struct) else []
    return dtype == pl.Binary or any(each.name == "bytes" and each.dtype == pl.Binary for each in fields)


def names_files(series: pl.Series, base: Path | None) -> bool:
    """Whether cells are paths of pictures, some of which are there, and pictures can be opened at all."""
    if series.dtype != pl.String or not pictures.has_pillow():
        return False
    present = series.drop_nulls()
    first = present.head(20).to_list()
    if 2 * sum(value.lower().endswith(pictures.ENDINGS) for value in first) < max(1, len(first)):
        return False
    values = present.unique(maintain_order=True)
    levels = Levels(values.alias("value"), np.ones(len(values), np.int64))
    places = pictures.located(values.head(100).to_list(), base)
    return pictures.are_paths(levels, least_levels=1) and any(path is not None and path.is_file() for path in places)


def files_of(series: pl.Series, base: Path | None) -> list[bytes | None]:
    """The bytes of each cell's file; None where the cell is empty, or the file is not there."""
    if isinstance(series.dtype, pl.Struct):
        cells = [cell or {} for cell in series.to_list()]
        return [cell.get("bytes") or file_of(cell.get("path"), base) for cell in cells]
    if series.dtype == pl.Binary:
        return [bytes(cell) if cell else None for cell in series.to_list()]
    return [file_of(value, base) for value in series.cast(pl.String).to_list()]


def file_of(value: str | None, base: Path | None) -> bytes | None:
    """The bytes of the file at a path; None where there is none."""
    path = pictures.located([value.strip()], base)[0] if value else None
    try:
        return path.read_bytes() if path and path.is_file() else None
    except (OSError, ValueError):
        return None
