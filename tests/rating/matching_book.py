"""Plans as documents, usage and payers as drawn tables, made into the book that matching reads."""

from datetime import datetime

import polars as pl

from rating.core.frames import USAGE
from rating.core.matching import CLASSES, PAYERS, PLANS, Book, choose_payers, match_usage
from rating.core.plans.document import read_plan
from rating.core.tariffs import Version, price_list

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
}
CLASS_NAMES = {"Voice": 1, "Data": 2, "Text": 3}


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
    return pl.col(name).cast(kind)


def usage(text):
    return frame(text, USAGE)


def plan(*rates, name="Gold", currency="EUR", **members):
    """A plan of one group, or of the groups given."""
    groups = members.pop("groups", None) or [{"name": "All", "rates": list(rates)}]
    return read_plan({"name": name, "currency": currency, "groups": groups, **members})


def rate(name, usage_class="Voice", **members):
    return {"name": name, "usage_class": usage_class, "model": "per_unit", "price": "1", **members}


def version(number, plan_id, read, starts_at=None, ends_at=None):
    groups = [(group, each) for group in (*read.groups, *read.cost_groups) for each in group.rates]
    rate_ids = {(group.name, each.name): 100 * number + place for place, (group, each) in enumerate(groups)}
    bucket_ids = {bucket.name: 100 * number + place for place, bucket in enumerate(read.buckets)}
    bounds = (datetime.fromisoformat(moment) if moment else None for moment in (starts_at, ends_at))
    return Version(number, plan_id, *bounds, read, rate_ids, bucket_ids)


def book(*versions, **drawn):
    """A book of versions, or of one plan alone; classes, payers and plans are drawn, or the usual ones."""
    made = [each if isinstance(each, Version) else version(n, n, each) for n, each in enumerate(versions, 1)]
    usual_plans = "plan_id plan currency\n" + "\n".join(
        {each.plan_id: f"{each.plan_id} {each.plan.name} {each.plan.currency}" for each in made}.values()
    )
    usual_classes = "usage_class_id usage_class\n1 Voice\n2 Data\n3 Text"
    return Book(
        frame(drawn.get("classes", usual_classes), CLASSES),
        frame(drawn.get("payers", "service_id\n1"), PAYERS),
        frame(drawn.get("plans", usual_plans), PLANS),
        price_list(made, CLASS_NAMES),
    )


def match(rows, of):
    """Matched rows in order of UDR and part, and refused ones in order of UDR."""
    chosen = choose_payers(rows, of.classes)
    matched = match_usage(chosen.rated, book=of)
    refused = pl.concat([chosen.refused, matched.refused])
    return matched.rated.sort("udr_id", "part"), refused.sort("udr_id")


def rates_of(rows, of):
    """The names of the rates that price usage, in order of UDR and part."""
    matched, refused = match(rows, of)
    assert refused.is_empty(), refused["message"].to_list()
    return [of.prices.rates[key].rate.name for key in matched["rate_key"]]


def refusals(rows, of):
    """Cause and message of each refused UDR."""
    return match(rows, of)[1].select("cause", "message").rows()
