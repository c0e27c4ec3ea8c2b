"""bfloat16 against float32 on this machine, and whether the loader keeps the loop busy, on Fashion-MNIST.

    python benchmarks/precisions.py --data FOLDER [--epochs 0.4] [--threads 2] [--quick]

The same small convolutional network, the same steps, either precision; images are decoded by threads ahead of the loop
(bytes of the file to floats, padded and shifted at random). Printed: accuracy on the 10,000 test images with its 95 %
interval (Wilson), seconds, the ratio of speeds, and the share of the time that the loop was busy. A processor without
instructions for bfloat16 takes eight times as long for it, so the default is short.
"""

import argparse
import gzip
import json
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from forgeline.engine.checkpoint import Vault
from forgeline.engine.feed import Decoded
from forgeline.engine.journal import Journal
from forgeline.engine.loop import train
from forgeline.engine.order import Order
from forgeline.engine.places import Folder
from forgeline.engine.recipe import Recipe
from forgeline.engine.schedules import cosine, warmed
from forgeline.engine.seeds import Seed
from forgeline.engine.telling import COLUMNS

BUSY, BATCH = 0.95, 128


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="folder with train-images-idx3-ubyte.gz …")
    options.add_argument("--epochs", type=float, default=0.4)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--quick", action="store_true", help="a tenth of an epoch")
    asked = options.parse_args()
    images, labels = (read(asked.data, f"train-{kind}.gz") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    test = {kind: read(asked.data, f"t10k-{kind}.gz") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")}
    steps = int((0.1 if asked.quick else asked.epochs) * len(images) / BATCH)
    found = {}
    for name in ("float32", "bfloat16"):
        found[name] = run(name, images, labels, steps, asked.threads, test)
        right, seconds, busy = found[name]
        low, high = wilson(right, len(test["labels-idx1-ubyte"]))
        print(
            f"{name:<10}accuracy {right / 1e4:.4f} [{low:.4f}, {high:.4f}]  {seconds:.1f} s  busy {busy:.3f}",
            flush=True,
        )
    (right, seconds, busy), (low_right, low_seconds, low_busy) = found["float32"], found["bfloat16"]
    low, high = wilson(right, 10_000)
    same = low <= low_right / 1e4 <= high
    figures = {"same": same, "speed_up": seconds / low_seconds, "busy": min(busy, low_busy), "steps": steps}
    print(json.dumps({"found": found, **figures, "holds": same and figures["busy"] >= BUSY}))
    return 0 if same and figures["busy"] >= BUSY else 1


def read(folder: Path, name: str) -> np.ndarray:
    """An idx file: its bytes behind a header of four bytes, and four for each axis."""
    data = gzip.decompress((folder / name).read_bytes())
    axes = data[3]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(np.frombuffer(data, ">i4", axes, 4))


class Convolutions:
    """Three convolutions and a mean over places."""

    classes = 10

    def __init__(self) -> None:
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for inside, outside in ((1, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(), nn.MaxPool2d(2)]
        self.module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.module.parameters(), lr=3e-3, weight_decay=0.01)

    def loss(self, module, batch) -> torch.Tensor:
        return nn.functional.cross_entropy(module(batch["x"]).float(), batch["y"])

    def weight(self, batch) -> float:
        return float(len(batch["y"]))


def run(name, images, labels, steps, threads, test) -> tuple[int, float, float]:
    """(right answers on the test images, seconds, share of them that the loop was busy)."""
    task, seed = Convolutions(), Seed(0)

    def decode(rows: np.ndarray) -> dict[str, torch.Tensor]:
        padded = np.pad(images[rows], ((0, 0), (2, 2), (2, 2)))
        moves = seed.child("move", int(rows[0])).generator().integers(0, 5, (len(rows), 2))
        moved = np.stack([each[y : y + 28, x : x + 28] for each, (y, x) in zip(padded, moves)])
        return {"x": floats(moved), "y": torch.from_numpy(labels[rows].astype(np.int64))}

    with (
        tempfile.TemporaryDirectory() as place,
        Decoded(decode, Order(len(images), seed), BATCH, threads=threads).open() as feed,
    ):
        vault = Vault(Folder(Path(place)))
        recipe = Recipe(steps=steps, precision=name, schedule=warmed(cosine, 0.1))
        began = time.perf_counter()
        done = train(task, feed, recipe, seed, vault, Journal(Path(place) / "metrics.jsonl", COLUMNS))
        seconds = time.perf_counter() - began
        vault.close()
    given = floats(test["images-idx3-ubyte"])
    with torch.no_grad():
        answers = torch.cat([task.module(part).argmax(1) for part in given.split(500)])
    right = int((answers.numpy() == test["labels-idx1-ubyte"]).sum())
    return right, seconds, done.busy


def floats(images: np.ndarray) -> torch.Tensor:
    """[N, 28, 28] bytes as [N, 1, 28, 28] in standard units."""
    return ((torch.from_numpy(images).float() / 255 - 0.286) / 0.353)[:, None]


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927)."""
    share = right / count
    middle, reach = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return (middle - reach) / (1 + z * z / count), (middle + reach) / (1 + z * z / count)


if __name__ == "__main__":
    sys.exit(main())
