import pytest

from forgeline import catalog, testing


@pytest.mark.parametrize("name", catalog.names("metrics"))
def test_metric_keeps_the_contract(name):
    testing.check_metric(catalog.load("metrics", name))
