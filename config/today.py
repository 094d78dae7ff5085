"""The front page of the admin: what came in today, what is stuck, what is waiting; few and cheap questions."""

from datetime import datetime, time
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, Min, QuerySet, Sum
from django.utils import timezone

from ingestion import selectors
from ingestion.admin.imports import not_rated
from ingestion.models import ImportChunk, ImportException, UsageImport, WaitingPart
from mediation.admin import marks
from mediation.core.codes import Code
from mediation.models import UdrBatch
from rating.models import RatingException

LAST_IMPORTS = 8


def panels(user: AbstractBaseUser | AnonymousUser) -> dict[str, Any]:
    """The panels that `user` may see; one that he may not is None."""
    sees = user.has_perm  # type: ignore[union-attr]
    return {
        "outcomes_today": outcomes_today() if sees("ingestion.view_usageimport") else None,
        "last_imports": last_imports() if sees("ingestion.view_usageimport") else None,
        "open_exceptions": open_exceptions() if sees("ingestion.view_importexception") else None,
        "open_rating_exceptions": open_rating_exceptions() if sees("rating.view_ratingexception") else None,
        "waiting": waiting() if sees("ingestion.view_usageimport") else None,
    }


def outcomes_today() -> dict[str, Any]:
    midnight = timezone.make_aware(datetime.combine(timezone.localdate(), time.min))
    sums = UsageImport.objects.filter(received_at__gte=midnight).aggregate(
        imports=Count("pk"),
        records=Sum("record_count", default=0),
        imported=Sum("imported_count", default=0),
        exceptions=Sum("exception_count", default=0),
        skipped=Sum("skipped_count", default=0),
        duplicates=Sum("duplicate_count", default=0),
        waiting=Sum("waiting_count", default=0),
    )
    counts = {outcome: sums[outcome] for outcome in marks.OUTCOMES}
    today = timezone.localdate().isoformat()
    return {
        "imports": sums["imports"],
        "records": marks.number(sums["records"]),
        "bar": marks.outcome_bar(counts),
        "counts": [(outcome, marks.number(count)) for outcome, count in counts.items()],
        "url": marks.list_url("ingestion_usageimport", received_at__from=today, received_at__to=today),
    }


def last_imports() -> list[dict[str, Any]]:
    newest = selectors.history().order_by("-pk")[:LAST_IMPORTS]
    return [
        {
            "received": marks.moment(usage_import.received_at),
            "link": marks.row_link(
                marks.clipped(usage_import.file_name or usage_import.get_source_display()),
                "ingestion_usageimport",
                usage_import.pk,
            ),
            "feed": usage_import.feed.name,
            "badge": marks.badge(usage_import.status, usage_import.get_status_display()),
            "records": marks.number(usage_import.record_count),
            "not_rated": not_rated(usage_import),
            "bar": marks.outcome_bar(marks.outcomes(usage_import)),
        }
        for usage_import in newest
    ]


def open_exceptions() -> list[dict[str, Any]]:
    """Open import exceptions by code, most first. The index of the open ones holds the codes."""
    still_open = ImportException.objects.filter(status=ImportException.Status.OPEN)
    return [
        {
            "name": row["code"].replace("_", " "),
            "count": marks.number(row["count"]),
            "url": marks.list_url("ingestion_importexception", status__exact="open", code=row["code"]),
        }
        for row in _counted(still_open, "code")
        if row["code"] in set(Code)
    ]


def open_rating_exceptions() -> list[dict[str, Any]]:
    still_open = RatingException.objects.filter(status=RatingException.Status.OPEN)
    return [
        {
            "name": RatingException.Cause(row["cause"]).label,
            "count": marks.number(row["count"]),
            "url": marks.list_url("rating_ratingexception", status__exact="open", cause__exact=row["cause"]),
        }
        for row in _counted(still_open, "cause")
    ]


def _counted(rows: QuerySet, field: str) -> QuerySet:
    return rows.values(field).order_by().annotate(count=Count("pk")).order_by("-count", field)


def waiting() -> list[dict[str, Any]]:
    """Work that nobody has done yet, from the door to the charge; `since` is how long the oldest has been waiting."""
    files = UsageImport.objects.filter(status=UsageImport.Status.RECEIVED).aggregate(
        n=Count("pk"), at=Min("received_at")
    )
    chunks = ImportChunk.objects.filter(status__in=[ImportChunk.Status.WAITING, ImportChunk.Status.CLAIMED])
    chunk_facts = chunks.aggregate(n=Count("pk"), at=Min("usage_import__received_at"))
    retries = ImportException.objects.filter(status=ImportException.Status.REPROCESSING)
    retry_facts = retries.aggregate(n=Count("pk"), at=Min("last_tried_at"))
    parts = WaitingPart.objects.filter(record_import_id=None)
    part_facts = parts.aggregate(n=Count("pk"), at=Min("received_at"))
    batches = UdrBatch.objects.filter(status__in=[UdrBatch.Status.MEDIATED, UdrBatch.Status.SUPERSEDED])
    batch_facts = batches.aggregate(n=Count("pk"), at=Min("mediated_at"))
    lines = (
        ("files to be split", files, marks.list_url("ingestion_usageimport", status__exact="received")),
        ("chunks to be mediated", chunk_facts, marks.list_url("ingestion_usageimport", status__exact="running")),
        (
            "records to be mediated again",
            retry_facts,
            marks.list_url("ingestion_importexception", status__exact="reprocessing"),
        ),
        (
            "parts of records that wait for the others",
            part_facts,
            marks.list_url("ingestion_waitingpart", state="waiting"),
        ),
        ("UDR batches to be rated", batch_facts, marks.list_url("mediation_udrbatch", status__exact="mediated")),
    )
    return [
        {"name": name, "count": marks.number(facts["n"]), "since": marks.moment(facts["at"]), "url": url}
        for name, facts, url in lines
        if facts["n"]
    ]
