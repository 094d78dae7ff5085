"""What people do with webhooks: check what they set up, rotate a secret, send a test, send again."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from config.models import EventType, WebhookDelivery, WebhookEndpoint, WebhookEvent
from config.webhooks import events
from config.webhooks.addresses import UnableToReach, resolve
from config.webhooks.events import GIVEN_UP_AFTER, OF_ACCOUNTS
from config.webhooks.signing import check_of, new_salt, secret_of
from mediation import services as mediation

OVERLAP = timedelta(hours=24)


class UnableToSend(Exception):
    """A webhook cannot be sent, or not sent there; the message says why."""


def require_fit(*, url: str, owner: User, chosen: Sequence[str], feed_ids: Sequence[int]) -> None:
    """Refuse what could never be delivered: an address inside, events or feeds that the owner may not see."""
    try:
        resolve(url, settings.WEBHOOK_ALLOW_PRIVATE)
    except UnableToReach as refusal:
        raise UnableToSend(str(refusal)) from None
    feeds = mediation.feeds_seen(owner)
    lacking = [name for name in chosen if name not in events.may_know(owner)]
    if lacking:
        needed = ", ".join(events.NEEDS[EventType(name)] for name in lacking)
        raise UnableToSend(f"{owner} may not know of {', '.join(lacking)}; that takes the permission {needed}.")
    if feeds is not None and not feeds.issuperset(feed_ids):
        raise UnableToSend(f"{owner} was not granted each of these feeds. Grant them on the pages of the feeds.")
    of_accounts = [name for name in chosen if name in OF_ACCOUNTS]
    if of_accounts and (feeds is not None or feed_ids):
        said = ", ".join(of_accounts)
        raise UnableToSend(f"{said}: accounts use every feed, so choose no feed, and an owner who may see every feed.")


@mediation.acts()
def rotate_secret(*, endpoint: WebhookEndpoint, by: User | None, now: datetime) -> str:
    """Give an endpoint its first secret or another; returns it, which nothing else does. The one before signs a day."""
    mediation.require_permission(by, "config.change_webhookendpoint")
    return put_secret(endpoint, now)


def put_secret(endpoint: WebhookEndpoint, now: datetime) -> str:
    """As `rotate_secret`, for an endpoint that is being made."""
    endpoint.previous_salt = endpoint.secret_salt
    endpoint.previous_until = now + OVERLAP if endpoint.secret_salt else None
    endpoint.secret_salt = new_salt()
    secret = secret_of(endpoint.secret_salt, settings.SECRET_KEY)
    endpoint.secret_check = check_of(secret)
    endpoint.save(update_fields=["previous_salt", "previous_until", "secret_salt", "secret_check"])
    return secret


@transaction.atomic
def send_test(*, endpoint: WebhookEndpoint, by: User | None, now: datetime) -> WebhookDelivery:
    """Send an event that means nothing, to see whether it arrives. Raises UnableToSend, PermissionDenied."""
    mediation.require_permission(by, "config.send_webhookendpoint")
    if not endpoint.is_enabled:
        raise UnableToSend(f"{endpoint} is not enabled. Enable it first; nothing is sent to it.")
    # Who asks wants to know now, whether or not it rests.
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(rests_until=None)
    event = WebhookEvent.objects.create(type=EventType.TEST, occurred_at=now, due_at=now, spread_at=now)
    delivery = events.new_delivery(event, endpoint, events.message(event, {"endpoint": endpoint.name}), now)
    delivery.save()
    mediation.ring(name="webhooks", now=now)
    return delivery


@transaction.atomic
def send_again(*, deliveries: QuerySet[WebhookDelivery], by: User | None, now: datetime) -> int:
    """Send what is at rest again, delivered or given up, for three days from now; returns how many.

    Receivers that had it drop it by its webhook-id.
    """
    mediation.require_permission(by, "config.replay_webhookdelivery")
    mine = mediation.seen(deliveries, by, "event__feed_id")
    at_rest = WebhookDelivery.objects.filter(pk__in=list(mine.values_list("pk", flat=True)))
    count = at_rest.exclude(status=WebhookDelivery.Status.WAITING).update(
        status=WebhookDelivery.Status.WAITING,
        next_try_at=now,
        give_up_at=now + GIVEN_UP_AFTER,
        tries=0,
        ended_at=None,
        claimed_until=None,
    )
    if count:
        mediation.ring(name="webhooks", now=now)
    return count


def send_failed_again(*, endpoint: WebhookEndpoint, since: datetime, by: User | None, now: datetime) -> int:
    """Send again what was given up of an endpoint since then; and what waits for its next try, at once."""
    mediation.require_permission(by, "config.replay_webhookdelivery")
    of_endpoint = WebhookDelivery.objects.filter(endpoint=endpoint, created_at__gte=since)
    with transaction.atomic():
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(rests_until=None)
        hurried = mediation.seen(of_endpoint, by, "event__feed_id").filter(
            status=WebhookDelivery.Status.WAITING, next_try_at__gt=now, claimed_until=None
        )
        count = hurried.update(next_try_at=now)
        given_up = of_endpoint.filter(status=WebhookDelivery.Status.GIVEN_UP)
        count += send_again(deliveries=given_up, by=by, now=now)
        mediation.ring(name="webhooks", now=now)
    return count


def endpoints_disabled() -> list[WebhookEndpoint]:
    """Those that the house stopped sending to, and nobody has enabled since."""
    return list(WebhookEndpoint.objects.filter(is_enabled=False).exclude(disabled_reason="").order_by("pk"))


def started_today() -> datetime:
    """Where the form for sending again begins."""
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
