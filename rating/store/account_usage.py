"""An account's charges added up by day and other dimensions, with running totals, a page at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from psycopg import sql

from mediation.models import UDR_ID_BITS
from mediation.store import one_moment, query_as_csv
from rating.store.counted_usage import SUMS, counted_of
from rating.store.usage_dimensions import EXTENSIONS_OF_CHARGE, Dimension, dimensions_of

RUNNING = ("quantity", "amount")

# Charges have an index by period and lie by month of the usage's date: both are told as values, so that the planner
# sees how few of all charges these are.
CHARGES = """
    SELECT {keys}, c.currency AS by_currency, sum(CASE c.kind WHEN 'charge' THEN 1 ELSE -1 END) AS record_count, {sums}
    FROM rating_charge c {extensions}
    WHERE c.period_id = ANY(%(periods_{place})s) AND c.date >= %(starts_at_{place})s AND c.date < %(ends_at)s {of_feeds}
    GROUP BY {places}
"""
OF_FEEDS = """AND EXISTS (
    SELECT FROM mediation_udrbatch b WHERE b.id = c.udr_id >> %(bits)s AND b.feed_id = ANY(%(feeds)s)
)"""
COUNTED = """
    SELECT {keys}, c.currency AS by_currency, sum(c.record_count) AS record_count, {sums}
    FROM rating_countedusage c
    WHERE c.period_id = ANY(%(counted)s) AND {grain} c.by_line AND c.day >= %(first_day)s AND c.day <= %(last_day)s
        {of_feeds}
    GROUP BY {places}
"""
TOGETHER = "SELECT {keys}, by_currency, sum(record_count) AS record_count, {sums} FROM ({parts}) p GROUP BY {places}"
PAGE = """
WITH summed AS ({charges}), running AS (SELECT summed.* {running} FROM summed)
SELECT {told}, by_currency, record_count, {shown}, ARRAY[{keys_as_texts}] AS key
FROM running {joins}
WHERE (record_count <> 0 OR amount <> 0) {after}
ORDER BY {order} LIMIT %(most)s
"""


@dataclass(frozen=True)
class UsageAsked:
    """Whose usage and of which days. period_ids: in which it may be billed; starts_at, ends_at: where the days begin
    and end in the account's zone; feeds: whose usage counts, None is every feed."""

    period_ids: Sequence[int]
    time_zone: str
    first_day: date
    last_day: date
    starts_at: datetime
    ends_at: datetime
    feeds: frozenset[int] | None


def usage_of_account(
    asked: UsageAsked, by: Sequence[str], *, after: Sequence[str] | None = None, most: int | None = None
) -> list[dict[str, Any]]:
    """Charges less reversals added up by dimensions and currency, in their order; quantities and amounts as Decimals.

    by: names of dimensions, `day` first if at all; each row has its `key`. after: the key of the last row before. Where
    days are told apart, running_quantity and running_amount are what came together since the first day.
    """
    with one_moment(), connection.cursor() as cursor:
        query, parameters, headers = _page(asked, by, after, most)
        # Of many months PostgreSQL would compile the query for longer than it takes.
        cursor.execute("SET LOCAL jit = off")
        cursor.execute(query, parameters)
        rows = [dict(zip(headers, row, strict=True)) for row in cursor.fetchall()]
        cursor.execute("SET LOCAL jit TO DEFAULT")
        return rows


def usage_as_csv(asked: UsageAsked, by: Sequence[str], *, spreadsheet: bool) -> Iterator[bytes]:
    """The same, all of it, as CSV with a header. spreadsheet: texts that one would run get an apostrophe."""
    with one_moment(), connection.cursor() as cursor:
        query, parameters, headers = _page(asked, by, None, None)
        bound = sql.SQL(cursor.mogrify(query, parameters))
        texts = set(headers[: headers.index("currency")]) - {"day", "service_id"} if spreadsheet else ()
        for piece in query_as_csv(bound, headers, left_out=("key",), defused=texts):
            yield piece.content


def _page(
    asked: UsageAsked, by: Sequence[str], after: Sequence[str] | None, most: int | None
) -> tuple[str, dict[str, Any], list[str]]:
    """The query, its parameters, and what its columns are called: by any text, as extensions are."""
    dimensions = dimensions_of(by)
    order = [*(each.column for each in dimensions), "by_currency"]
    told = {name: source for each in dimensions for name, source in each.told.items()}
    running = RUNNING if by[0] == "day" else ()
    window = f"OVER (PARTITION BY {', '.join(order[1:])} ORDER BY by_day)"
    shown = [*SUMS, *(f"running_{name}" for name in running)]
    charges, parameters = _charges(asked, dimensions)
    query = PAGE.format(
        charges=charges,
        running="".join(f", sum({name}) {window} AS running_{name}" for name in running),
        told=", ".join(told.values()),
        shown=", ".join(shown),
        keys_as_texts=", ".join(f"{column}::text" for column in order),
        joins=" ".join(each.join for each in dimensions),
        after=_after(order, [*(each.kind for each in dimensions), "text"]) if after else "",
        order=", ".join(order),
    )
    parameters |= {"most": most, **{f"after_{place}": value for place, value in enumerate(after or ())}}
    return query, parameters, [*told, "currency", "record_count", *shown, "key"]


def _charges(asked: UsageAsked, dimensions: Sequence[Dimension]) -> tuple[str, dict[str, Any]]:
    """The query that adds charges up by dimensions, and its parameters: what is counted, and the charges beyond it."""
    is_by_line = any(each.is_line for each in dimensions)
    counted = counted_of(asked.period_ids) if all(each.is_counted for each in dimensions) else []
    usable = {each.period_id: each.before for each in counted if each.has_lines or not is_by_line}
    # Which periods' charges are read from which moment on; there are few such moments.
    beyond: dict[datetime, list[int]] = {}
    for period_id in asked.period_ids:
        since = max(asked.starts_at, usable.get(period_id, asked.starts_at))
        if since < asked.ends_at:
            beyond.setdefault(since, []).append(period_id)
    if not (beyond or usable):
        beyond[asked.starts_at] = []  # of no period at all there is still a query to ask
    parts, parameters = [], _parameters(asked, dimensions)
    said: dict[str, Any] = {
        "sums": ", ".join(f"sum(c.{name}) AS {name}" for name in SUMS),
        "places": ", ".join(str(place + 1) for place in range(len(dimensions) + 1)),
    }
    if usable:
        keys = ", ".join(f"{each.counted or each.key} AS {each.column}" for each in dimensions)
        of_feeds = "" if asked.feeds is None else "AND c.feed_id = ANY(%(feeds)s)"
        parts.append(COUNTED.format(keys=keys, grain="" if is_by_line else "NOT", of_feeds=of_feeds, **said))
        parameters["counted"] = list(usable)
    keys = ", ".join(f"{each.key} AS {each.column}" for each in dimensions)
    extensions = "" if all(each.is_counted for each in dimensions) else EXTENSIONS_OF_CHARGE
    of_feeds = "" if asked.feeds is None else OF_FEEDS
    for place, (since, period_ids) in enumerate(beyond.items()):
        parts.append(CHARGES.format(keys=keys, place=place, extensions=extensions, of_feeds=of_feeds, **said))
        parameters |= {f"periods_{place}": period_ids, f"starts_at_{place}": since}
    if len(parts) == 1:
        return parts[0], parameters
    columns = ", ".join(each.column for each in dimensions)
    sums = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
    return TOGETHER.format(keys=columns, sums=sums, parts=" UNION ALL ".join(parts), places=said["places"]), parameters


def _after(order: Sequence[str], kinds: Sequence[str]) -> str:
    values = ", ".join(f"%(after_{place})s::{kind}" for place, kind in enumerate(kinds))
    return f"AND ({', '.join(order)}) > ({values})"


def _parameters(asked: UsageAsked, dimensions: Sequence[Dimension]) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "zone": asked.time_zone,
        "ends_at": asked.ends_at,
        "first_day": asked.first_day,
        "last_day": asked.last_day,
        "feeds": sorted(asked.feeds or ()),
        "bits": UDR_ID_BITS,
    }
    for each in dimensions:
        parameters |= each.parameters
    return parameters


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


def as_texts(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it is told: numbers with all their digits as texts, days as 2026-05-31, without its key."""
    told = {name: value for name, value in row.items() if name != "key"}
    return {
        name: f"{value:f}" if isinstance(value, Decimal) else value.isoformat() if isinstance(value, date) else value
        for name, value in told.items()
    } | {"record_count": int(row["record_count"])}
