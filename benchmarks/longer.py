"""Five minutes beside one: more time must not make it worse.

    python benchmarks/longer.py --data FOLDER [--times 60s 300s] [--count 20] [--sets NAME …]

Fresh runs of the visible sets of benchmarks/minute.py with either budget, one after the other, on the sets' own test
files. Printed for each: both scores, the seconds they took, and the difference of the mean loss (log loss, squared
error) in standard errors of the difference over the test rows; positive where the longer run is better. It holds when
at most one set is worse by more than two of them and the median difference, as a share of the loss, is not negative.
Run it alone on the machine.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from minute import answered, drawn, forgeline, losses, told


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="folder with <set>/train.csv.gz, test.csv.gz")
    options.add_argument("--times", nargs=2, default=["60s", "300s"], metavar=("SHORT", "LONG"))
    options.add_argument("--count", type=int, default=20)
    options.add_argument("--sets", nargs="*", default=[])
    asked = options.parse_args()
    data = asked.data.resolve()
    gains, errors = {}, {}
    for name in asked.sets or drawn(data)[: asked.count]:
        gains[name], errors[name] = compared(data / name, asked.times)
        print(f"{'':<12}gain {gains[name]:+.4f} of the loss, {gains[name] / errors[name]:+.1f} errors", flush=True)
    worse = [name for name in gains if gains[name] < -2 * errors[name]]
    median = float(np.median(list(gains.values())))
    holds = len(worse) <= 1 and median >= 0
    figures = {"sets": len(gains), "worse": worse, "median": median, "better": sum(each > 0 for each in gains.values())}
    print(json.dumps({"times": asked.times, **figures, "gains": gains, "errors": errors, "holds": holds}))
    return 0 if holds else 1


def compared(folder: Path, times: list[str]) -> tuple[float, float]:
    """(gain of the longer run, its standard error), both as shares of the shorter one's loss."""
    found = []
    with tempfile.TemporaryDirectory() as place:
        for limit in times:
            out = Path(place) / f"{limit}.csv"
            result = forgeline(folder, limit, out)
            print(f"{folder.name:<28}{limit:<8}{told(result)}", flush=True)
            if result["error"]:
                raise SystemExit(f"{folder.name} at {limit}: {result['error']}")
            found.append(losses(*answered(folder, out)))
    short_N, long_N = found
    gain_N = (short_N - long_N) / short_N.mean()
    return float(gain_N.mean()), max(float(gain_N.std(ddof=1) / np.sqrt(len(gain_N))), 1e-12)


if __name__ == "__main__":
    sys.exit(main())
