import pytest

from forgeline import catalog
from forgeline.testing import check_family


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names("families"))
def test_keeps_the_contract(name):
    check_family(catalog.load("families", name))
