"""Reads tables from files and from other libraries' frames, and gives each its logical digest."""

import glob
import gzip
import hashlib
import io
import json
import shutil
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from forgeline.engine import album, csv_spill, csv_text, folders, idx
from forgeline.engine.columns import STORAGE, settle, settle_one, stored
from forgeline.engine.rows import MOST_HELD, Held, OnDisk, RowSource, fresh
from forgeline.errors import BadInput

__all__ = ["Read", "Source", "digest", "find", "from_object", "read", "settle", "settle_one"]

DELIMITED = (".csv", ".tsv", ".txt", ".data")
PARQUET = (".parquet", ".pq")
JSON_LINES = (".jsonl", ".ndjson", ".json")
IDX = ".idx"
KNOWN = (*DELIMITED, *PARQUET, *JSON_LINES, IDX)


class Source(NamedTuple):
    """One file that was read; `digest` is the SHA-256 of its bytes, `says` what had to be guessed."""

    name: str
    rows: int
    size_bytes: int
    digest: str
    format: str
    says: str


@dataclass(frozen=True)
class Read:
    """The rows of all files in order, as they were stored, and where they came from."""

    rows: RowSource
    sources: list[Source]

    @property
    def frame(self) -> pl.DataFrame:
        """The rows in memory."""
        return self.rows.all()


# ---------------------------------------------------------------- finding files


def find(source: str, base: Path) -> list[Path]:
    """The files that a file name, folder or glob means, sorted by name; relative to `base`.

    Errors: BadInput when nothing is there, with the nearest name that is.
    """
    path = base / Path(source).expanduser()
    try:
        if path.is_dir():
            return files_in(path)
        if path.exists():
            return [path]
    except PermissionError:
        raise BadInput("no permission to look there", where=source, remedy="Check its access rights.") from None
    if glob.has_magic(source):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
        if found:
            return found
        raise BadInput("no file matches", where=source, remedy=f"It was looked for in {base}.")
    raise BadInput("no such file or folder", where=source, asked=path.name, known=neighbours(path.parent))


def files_in(folder: Path) -> list[Path]:
    """The data files in a folder, not in folders below it, sorted by name; the folder itself where it is one of
    pictures or texts by class. Errors: BadInput."""
    found = sorted(file for file in folder.iterdir() if extension(file) in KNOWN and not file.name.startswith("."))
    found = [file for file in found if not idx.LABELS.search(file.name)]  # they belong to pictures
    if folders.classes_in(folder) or (not found and folders.files_of(folder)):
        return [folder]
    if not found:
        raise BadInput(
            "the folder has no data files",
            where=str(folder),
            remedy=f"Looked for {', '.join(KNOWN)}, text also as .gz.",
        )
    return found


def neighbours(folder: Path) -> list[str]:
    """Names of the data files and folders in a folder, if it is there."""
    if not folder.is_dir():
        return []
    seen = (file for file in folder.iterdir() if not file.name.startswith("."))
    return [file.name for file in seen if extension(file) in KNOWN or file.is_dir()]


def extension(path: Path) -> str:
    """`.csv` of `adult.csv` and of `adult.csv.gz`; `.idx` of `train-images-idx3-ubyte.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return IDX if idx.is_idx(name) else Path(name).suffix


# ---------------------------------------------------------------- reading files


def read(
    paths: Sequence[Path], missing: Sequence[str], text: Collection[str] = (), *, spill: Path | None = None
) -> Read:
    """The rows of all files in order; `missing` lists the cell texts that mean missing.

    Columns named in `text` keep their cells as written (`007` stays `007`), and so does a column that one
    file would read as another type than the next. With `spill`, a folder, more than MOST_HELD rows of Parquet or of
    plain text stay on disk. Errors: BadInput naming the file and, in text, the line.
    """
    if spill is not None and (large := on_disk(paths, missing, text, spill)):
        return large
    parts = [load(path, missing, text) for path in paths]
    frames = [frame for frame, _ in parts]
    sources = [source for _, source in parts]
    for frame, source in parts[1:]:
        same_columns(frames[0].columns, sources[0].name, frame.columns, source.name)
    frames = [frame.select(frames[0].columns) for frame in frames]
    torn = {name for name in frames[0].columns if not agree([frame[name].dtype for frame in frames])} - set(text)
    if torn:
        return read(paths, missing, {*text, *torn})
    return Read(Held(pl.concat(frames, how="vertical_relaxed")), sources)


def on_disk(paths: Sequence[Path], missing: Sequence[str], text: Collection[str], spill: Path) -> Read | None:
    """Files of one form and schema with many rows, read no further than needed; None for others, damaged ones too."""
    if all(extension(path) in PARQUET for path in paths):
        return stacked(paths, [(path, "") for path in paths], text, "parquet")
    if any(extension(path) in (*PARQUET, *JSON_LINES, IDX) or not csv_spill.large(path) for path in paths):
        return None
    own, found = fresh(spill), None
    try:
        made = [csv_spill.spilled(path, own, missing, text) for path in paths]
        files = [each for each in made if each is not None]
        found = stacked(paths, files, (), "delimited text", own) if len(files) == len(paths) else None
    except OSError:
        return None  # reading them whole says why
    finally:
        if found is None:
            shutil.rmtree(own, ignore_errors=True)
    return found


def stacked(
    paths: Sequence[Path], files: list[tuple[Path, str]], text: Collection[str], form: str, own: Path | None = None
) -> Read | None:
    """The Parquet files that hold what is in `paths`, one below the other, where they are alike and of many rows."""
    try:
        each = [OnDisk([file]) for file, _ in files]
    except (pl.exceptions.PolarsError, OSError):
        return None
    if any(one.schema != each[0].schema for one in each) or sum(one.rows for one in each) <= MOST_HELD:
        return None
    sources = [
        Source(path.name, one.rows, path.stat().st_size, file_digest(path), form, says)
        for path, one, (_, says) in zip(paths, each, files, strict=True)
    ]
    return Read(OnDisk([file for file, _ in files], text=text, own=own), sources)


def same_columns(names: Sequence[str], first: str, others: Sequence[str], place: str) -> None:
    """Raise BadInput unless the columns of another file are exactly these, in any order."""
    lacks = [name for name in names if name not in set(others)]
    adds = [name for name in others if name not in set(names)]
    if lacks or adds:
        differs = [f"{verb} {', '.join(some[:10])}" for verb, some in (("lacks", lacks), ("adds", adds)) if some]
        raise BadInput(
            f"its columns are not those of {first}: it {' and '.join(differs)}",
            where=place,
            remedy="Files that are read together need the same columns.",
        )


def agree(dtypes: Sequence[pl.DataType]) -> bool:
    """Whether columns of these types can be put on top of each other without changing a value."""
    return len(set(dtypes)) == 1 or all(dtype in (pl.Int64, pl.Float64) for dtype in dtypes)


def load(path: Path, missing: Sequence[str], text: Collection[str]) -> tuple[pl.DataFrame, Source]:
    """The rows of one file, or of a folder by class, and what it is. Errors: BadInput."""
    if path.is_dir() and folders.files_of(path):
        rows = folders.read(path, opened)
        return rows.frame, Source(path.name, rows.frame.height, rows.size_bytes, file_digest(path), rows.form, "")
    data = file_bytes(path)
    content = unpacked(data, path) if path.name.lower().endswith(".gz") else data
    form = extension(path)
    if form in PARQUET:
        frame, name, says = parquet(content, path.name), "parquet", ""
    elif form == IDX:
        frame, name, says = idx_pictures(content, path), "idx", ""
    elif form in JSON_LINES:
        frame, name, says = json_lines(content, path.name), "json lines", ""
    else:
        frame, says = csv_text.parse(content, path.name, missing=missing, text=text)
        name = "delimited text"
    if frame.is_empty():
        raise BadInput("the file has no rows", where=path.name, remedy="Give a file with rows.")
    frame = frame.with_columns(pl.col(column).cast(pl.String) for column in frame.columns if column in text)
    return frame, Source(path.name, frame.height, len(data), hashlib.sha256(data).hexdigest(), name, says)


def idx_pictures(content: bytes, path: Path) -> pl.DataFrame:
    """The pictures of an idx file, and their labels where the file of labels lies beside it. Errors: BadInput."""
    pixels = idx.array(content, path.name)
    if pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] not in (1, 3)):
        what = f"its array has the shape {' x '.join(map(str, pixels.shape))}, so it holds no pictures"
        raise BadInput(what, where=path.name, remedy="Name the file of pictures; that of labels is found beside it.")
    columns = {"image": pl.Series([album.netpbm(each) for each in pixels], dtype=pl.Binary)}
    if beside := idx.labels_beside(path):
        data = file_bytes(beside)
        label_N = idx.array(unpacked(data, beside) if beside.name.lower().endswith(".gz") else data, beside.name)
        if label_N.shape != (len(pixels),):
            what = f"{len(label_N):,} labels for {len(pixels):,} pictures"
            raise BadInput(what, where=beside.name, remedy=f"It has to go with {path.name}.")
        columns["label"] = pl.Series(label_N.astype(np.int64))
    return pl.DataFrame(columns)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder by class, of its files' names and bytes. Errors: BadInput when it cannot
    be opened."""
    if path.is_dir():
        lines = [f"{file_digest(file)}  {file.relative_to(path).as_posix()}\n" for file in folders.files_of(path)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> BadInput:
    """What to say of a file that cannot be opened."""
    return BadInput(
        f"the file cannot be read ({error.strerror})", where=str(path), remedy="Check its path and access rights."
    )


def opened(path: Path) -> bytes:
    """All bytes of a file. Errors: BadInput when it cannot be opened."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None


def file_bytes(path: Path) -> bytes:
    """All bytes of a file. Errors: BadInput when it cannot be opened or is empty."""
    data = opened(path)
    if not data:
        raise BadInput("the file is empty", where=path.name, remedy="Give a file with a header and rows.")
    return data


def unpacked(data: bytes, path: Path) -> bytes:
    """The bytes inside a gzip file. Errors: BadInput."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(
            f"the gzip file is damaged ({error})", where=path.name, remedy="Fetch or pack it again."
        ) from None


def parquet(content: bytes, place: str) -> pl.DataFrame:
    """The frame in a Parquet file. Errors: BadInput."""
    try:
        return pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise BadInput(
            f"the Parquet file cannot be read ({reason})", where=place, remedy="Fetch or write it again."
        ) from None


def json_lines(content: bytes, place: str) -> pl.DataFrame:
    """The frame in a file with one JSON object a line. Errors: BadInput with the line."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise BadInput("the file is empty", where=place, remedy="Give one JSON object a line.")
    try:
        return pl.read_ndjson(content, infer_schema_length=None)
    except pl.exceptions.PolarsError:
        return pl.DataFrame(by_column(list(json_rows(content, place))))


def json_rows(content: bytes, place: str) -> Iterator[dict[str, Any]]:
    """Each line's object. Errors: BadInput with the line."""
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            row = error
        if not isinstance(row, dict):
            reason = getattr(row, "msg", "") or f"it is {type(row).__name__}, not an object"
            raise BadInput(
                f"line {number} is no JSON object ({reason})",
                where=place,
                remedy="Write one JSON object a line.",
            )
        yield row


def by_column(rows: list[dict[str, Any]]) -> dict[str, list[str | None]]:
    """Column → cells as text, for rows whose values have no common type."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [as_text(row.get(name)) for row in rows] for name in names}


def as_text(value: Any) -> str | None:
    """A cell as it would be written in a CSV; null and NaN are null."""
    if value is None or value != value:
        return None
    return value if isinstance(value, str) else json.dumps(value)


# ---------------------------------------------------------------- other libraries' frames


def from_object(frame: Any) -> pl.DataFrame:
    """A polars, pandas or Arrow table in storage types; a pandas index is left out. Errors: BadInput."""
    return stored(to_polars(frame))


def to_polars(frame: Any) -> pl.DataFrame:
    """The polars frame of another library's table. Errors: BadInput."""
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    if type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "columns"):
        return from_pandas(frame)
    if hasattr(frame, "__arrow_c_stream__"):
        return pl.DataFrame(frame)
    raise BadInput(f"{type(frame).__name__} is no table", remedy="Give a path, or a polars, pandas or Arrow table.")


def from_pandas(frame: Any) -> pl.DataFrame:
    """Column by column, so that pyarrow is not needed. Errors: BadInput for names that occur twice."""
    names = csv_text.column_names([str(name) for name in frame.columns], "the pandas frame")
    return pl.DataFrame([pandas_column(name, frame.iloc[:, place]) for place, name in enumerate(names)])


def pandas_column(name: str, column: Any) -> pl.Series:
    """One pandas column; objects of several types become text."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return pl.Series(name, column.to_numpy())
    if getattr(column.dtype, "kind", "") == "M":
        zone = getattr(column.dtype, "tz", None)
        utc = column.dt.tz_convert("UTC").dt.tz_localize(None) if zone else column
        return pl.Series(name, utc.to_numpy().astype("datetime64[us]"))
    values = [None if absent else value for value, absent in zip(column.tolist(), column.isna().tolist())]
    if len({type(value) for value in values if value is not None}) > 1:
        values = [None if value is None else str(value) for value in values]
    return pl.Series(name, values)


# ---------------------------------------------------------------- logical digest


SLICE = 2**16


def digest(table: RowSource) -> str:
    """SHA-256 of a settled table's logical content: names, storage, values in row order, nulls.

    Chunks, compression and file format make no difference; -0.0 is 0.0, every NaN is one NaN.
    """
    total = hashlib.sha256()
    kinds = [[name, STORAGE[dtype][1]] for name, dtype in table.schema.items()]
    total.update(json.dumps([kinds, table.rows]).encode() + b"\n")
    for series in table.columns():
        series = series.cast(pl.String) if series.dtype == pl.Binary else series
        feed = feed_text if series.dtype == pl.String else feed_numbers
        for start in range(0, len(series), SLICE):
            part = series.slice(start, SLICE)
            gap_N = part.is_null().to_numpy() if part.null_count() else np.zeros(len(part), bool)
            total.update(np.packbits(gap_N).tobytes())
            feed(part, total.update)
    return total.hexdigest()


def feed_numbers(part: pl.Series, update: Callable[[bytes], None]) -> None:
    """Little-endian values of a slice, 0 where null."""
    if part.dtype == pl.Float64:
        values = (part.fill_null(0.0) if part.null_count() else part).to_numpy() + 0.0  # turns -0.0 into 0.0
        values[np.isnan(values)] = np.nan
        update(values.astype("<f8").tobytes())
    else:
        whole = part.cast(pl.Int64)
        whole = whole.fill_null(0) if whole.null_count() else whole
        update(whole.to_numpy().astype("<i8").tobytes())


def feed_text(part: pl.Series, update: Callable[[bytes], None]) -> None:
    """Byte lengths of a slice, then its bytes; null is empty."""
    filled = part.fill_null("")
    update(filled.str.len_bytes().to_numpy().astype("<u8").tobytes())
    update("".join(filled.to_list()).encode())
