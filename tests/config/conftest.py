"""What tests in a browser find: pages on a live server for whoever is signed in, of any width, light or dark."""

import shutil

import pytest
from django.db import connections
from django.test import Client

CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 30_000


@pytest.fixture
def browse(live_server, monkeypatch):
    """A function that opens a browser of somebody's own; its page keeps what it complained of."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    # Connections that persist would keep the test database from being dropped.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    # The browser's driver runs a loop in this thread, which Django takes for code that must not block.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def opened(user=None, width=1280, scheme="light", **options):
            size = {"width": width, "height": 900}
            context = browser.new_context(viewport=size, base_url=live_server.url, color_scheme=scheme, **options)
            context.set_default_timeout(PATIENCE_MS)
            if user is not None:
                context.add_cookies([session_of(user, live_server.url)])
            return listened(context.new_page())

        yield opened
        browser.close()
        connections.close_all()  # while the driver's loop runs, this thread has connections of their own


@pytest.fixture
def open_page(browse, admin_user):
    """A function that opens a page of a width and a colour scheme, with an administrator signed in."""

    def opened(width=1280, scheme="light", **options):
        return browse(admin_user, width, scheme, **options)

    return opened


def session_of(user, url):
    client = Client()
    client.force_login(user)
    return {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}


def listened(page):
    """A page that keeps every error of its scripts and every breach of its policy."""
    page.complaints = []
    page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda fault: page.complaints.append(str(fault)))
    return page
