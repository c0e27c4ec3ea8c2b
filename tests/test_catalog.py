import sys

import pytest

from forgeline import catalog
from forgeline.catalog import Entry
from forgeline.errors import BadInput

OUTSIDE = '''"""Share of rows that are right within a tenth.

More words.
"""
tasks = ("regression",)
higher_is_better = True

def score(y_N, p_NK, weight_N=None, *, within: float = 0.1):
    return 1.0
'''


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """Another installed distribution that brings parts; the path of its module."""
    info = tmp_path / "close_enough-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: close-enough\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[forgeline.metrics]\nwithin = close_enough\nrmse = close_enough\nbroken = close_nowhere\n"
    )
    (tmp_path / "close_enough.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "close_enough.py"
    sys.modules.pop("close_enough", None)


def test_own_parts_are_files():
    found = catalog.parts("families")
    assert [each.name for each in found] == [
        *("catboost", "convnet", "extra_trees", "finetuned", "frozen", "kernel", "lightgbm", "linear", "neighbours"),
        *("network", "tabm", "tfidf", "transformer"),
    ]
    assert found[7] == Entry(
        *("families", "linear", "Logistic and ridge regression on standardised features.", "forgeline"),
        *("forgeline.parts.families.linear",),
    )
    assert {each.kind for each in catalog.parts()} == set(catalog.kinds())


def test_every_part_says_what_it_is():
    for each in catalog.parts():
        assert each.says.endswith("."), each


def test_an_outside_part_is_listed_without_being_imported(outside):
    found = {each.name: each for each in catalog.parts("metrics")}
    assert found["within"] == Entry(
        *("metrics", "within", "Share of rows that are right within a tenth.", "close-enough", "close_enough"),
    )
    assert found["broken"].says == "(cannot be imported)"
    assert "close_enough" not in sys.modules


def test_an_outside_part_is_loaded_and_its_options_are_known(outside):
    assert catalog.load("metrics", "within").score(None, None) == 1.0
    assert catalog.options("metrics", "within") == {"within": 0.1}
    assert catalog.check_options("metrics", {"use": "within", "within": 0.2}, "here") == {"within": 0.2}


def test_own_parts_win_over_outside_ones_of_the_same_name(outside):
    assert [each.origin for each in catalog.parts("metrics") if each.name == "rmse"] == ["forgeline"]


def test_a_part_without_its_verb_is_refused(outside):
    outside.write_text('"""Nothing."""\n')
    with pytest.raises(BadInput, match="part within of close-enough has no verb score"):
        catalog.load("metrics", "within")


def test_names_that_are_not_there_get_the_nearest():
    with pytest.raises(BadInput, match=r"unknown part liner.*Did you mean linear\?"):
        catalog.load("families", "liner")
    with pytest.raises(BadInput, match=r"unknown kind of part famly"):
        catalog.parts("famly")


def test_options_are_checked_against_the_signature():
    known = catalog.options("checks", "missing")
    assert known
    wrong = f"{next(iter(known))}x"
    with pytest.raises(BadInput, match=f"missing has no option {wrong}.*Did you mean {wrong[:-1]}"):
        catalog.check_options("checks", {"use": "missing", wrong: 1}, "[[assess.checks]]")
    with pytest.raises(BadInput, match="a part is named by `use`"):
        catalog.check_options("checks", {"most": 1}, "[[assess.checks]]")


def test_a_name_can_carry_the_only_option(outside):
    half = catalog.load("metrics", "pinball@50")
    assert (half.percent, half.tasks, half.higher_is_better) == (50, ("regression",), False)
    with pytest.raises(BadInput, match=r"percent of pinball is 'high'.*Write a percent like its default: pinball@50"):
        catalog.load("metrics", "pinball@high")
    with pytest.raises(BadInput, match=r"rmse takes no value behind @"):
        catalog.load("metrics", "rmse@2")
    with pytest.raises(BadInput, match=r"unknown part pinbal.*Did you mean pinball\?"):
        catalog.load("metrics", "pinbal@90")


def test_the_digest_follows_the_source(outside):
    entry = next(each for each in catalog.parts("metrics") if each.name == "within")
    before = catalog.source_digest(entry)
    assert catalog.source_digest(entry) == before
    assert len(before) == 64
    outside.write_text(OUTSIDE + "\n# changed\n")
    assert catalog.source_digest(entry) != before
    broken = next(each for each in catalog.parts("metrics") if each.name == "broken")
    assert catalog.source_digest(broken) == ""
