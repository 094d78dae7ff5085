"""Factories for feeds and their profiles, and the moves that bring usage through the two rooms."""

import io
import json
import threading
from datetime import UTC, datetime, timedelta

import factory
from django.contrib.auth.models import Permission, User
from django.db import connections
from factory.django import DjangoModelFactory

from ingestion import services
from ingestion.core.locations import Grounds
from ingestion.models import Feed, FeedGrant, UsageImport
from mediation.models import DataProfile, ProfileVersion, UsageClass, UsageClassType
from tests.mediation.profiles import JSON, document

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
ANYWHERE = Grounds(roots=("/",))
BY_EVENT = document(uniqueness=["UdrUsageIdentifier"])
EVENTS = document(JSON, uniqueness=["UdrUsageIdentifier"])
NAMED = document(
    format={"kind": "delimited", "columns_by": "name", "header_rows": 1}, uniqueness=["UdrUsageIdentifier"]
)


class UsageClassTypeFactory(DjangoModelFactory):
    class Meta:
        model = UsageClassType
        django_get_or_create = ("name",)


class UsageClassFactory(DjangoModelFactory):
    class Meta:
        model = UsageClass
        django_get_or_create = ("name",)

    name = "calls"


class DataProfileFactory(DjangoModelFactory):
    class Meta:
        model = DataProfile

    name = factory.Sequence(lambda n: f"profile {n}")


class ProfileVersionFactory(DjangoModelFactory):
    class Meta:
        model = ProfileVersion

    profile = factory.SubFactory(DataProfileFactory)
    number = 1
    status = "active"
    spec = BY_EVENT


class FeedFactory(DjangoModelFactory):
    class Meta:
        model = Feed

    name = factory.Sequence(lambda n: f"Feed {n}")
    api_name = factory.Sequence(lambda n: f"feed-{n}")
    profile = factory.SubFactory(DataProfileFactory)


def feed_of(spec=BY_EVENT, **feed):
    """A feed with an active profile version, and the usage class that the tests' records name."""
    UsageClassFactory()
    return FeedFactory(profile=ProfileVersionFactory(spec=spec).profile, **feed)


def user_with(*permissions, feeds=None):
    """A user who may do these things and nothing else; permissions as app.codename. feeds: all by default."""
    permissions += ("ingestion.every_feed",) if feeds is None else ()
    user = User.objects.create_user(username=f"user-{User.objects.count()}")
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    FeedGrant.objects.bulk_create(FeedGrant(user=user, feed=feed) for feed in feeds or ())
    return User.objects.get(pk=user.pk)


def event(who="e1", value="10", date="2026-05-01T10:00:00Z", class_="calls"):
    """A row of the tests' delimited profiles."""
    return f"{date},{who},{value},{class_}"


def posted(feed, *records, key=None, by=None, now=NOW):
    """A submission of rows, or of JSON records."""
    body = json.dumps({"data": list(records)}).encode()
    return services.receive_usage(feed=feed, body=body, idempotency_key=key, by=by, now=now).usage_import


def lined(feed, *lines, now=NOW):
    """A submission of lines of CSV."""
    body = ("\n".join(lines) + "\n").encode()
    options = {"idempotency_key": None, "by": None, "now": now, "shape": "csv"}
    return services.receive_usage(feed=feed, body=body, **options).usage_import


def filed(feed, *lines, name="usage.csv", now=NOW, **options):
    """A file of lines."""
    content = lines[0] if isinstance(lines[0], bytes) else ("\n".join(lines) + "\n").encode()
    return services.receive_file(
        feed=feed,
        stream=io.BytesIO(content),
        file_name=name,
        source=UsageImport.Source.UPLOAD,
        by=None,
        now=now,
        **options,
    )


def work(now=NOW):
    """Do what waits in the two rooms, as a worker would."""
    while (
        services.plan_next_import(now=now)
        or services.mediate_next_chunks(now=now)
        or services.retry_next_exceptions(now=now)
    ):
        pass


def work_through_tries(now=NOW):
    """Do what waits, and what crashes as often as it is tried."""
    for minutes in range(0, 15, 3):
        work(now + timedelta(minutes=minutes))


def counts(usage_import):
    """(status, imported, exceptions, skipped, duplicates) as the history says."""
    usage_import.refresh_from_db()
    return (
        usage_import.status,
        usage_import.imported_count,
        usage_import.exception_count,
        usage_import.skipped_count,
        usage_import.duplicate_count,
    )


def new_version(feed, spec):
    """Make `spec` the active version of a feed's profile."""
    feed.profile.versions.filter(status="active").update(status="retired")
    return ProfileVersionFactory(profile=feed.profile, number=feed.profile.versions.count() + 1, spec=spec)


def in_threads(do, count):
    """Do the same in several threads at once; returns what went wrong."""
    errors, barrier = [], threading.Barrier(count)

    def run():
        try:
            barrier.wait()
            do()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors
