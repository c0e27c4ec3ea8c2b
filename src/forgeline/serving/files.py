"""Columns of data files and frames for the reader: CSV and JSON lines by its own code, Parquet by polars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forgeline.serving import reader
from forgeline.serving.reader import BadRows, Cells

if TYPE_CHECKING:
    import polars as pl

PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".tsv", ".txt", ".data", ".jsonl", ".ndjson", ".json")


def blocks(path: Path, keep: Sequence[str] = ()) -> Iterator[dict[str, Cells]]:
    """Columns of a file, or of all data files in a folder by name, some rows at a time. Errors: BadRows.

    Columns in `keep` come as Python values, so that null stays null.
    """
    for file in files(path):
        if ending(file) in PARQUET:
            yield from frame_blocks(parquet(file), keep)
        elif ending(file) in TEXT:
            yield from reader.read(file)
        else:
            known = ", ".join((*TEXT, *PARQUET))
            raise BadRows(
                f"files ending in {ending(file) or 'nothing'} are not read",
                where=file,
                remedy=f"Known: {known}.",
            )


def files(path: Path) -> list[Path]:
    """The file itself, or the data files in a folder. Errors: BadRows when there are none."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if ending(file) in (*TEXT, *PARQUET) and file.name[0] != ".")
    if not found:
        raise BadRows("the folder holds no data files", where=path, remedy=f"Known: {', '.join((*TEXT, *PARQUET))}.")
    return found


def home(path: Path) -> Path:
    """The folder that paths in a file, or in the files of a folder, are relative to."""
    return path if path.is_dir() else path.parent


def ending(file: Path) -> str:
    """`.csv` of `rows.csv` and of `rows.CSV.gz`."""
    return Path(file.name.lower().removesuffix(".gz")).suffix


def parquet(file: Path) -> pl.DataFrame:
    """The frame in a Parquet file. Errors: BadRows."""
    import polars as pl

    try:
        return pl.read_parquet(reader.content(file))
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise BadRows(f"the Parquet file cannot be read ({reason})", where=file, remedy="Write it again.") from None


def frame_blocks(frame: pl.DataFrame, keep: Sequence[str] = ()) -> Iterator[dict[str, Cells]]:
    """Columns of a frame, at most BLOCK rows at a time; one empty block for a frame without rows."""
    for part in frame.iter_slices(reader.BLOCK) if frame.height else [frame]:
        yield {each.name: each.to_list() if each.name in keep else cells(each) for each in part}


def cells(series: pl.Series) -> Cells:
    """A column as a numpy array where that loses nothing the token rule asks for, else as Python values."""
    import polars as pl

    if isinstance(series.dtype, pl.Datetime):
        zoned = series.dt.convert_time_zone("UTC") if series.dtype.time_zone else series
        return zoned.dt.replace_time_zone(None).to_numpy()
    if series.dtype.is_float() or (series.dtype.is_integer() and not series.has_nulls()):
        return series.to_numpy()
    return series.to_list()
