"""How much a token may send in a minute: counted in the database, by shares that each process takes and uses up.

A request costs no statement but the one that takes a share; a process asks for the next share when its own is used
up. What is counted there is what was given out, so that all processes of all hosts together never take more.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from knox.models import AuthToken

from config.models import TokenQuota

SHARES = 20  # of a minute: what may be left over at each of the other processes while one has to refuse
MOST = 10_000
MINUTE_SECONDS = 60


class Limits(NamedTuple):
    """Requests and records of a minute; 0: as many as come."""

    requests: int
    records: int


class Spent(NamedTuple):
    """What was given out of the limits of a minute, by the number of the minute since 1970."""

    minute: int
    requests: int
    records: int


@dataclass(frozen=True)
class Share:
    """What a process may still let in within a minute. records: below zero where the last request held more.

    wait_seconds: where it lets nothing in, from the beginning of its minute until something may be. given: what was
    given out to all processes when this one asked last.
    """

    minute: int
    requests: int
    records: int
    wait_seconds: int = 0
    given: Spent | None = field(default=None, compare=False)

    def is_open(self, limits: Limits) -> bool:
        return (not limits.requests or self.requests > 0) and (not limits.records or self.records > 0)


def carry(spent: Spent, minute: int, limits: Limits) -> Spent:
    """What is spent of a later minute: a request of more records than were left is paid off by those that follow."""
    if spent.minute >= minute:
        return spent
    paid = limits.records * (minute - spent.minute)
    return Spent(minute, 0, max(0, spent.records - paid) if limits.records else 0)


def divide(spent: Spent, left: Share, limits: Limits) -> tuple[Spent, Share]:
    """Give a process its next share. left: what it has left, which stays its own, or owes."""
    owed = max(0, -left.records)
    requests = _portion(limits.requests, spent.requests) if left.requests <= 0 else 0
    records = _portion(limits.records, spent.records + owed) if left.records <= 0 else 0
    share = Share(left.minute, max(0, left.requests) + requests, max(0, left.records) + records)
    now_spent = Spent(spent.minute, spent.requests + requests, spent.records + owed + records)
    share = replace(share, given=now_spent)
    if share.is_open(limits):
        return now_spent, share
    over = now_spent.records - limits.records
    minutes = 1 + max(0, over // limits.records) if limits.records else 1
    return now_spent, replace(share, wait_seconds=minutes * MINUTE_SECONDS)


def _portion(limit: int, spent: int) -> int:
    return max(0, min(-(-limit // SHARES), limit - spent))


def limits_of(token: AuthToken) -> Limits:
    """Its own limits, or else those of the settings."""
    scope = getattr(token, "scope", None)
    own = (None, None) if scope is None else (scope.requests_per_minute, scope.records_per_minute)
    usual = (settings.REQUESTS_PER_MINUTE, settings.RECORDS_PER_MINUTE)
    return Limits(*(general if each is None else each for each, general in zip(own, usual, strict=True)))


class Quotas:
    """The shares of one process."""

    def __init__(self) -> None:
        self._shares: dict[str, Share] = {}
        self._lock = Lock()

    def take_request(self, token: AuthToken, now: datetime) -> int | None:
        """None: the token may send this request. Otherwise the seconds after which it may be sent again."""
        limits = limits_of(token)
        if limits == (0, 0):
            return None
        seconds = int(now.timestamp())
        minute = seconds // MINUTE_SECONDS
        with self._lock:
            share = self._shares.get(token.digest) or Share(minute, 0, 0)
            if share.minute != minute:
                share = Share(minute, 0, min(0, share.records))
            if not share.is_open(limits) and not share.wait_seconds:
                share = self._next(token.digest, share, limits)
            is_taken = share.is_open(limits)
            self._keep(token.digest, replace(share, requests=share.requests - 1) if is_taken else share)
        return None if is_taken else share.wait_seconds - seconds % MINUTE_SECONDS

    def note_records(self, token: AuthToken, count: int) -> None:
        """Count the records of a request that was taken."""
        with self._lock:
            share = self._shares.get(token.digest)
            if share is not None and limits_of(token).records:
                self._shares[token.digest] = replace(share, records=share.records - count)

    def told_of(self, token: AuthToken, now: datetime) -> dict[str, str]:
        """The headers that tell a sender its limits and what is left of them, as far as this process knows."""
        limits = limits_of(token)
        seconds = int(now.timestamp())
        minute, into_minute = divmod(seconds, MINUTE_SECONDS)
        with self._lock:
            share = self._shares.get(token.digest)
        if share is None or share.minute != minute:
            share = Share(minute, 0, 0)
        given = share.given or Spent(minute, 0, 0)
        rest = (share.wait_seconds or MINUTE_SECONDS) - into_minute
        policy, left = [], []
        for name, limit in limits._asdict().items():
            if limit:
                policy.append(f'"{name}";q={limit};w={MINUTE_SECONDS}')
                unspent = limit - getattr(given, name) + getattr(share, name)
                left.append(f'"{name}";r={min(limit, max(0, unspent))};t={rest}')
        return {"RateLimit-Policy": ", ".join(policy), "RateLimit": ", ".join(left)} if policy else {}

    def _keep(self, digest: str, share: Share) -> None:
        if digest not in self._shares and len(self._shares) >= MOST:
            del self._shares[next(iter(self._shares))]
        self._shares[digest] = share

    @staticmethod
    def _next(digest: str, left: Share, limits: Limits) -> Share:
        with transaction.atomic():
            TokenQuota.objects.bulk_create(
                [TokenQuota(token_id=digest, minute=left.minute, requests=0, records=0)], ignore_conflicts=True
            )
            row = TokenQuota.objects.select_for_update().get(token_id=digest)
            spent = carry(Spent(row.minute, row.requests, row.records), left.minute, limits)
            spent, share = divide(spent, left, limits)
            row.minute, row.requests, row.records = spent
            row.save(update_fields=["minute", "requests", "records"])
        return share


QUOTAS = Quotas()
