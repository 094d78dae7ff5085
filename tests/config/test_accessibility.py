"""Every screen serves whoever does not see it or has no mouse: WCAG 2.1 AA as axe judges it, and the keyboard."""

import pytest
from django.urls import reverse

from ingestion.models import UsageImport
from tests.config.addresses import addresses, fill
from tests.config.crowd import crowd

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
playwright = pytest.importorskip("playwright.sync_api")

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
OPTIONS = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
GRAVE = ("serious", "critical")
# Addresses that hand out files or answer scripts.
NO_SCREEN = (
    "export",
    "filter_",
    "jsi18n",
    "autocomplete",
    "payload",
    "_csv",
    "_xlsx",
    "progress",
    "_file",
    "logout",
    "_download",
)
# Pages that every model has of one template: one of each is enough.
ALIKE = ("_delete", "_history")


def screens():
    """The addresses of everything that is a page, on the crowd's first rows."""
    own = [one for one in addresses() if one.name.startswith("admin:") and not one.path.endswith((".json", ".csv"))]
    alike = [one for one in own if one.name.endswith(ALIKE) and "ingestion_feed_" not in one.name]
    return {one.name: fill(one) for one in own if one not in alike and not any(word in one.name for word in NO_SCREEN)}


def main_screens():
    """One of each kind: lists, pages of objects, forms, pages of our own."""
    first = UsageImport.objects.earliest("pk")
    return [
        reverse("admin:index"),
        reverse("admin:ingestion_usageimport_changelist"),
        reverse("admin:ingestion_usageimport_change", args=[first.pk]),
        reverse("admin:ingestion_usageimport_attempts", args=[first.pk]),
        reverse("admin:ingestion_importexception_changelist"),
        reverse("admin:ingestion_feed_add"),
        reverse("admin:mediation_profileversion_changelist"),
        reverse("admin:mediation_udr_changelist"),
        reverse("admin:rating_charge_changelist"),
        reverse("admin:rating_account_changelist"),
        reverse("admin:rating_service_add"),
        reverse("admin:trace"),
        reverse("admin:trace_record", args=[first.pk, 1]),
    ]


def shown(page, address):
    """Whether an address is a page, which is then open with all that its scripts add."""
    try:
        answer = page.goto(address)
    except playwright.Error:  # a file, which the browser would store
        return False
    if answer.status != 200 or "text/html" not in answer.headers.get("content-type", ""):
        return False
    page.wait_for_timeout(60)
    return True


def faults(page):
    """What axe finds grave on the page that is open."""
    found = axe.Axe().run(page, options=OPTIONS).response["violations"]
    return [(one["id"], node["html"][:200]) for one in found if one["impact"] in GRAVE for node in one["nodes"]]


def test_every_screen_is_accessible(open_page):
    crowd(1, 2)
    page, found, seen = open_page(), {}, 0
    for name, address in screens().items():
        if shown(page, address):
            seen += 1
            found[name] = faults(page)
    assert {name: each for name, each in found.items() if each} == {}
    assert seen > 100


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light"), (390, "dark")])
def test_the_main_screens_are_accessible_in_the_dark_and_on_a_telephone(open_page, width, scheme):
    crowd(1, 2)
    page = open_page(width, scheme)
    found = {address: faults(page) for address in main_screens() if shown(page, address)}
    assert {address: each for address, each in found.items() if each} == {}
    assert len(found) == len(main_screens())


def test_every_list_has_a_title_of_its_own_and_the_language_is_said(open_page):
    crowd(1, 1)
    page, titles = open_page(), {}
    for name, address in screens().items():
        if name.endswith("_changelist") and shown(page, address):
            titles.setdefault(page.title(), []).append(name)
            assert page.locator("html").get_attribute("lang") == "en"
            assert page.locator("h1").count() == 1
    assert {title: names for title, names in titles.items() if len(names) > 1} == {}


def test_the_keyboard_skips_to_the_content_and_shows_where_it_is(open_page):
    crowd(1, 2)
    page = open_page()
    page.goto(reverse("admin:ingestion_usageimport_changelist"))
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.get_attribute("href") == "#content-start"
    assert focused.bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.url.endswith("#content-start")
    page.keyboard.press("Tab")
    outline = "element => getComputedStyle(element).outlineStyle + getComputedStyle(element).outlineWidth"
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.locator(":focus").count() == 1
        assert page.locator(":focus").evaluate(outline) not in ("none0px", "none2px"), page.locator(
            ":focus"
        ).inner_html()
