"""Plan versions as pricing wants them: each rate and each bucket with its number, found by its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mediation.core.expressions import fields_of
from rating.core.plans.spec import CLIMBING, RETROACTIVE, Bucket, Group, Plan, Rate

# A part of a record that was split may start this much later than its record.
LONGEST_RECORD = timedelta(days=366)


@dataclass(frozen=True)
class Version:
    """A version of a plan, valid from `starts_at` to before `ends_at`, with the numbers of its rates and buckets."""

    version_id: int
    plan_id: int
    starts_at: datetime | None
    ends_at: datetime | None
    plan: Plan
    rate_ids: Mapping[tuple[str, str], int]  # by group and rate; a rate keeps its number through versions
    bucket_ids: Mapping[str, int]


@dataclass(frozen=True)
class PricedRate:
    """A rate in its version. key: its place in the price list. bucket_keys: what its usage may draw on."""

    key: int
    rate_id: int
    version: Version
    group: Group
    rate: Rate
    usage_class_id: int | None  # None: no such class
    is_cost: bool
    bucket_keys: tuple[int, ...]

    @property
    def keeps_counter(self) -> bool:
        """Whether earlier usage decides what a record costs."""
        rate = self.rate
        if rate.counting.restarts == "record":
            return False
        remembers = bool(rate.free_units or rate.free_records or rate.free_amount)
        return remembers or rate.aggregation.function != "each" or rate.model in CLIMBING | RETROACTIVE

    @property
    def adds_up(self) -> bool:
        """Whether its one counter for each owner is the sum of what its charges counted."""
        rate = self.rate
        is_sum = rate.aggregation.function in ("each", "sum", "count") and rate.aggregation.within is None
        is_one = not rate.counting.by and rate.counting.restarts in ("period", "never")
        return is_sum and is_one and rate.model not in ("percentage", "graduated_percentage", "basis_points")


@dataclass(frozen=True)
class PricedBucket:
    """A bucket in its version. key: its place in the price list."""

    key: int
    bucket_id: int
    version: Version
    bucket: Bucket
    followed_class_id: int | None


@dataclass(frozen=True)
class PriceList:
    """Every version that may price usage, with rates and buckets by key."""

    versions: tuple[Version, ...]
    rates: tuple[PricedRate, ...]
    buckets: tuple[PricedBucket, ...]
    class_ids: Mapping[str, int]

    @property
    def needs_extensions(self) -> bool:
        """Whether any version asks for extensions of the UDR."""
        return any("Extensions." in field for version in self.versions for field in fields_asked(version.plan))

    @property
    def longest_record(self) -> timedelta:
        """How much later than its record a part of it may start: not at all where no group splits records."""
        groups = (group for version in self.versions for group in version.plan.groups)
        return LONGEST_RECORD if any(group.at_boundary == "split" for group in groups) else timedelta()

    @property
    def followed_class_ids(self) -> frozenset[int]:
        """The classes whose quantity sizes a bucket or chooses a tier of other usage."""
        followed = {each.followed_class_id for each in self.buckets}
        followed |= {self.class_ids.get(each.rate.tier_by) for each in self.rates if each.rate.tier_by}
        return frozenset(number for number in followed if number is not None)

    @property
    def shares_in_families(self) -> bool:
        """Whether any counter or bucket is shared by the accounts of a family."""
        counted = any(each.rate.counting.per == "family" for each in self.rates)
        return counted or any(each.bucket.shared == "family" for each in self.buckets)

    def keeps_counter(self, rate: PricedRate) -> bool:
        """Whether a counter is kept of the rate's usage: for its price, or for the money that paid it."""
        is_paid = any(self.buckets[key].bucket.of == "money" for key in rate.bucket_keys)
        return rate.keeps_counter or (is_paid and rate.rate.counting.restarts != "record")

    def outlasts_periods(self, rate: PricedRate) -> bool:
        """Whether usage of the rate moves what is not of one account's billing period alone."""
        if rate.rate.counting.restarts == "never" or rate.rate.counting.per == "family":
            return True
        buckets = [self.buckets[key].bucket for key in rate.bucket_keys]
        return any(each.recurs != "period" or each.rollover or each.shared == "family" for each in buckets)

    def links_periods(self, rate: PricedRate) -> bool:
        """Whether usage of the rate in one period decides what an account's later periods give or count."""
        if rate.rate.counting.restarts == "never" or rate.rate.aggregation.carries_over:
            return self.keeps_counter(rate)
        buckets = [self.buckets[key].bucket for key in rate.bucket_keys]
        return any(each.recurs not in ("period", "day") or each.rollover for each in buckets)

    def counts_for_ever(self, rate: PricedRate) -> bool:
        """Whether the rate's counters never restart and cannot be told from sums: all that they counted decides."""
        has_one = rate.rate.counting.restarts == "never" and self.keeps_counter(rate)
        return has_one and not (rate.adds_up and rate.rate.counting.per != "family")


def price_list(versions: Sequence[Version], class_ids: Mapping[str, int]) -> PriceList:
    """Number the rates and buckets of versions. Rates of `cost_groups` follow those of `groups`."""
    rates: list[PricedRate] = []
    buckets: list[PricedBucket] = []
    for version in versions:
        own = []
        for bucket in version.plan.buckets:
            followed = class_ids.get(bucket.follows.usage_class) if bucket.follows else None
            own.append(PricedBucket(len(buckets), version.bucket_ids[bucket.name], version, bucket, followed))
            buckets.append(own[-1])
        for is_cost, groups in ((False, version.plan.groups), (True, version.plan.cost_groups)):
            for group in groups:
                for rate in group.rates:
                    served = tuple(each.key for each in own if not is_cost and serves(each.bucket, group, rate))
                    rates.append(
                        PricedRate(
                            key=len(rates),
                            rate_id=version.rate_ids[group.name, rate.name],
                            version=version,
                            group=group,
                            rate=rate,
                            usage_class_id=class_ids.get(rate.usage_class),
                            is_cost=is_cost,
                            bucket_keys=served,
                        )
                    )
    return PriceList(tuple(versions), tuple(rates), tuple(buckets), class_ids)


def serves(bucket: Bucket, group: Group, rate: Rate) -> bool:
    """Whether usage of the rate may draw on the bucket."""
    if not bucket.usage_classes and not bucket.rates:
        return True
    return rate.usage_class in bucket.usage_classes or f"{group.name} / {rate.name}" in bucket.rates


def fields_asked(plan: Plan) -> frozenset[str]:
    """The UDR fields that the conditions, counters and matrices of a plan read."""
    conditions = [bucket.condition for bucket in plan.buckets]
    asked: set[str] = set()
    for group in (*plan.groups, *plan.cost_groups):
        conditions.append(group.condition)
        for rate in group.rates:
            conditions.append(rate.condition)
            asked.update(rate.counting.by, rate.fields, (rate.aggregation.of,))
    for condition in conditions:
        asked.update(fields_of(condition) if condition else ())
    return frozenset(asked)
