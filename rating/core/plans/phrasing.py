"""A rate in one or two sentences: what it costs first, then which usage counts and how it is counted."""

from decimal import Decimal

from rating.core.plans.spec import CLIMBING, RETROACTIVE, Rate, Tier

BASES = {"amount": "the amount", "quantity": "the quantity", "cost": "the cost"}
PACKAGES = {
    "up": "each started package",
    "down": "each full package",
    "nearest": "each package, rounded to the nearest,",
}
OWNERS = {"service": "each service", "account": "each account", "family": "each family of accounts"}
FUNCTIONS = {
    "sum": "the sum of {of}",
    "count": "the number of records",
    "max": "the highest {of}",
    "latest": "the latest {of}",
    "unique_count": "the number of different values of {of}",
    "weighted_sum": "{of}, weighted by how long it holds",
}
JOINED = {"sum": "the sum", "max": "the highest", "latest": "the latest"}
SPANS = {
    "period": " and billing period",
    "day": " and day",
    "hour": " and hour",
    "import": " and import",
    "never": "",
}
MOST_PRICES = 6


def rate_in_words(rate: Rate) -> str:
    """What usage costs by the rate, and below which conditions."""
    price = _price(rate)
    if scope := _scope(rate):
        price = f"{scope}: {price}"
    sentences = [price, *_extras(rate), *_quantity(rate), *_counter(rate)]
    return " ".join(map(sentence, sentences))


def sentence(text: str) -> str:
    """The text as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def plain(value: Decimal | int) -> str:
    """A number for a person: with its decimals as they were typed, in groups of three."""
    return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"


def _scope(rate: Rate) -> str:
    said = [f"where {rate.condition.text}"] if rate.condition else []
    said += [f"in the time period {rate.time_period}"] if rate.time_period else []
    said += [f"in the zone {rate.zone}"] if rate.zone else []
    return ", ".join(said)


def _price(rate: Rate) -> str:
    match rate.model:
        case "per_unit":
            return f"{plain(rate.price or Decimal(0))} for {_each(rate.per)}"
        case "fixed":
            return f"{plain(rate.price or Decimal(0))} for each record"
        case "package":
            return f"{plain(rate.price or Decimal(0))} for {PACKAGES[rate.rounding]} of {plain(rate.size or 1)} units"
        case "graduated" | "volume" | "stairstep" | "graduated_percentage":
            return _tiers(rate)
        case "matrix":
            return _matrix(rate)
    return _share(rate)


def _each(per: Decimal) -> str:
    return "each unit" if per == 1 else f"each {plain(per)} units"


def _tiers(rate: Rate) -> str:
    """The tiers of a rate in a row, "then" where each has its own stretch, "up to" where one tier has all."""
    parts = []
    for place, tier in enumerate(rate.tiers):
        parts.append(_stretch(rate, tier, is_first=place == 0) if rate.model in CLIMBING else _whole(rate, tier, place))
    said = (", then " if rate.model in CLIMBING else ", ").join(parts)
    if rate.model == "stairstep":
        said = f"one fee for the whole quantity: {said}"
    if rate.model == "volume":
        said = f"all units at one price: {said}"
    if rate.tier_by:
        said += f"; the quantity of {rate.tier_by} says which"
    if rate.bounded and rate.tiers[-1].up_to is not None:
        said += f"; above {plain(rate.tiers[-1].up_to)} it is refused"
    return said + ("; the first flat fee also for no units at all" if rate.flat_at_zero else "")


def _stretch(rate: Rate, tier: Tier, *, is_first: bool) -> str:
    if rate.model == "graduated_percentage":
        of = f" of the first {plain(tier.up_to)} of {BASES[rate.of]}" if tier.up_to is not None else ""
        of = of or f" of {BASES[rate.of]}" if is_first else _up_to(tier)
        return f"{plain(tier.percent)} %{of}{_flat(tier)}"
    each = "" if tier.per == 1 else f" for each {plain(tier.per)} units"
    if is_first and tier.up_to is None:
        each = f" for {_each(tier.per)}"
    elif is_first and tier.up_to is not None:
        each = f" for each{'' if tier.per == 1 else f' {plain(tier.per)}'} of the first {plain(tier.up_to)} units"
    steps = f" in steps of {plain(tier.increment)}" if tier.increment else ""
    most = f", at most {plain(tier.maximum)}" if tier.maximum is not None else ""
    return f"{plain(tier.price)}{each}{'' if is_first else _up_to(tier)}{steps}{most}{_flat(tier)}"


def _up_to(tier: Tier) -> str:
    return "" if tier.up_to is None else f" up to {plain(tier.up_to)}"


def _flat(tier: Tier) -> str:
    return f" and {plain(tier.flat)} once" if tier.flat else ""


def _whole(rate: Rate, tier: Tier, place: int) -> str:
    """A tier that prices the whole quantity."""
    where = f" up to {plain(tier.up_to)}" if tier.up_to is not None else (" above" if place else "")
    if rate.model == "stairstep":
        return f"{plain(tier.flat)}{where}"
    per = "" if tier.per == 1 else f" {plain(tier.per)} units"
    steps = f" in steps of {plain(tier.increment)}" if tier.increment else ""
    return f"{plain(tier.price)} for each{per}{where}{steps}{_flat(tier)}"


def _share(rate: Rate) -> str:
    """Percentages, basis points, and what is passed through."""
    base = BASES[rate.of]
    fixed = [f"{plain(rate.fixed)} for each record"] if rate.fixed else []
    match rate.model:
        case "basis_points":
            return f"{plain(rate.points)} basis points ({plain(rate.points.scaleb(-2).normalize())} %) of {base}"
        case "percentage":
            said = [f"{plain(rate.percent)} % of {base}"] if rate.percent or not fixed else []
            free = [f"the first {plain(rate.free_records)} records"] if rate.free_records else []
            free += [f"the first {plain(rate.free_amount)} of {base}"] if rate.free_amount else []
            tail = f"; free as long as both last: {' and '.join(free)}" if len(free) == 2 else ""
            tail = tail or (f"; {free[0]} free" if free else "")
            return " and ".join(said + fixed) + tail
    times = f"{plain(rate.factor)} times " if rate.factor != 1 else ""
    said = [f"{times}{base}", *fixed]
    said += [f"{plain(rate.price)} for {_each(rate.per)}"] if rate.price is not None else []
    return " and ".join(said)


def _matrix(rate: Rate) -> str:
    listed = [f"{' / '.join(one.values)} {plain(one.price)}" for one in rate.prices[:MOST_PRICES]]
    if len(rate.prices) > MOST_PRICES:
        listed.append(f"and {len(rate.prices) - MOST_PRICES:,} more")
    if rate.default_price is not None:
        listed.append(f"{'all others' if listed else 'whatever it is'} {plain(rate.default_price)}")
    return f"for {_each(rate.per)} by {' and '.join(rate.fields)}: {', '.join(listed)}"


def _extras(rate: Rate) -> list[str]:
    """What is added to the price, and its bounds."""
    said = []
    if rate.connect_fee:
        said.append(f"{plain(rate.connect_fee)} for the start of each record")
    if rate.factor != 1 and rate.model != "pass_through":
        said.append(f"all of it times {plain(rate.factor)}")
    if rate.minimum_charge is not None:
        said.append(f"at least {plain(rate.minimum_charge)} for a record that costs something")
    if rate.maximum_charge is not None:
        said.append(f"at most {plain(rate.maximum_charge)} for a record")
    return ["; ".join(said)] if said else []


def _quantity(rate: Rate) -> list[str]:
    """What a quantity goes through before it is priced."""
    change, said = rate.transform, []
    if change.multiply_by != 1:
        said.append(f"multiplied by {plain(change.multiply_by)}")
    if change.divide_by != 1:
        said.append(f"divided by {plain(change.divide_by)}")
    if change.rounding != "none":
        how = "to the nearest" if change.rounding == "nearest" else change.rounding
        said.append(f"rounded {how}" + (f" at {change.decimals} decimals" if change.decimals else ""))
    if rate.minimum:
        said.append(f"counted as {plain(rate.minimum)} at least")
    if rate.increment:
        said.append(f"rounded up in steps of {plain(rate.increment)}")
    return [f"the quantity is {', '.join(said)}"] if said else []


def _counter(rate: Rate) -> list[str]:
    """What is counted together, told only where it matters for the price."""
    aggregation, counting = rate.aggregation, rate.counting
    has_counter = rate.model in CLIMBING | RETROACTIVE or rate.free_units or rate.free_records or rate.free_amount
    free = f"the first {plain(rate.free_units)} units cost nothing; " if rate.free_units else ""
    if aggregation.function == "each" and not has_counter:
        return [f"{aggregation.of} is counted"] if aggregation.of != "Value" else []
    if counting.restarts == "record":
        return [f"{free}each record is counted by itself"]
    apart = f", apart by {' and '.join(counting.by)}" if counting.by else ""
    goes_on = ", without ever starting again" if counting.restarts == "never" else ""
    goes_on = ", going on from one period to the next" if aggregation.carries_over else goes_on
    return [f"{free}{_what(rate)} for {OWNERS[counting.per]}{SPANS[counting.restarts]}{apart}{goes_on}"]


def _what(rate: Rate) -> str:
    aggregation = rate.aggregation
    if aggregation.function == "each":
        return "counted together" if aggregation.of == "Value" else f"{aggregation.of} is counted together"
    what = FUNCTIONS[aggregation.function].format(of=aggregation.of)
    if aggregation.within and aggregation.then:
        what = f"{JOINED[aggregation.then]} of each {aggregation.within}'s {what.removeprefix('the ')}"
    return f"what counts is {what}"
