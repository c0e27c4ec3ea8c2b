"""The idx format of MNIST and its kin: an array behind a header, pictures in one file and labels in another."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from forgeline.errors import BadInput

NAME = re.compile(r"(.*[-.])?idx(\d)[-.]ubyte(\.gz)?|.*\.idx(\.gz)?|.*-ubyte(\.gz)?")
PICTURES, LABELS = re.compile(r"images([-.])idx3"), re.compile(r"labels[-.]idx1")


def is_idx(name: str) -> bool:
    """Whether a file's name says that it is one."""
    return NAME.fullmatch(name.lower()) is not None


def labels_beside(path: Path) -> Path | None:
    """The file of labels that goes with a file of pictures, by its name; None where there is none."""
    other = path.with_name(PICTURES.sub(r"labels\1idx1", path.name))
    return other if other != path and other.exists() else None


def array(content: bytes, place: str) -> np.ndarray:
    """The array of bytes in a file's content, [N, …]. Errors: BadInput.

    Two zero bytes, the type (8: bytes), the number of axes, four bytes for the length of each, then the values.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != 8 or not 1 <= content[3] <= 4:
        raise BadInput("this is no idx file of bytes", where=place, remedy="Its first bytes are 0, 0, 8 and the axes.")
    begin = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, begin, 4))
    if len(content) - begin != math.prod(shape):
        what = f"{len(content) - begin:,} bytes for an array of {' x '.join(map(str, shape))}"
        raise BadInput(f"the idx file is damaged: {what}", where=place, remedy="Fetch it again.")
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)
