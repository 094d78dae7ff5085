"""How a rate is read: the keys that each model uses, what it cannot do without, and what its parts must be together."""

from decimal import Decimal
from functools import cache
from typing import Any, get_args

from rating.core.plans.fields import FIELD_KINDS, ZONE, is_counted, is_named
from rating.core.plans.reading import (
    AMOUNT,
    FACTOR,
    PRICE,
    QUANTITY,
    Key,
    Reader,
    choice,
    condition,
    distinct,
    entries,
    flag,
    given,
    name,
    number,
    text,
    whole,
)
from rating.core.plans.spec import Aggregation, Counting, Function, MatrixPrice, Model, Rate, Tier, Transform

MODELS: tuple[str, ...] = get_args(Model)
BASES = ("amount", "quantity", "cost")
MAX_RECORDS = 10**9

# Each model's keys beside those of every rate.
MODEL_KEYS: dict[str, tuple[str, ...]] = {
    "per_unit": ("price", "per"),
    "fixed": ("price",),
    "graduated": ("tiers", "bounded", "flat_at_zero"),
    "volume": ("tiers", "bounded", "flat_at_zero", "tier_by"),
    "stairstep": ("tiers", "bounded", "flat_at_zero", "tier_by"),
    "package": ("price", "size", "rounding"),
    "percentage": ("of", "percent", "fixed", "free_records", "free_amount"),
    "graduated_percentage": ("of", "tiers", "bounded", "flat_at_zero"),
    "basis_points": ("of", "points"),
    "pass_through": ("of", "fixed", "price", "per"),
    "matrix": ("fields", "prices", "default_price", "per"),
}
# What must be said for a model: of each tuple, one key at least.
MODEL_NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "per_unit": (("price",),),
    "fixed": (("price",),),
    "graduated": (("tiers",),),
    "volume": (("tiers",),),
    "stairstep": (("tiers",),),
    "package": (("price",), ("size",)),
    "percentage": (("percent", "fixed"),),
    "graduated_percentage": (("tiers",),),
    "basis_points": (("points",),),
    "pass_through": (),
    "matrix": (("fields",), ("prices", "default_price")),
}
# Of a tier of each model: its keys beside `from` and `up_to`, and of which one must be there.
TIER_KEYS: dict[str, tuple[str, ...]] = {
    "graduated": ("price", "flat", "per", "increment", "maximum"),
    "volume": ("price", "flat", "per", "increment"),
    "stairstep": ("flat",),
    "graduated_percentage": ("percent", "flat"),
}
TIER_NEEDS: dict[str, tuple[str, ...]] = {
    "graduated": ("price", "flat"),
    "volume": ("price", "flat"),
    "stairstep": ("flat",),
    "graduated_percentage": ("percent", "flat"),
}


def field(*, with_zone: bool = False) -> Key:
    """A UDR field. with_zone: or the zone, which matching finds."""

    def read(reader: Reader, value: Any, pointer: str) -> str:
        found = str(name(reader, value, pointer))
        if found and not is_named(found, with_zone=with_zone):
            names = ", ".join([*FIELD_KINDS, *([ZONE] if with_zone else []), "Extensions.<name>"])
            reader.fault(pointer, f"{found} is no field to use here; those are {names}")
        return found

    return read


def tier_list(model: str) -> Key:
    """The tiers of a rate, in their order; `from` may repeat the bound before and is not kept."""
    bound = number(AMOUNT if model == "graduated_percentage" else QUANTITY)
    kinds: dict[str, Key] = {
        "price": number(PRICE),
        "flat": number(AMOUNT),
        "per": number(QUANTITY, is_positive=True),
        "increment": number(QUANTITY, is_positive=True),
        "maximum": number(AMOUNT),
        "percent": number(PRICE),
    }
    keys = {"from": bound, "up_to": bound, **{key: kinds[key] for key in TIER_KEYS[model]}}

    def read_one(reader: Reader, value: Any, pointer: str) -> dict[str, Any]:
        members = reader.members(value, pointer, keys)
        if isinstance(value, dict) and not given(value) & set(TIER_NEEDS[model]):
            reader.fault(pointer, f"must say its {' or '.join(TIER_NEEDS[model])}")
        return members

    def read(reader: Reader, value: Any, pointer: str) -> tuple[Tier, ...]:
        faults = len(reader.faults)
        tiers = entries(read_one, least=1)(reader, value, pointer)
        check_bounds(reader, tiers, pointer, unreadable_bounds(reader, faults, value, pointer))
        return tuple(Tier(**{"up_to": None, **_without(one, "from")}) for one in tiers)

    return read


def unreadable_bounds(reader: Reader, faults: int, value: Any, pointer: str) -> set[str]:
    """The places of tiers' bounds that could not be read since there were `faults` faults."""
    found = {fault.pointer for fault in reader.faults[faults:] if fault.pointer.endswith(("/from", "/up_to"))}
    tiers = value if isinstance(value, list) else []
    return found | {f"{pointer}/{place}/up_to" for place, one in enumerate(tiers) if not isinstance(one, dict)}


def check_bounds(reader: Reader, tiers: tuple[dict[str, Any], ...], pointer: str, unreadable: set[str]) -> None:
    """Tiers begin at zero, join on one another, rise, and only the last has no end.

    unreadable: the places of bounds that were told already. Where a tier's end is not known, the next may begin
    anywhere above the last bound that is.
    """
    reached, is_known = Decimal(0), True
    for place, tier in enumerate(tiers):
        places = {key: f"{pointer}/{place}/{key}" for key in ("from", "up_to")}
        start, bound = (None if at in unreadable else tier.get(key) for key, at in places.items())
        if is_known and start is not None and start != reached:
            what = "leaves a gap" if start > reached else "overlaps the tier before"
            reader.fault(places["from"], f"{what}: it must be {reached:f}, where the tier before ends")
        is_known = bound is not None
        if bound is not None:
            if bound <= reached:
                message = f"{bound:f} must be more than {reached:f}, where the tier begins"
                reader.fault(places["up_to"], message)
            reached = bound
        elif places["up_to"] not in unreadable and place < len(tiers) - 1:
            message = "has no bound, but is not the last tier: what comes after it is never reached"
            reader.fault(places["up_to"], message)


def _without(members: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key not in names}


def aggregation(reader: Reader, value: Any, pointer: str) -> Aggregation:
    """What is counted of records, and over which windows."""
    keys: dict[str, Key] = {
        "function": choice(*get_args(Function)),
        "of": field(),
        "within": choice("hour", "day"),
        "then": choice("sum", "max", "latest"),
        "carries_over": flag,
    }
    found = Aggregation(**reader.members(value, pointer, keys))
    function = found.function
    if function == "count" and "of" in given(value):
        reader.fault(f"{pointer}/of", "is not used: count counts records, whatever they hold")
    elif function == "unique_count" and "of" not in given(value):
        reader.fault(f"{pointer}/of", "is missing: say which field's values are counted")
    elif function != "unique_count" and is_named(found.of) and not is_counted(found.of):
        reader.fault(f"{pointer}/of", f"{found.of} is no number; count Value, Amount or an extension")
    if (found.within is None) != (found.then is None):
        reader.fault(pointer, "within and then belong together: a window, and how the windows' results are joined")
    if found.within and function in ("each", "weighted_sum"):
        reader.fault(f"{pointer}/within", f"cannot stand beside {function}: windows join sums, counts, maxima, latest")
    if found.carries_over and (function not in ("latest", "weighted_sum", "unique_count") or found.within):
        reader.fault(f"{pointer}/carries_over", "is for latest, weighted_sum and unique_count, without windows")
    return found


def counting(reader: Reader, value: Any, pointer: str) -> Counting:
    """Which usage shares a counter."""
    keys: dict[str, Key] = {
        "per": choice("service", "account", "family"),
        "restarts": choice("period", "day", "hour", "import", "record", "never"),
        "by": distinct(field()),
    }
    return Counting(**reader.members(value, pointer, keys))


def transform(reader: Reader, value: Any, pointer: str) -> Transform:
    """What is done to a quantity first."""
    keys: dict[str, Key] = {
        "multiply_by": number(FACTOR, is_positive=True),
        "divide_by": number(FACTOR, is_positive=True),
        "rounding": choice("none", "up", "down", "nearest"),
        "decimals": whole(0, 6),
    }
    found = Transform(**reader.members(value, pointer, keys))
    if found.rounding == "none" and "decimals" in given(value):
        reader.fault(f"{pointer}/decimals", "is not used without rounding: say up, down or nearest")
    return found


def matrix_price(reader: Reader, value: Any, pointer: str) -> MatrixPrice:
    """The price of one combination of values."""
    keys: dict[str, Key] = {"values": entries(text, least=1), "price": number(PRICE)}
    return MatrixPrice(**reader.members(value, pointer, keys, {"values": (), "price": Decimal(0)}))


COMMON_KEYS: dict[str, Key] = {
    "name": name,
    "usage_class": name,
    "model": choice(*MODELS),
    "currency": name,
    "condition": condition,
    "time_period": name,
    "zone": name,
    "aggregation": aggregation,
    "counting": counting,
    "transform": transform,
    "minimum": number(QUANTITY),
    "increment": number(QUANTITY, is_positive=True),
    "free_units": number(QUANTITY),
    "connect_fee": number(AMOUNT),
    "factor": number(PRICE),
    "minimum_charge": number(AMOUNT),
    "maximum_charge": number(AMOUNT),
}
OWN_KEYS: dict[str, Key] = {
    "price": number(PRICE),
    "per": number(QUANTITY, is_positive=True),
    "size": number(QUANTITY, is_positive=True),
    "rounding": choice("up", "down", "nearest"),
    "bounded": flag,
    "flat_at_zero": flag,
    "tier_by": name,
    "of": choice(*BASES),
    "percent": number(PRICE),
    "points": number(PRICE),
    "fixed": number(AMOUNT),
    "free_records": whole(0, MAX_RECORDS),
    "free_amount": number(AMOUNT),
    "fields": distinct(field(with_zone=True), least=1),
    "prices": entries(matrix_price, least=1),
    "default_price": number(PRICE),
}


def rate(reader: Reader, value: Any, pointer: str) -> Rate:
    """A rate with the keys of its model; the name is that of its usage class where none is given."""
    stated = value.get("model") if isinstance(value, dict) else None
    model = stated if isinstance(stated, str) and stated in MODELS else None
    stands_in = {"usage_class": "", "model": "pass_through"}
    members = reader.members(_known(reader, value, pointer, model), pointer, keys_of(model), stands_in)
    members.pop("currency", None)
    found = Rate(**{"name": members["usage_class"], **members})
    if model is not None:
        for needed in MODEL_NEEDS[model]:
            if not given(value) & set(needed):
                reader.fault(f"{pointer}/{needed[0]}", f"is missing: {model} needs {' or '.join(needed)}")
        check_rate(reader, found, pointer)
    return found


@cache
def keys_of(model: str | None) -> dict[str, Key]:
    """The keys of a rate of `model`; of any model where it is not known."""
    if model is None:
        return {**COMMON_KEYS, **OWN_KEYS, "tiers": tier_list("graduated")}
    own = {key: OWN_KEYS[key] for key in MODEL_KEYS[model] if key != "tiers"}
    return {**COMMON_KEYS, **own, **({"tiers": tier_list(model)} if model in TIER_KEYS else {})}


def _known(reader: Reader, value: Any, pointer: str, model: str | None) -> Any:
    """The object without the keys of other models, which are told as that and not as unknown ones."""
    if model is None or not isinstance(value, dict):
        return value
    foreign = ({*OWN_KEYS, "tiers"} - keys_of(model).keys()) & value.keys()
    for key in sorted(foreign):
        used = ", ".join(MODEL_KEYS[model])
        reader.fault(f"{pointer}/{key}", f"is not used by the model {model}, which uses {used}")
    return {key: one for key, one in value.items() if key not in foreign}


def check_rate(reader: Reader, found: Rate, pointer: str) -> None:
    """What the parts of a rate must be together."""
    _check_counting(reader, found, pointer)
    if found.tiers and (found.tiers[-1].up_to is None) == found.bounded:
        message = (
            "has no end, so that the rate is not bounded"
            if found.bounded
            else 'is missing a tier without up_to; say "bounded": true where usage above the last tier is to be refused'
        )
        reader.fault(f"{pointer}/tiers/{len(found.tiers) - 1}", message)
    low, high = found.minimum_charge, found.maximum_charge
    is_read = not any(reader.has_told(f"{pointer}/{key}") for key in ("minimum_charge", "maximum_charge"))
    if low is not None and high is not None and low > high and is_read:
        reader.fault(f"{pointer}/minimum_charge", f"{low:f} is more than maximum_charge, {high:f}")
    if found.price is None and found.model == "pass_through" and found.per != 1:
        reader.fault(f"{pointer}/per", "is not used without a price")
    _check_matrix(reader, found, pointer)


def _check_counting(reader: Reader, found: Rate, pointer: str) -> None:
    function, restarts, within = found.aggregation.function, found.counting.restarts, found.aggregation.within
    place = f"{pointer}/counting/restarts"
    if restarts == "record" and function != "each":
        reader.fault(place, f"record prices each record by itself, so that {function} has nothing to join")
    if function == "weighted_sum" and restarts != "period":
        reader.fault(place, "must be period for weighted_sum, which spreads levels over the billing period")
    if found.aggregation.carries_over and restarts != "period":
        reader.fault(place, f"must be period where the counter carries over from period to period, not {restarts}")
    if within and (restarts in ("never", "record", "hour") or restarts == within):
        reader.fault(place, f"{restarts} leaves no windows of a {within} to join")
    if found.tier_by is not None and restarts != "period":
        reader.fault(place, "must be period where another class chooses the tier, since that is counted by periods")


def _check_matrix(reader: Reader, found: Rate, pointer: str) -> None:
    if len(found.fields) > 2:
        reader.fault(f"{pointer}/fields", "must be one field or two")
    seen: set[tuple[str, ...]] = set()
    for place, one in enumerate(found.prices):
        if found.fields and one.values and len(one.values) != len(found.fields):
            reader.fault(f"{pointer}/prices/{place}/values", f"must be {len(found.fields)}: one for each field")
        if one.values and one.values in seen:
            reader.fault(f"{pointer}/prices/{place}/values", f"{', '.join(one.values)} has a price already")
        seen.add(one.values)
