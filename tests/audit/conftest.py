"""One quick audit of towns for the tests of a module."""

import pytest
from helpers.towns import audit_of_towns, few_trees


@pytest.fixture(autouse=True, scope="module")
def _few_trees():
    with few_trees():
        yield


@pytest.fixture(scope="module")
def audit():
    return audit_of_towns()
