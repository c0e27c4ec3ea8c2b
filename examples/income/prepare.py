"""Makes adult.csv.gz and adult.test.csv.gz from the two published files of UCI Adult.

python prepare.py adult.data adult.test     (each may be gzipped; the CSVs are written beside this script)
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

COLUMNS = [
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship",
    "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
]  # fmt: skip
"""The published files have no header; these are the names in adult.names, and `income` for the label."""


def main(train: str, test: str) -> None:
    here = Path(__file__).parent
    write(here / "adult.csv.gz", rows(lines(Path(train))))
    labelled = lines(Path(test))[1:]  # the first line is junk: "|1x3 Cross validator"
    write(here / "adult.test.csv.gz", without_dots(rows(labelled)))


def lines(file: Path) -> list[str]:
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="ascii") as text:
        return text.read().splitlines()


def rows(published: Iterable[str]) -> Iterator[list[str]]:
    """Cells without their leading blank; `?` (missing) stays; the files end in an empty line."""
    return (cells for cells in csv.reader(published, skipinitialspace=True) if cells)


def without_dots(labelled: Iterable[list[str]]) -> Iterator[list[str]]:
    """The test file writes its labels `>50K.`; the training file `>50K`."""
    return ([*cells, label.removesuffix(".")] for *cells, label in labelled)


def write(file: Path, rows: Iterable[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    file.write_bytes(gzip.compress(text.getvalue().encode("ascii"), mtime=0))  # no date: same rows, same bytes


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
