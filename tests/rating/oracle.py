"""Rating once more, by plain Python: one UDR at a time, decimals only, written from the rules and sharing no code."""

import calendar
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from zoneinfo import ZoneInfo

EXACT = Context(prec=80)
LARGEST = Decimal("999999999999999.999999")


@dataclass
class Oracle:
    """Lists of dicts as a person would write them down; `rate` answers for one UDR and remembers what it used up."""

    classes: dict
    owners: list
    plans: dict  # id -> groups in order, each with rates by class; and buckets by class
    default_plan: int | None
    drawn: dict = field(default_factory=dict)
    climbed: dict = field(default_factory=dict)

    def rate(self, udr):
        paid_by = self.classes[udr["usage_class_id"]]
        identifier = udr[
            {
                "usage": "udr_usage_identifier",
                "originating": "originating_identifier",
                "terminating": "terminating_identifier",
            }[paid_by]
        ]
        owned = [owner for owner in self.owners if owner["identifier"] == identifier and identifier is not None]
        if not owned:
            return "no_identifier_match"
        owned = [
            owner for owner in owned if holds(owner, udr["date"]) and holds(owner["service_validity"], udr["date"])
        ]
        if not owned:
            return "identifier_not_valid_at_date"
        owner = owned[0]
        if owner["final_billed"]:
            return "final_bill_issued"
        plan_id = next((plan for plan in [*owner["plans"], self.default_plan] if plan is not None), None)
        if plan_id is None:
            return "no_rate_plan"
        return self._price(udr, owner, self.plans[plan_id])

    def _price(self, udr, owner, plan):
        fitting = [
            group for group in plan["groups"] if group["currency"] == owner["currency"] and holds(group, udr["date"])
        ]
        if not fitting:
            return "no_rate_group"
        for group in fitting:
            if udr["usage_class_id"] in group["rates"]:
                rate = group["rates"][udr["usage_class_id"]]
                break
        else:
            return "no_rate"
        if rate["model"] == "pass_through":
            if udr["amount"] is None:
                return "no_rate"
            if udr["currency"] != owner["currency"]:
                return "no_rate_group"
        if rate["model"] == "graduated" and not rate["tiers"]:
            return "no_rate"
        quantity = rounded_up(udr["value"], rate["minimum"], rate["increment"])
        if quantity > LARGEST:
            return "system_error"
        month = month_start(udr["date"], owner["zone"])
        return self._amount(udr, owner, plan, group, rate, quantity, month)

    def _amount(self, udr, owner, plan, group, rate, quantity, month):
        draw, key = Decimal(0), None
        bucket = plan["buckets"].get(udr["usage_class_id"])
        if bucket and rate["model"] in ("per_unit", "graduated"):
            key = (owner["service_id"], bucket["id"], month)
            draw = min(quantity, bucket["size"] - self.drawn.get(key, Decimal(0)))
        billable = quantity - draw
        position = None
        if rate["model"] == "per_unit":
            amount = EXACT.multiply(billable, rate["price"])
        elif rate["model"] == "fixed":
            amount = rate["price"]
        elif rate["model"] == "pass_through":
            amount = udr["amount"]
        else:
            at = (owner["service_id"], rate["id"], month)
            position = self.climbed.get(at, Decimal(0))
            last = rate["tiers"][-1][0]
            if position + billable > (LARGEST if last is None else last):
                return "no_rate"
            amount = climb(position, billable, rate["tiers"])
            self.climbed[at] = position + billable
        if key:
            self.drawn[key] = self.drawn.get(key, Decimal(0)) + draw
        unit = Decimal(1).scaleb(-group["precision"])
        return {
            "rated_quantity": quantity,
            "bucket_quantity": draw,
            "tier_position": position,
            "amount": amount.quantize(unit, rounding=ROUND_HALF_UP, context=Context(prec=80)),
            "service_id": owner["service_id"],
            "rate_id": rate["id"],
            "month": month,
        }


def holds(validity, moment):
    return validity["starts_at"] <= moment and (validity["ends_at"] is None or moment < validity["ends_at"])


def rounded_up(value, minimum, increment):
    if value <= minimum:
        return minimum
    if increment is None:
        return value
    steps = 0
    above = value - minimum
    whole, rest = EXACT.divmod(above, increment)
    steps = whole + (1 if rest else 0)
    return EXACT.add(minimum, EXACT.multiply(steps, increment))


def climb(position, quantity, tiers):
    """Walk the tiers from where the position stands, taking from each what fits."""
    amount = Decimal(0)
    for up_to, price in tiers:
        if up_to is not None and position >= up_to:
            continue
        part = quantity if up_to is None else min(quantity, up_to - position)
        amount = EXACT.add(amount, EXACT.multiply(part, price))
        position, quantity = position + part, quantity - part
        if not quantity:
            break
    return amount


def month_start(moment: datetime, zone: str):
    local = moment.astimezone(ZoneInfo(zone))
    assert 1 <= local.day <= calendar.monthrange(local.year, local.month)[1]
    return local.date().replace(day=1)
