"""Delimited text to a frame: encoding, delimiter and raggedness are found out; cells are typed only where sure.

polars parses. It pads short lines and trips over loose quotes, so a regular shape is proved first, by counting;
text that fails the proof goes through the csv module before, which knows every line and writes it anew.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from forgeline.errors import BadInput

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blanks"}
SNIFFED_BYTES = 65_536
SNIFFED_LINES = 200
LEAST_FIT = 0.5
"""Share of lines that must split like the header for a delimiter to be believed."""
TYPED_ROWS = 10_000
"""Rows from which polars guesses types; a later cell that does not fit sends the whole text through as text."""
LONGEST_CELL = 2**24
"""Characters; more than that is a quote that was never closed."""
UNFIT = (pl.exceptions.ComputeError, pl.exceptions.SchemaError)
"""What polars raises for a cell that is not of its column's type, and for a line with too many fields."""
PUNCTUATION = set("‘’“”„–—…€£¥°§©®™·•×÷±²³¹¼½¾«»¿¡´¨\xa0")
"""What cp1252 text holds beyond ASCII, besides letters."""


def parse(data: bytes, place: str, *, missing: Sequence[str], text: Collection[str] = ()) -> tuple[pl.DataFrame, str]:
    """The frame in the text, and what had to be guessed: encoding and delimiter.

    Columns named in `text` keep their cells as written. Errors: BadInput with the line.
    """
    content, encoding = to_utf8(data, place)
    if not content.strip():
        raise BadInput("the file is empty", where=place, remedy="Give a file with a header and rows.")
    delimiter = sniff(content)
    says = f"{encoding}, {DELIMITERS[delimiter]}"
    names = column_names(header(content, delimiter, place), place)
    if not is_regular(content, delimiter, len(names)):
        content, delimiter = rewrite(content, delimiter, len(names), place), ","
    try:
        return cells(content, names, delimiter, missing, text), says
    except pl.exceptions.NoDataError:
        raise BadInput("the file has a header but no rows", where=place, remedy="Give a file with rows.") from None
    except UNFIT:
        content = rewrite(content, delimiter, len(names), place)
        return cells(content, names, ",", missing, text), says


# ---------------------------------------------------------------- encoding


def to_utf8(data: bytes, place: str) -> tuple[bytes, str]:
    """The text as UTF-8 without a byte order mark, and the encoding it came in. Errors: BadInput."""
    data = bare(data)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return from_utf16(data, place), "utf-16"
    refuse_binary(data, place)
    if data.isascii():
        return data, "utf-8"
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return from_cp1252(data, error, place), "windows-1252 (guessed)"
    return data, "utf-8"


def bare(data: bytes) -> bytes:
    """The text without a UTF-8 byte order mark."""
    return data.removeprefix(codecs.BOM_UTF8)


def from_utf16(data: bytes, place: str) -> bytes:
    """UTF-16 text as UTF-8."""
    try:
        return data.decode("utf-16").encode()
    except UnicodeDecodeError as error:
        raise BadInput(
            f"the byte order mark says UTF-16, but byte {error.start} does not decode",
            where=place,
            remedy="Save the file as UTF-8.",
        ) from None


def refuse_binary(data: bytes, place: str) -> None:
    """Raise BadInput when the bytes are no text: a NUL, or control characters in bulk."""
    controls = len(data[:SNIFFED_BYTES].translate(None, bytes(set(range(256)) - CONTROLS)))
    if b"\0" in data or controls > 0.01 * len(data[:SNIFFED_BYTES]):
        raise BadInput(
            "the file is binary, not text",
            where=place,
            remedy="Give delimited text, Parquet or JSON lines (text also as .gz).",
        )


CONTROLS = set(range(32)) - set(b"\t\n\r\f\v")


def from_cp1252(data: bytes, error: UnicodeDecodeError, place: str) -> bytes:
    """Windows-1252 text as UTF-8, if it reads as text that way and is not UTF-8 with a few broken bytes."""
    beyond = len(data.translate(None, bytes(range(128))))
    multibyte = sum(map(len, re.findall(rb"[\xc3-\xf4][\x80-\xbf]{1,3}", data)))
    try:
        text = "" if multibyte > beyond / 2 else data.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    odd = Counter(character for character in text if not character.isascii())
    sane = sum(count for character, count in odd.items() if character.isalpha() or character in PUNCTUATION)
    if not text or sane < beyond:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"line {line} holds byte 0x{data[error.start]:02x}, which is not UTF-8",
            where=place,
            remedy="Save the file as UTF-8.",
        ) from None
    return text.encode()


# ---------------------------------------------------------------- shape


def sniff(content: bytes) -> str:
    """The delimiter under which the first lines have the header's number of fields most often.

    Blanks only if nothing else splits most lines, and then all of them alike.
    """
    lines = content[:SNIFFED_BYTES].decode(errors="ignore").splitlines(keepends=True)
    sample = "".join(lines[:SNIFFED_LINES] if len(content) <= SNIFFED_BYTES else lines[:SNIFFED_LINES][:-1])
    fits = {delimiter: fit(sample or lines[0], delimiter) for delimiter in DELIMITERS}
    blanks, _ = fits.pop(" ")
    best = max(fits, key=lambda delimiter: fits[delimiter])
    if fits[best][0] >= LEAST_FIT:
        return best
    return " " if blanks == 1.0 else ","


def fit(sample: str, delimiter: str) -> tuple[float, int]:
    """Share of lines with as many fields as the first, and that number; (0, 0) when it does not split."""
    lines = io.StringIO(sample.replace("\t", " ") if delimiter == " " else sample, newline="")
    lenient = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    widths = [len(fields) - (delimiter == " " and fields[-1] == "") for fields in lenient if fields]
    return (widths.count(widths[0]) / len(widths), widths[0]) if widths and widths[0] > 1 else (0.0, 0)


def records(content: bytes, delimiter: str, place: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the 1-based line it starts on; empty lines are left out. Errors: BadInput."""
    if delimiter == " ":
        content = content.replace(b"\t", b" ")
    lines = io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise BadInput(
                f"line {start} has a quoted cell that does not end at a delimiter ({error})",
                where=place,
                remedy='Close the quote, and write a quote inside a quoted cell as "".',
            ) from None
        if fields is None:
            return
        if delimiter == " " and fields[-1:] == [""]:
            fields.pop()
        if fields:
            yield start, fields


def header(content: bytes, delimiter: str, place: str) -> list[str]:
    """Fields of the first line that is not blank."""
    return next(fields for _, fields in records(content, delimiter, place) if fields != [""])


def column_names(header: list[str], place: str) -> list[str]:
    """Stripped names; an empty one becomes `column_<n>`. Errors: BadInput naming those that occur twice."""
    names = [name.strip() or f"column_{number}" for number, name in enumerate(header, 1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise BadInput(
            f"column names occur twice: {', '.join(twice[:10])}",
            where=place,
            remedy="Rename them in the header; if the first line is data, put a header line above it.",
        )
    return names


def is_regular(content: bytes, delimiter: str, width: int) -> bool:
    """Whether polars reads it right: no quotes, no blank line, and separators that add up.

    polars refuses a line with too many fields, so an exact total also means that no line has too few.
    """
    if delimiter == " " or b'"' in content or content.count(b"\r") != content.count(b"\r\n"):
        return False
    blank = content.startswith((b"\n", b"\r\n")) or b"\n\n" in content or b"\n\r\n" in content
    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    return not blank and content.count(delimiter.encode()) == (width - 1) * lines


def rewrite(content: bytes, delimiter: str, width: int, place: str) -> bytes:
    """The same records as tidy comma-separated text. Errors: BadInput with the line that is ragged."""
    tidy = io.BytesIO()
    text = io.TextIOWrapper(tidy, "utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    for line, fields in records(content, delimiter, place):
        if fields == [""] and width > 1:
            continue
        if len(fields) != width:
            raise BadInput(
                f"line {line} has {len(fields)} fields, but the header has {width} ({DELIMITERS[delimiter]})",
                where=place,
                remedy="Mend the line; a cell that holds the delimiter needs quotes.",
            )
        writer.writerow(fields)
    text.flush()
    return tidy.getvalue()


# ---------------------------------------------------------------- cells


def cells(
    content: bytes, names: list[str], delimiter: str, missing: Sequence[str], text: Collection[str]
) -> pl.DataFrame:
    """The cells, typed when the first rows suggest a type that every later row keeps, else as text."""

    try:
        frame = pl.read_csv(content, **options(names, delimiter, missing, text, guess=True))
    except UNFIT:
        frame = pl.read_csv(content, **options(names, delimiter, missing, text, guess=False))
    return frame if "" in missing else frame.with_columns(pl.col(pl.String).fill_null(""))


def scanned(
    path: Path, names: list[str], delimiter: str, missing: Sequence[str], text: Collection[str], *, guess: bool
) -> pl.LazyFrame:
    """The cells of a regular file, unread; typed by its first rows, or all of them text. See UNFIT."""
    scan = pl.scan_csv(path, **options(names, delimiter, missing, text, guess=guess))
    return scan if "" in missing else scan.with_columns(pl.col(pl.String).fill_null(""))


def options(
    names: list[str], delimiter: str, missing: Sequence[str], text: Collection[str], *, guess: bool
) -> dict[str, Any]:
    """How polars reads cells."""
    return {
        "has_header": False,
        "skip_rows": 1,
        "separator": delimiter,
        "new_columns": names,
        "null_values": list(missing) if "" in missing else None,
        "infer_schema": guess,
        "infer_schema_length": TYPED_ROWS,
        "schema_overrides": {name: pl.String for name in names if name in text},
    }
