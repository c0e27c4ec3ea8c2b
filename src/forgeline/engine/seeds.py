"""Counter-based randomness: every draw is a function of (seed, purpose, index), never of draws before it."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True)
class Seed:
    """A point in a tree of seeds; `child` walks down by purpose and index.

    >>> Seed(7).child("train", 3) == Seed(7).child("train", 3)
    True
    """

    root: int
    path: tuple[str | int, ...] = ()

    def child(self, *purpose: str | int) -> "Seed":
        """The seed for a purpose, such as `seed.child("fold", 2)`."""
        return Seed(self.root, self.path + purpose)

    @property
    def integer(self) -> int:
        """31 bits for libraries that want an integer."""
        text = repr((self.root, *self.path)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 33

    def generator(self) -> "numpy.random.Generator":
        """A numpy generator on Philox, a counter-based bit generator."""
        import numpy

        text = repr((self.root, *self.path)).encode()
        key = int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big")
        return numpy.random.Generator(numpy.random.Philox(key=key))
