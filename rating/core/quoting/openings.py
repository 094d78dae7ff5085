"""Opening balances: the grants that a quote document tells of, as they stood before its first record."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import polars as pl

from rating.core.ledger.windows import Window, window_of
from rating.core.plans.spec import Bucket
from rating.core.quoting.settings import Account, Opening
from rating.core.quoting.world import World
from rating.core.tariffs import PricedBucket

ZERO = Decimal(0)


def opening_grants(world: World, periods: pl.DataFrame, since: datetime) -> list[tuple[object, ...]]:
    """GRANTS of the document's `grants`. An opening that names no account or service is that of each of them."""
    return [
        row
        for opening in world.setting.grants
        for priced in world.prices.buckets
        if priced.bucket.name == opening.bucket and opening.plan in (None, priced.version.plan.name)
        for row in _rows(world, periods, since, opening, priced)
    ]


def _rows(
    world: World, periods: pl.DataFrame, since: datetime, opening: Opening, priced: PricedBucket
) -> Iterator[tuple[object, ...]]:
    for account, service_id, members in _owners(world, opening, priced):
        account_id = world.account_ids[account.number]
        moment = opening.starts_at or since
        if priced.bucket.recurs == "granted":
            bounds = (moment, opening.ends_at)
            yield (priced.bucket_id, account_id, service_id, *bounds, opening.size, ZERO, 0, opening.used)
            continue
        window = window_of(priced.bucket, moment, account.time_zone, _period(periods, account_id, moment))
        if window is not None:
            granted = _size(priced.bucket, members) + opening.carried
            bounds = (window.starts_at, window.ends_at)
            yield (priced.bucket_id, account_id, service_id, *bounds, granted, opening.carried, 0, opening.used)


def _owners(world: World, opening: Opening, priced: PricedBucket) -> list[tuple[Account, int, int]]:
    """Whose grant it is, its service (0: shared), and how many services share it."""
    shared = priced.bucket.shared
    found: dict[tuple[str, int], tuple[Account, int, int]] = {}
    for each in world.services:
        account = world.topmost(each.account) if shared == "family" else each.account
        is_meant = opening.account in (None, account.number) and opening.service in (None, each.service.name)
        if is_meant and world.plan_of(each) == priced.version.plan_id:
            number = each.number if shared == "service" else 0
            members = found.get((account.number, number), (account, number, 0))[2] + 1
            found[account.number, number] = (account, number, members)
    return list(found.values())


def _size(bucket: Bucket, members: int) -> Decimal:
    """What is granted at least; the ledger raises it to what the bucket gives."""
    return bucket.size * members if bucket.grows else bucket.size


def _period(periods: pl.DataFrame, account_id: int, moment: datetime) -> Window:
    """The account's period that holds a moment, or its first."""
    own = [Window(*row[3:]) for row in periods.iter_rows() if row[0] == account_id]
    return next((window for window in own if window.holds(moment)), own[0])
