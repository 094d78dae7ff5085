"""Questions about feeds: which, whose, and what came by them before."""

from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import QuerySet

from ingestion.models import Feed, FeedGrant, FileUpload, UsageImport


def feed_by(reference: str) -> Feed | None:
    """The feed with this API name, or with this number."""
    feeds = Feed.objects.select_related("profile")
    if "\0" in reference:
        return None  # no text of PostgreSQL
    if reference.isascii() and reference.isdecimal() and len(reference) < 18:
        return feeds.filter(pk=int(reference)).first()
    return feeds.filter(api_name=reference).first()


def granted_feeds(user: User) -> frozenset[int]:
    """The numbers of the feeds that a person or service user was granted."""
    return frozenset(FeedGrant.objects.filter(user=user).values_list("feed_id", flat=True))


def acceptance_stamp() -> UUID:
    """The stamp of everything that decides whether a submission is accepted: tokens, permissions, feeds and versions.

    Whoever keeps what it looked up reads the stamp first; it holds for as long as the stamp is the same.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT stamp FROM ingestion_acceptance_stamp")
        stamp: UUID = cursor.fetchone()[0]
    return stamp


def same_file(feed: Feed, content_hash: str) -> UsageImport | None:
    """An earlier import of the same bytes into the same feed that did not fail."""
    imports = UsageImport.objects.filter(feed=feed, content_hash=content_hash).exclude(source=UsageImport.Source.API)
    return imports.exclude(status=UsageImport.Status.FAILED).first()


def upload_of(feed: Feed, file_name: str, by: User) -> QuerySet[FileUpload]:
    """A sender's file of this name while it is on its way: one, or none."""
    return FileUpload.objects.filter(feed=feed, file_name=file_name, sent_by=by)


def file_taken(feed: Feed, file_name: str, by: User) -> UsageImport | None:
    """The newest import of a file of this name that a sender brought into a feed over HTTP."""
    files = UsageImport.objects.filter(feed=feed, file_name=file_name, received_by=by)
    return files.filter(source=UsageImport.Source.UPLOAD).order_by("-pk").first()
