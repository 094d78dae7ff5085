"""Tables drawn as text, as frames of a schema: columns by name, a dash for null, what is not drawn by default."""

import polars as pl

DEFAULTS = {
    "part": "0",
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
    "family_id": "1",
    "account_number": "A-1",
    "account_currency": "EUR",
    "time_zone": "Europe/Vienna",
    "is_final_billed": "false",
    "account_plan_id": "1",
    "is_default": "false",
    "plan_id": "1",
    "period_id": "1",
}


def frame(text, schema):
    """The drawn table as a frame of `schema`; a dash is null, columns that are not drawn get their default."""
    head, *rows = [line.split() for line in text.strip().splitlines()]
    assert set(head) <= set(schema), set(head) - set(schema)
    drawn = [dict(zip(head, row, strict=True)) for row in rows]
    texts = {name: [row.get(name, DEFAULTS.get(name, "-")) for row in drawn] for name in schema}
    columns = (pl.when(pl.col(name) != "-").then(name) for name in schema)
    return (
        pl.DataFrame(texts, schema=dict.fromkeys(schema, pl.String))
        .select(columns)
        .select(_typed(name, kind) for name, kind in schema.items())
    )


def _typed(name, kind):
    if kind == pl.Boolean:
        return pl.col(name) == "true"
    if isinstance(kind, pl.Datetime):
        return pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%#z", time_unit="us", time_zone="UTC")
    if kind == pl.Date:
        return pl.col(name).str.to_date()
    return pl.col(name).cast(kind)
