"""A plan written as its document: only what differs from what would be read anyway."""

from collections.abc import Callable
from dataclasses import Field, fields
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from mediation.core.expressions import Expression
from mediation.core.expressions.moments import write_moment
from rating.core.plans.rates import TIER_NEEDS
from rating.core.plans.reading import WEEKDAYS
from rating.core.plans.spec import Aggregation, Band, Plan, Rate


def write_plan(plan: Plan) -> dict[str, Any]:
    """The document of a plan, as JSON values with all decimals as texts; `read_plan` makes the same plan of it."""
    return _members(plan)


def _members(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults, and those that must be said."""
    written = {
        one.name: _written(getattr(value, one.name))
        for one in fields(value)
        if getattr(value, one.name) != _default(one)
    }
    if special := SPECIAL.get(type(value)):
        special(value, written)
    return written


def _default(field: "Field[Any]") -> Any:
    """What the field is where nothing is said; no end for tiers, MISSING where something must be."""
    return None if field.name == "up_to" else field.default


def _written(value: Any) -> Any:
    match value:
        case bool() | int() | str() | None:
            return value
        case Decimal():
            return f"{value:f}"
        case Expression():
            return value.text
        case datetime():
            return write_moment(value)
        case date() | time():
            return value.isoformat()
        case tuple():
            return [_written(one) for one in value]
        case frozenset():
            return [_written(one) for one in sorted(value)]
    return _members(value)


def _write_rate(rate: Rate, written: dict[str, Any]) -> None:
    """Leaves a name out that is the class's, and says what the model cannot do without even where it is zero."""
    if rate.name == rate.usage_class:
        del written["name"]
    if rate.model == "percentage" and not rate.fixed:
        written["percent"] = _written(rate.percent)
    if rate.model == "basis_points":
        written["points"] = _written(rate.points)
    for tier, one in zip(rate.tiers, written.get("tiers", ()), strict=True):
        needs = TIER_NEEDS[rate.model]
        if not one.keys() & set(needs):
            one[needs[0]] = _written(getattr(tier, needs[0]))


def _write_aggregation(aggregation: Aggregation, written: dict[str, Any]) -> None:
    if aggregation.function == "unique_count":
        written["of"] = aggregation.of


def _write_band(band: Band, written: dict[str, Any]) -> None:
    written["days"] = [WEEKDAYS[day] for day in sorted(band.days)]


SPECIAL: dict[type, Callable[[Any, dict[str, Any]], None]] = {
    Rate: _write_rate,
    Aggregation: _write_aggregation,
    Band: _write_band,
}
