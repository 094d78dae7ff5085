"""The front page in a browser: nothing sticks out of it, nobody is shut out, pictures lead to their lists."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from config.dashboard import noticing
from config.dashboard.anomalies import Finding
from mediation.models import IdentifierType
from tests.config.browsing import follow, says
from tests.ingestion.factories import event, feed_of, posted, work

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
LONG = "A feed of a very long name " * 7

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]


def arrived():
    IdentifierType.objects.get_or_create(name="Unknown")
    feed, now = feed_of(name=LONG[:200]), timezone.now()
    date = (now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    posted(feed, event("a", date=date), event("b", value="x", date=date), now=now)
    work(now)
    noticing.renew_notices(findings=[Finding("silence", "Nothing came. " * 20, feed_id=feed.pk)], now=now)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_of_the_page(open_page, width):
    arrived()
    page = open_page(width)
    page.goto(reverse("admin:index"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg.columns").first.bounding_box()["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(open_page, scheme):
    arrived()
    page = open_page(scheme=scheme, bypass_csp=True)  # the checker runs as a script of the page
    page.goto(reverse("admin:index"))
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_a_column_leads_to_its_rows_without_any_script(open_page):
    arrived()
    page = open_page(java_script_enabled=False)
    page.goto(reverse("admin:index"))
    follow(page.locator("svg.columns a[aria-label$=' exceptions']").first)
    page.wait_for_url("**/importexception/?usage_import__received_at__gte=*")
    says(page, "1 row", "#changelist")
