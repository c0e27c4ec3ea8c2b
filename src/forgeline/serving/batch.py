"""Predicts files and frames with a release: one row out for each row in, in the same order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgeline.serving import files
from forgeline.serving.reader import (
    BadRows,
    Cells,
    Predictions,
    Reader,
    Tally,
    answers,
    notes,
    replacing,
    write_csv,
)

if TYPE_CHECKING:
    import polars as pl

Write = Callable[[Reader, Iterable[Mapping[str, Cells]], Path, Sequence[str], Path | None], tuple[int, Tally]]


def predict(release: Path, data: Path, out: Path, keep: Sequence[str] = ()) -> dict[str, Any]:
    """Predict a file, or a folder of files, into a CSV or Parquet file.

    Gives `rows`, `notes` (what was odd about the rows) and `seconds`. Errors: BadRows.
    """
    started = time.perf_counter()
    writers: dict[str, Write] = {".csv": write_csv, ".parquet": write_parquet}
    if out.suffix.lower() not in writers:
        raise BadRows("predictions are written as .csv or .parquet", where=out, remedy="Name the output so.")
    write = writers[out.suffix.lower()]
    rows, tally = write(Reader(release), files.blocks(data, keep), out, keep, files.home(data))
    return {"rows": rows, "notes": notes(tally), "seconds": time.perf_counter() - started}


def predict_frame(
    release: Path, frame: pl.DataFrame, keep: Sequence[str] = (), base: Path | None = None
) -> pl.DataFrame:
    """Predictions for a frame: kept columns, then the answers. Paths of pictures are relative to `base`, and not
    followed without one. Errors: BadRows."""
    reader = Reader(release)
    return joined(reader, files.frame_blocks(frame, keep), keep, base)[0]


def write_parquet(
    reader: Reader, blocks: Iterable[Mapping[str, Cells]], out: Path, keep: Sequence[str], base: Path | None
) -> tuple[int, Tally]:
    """Write what `write_csv` writes as Parquet, typed; the number of rows, and what was odd."""
    with replacing(out) as part:
        frame, tally = joined(reader, blocks, keep, base)
        frame.write_parquet(part)
    return frame.height, tally


def joined(
    reader: Reader, blocks: Iterable[Mapping[str, Cells]], keep: Sequence[str], base: Path | None
) -> tuple[pl.DataFrame, Tally]:
    """The answers to all blocks under each other, and what was odd."""
    import polars as pl

    frames, tally = [], Tally()
    for kept, predictions in answers(reader, blocks, keep, base):
        frames.append(answer_frame(reader, dict(zip(keep, kept)), predictions))
        tally.update(predictions.tally)
    return pl.concat(frames, how="vertical_relaxed"), tally


def answer_frame(reader: Reader, kept: Mapping[str, Cells], predictions: Predictions) -> pl.DataFrame:
    """Kept columns, the label in its own type, float32 probabilities."""
    import polars as pl

    label = pl.Series(reader.classes).dtype if reader.classes else pl.Float64()
    columns = [pl.Series(name, cells, strict=False) for name, cells in kept.items()]
    columns.append(pl.Series("prediction", predictions.labels, dtype=label))
    if predictions.probabilities is not None:
        columns += map(pl.Series, reader.columns[1:], predictions.probabilities.T)
    return pl.DataFrame(columns)
