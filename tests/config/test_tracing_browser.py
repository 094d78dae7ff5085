"""Somebody asks what became of a call: from the box in the header to the price of its charge, without a mouse."""

import pytest

from mediation.models import UsageClass
from rating.services import rate_batches
from tests.ingestion.factories import BY_EVENT, NOW, event, feed_of, filed, work
from tests.rating.factories import ServiceIdentifierFactory, graduated

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def test_an_identifier_typed_in_the_header_leads_to_the_record_and_its_price(open_page):
    feed = feed_of(BY_EVENT)
    rate = graduated(usage_class=UsageClass.objects.get(name="calls"), tiers=((10, "1"), (None, "0.5")))
    ServiceIdentifierFactory(identifier="e7", service__account__rate_plan=rate.plan)
    filed(feed, event("e6"), event("e7", "12"), name="may.csv")
    work()
    while rate_batches(now=NOW):
        pass
    page = open_page()
    page.goto("/admin/")
    page.get_by_role("searchbox", name="Find a record").fill("may.csv:2")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Record 2 of may.csv").wait_for()
    assert page.locator("ol.life > li > h2").all_inner_texts()[0].startswith("Received")
    price = page.locator("details", has=page.get_by_text("The price", exact=True))
    price.locator("summary").focus()
    page.keyboard.press("Enter")
    assert "Tier 2 (above 10): 2 x 0.5 = 1." in price.inner_text()
    page.get_by_role("searchbox", name="Find a record").fill("nobody knows")
    page.keyboard.press("Enter")
    page.get_by_text("Nothing that you may see is named so").wait_for()
