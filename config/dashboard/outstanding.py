"""What is not done: open exceptions by code, feed and age, work that waits, and what all of it may be worth."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, Min, QuerySet, Sum
from django.urls import reverse

from config.dashboard import value_at_risk
from config.dashboard.charts import bar
from config.dashboard.showing import NO_BAR, Bar, age, largest, money, whole
from config.dashboard.value_at_risk import Estimates
from config.models import OpenFigure
from ingestion.models import Backfill, ImportChunk, ImportException, UsageImport, WaitingPart
from mediation.admin import marks
from mediation.models import UdrBatch
from mediation.services import seen
from rating.models import RatingException

MOST = 8
Counts = Mapping[int, int]


def import_exceptions(by: User, known: Estimates, names: Mapping[int, str], now: datetime) -> dict[str, Any]:
    """Open import exceptions by code and by feed, with what they may be worth and how old the oldest is.

    names: of the feeds.
    """
    rows = list(_open(by, OpenFigure.Kind.IMPORT).values_list("reason", "feed_id", "count", "oldest_at"))
    by_code: dict[Any, dict[int, int]] = {}
    by_feed: dict[Any, dict[int, int]] = {}
    for code, feed_id, count, _ in rows:
        by_code.setdefault(code, {})[feed_id] = count
        of_feed = by_feed.setdefault(feed_id, {feed_id: 0})
        of_feed[feed_id] += count
    oldest = min(rows, key=lambda row: row[3], default=None)
    all_counts = _together(by_feed.values())
    return {
        "count": marks.number(sum(all_counts.values())),
        "value": known.value_of_records(all_counts),
        "url": _import_url(),
        "groups_url": reverse("admin:ingestion_importexception_groups"),
        "by_code": _bars(by_code, known, lambda code: (code.replace("_", " "), _import_url(code=code))),
        "by_feed": _bars(by_feed, known, lambda pk: (names.get(pk, f"feed {pk}"), _import_url(feed__id__exact=pk))),
        "oldest": oldest
        and {
            "age": age(oldest[3], now),
            "at": marks.moment(oldest[3]),
            "of": f"{oldest[0].replace('_', ' ')}, {names.get(oldest[1], oldest[1])}",
            "url": _import_url(code=oldest[0], feed__id__exact=oldest[1]),
        },
    }


def _open(by: User, kind: str) -> QuerySet[OpenFigure]:
    return seen(OpenFigure.objects.filter(kind=kind), by)


def _import_url(**more: Any) -> str:
    return marks.list_url("ingestion_importexception", status__exact="open", **more)


def _bars(groups: Mapping[Any, Counts], known: Estimates, told: Callable[[Any], tuple[str, str]]) -> list[Bar]:
    """A bar for each of the largest groups and one for the others; each with its count and its value.

    groups: counts by feed. told: of a group, its name and where its rows stand.
    """
    ordered = sorted(groups, key=lambda key: (-sum(groups[key].values()), str(key)))
    first, others = largest(ordered, MOST)
    counted = [(*told(key), groups[key]) for key in first]
    most = max((sum(counts.values()) for _, _, counts in counted), default=0)
    if others:
        counted.append((f"{len(others):,} others", _import_url(), _together(groups[key] for key in others)))
    # The others have no bar: all of them together would make the largest one look small.
    drawn = [*(bar(sum(counts.values()), most) for _, _, counts in counted[: len(first)]), NO_BAR]
    return [
        Bar(name, url, line, (whole(sum(counts.values())), money(known.value_of_records(counts), known.currency)))
        for (name, url, counts), line in zip(counted, drawn, strict=False)
    ]


def _together(groups: Iterable[Counts]) -> dict[int, int]:
    sums: Counter[int] = Counter()
    for counts in groups:
        sums.update(counts)
    return dict(sums)


def rating_exceptions(by: User, known: Estimates, now: datetime) -> dict[str, Any]:
    """Open rating exceptions by cause, with what they may be worth and how old the oldest is."""
    rows = _open(by, OpenFigure.Kind.RATING).values("reason", "usage_class_id").order_by()
    by_cause: dict[str, dict[int, tuple[int, Decimal]]] = {}
    oldest: tuple[datetime, str] | None = None
    for row in rows.annotate(n=Sum("count"), used=Sum("quantity"), at=Min("oldest_at")):
        by_cause.setdefault(row["reason"], {})[row["usage_class_id"] or 0] = (row["n"], row["used"])
        oldest = min(oldest or (row["at"], row["reason"]), (row["at"], row["reason"]))
    counts = {cause: sum(count for count, _ in usage.values()) for cause, usage in by_cause.items()}
    values = {cause: known.value_of_usage(usage) for cause, usage in by_cause.items()}
    most = max(counts.values(), default=0)
    return {
        "count": marks.number(sum(counts.values())),
        "value": sum((value for value in values.values() if value is not None), Decimal(0))
        if any(values.values())
        else None,
        "url": _rating_url(),
        "groups_url": reverse("admin:rating_ratingexception_groups"),
        "by_cause": [
            Bar(
                str(RatingException.Cause(cause).label),
                _rating_url(cause__exact=cause),
                bar(counts[cause], most),
                (marks.number(counts[cause]), money(values[cause], known.currency)),
            )
            for cause in sorted(counts, key=lambda cause: (-counts[cause], cause))
        ],
        "oldest": oldest
        and {
            "age": age(oldest[0], now),
            "at": marks.moment(oldest[0]),
            "of": str(RatingException.Cause(oldest[1]).label),
            "url": _rating_url(cause__exact=oldest[1]),
        },
    }


def _rating_url(**more: Any) -> str:
    return marks.list_url("rating_ratingexception", status__exact="open", **more)


def unrated(by: User, known: Estimates) -> dict[str, Any]:
    """UDRs that wait to be rated, and what they may be worth."""
    batches = UdrBatch.objects.filter(status__in=[UdrBatch.Status.MEDIATED, UdrBatch.Status.ERRORED])
    rows = seen(batches, by).values("feed_id").order_by().annotate(n=Sum("udr_count"))
    counts = {row["feed_id"]: row["n"] for row in rows}
    return {
        "count": marks.number(sum(counts.values())),
        "value": known.value_of_records(counts),
        "url": marks.list_url("mediation_udrbatch", status__exact="mediated"),
    }


def at_risk(known: Estimates, parts: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """What is not charged and may be worth money, part by part (name to count, value, url) and in all."""
    shown = {name: part for name, part in parts.items() if part is not None}
    values = [part["value"] for part in shown.values() if part["value"] is not None]
    most = max(values, default=Decimal(0))
    return {
        "rows": [
            Bar(
                name,
                part["url"],
                bar(part["value"] or 0, most, tone="bar-risk"),
                (part["count"], money(part["value"], known.currency)),
            )
            for name, part in shown.items()
        ],
        "total": money(sum(values, Decimal(0)) if values else None, known.currency),
        "how": value_at_risk.HOW,
    }


def waiting(by: User, now: datetime) -> list[dict[str, Any]]:
    """Work that nobody has done yet, from the door to the charge, and how long the oldest of it has been waiting."""
    found = [(line, seen(line.rows, by).aggregate(n=Count("pk"), at=Min(line.since))) for line in _work()]
    return [
        {
            "name": line.name,
            "count": marks.number(facts["n"]),
            "since": marks.moment(facts["at"]),
            "age": age(facts["at"], now),
            "url": line.url,
        }
        for line, facts in found
        if facts["n"]
    ]


@dataclass(frozen=True)
class Work:
    """Rows that wait for a worker; since: the field that says from when on."""

    name: str
    rows: QuerySet[Any]
    since: str
    url: str


def _work() -> tuple[Work, ...]:
    chunk, batch = ImportChunk.Status, UdrBatch.Status
    imports = UsageImport.objects.filter(status=UsageImport.Status.RECEIVED)
    chunks = ImportChunk.objects.filter(status__in=[chunk.WAITING, chunk.CLAIMED])
    retries = ImportException.objects.filter(status=ImportException.Status.REPROCESSING)
    parts = WaitingPart.objects.filter(record_import_id=None)
    batches = UdrBatch.objects.filter(status__in=[batch.MEDIATED, batch.SUPERSEDED])
    history, refused = "ingestion_usageimport", "ingestion_importexception"
    again = marks.list_url(refused, status__exact="reprocessing")
    parted = marks.list_url("ingestion_waitingpart", state="waiting")
    (begun, undone), backfills = _backfills(), marks.list_url("ingestion_backfill")
    unrated_url = marks.list_url("mediation_udrbatch", status__exact="mediated")
    return (
        Work("files to be split", imports, "received_at", marks.list_url(history, status__exact="received")),
        Work(
            "chunks to be mediated",
            chunks,
            "usage_import__received_at",
            marks.list_url(history, status__exact="running"),
        ),
        Work("records to be mediated again", retries, "last_tried_at", again),
        Work("parts of records that wait for the others", parts, "received_at", parted),
        Work("UDR batches to be rated", batches, "mediated_at", unrated_url),
        Work("backfills to be closed, reverted or abandoned", begun, "asked_at", backfills),
        Work("backfills with which that was not done, and which say why", undone, "asked_at", backfills),
    )


def _backfills() -> tuple[QuerySet[Backfill], QuerySet[Backfill]]:
    """Those that workers are to swap, and those that they gave back to people."""
    status = Backfill.Status
    begun = Backfill.objects.filter(status__in=[status.CLOSING, status.REVERTING, status.ABANDONING])
    return begun, Backfill.objects.filter(status__in=[status.OPEN, status.CLOSED]).exclude(refusal="")
