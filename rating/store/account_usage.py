"""An account's charges added up by day and other dimensions, with running totals, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from mediation.models import UDR_ID_BITS

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Dimension:
    """What usage is parted by. key: the column or expression, of type `kind`; told: name -> what is shown of it."""

    key: str
    kind: str
    told: dict[str, str]
    join: str = ""


DIMENSIONS = {
    "day": Dimension("(c.date AT TIME ZONE %(zone)s)::date", "date", {"day": "by_day"}),
    "class": Dimension(
        "c.usage_class_id",
        "bigint",
        {"usage_class": "k.name", "unit": "k.unit"},
        "JOIN mediation_usageclass k ON k.id = by_class",
    ),
    "service": Dimension(
        "c.service_id",
        "bigint",
        {"service_id": "by_service", "service": "s.name"},
        "JOIN rating_service s ON s.id = by_service",
    ),
    "identifier": Dimension(
        "c.service_identifier_id",
        "bigint",
        {"identifier": "i.identifier"},
        "JOIN rating_serviceidentifier i ON i.id = by_identifier",
    ),
    "plan": Dimension("c.plan_id", "bigint", {"plan": "p.name"}, "JOIN rating_rateplan p ON p.id = by_plan"),
    "rate": Dimension(
        "c.rate_id",
        "bigint",
        {"rate_group": 'r."group"', "rate": "r.name"},
        "JOIN rating_rate r ON r.id = by_rate",
    ),
}
SUMS = ("quantity", "rated_quantity", "free_quantity", "bucket_quantity", "credit", "amount")
RUNNING = ("quantity", "amount")

# Charges have an index by period and lie by month of the usage's date: both are told as values, so that the planner
# sees how few of all charges these are.
CHARGES = """
    SELECT {keys}, c.currency AS by_currency, sum(CASE c.kind WHEN 'charge' THEN 1 ELSE -1 END) AS record_count, {sums}
    FROM rating_charge c
    WHERE c.period_id = ANY(%(periods)s) AND c.date >= %(starts_at)s AND c.date < %(ends_at)s {of_feeds}
    GROUP BY {places}
"""
OF_FEEDS = """AND EXISTS (
    SELECT FROM mediation_udrbatch b WHERE b.id = c.udr_id >> %(bits)s AND b.feed_id = ANY(%(feeds)s)
)"""
PAGE = """
WITH summed AS ({charges}), running AS (SELECT summed.* {running} FROM summed)
SELECT {told}, by_currency AS currency, record_count, {shown}, ARRAY[{keys_as_texts}] AS key
FROM running {joins}
WHERE (record_count <> 0 OR amount <> 0) {after}
ORDER BY {order} LIMIT %(most)s
"""


@dataclass(frozen=True)
class UsageAsked:
    """Whose usage and of when. period_ids: in which it may be billed; feeds: whose usage counts, None is every feed."""

    period_ids: Sequence[int]
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    feeds: frozenset[int] | None


def usage_of_account(
    asked: UsageAsked, by: Sequence[str], *, after: Sequence[str] | None = None, most: int | None = None
) -> list[dict[str, Any]]:
    """Charges less reversals added up by dimensions and currency, in their order; quantities and amounts as Decimals.

    by: names of DIMENSIONS, `day` first if at all; each row has its `key`. after: the key of the last row before. Where
    days are told apart, running_quantity and running_amount are what came together since the first day.
    """
    columns = [f"by_{name}" for name in by]
    order = [*columns, "by_currency"]
    told = {alias: source for name in by for alias, source in DIMENSIONS[name].told.items()}
    is_running = by[0] == "day"
    others = ", ".join(order[1:])
    window = f"OVER (PARTITION BY {others} ORDER BY by_day)"
    kinds = [*(DIMENSIONS[name].kind for name in by), "text"]
    charges = CHARGES.format(
        keys=", ".join(f"{DIMENSIONS[name].key} AS by_{name}" for name in by),
        sums=", ".join(f"sum(c.{name}) AS {name}" for name in SUMS),
        of_feeds="" if asked.feeds is None else OF_FEEDS,
        places=", ".join(map(str, range(1, len(order) + 1))),
    )
    query = PAGE.format(
        charges=charges,
        running="".join(f", sum({name}) {window} AS running_{name}" for name in RUNNING) if is_running else "",
        told=", ".join(f"{source} AS {alias}" for alias, source in told.items()),
        shown=", ".join([*SUMS, *(f"running_{name}" for name in RUNNING if is_running)]),
        keys_as_texts=", ".join(f"{column}::text" for column in order),
        joins=" ".join(DIMENSIONS[name].join for name in by),
        after=_after(order, kinds) if after else "",
        order=", ".join(order),
    )
    return _rows(query, _parameters(asked, after, most))


def _after(order: Sequence[str], kinds: Sequence[str]) -> str:
    values = ", ".join(f"%(after_{place})s::{kind}" for place, kind in enumerate(kinds))
    return f"AND ({', '.join(order)}) > ({values})"


def _parameters(asked: UsageAsked, after: Sequence[str] | None, most: int | None) -> dict[str, Any]:
    return {
        "periods": list(asked.period_ids),
        "zone": asked.time_zone,
        "starts_at": asked.starts_at,
        "ends_at": asked.ends_at,
        "feeds": sorted(asked.feeds or ()),
        "bits": UDR_ID_BITS,
        "most": most,
        **{f"after_{place}": value for place, value in enumerate(after or ())},
    }


def _rows(query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with transaction.atomic(), connection.cursor() as cursor:
        # Of many months PostgreSQL would compile the query for longer than it takes.
        cursor.execute("SET LOCAL jit = off")
        cursor.execute(query, parameters)
        names = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        cursor.execute("SET LOCAL jit TO DEFAULT")
        return rows


def totals_by_class(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What rows that are parted by class, and by whatever else, come to by class; so that nothing is read twice."""
    totals: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        named = {name: row[name] for name in ("usage_class", "unit", "currency")}
        empty = named | dict.fromkeys(("record_count", *SUMS), Decimal(0))
        total = totals.setdefault((row["usage_class"], row["currency"]), empty)
        for name in ("record_count", *SUMS):
            total[name] += row[name]
    return list(totals.values())


def is_key(key: Sequence[str], by: Sequence[str]) -> bool:
    """Whether texts are the key of a row that is parted by these dimensions."""
    if len(key) != len(by) + 1 or not (len(key[-1]) == 3 and key[-1].isascii()):
        return False
    return all(_is_of(DIMENSIONS[name].kind, text) for name, text in zip(by, key, strict=False))


def _is_of(kind: str, text: str) -> bool:
    if kind == "bigint":
        return text.isascii() and text.isdecimal() and len(text) < 19
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def as_texts(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it is told: numbers with all their digits as texts, days as 2026-05-31, without its key."""
    told = {name: value for name, value in row.items() if name != "key"}
    return {
        name: f"{value:f}" if isinstance(value, Decimal) else value.isoformat() if isinstance(value, date) else value
        for name, value in told.items()
    } | {"record_count": int(row["record_count"])}
