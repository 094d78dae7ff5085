"""A person in a browser clears a group of import exceptions by a rule: preview, progress, what it came to, undo."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from ingestion import services
from ingestion.admin.groups import group_url
from ingestion.models import GroupCorrection, ImportException
from ingestion.selectors import Group
from mediation.models import IdentifierType, Udr
from rating.services import rate_batches
from tests.config.browsing import follow, says
from tests.ingestion.factories import event, feed_of, filed, work

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]
LONG = "A feed whose name nobody would give it but somebody will " * 3


@pytest.fixture
def screen(browse):
    IdentifierType.objects.get_or_create(name="Unknown")
    return browse(User.objects.create_superuser("operator"))


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
    follow(screen.get_by_role("link", name="All values of a field together"))
    follow(screen.get_by_role("link", name="bad number in Value"))
    follow(screen.get_by_role("link", name="Correct all by a rule…"))
    follow(screen.get_by_role("link", name="Substitute"))
    screen.get_by_label("Source field").select_option("value")
    screen.get_by_label("Pattern").fill(",")
    screen.get_by_label("Replacement").fill(".")
    follow(screen.get_by_role("button", name="Preview"))
    says(screen, "30 records, each looked at. Nothing is stored yet.", "#content")
    assert screen.locator("ins").first.inner_text() == "."
    accessible(screen)
    assert GroupCorrection.objects.count() == 0

    screen.get_by_label("Reason").fill("The switch writes decimal commas")
    follow(screen.get_by_role("button", name="Correct 30 records"))
    panel = screen.locator("#progress")
    panel.get_by_text("waiting", exact=True).first.wait_for()
    now = timezone.now()
    while services.correct_next_portion(now=now):
        pass
    panel.get_by_text("completed", exact=True).wait_for()  # the panel looks again by itself
    says(screen, "30 of 30 records decided", "#progress")
    accessible(screen)
    assert ImportException.objects.filter(status="resolved").count() == 30
    assert Udr.objects.count() == 30

    follow(screen.get_by_role("link", name="Undo…"))
    while rate_batches(now=timezone.now()):
        pass
    follow(screen.get_by_role("button", name="Undo the correction"))
    says(screen, "This is what undoing it does now", "#content")
    accessible(screen)
    follow(screen.get_by_role("button", name="Undo the correction"))
    says(screen, "its imports will be mediated again", ".messagelist")
    assert screen.get_by_role("link", name="Undo…").count() == 0
    assert screen.complaints == []


def test_a_person_works_through_a_group_by_the_keyboard(screen):
    failed(3)
    screen.goto(reverse("admin:ingestion_importexception_groups") + "?by=field")
    follow(screen.get_by_role("link", name="bad number in Value"))
    follow(screen.get_by_role("link", name="record 1", exact=True))
    steps = screen.locator(".steps-through")
    says(screen, "1 of 3", ".steps-through")
    accessible(screen)
    screen.keyboard.press("j")
    steps.get_by_text("2", exact=True).wait_for()
    box = screen.get_by_label("value", exact=True)
    box.fill("17")
    box.press("k")  # written into the field, not obeyed
    assert box.input_value() == "17k"
    box.fill("17")
    follow(screen.get_by_role("button", name="Preview"))
    says(screen, "It would be imported.", "#preview")
    accessible(screen)
    screen.get_by_label("Reason").fill("as the partner said")
    follow(screen.get_by_role("button", name="Correct, then the next one"))
    says(screen, "The correction is kept", ".messagelist")
    says(screen, "2 of 2", ".steps-through")
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
