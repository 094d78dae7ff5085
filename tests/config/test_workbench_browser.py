"""A person in a browser clears a group of import exceptions by a rule: preview, progress, what it came to, no undo."""

import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ingestion import services
from ingestion.admin.groups import group_url
from ingestion.models import GroupCorrection, ImportException
from ingestion.selectors import Group
from mediation.models import IdentifierType, Udr
from rating.services import rate_batches
from tests.ingestion.factories import event, feed_of, filed, work

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
LONG = "A feed whose name nobody would give it but somebody will " * 3


@pytest.fixture
def screen(live_server, monkeypatch):
    """A page in a narrow or wide browser, and what it complained about."""
    # Connections that persist would keep the test database from being dropped.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    # The browser's driver runs a loop in this thread, which Django takes for code that must not block.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    IdentifierType.objects.get_or_create(name="Unknown")
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=live_server.url)
        context.set_default_timeout(20_000)
        context.add_cookies([cookie])
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda fault: page.complaints.append(str(fault)))
        yield page
        browser.close()
        connections.close_all()  # while the driver's loop runs, this thread has connections of their own


def failed(count, name="Roaming"):
    feed = feed_of(name=name[:200])
    now = timezone.now()
    date = now.strftime("%Y-%m-%dT%H:00:00Z")
    filed(feed, *(event(f"e{number}", f"{number},5", date) for number in range(count)), now=now)
    filed(feed, *(f'{date},f{number},"{number},5",calls' for number in range(count)), name="quoted.csv", now=now)
    work(now)
    return feed


def accessible(page):
    before = list(page.complaints)
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]})
    told = [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found.response["violations"]]
    assert told == []
    page.complaints[:] = before  # axe itself writes styles, which the policy of the pages forbids


def test_a_group_is_cleared_by_a_rule(screen):
    failed(30)
    screen.goto(reverse("admin:ingestion_importexception_groups"))
    screen.get_by_role("link", name="All values of a field together").click()
    screen.get_by_role("link", name="bad number in Value").click()
    screen.get_by_role("link", name="Correct all by a rule…").click()
    screen.get_by_role("link", name="Substitute").click()
    screen.get_by_label("Source field").select_option("value")
    screen.get_by_label("Pattern").fill(",")
    screen.get_by_label("Replacement").fill(".")
    screen.get_by_role("button", name="Preview").click()
    assert "30 records, each looked at. Nothing is stored yet." in screen.inner_text("#content")
    assert screen.locator("ins").first.inner_text() == "."
    accessible(screen)
    assert GroupCorrection.objects.count() == 0

    screen.get_by_label("Reason").fill("The switch writes decimal commas")
    screen.get_by_role("button", name="Correct 30 records").click()
    panel = screen.locator("#progress")
    panel.get_by_text("waiting", exact=True).first.wait_for()
    now = timezone.now()
    while services.correct_next_portion(now=now):
        pass
    panel.get_by_text("completed", exact=True).wait_for()  # the panel looks again by itself
    assert "30 of 30 records decided" in panel.inner_text()
    accessible(screen)
    assert ImportException.objects.filter(status="resolved").count() == 30
    assert Udr.objects.count() == 30

    screen.get_by_role("link", name="Undo…").click()
    while rate_batches(now=timezone.now()):
        pass
    screen.get_by_role("button", name="Undo the correction").click()
    assert "are rated already" in screen.inner_text("#content")
    screen.get_by_role("link", name="Cancel").click()
    assert screen.get_by_role("link", name="Undo…").count() == 0
    assert screen.complaints == []


def test_a_person_works_through_a_group_by_the_keyboard(screen):
    failed(3)
    screen.goto(reverse("admin:ingestion_importexception_groups") + "?by=field")
    screen.get_by_role("link", name="bad number in Value").click()
    screen.get_by_role("link", name="record 1", exact=True).click()
    steps = screen.locator(".steps-through")
    assert "1 of 3" in steps.inner_text()
    accessible(screen)
    screen.keyboard.press("j")
    steps.get_by_text("2", exact=True).wait_for()
    box = screen.get_by_label("value", exact=True)
    box.fill("17")
    box.press("k")  # written into the field, not obeyed
    assert box.input_value() == "17k"
    box.fill("17")
    screen.get_by_role("button", name="Preview").click()
    assert "It would be imported." in screen.inner_text("#preview")
    accessible(screen)
    screen.get_by_label("Reason").fill("as the partner said")
    screen.get_by_role("button", name="Correct, then the next one").click()
    assert "The correction is kept" in screen.inner_text(".messagelist")
    assert "2 of 2" in steps.inner_text()
    assert screen.complaints == []


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_of_the_workbench_is_wider_than_the_screen(screen, width):
    feed = failed(2, LONG)
    exception = ImportException.objects.order_by("pk").first()
    ImportException.objects.update(value="v" * 200, raw="unbroken" * 12_500, message="m" * 2_000)
    group = Group(feed.pk, exception.code, exception.field, "v" * 200)
    screen.set_viewport_size({"width": width, "height": 900})
    addresses = [
        reverse("admin:ingestion_importexception_groups"),
        group_url(group),
        group_url(group, "ingestion_importexception_group_rule"),
        group_url(group, "ingestion_importexception_group_act", "write-off"),
        reverse("admin:ingestion_importexception_change", args=[exception.pk]),
        reverse("admin:ingestion_importexception_change", args=[exception.pk]) + "?as=raw",
        reverse("admin:ingestion_groupcorrection_changelist"),
    ]
    for address in addresses:
        assert screen.goto(address).status == 200
        assert screen.evaluate("document.documentElement.scrollWidth") <= width, address
    screen.goto(addresses[0])
    accessible(screen)
