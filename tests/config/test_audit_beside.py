"""What the audit tells of grants: of feeds on both their pages, of allowances whatever is done to them by hand."""

import pytest
from django.contrib.auth.models import User
from django.db import connection

from config.auditing.reading import entries_of
from config.models import AuditEntry
from ingestion.models import FeedGrant
from rating.models import BucketGrant
from tests.config.crowd import crowd
from tests.ingestion.factories import FeedFactory

pytestmark = pytest.mark.django_db


def test_a_grant_of_a_feed_is_told_on_the_page_of_the_feed_and_of_the_person():
    somebody = User.objects.create_user("operator")
    feed, other = FeedFactory(), FeedFactory()
    grant = FeedGrant.objects.create(user=somebody, feed=feed)
    grant.delete()
    for table, pk, count in (
        ("ingestion_feed", feed.pk, 2),
        ("auth_user", somebody.pk, 2),
        ("ingestion_feed", other.pk, 0),
    ):
        told = [one for one in entries_of(table, str(pk)) if one.table_name == "ingestion_feedgrant"]
        assert [one.operation for one in told] == ["delete", "insert"][:count]


def run(statement, pk):
    before = AuditEntry.objects.latest("pk").pk
    with connection.cursor() as cursor:
        cursor.execute(statement, [pk])
    found = AuditEntry.objects.filter(pk__gt=before, table_name="rating_bucketgrant")
    return [(one.operation, one.before, one.after) for one in found]


def test_what_was_given_by_hand_is_not_raised_or_taken_in_silence():
    crowd(1, 1)
    grant = BucketGrant.objects.first()
    BucketGrant.objects.filter(pk=grant.pk).update(given_by=User.objects.first(), reason="goodwill")
    ((operation, before, after),) = run("UPDATE rating_bucketgrant SET granted = granted + 5 WHERE id = %s", grant.pk)
    assert (operation, after["granted"] - before["granted"]) == ("update", 5)
    # What usage draws is told by the draws.
    assert run("UPDATE rating_bucketgrant SET used = used - 1 WHERE id = %s", grant.pk) == []
    ((operation, _, _),) = run("DELETE FROM rating_bucketgrant WHERE id = %s", grant.pk)
    assert operation == "delete"


def test_grants_of_a_plan_come_and_go_without_entries():
    crowd(1, 1)
    grant = BucketGrant.objects.first()
    BucketGrant.objects.filter(pk=grant.pk).update(given_by=None, reason="")
    assert run("UPDATE rating_bucketgrant SET granted = granted + 5 WHERE id = %s", grant.pk) == []
    assert run("DELETE FROM rating_bucketgrant WHERE id = %s", grant.pk) == []
