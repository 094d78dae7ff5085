"""The arithmetic of the plan oracle: quantities rounded, tiers, and what each model makes of a counter's units."""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

EXACT = Context(prec=120)
D = Decimal
LATER_THAN_ALL = datetime(9999, 1, 1, tzinfo=UTC)


def times(a, b):
    return EXACT.multiply(D(a), D(b))


def over(a, b):
    return EXACT.divide(D(a), D(b))


def to_places(number, places, rounding=ROUND_HALF_UP):
    return number.quantize(D(1).scaleb(-places), context=Context(prec=120, rounding=rounding))


def steps_up(quantity, step):
    return times(over(quantity, step).to_integral_value(ROUND_CEILING), step)


class Refused(Exception):
    pass


def seconds(start, end):
    """Exact to the microsecond; on the clock of the world, not of the wall."""
    return D((end.astimezone(UTC) - start.astimezone(UTC)) // timedelta(microseconds=1)).scaleb(-6)


def field(record, name):
    if name.startswith("Extensions."):
        return record.get("extensions", {}).get(name.removeprefix("Extensions."))
    return record.get(name.lower())


def holds(condition, record):
    """Conditions of one form only: Extensions.name = 'text'."""
    if condition is None:
        return True
    name, text = re.fullmatch(r"(Extensions\.\w+) = '(.*)'", condition).groups()
    return field(record, name) == text


def rounded(rate, quantity):
    transform = rate.get("transform", {})
    quantity = over(times(quantity, D(transform.get("multiply_by", 1))), D(transform.get("divide_by", 1)))
    way = {"none": ROUND_HALF_UP, "nearest": ROUND_HALF_UP, "up": ROUND_CEILING, "down": ROUND_FLOOR}
    rounding = transform.get("rounding", "none")
    quantity = to_places(quantity, 6 if rounding == "none" else int(transform.get("decimals", 0)), way[rounding])
    minimum = D(rate.get("minimum", 0))
    if quantity <= minimum:
        return minimum
    return minimum + steps_up(quantity - minimum, rate["increment"]) if "increment" in rate else quantity


def bounds(rate):
    lower = D(0)
    for tier in rate["tiers"]:
        upper = tier.get("up_to")
        yield tier, lower, None if upper is None else D(upper)
        lower = None if upper is None else D(upper)


def stretches(rate, x):
    """Each tier with what of x lies in it. Refused above a bounded last tier."""
    found = []
    for tier, lower, upper in bounds(rate):
        found.append((tier, max(D(0), (x if upper is None else min(x, upper)) - lower)))
    if upper is not None and x > upper:
        raise Refused("no_rate")
    return found


def flats(rate, x):
    total = D(0)
    for place, (tier, lower, _) in enumerate(bounds(rate)):
        if x > lower or (x == 0 and place == 0 and rate.get("flat_at_zero")):
            total += D(tier.get("flat", 0))
    return total


def graduated(rate, x, _):
    total = flats(rate, x)
    for tier, stretch in stretches(rate, x):
        if "increment" in tier:
            stretch = steps_up(stretch, tier["increment"])
        cost = over(times(stretch, D(tier.get("price", 0))), D(tier.get("per", 1)))
        total += min(cost, D(tier["maximum"])) if "maximum" in tier else cost
    return total


def reached(rate, x):
    for tier, _, upper in bounds(rate):
        if upper is None or x <= upper:
            return tier
    raise Refused("no_rate")


def volume(rate, x, chosen_by):
    tier = reached(rate, x if chosen_by is None else chosen_by)
    if x == 0:
        return D(rate["tiers"][0].get("flat", 0)) if rate.get("flat_at_zero") else D(0)
    if rate["model"] == "stairstep":
        return D(tier.get("flat", 0))
    x = steps_up(x, tier["increment"]) if "increment" in tier else x
    return over(times(x, D(tier.get("price", 0))), D(tier.get("per", 1))) + D(tier.get("flat", 0))


def package(rate, x, _):
    way = {"up": ROUND_CEILING, "down": ROUND_FLOOR, "nearest": ROUND_HALF_UP}[rate.get("rounding", "up")]
    return times(to_places(over(x, D(rate["size"])), 0, way), D(rate["price"]))


def per_unit(rate, x, _):
    return over(times(x, D(rate["price"])), D(rate.get("per", 1)))


def bucket_price(bucket, x):
    total, lower = D(0), D(0)
    for tier in bucket.get("tiers", []):
        upper = D(tier["up_to"]) if tier.get("up_to") is not None else x
        if x > lower:
            total += times(min(x, upper) - lower, D(tier.get("price", 0))) + D(tier.get("flat", 0))
        lower = upper
    return total


TOTALLED = {"per_unit": per_unit, "graduated": graduated, "volume": volume, "stairstep": volume, "package": package}
