"""Makes bikes.csv.gz from the published archive of UCI Bike Sharing: its hour.csv, column for column.

python prepare.py Bike-Sharing-Dataset.zip     (the CSV is written beside this script)
"""

import gzip
import sys
import zipfile
from pathlib import Path


def main(archive: str) -> None:
    with zipfile.ZipFile(archive) as published:
        text = published.read("hour.csv").replace(b"\r\n", b"\n")
    file = Path(__file__).parent / "bikes.csv.gz"
    file.write_bytes(gzip.compress(text, mtime=0))  # no date: same rows, same bytes


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
