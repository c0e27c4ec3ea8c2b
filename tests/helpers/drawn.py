"""Small pictures that tests draw: a short bright bar that lies, stands or leans somewhere on a noisy ground.

No pixel by itself tells which: a linear model of them does not see it.
"""

import gzip
import io

import numpy as np

LABELS = ("lying", "standing", "leaning")


def bars(count, *, seed=0, side=12, colours=1):
    """Pictures uint8 [N, side, side] or [N, side, side, 3], and what each shows, int64 [N]."""
    draw = np.random.default_rng(seed)
    shows = draw.integers(0, 3, count)
    light = draw.integers(0, 90, (count, side, side))
    length = side // 2
    steps = np.arange(length)
    for picture, what in zip(light, shows):
        row, column = draw.integers(0, side - length, 2)
        rows = {0: np.full(length, row), 1: row + steps, 2: row + steps}[int(what)]
        columns = {0: column + steps, 1: np.full(length, column), 2: column + steps}[int(what)]
        picture[rows, columns] = draw.integers(150, 256)
    light = light.astype(np.uint8)
    return (light if colours == 1 else np.repeat(light[..., None], 3, axis=3)), shows


def write_idx(folder, name, pictures, shows):
    """The two files of MNIST's kind; the path of the pictures' one."""
    for kind, array in (("images-idx3", pictures), ("labels-idx1", shows.astype(np.uint8))):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
        (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return folder / f"{name}-images-idx3-ubyte.gz"


def png(picture):
    """The bytes of a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def write_folders(folder, pictures, shows):
    """A folder for each class, a PNG file for each picture."""
    for place, (picture, what) in enumerate(zip(pictures, shows)):
        below = folder / LABELS[what]
        below.mkdir(parents=True, exist_ok=True)
        (below / f"{place:04d}.png").write_bytes(png(picture))
    return folder
