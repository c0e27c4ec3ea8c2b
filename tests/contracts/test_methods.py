import pytest

from forgeline import catalog
from forgeline.testing import check_method


@pytest.mark.parametrize("name", catalog.names("methods"))
def test_keeps_the_contract(name):
    check_method(catalog.load("methods", name))
