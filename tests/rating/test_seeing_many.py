"""Lists of whoever was granted few feeds lead from batch to batch of those, not through the rows of all."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mediation.models import UDR_ID_BITS, UdrBatch
from rating.models import Charge
from rating.selectors import charges_seen
from tests.config.crowd import Feed, crowd, person
from tests.ingestion.factories import user_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def feeds():
    """Six feeds with a charge each."""
    crowd(1, 6)
    return list(Feed.objects.order_by("pk"))


def of_feeds(feeds):
    """Charges of feeds, the newest first."""
    batches = set(UdrBatch.objects.filter(feed_id__in=[feed.pk for feed in feeds]).values_list("pk", flat=True))
    return [one for one in Charge.objects.order_by("-pk") if one.udr_id >> UDR_ID_BITS in batches]


def test_pages_and_counts_hold_the_rows_of_the_granted_feeds_alone(feeds):
    wanted = of_feeds(feeds[::2])
    assert len(wanted) == 3
    seen = charges_seen(user_with(feeds=feeds[::2])).order_by("-pk")
    assert list(seen[:10]) == list(seen) == wanted
    assert list(seen[1:2]) == wanted[1:2]
    assert seen.order_by()[:10].count() == seen.count() == 3
    assert seen.order_by()[:1].count() == 1
    assert list(seen.filter(pk__lt=wanted[0].pk).select_related("account")[:10]) == wanted[1:]
    assert seen.first() == wanted[0]
    assert seen.get(pk=wanted[2].pk) == wanted[2]


def test_whoever_was_granted_nothing_sees_nothing(feeds):
    seen = charges_seen(user_with(feeds=[])).order_by("-pk")
    assert not seen[:10]
    assert seen.order_by()[:10].count() == 0
    newcomer = charges_seen(user_with(feeds=[])).walked([0], 29)
    assert not newcomer.order_by("-pk")[:10]


@pytest.mark.parametrize(
    ("name", "permission"),
    [("rating_charge", "rating.view_charge"), ("mediation_udr", "mediation.view_udr")],
)
def test_a_list_of_granted_feeds_is_asked_for_by_their_batches(feeds, name, permission):
    page = person(permission, feeds=feeds[::2])
    with CaptureQueriesContext(connection) as asked:
        response = page.get(reverse(f"admin:{name}_changelist"))
    assert response.context["cl"].result_count == 3
    rows = [one["sql"] for one in asked if f'FROM "{name}"' in one["sql"]]
    assert rows
    assert [sql for sql in rows if "LATERAL" not in sql and f'"{name}"."id" IN (' not in sql] == []


def test_an_identifier_is_looked_for_neither_by_an_export_nor_by_a_kept_filter(feeds):
    page = person("mediation.view_udr")
    assert page.get(reverse("admin:mediation_udr_export"), {"q": "43660"}).status_code == 400
    assert page.get(reverse("admin:mediation_udr_export_page"), {"q": "43660"}).status_code == 400
