"""The line on Fashion-MNIST under a time limit, beside a plain convolutional network given the same seconds.

    python benchmarks/pictures.py --data FOLDER [--times 60 150 300 600] [--quick]

For each limit: the line as a user would run it (`forgeline run … --time`), its accuracy on the 10,000 test pictures
with its interval, and the seconds that it took. The reference is a plain network in PyTorch with the usual settings
(three convolutions, Adam at 1e-3, batches of 64) on both cores, looked at on the test pictures whenever a limit is
reached; its looks are not counted as its time. Run it alone on the machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = 0.92


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="folder with train-images-idx3-ubyte.gz …")
    options.add_argument("--times", type=int, nargs="*", default=[60, 150, 300, 600], help="seconds")
    options.add_argument("--quick", action="store_true", help="60 seconds alone")
    asked = options.parse_args()
    times = [60] if asked.quick else sorted(asked.times)
    plain = reference(asked.data, times)
    ours = {}
    print(f"{'seconds':>8}  {'line':<26}  {'took':>6}  reference", flush=True)
    for limit in times:
        value, low, high, took = line(asked.data.resolve(), limit)
        ours[limit] = [value, low, high, took]
        print(f"{limit:>8}  {value:.4f} [{low:.4f}, {high:.4f}]  {took:>6.1f}  {plain[limit]:.4f}", flush=True)
    last = ours[times[-1]]
    holds = last[0] >= TARGET and all(found[3] <= limit for limit, found in ours.items())
    print(json.dumps({"line": ours, "reference": plain, "target": TARGET, "holds": holds}))
    return 0 if holds else 1


def line(data: Path, limit: int) -> tuple[float, float, float, float]:
    """Accuracy with its interval, and seconds of the whole process."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "forgeline", "run", str(data / "train-images-idx3-ubyte.gz"), "--json"]
        command += ["--target", "label", "--test", str(data / "t10k-images-idx3-ubyte.gz"), "--time", f"{limit}s"]
        command += ["--set", 'snapshot.types={label="category"}']
        began = time.perf_counter()
        done = subprocess.run(command, cwd=place, capture_output=True, text=True)
        took = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        found = json.loads(done.stdout)["numbers"]["test.accuracy"]
        return found["value"], found["low"], found["high"], took


def reference(data: Path, times: list[int]) -> dict[int, float]:
    """Test accuracy of a plain network after so many seconds of training."""
    import torch
    from torch import nn
    from torch.nn import functional

    from forgeline.engine.tables import idx_pictures  # only to read the files
    from forgeline.serving.reader import netpbm

    def tensors(name: str):
        path = data / f"{name}-images-idx3-ubyte.gz"
        import gzip

        frame = idx_pictures(gzip.decompress(path.read_bytes()), path)
        import numpy as np

        pixels = np.stack([netpbm(each) for each in frame["image"].to_list()])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(frame["label"].to_numpy())

    torch.manual_seed(0)
    (x, y), (x_test, y_test) = tensors("train"), tensors("t10k")
    layers = []
    for inside, outside in ((1, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    module = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 9, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    found, spent, waiting = {}, 0.0, list(times)
    while waiting:
        for rows in torch.randperm(len(x)).split(64):
            began = time.perf_counter()
            optimizer.zero_grad()
            functional.cross_entropy(module(x[rows]), y[rows]).backward()
            optimizer.step()
            spent += time.perf_counter() - began
            if spent >= waiting[0]:
                with torch.no_grad():
                    right = [module(part).argmax(1) for part in x_test.split(1000)]
                found[waiting.pop(0)] = float((torch.cat(right) == y_test).float().mean())
                if not waiting:
                    break
    return found


if __name__ == "__main__":
    sys.exit(main())
