"""What the rivals' scripts share: reading the two files as each system's documentation would, writing predictions.

They run in the rivals' own environments, so nothing of forgeline is imported here.
"""

import csv
import sys
from pathlib import Path

import pandas as pd


def asked() -> tuple[pd.DataFrame, pd.Series, pd.DataFrame, str, Path, list[str]]:
    """(features, target, test features, task, where predictions go, further words) from the command line."""
    train, test, target, task, out, *words = sys.argv[1:]
    frame = pd.read_csv(train)
    return frame.drop(columns=target), frame[target], pd.read_csv(test), task, Path(out), words


def texts(x: pd.DataFrame, test: pd.DataFrame) -> list[str]:
    """Columns that are not numbers or booleans in both files."""
    return [name for name in x if not (x[name].dtype.kind in "biuf" and test[name].dtype.kind in "biuf")]


def plainly_named(x: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The features as column_0, column_1, …: LightGBM, and so FLAML, ends with an error on JSON characters in names."""
    names = {name: f"column_{place}" for place, name in enumerate(x)}
    return x.rename(columns=names), test.rename(columns=names)


def answer(model, test: pd.DataFrame, task: str, out: Path) -> None:
    """What a model in scikit-learn's manner says of the test rows."""
    if task == "regression":
        write_values(out, model.predict(test))
    else:
        write_classes(out, list(model.classes_), model.predict_proba(test))


def write_classes(out: Path, classes: list, p) -> None:
    """Probabilities, one column a class."""
    write(out, [f"probability_{label}" for label in classes], p)


def write_values(out: Path, values) -> None:
    """Predictions of a number."""
    write(out, ["prediction"], [[value] for value in values])


def write(out: Path, header: list[str], rows) -> None:
    """A CSV file."""
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([[float(value) for value in row] for row in rows])
