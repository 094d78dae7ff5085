"""The house's numbers, read from figures and from the newest rows: none counts a table that grows with usage."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Min, Sum
from prometheus_client.core import GaugeMetricFamily

from config.models import ArrivalFigure, FigureRun, OpenFigure, WebhookDelivery, WebhookEndpoint
from ingestion.models import Backfill, Feed, ImportChunk, UsageImport
from mediation.models import Bell, UdrBatch

OUTCOMES = ("imported", "exception", "skipped", "duplicate", "waiting")
QUANTILES = (0.5, 0.95, 0.99)
SPAN = timedelta(minutes=10)
NEWEST = 1_000  # steps that latencies are taken from
MOST_COUNTED = 10_000  # of what waits; more is told as so many

# The newest of a kind within the span, by a key that an index has.
LATENCIES = """
SELECT step, count(*), percentile_cont(%(quantiles)s::float8[]) WITHIN GROUP (ORDER BY seconds) FROM (
    (SELECT 'received_to_mediated' AS step, extract(epoch FROM ended_at - received_at)::float8 AS seconds
    FROM (SELECT ended_at, received_at FROM ingestion_usageimport ORDER BY id DESC LIMIT %(newest)s) i
    WHERE ended_at >= %(since)s AND received_at >= %(since)s)
    UNION ALL
    (SELECT 'mediated_to_rated', extract(epoch FROM finished_at - mediated_at)::float8
    FROM (SELECT status, finished_at, mediated_at FROM mediation_udrbatch ORDER BY id DESC LIMIT %(newest)s) b
    WHERE status = 'rated' AND finished_at >= %(since)s AND mediated_at >= %(since)s)
) steps GROUP BY step
"""
CONNECTIONS = """
SELECT coalesce(state, 'other'), count(*), current_setting('max_connections')::int FROM pg_stat_activity
WHERE backend_type = 'client backend' GROUP BY 1
"""


def families(now: datetime) -> Iterator[GaugeMetricFamily]:
    """Every number with its name, unit and labels."""
    yield _records(now)
    yield from _latencies(now)
    yield from _work(now)
    yield _open_exceptions()
    yield from _life(now)
    yield from _connections()
    yield from _webhooks()


def _records(now: datetime) -> GaugeMetricFamily:
    """Of the day in UTC: exceptions that are mended become imported, so no counter."""
    family = GaugeMetricFamily(
        "sluice_records_today", "Records received since midnight UTC, as they stand", labels=("feed", "outcome")
    )
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    names = dict(Feed.objects.values_list("pk", "api_name"))
    columns = [f"{outcome}_count" for outcome in OUTCOMES]
    today = ArrivalFigure.objects.filter(span=ArrivalFigure.Span.DAY, starts_at=midnight)
    for feed_id, *counts in today.order_by("feed_id").values_list("feed_id", *columns):
        for outcome, count in zip(OUTCOMES, counts, strict=True):
            family.add_metric([names.get(feed_id, str(feed_id)), outcome], count)
    return family


def _latencies(now: datetime) -> Iterator[GaugeMetricFamily]:
    seconds = GaugeMetricFamily(
        "sluice_step_seconds", "How long a step took, of the newest in ten minutes", labels=("step", "quantile")
    )
    counted = GaugeMetricFamily("sluice_step_count", "How many the times are taken from", labels=("step",))
    with connection.cursor() as cursor:
        cursor.execute(LATENCIES, {"quantiles": list(QUANTILES), "newest": NEWEST, "since": now - SPAN})
        for step, count, found in cursor.fetchall():
            counted.add_metric([step], count)
            for quantile, value in zip(QUANTILES, found, strict=True):
                seconds.add_metric([step, str(quantile)], value)
    yield seconds
    yield counted


def oldest_work(now: datetime) -> dict[str, tuple[int, float]]:
    """What waits by kind: how much, up to MOST_COUNTED, and for how many seconds the first of it has."""
    chunks = ImportChunk.objects.filter(status__in=(ImportChunk.Status.WAITING, ImportChunk.Status.CLAIMED))
    batches = UdrBatch.objects.filter(status=UdrBatch.Status.MEDIATED)
    deliveries = WebhookDelivery.objects.filter(status=WebhookDelivery.Status.WAITING)
    backfill = Backfill.Status
    backfills = Backfill.objects.filter(status__in=(backfill.CLOSING, backfill.REVERTING, backfill.ABANDONING))
    kinds: dict[str, tuple[Any, str]] = {
        "plan": (UsageImport.objects.filter(status=UsageImport.Status.RECEIVED), "received_at"),
        "mediate": (chunks, "usage_import__received_at"),
        "rate": (batches, "mediated_at"),
        "backfill": (backfills, "asked_at"),
        "webhooks": (deliveries, "created_at"),
    }
    found = {}
    for kind, (rows, since) in kinds.items():
        first = rows.order_by("pk")[:MOST_COUNTED]
        count, oldest = first.aggregate(count=Count("pk"), oldest=Min(since)).values()
        found[kind] = (count, max((now - oldest).total_seconds(), 0.0) if oldest else 0.0)
    return found


def _work(now: datetime) -> Iterator[GaugeMetricFamily]:
    waiting = GaugeMetricFamily("sluice_work_waiting", f"Work that waits, up to {MOST_COUNTED}", labels=("kind",))
    oldest = GaugeMetricFamily("sluice_oldest_work_seconds", "Since when the first of it waits", labels=("kind",))
    for kind, (count, seconds) in oldest_work(now).items():
        waiting.add_metric([kind], count)
        oldest.add_metric([kind], seconds)
    yield waiting
    yield oldest


def _open_exceptions() -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "sluice_open_exceptions", "Exceptions that nobody has closed, as counted last", labels=("kind", "reason")
    )
    rows = OpenFigure.objects.values_list("kind", "reason").annotate(total=Sum("count")).order_by("kind", "reason")
    for kind, reason, total in rows:
        family.add_metric([kind, reason], total)
    return family


def heartbeat_seconds(now: datetime) -> float | None:
    """How long ago a worker answered a bell; None where none ever has."""
    answered_at = Bell.objects.aggregate(last=Max("answered_at"))["last"]
    return (now - answered_at).total_seconds() if answered_at else None


def _life(now: datetime) -> Iterator[GaugeMetricFamily]:
    beat = heartbeat_seconds(now)
    if beat is not None:
        yield GaugeMetricFamily("sluice_heartbeat_age_seconds", "Since a worker answered a bell", value=beat)
    ages = GaugeMetricFamily("sluice_figures_age_seconds", "Since figures were counted", labels=("figures",))
    for key, as_of in FigureRun.objects.order_by("key").values_list("key", "as_of"):
        if as_of is not None:
            ages.add_metric([key], (now - as_of).total_seconds())
    yield ages


def _connections() -> Iterator[GaugeMetricFamily]:
    used = GaugeMetricFamily("sluice_database_connections", "Connections to the database server", labels=("state",))
    with connection.cursor() as cursor:
        cursor.execute(CONNECTIONS)
        rows = cursor.fetchall()
    for state, count, _ in rows:
        used.add_metric([state], count)
    yield used
    yield GaugeMetricFamily("sluice_database_connections_limit", "How many the server takes", value=rows[0][2])


def _webhooks() -> Iterator[GaugeMetricFamily]:
    family = GaugeMetricFamily("sluice_webhook_endpoints", "Webhook endpoints by state", labels=("state",))
    states = {"enabled": 0, "failing": 0, "disabled": 0}
    for is_enabled, failures in WebhookEndpoint.objects.values_list("is_enabled", "failures"):
        states["disabled" if not is_enabled else "failing" if failures else "enabled"] += 1
    for state, count in states.items():
        family.add_metric([state], count)
    yield family
