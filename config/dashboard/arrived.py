"""What came in: records by outcome over days and hours, feeds by how they keep their rhythm, the last imports."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Max, QuerySet, Sum

from config.dashboard.charts import Column, Series, sparkline, stacked_columns
from config.dashboard.figures import between, midnight
from config.dashboard.showing import Table, whole
from config.models import ArrivalFigure, Notice
from ingestion import selectors
from ingestion.admin.imports import not_rated
from ingestion.models import Feed
from mediation.admin import marks
from mediation.services import seen

LAST_IMPORTS = 8
MOST_FEEDS = 12
SPARK_DAYS = 14
OUTCOMES = tuple(Series(name, f"outcome-{name}") for name in marks.OUTCOMES)
COUNTS = ("imported_count", "exception_count", "skipped_count", "duplicate_count", "waiting_count")


def outcomes_by_day(by: User, *, first: date, last: date) -> dict[str, Any] | None:
    """Records by outcome for each day (UTC) from `first` to `last`; None where none came."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    counted = _counted(by, ArrivalFigure.Span.DAY, midnight(first), midnight(last + timedelta(days=1)))
    labels = [(midnight(day), f"{day}", midnight(day + timedelta(days=1))) for day in days]
    title = f"Records received by day, {first} to {last}"
    return _outcomes(labels, counted, name="outcomes-days", title=title)


def outcomes_by_hour(by: User, *, day: date) -> dict[str, Any] | None:
    """The same for the hours of a day (UTC)."""
    start = midnight(day)
    counted = _counted(by, ArrivalFigure.Span.HOUR, start, start + timedelta(days=1))
    hours = [start + timedelta(hours=number) for number in range(24)]
    labels = [(hour, f"{hour:%H:%M}", hour + timedelta(hours=1)) for hour in hours]
    return _outcomes(labels, counted, name="outcomes-hours", title=f"Records received by hour of {day} (UTC)")


def _counted(by: User, span: str, start: datetime, end: datetime) -> dict[datetime, dict[str, int]]:
    figures = seen(ArrivalFigure.objects.filter(span=span, starts_at__gte=start, starts_at__lt=end), by)
    rows = figures.values("starts_at").order_by().annotate(**{f"sum_{name}": Sum(name) for name in COUNTS})
    return {row["starts_at"]: row for row in rows}


def _outcomes(
    labels: Iterable[tuple[datetime, str, datetime]],
    counted: Mapping[datetime, Mapping[str, int]],
    *,
    name: str,
    title: str,
) -> dict[str, Any] | None:
    columns = []
    for start, label, end in labels:
        row = counted.get(start, {})
        values = tuple(int(row.get(f"sum_{count}", 0)) for count in COUNTS)
        columns.append(Column(label, values, tuple(map(whole, values)), _addresses(start, end)))
    totals = [sum(int(column.values[number]) for column in columns) for number in range(len(OUTCOMES))]
    if not sum(totals):
        return None
    return {
        "picture": stacked_columns(columns, OUTCOMES, name=name, title=title, description=_said(columns, totals)),
        "most": whole(max(column.total for column in columns)),
        "first": columns[0].label,
        "last": columns[-1].label,
        "records": whole(sum(totals)),
        "counts": [(one.name, whole(total)) for one, total in zip(OUTCOMES, totals, strict=True)],
        "table": Table(
            title,
            ["", *(one.name for one in OUTCOMES)],
            [(column.label, column.urls[0], list(column.texts)) for column in columns if column.total],
            ["in all", *map(whole, totals)],
        ),
    }


def _said(columns: list[Column], totals: list[int]) -> str:
    most = max(columns, key=lambda column: column.total)
    parts = ", ".join(f"{total:,} {one.name}" for one, total in zip(OUTCOMES, totals, strict=True) if total)
    return f"{sum(totals):,} records: {parts}. Most came at {most.label}: {most.total:,}."


def _addresses(start: datetime, end: datetime) -> tuple[str, ...]:
    """Where each outcome stands: exceptions in their own list, the rest in that of the imports.

    Days are of UTC here, and of the reader's zone in the lists' own filter: so the moments are named.
    """
    imports = marks.list_url("ingestion_usageimport", **between("received_at", start, end))
    exceptions = marks.list_url("ingestion_importexception", **between("usage_import__received_at", start, end))
    return tuple(exceptions if one.name == "exceptions" else imports for one in OUTCOMES)


def feeds(by: User, notices: list[Notice], *, first: date, last: date) -> dict[str, Any]:
    """The feeds that are out of their rhythm, then those with most records; how many more there are."""
    rows = seen(Feed.objects.filter(is_enabled=True), by, "pk")
    known = dict(rows.values_list("pk", "name"))
    figures = ArrivalFigure.objects.filter(span=ArrivalFigure.Span.DAY, starts_at__gte=midnight(first))
    sums = figures.filter(feed_id__in=known).values("feed_id").order_by()
    totals: dict[int, Any] = {
        row["feed_id"]: row for row in sums.annotate(records=Sum("record_count"), at=Max("last_at"))
    }
    unusual: dict[int, list[Notice]] = {}
    for notice in notices:
        if notice.feed_id is not None:
            unusual.setdefault(notice.feed_id, []).append(notice)
    unusual = {pk: of_feed for pk, of_feed in unusual.items() if pk in known}
    ordered = sorted(known, key=lambda pk: (pk not in unusual, -int(totals.get(pk, {}).get("records", 0)), known[pk]))
    shown = ordered[:MOST_FEEDS]
    lines = _lines(shown, last)
    return {
        "rows": [
            {
                "feed": marks.list_link(marks.clipped(known[pk]), "ingestion_usageimport", feed__id__exact=pk),
                "notices": unusual.get(pk, []),
                "last": marks.moment(totals[pk]["at"]) if pk in totals else marks.NOTHING,
                "records": marks.number(totals.get(pk, {}).get("records", 0)),
                "line": sparkline(lines[pk], title=f"{SPARK_DAYS} days, at most {max(lines[pk]):,} records a day"),
            }
            for pk in shown
        ],
        "others": len(known) - len(shown),
        "spark_days": SPARK_DAYS,
        "others_records": marks.number(sum(totals[pk]["records"] for pk in ordered[MOST_FEEDS:] if pk in totals)),
    }


def _lines(feed_ids: list[int], last: date) -> dict[int, list[int]]:
    """The records of the last days of feeds, the oldest day first."""
    since = last - timedelta(days=SPARK_DAYS - 1)
    figures: QuerySet[Any] = ArrivalFigure.objects.filter(
        span=ArrivalFigure.Span.DAY, starts_at__gte=midnight(since), feed_id__in=feed_ids
    )
    lines = {feed_id: [0] * SPARK_DAYS for feed_id in feed_ids}
    for feed_id, starts_at, count in figures.values_list("feed_id", "starts_at", "record_count"):
        place = (starts_at.astimezone(UTC).date() - since).days
        if place < SPARK_DAYS:
            lines[feed_id][place] = count
    return lines


def last_imports(by: User) -> list[dict[str, Any]]:
    newest = seen(selectors.history(), by).order_by("-pk")[:LAST_IMPORTS]
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
