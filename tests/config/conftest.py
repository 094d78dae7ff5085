"""What tests in a browser find: an administrator's pages on a live server, of any width, light or dark."""

import shutil

import pytest
from django.db import connections

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def open_page(live_server, admin_client, monkeypatch):
    """A function that opens a page of a width and a colour scheme, signed in."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    # Connections that persist would keep the test database from being dropped.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    # The browser's driver runs a loop in this thread, which Django takes for code that must not block.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    cookie = {"name": "sessionid", "value": admin_client.cookies["sessionid"].value, "url": live_server.url}
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def opened(width=1280, scheme="light"):
            size = {"width": width, "height": 900}
            context = browser.new_context(viewport=size, base_url=live_server.url, color_scheme=scheme)
            context.set_default_timeout(20_000)
            context.add_cookies([cookie])
            return context.new_page()

        yield opened
        browser.close()
        connections.close_all()  # while the driver's loop runs, this thread has connections of their own
