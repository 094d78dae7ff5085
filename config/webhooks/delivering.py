"""Deliveries on their way: claimed, sent side by side, tried again after growing gaps, given up after three days."""

import logging
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from config.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent
from config.webhooks.sending import GONE, TIMEOUT_SECONDS, Answer, post
from config.webhooks.signing import check_of, secret_of, signed_headers
from rating.store import is_alone

log = logging.getLogger(__name__)

Status = WebhookDelivery.Status

GAPS = tuple(
    timedelta(seconds=seconds) for seconds in (5, 60, 5 * 60, 30 * 60, 2 * 3600, 8 * 3600)
)  # and from then on the last
LONGEST_REST = timedelta(minutes=5)
FAILING = timedelta(days=4)
CLAIM = timedelta(seconds=6 * TIMEOUT_SECONDS)
AT_ONCE = 32
AT_ONCE_AN_ENDPOINT = 8
KEPT = timedelta(days=30)
EXPIRED_AT_ONCE = 1_000

# Of each endpoint that is up the ones that wait longest; of one that failed last a single one shows whether it is back.
DUE = """
SELECT d.id FROM config_webhookendpoint e CROSS JOIN LATERAL (
    SELECT id FROM config_webhookdelivery
    WHERE endpoint_id = e.id AND status = 'waiting' AND next_try_at <= %(now)s ORDER BY next_try_at
    LIMIT CASE WHEN e.failures = 0 THEN %(each)s ELSE 1 END
) d
WHERE e.is_enabled AND (e.rests_until IS NULL OR e.rests_until <= %(now)s)
ORDER BY random() LIMIT %(most)s
"""


def deliveries_due(now: datetime) -> QuerySet[WebhookDelivery]:
    """What may be sent now: not what waits for an endpoint that rests or is disabled."""
    is_awake = Q(endpoint__rests_until=None) | Q(endpoint__rests_until__lte=now)
    waiting = WebhookDelivery.objects.filter(is_awake, status=Status.WAITING, next_try_at__lte=now)
    is_free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    return waiting.filter(is_free, endpoint__is_enabled=True)


def deliver_next(*, now: datetime) -> int:
    """Send what is due, as much as goes at once; returns how many were tried.

    One worker of all sends at a time: an endpoint that answers slowly may hold up webhooks, never usage.
    """
    claimed = _claim(now)
    if not claimed:
        return 0
    with ThreadPoolExecutor(len(claimed)) as pool:
        # Threads send; what they found is written here, over the worker's own connection.
        answers = list(pool.map(_send, claimed, [_secrets(one.endpoint, now) for one in claimed]))
    for delivery, answer in zip(claimed, answers, strict=True):
        _record(delivery, answer, timezone.now())
    return len(claimed)


@transaction.atomic
def _claim(now: datetime) -> list[WebhookDelivery]:
    """Those that are sent now; none while another worker sends. What a dead worker claimed is free in a minute."""
    if not is_alone("config_webhooks") or WebhookDelivery.objects.filter(claimed_until__gte=now).exists():
        return []
    with connection.cursor() as cursor:
        cursor.execute(DUE, {"now": now, "each": AT_ONCE_AN_ENDPOINT, "most": AT_ONCE})
        ids = [pk for (pk,) in cursor.fetchall()]
    chosen = WebhookDelivery.objects.filter(pk__in=ids)
    chosen.update(attempts=F("attempts") + 1, tries=F("tries") + 1, claimed_until=now + CLAIM)
    return list(chosen.select_related("endpoint", "event"))


def _secrets(endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    """What signs: the secret, and for a while the one before; none where the house's own secret is another one now."""
    current = secret_of(endpoint.secret_salt, settings.SECRET_KEY)
    if check_of(current) != endpoint.secret_check:
        return []
    if endpoint.previous_salt and endpoint.previous_until and endpoint.previous_until > now:
        return [current, secret_of(endpoint.previous_salt, settings.SECRET_KEY)]
    return [current]


def _send(delivery: WebhookDelivery, signing: list[str]) -> Answer:
    if not signing:
        return Answer(None, "", "SECRET_KEY was changed, and the endpoint's secret with it: rotate the secret.", 0)
    headers = signed_headers(
        message_id=message_id(delivery.event), at=timezone.now(), body=delivery.body, signing=signing
    )
    return post(delivery.endpoint.url, delivery.body, headers, allowed=settings.WEBHOOK_ALLOW_PRIVATE)


def message_id(event: WebhookEvent) -> str:
    """The same at each try: receivers drop what they have had."""
    return f"evt_{event.uid.hex}"


@transaction.atomic
def _record(delivery: WebhookDelivery, answer: Answer, now: datetime) -> None:
    """Write down what became of a try, unless another worker has taken the delivery meanwhile."""
    WebhookAttempt.objects.create(
        delivery=delivery,
        at=now,
        status_code=answer.status,
        answer=answer.text,
        error=answer.error,
        milliseconds=answer.milliseconds,
    )
    own = WebhookDelivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts, status=Status.WAITING)
    if answer.is_taken:
        own.update(status=Status.DELIVERED, ended_at=now, next_try_at=None, claimed_until=None)
        WebhookEndpoint.objects.filter(pk=delivery.endpoint_id).exclude(failures=0).update(
            failures=0, failing_since=None, rests_until=None
        )
        return
    next_try_at = now + gap_after(delivery.tries) * random.uniform(1, 1.2)  # noqa: S311 - spreads load, hides nothing
    if next_try_at > delivery.give_up_at:
        own.update(status=Status.GIVEN_UP, ended_at=now, next_try_at=None, claimed_until=None)
    else:
        own.update(next_try_at=next_try_at, claimed_until=None)
    _note_failure(delivery.endpoint_id, answer, now)


def gap_after(tries: int) -> timedelta:
    """How long a delivery waits after so many tries."""
    return GAPS[min(tries, len(GAPS)) - 1]


def _note_failure(endpoint_id: int, answer: Answer, now: datetime) -> None:
    """Let the endpoint rest, or stop sending to it: it is gone, or has taken nothing for days."""
    endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
    endpoint.failures += 1
    endpoint.failing_since = endpoint.failing_since or now
    endpoint.rests_until = now + min(gap_after(endpoint.failures), LONGEST_REST)
    if answer.status == GONE:
        endpoint.disabled_reason = "It answered 410 Gone."
    elif now - endpoint.failing_since >= FAILING:
        endpoint.disabled_reason = f"It has taken nothing for {FAILING.days} days."
    if endpoint.disabled_reason:
        endpoint.is_enabled = False
        log.error("webhook endpoint disabled", extra={"endpoint_id": endpoint_id})
    endpoint.save(update_fields=["failures", "failing_since", "rests_until", "disabled_reason", "is_enabled"])


def expire_events(*, now: datetime) -> int:
    """Forget what happened thirty days ago, with its deliveries and their log; returns how many events."""
    old = list(
        WebhookEvent.objects.filter(occurred_at__lt=now - KEPT)
        .order_by("occurred_at")
        .values_list("pk", flat=True)[:EXPIRED_AT_ONCE]
    )
    WebhookEvent.objects.filter(pk__in=old).delete()
    return len(old)
