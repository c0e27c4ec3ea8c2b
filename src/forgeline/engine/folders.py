"""Folders that are a table: pictures or texts in a folder for each class, or a file of texts for each class.

What is found is the column `image` or `text`, and `label`, the name of the folder or file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from forgeline.engine import pictures

TEXTS = (".txt", ".text")


class Found(NamedTuple):
    """The rows of a folder, and what it is."""

    frame: pl.DataFrame
    size_bytes: int
    form: str


def files_of(folder: Path) -> list[Path]:
    """The files that a folder is a table of, sorted by path; none where it is no such folder."""
    return pictures_in(folder) or texts_in(folder) or classes_in(folder)


def read(folder: Path, content: Callable[[Path], bytes]) -> Found:
    """The rows of a folder that has such files; `content` reads one."""
    files = files_of(folder)
    contents = [content(path) for path in files]
    size = sum(map(len, contents))
    if files == pictures_in(folder):
        cells = pl.Series(contents, dtype=pl.Binary)
        return Found(labelled("image", cells, [path.parent.name for path in files]), size, "pictures in folders")
    texts = [decoded(each) for each in contents]
    if files == texts_in(folder):
        cells = pl.Series([text.strip() or None for text in texts], dtype=pl.String)
        return Found(labelled("text", cells, [path.parent.name for path in files]), size, "texts in folders")
    lines = [[line for line in text.splitlines() if line.strip()] for text in texts]
    labels = [path.stem for path, own in zip(files, lines) for _ in own]
    cells = pl.Series([line.strip() for own in lines for line in own], dtype=pl.String)
    return Found(labelled("text", cells, labels), size, "a file of texts for each class, a row for each line")


def labelled(name: str, cells: pl.Series, labels: list[str]) -> pl.DataFrame:
    """Cells beside their labels."""
    return pl.DataFrame({name: cells, "label": pl.Series(labels, dtype=pl.String)})


def pictures_in(folder: Path) -> list[Path]:
    """The picture files in the folders below a folder, sorted by path."""
    return below(folder, pictures.ENDINGS)


def texts_in(folder: Path) -> list[Path]:
    """The text files in the folders below a folder, sorted by path; none where it has files of its own."""
    own = any(file.suffix.lower() in TEXTS for file in folder.iterdir())
    return [] if own else below(folder, TEXTS)


def classes_in(folder: Path) -> list[Path]:
    """The text files in a folder that hold the texts of a class each: several, and nothing else, that have no first
    line in common, as files of one table with a header do."""
    seen = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    if len(seen) < 2 or any(file.suffix.lower() not in TEXTS for file in seen):
        return []
    return seen if len({first_line(file) for file in seen}) == len(seen) else []


def below(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Files with these endings in the folders below a folder, sorted by path; nothing hidden."""
    found = (file for file in folder.glob("*/**/*") if file.suffix.lower() in endings and file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def first_line(file: Path) -> bytes:
    """The first line of a file; where it cannot be read its name, which is no other's."""
    try:
        with file.open("rb") as opened:
            return opened.readline(100_000).strip()
    except OSError:
        return file.name.encode()


def decoded(data: bytes) -> str:
    """The text of a file: UTF-8, or else Windows-1252."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
