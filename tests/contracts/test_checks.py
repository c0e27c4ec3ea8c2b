import pytest

from forgeline import catalog, testing


@pytest.mark.parametrize("name", catalog.names("checks"))
def test_check_keeps_the_contract(name):
    testing.check_check(catalog.load("checks", name))
