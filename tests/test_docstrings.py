import doctest
import importlib
import pkgutil

import pytest

import forgeline

MODULES = [
    each.name for each in pkgutil.walk_packages(forgeline.__path__, "forgeline.") if not each.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    count = sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name)))
    assert count > 5
