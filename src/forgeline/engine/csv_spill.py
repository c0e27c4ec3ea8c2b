"""Large delimited text to Parquet on disk, a block at a time, where that reads it exactly as `csv_text` would."""

import gzip
import shutil
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from forgeline.engine import csv_text

LARGE_BYTES = 200_000_000
"""Size from which text is not read whole."""
LARGE_PACKED_BYTES = 40_000_000
"""The same of a gzip file."""
BLOCK_BYTES = 16_000_000


def large(path: Path) -> bool:
    """Whether a text file is too large to be read whole."""
    return path.stat().st_size > (LARGE_PACKED_BYTES if path.name.lower().endswith(".gz") else LARGE_BYTES)


def spilled(path: Path, folder: Path, missing: Sequence[str], text: Collection[str]) -> tuple[Path, str] | None:
    """A Parquet file in `folder` with the cells of the text, and what had to be guessed.

    None where the text is not plain: it has quotes, ragged or blank lines, or is no UTF-8; or where it is damaged.
    """
    plain = folder / f"{path.name}.text" if path.name.lower().endswith(".gz") else path
    if plain != path and not unpacked(path, plain):
        return None
    shape = shape_of(plain)
    if shape is None:
        return None
    delimiter, names = shape
    made = folder / f"{path.name}.parquet"
    for guess in (True, False):
        try:
            csv_text.scanned(plain, names, delimiter, missing, text, guess=guess).sink_parquet(made, compression="lz4")
        except csv_text.UNFIT:
            continue
        return made, f"utf-8, {csv_text.DELIMITERS[delimiter]}"
    return None


def unpacked(path: Path, plain: Path) -> bool:
    """Write what is inside a gzip file; whether it is whole."""
    try:
        with gzip.open(path) as packed, plain.open("wb") as file:
            shutil.copyfileobj(packed, file, BLOCK_BYTES)
    except (OSError, EOFError, zlib.error):
        return False
    return True


def shape_of(path: Path) -> tuple[str, list[str]] | None:
    """The delimiter and the column names, where every block is regular UTF-8. Errors: BadInput for names."""
    with path.open("rb") as file:
        head = csv_text.bare(file.read(csv_text.SNIFFED_BYTES + 1))
    if b"\n" not in head or not decodes(head[: head.rindex(b"\n")]):
        return None
    delimiter = csv_text.sniff(head)
    names = csv_text.column_names(csv_text.header(head, delimiter, path.name), path.name)
    regular = all(
        b"\0" not in block and decodes(block) and csv_text.is_regular(block, delimiter, len(names))
        for block in blocks(path)
    )
    return (delimiter, names) if regular else None


def blocks(path: Path) -> Iterator[bytes]:
    """The file in blocks of whole lines."""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES) + file.readline():
            yield block


def decodes(block: bytes) -> bool:
    """Whether it is UTF-8."""
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True
