"""Reads a release and predicts with it: the one reader of predict.py, `forgeline predict` and `serve`.

    python predict.py DATA.csv -o OUT.csv [--keep COLUMN]

It needs Python 3.11, numpy and onnxruntime, nothing else. Every way to ask runs this code, with one thread and
never on a single row (measured: one alone can take another code path), so answers are bit-equal at any batch.

The token rule, by which a cell becomes what the model reads, and became what it was trained on:

- Every kind: null, NaN and blank text are missing; other text is stripped of white space, and missing if
  signature.json lists it as missing, for all columns or for its own; so is the number or date that such a text of
  its own column stands for. Spellings that training made one are made one here.
- number: true is 1 and false 0, text is read as a decimal number, dates are microseconds since 1970. All become
  float64, then float32, and what is not finite then is missing. What cannot be read is missing and counted.
- category: true is "true", 5 and 5.0 are "5", 0.1 is "0.1", text is itself. In a column that training held as
  numbers, or as true and false, text that can be read as one is one: "05" is "5" there.
- date: a date, a datetime or their ISO 8601 text ("2024-05-17", "20240517", "2024-05-17T08:30:00.25+02:00"; no
  zone is UTC). Other whole numbers are microseconds since 1970. What cannot be read is missing and counted.
- image: the bytes of a file, its path beside the data, a data: address in base64, or an array [H, W] or [H, W, C] of
  bytes; turned upright, over white where it is transparent, brought to the size that signature.json names. A
  missing one is black. All but PGM and PPM of the right size needs Pillow. What cannot be read is missing and counted.
"""

import argparse
import base64
import csv
import difflib
import functools
import gzip
import hashlib
import io
import itertools
import json
import math
import os
import re
import sys
import unicodedata
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

CHUNK = 4096  # rows in one call of the model
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # no other decoder is given foreign bytes
MOST_PIXELS = 50_000_000  # of one picture: a small file may unfold to any size
PIXELS = 2**17  # bytes of pictures in one call: networks need hundreds of times as many
EDGES = (16, 32, 64, 128, 256, 512)  # tokens that texts are filled up to, each by its own length
TOKENS = 2**11  # tokens of texts in one call
TEXTS = 256  # rows in one call that hold texts
CHARACTERS, LONG_TEXT = 2**20, 2**12  # of texts in one call, filled up to the longest; what is long for a text
BLOCK = 16 * CHUNK  # rows of a file taken together
SCHEMA = "forgeline/signature@1"
BOOLEANS = {"true": True, "false": False}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
TIME = r"[T ]([01]\d|2[0-3]):\d\d(:\d\d(\.\d+)?)?( ?(Z|[+-]\d\d:?\d\d))?"
MOMENT = re.compile(rf"\d{{4}}-\d\d-\d\d({TIME})?|\d{{8}}", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NETPBM = re.compile(rb"(P[56])(?:\s|#[^\n]*\n)+(\d{1,6})(?:\s|#[^\n]*\n)+(\d{1,6})(?:\s|#[^\n]*\n)+255\s")

Cells = Sequence[Any] | np.ndarray
Tally = Counter[tuple[str, str]]  # (what was odd, column) → cells


class BadRows(ValueError):
    """A release, or rows, that cannot be used: what is wrong, where, and what to do about it."""

    def __init__(self, what: str, *, where: object = "", remedy: str = "") -> None:
        super().__init__(f"{where}{': ' if where else ''}{what}.{' ' if remedy else ''}{remedy}")


# ---------------------------------------------------------------- the token rule


def plain(value: Any, missing: frozenset[str]) -> Any:
    """A cell as None (missing), bool, int, float, text or date. Errors: BadRows for lists and the like."""
    if isinstance(value, np.generic):
        value = value.astype("datetime64[us]").item() if isinstance(value, np.datetime64) else value.item()
    if isinstance(value, str):
        text = value.strip()
        return None if not text or text in missing else text
    if value is None or isinstance(value, (bool, int, float, date, Decimal)):
        value = float(value) if isinstance(value, Decimal) else value
        return None if value != value else value
    remedy = "A cell is text, a number, true, false, null or a date."
    raise BadRows(f"a cell holds a {type(value).__name__}, {value!s:.40}", remedy=remedy)


def typed(cell: Any, dtype: str) -> Any:
    """Text as the type its column had in training, where it can be read as one; any other cell as it is."""
    if isinstance(cell, str) and dtype == "bool":
        return BOOLEANS.get(cell.lower(), cell)
    if isinstance(cell, str) and dtype in ("int64", "float64") and NUMBER.fullmatch(cell):
        return int(cell) if WHOLE.fullmatch(cell) else float(cell)
    return cell


def number(cell: Any, dtype: str) -> float | None:
    """The cell as float64; None where it cannot be read."""
    if isinstance(cell, str):
        return float(cell) if NUMBER.fullmatch(cell) else BOOLEANS.get(cell.lower())
    if isinstance(cell, date):
        cell = microseconds(cell, dtype)
    try:
        return float(cell)
    except OverflowError:  # an integer beyond float64
        return math.inf


def token(cell: Any, dtype: str) -> str:
    """The text that names the cell's category."""
    cell = typed(cell, dtype)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).encode("utf-8", "replace").decode()  # half a surrogate pair cannot enter the model


def microseconds(cell: Any, dtype: str) -> int | None:
    """The cell as microseconds since 1970 UTC; None where it cannot be read."""
    text = str(cell)
    if isinstance(cell, (str, int)) and MOMENT.fullmatch(text):
        with suppress(ValueError):  # month 13
            cell = datetime.fromisoformat(text.replace(" ", "T", 1).replace(" ", ""))
    if isinstance(cell, date):
        moment = cell if isinstance(cell, datetime) else datetime(cell.year, cell.month, cell.day)
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)
    whole = not isinstance(cell, (str, bool)) and -(2**63) <= cell < 2**63 and cell == int(cell)
    return int(cell) if whole else None


def picture(cell: Any, ask: Mapping[str, Any], base: Path | None) -> np.ndarray | None:
    """A picture as the model reads it, uint8 [H, W, C]; None where it is missing or cannot be read. Errors: BadRows.

    Paths are relative to `base`; where that is None no path is followed.
    """
    height, width, channels = ask["height"], ask["width"], ask["channels"]
    if isinstance(cell, (list, np.ndarray)):
        data, found = b"", array_of(cell)
    else:
        data = file_of(cell, base)
        found = netpbm(data)
    if found is not None and found.shape == (height, width, channels):
        return found
    return drawn(found, data, (height, width, channels))


def array_of(cell: Any) -> np.ndarray | None:
    """An array, or lists in lists, of whole numbers from 0 to 255 as bytes [H, W, C]; None for anything else."""
    try:
        found = np.asarray(cell)
    except ValueError:  # lists of different lengths
        return None
    if found.dtype.kind not in "iu" or found.ndim not in (2, 3) or not found.size:
        return None
    fits = found.min() >= 0 and found.max() <= 255
    return found.astype(np.uint8).reshape(*found.shape[:2], -1) if fits else None


def file_of(cell: Any, base: Path | None) -> bytes:
    """The bytes of a picture's file; none where it is missing, or its file is not there."""
    if isinstance(cell, Mapping):  # as Hugging Face's datasets keep pictures
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return bytes(cell)
    text = cell.strip() if isinstance(cell, str) else ""
    with suppress(OSError, ValueError):
        if text.startswith("data:"):
            return base64.b64decode(text.partition(",")[2], validate=True)
        path = base / text.replace("\\", "/") if text and base is not None else None
        if path is not None and path.is_file():
            return path.read_bytes()
    return b""


def netpbm(data: bytes) -> np.ndarray | None:
    """The pixels of a PGM or PPM file of one byte a colour, [H, W, 1 or 3]; None for anything else."""
    head = NETPBM.match(data)
    if head is None:
        return None
    width, height, channels = int(head[2]), int(head[3]), 1 if head[1] == b"P5" else 3
    pixels = np.frombuffer(data, np.uint8, offset=head.end())
    return pixels.reshape(height, width, channels) if pixels.size == height * width * channels else None


def drawn(pixels: np.ndarray | None, data: bytes, shape: tuple[int, int, int]) -> np.ndarray | None:
    """Pixels, or a file's bytes, in another size or format; None where there are none, or they cannot be read.

    Errors: BadRows without Pillow.
    """
    if pixels is None and not data:
        return None
    try:
        from PIL import Image, ImageOps
    except ImportError:
        remedy = "Install it with: pip install Pillow"
        raise BadRows("pictures of this size or format are read with Pillow", remedy=remedy) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if pixels is None:
                opened: Any = Image.open(io.BytesIO(data), formats=FORMATS)
            else:
                opened = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
            if opened.width * opened.height > MOST_PIXELS:
                return None
            upright = flat(ImageOps.exif_transpose(opened)).convert("RGB" if shape[2] == 3 else "L")
            sized = upright.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, reducing_gap=3.0)
            return np.asarray(sized, np.uint8).reshape(shape)
    # A decoder given broken bytes raises nearly anything, and whatever it raises, the picture cannot be read.
    except Exception:
        return None


def flat(image: Any) -> Any:
    """A picture in eight bits a colour, over white where it is transparent."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        deep = np.nan_to_num(np.asarray(image, np.float64))
        top = 65535.0 if image.mode.startswith("I") else max(1.0, float(deep.max(initial=1.0)))
        return Image.fromarray(np.clip(deep * (255 / top), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return image


class Pictures:
    """Cells of pictures, decoded as they are asked for, uint8 [N, H, W, C]."""

    def __init__(
        self, cells: Cells, ask: Mapping[str, Any], missing: frozenset[str], base: Path | None, tally: Tally
    ) -> None:
        self.cells, self.ask, self.missing, self.base, self.tally = cells, ask, missing, base, tally

    def take(self, places: np.ndarray, axis: int = 0) -> np.ndarray:
        """Some of them."""
        cells = [self.cells[place] for place in places.tolist()]
        found = np.zeros((len(cells), self.ask["height"], self.ask["width"], self.ask["channels"]), np.uint8)
        for place, cell in enumerate(cells):
            if cell is None or (isinstance(cell, str) and (not cell.strip() or cell.strip() in self.missing)):
                continue
            one = picture(cell, self.ask, self.base)
            if one is None:
                self.tally["no picture that can be read, so taken as missing", self.ask["name"]] += 1
            else:
                found[place] = one
        return found


# ---------------------------------------------------------------- tokens of texts


WORDS_KEPT = 2**16  # whose ids are remembered: about 20 MB
LONG = 64  # characters of a word; a longer one is not remembered, or odd cells could fill the memory
READ = {  # part of tokenizer.json → the types of it that are read
    "model": ["WordPiece"],
    "normalizer": ["BertNormalizer"],
    "pre_tokenizer": ["BertPreTokenizer"],
    "post_processor": ["TemplateProcessing", "BertProcessing"],
}
SPACE = " \t\n\r\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # of Rust, where \v, \f, \x85 are not cleaned
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002b81f\U0002b920-\U0002ceaf"
HAN += "\U0002f800-\U0002fa1f"  # all as BERT lists them; U+2B820 to U+2B91F are Han too, but not there
MARKS = r"!-/:-@\[-`{-~"  # ASCII punctuation, which for BERT includes symbols such as $ and +


class WordPiece:
    """Text as the ids of [CLS], its pieces and [SEP]: those of `tokenizers`, with two differences.

    Special tokens written in the text, such as "[MASK]", are plain text: what a user writes must not steer the model.
    Marks, punctuation, format characters and capitals younger than Unicode 8 (2015) are what this Python's unicodedata
    says, and so are five older ones that changed (U+166D, 1734, 1885, 1886, 111C9): `tokenizers` has older tables, and
    newer ones for capitals. All are of rare scripts; emoji of any age are alike.
    """

    def __init__(self, data: bytes) -> None:
        """From the bytes of tokenizer.json, less its truncation and padding. Errors: ValueError."""
        file = checked(data)
        model, rules = file["model"], file["normalizer"]
        self.vocabulary: dict[str, int] = model["vocab"]
        self.unknown: int = self.vocabulary[model["unk_token"]]
        self.prefix: str = model["continuing_subword_prefix"]
        self.longest_word: int = model["max_input_chars_per_word"]
        self.longest_piece = max(map(len, self.vocabulary))
        self.first, self.last = ends(file["post_processor"])
        self.clean, self.lower, accents = rules["clean_text"], rules["lowercase"], rules.get("strip_accents")
        self.strip: bool = self.lower if accents is None else accents
        space = SPACE if self.clean else SPACE + "\v\f\x85"
        alone = MARKS + (HAN if rules["handle_chinese_chars"] else "")
        # No rule reaches over white space, a mark or a Han character, so the runs between them can be remembered.
        self.runs = re.compile(f"[{alone}]|[^{space}{alone}]+")
        self.remembered = functools.lru_cache(WORDS_KEPT)(self.pieces)

    def ids(self, text: str, most: int) -> list[int]:
        """At most `most` ids (2 or more), of which the last is always [SEP]."""
        found = [self.first]
        for match in self.runs.finditer(text):
            run = match[0]
            found += self.remembered(run) if len(run) <= LONG else self.pieces(run)
            if len(found) >= most:
                break
        return [*found[: most - 1], self.last]

    def pieces(self, run: str) -> list[int]:
        """The ids of a run of characters without white space."""
        if run.isascii() and run.isalnum():  # what is below would leave it alone, at a third of the speed
            return self.split(run.lower() if self.lower else run)
        if self.clean:
            run = "".join(each for each in run if not dropped(each))
        if self.strip:
            run = "".join(each for each in unicodedata.normalize("NFD", run) if unicodedata.category(each) != "Mn")
        if self.lower:  # each character for itself, so that a sigma at the end is as any other
            run = "".join(map(str.lower, run))
        words = "".join(f" {each} " if punctuation(each) else each for each in run).split(" ")
        return [piece for word in words for piece in self.split(word)]

    def split(self, word: str) -> list[int]:
        """The longest pieces of the vocabulary from left to right, or the unknown one where they do not reach."""
        if len(word) > self.longest_word:
            return [self.unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            prefix = self.prefix if start else ""
            for end in range(min(len(word), start + self.longest_piece), start, -1):
                if (piece := self.vocabulary.get(prefix + word[start:end])) is not None:
                    break
            else:
                return [self.unknown]
            found.append(piece)
            start = end
        return found


def dropped(character: str) -> bool:
    """Whether BERT cleans it away: control, format and private use; `tokenizers` keeps what is not assigned."""
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Co")


def punctuation(character: str) -> bool:
    """Whether it is a word of its own: Unicode's punctuation, and all of ASCII but letters and digits."""
    return ("!" <= character <= "~" and not character.isalnum()) or unicodedata.category(character).startswith("P")


def checked(data: bytes) -> dict[str, Any]:
    """The contents of tokenizer.json. Errors: ValueError where it asks for what is not done here."""
    try:
        file: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise ValueError(f"tokenizer.json is not JSON ({error})") from None
    for part, kinds in READ.items():
        found = file.get(part) if isinstance(file, dict) else None
        kind = found.get("type") if isinstance(found, dict) else None
        if kind not in kinds:
            raise ValueError(f"{part} {kind} of tokenizer.json is not supported, only {' or '.join(kinds)}")
    if file["model"]["unk_token"] not in file["model"]["vocab"]:
        raise ValueError(f"the unk_token {file['model']['unk_token']} of tokenizer.json is not in its vocab")
    if added := [token["content"] for token in file.get("added_tokens", []) if not token["special"]]:
        raise ValueError(f"added tokens of tokenizer.json that are not special are not supported: {added[:5]}")
    return file


def ends(rule: Mapping[str, Any]) -> tuple[int, int]:
    """The ids of [CLS] and [SEP] in a post-processor. Errors: ValueError where it adds anything else."""
    match rule:
        case {"type": "BertProcessing", "cls": [_, int(first)], "sep": [_, int(last)]}:
            return first, last
        case {
            "single": [{"SpecialToken": {"id": first}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": last}}],
            "special_tokens": known,
        }:
            match known.get(first), known.get(last):
                case {"ids": [int(one)]}, {"ids": [int(other)]}:
                    return one, other
    raise ValueError("post_processor of tokenizer.json is not supported, only one token before the text and one after")


class Spelt:
    """Texts as tokens, filled up as they are asked for."""

    def __init__(self, texts: Sequence[str], pieces: WordPiece, most: int) -> None:
        self.tokens = [pieces.ids(text, most) for text in texts]
        lengths = np.array([len(each) for each in self.tokens], np.int64)
        edges = np.array([*(edge for edge in EDGES if edge < most), most])
        self.widths = edges[np.searchsorted(edges, lengths)]

    def take(self, places: np.ndarray, axis: int = 0) -> np.ndarray:
        """The tokens of some texts of one width, int64 [N, T], 0 after the last of each."""
        found = np.zeros((len(places), self.widths[places[0]]), np.int64)
        for row, place in zip(found, places.tolist()):
            row[: len(self.tokens[place])] = self.tokens[place]
        return found


# ---------------------------------------------------------------- cells


RULES = {"number": number, "category": token, "date": microseconds}
TYPES = {"number": np.float64, "category": object, "date": np.int64}


def convert(cells: Cells, kind: str, dtype: str, missing: frozenset[str], blank: Any) -> tuple[np.ndarray, int]:
    """Cells by the token rule, `blank` where they are missing; and how many could not be read."""

    def rule(value: Any) -> Any:
        cell = plain(value, missing)
        return blank if cell is None else RULES[kind](cell, dtype)

    if isinstance(cells, np.ndarray):
        code = cells.dtype.kind
        if kind == "number" and code in "biuf":
            return cells.astype(np.float64), 0
        cells = cells.astype("datetime64[us]") if code == "M" else cells
        if kind == "date" and code == "M":  # NaT is the smallest integer, which is the reserved date as well
            return cells.astype(np.int64), 0
        cells = cells.tolist()
    types = set(map(type, cells))  # where they differ, True, 1 and 1.0 would be one key of the cache
    alike = types <= {str, type(None)} or types <= {int, type(None)}
    values = list(map(functools.cache(rule) if alike else rule, cells))
    unread = values.count(None)
    return np.array([blank if value is None else value for value in values], dtype=TYPES[kind]), unread


def mended(values: np.ndarray, ask: Mapping[str, Any], blank: Any) -> np.ndarray:
    """The input's own missing markers made missing also where they are numbers or dates, its spellings made one."""
    if ask["kind"] == "category":
        spellings = ask.get("map", {})
        return np.array([spellings.get(text, text) for text in values.tolist()], dtype=object) if spellings else values
    markers = [RULES[ask["kind"]](text, ask["dtype"]) for text in ask["missing"]]
    known = [marker for marker in markers if marker is not None]
    return np.where(np.isin(values, known), blank, values) if known else values


# ---------------------------------------------------------------- the release


@dataclass(frozen=True)
class Predictions:
    """What the model says about N rows."""

    labels: list[Any]  # in the target's own type; the values themselves for regression
    probabilities: np.ndarray | None  # float32 [N, classes]; None for regression
    values: np.ndarray | None  # float64 [N]; None for classes
    tally: Tally

    @property
    def notes(self) -> list[str]:
        """What was odd about the rows but could be answered."""
        return notes(self.tally)


def notes(tally: Tally) -> list[str]:
    """One line for each thing that was odd: `never seen in training: city (3 cells)`."""
    columns: dict[str, list[str]] = {}
    for (what, name), cells in sorted(tally.items()):
        columns.setdefault(what, []).append(f"{name} ({cells} cells)" if cells else name)
    return [f"{what}: {listed(names)}" for what, names in columns.items()]


def listed(names: Sequence[str]) -> str:
    """The first 20 names, and how many more there are."""
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def nearest(name: str, given: Iterable[str]) -> str:
    """What there is in place of a column: the nearest name, then all of them."""
    close = difflib.get_close_matches(name, names := list(given), n=1, cutoff=0.5)
    return (f"Is it {close[0]}? " if close else "") + f"Given: {listed(names) or 'no columns'}."


def verify(folder: Path) -> dict[str, bytes]:
    """Contents of the files that are read to predict, once every file in SHA256SUMS was found to match."""
    try:
        lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        remedy = "Name the folder that holds model.onnx, signature.json and SHA256SUMS."
        raise BadRows("this is no release, SHA256SUMS cannot be read", where=folder, remedy=remedy) from None
    sums = {name.strip(" *"): digest for digest, _, name in (line.partition(" ") for line in lines)}
    required = ["model.onnx", "signature.json", *(["tokenizer.json"] if "tokenizer.json" in sums else [])]
    contents = {name: content(folder / name) for name in [*required, *sums]}
    for name in contents:
        if hashlib.sha256(contents[name]).hexdigest() != sums.get(name):
            remedy = "Do not use this copy; fetch the release again from where it was made."
            raise BadRows(f"tampered release: {name} does not match SHA256SUMS", where=folder, remedy=remedy)
    return {name: contents[name] for name in required}


def content(path: Path) -> bytes:
    """All bytes of a file. Errors: BadRows."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadRows(f"the file cannot be read ({error.strerror})", where=path) from None


class Reader:
    """A release, verified and opened."""

    def __init__(self, folder: Path) -> None:
        contents = verify(folder)
        self.signature: dict[str, Any] = json.loads(contents["signature.json"])
        if self.signature["schema"] != SCHEMA:
            remedy = "Use the predict.py it came with."
            raise BadRows(f"{self.signature['schema']} is not {SCHEMA}", where=folder, remedy=remedy)
        self.inputs: list[dict[str, Any]] = self.signature["inputs"]
        self.classes: list[Any] = self.signature["classes"]
        self.class_names = [str(written(each)) for each in self.classes]
        self.columns = ["prediction", *(f"probability_{name}" for name in self.class_names)]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        self.session = onnxruntime.InferenceSession(contents["model.onnx"], options, ["CPUExecutionProvider"])
        self.asked = {each.name for each in self.session.get_inputs()}
        self.texts = [each for each in self.inputs if each.get("tokens", {}).get("tensor") in self.asked]
        self.pieces = [self.spelling(folder, contents)] if self.texts else []

    def spelling(self, folder: Path, contents: Mapping[str, bytes]) -> WordPiece:
        """What makes tokens of texts. Errors: BadRows where it is not the one that the signature names."""
        data = contents.get("tokenizer.json", b"")
        if hashlib.sha256(data).hexdigest() != self.signature["tokenizer"]:
            remedy = "Fetch the release again from where it was made."
            raise BadRows("tokenizer.json is not the one that signature.json names", where=folder, remedy=remedy)
        return WordPiece(data)

    def predict(self, columns: Mapping[str, Cells], base: Path | None = None) -> Predictions:
        """Predictions for rows given as columns, one for each row; paths of pictures are relative to `base`, and not
        followed without one. Errors: BadRows."""
        names = [each["name"] for each in self.inputs]
        for name in names:
            if name not in columns:
                raise BadRows(f"column {name} is missing", remedy=nearest(name, columns))
            if len(columns[name]) != len(columns[names[0]]):
                raise BadRows(f"columns {names[0]} and {name} do not have the same number of cells")
        tally = Tally({("not read by the model", name): 0 for name in columns if name not in names})
        feeds: dict[str, Any] = {
            each["tensor"]: self.feed(each, columns[each["name"]], tally, base) for each in self.inputs
        }
        for pieces, each in itertools.product(self.pieces, self.texts):
            blank, ask = self.signature["missing_category"], each["tokens"]
            texts = ["" if text == blank else text for text in feeds[each["tensor"]][:, 0].tolist()]
            feeds[ask["tensor"]] = Spelt(texts, pieces, ask["most"])
        scores = self.scores(feeds, len(columns[names[0]]))
        if self.classes:
            return Predictions(self.labels(scores), scores, None, tally)
        return Predictions(scores[:, 0].tolist(), None, scores[:, 0], tally)

    def feed(self, ask: Mapping[str, Any], cells: Cells, tally: Tally, base: Path | None) -> np.ndarray | Pictures:
        """One input of the model, [N, 1] or pictures; tallies what could not be read and what training never saw."""
        name, kind = ask["name"], ask["kind"]
        missing = frozenset([*self.signature["missing"], *ask["missing"]])
        if kind == "image":
            return Pictures(cells, ask, missing, base, tally)
        blank = math.nan if kind == "number" else self.signature[f"missing_{kind}"]
        try:
            values, unread = convert(cells, kind, ask["dtype"], missing, blank)
        except BadRows as error:
            raise BadRows(f"column {name}: {error}".rstrip(".")) from None
        values = mended(values, ask, blank)
        seen = {blank, *ask.get("levels", ())}
        unseen = sum(value not in seen for value in values.tolist()) if "levels" in ask else 0
        odd = {f"no {kind}, so taken as missing": unread, "never seen in training": unseen}
        tally.update({(what, name): count for what, count in odd.items() if count})
        if kind == "number":
            with np.errstate(over="ignore"):
                values = values.astype(np.float32)
            values[~np.isfinite(values)] = math.nan
        return values.reshape(-1, 1)

    @property
    def sees(self) -> bool:
        """Whether the model is given pictures."""
        return any(each["kind"] == "image" for each in self.inputs)

    @property
    def chunk(self) -> int:
        """Rows in one call of the model: fewer where they hold pictures or texts."""
        sizes = [each["height"] * each["width"] * each["channels"] for each in self.inputs if each["kind"] == "image"]
        most = TEXTS if any(each.get("text") for each in self.inputs) else CHUNK
        return min(most, max(2, PIXELS // sum(sizes))) if sizes else most

    def batches(self, feeds: Mapping[str, Any], rows: int) -> Iterator[np.ndarray]:
        """Rows that are asked about in one call: all that have texts of about one length, some at a time.

        So the tokens that a row is filled up to depend on that row alone, and with them the last bits of its answer.
        """
        spelt = [each for each in feeds.values() if isinstance(each, Spelt)]
        if not spelt:
            yield from self.parts(feeds, np.arange(rows), self.chunk)
            return
        kinds, kind = np.unique(np.stack([each.widths for each in spelt]), axis=1, return_inverse=True)
        for place, widths in enumerate(kinds.T):
            alike = np.flatnonzero(kind == place)
            size = min(self.chunk, max(2, TOKENS // int(widths.sum())))
            yield from self.parts(feeds, alike, size)

    def parts(self, feeds: Mapping[str, Any], places: np.ndarray, most: int) -> Iterator[np.ndarray]:
        """Rows in parts of at most `most`; of fewer where a text is long, as every other is filled up to it."""
        texts = [feeds[each["tensor"]] for each in self.inputs if each.get("text")]
        if not texts:
            yield from (places[at : at + most] for at in range(0, len(places), most))
            return
        lengths = np.array([[len(text) for text in column[places, 0].tolist()] for column in texts]).max(axis=0)
        at = 0
        while at < len(places):
            size = max(2, min(most, CHARACTERS // max(1, int(lengths[at : at + most].max()))))
            if lengths[at : at + size].max() > LONG_TEXT >= lengths[at : at + size].min():
                size = max(1, int(np.argmax(lengths[at : at + size] > LONG_TEXT)))  # long ones on their own
            yield places[at : at + size]
            at += size

    def scores(self, feeds: Mapping[str, Any], rows: int) -> np.ndarray:
        """The model's output for every row, at least two and at most `chunk` rows a call."""
        width, dtype = (len(self.classes), np.float32) if self.classes else (1, np.float64)
        found = np.zeros((rows, width), dtype=dtype)
        for places in self.batches(feeds, rows) if rows else ():
            batch = {name: values.take(places, axis=0) for name, values in feeds.items() if name in self.asked}
            if len(places) == 1:
                batch = {name: values.repeat(2, axis=0) for name, values in batch.items()}
            found[places] = self.session.run([self.signature["output"]], batch)[0][: len(places)]
        return found

    def labels(self, scores: np.ndarray) -> list[Any]:
        """The class of each row: by the threshold on the positive class, else the most probable one."""
        if self.signature["threshold"] is None:
            return [self.classes[place] for place in scores.argmax(axis=1).tolist()]
        positive = self.classes.index(self.signature["positive"])
        hits = scores[:, positive].astype(np.float64) >= self.signature["threshold"]
        return [self.classes[positive if hit else 1 - positive] for hit in hits.tolist()]


# ---------------------------------------------------------------- files


def read(path: Path) -> Iterator[dict[str, Cells]]:
    """Columns of a CSV or JSON lines file, also as .gz, at most BLOCK rows at a time. Errors: BadRows."""
    text = decoded(path)
    if not text.strip():
        raise BadRows("the file is empty", where=path)
    lines = path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson", ".json"))
    yield from read_lines(text, path) if lines else read_csv(text, path)


def decoded(path: Path) -> str:
    """The text of a file: UTF-8, UTF-16 with its mark, or else Windows-1252."""
    data = content(path)
    try:
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        text = data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise BadRows(f"the gzip file is damaged ({error})", where=path) from None
    if "\0" in text:
        raise BadRows("the file is binary, not text", where=path, remedy="Give CSV or JSON lines.")
    return text


def read_csv(text: str, path: Path) -> Iterator[dict[str, Cells]]:
    """Columns of text separated by commas, semicolons, tabs or bars; every cell is text."""
    head = text.lstrip().partition("\n")[0]
    mark = max(",;\t|", key=lambda mark: len(next(csv.reader([head], delimiter=mark))))
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True, strict=True)
    rows = filter(None, lines)  # without blank lines
    try:
        names = [name.strip() or f"column_{place}" for place, name in enumerate(next(rows), 1)]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise BadRows(f"columns are named twice: {listed(twice)}", where=path, remedy="Rename them.")
        block: list[list[str]] = []
        for row in rows:
            if len(row) != len(names):
                raise csv.Error(f"{len(row)} cells, but the header has {len(names)}")
            block.append(row)
            if len(block) == BLOCK:
                yield dict(zip(names, zip(*block)))
                block = []
        yield dict(zip(names, zip(*block) if block else [()] * len(names)))
    except csv.Error as error:
        remedy = 'A cell that holds the delimiter needs quotes; a quote inside quotes is written "".'
        raise BadRows(str(error), where=f"{path}, line {lines.line_num}", remedy=remedy) from None


def read_lines(text: str, path: Path) -> Iterator[dict[str, Cells]]:
    """Columns of JSON lines; what a row lacks is missing there."""
    rows = []
    for count, line in enumerate(text.split("\n"), 1):
        place = f"{path}, line {count}"
        try:
            row = json.loads(line) if line.strip() else None
        except ValueError as error:
            raise BadRows(f"this is not JSON ({error})", where=place) from None
        if not isinstance(row, dict | None):
            raise BadRows("this is not a JSON object", where=place, remedy="Write {column: cell}.")
        rows += [row] if row is not None else []
    names = dict.fromkeys(name for row in rows for name in row)
    yield {name: [row.get(name) for row in rows] for name in names}


def written(value: Any) -> Any:
    """A value as CSV holds it: `true`, `false` or itself; csv writes floats so that they read back exactly."""
    return ("true" if value else "false") if isinstance(value, bool) else value


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A file beside `out` that takes its place when the block ends well, and is gone otherwise."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.touch()
        yield part
        part.replace(out)
    except OSError as error:
        remedy = "Name a file in a folder that is there and can be written to."
        raise BadRows(f"it cannot be written ({error.strerror})", where=out, remedy=remedy) from None
    finally:
        with suppress(OSError):
            part.unlink()


def answers(
    reader: Reader, blocks: Iterable[Mapping[str, Cells]], keep: Sequence[str], base: Path | None
) -> Iterator[tuple[list[Cells], Predictions]]:
    """Of each block, the columns to keep and the predictions; paths are relative to `base`. Errors: BadRows."""
    inputs = {each["name"] for each in reader.inputs}
    for columns in blocks:
        for name in keep:
            if name not in columns or name in reader.columns:
                why = "would be two columns of the output" if name in reader.columns else "is not in the data"
                raise BadRows(f"column {name}, to be kept, {why}", remedy=nearest(name, columns))
        asked = {name: cells for name, cells in columns.items() if name in inputs or name not in keep}
        yield [columns[name] for name in keep], reader.predict(asked, base)


def write_csv(
    reader: Reader, blocks: Iterable[Mapping[str, Cells]], out: Path, keep: Sequence[str], base: Path | None
) -> tuple[int, Tally]:
    """Write a row for each row: what is kept, then the prediction. The number of rows, and what was odd."""
    rows, tally = 0, Tally()
    with replacing(out) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*keep, *reader.columns])
        for kept, predictions in answers(reader, blocks, keep, base):
            scores = [] if predictions.probabilities is None else predictions.probabilities.T.tolist()
            writer.writerows(zip(*(map(written, cells) for cells in [*kept, predictions.labels]), *scores))
            rows += len(predictions.labels)
            tally.update(predictions.tally)
    return rows, tally


def main(argv: Sequence[str] | None = None) -> int:
    """Predict a file with the release this file lies in; exit code 2 when it cannot be done."""
    parser = argparse.ArgumentParser(description="Predict the rows of a file with this release.")
    parser.add_argument("data", type=Path, metavar="DATA", help="CSV or JSON lines, also as .gz")
    parser.add_argument("-o", dest="out", type=Path, metavar="OUT.csv", required=True, help="a row for each row")
    parser.add_argument("--keep", action="append", default=[], metavar="COLUMN", help="carry a column over")
    asked = parser.parse_args(argv)
    try:
        rows, tally = write_csv(
            Reader(Path(__file__).parent), read(asked.data), asked.out, asked.keep, asked.data.parent
        )
    except BadRows as error:
        print(f"predict.py: {error}", file=sys.stderr)
        return 2
    said = [*(f"note: {note}" for note in notes(tally)), f"{rows} predictions in {asked.out}"]
    print("\n".join(said), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
