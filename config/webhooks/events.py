"""What webhooks tell: the triggers' rows as messages, and which endpoints want and may know each."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Prefetch, QuerySet

from config.models import EventType, WebhookDelivery, WebhookEndpoint, WebhookEvent
from ingestion.models import Feed, ImportException, UsageImport
from mediation import services as mediation
from rating.models import Account
from rating.store import is_alone

# What the owner of an endpoint needs, so that it is told of no more than it could read.
NEEDS = {
    EventType.IMPORT_FINISHED: "ingestion.view_usageimport",
    EventType.EXCEPTIONS_OPENED: "ingestion.view_importexception",
    EventType.FEED_SILENT: "ingestion.view_usageimport",
    EventType.STATEMENT_CLOSED: "rating.view_statement",
    EventType.BUCKET_THRESHOLD: "rating.view_bucketgrant",
}
# Accounts are charged for usage of any feed.
OF_ACCOUNTS = (EventType.STATEMENT_CLOSED, EventType.BUCKET_THRESHOLD)

GIVEN_UP_AFTER = timedelta(days=3)
APART = timedelta(seconds=60)  # exceptions of a feed
AT_ONCE = 200
MOST_IMPORTS = 20
MOST_MERGED = 10_000


def events_to_spread(now: datetime) -> QuerySet[WebhookEvent]:
    """What happened and nobody was told yet."""
    return WebhookEvent.objects.filter(spread_at__isnull=True, due_at__lte=now)


@transaction.atomic
def spread_events(*, now: datetime) -> int:
    """Make the deliveries of what happened; returns how many events were looked at. One worker at a time."""
    if not is_alone("config_webhooks_spread"):
        return 0
    waiting = list(events_to_spread(now).order_by("due_at", "pk")[:AT_ONCE])
    if not waiting:
        return 0
    told = [*_grouped(waiting, now), *(one for one in waiting if one.type != EventType.EXCEPTIONS_OPENED)]
    listeners = _listeners()
    bodies = _Bodies(told)
    deliveries = [
        new_delivery(event, listener.endpoint, bodies.body(event), now)
        for event in told
        for listener in listeners
        if listener.wants(event) and event.numbers.get("count") != 0  # all were settled before anybody was told
    ]
    WebhookDelivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    WebhookEvent.objects.filter(pk__in=[event.pk for event in told]).update(spread_at=now)
    return len(waiting)


def new_delivery(event: WebhookEvent, endpoint: WebhookEndpoint, body: str, now: datetime) -> WebhookDelivery:
    """A delivery that may be tried at once, not saved yet."""
    return WebhookDelivery(
        event=event,
        endpoint=endpoint,
        body=body,
        created_at=now,
        next_try_at=now,
        give_up_at=now + GIVEN_UP_AFTER,
    )


def _grouped(waiting: Iterable[WebhookEvent], now: datetime) -> list[WebhookEvent]:
    """Of exceptions one event a feed, a minute after the one before; the others of the feed go into it."""
    ready = []
    for feed_id in {event.feed_id for event in waiting if event.type == EventType.EXCEPTIONS_OPENED}:
        of_feed = WebhookEvent.objects.filter(type=EventType.EXCEPTIONS_OPENED, feed_id=feed_id)
        untold = of_feed.filter(spread_at__isnull=True)
        last = of_feed.filter(spread_at__gt=now - APART).order_by("-spread_at").first()
        if last is not None and last.spread_at is not None:
            untold.update(due_at=last.spread_at + APART)
        else:
            ready.append(_merged(list(untold.order_by("pk")[:MOST_MERGED])))
    return ready


def _merged(events: list[WebhookEvent]) -> WebhookEvent:
    """The first of the events with the numbers of all: open exceptions by code, and the imports that they are in.

    What a reprocess or a correction has settled meanwhile is not counted any more.
    """
    first, others = events[0], events[1:]
    numbers = {event.subject_id for event in events if event.subject_id is not None}
    rows = (
        ImportException.objects.filter(usage_import_id__in=numbers, status=ImportException.Status.OPEN)
        .values_list("usage_import_id", "usage_import__tracking_id", "code")
        .annotate(count=Count("pk"))
        .order_by()
    )
    by_code, by_import = Counter[str](), Counter[str]()
    for _, tracking_id, code, count in rows:
        by_code[code] += count
        by_import[str(tracking_id)] += count
    first.numbers = {
        "count": by_code.total(),
        "codes": [{"code": code, "count": count} for code, count in by_code.most_common()],
        "import_count": len(by_import),
        "imports": [{"tracking_id": name, "count": count} for name, count in by_import.most_common(MOST_IMPORTS)],
    }
    first.save(update_fields=["numbers"])
    WebhookEvent.objects.filter(pk__in=[event.pk for event in others]).delete()
    return first


@dataclass(frozen=True)
class Listener:
    """An endpoint with what its owner may see now. feeds: None is every feed."""

    endpoint: WebhookEndpoint
    types: frozenset[str]
    chosen: frozenset[int]
    feeds: frozenset[int] | None

    def wants(self, event: WebhookEvent) -> bool:
        if event.type not in self.types:
            return False
        if event.type in OF_ACCOUNTS:
            is_asked = event.threshold is None or event.threshold in self.endpoint.thresholds
            return self.feeds is None and not self.chosen and is_asked
        is_chosen = not self.chosen or event.feed_id in self.chosen
        return is_chosen and (self.feeds is None or event.feed_id in self.feeds)


def _listeners() -> list[Listener]:
    feeds = Prefetch("feeds", Feed.objects.only("pk"))
    enabled = WebhookEndpoint.objects.filter(is_enabled=True).select_related("owner").prefetch_related(feeds)
    return [
        Listener(
            endpoint,
            frozenset(name for name in endpoint.events if name in may_know(endpoint.owner)),
            frozenset(feed.pk for feed in endpoint.feeds.all()),
            mediation.feeds_seen(endpoint.owner),
        )
        for endpoint in enabled
    ]


def may_know(owner: User) -> frozenset[str]:
    """The events that an owner's permissions let it be told of."""
    if not owner.is_active:
        return frozenset()
    return frozenset(event.value for event, permission in NEEDS.items() if owner.has_perm(permission))


class _Bodies:
    """The messages of some events: what they are about is asked for once."""

    def __init__(self, events: Iterable[WebhookEvent]) -> None:
        events = list(events)
        self.feeds = Feed.objects.in_bulk({one.feed_id for one in events if one.feed_id is not None})
        finished = {one.subject_id for one in events if one.type == EventType.IMPORT_FINISHED and one.subject_id}
        self.imports = UsageImport.objects.only("tracking_id", "attempt", "ended_at").in_bulk(finished)
        numbers = {one.numbers.get("account_id") for one in events if one.type in OF_ACCOUNTS}
        self.accounts = dict(Account.objects.filter(pk__in=numbers).values_list("pk", "number"))

    def body(self, event: WebhookEvent) -> str:
        return message(event, {**self._feed(event), **self._subject(event)}, at=self._moment(event))

    def _moment(self, event: WebhookEvent) -> datetime:
        """When it happened: an import is entered as finished before it is swapped, which may take half a minute."""
        one = self.imports.get(event.subject_id or 0) if event.type == EventType.IMPORT_FINISHED else None
        if one is None or one.ended_at is None or one.attempt != event.numbers.get("attempt"):
            return event.occurred_at
        return max(event.occurred_at, one.ended_at)

    def _feed(self, event: WebhookEvent) -> dict[str, Any]:
        feed = self.feeds.get(event.feed_id or 0)
        return {"feed": {"id": feed.pk, "name": feed.api_name}} if feed else {}

    def _subject(self, event: WebhookEvent) -> dict[str, Any]:
        told = dict(event.numbers)
        if event.type == EventType.IMPORT_FINISHED:
            one = self.imports.get(event.subject_id or 0)
            tracking_id = one.tracking_id if one else None
            address = f"/api/v1/imports/{tracking_id}"
            return {
                "tracking_id": str(tracking_id),
                **told,
                "links": {"import": address, "exceptions": f"{address}/exceptions"},
            }
        if event.type == EventType.EXCEPTIONS_OPENED:
            return {**told, "links": {"exceptions": f"/api/v1/exceptions?feed={event.feed_id}&status=open"}}
        if event.type == EventType.FEED_SILENT:
            return {**told, "links": {"notice": f"/admin/config/notice/{event.subject_id}/change/"}}
        told["account"] = self.accounts.get(told.pop("account_id", None))
        if event.type == EventType.STATEMENT_CLOSED:
            return {**told, "links": {"statement": f"/admin/rating/statement/{event.subject_id}/change/"}}
        return {**told, "threshold_percent": event.threshold}


def message(event: WebhookEvent, told: dict[str, Any], *, at: datetime | None = None) -> str:
    """The body of a message: JSON without spaces, as it is signed. at: when it happened, where the event says less."""
    whole = {
        "type": event.type,
        "timestamp": (at or event.occurred_at).isoformat().replace("+00:00", "Z"),
        "data": told,
    }
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
