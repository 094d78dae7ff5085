"""The frames of a quote: its usage, who pays, which periods there are, and what was used up before."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import polars as pl

from rating.core.frames import BOUNDS, USAGE
from rating.core.matching.book import CLASSES, PAYERS, PLANS, Book
from rating.core.periods import month_bounds
from rating.core.quoting.settings import Account
from rating.core.quoting.usage import Record
from rating.core.quoting.world import DEFAULT_DATE, Numbered, World

NAMED: dict[str, pl.DataType | type[pl.DataType]] = {**USAGE, "named": pl.String}  # named: overrules the identifier


def usage_frame(world: World, records: Sequence[Record]) -> pl.DataFrame:
    """The records as USAGE, with `named`: the identifier that pays whatever the class says, or null."""
    rows = [
        (
            place,
            0,
            each.date,
            1,
            1,
            world.class_ids[str(each.usage_class)],
            each.originating_identifier,
            each.terminating_identifier,
            each.udr_usage_identifier or each.identifier,
            each.inbound,
            each.reverse_rating,
            each.value,
            each.amount,
            each.currency or _currency(world, each),
            json.dumps(each.extensions, ensure_ascii=False) if each.extensions else None,
            _named(world, each),
        )
        for place, each in enumerate(records, 1)
    ]
    return pl.DataFrame(rows, schema=NAMED, orient="row")


def _currency(world: World, record: Record) -> str | None:
    """An amount without a currency is in that of the account that the record names, or in the only one there is."""
    if record.amount is None:
        return None
    payer = world.payer(record)
    return world.currency(payer.account) if payer else world.only_currency


def _named(world: World, record: Record) -> str | None:
    payer = world.payer(record)
    has_own = record.identifier or record.originating_identifier or record.terminating_identifier
    if payer and (record.account or record.service or not (has_own or record.udr_usage_identifier)):
        return name_of(payer)
    return record.identifier


def name_of(service: Numbered) -> str:
    """What a service is found by that has no identifier."""
    return f"service {service.service.name} of account {service.account.number}"


def book_of(world: World, since: datetime) -> Book:
    """Classes, payers, plans and prices. since: when services started that do not say so."""
    classes = [(world.class_ids[each.name], each.name, each.paid_by) for each in world.classes]
    plans = [(world.plan_ids[plan.name], plan.name, plan.currency, False) for plan in world.setting.plans]
    payers = [row for service in world.services for row in _payer_rows(world, service, since)]
    return Book(
        classes=pl.DataFrame(classes, schema=CLASSES, orient="row"),
        payers=pl.DataFrame(
            [{**row, "service_identifier_id": place} for place, row in enumerate(payers, 1)], schema=PAYERS
        ),
        plans=pl.DataFrame(plans, schema=PLANS, orient="row"),
        prices=world.prices,
    )


def _payer_rows(world: World, numbered: Numbered, since: datetime) -> list[dict[str, object]]:
    account, service = numbered.account, numbered.service
    parent_plan = next((each.plan for each in world.above(account) if each.plan), None)
    starts_at = service.starts_at or since
    shared = {
        "service_id": numbered.number,
        "service_starts_at": starts_at,
        "service_ends_at": service.ends_at,
        "service_plan_id": world.plan_ids.get(service.plan or ""),
        "package_plan_id": world.plan_ids.get(service.package or ""),
        "account_id": world.account_ids[account.number],
        "account_number": account.number,
        "account_currency": world.currency(account),
        "time_zone": account.time_zone,
        "is_final_billed": False,
        "account_plan_id": world.plan_ids.get(account.plan or ""),
        "parent_plan_id": world.plan_ids.get(parent_plan or ""),
        "family_id": world.account_ids[world.topmost(account).number],
    }
    owned = [(name_of(numbered), None, None), *((o.identifier, o.starts_at, o.ends_at) for o in service.identifiers)]
    return [
        {"identifier": identifier, "starts_at": owned_from or starts_at, "ends_at": ends_at, **shared}
        for identifier, owned_from, ends_at in owned
    ]


def period_rows(world: World, dates: Sequence[datetime]) -> pl.DataFrame:
    """The periods of every account, BOUNDS: those of the document, or each calendar month from the first date on."""
    earliest, latest = (min(dates), max(dates)) if dates else (DEFAULT_DATE, DEFAULT_DATE)
    rows: list[tuple[object, ...]] = []
    for account in world.accounts:
        for month, starts_at, ends_at in _periods(world, account, earliest, latest):
            rows.append((world.account_ids[account.number], month, len(rows) + 1, starts_at, ends_at))
    return pl.DataFrame(rows, schema=BOUNDS, orient="row")


def _periods(
    world: World, account: Account, earliest: datetime, latest: datetime
) -> list[tuple[date, datetime, datetime]]:
    zone = ZoneInfo(account.time_zone)
    if world.setting.periods:
        return [
            (each.starts_at.astimezone(zone).date(), each.starts_at, each.ends_at) for each in world.setting.periods
        ]
    first, last = (moment.astimezone(zone).date().replace(day=1) for moment in (earliest, latest))
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    months = [
        date(first.year + (first.month - 1 + at) // 12, (first.month - 1 + at) % 12 + 1, 1) for at in range(count)
    ]
    return [(month, *month_bounds(month, account.time_zone)) for month in months]


def started(periods: pl.DataFrame) -> datetime:
    """When services started that do not say so: with the first period of all."""
    first = periods["starts_at"].min()
    return first if isinstance(first, datetime) else DEFAULT_DATE.astimezone(UTC)


def in_periods(usage: pl.DataFrame, world: World) -> pl.Series:
    """Which rows begin in a period of the document; all of them where it names none."""
    periods = world.setting.periods
    if not periods:
        return pl.Series([True]).new_from_index(0, usage.height)
    bounds = [(pl.col("date") >= each.starts_at) & (pl.col("date") < each.ends_at) for each in periods]
    return usage.select(pl.any_horizontal(bounds)).to_series()


def placed(matched: pl.DataFrame, world: World, periods: pl.DataFrame) -> pl.DataFrame:
    """MATCHED, of records that start in a period, with `month` as the document's own periods have it."""
    if not world.setting.periods:
        return matched
    bounds = periods.select("account_id", "month", "starts_at", "ends_at")
    own = matched.filter(pl.col("part") == 0).select("udr_id", "account_id", "date").join(bounds, on="account_id")
    own = own.filter((pl.col("starts_at") <= pl.col("date")) & (pl.col("date") < pl.col("ends_at")))
    own = own.select("udr_id", "month")
    return matched.drop("month").join(own, on="udr_id", how="left", maintain_order="left").select(matched.columns)
