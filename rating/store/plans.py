"""The price list out of PostgreSQL: every active version of every plan, read once a process."""

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import polars as pl
from django.db import connection
from psycopg import sql

from mediation.store import copy_out
from rating.core.frames import empty
from rating.core.matching import CLASSES, PAYERS, PLANS, Book
from rating.core.plans.document import read_plan
from rating.core.plans.spec import Plan
from rating.core.tariffs import PriceList, Version, price_list
from rating.models import Bucket, PlanVersion, Rate

ACTIVE = """
    SELECT id, plan_id, activated_at, starts_at,
        lead(starts_at) OVER (PARTITION BY plan_id ORDER BY starts_at) AS ends_at
    FROM rating_planversion WHERE status = 'active' ORDER BY plan_id, starts_at
"""


class _Active(NamedTuple):
    """A row of ACTIVE."""

    version_id: int
    plan_id: int
    activated_at: datetime
    starts_at: datetime
    ends_at: datetime | None


def book() -> Book:
    """Classes, plans and prices as they stand; who pays is asked for once usage is known."""
    known = classes()
    return Book(classes=known, payers=empty(PAYERS), plans=plans(), prices=active_prices(known))


def classes() -> pl.DataFrame:
    """The usage classes, and by which identifier each is paid: schema CLASSES."""
    return copy_out(sql.SQL("SELECT id, name, paid_by FROM mediation_usageclass"), CLASSES)


def plans() -> pl.DataFrame:
    """The rate plans, schema PLANS."""
    return copy_out(sql.SQL("SELECT id, name, currency, is_default FROM rating_rateplan"), PLANS)


def active_prices(known_classes: pl.DataFrame) -> PriceList:
    """Every active version with its rates and buckets. known_classes: schema CLASSES."""
    with connection.cursor() as cursor:
        cursor.execute(ACTIVE)
        active = tuple(_Active(*row) for row in cursor.fetchall())
    named = tuple(zip(known_classes["usage_class"].to_list(), known_classes["usage_class_id"].to_list(), strict=True))
    return _prices_of(active, tuple(sorted(named)))


# An active version never changes and a class keeps its number, so that the list is read anew only when one was added.
@lru_cache(maxsize=2)
def _prices_of(active: tuple[_Active, ...], named: tuple[tuple[str, int], ...]) -> PriceList:
    versions = [
        Version(
            version_id=row.version_id,
            plan_id=row.plan_id,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            plan=_plan(row.version_id, row.activated_at),
            rate_ids=rate_ids_of(row.plan_id),
            bucket_ids=bucket_ids_of(row.plan_id),
        )
        for row in active
    ]
    return price_list(versions, dict(named))


@lru_cache(maxsize=4_096)
def _plan(version_id: int, activated_at: datetime) -> Plan:
    return read_plan(PlanVersion.objects.values_list("document", flat=True).get(pk=version_id))


def rate_ids_of(plan_id: int) -> dict[tuple[str, str], int]:
    """The numbers of a plan's rates by group and name."""
    rows = Rate.objects.filter(plan_id=plan_id).values_list("group", "name", "pk")
    return {(group, name): pk for group, name, pk in rows}


def bucket_ids_of(plan_id: int) -> dict[str, int]:
    """The numbers of a plan's buckets by name."""
    return dict(Bucket.objects.filter(plan_id=plan_id).values_list("name", "pk"))
