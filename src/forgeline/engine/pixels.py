"""Pictures as numbers for models of tables: the light of their blocks, in numpy and in ONNX alike.

Of whole numbers this small float32 knows every sum exactly, in whatever order it is taken.
Shapes: N rows, H rows and W columns of a picture, C colours, B blocks in all colours.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import numpy as np

from forgeline.engine.graph import Graph

COLOURS = (" in red", " in green", " in blue")
MOST_BLOCKS = 200
"""Blocks of a picture, in all colours together."""
TOGETHER = 4_096
"""Pictures that are summed at once."""


class Pixels(msgspec.Struct, frozen=True):
    """How a picture is parted; one that is missing is black."""

    column: str
    height: int
    width: int
    channels: int
    tall: int
    """Pixels of a block, …"""
    wide: int
    """… and across."""

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks of a picture, down and across."""
        return self.height // self.tall, self.width // self.wide

    @property
    def parted(self) -> list[int]:
        """The shape of pictures in which axes 2 and 4 are those of a block."""
        down, across = self.blocks
        return [-1, down, self.tall, across, self.wide, self.channels]

    @property
    def names(self) -> Iterator[str]:
        """Of its features."""
        places = itertools.product(*map(range, self.blocks), range(self.channels))
        for row, column, colour in places:
            yield f"{self.column} at {row}, {column}{COLOURS[colour] if self.channels > 1 else ''}"


def fit(column: str, shape: tuple[int, ...]) -> Pixels:
    """The smallest blocks that part pictures of a shape [H, W, C] evenly and are no more than MOST_BLOCKS."""
    height, width, channels = shape
    sizes = [
        (tall, wide)
        for tall, wide in itertools.product(divisors(height), divisors(width))
        if (height // tall) * (width // wide) * channels <= MOST_BLOCKS
    ]
    tall, wide = min(sizes, key=lambda size: (size[0] * size[1], abs(size[0] - size[1])))
    return Pixels(column, height, width, channels, tall, wide)


def divisors(number: int) -> list[int]:
    """Whole numbers that divide another."""
    return [each for each in range(1, number + 1) if number % each == 0]


def sums(piece: Pixels, pixels_UHWC: np.ndarray, shown_N: np.ndarray) -> np.ndarray:
    """float32 [N, B] of the pictures that are shown; -1 is missing. Each is summed once, whoever shows it."""
    seen, place_N = np.unique(shown_N, return_inverse=True)
    down, across = piece.blocks
    sum_SB = np.zeros((len(seen), down * across * piece.channels), np.float32)
    for at in range(int(len(seen) > 0 and seen[0] < 0), len(seen), TOGETHER):
        parted = pixels_UHWC[seen[at : at + TOGETHER]].reshape(piece.parted)
        some = parted.sum(axis=(2, 4), dtype=np.int32).astype(np.float32)
        sum_SB[at : at + len(some)] = some.reshape(len(some), -1)
    return np.asarray(sum_SB[place_N])


def draw(piece: Pixels, graph: Graph, picture: str) -> str:
    """The same as nodes, from pictures uint8 [N, H, W, C]."""
    down, across = piece.blocks
    blocks = graph.add("Reshape", graph.cast(picture, "float"), graph.constant(piece.parted, np.int64))
    light = graph.add("ReduceSum", blocks, graph.constant([2, 4], np.int64), keepdims=0)
    return graph.add("Reshape", light, graph.constant([-1, down * across * piece.channels], np.int64))
