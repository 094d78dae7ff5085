"""A plan document's members in the order in which people read them; the database keeps none."""

from dataclasses import fields
from typing import Any

from rating.core.plans.spec import (
    Aggregation,
    Band,
    Bucket,
    BucketTier,
    Calendar,
    Commitment,
    Counting,
    Follows,
    Group,
    MatrixPrice,
    Plan,
    Rate,
    Refill,
    Rollover,
    Tier,
    TimePeriod,
    Transform,
    Zone,
)

# What stands in which member of which part.
PARTS: dict[type, dict[str, type]] = {
    Plan: {
        "groups": Group,
        "cost_groups": Group,
        "time_periods": TimePeriod,
        "calendars": Calendar,
        "zones": Zone,
        "buckets": Bucket,
        "commitments": Commitment,
    },
    Group: {"rates": Rate},
    Rate: {
        "aggregation": Aggregation,
        "counting": Counting,
        "transform": Transform,
        "tiers": Tier,
        "prices": MatrixPrice,
    },
    TimePeriod: {"bands": Band},
    Bucket: {"tiers": BucketTier, "rollover": Rollover, "refill": Refill, "follows": Follows},
}
# What is read before, or after, all else of its part.
FIRST: dict[type, tuple[str, ...]] = {Plan: ("name", "currency", "description")}
LAST: dict[type, tuple[str, ...]] = {Group: ("rates",)}


def in_reading_order(document: Any) -> Any:
    """The document with each part's members in the order of its fields; members nobody knows come last, by name."""
    return _ordered(document, Plan)


def _ordered(value: Any, of: type | None) -> Any:
    if isinstance(value, list):
        return [_ordered(one, of) for one in value]
    if not isinstance(value, dict) or of is None:
        return value
    order = _order(of)
    parts = PARTS.get(of, {})
    names = sorted(value, key=lambda name: (order.get(name, len(order)), name))
    return {name: _ordered(value[name], parts.get(name)) for name in names}


def _order(of: type) -> dict[str, int]:
    last = LAST.get(of, ())
    names = [*FIRST.get(of, ()), *(one.name for one in fields(of) if one.name not in last), *last]
    return {name: place for place, name in enumerate(dict.fromkeys(names))}
