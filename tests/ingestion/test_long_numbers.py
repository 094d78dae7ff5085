"""Addresses with numbers longer than any key: somebody tries, or a program goes wrong."""

import pytest

from ingestion.admin.groups import group_url
from tests.config.crowd import person
from tests.ingestion.factories import feed_of
from tests.ingestion.test_workbench_pages import SEE, failed, group, page

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("digits", [19, 30, 5_000])
@pytest.mark.parametrize("name", ["after", "before"])
def test_a_place_in_a_group_that_no_record_can_have_is_the_first(name, digits):
    feed = feed_of()
    failed(feed, "1s")
    client = person(SEE)
    assert "1s" in page(client, group_url(group(feed)) + f"&{name}=" + "9" * digits)
