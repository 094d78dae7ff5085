"""Tables drawn as text, as frames of a schema: columns by name, a dash for null, what is not drawn by default."""

from datetime import UTC, datetime

import polars as pl

from rating.core import frames
from rating.core.frames import (
    BALANCES,
    BUCKETS,
    CLASSES,
    GROUPS,
    PAYERS,
    PERIODS,
    PLANS,
    POSITIONS,
    RATES,
    TIERS,
    UDRS,
    Tariff,
)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

DEFAULTS = {
    "date": "2026-05-10T12:00:00Z",
    "feed_id": "1",
    "import_id": "1",
    "usage_class_id": "1",
    "udr_usage_identifier": "555",
    "value": "1",
    "paid_by": "usage",
    "identifier": "555",
    "service_identifier_id": "1",
    "service_id": "1",
    "starts_at": "2020-01-01T00:00:00Z",
    "service_starts_at": "2020-01-01T00:00:00Z",
    "account_id": "1",
    "account_number": "A-1",
    "account_currency": "EUR",
    "time_zone": "Europe/Vienna",
    "is_final_billed": "false",
    "account_plan_id": "1",
    "plan_id": "1",
    "rate_group_id": "1",
    "position": "1",
    "amount_precision": "11",
    "rate_id": "1",
    "model": "per_unit",
    "minimum": "0",
    "is_default": "false",
    "bucket_id": "1",
    "period_id": "1",
}


def frame(text, schema):
    """The drawn table as a frame of `schema`; columns that are not drawn get their default."""
    head, *rows = [line.split() for line in text.strip().splitlines()]
    texts = {name: [DEFAULTS.get(name)] * len(rows) for name in schema}
    for place, name in enumerate(head):
        assert name in schema, f"{name} is no column of this table"
        texts[name] = [None if row[place] == "-" else row[place] for row in rows]
    return pl.DataFrame(texts, schema=dict.fromkeys(schema, pl.String)).select(
        _typed(name, kind) for name, kind in schema.items()
    )


def _typed(name, kind):
    column = pl.col(name)
    if kind == pl.Boolean:
        return column == "true"
    if isinstance(kind, pl.Datetime):
        return column.str.to_datetime("%Y-%m-%dT%H:%M:%S%#z", time_unit="us", time_zone="UTC")
    if kind == pl.Date:
        return column.str.to_date()
    return column.cast(kind)


def udrs(text):
    return frame(text, UDRS)


def tariff(**drawn):
    """A tariff of drawn tables; one payer, plan, group and class stand where nothing else is drawn."""
    schemas = {
        "classes": CLASSES,
        "payers": PAYERS,
        "plans": PLANS,
        "groups": GROUPS,
        "rates": RATES,
        "tiers": TIERS,
        "buckets": BUCKETS,
        "periods": PERIODS,
        "balances": BALANCES,
        "positions": POSITIONS,
    }
    usual = {
        "classes": "usage_class_id usage_class\n1 Data",
        "payers": "service_id\n1",
        "plans": "plan_id plan\n1 Gold",
        "groups": "position\n1",
        "rates": "price\n0.10",
        "periods": "month period_id\n2026-05-01 5",
    }
    made = {name: frame(text, schemas[name]) for name, text in (usual | drawn).items()}
    return Tariff(**{name: made.get(name, frames.empty(schema)) for name, schema in schemas.items()})
