"""Light start: seconds of `forgeline --help` and `forgeline parts`, and the installed size of the core.

python benchmarks/start.py            installs the core into a fresh environment and weighs it (minutes)
python benchmarks/start.py --quick    weighs the core's distributions in this environment instead
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {"help_seconds": 0.3, "parts_seconds": 0.5, "core_megabytes": 700.0}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="weigh the core in this environment")
    quick = arguments.parse_args().quick
    figures = {
        "help_seconds": median_seconds("--help"),
        "parts_seconds": median_seconds("parts"),
        "core_megabytes": (weigh_here("forgeline") if quick else weigh_fresh()) / 1e6,
    }
    bare_seconds = median_seconds_of([sys.executable, "-c", "pass"])
    for name, value in figures.items():
        print(f"{name:<16}{value:>9.3f}   at most {TARGETS[name]:g}")
    print(f"{'python -c pass':<16}{bare_seconds:>9.3f}   baseline: the interpreter alone")
    holds = all(value <= TARGETS[name] for name, value in figures.items())
    rounded = {name: round(value, 4) for name, value in figures.items()}
    baselines = {"bare_seconds": round(bare_seconds, 4)}
    print(json.dumps({"figures": rounded, "baselines": baselines, "targets": TARGETS, "holds": holds}))
    return 0 if holds else 1


def median_seconds(*arguments: str) -> float:
    """Wall clock of the installed command, the way a shell starts it."""
    return median_seconds_of([str(Path(sys.executable).with_name("forgeline")), *arguments])


def median_seconds_of(command: list[str]) -> float:
    """Median of five runs after one that warms the file cache."""
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def weigh_fresh() -> int:
    """Bytes of site-packages after installing the core into a new environment, without pip and setuptools."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        source = Path(folder, "source")  # a copy, so that building leaves nothing in the work tree
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "examples", "*.egg-info"))
        subprocess.run([*pip, "-c", source / "constraints.txt", source], check=True)
        packages = [place for place in Path(folder).glob("lib/python*/site-packages/*") if not installer(place.name)]
        files = {file for place in packages for file in [place, *place.rglob("*")] if file.is_file()}
        return sum(file.stat().st_size for file in files)


def installer(name: str) -> bool:
    """Whether a folder of site-packages came with the environment, not with forgeline."""
    return re.match(r"(pip|setuptools|pkg_resources|_distutils_hack|distutils-precedence)\b", name) is not None


def weigh_here(name: str) -> int:
    """Bytes of the files that a distribution and all it requires have installed, as their RECORD lists them."""
    files = [Path(file.locate()) for each in closure(name) for file in metadata.files(each) or []]
    return sum(file.stat().st_size for file in files if file.exists())


def closure(name: str) -> set[str]:
    """Names of a distribution and of everything it requires here, extras left out."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # required on another platform or Python
        if name not in found:
            found.add(name)
            waiting += [canonical(line) for line in requires if "extra ==" not in line]
    return found


def canonical(requirement: str) -> str:
    """`scikit-learn` of `Scikit_Learn>=1.6; python_version > "3"`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


if __name__ == "__main__":
    sys.exit(main())
