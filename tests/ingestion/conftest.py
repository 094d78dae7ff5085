"""What tests of ingestion find: a recount of every promise once they are through."""

import pytest

from config.reconciling import RULES, differences


@pytest.fixture
def reconciled(db):
    """Recount every rule when the test is over, with the rows as it left them."""
    yield
    assert [(found.rule.name, found.rows) for rule in RULES if (found := differences(rule))] == []
