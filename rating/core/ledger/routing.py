"""Which rates can be priced in columns, and what the ledger has to know of each rate beforehand."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from rating.core.plans.spec import Aggregation, Bucket, Counting, Rate, Tier, Transform
from rating.core.tariffs import PricedBucket, PricedRate, PriceList


@dataclass(frozen=True, slots=True)
class Work:
    """A rate with what pricing a record asks of it again and again."""

    priced: PricedRate
    rate: Rate
    rate_id: int
    places: int  # decimals of its charges
    keeps_counter: bool
    units: tuple[PricedBucket, ...]  # what its usage may draw on
    money: tuple[PricedBucket, ...]  # what may pay for it

    @property
    def place(self) -> str:
        """Where the rate stands, for messages."""
        return place_of(self.priced)


def place_of(priced: PricedRate) -> str:
    """Where a rate stands, for messages."""
    return f"“{priced.group.name} / {priced.rate.name}” of plan “{priced.version.plan.name}”"


def works(prices: PriceList) -> list[Work]:
    """The work of each rate, by its key."""
    return [_work(priced, prices) for priced in prices.rates]


def _work(priced: PricedRate, prices: PriceList) -> Work:
    buckets = [prices.buckets[key] for key in priced.bucket_keys]
    return Work(
        priced=priced,
        rate=priced.rate,
        rate_id=priced.rate_id,
        places=priced.group.amount_precision,
        keeps_counter=prices.keeps_counter(priced),
        units=tuple(each for each in buckets if each.bucket.of == "units"),
        money=tuple(each for each in buckets if each.bucket.of == "money"),
    )


def columnar_keys(prices: PriceList) -> frozenset[int]:
    """The keys of the rates whose usage is priced in columns; all others go through the ledger.

    A rate or a bucket keeps its number through versions, and so do its counters and grants: where one version of it
    needs the ledger, so do the others, and so does whatever else draws on the same bucket.
    """
    priced = [each for each in prices.rates if not each.is_cost]
    drawn = {each.key: {prices.buckets[key].bucket_id for key in each.bucket_keys} for each in priced}
    intricate = _intricate_buckets(prices)
    usual = {each.key for each in priced if is_usual(each) and len(each.bucket_keys) <= 1}
    while True:
        others = [each for each in priced if each.key not in usual]
        rate_ids = {each.rate_id for each in others}
        bucket_ids = intricate.union(*(drawn[each.key] for each in others))
        kept = {
            each.key
            for each in priced
            if each.key in usual and each.rate_id not in rate_ids and not drawn[each.key] & bucket_ids
        }
        if kept == usual:
            return frozenset(kept)
        usual = kept


def is_usual(priced: PricedRate) -> bool:
    """Whether a rate, its buckets left aside, can be priced in columns: it uses no other field than those named here.

    Not so in plans that split records: the parts of one record are priced or refused together.
    """
    rate = priced.rate
    plain = Rate(
        name=rate.name,
        usage_class=rate.usage_class,
        model=rate.model,
        condition=rate.condition,
        time_period=rate.time_period,
        zone=rate.zone,
        aggregation=Aggregation(),
        counting=Counting(per=rate.counting.per, by=rate.counting.by),
        transform=Transform(),
        minimum=rate.minimum,
        increment=rate.increment,
        price=rate.price,
        tiers=tuple(Tier(tier.up_to, price=tier.price) for tier in rate.tiers),
        bounded=rate.bounded,
    )
    if rate != plain or any(group.at_boundary == "split" for group in priced.version.plan.groups):
        return False
    unpriced = {"pass_through": rate.price is None, "graduated": bool(rate.tiers)}
    if not unpriced.get(rate.model, rate.model in {"per_unit", "fixed"} and rate.price is not None):
        return False
    prices = [rate.price, *(tier.price for tier in rate.tiers)]
    quantities = [rate.minimum, rate.increment, *(tier.up_to for tier in rate.tiers)]
    return _fit(prices, whole=6, places=11) and _fit(quantities, whole=15, places=6)


def _fit(numbers: Iterable[Decimal | None], *, whole: int, places: int) -> bool:
    """Whether the columns hold the numbers: their digits before and after the point."""
    return all(
        number is None or (abs(number) < 10**whole and number.as_tuple().exponent >= -places)  # type: ignore[operator]
        for number in numbers
    )


def _intricate_buckets(prices: PriceList) -> set[int]:
    """The numbers of the buckets that are not one plain allowance for each period, the same in all versions."""
    forms: dict[int, set[Bucket]] = {}
    for priced in prices.buckets:
        forms.setdefault(priced.bucket_id, set()).add(priced.bucket)
    return {number for number, versions in forms.items() if len(versions) > 1 or not _is_plain(*versions)}


def _is_plain(bucket: Bucket) -> bool:
    plain = Bucket(
        name=bucket.name,
        size=bucket.size,
        usage_classes=bucket.usage_classes,
        rates=bucket.rates,
        shared=bucket.shared,
        priority=bucket.priority,
    )
    return bucket == plain and _fit([bucket.size], whole=15, places=6)
