"""What rows must cost, added up on the outside in plain decimals; shares nothing with rating but the price list."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

from tests.benchmarks.rows import Row
from tests.benchmarks.world import BUCKET_SIZE, CLASSES, ClassPrice, zone_of


def bills_of(
    rows: Iterable[Row], classes: Sequence[ClassPrice] = CLASSES, bucket_size: int = BUCKET_SIZE
) -> dict[str, Decimal]:
    """The sum of an account's charges, by its number."""
    counted: dict[tuple[int, int, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    zones = {name: ZoneInfo(name) for name in {zone_of(n) for n in range(100)}}
    for row in rows:
        local = row.date.astimezone(zones[zone_of(row.account)])
        of_class = counted[row.account, local.year, local.month][row.usage_class]
        of_class[0] += 1
        of_class[1] += rounded(row.value, classes[row.usage_class])
    bills: dict[str, Decimal] = defaultdict(Decimal)
    for (account, _, _), used in counted.items():
        bills[f"A-{account:06d}"] += _month(used, classes, bucket_size)
    return dict(bills)


def rounded(value: int, usage_class: ClassPrice) -> int:
    """Up to the minimum, above it up to whole increments."""
    if value <= usage_class.minimum:
        return usage_class.minimum
    increment = usage_class.increment or 1
    return usage_class.minimum + -(-(value - usage_class.minimum) // increment) * increment


def _month(used: dict[int, list[int]], classes: Sequence[ClassPrice], bucket_size: int) -> Decimal:
    bill, in_bucket, bucket_price = Decimal(0), 0, Decimal(0)
    for place, (count, quantity) in used.items():
        each = classes[place]
        if each.model == "graduated":
            bill += _along(quantity, each)
        elif each.model == "fixed":
            bill += count * (each.price or 0)
        elif each.is_in_bucket:
            in_bucket, bucket_price = in_bucket + quantity, each.price or Decimal(0)
        else:
            bill += quantity * (each.price or 0)
    return bill + max(0, in_bucket - bucket_size) * bucket_price


def _along(quantity: int, usage_class: ClassPrice) -> Decimal:
    bill, below = Decimal(0), 0
    for up_to, price in usage_class.tiers:
        top = quantity if up_to is None else min(quantity, up_to)
        bill += max(0, top - below) * price
        below = max(below, top)
    return bill
