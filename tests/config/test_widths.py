"""Amounts are in sight on a screen of 1280 pixels, and no page is wider than its screen, however long names are."""

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import CharField, F, TextField, Value
from django.db.models.functions import Cast, Concat, Left
from django.urls import reverse

from rating.models import Charge, PlanVersion
from rating.services import rate_batches
from tests.config.crowd import crowd
from tests.ingestion.factories import NOW
from tests.rating.factories import BucketFactory, RateFactory, UsageClassFactory, subscriber, used, waiting

WIDTH = 1280
LONG = "International premium-rate calls to satellite networks"

# What people and sources name and write, in whatever table.
WRITTEN = (
    "close_reason",
    "description",
    "file_name",
    "identifier",
    "key",
    "message",
    "name",
    "originating_identifier",
    "raw",
    "reason",
    "terminating_identifier",
    "udr_usage_identifier",
    "value",
)

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def screen(open_page):
    return open_page(WIDTH)


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


def lengthen():
    """Let everything that is named or written be 200 characters long, without a blank."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # also what triggers keep from being changed
        for model in admin.site._registry:
            for field in model._meta.local_concrete_fields:
                if field.name in WRITTEN and isinstance(field, CharField | TextField) and not field.choices:
                    long = Concat(Cast(F("pk"), TextField()), Value("-" + "W" * 200))
                    model._base_manager.update(**{field.name: Left(long, min(field.max_length or 200, 200))})
        cursor.execute("SET session_replication_role = DEFAULT")


@pytest.mark.parametrize("width", [WIDTH, 390])
def test_no_list_and_no_page_is_wider_than_its_screen_however_long_names_are(open_page, width):
    crowd(1, 2)
    lengthen()
    page, wide = open_page(width), {}
    assert page.goto(reverse("admin:index")).status == 200
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        first = model._default_manager.order_by("pk").first()
        addresses = [reverse(f"{name}_changelist")]
        addresses += [reverse(f"{name}_change", args=[first.pk])] if first else []
        for address in addresses:
            assert page.goto(address).status == 200, address
            over = page.evaluate("document.documentElement.scrollWidth") - width
            if over > 0:
                wide[address] = over
    assert wide == {}
