import numpy as np
import polars as pl
import pytest

from forgeline.parts.checks import target_copy
from forgeline.testing import view

DRAW = np.random.default_rng(3)
ROWS = 400
X = DRAW.normal(size=(ROWS, 6))
COUNTS = DRAW.poisson(30, (ROWS, 4))
LABEL = DRAW.choice(["bad", "fair", "good"], ROWS)
FLAG = DRAW.integers(0, 2, ROWS)


def found(columns, target, **options):
    names = {f"x{at}": X[:, at] for at in range(6)}
    table, aim = view(pl.DataFrame({**names, **columns, "y": target}), target="y", test=range(0, ROWS, 5))
    return [finding.columns for finding in target_copy.check(table, aim, **options)]


GAPS = DRAW.random(ROWS) < 0.1
RECODED = {
    "same text": (LABEL, LABEL),
    "other words": (np.char.upper(LABEL), LABEL),
    "numbers for words": (np.where(LABEL == "bad", 7.5, np.where(LABEL == "fair", -1.0, 2.0)), LABEL),
    "null for a class": (pl.Series(LABEL).set(pl.Series(LABEL == "fair"), None), LABEL),
    "true for one": (FLAG == 1, FLAG),
    "flipped": (1 - FLAG, FLAG),
    "gaps": (pl.Series(LABEL).set(pl.Series(GAPS), None), LABEL),
    "same number": (X[:, 0] * 3, X[:, 0] * 3),
    "affine": (70 - 0.01 * COUNTS[:, 0], COUNTS[:, 0]),
    "affine with gaps": (pl.Series(COUNTS[:, 0] * 2.0).set(pl.Series(GAPS), None), COUNTS[:, 0]),
    "log of recurring numbers": (np.log1p(COUNTS[:, 0]), COUNTS[:, 0]),
}


@pytest.mark.parametrize("case", RECODED)
def test_a_column_that_is_the_target_in_other_words(case):
    copy, target = RECODED[case]
    kept = {} if case != "same number" else {"x0": X[:, 1]}
    assert found({**kept, "copy": copy}, target) == [["copy"]]


def test_a_finding_blocks_and_its_fix_drops_the_whole_set():
    casual, registered = COUNTS[:, 0], COUNTS[:, 1]
    frame = pl.DataFrame({"casual": casual, "temp": X[:, 0], "registered": registered, "y": casual + registered})
    (finding,) = target_copy.check(*view(frame, target="y"))
    assert (finding.code, finding.severity) == ("leak.target_copy", "block")
    assert (finding.fix.do, finding.fix.columns) == ("drop", ["casual", "registered"])
    assert finding.says == "y = casual + registered in all 400 training rows"


SUMS = {
    "two of many": (X[:, 1] + X[:, 4], ["x1", "x4"]),
    "unequal coefficients": (3 * X[:, 0] - 0.02 * X[:, 2] + 11, ["x0", "x2"]),
    "all six": (X @ [1, -2, 3, -4, 5, -6], [f"x{at}" for at in range(6)]),
}


@pytest.mark.parametrize("case", SUMS)
def test_the_smallest_set_that_adds_up_to_the_target(case):
    target, columns = SUMS[case]
    assert found({}, target) == [columns]


def test_columns_that_say_the_same_do_not_swell_the_set():
    mirror = {"twin": X[:, 1] * 2 + 1, "sum": X[:, 2] + X[:, 3], "one": FLAG, "other": 1 - FLAG}
    sets = found(mirror, X[:, 0] + X[:, 1])
    assert [len(columns) for columns in sets] == [2]
    assert sets[0] in (["x0", "x1"], ["x0", "twin"])


def test_dummies_add_up_to_a_numeric_label():
    assert found({"a": FLAG * (X[:, 0] > 0), "b": FLAG * (X[:, 0] <= 0)}, FLAG) == [["a", "b"]]


@pytest.mark.slow
def test_a_few_of_two_thousand_columns():
    wide = DRAW.normal(size=(ROWS, 2000))
    target = wide[:, 77] + wide[:, 500] - wide[:, 1999]
    assert found({f"w{at}": wide[:, at] for at in range(2000)}, target) == [["w77", "w500", "w1999"]]


CLEAN = {
    "too small to be squared": DRAW.normal(size=ROWS) * 1e-300,
    "noise": DRAW.normal(size=ROWS),
    "almost": X[:, 0] + X[:, 1] + 1e-3 * DRAW.normal(size=ROWS),
    "sign": (X[:, 0] > 0).astype(int),
    "sign in words": np.where(X[:, 0] > 0, "yes", "no"),
    "rounded": np.round(X[:, 0] * 3),
    "square": X[:, 0] ** 2,
    "product": X[:, 0] * X[:, 1],
}


@pytest.mark.parametrize("case", CLEAN)
def test_a_target_that_is_merely_predictable_is_clean(case):
    assert found({"level": LABEL, "key": np.arange(ROWS)}, CLEAN[case]) == []


def test_a_finer_column_that_decides_the_label_is_no_copy():
    assert found({"grade": np.char.add(LABEL, DRAW.choice(["+", "-"], ROWS))}, LABEL) == []


def test_a_copy_in_the_sealed_rows_alone_is_not_seen():
    copy = np.where(np.arange(ROWS) % 5 == 0, FLAG, DRAW.integers(0, 2, ROWS))
    assert found({"copy": copy}, FLAG) == []


@pytest.mark.parametrize("rows", [6, 12, 30, pytest.param(60, marks=pytest.mark.slow)])
def test_chance_never_raises_it_when_columns_outnumber_rows(rows):
    for trial in range(20):
        draw = np.random.default_rng(trial)
        frame = pl.DataFrame({f"b{at}": draw.integers(0, 2, rows) for at in range(80)})
        target = np.append([0, 1], draw.integers(0, 2, rows - 2))
        assert not list(target_copy.check(*view(frame.with_columns(y=target), target="y")))


def test_a_rare_class_is_not_copied_by_chance():
    rare = np.arange(ROWS) == 7
    assert found({"odd one": rare}, np.where(rare, "yes", "no")) == []


def test_infinite_and_enormous_values_are_no_obstacle():
    broken = {"infinite": np.where(GAPS, np.inf, X[:, 1]), "enormous": X[:, 1] * 1e307}
    assert found(broken, X[:, 0] + X[:, 2]) == [["x0", "x2"]]
    assert found(broken, X[:, 1] * 1e307) == [["x1"], ["enormous"]]


def test_nothing_to_find_without_a_target():
    assert not list(target_copy.check(*view(pl.DataFrame({"a": [1, 2, 3]}))))


def test_gaps_do_not_make_a_copy_of_a_few_rare_rows():
    rare = np.isin(np.arange(ROWS), [1, 11, 21, 31, 41, 51])
    gappy = pl.Series(rare & (np.arange(ROWS) < 10)).set(pl.Series(rare & (np.arange(ROWS) > 10)), None)
    assert found({"gappy": gappy}, np.where(rare, "yes", "no")) == []


def altered(copy, share=0.05):
    draw = np.random.default_rng(4)
    moved = draw.random(ROWS) < share
    copy = np.array(copy)
    copy[moved] = copy[draw.integers(0, ROWS, int(moved.sum()))]
    return copy


NEAR = {
    "classes": (altered(np.char.upper(LABEL)), LABEL),
    "flag as words": (altered(np.where(FLAG == 1, "yes", "no")), FLAG),
    "rounded": (np.round(X[:, 0] * 3, 1), np.exp(X[:, 0])),
    "falling": (altered(-np.exp(X[:, 0])), X[:, 0] ** 3),
    "in bins": (np.searchsorted([-1, -0.3, 0.3, 1], X[:, 0]), X[:, 0] ** 3),
    "bins with names": (altered(np.array(list("dacbe"))[np.searchsorted([-1, -0.3, 0.3, 1], X[:, 0])]), X[:, 0] ** 3),
}


@pytest.mark.parametrize("case", NEAR)
def test_a_copy_with_a_few_cells_altered(case):
    copy, target = NEAR[case]
    kept = {} if case in ("classes", "flag as words") else {"x0": X[:, 1]}
    assert found({**kept, "copy": copy}, target) == [["copy"]]


def test_columns_that_go_with_the_target_are_no_near_copies():
    noisy = X[:, 0] + 0.3 * DRAW.normal(size=ROWS)
    assert found({"x0": noisy, "half": (X[:, 0] > 0) * 1.0}, X[:, 0]) == []


def test_a_group_that_the_target_goes_with_is_no_copy_to_block_on():
    draw = np.random.default_rng(8)
    sex = np.where(draw.random(ROWS) < 0.5, "f", "m")
    y = draw.random(ROWS) < np.where(sex == "f", 0.8, 0.15)
    frame = pl.DataFrame({"sex": sex, "a": draw.normal(size=ROWS), "b": draw.normal(size=ROWS), "y": y})
    assert [one.severity for one in target_copy.check(*view(frame, target="y"))] == ["warn"]
