"""What a short look says that training will take, against what it takes; beside it, what the price list says.

    python benchmarks/sketches.py [--cpu] [--encoder FOLDER]

Eight networks on made-up rows, and with `--encoder` (a folder as `[refine] encoder` takes) two more that train it
further; one thread, a minute. Seconds by the look: its median step times the steps (the
start, which a line adds, is left out on both sides). Activation bytes: the line through two batch sizes at 1.6 times
the batch, against hooks there. `--cpu` counts CPU seconds on both sides, for a machine that does other things, too.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from forgeline import deep, kinds, pretrained, testing
from forgeline.engine import sketch
from forgeline.engine.seeds import Seed
from forgeline.parts.families import convnet, finetuned, tabm, transformer


def pictured(count, size, *, features=196):
    draw = np.random.default_rng(0)
    shape = kinds.Shape(count, features, "multiclass", 10, None, None, (size,))
    x_NF = draw.normal(size=(count, features)).astype(np.float32)
    pictures = draw.integers(0, 256, (count, *size)).astype(np.uint8)
    return kinds.TrainRows(x_NF, draw.integers(0, 10, count), None, shape, seen=(pictures,))


def said(count, *, words=20):
    """Rows of texts of up to `words` words of a vocabulary of thousands."""
    draw = np.random.default_rng(0)
    length_N = draw.integers(words // 2, words + 1, count)
    texts = [" ".join(f"w{int(each)}" for each in draw.zipf(1.3, length) % 5_000) for length in length_N]
    shape = kinds.Shape(count, 1, "binary", 2, words=(float(length_N.mean()),), plain=0)
    cells = np.array(texts, dtype=object)[:, None]
    return kinds.TrainRows(np.zeros((count, 1), np.float32), draw.integers(0, 2, count), None, shape, seen=(cells,))


def spelt(count, folder, *, tokens=25):
    """Rows of texts as tokens of an encoder, and the file of its weights."""
    from safetensors.numpy import save_file

    found = pretrained.find(str(folder.resolve()), Path("/"))
    draw = np.random.default_rng(0)
    tokens_NT = draw.integers(1000, 20_000, (count, 32))
    length_N = draw.integers(tokens - 10, tokens + 8, count)
    tokens_NT[np.arange(32) >= length_N[:, None]] = 0
    file = Path(tempfile.mkdtemp()) / "encoder.safetensors"
    save_file(dict(found.weights.arrays), file)
    more = {"words": (20.0,), "tokens": (float(length_N.mean()),), "encoder": found.weights.architecture, "plain": 0}
    shape = kinds.Shape(count, 1, "binary", 2, **more)
    x_NF = np.zeros((count, 1), np.float32)
    return kinds.TrainRows(x_NF, draw.integers(0, 2, count), None, shape, seen=(tokens_NT,), encoder=file)


def compared(family, rows, setting, clock):
    """(seconds by the look, seconds taken, seconds by price, activation bytes by the line, by hooks)."""
    built = family.build(rows.shape, setting, Seed(0))
    batch = built.begin(rows)
    methods = [deep.method_of(each) for each in getattr(built, "methods", [])]
    seen = sketch.sketch(built, sketch.head(batch, 3 * built.batch // 2), steps=3, methods=methods, rows=built.batch)
    larger = int(1.6 * built.batch)
    hooked = sketch.activation_bytes(built, sketch.head(batch, larger))
    began = clock()
    with tempfile.TemporaryDirectory() as folder:
        deep.fitted(family.build(rows.shape, setting, Seed(0)), rows, Seed(0), Path(folder))
    taken = clock() - began
    price = family.cost(rows.shape, setting).seconds
    return built.recipe.steps * seen.step_seconds, taken, price, seen.activation_bytes_of(larger), hooked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--encoder", type=Path)
    asked = parser.parse_args()
    clock = time.perf_counter
    if asked.cpu:
        clock = sketch.time.perf_counter = time.process_time
    grey, colours = pictured(3_000, (28, 28, 1)), pictured(1_500, (32, 32, 3))
    table = testing.family_rows("multiclass", 5, count=6_000)
    base, wide = convnet.space(grey.shape).points[0], tabm.space(table.shape).points[0]
    models = [
        (f"convnet {width} wide, 28 x 28", convnet, grey, base | {"width": width, "epochs": epochs})
        for width, epochs in ((16, 4.0), (24, 3.0), (32, 2.0), (48, 1.0))
    ]
    models.append(("convnet 24 wide, two deep, 32 x 32 x 3", convnet, colours, base | {"width": 24, "depth": 2}))
    models.append(("tabm 256 wide", tabm, table, wide | {"epochs": 4}))
    models.append(("tabm 128 wide", tabm, table, wide | {"epochs": 8, "width": 128}))
    words = said(1_500)
    models.append(
        ("transformer 128 wide", transformer, words, transformer.space(words.shape).points[0] | {"epochs": 2})
    )
    if asked.encoder:
        pieces = spelt(300, asked.encoder)
        whole, upper, _ = finetuned.space(pieces.shape).points
        models.append(("encoder, all of it", finetuned, pieces, whole | {"epochs": 1.0}))
        models.append(("encoder, upper half", finetuned, pieces, upper | {"epochs": 1.0}))
    compared(tabm, table, wide | {"epochs": 1, "width": 8}, clock)  # imports and first calls
    print(
        f"{'':40} {'look s':>8} {'taken s':>8} {'ratio':>6} {'price s':>8} {'ratio':>6} {'line MB':>9} {'hooks MB':>9}"
    )
    for name, family, rows, setting in models:
        look, taken, price, line, hooked = compared(family, rows, setting, clock)
        told = f"{look:8.2f} {taken:8.2f} {look / taken:6.2f} {price:8.2f} {price / taken:6.2f}"
        print(f"{name:40} {told} {line / 1e6:9.3f} {hooked / 1e6:9.3f}", flush=True)


if __name__ == "__main__":
    main()
