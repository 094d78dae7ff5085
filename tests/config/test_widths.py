"""Amounts are in sight on a screen of 1280 pixels, however long the names before them are."""

import shutil

import pytest
from django.db import connections
from django.urls import reverse

from rating.models import Charge, PlanVersion
from rating.services import rate_batches
from tests.ingestion.factories import NOW
from tests.rating.factories import BucketFactory, RateFactory, UsageClassFactory, subscriber, used, waiting

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
WIDTH = 1280
LONG = "International premium-rate calls to satellite networks"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]


@pytest.fixture
def screen(live_server, admin_client, monkeypatch):
    # Connections that persist would keep the test database from being dropped.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    # The browser's driver runs a loop in this thread, which Django takes for code that must not block.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    cookie = {"name": "sessionid", "value": admin_client.cookies["sessionid"].value, "url": live_server.url}
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": WIDTH, "height": 900}, base_url=live_server.url)
        context.set_default_timeout(20_000)
        context.add_cookies([cookie])
        yield context.new_page()
        browser.close()
        connections.close_all()  # while the driver's loop runs, this thread has connections of their own


def charged():
    rate = RateFactory(price="1234.56789012345", usage_class=UsageClassFactory(name=LONG))
    owner = subscriber(rate.plan, name="The Blue Harbour Shipping and Forwarding Company Limited")
    waiting(used(rate, owner, "123456.789"))
    while rate_batches(now=NOW):
        pass
    return Charge.objects.get()


def right_of(cell):
    box = cell.bounding_box()
    return box["x"] + box["width"]


def test_the_list_of_charges_shows_whole_amounts(screen):
    charged()
    screen.goto(reverse("admin:rating_charge_changelist"))
    cell = screen.locator("#result_list td.field-amount_full")
    assert "EUR" in cell.inner_text()
    assert right_of(cell) <= right_of(screen.locator("#changelist-form .results")) <= WIDTH


def test_what_a_version_would_charge_shows_its_amounts(screen):
    rate = RateFactory(price="1234.56789012345", usage_class=UsageClassFactory(name=LONG))
    BucketFactory(rate.plan, "5", [rate.usage_class], name="Minutes that are included")
    version = PlanVersion.objects.filter(plan=rate.plan).latest("number")
    screen.goto(reverse("admin:rating_planversion_quote", args=[version.pk]))
    screen.locator("textarea[name=rows]").fill(f"usage_class,value\n{LONG},123456.789")
    screen.get_by_role("button", name="Price it").click()
    table = screen.locator("section.module", has_text="from buckets").locator("table").first
    cell = table.locator("tbody td").last
    assert cell.inner_text() == "152409614.67769533335"
    assert right_of(cell) <= WIDTH
