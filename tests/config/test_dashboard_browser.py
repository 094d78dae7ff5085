"""The front page in a browser: nothing sticks out of it, nobody is shut out, pictures lead to their lists."""

import shutil
from datetime import timedelta

import pytest
from django.db import connections
from django.urls import reverse
from django.utils import timezone

from config.dashboard import noticing
from config.dashboard.anomalies import Finding
from mediation.models import IdentifierType
from tests.ingestion.factories import event, feed_of, posted, work

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
CHROMIUM = shutil.which("chromium")
LONG = "A feed of a very long name " * 7

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]


@pytest.fixture
def driven(live_server, admin_client, monkeypatch):
    # Connections that persist would keep the test database from being dropped.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    # The browser's driver runs a loop in this thread, which Django takes for code that must not block.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    cookie = {"name": "sessionid", "value": admin_client.cookies["sessionid"].value, "url": live_server.url}
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def opened(**options):
            context = browser.new_context(base_url=live_server.url, **options)
            context.set_default_timeout(20_000)
            context.add_cookies([cookie])
            return context.new_page()

        yield opened
        browser.close()
        connections.close_all()  # while the driver's loop runs, this thread has connections of their own


def arrived():
    IdentifierType.objects.get_or_create(name="Unknown")
    feed, now = feed_of(name=LONG[:200]), timezone.now()
    date = (now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    posted(feed, event("a", date=date), event("b", value="x", date=date), now=now)
    work(now)
    noticing.renew_notices(findings=[Finding("silence", "Nothing came. " * 20, feed_id=feed.pk)], now=now)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_of_the_page(driven, width):
    arrived()
    page = driven(viewport={"width": width, "height": 800})
    page.goto(reverse("admin:index"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg.columns").first.bounding_box()["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(driven, scheme):
    arrived()
    page = driven(color_scheme=scheme, bypass_csp=True)  # the checker runs as a script of the page
    page.goto(reverse("admin:index"))
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_a_column_leads_to_its_rows_without_any_script(driven):
    arrived()
    page = driven(java_script_enabled=False)
    page.goto(reverse("admin:index"))
    page.locator("svg.columns a[aria-label$=' exceptions']").first.click()
    page.wait_for_url("**/importexception/?usage_import__received_at__gte=*")
    assert "1 row" in page.inner_text("#changelist")
