"""Plans as documents, usage and payers as drawn tables, made into the book that matching reads."""

from datetime import datetime

import polars as pl

from rating.core.frames import USAGE
from rating.core.matching import CLASSES, PAYERS, PLANS, Book, choose_payers, match_usage
from rating.core.plans.document import read_plan
from rating.core.tariffs import Version, price_list

from .tables import frame

CLASS_NAMES = {"Voice": 1, "Data": 2, "Text": 3}


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
