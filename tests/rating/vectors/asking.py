"""What every adapter asks with: plans of one group, records in turn, and how an answer is read."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

D = Decimal
DAY_ONE = "2026-02-01T00:00:00Z"  # a month of 28 days


@dataclass
class Asked:
    """What to quote, and how the answer is read. before: what was billed already, or a quote of how it was."""

    document: dict
    usage: list
    read: object = None
    before: object = D(0)
    places: int | None = None
    more: dict = field(default_factory=dict)  # other answers, checked against expected_detail


def total(quote):
    return D(quote["totals"]["amount"])


def subtotal(quote):
    return D(quote["totals"]["subtotal"])


def tax(quote):
    return D(quote["totals"]["tax"])


def with_tax(quote):
    return D(quote["totals"]["total"])


def last(quote):
    return D(quote["charges"][-1]["amount"])


def lines(kind):
    """The sum of a statement's lines of one kind."""

    def read(quote):
        found = [line for statement in quote["statements"] for line in statement["lines"] if line["kind"] == kind]
        return sum((D(line["amount"]) for line in found), D(0))

    return read


def cents(read):
    return lambda quote: read(quote) * 100


def plan(rates, **more):
    """A plan of one group, its rates in order, or of several groups."""
    rates = rates if isinstance(rates, list) else [rates]
    rates = [{"usage_class": "usage", "name": f"rate {place}", **rate} for place, rate in enumerate(rates, 1)]
    group = {"name": "all", "rates": rates, **more.pop("group", {})}
    return {"name": "Plan", "currency": "USD", "groups": [group], **more}


def moments(rows):
    """Records in the order in which the case tells them: a minute apart, where they have no date."""
    start = datetime.fromisoformat(DAY_ONE)
    return [{"date": (start + timedelta(minutes=at)).isoformat(), **row} for at, row in enumerate(rows)]


def in_turn(name, values, **more):
    return moments([{name: value, **more} for value in values])


def tiers_of(inputs):
    names = {"up_to": "up_to", "unit": "price", "flat": "flat", "rate": "percent"}
    made = [{names[key]: value for key, value in tier.items()} for tier in inputs["tiers"]]
    rate = {"tiers": made}
    if inputs.get("flat_at_zero_units") and D(made[0].get("flat", "0")):
        rate["flat_at_zero"] = True
    return rate | ({"bounded": True} if made[-1]["up_to"] is not None else {})


def package_of(inputs):
    rate = {"model": "package", "size": inputs["package_size"]}
    rate["price"] = inputs.get("amount", inputs.get("package_amount"))
    rate["rounding"] = inputs.get("rounding", inputs.get("round", "up"))
    return rate | ({"free_units": inputs["free_units"]} if D(inputs.get("free_units", "0")) else {})


def rate_of(case):
    """The rate that a case's numbers spell out, whatever is asked of it."""
    inputs, model = case["inputs"], case["model"]
    if "package_size" in inputs:
        rate = package_of(inputs)
    elif "tiers" in inputs:
        rate = {"model": "volume" if "volume" in model else "graduated", **tiers_of(inputs)}
    else:
        unit = inputs.get("unit_amount") or D(inputs["unit_amount_minor"]) / 100
        rate = {"model": "per_unit", "price": str(unit)}
    if D(inputs.get("free_units") or "0"):
        rate["free_units"] = inputs["free_units"]
    if "operation" in inputs:
        rate["transform"] = transform_of(inputs)
    if "discount_percent" in inputs:
        rate["factor"] = str(1 - D(inputs["discount_percent"]) / 100)
    return rate


def transform_of(inputs):
    way = {"none": "none", "ceiling": "up", "floor": "down", "half_up": "nearest"}[inputs["rounding"]]
    return {{"multiply": "multiply_by", "divide": "divide_by"}[inputs["operation"]]: inputs["factor"], "rounding": way}


def spends_of(inputs):
    kinds = {"minimum_spend": "minimum", "maximum_spend": "maximum"}
    made = [{"name": kinds[key], "kind": kinds[key], "amount": inputs[key]} for key in kinds if inputs.get(key)]
    return {"commitments": made} if made else {}
