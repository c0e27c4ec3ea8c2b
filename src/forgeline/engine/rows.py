"""Tables as the line reads them: held in memory, or on disk with one column, or one part, in memory at a time."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl

MOST_HELD = 2_000_000
"""Rows up to which a table is held in memory while it is read, settled and assessed."""


class Held:
    """Rows in memory."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.rows, self.names = frame.height, frame.columns

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Storage type of each column."""
        return self.frame.schema

    def column(self, name: str) -> pl.Series:
        """One column of every row."""
        return self.frame[name]

    def columns(self) -> Iterator[pl.Series]:
        """Every column, one after the other."""
        return iter(self.frame)

    def take(self, ids_N: np.ndarray) -> pl.DataFrame:
        """Some rows, in the order of `ids_N`, which is sorted."""
        return self.frame if len(ids_N) == self.rows else self.frame[ids_N]

    def parts(self) -> Iterator[pl.DataFrame]:
        """All rows, in order, a part at a time."""
        yield self.frame

    def all(self) -> pl.DataFrame:
        """Every row of every column, in memory."""
        return self.frame


class OnDisk:
    """Rows in Parquet files: the files of a stack one below the other, the stacks side by side."""

    def __init__(
        self, *stacks: list[Path], rows_each: int = 500_000, text: Collection[str] = (), own: Path | None = None
    ) -> None:
        """`text`: columns that are read as text; `own`: a folder that goes when this object does."""
        if own is not None:
            weakref.finalize(self, shutil.rmtree, own, ignore_errors=True)
        self.scans, self.rows_each = [], rows_each
        self.schema: dict[str, pl.DataType] = {}
        self.scan_of: dict[str, pl.LazyFrame] = {}
        for files in stacks:
            scan = pl.scan_parquet(files)
            scan = scan.with_columns(pl.col(name).cast(pl.String) for name in scan.collect_schema() if name in text)
            found = scan.collect_schema()
            self.scans.append(scan)
            self.schema |= found
            self.scan_of |= dict.fromkeys(found, scan)
        self.names = list(self.schema)
        self.rows = int(self.scans[0].select(pl.len()).collect().item())

    @property
    def scan(self) -> pl.LazyFrame:
        """All columns, unread."""
        return self.scans[0] if len(self.scans) == 1 else pl.concat(self.scans, how="horizontal")

    def column(self, name: str) -> pl.Series:
        """One column of every row."""
        return self.scan_of[name].select(name).collect().to_series()

    def columns(self) -> Iterator[pl.Series]:
        """Every column, one after the other."""
        return map(self.column, self.names)

    def take(self, ids_N: np.ndarray) -> pl.DataFrame:
        """Some rows, in the order of `ids_N`, which is sorted."""
        return pl.DataFrame([self.column(name).gather(ids_N) for name in self.names])

    def parts(self) -> Iterator[pl.DataFrame]:
        """All rows, in order, a part at a time."""
        for start in range(0, self.rows, self.rows_each):
            yield self.scan.slice(start, self.rows_each).collect()

    def all(self) -> pl.DataFrame:
        """Every row of every column, in memory."""
        return self.scan.collect()


def spilled(columns: Iterable[pl.Series], folder: Path) -> OnDisk:
    """Columns that come one by one, each written to a file of its own below `folder`."""
    own, files = fresh(folder), list[list[Path]]()
    for series in columns:
        files.append([own / f"{len(files)}.parquet"])
        series.to_frame().write_parquet(files[-1][0], compression="lz4")
    return OnDisk(*files, own=own)


def fresh(folder: Path) -> Path:
    """A new folder below one that may not be there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=".new-", dir=folder))


RowSource = Held | OnDisk
"""Any of them."""
