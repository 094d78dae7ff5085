"""Notices: opened for what is unusual, renewed while it is, closed when it is over, acknowledged by people."""

import time as clock
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import QuerySet

from config.access.braking import braked_of_late
from config.dashboard import anomalies, figures
from config.dashboard.anomalies import Arrivals, Finding
from config.models import ArrivalFigure, ChargeFigure, FigureRun, Notice
from config.webhooks.keeping import endpoints_disabled
from ingestion.models import Feed
from mediation.services import feeds_seen, require_feeds, require_permission

MOST_ACCOUNTS = 50
MONTHS_BEFORE = 3
MOST_ENDPOINTS_NAMED = 20
MOST_NAMED = 20

# Accounts that are far above each of the months before; the core decides in the end.
RISEN = """
WITH months AS (
    SELECT account_id, currency, month, sum(amount) AS amount, sum(record_count)::bigint AS records
    FROM config_accountfigure
    WHERE month >= %(first)s GROUP BY 1, 2, 3
), risen AS (
    SELECT account_id, currency, sum(amount) FILTER (WHERE month = %(month)s) AS seen,
        sum(records) FILTER (WHERE month = %(month)s)::bigint AS records,
        array_agg(amount) FILTER (WHERE month < %(month)s AND amount > 0) AS before,
        max(amount) FILTER (WHERE month < %(month)s) AS most
    FROM months GROUP BY 1, 2
)
SELECT r.account_id, r.currency, r.seen, r.records, r.before, f.usual
FROM risen r JOIN (SELECT currency, avg(amount) AS usual FROM months WHERE month < %(month)s GROUP BY 1) f
    USING (currency)
WHERE r.most > 0 AND r.seen > %(times)s * r.most AND r.records >= %(records)s
ORDER BY r.seen - r.most DESC LIMIT %(limit)s
"""


class UnableToAcknowledge(Exception):
    """A notice cannot be acknowledged; the message says why."""


def watch(*, now: datetime) -> int:
    """Judge the figures as they were counted last, and bring the notices in line; returns how many stand open.

    One worker at a time. Where nothing has been counted yet nothing is judged.
    """
    counted = dict(FigureRun.objects.values_list("key", "as_of"))
    arrived = counted.get(FigureRun.Key.ARRIVALS)
    charged = counted.get(FigureRun.Key.CHARGES)
    if arrived is None or charged is None:
        return 0
    FigureRun.objects.get_or_create(key=FigureRun.Key.ANOMALIES)
    with transaction.atomic():
        run = FigureRun.objects.select_for_update(skip_locked=True).filter(key=FigureRun.Key.ANOMALIES).first()
        if run is None or figures.rests(run, now):
            return 0
        began = clock.monotonic()
        found = [*of_feeds(arrived), *of_values(charged), *of_accounts(charged), *of_webhooks(), *of_logins(now)]
        renew_notices(findings=found, now=now)
        run.as_of, run.took_seconds = now, Decimal(f"{clock.monotonic() - began:.3f}")
        run.save(update_fields=["as_of", "took_seconds"])
    return len(found)


def of_feeds(now: datetime) -> Iterator[Finding]:
    """What is unusual about the arrivals of the feeds that are enabled; one feed's figures in memory at a time."""
    since = figures.midnight(now.astimezone(UTC).date() - timedelta(days=figures.KEPT_DAYS_OF_HOURS))
    enabled = set(Feed.objects.filter(is_enabled=True).values_list("pk", flat=True))
    counts = ("import_count", "record_count", "exception_count", "duplicate_count")
    rows = ArrivalFigure.objects.filter(starts_at__gte=since, feed_id__in=enabled, import_count__gt=0)
    ordered = rows.order_by("feed_id").values_list("feed_id", "span", "starts_at", *counts).iterator(20_000)
    for feed_id, of_feed in groupby(ordered, key=lambda row: row[0]):
        hours, days = {}, {}
        for _, span, starts_at, *numbers in of_feed:
            if span == ArrivalFigure.Span.HOUR:
                hours[starts_at] = Arrivals(*numbers)
            else:
                days[starts_at.astimezone(UTC).date()] = Arrivals(*numbers)
        yield from anomalies.judge_feed(feed_id, hours, days, now)


def of_values(now: datetime) -> list[Finding]:
    """What is unusual about what the usage of feeds was charged today; of a feed one finding, that of its most."""
    since = now.astimezone(UTC).date() - timedelta(days=anomalies.LAST_DAYS)
    rows = (
        ChargeFigure.objects.filter(day__gte=since, usage_class_id__isnull=True, feed_id__isnull=False)
        .order_by("feed_id", "currency")
        .values_list("feed_id", "currency", "day", "amount")
    )
    found: dict[int, Finding] = {}
    for (feed_id, currency), of_feed in groupby(rows, key=lambda row: (row[0], row[1])):
        finding = anomalies.judge_value(feed_id, currency, {day: total for _, _, day, total in of_feed}, now)
        if finding is not None and _seen(finding) > _seen(found.get(feed_id)):
            found[feed_id] = finding
    return list(found.values())


def of_webhooks() -> list[Finding]:
    """The endpoints that the house stopped sending to, as one finding: it is over when somebody has enabled them."""
    disabled = endpoints_disabled()
    if not disabled:
        return []
    text = "; ".join(f"{each}: {each.disabled_reason}" for each in disabled[:MOST_ENDPOINTS_NAMED])
    numbers = {"endpoints": str(len(disabled))}
    return [Finding(Notice.Kind.WEBHOOK, f"Nothing is sent any more to {text}", numbers=numbers)]


def of_logins(now: datetime) -> list[Finding]:
    """Passwords that are guessed, as one finding: it is over when an hour has passed without a try."""
    braked = list(braked_of_late(now)[:MOST_NAMED])
    if not braked:
        return []
    names = sorted({str(each.user) for each in braked if each.user})
    addresses = sorted({str(each.address) for each in braked if each.address})
    said = f"Wrong passwords for {', '.join(names) or 'names that nobody has'}"
    text = f"{said}, last from {', '.join(addresses)}." if addresses else f"{said}."
    numbers = {"most_tries": str(braked[0].failures)}
    return [Finding(Notice.Kind.LOGIN, f"{text} Further tries have to wait.", numbers=numbers)]


def _seen(finding: Finding | None) -> Decimal:
    return Decimal(finding.numbers["seen"]) if finding else Decimal(0)


def of_accounts(now: datetime) -> list[Finding]:
    """The accounts that were charged far more this month than before, the largest rises if there are many."""
    month = now.astimezone(UTC).date().replace(day=1)
    first = month
    for _ in range(MONTHS_BEFORE):
        first = (first - timedelta(days=1)).replace(day=1)
    values: dict[str, Any] = {"first": first, "month": month, "times": anomalies.TIMES, "limit": MOST_ACCOUNTS}
    values["records"] = anomalies.FEWEST_FAULTS
    with connection.cursor() as cursor:
        cursor.execute(RISEN, values)
        rows = cursor.fetchall()
    judged = {
        account_id: anomalies.judge_account(account_id, currency, seen, records, before or [], usual)
        for account_id, currency, seen, records, before, usual in rows
    }
    return [finding for finding in judged.values() if finding is not None]


@transaction.atomic
def renew_notices(*, findings: Iterable[Finding], now: datetime) -> None:
    """Open a notice for each new finding, renew those that were open, close those that nothing was found for."""
    standing = {(row.kind, row.feed_id, row.account_id): row for row in Notice.objects.filter(closed_at__isnull=True)}
    opened, renewed = [], []
    # One of a kind and subject, though two questions may have found it.
    for finding in {(each.kind, each.feed_id, each.account_id): each for each in findings}.values():
        notice = standing.pop((finding.kind, finding.feed_id, finding.account_id), None)
        if notice is None:
            subject: dict[str, Any] = {"feed_id": finding.feed_id, "account_id": finding.account_id}
            notice = Notice(kind=finding.kind, opened_at=now, **subject)
            opened.append(notice)
        else:
            renewed.append(notice)
        notice.text, notice.numbers, notice.last_seen_at = finding.text, dict(finding.numbers), now
    Notice.objects.bulk_create(opened)
    Notice.objects.bulk_update(renewed, ["text", "numbers", "last_seen_at"], batch_size=500)
    Notice.objects.filter(pk__in=[row.pk for row in standing.values()]).update(closed_at=now)


@transaction.atomic
def acknowledge_notice(*, notice: Notice, comment: str, by: User | None, now: datetime) -> None:
    """Say that somebody knows of it, and what is behind it. Raises UnableToAcknowledge, PermissionDenied."""
    require_permission(by, "config.acknowledge_notice")
    if notice.feed_id is not None:
        require_feeds(by, [notice.feed_id])
    elif feeds_seen(by) is not None:
        require_feeds(by, [0])  # accounts belong to no feed: they are for who sees every feed
    if not comment.strip():
        raise UnableToAcknowledge("Say what is behind it; whoever reads the notice next will want to know.")
    free = Notice.objects.filter(pk=notice.pk, acknowledged_at__isnull=True)
    if not free.update(acknowledged_at=now, acknowledged_by=by, comment=comment.strip()):
        raise UnableToAcknowledge(f"Notice {notice.pk} is acknowledged already; its page says by whom.")


def notices_open(by: User | None) -> QuerySet[Notice]:
    """The notices that stand open and that `by` may see, the youngest first; those acknowledged too."""
    rows = Notice.objects.filter(closed_at__isnull=True).select_related("acknowledged_by").order_by("-opened_at", "-pk")
    feeds = feeds_seen(by)
    return rows if feeds is None else rows.filter(feed_id__in=feeds)
