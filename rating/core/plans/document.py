"""A plan document read into a `Plan`, or refused with every fault and its place."""

import re
from collections.abc import Collection
from typing import Any

from mediation.core.spec.document import FaultySpecError
from rating.core.plans.buckets import bucket, check_bounds_of_time, commitment
from rating.core.plans.checking import check_plan
from rating.core.plans.rates import rate
from rating.core.plans.reading import (
    Key,
    Reader,
    choice,
    condition,
    day,
    distinct,
    entries,
    given,
    moment,
    name,
    text,
    time_of_day,
    weekday,
    whole,
)
from rating.core.plans.spec import Band, Calendar, Group, Plan, TimePeriod, Zone

MAX_PRECISION = 11
CURRENCY = re.compile("[A-Z]{3}")


def read_plan(document: Any, *, usage_classes: Collection[str] | None = None) -> Plan:
    """The plan that a document states: a JSON value, its numbers as texts, whole numbers or `Decimal`, never floats.

    usage_classes: the names of all usage classes there are, where they are known; others are then faults.
    Raises FaultySpecError with all faults at once, each with the JSON pointer of its place.
    """
    reader = Reader([])
    found = _plan(reader, document)
    check_plan(reader, found, usage_classes)
    if reader.faults:
        raise FaultySpecError(list(dict.fromkeys(reader.faults)))
    return found


def _plan(reader: Reader, document: Any) -> Plan:
    found = Plan(**reader.members(document, "", PLAN_KEYS, {"name": "", "currency": "", "groups": ()}))
    if isinstance(document, dict):
        _check_currencies(reader, document, found.currency)
    return found


def _check_currencies(reader: Reader, document: dict[str, Any], currency: str) -> None:
    """A plan has one currency; a part may repeat it."""
    places: list[tuple[str, Any]] = []
    for member in ("groups", "cost_groups", "buckets", "commitments"):
        parts = document.get(member)
        for place, part in enumerate(parts if isinstance(parts, list) else []):
            places.append((f"/{member}/{place}", part))
            rates = part.get("rates") if isinstance(part, dict) and member.endswith("groups") else None
            for under, one in enumerate(rates if isinstance(rates, list) else []):
                places.append((f"/{member}/{place}/rates/{under}", one))
    for pointer, part in places:
        own = part.get("currency") if isinstance(part, dict) else None
        if isinstance(own, str) and currency and own != currency:
            reader.fault(f"{pointer}/currency", f"{own} differs from the plan's {currency}: a plan has one currency")


def currency(reader: Reader, value: Any, pointer: str) -> str:
    """The code of a currency."""
    if isinstance(value, str) and CURRENCY.fullmatch(value):
        return value
    reader.fault(pointer, "must be a currency's three capital letters, such as EUR")
    return ""


def group(reader: Reader, value: Any, pointer: str) -> Group:
    """Rates that are searched together."""
    members = reader.members(value, pointer, GROUP_KEYS, {"name": "", "rates": ()})
    members.pop("currency", None)
    found = Group(**members)
    check_bounds_of_time(reader, found.starts_at, found.ends_at, pointer)
    names: set[str] = set()
    for place, one in enumerate(found.rates):
        if one.name and one.name in names:
            message = f"{one.name} is the name of a rate of this group already; give this one a name of its own"
            reader.fault(f"{pointer}/rates/{place}/name", message)
        names.add(one.name)
    return found


def band(reader: Reader, value: Any, pointer: str) -> Band:
    """Days of the week from a time to another."""
    keys: dict[str, Key] = {
        "days": distinct(weekday, least=1),
        "starts": time_of_day,
        "ends": time_of_day,
    }
    members = reader.members(value, pointer, keys, {"days": ()})
    found = Band(**{**members, "days": frozenset(members["days"])})
    if found.starts == found.ends and {"starts", "ends"} & given(value) and found.starts.isoformat() != "00:00:00":
        reader.fault(pointer, "is empty: it ends when it starts; for whole days leave out starts and ends")
    return found


def time_period(reader: Reader, value: Any, pointer: str) -> TimePeriod:
    """When a rate applies."""
    keys: dict[str, Key] = {
        "name": name,
        "bands": entries(band),
        "calendar": name,
        "on_holidays": choice("ignore", "include", "exclude"),
    }
    found = TimePeriod(**reader.members(value, pointer, keys, {"name": ""}))
    if (found.calendar is None) != (found.on_holidays == "ignore"):
        message = "calendar and on_holidays belong together: which days, and whether they are included or excluded"
        reader.fault(pointer, message)
    if not found.bands and found.on_holidays != "include":
        reader.fault(f"{pointer}/bands", "is empty: the time period would never be")
    return found


def calendar(reader: Reader, value: Any, pointer: str) -> Calendar:
    """Holidays by their dates."""
    keys: dict[str, Key] = {"name": name, "days": distinct(day, least=1)}
    members = reader.members(value, pointer, keys, {"name": "", "days": ()})
    return Calendar(members["name"], frozenset(members["days"]))


def zone(reader: Reader, value: Any, pointer: str) -> Zone:
    """A place by its prefixes; that a prefix is there once is checked over all zones."""
    keys: dict[str, Key] = {"name": name, "prefixes": entries(name, least=1)}
    return Zone(**reader.members(value, pointer, keys, {"name": "", "prefixes": ()}))


GROUP_KEYS: dict[str, Key] = {
    "name": name,
    "currency": currency,
    "rates": entries(rate, least=1),
    "condition": condition,
    "time_period": name,
    "starts_at": moment,
    "ends_at": moment,
    "at_boundary": choice("start", "split"),
    "zone_by": choice("TerminatingIdentifier", "OriginatingIdentifier", "UdrUsageIdentifier"),
    "amount_precision": whole(0, MAX_PRECISION),
}
PLAN_KEYS: dict[str, Key] = {
    "name": name,
    "currency": currency,
    "description": text,
    "groups": entries(group, least=1),
    "cost_groups": entries(group),
    "time_periods": entries(time_period),
    "calendars": entries(calendar),
    "zones": entries(zone),
    "buckets": entries(bucket),
    "commitments": entries(commitment),
}
