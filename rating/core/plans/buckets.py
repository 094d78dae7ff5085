"""How buckets and commitments are read: their keys, and what those must be together."""

from decimal import Decimal
from typing import Any, get_args

from rating.core.plans.rates import check_bounds, unreadable_bounds
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
    moment,
    name,
    number,
    whole,
)
from rating.core.plans.spec import Bucket, BucketTier, Commitment, Follows, Owner, Recurs, Refill, Rollover

MAX_PRIORITY = 10**6
MAX_GRANTS = 1_000

TIER_KEYS: dict[str, Key] = {
    "from": number(QUANTITY),
    "up_to": number(QUANTITY),
    "price": number(PRICE),
    "flat": number(AMOUNT),
}


def bucket_tiers(reader: Reader, value: Any, pointer: str) -> tuple[BucketTier, ...]:
    """The tiers of a bucket; the last has no end, since what a bucket holds may grow."""

    def read_one(reader: Reader, value: Any, pointer: str) -> dict[str, Any]:
        return reader.members(value, pointer, TIER_KEYS)

    faults = len(reader.faults)
    tiers = entries(read_one, least=1)(reader, value, pointer)
    check_bounds(reader, tiers, pointer, unreadable_bounds(reader, faults, value, pointer))
    if tiers and tiers[-1].get("up_to") is not None:
        reader.fault(f"{pointer}/{len(tiers) - 1}", "is missing a tier without up_to: a bucket's last tier is open")
    return tuple(BucketTier(**{"up_to": None, **{key: one[key] for key in one if key != "from"}}) for one in tiers)


def rollover(reader: Reader, value: Any, pointer: str) -> Rollover:
    """What goes from a grant into the next."""
    keys: dict[str, Key] = {"cap": number(AMOUNT, is_positive=True), "grants": whole(1, MAX_GRANTS)}
    return Rollover(**reader.members(value, pointer, keys))


def refill(reader: Reader, value: Any, pointer: str) -> Refill:
    """What an empty bucket is filled by."""
    keys: dict[str, Key] = {
        "size": number(AMOUNT, is_positive=True),
        "price": number(AMOUNT),
        "times": whole(1, MAX_GRANTS),
    }
    return Refill(**reader.members(value, pointer, keys, {"size": Decimal(1)}))


def follows(reader: Reader, value: Any, pointer: str) -> Follows:
    """The class whose usage makes the size."""
    keys: dict[str, Key] = {"usage_class": name, "factor": number(FACTOR, is_positive=True)}
    return Follows(**reader.members(value, pointer, keys, {"usage_class": "", "factor": Decimal(1)}))


BUCKET_KEYS: dict[str, Key] = {
    "name": name,
    "currency": name,
    "of": choice("units", "money"),
    "size": number(AMOUNT),
    "usage_classes": distinct(name),
    "rates": distinct(name),
    "condition": condition,
    "shared": choice(*get_args(Owner)),
    "grows": flag,
    "recurs": choice(*get_args(Recurs)),
    "starts_at": moment,
    "ends_at": moment,
    "priority": whole(0, MAX_PRIORITY),
    "after": name,
    "tiers": bucket_tiers,
    "rollover": rollover,
    "refill": refill,
    "follows": follows,
    "prorate": flag,
}


def bucket(reader: Reader, value: Any, pointer: str) -> Bucket:
    """An allowance of units or money."""
    members = reader.members(value, pointer, BUCKET_KEYS, {"name": ""})
    members.pop("currency", None)
    found = Bucket(**members)
    if found.recurs == "granted":
        _check_granted(reader, pointer, given(value))
    else:
        _check_size(reader, found, pointer, given(value))
    check_bounds_of_time(reader, found.starts_at, found.ends_at, pointer)
    if found.grows and found.shared == "service":
        reader.fault(f"{pointer}/grows", "needs a bucket shared by an account or a family: a service has no members")
    if found.of == "money" and found.tiers:
        reader.fault(f"{pointer}/tiers", "are for buckets of units: money has no price a unit")
    if found.recurs == "granted":
        return found
    if found.rollover and found.follows:
        reader.fault(f"{pointer}/rollover", "has no size to carry over where the bucket follows what is used")
    if found.rollover and found.recurs == "once":
        reader.fault(f"{pointer}/rollover", "needs a bucket that recurs: nothing follows a grant that is given once")
    if found.follows and found.recurs != "period":
        reader.fault(f"{pointer}/follows", "needs a bucket that recurs by period: other usage is counted by periods")
    if found.prorate and found.recurs != "period":
        reader.fault(
            f"{pointer}/prorate", "needs a bucket that recurs by period: only a period can begin in its middle"
        )
    return found


def _check_granted(reader: Reader, pointer: str, stated: set[str]) -> None:
    """What grants say themselves, or what only follows from what a bucket gives by itself."""
    for key in ("size", "starts_at", "ends_at", "grows", "rollover", "refill", "follows", "prorate"):
        if key in stated:
            reader.fault(f"{pointer}/{key}", "is not used by a bucket whose grants are given one by one")


def _check_size(reader: Reader, found: Bucket, pointer: str, stated: set[str]) -> None:
    """Sizes, caps and refills are quantities for units and amounts for money; something must be in the bucket."""
    if not found.size and not found.follows and not found.refill:
        word = "must be more than zero" if "size" in stated else "is missing"
        reader.fault(f"{pointer}/size", f"{word}, unless the bucket follows another class or is refilled")
    if found.of != "units":
        return
    exact = number(QUANTITY)
    exact(reader, found.size, f"{pointer}/size")
    if found.rollover and found.rollover.cap is not None:
        exact(reader, found.rollover.cap, f"{pointer}/rollover/cap")
    if found.refill:
        exact(reader, found.refill.size, f"{pointer}/refill/size")


def check_bounds_of_time(reader: Reader, starts_at: Any, ends_at: Any, pointer: str) -> None:
    """What starts must start before it ends."""
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        reader.fault(f"{pointer}/ends_at", "must be later than starts_at")


COMMITMENT_KEYS: dict[str, Key] = {
    "name": name,
    "currency": name,
    "kind": choice("minimum", "maximum", "commitment"),
    "amount": number(AMOUNT, is_positive=True),
    "overage_factor": number(PRICE),
    "true_up": flag,
    "per": choice("account", "service"),
    "usage_classes": distinct(name),
    "rates": distinct(name),
    "within": choice("hour", "day"),
    "prorate": flag,
}


def commitment(reader: Reader, value: Any, pointer: str) -> Commitment:
    """What a customer promised to spend, or will not spend more than."""
    stands_in = {"name": "", "kind": "commitment", "amount": Decimal(1)}
    members = reader.members(value, pointer, COMMITMENT_KEYS, stands_in)
    members.pop("currency", None)
    found = Commitment(**members)
    if found.kind != "commitment":
        for key in ("overage_factor", "true_up"):
            if key in given(value):
                reader.fault(f"{pointer}/{key}", f"is not used by a {found.kind}, only by a commitment")
    if found.within and found.prorate:
        reader.fault(f"{pointer}/prorate", f"is not used within a {found.within}, which is always whole")
    return found
