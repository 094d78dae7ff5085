"""Finance in a browser: charges filtered, columns chosen, downloaded at once and from the background."""

import shutil

import pytest
from django.db import connections
from django.urls import reverse

from config import tasks
from config.models import ExportJob
from tests.config.crowd import crowd
from tests.config.workbooks import sheets_of
from tests.ingestion.factories import user_with

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]


@pytest.fixture
def screen(live_server, client, monkeypatch):
    # Connections that persist would keep the test database from being dropped.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    # The browser's driver runs a loop in this thread, which Django takes for code that must not block.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    finance = user_with("rating.view_charge", "config.add_exportjob", "config.view_exportjob")
    finance.is_staff = True
    finance.save()
    client.force_login(finance)
    crowd(1, 3)
    ExportJob.objects.all().delete()
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(base_url=live_server.url)
        context.set_default_timeout(20_000)
        context.add_cookies([cookie])
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        yield page
        browser.close()
        connections.close_all()  # while the driver's loop runs, this thread has connections of their own


def downloaded(page, press):
    with page.expect_download() as awaited:
        press()
    return awaited.value


def test_charges_are_exported_at_once_and_in_the_background(screen):
    screen.goto(reverse("admin:rating_charge_changelist") + "?kind__exact=charge")
    screen.get_by_role("link", name="Export…").click()
    assert "3 charges" in screen.inner_text("#content")
    screen.get_by_label("udr id").uncheck()
    screen.get_by_label("Excel workbook").check()
    file = downloaded(screen, screen.get_by_role("button", name="Download").click)
    assert file.suggested_filename == "charge.xlsx"
    header, *rows = sheets_of(file.path())["Rows"]
    assert "amount" in header
    assert "udr_id" not in header
    assert len(rows) == 3

    screen.get_by_role("button", name="Make it in the background").click()
    screen.get_by_text("waiting").wait_for()
    tasks.make_exports()
    screen.get_by_role("link", name="Download").wait_for()  # without a press: the page follows the work
    again = downloaded(screen, screen.get_by_role("link", name="Download").click)
    assert sheets_of(again.path())["Rows"] == [header, *rows]
    assert screen.complaints == []
