"""What the parts of a plan must be to one another: names, references, prefixes, and what buckets can serve."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from rating.core.plans.fields import ZONE
from rating.core.plans.reading import Reader
from rating.core.plans.spec import RISING, Bucket, Group, Plan, Rate
from rating.core.tariffs import serves

MOST_HINTS = 50


def check_plan(reader: Reader, plan: Plan, usage_classes: Collection[str] | None = None) -> None:
    """Add every fault between the parts of a plan to the reader's. usage_classes: those there are, where known."""
    check = _Check(reader, plan, usage_classes)
    check.names()
    check.references()
    check.prefixes()
    check.costs()
    check.buckets()


@dataclass(frozen=True)
class _Check:
    reader: Reader
    plan: Plan
    usage_classes: Collection[str] | None

    @cached_property
    def groups(self) -> list[tuple[str, Group]]:
        """Every group with its place, those of costs last."""
        members = (("groups", self.plan.groups), ("cost_groups", self.plan.cost_groups))
        return [(f"/{member}/{place}", group) for member, groups in members for place, group in enumerate(groups)]

    @cached_property
    def rates(self) -> list[tuple[str, Group, Rate]]:
        """Every rate with its place and group."""
        return [
            (f"{pointer}/rates/{place}", group, rate)
            for pointer, group in self.groups
            for place, rate in enumerate(group.rates)
        ]

    @cached_property
    def priced(self) -> set[str]:
        """The classes that the plan prices."""
        return {rate.usage_class for group in self.plan.groups for rate in group.rates}

    @cached_property
    def full_names(self) -> set[str]:
        """The rates that buckets and commitments may name."""
        return {full_name(group, rate) for group in self.plan.groups for rate in group.rates}

    def names(self) -> None:
        """A name stands for one thing; groups of costs share the names of groups, since charges name both alike."""
        self.once(((pointer, group.name) for pointer, group in self.groups), "a group")
        for member in ("time_periods", "calendars", "zones", "buckets", "commitments"):
            parts = enumerate(getattr(self.plan, member))
            self.once(((f"/{member}/{place}", part.name) for place, part in parts), f"one of the {member}")
        seen: dict[str, str] = {}
        for pointer, group, rate in self.rates:
            name = full_name(group, rate)
            if rate.name and seen.setdefault(name, rate.name) != rate.name:
                self.reader.fault(f"{pointer}/name", f"{name} can be read as another group's rate too; choose another")

    def once(self, named: Iterable[tuple[str, str]], what: str) -> None:
        seen: dict[str, str] = {}
        for pointer, name in named:
            if name and name in seen:
                self.reader.fault(f"{pointer}/name", f"{name} is the name of {what} already, at {seen[name]}")
            seen.setdefault(name, pointer)

    def references(self) -> None:
        """Whatever is named is there."""
        periods = {one.name for one in self.plan.time_periods}
        zones = {one.name for one in self.plan.zones}
        for pointer, group in self.groups:
            self.known(group.time_period, periods, f"{pointer}/time_period", "time period")
        for pointer, _, rate in self.rates:
            self.known(rate.time_period, periods, f"{pointer}/time_period", "time period")
            self.known(rate.zone, zones, f"{pointer}/zone", "zone")
            self.known(rate.tier_by, self.priced, f"{pointer}/tier_by", "usage class that this plan prices")
            if self.usage_classes is not None:
                self.known(rate.usage_class, self.usage_classes, f"{pointer}/usage_class", "usage class")
            self.zones_of_matrix(rate, zones, pointer)
        calendars = {one.name for one in self.plan.calendars}
        for place, period in enumerate(self.plan.time_periods):
            self.known(period.calendar, calendars, f"/time_periods/{place}/calendar", "calendar")
        for member in ("buckets", "commitments"):
            for place, part in enumerate(getattr(self.plan, member)):
                for under, name in enumerate(part.usage_classes):
                    what = "usage class that this plan prices"
                    self.known(name, self.priced, f"/{member}/{place}/usage_classes/{under}", what)
                for under, name in enumerate(part.rates):
                    self.known(name, self.full_names, f"/{member}/{place}/rates/{under}", 'rate, as "group / rate"')

    def known(self, name: str | None, names: Collection[str], pointer: str, what: str) -> None:
        if not name or name in names:
            return
        # Looking for similar names among 5,000 zones takes 20 ms, too long for 5,000 faults.
        near = get_close_matches(name, names, n=3) if len(self.reader.faults) < MOST_HINTS else []
        hint = f"; similar: {', '.join(near)}" if near else ""
        self.reader.fault(pointer, f"there is no {what} named {name}{hint}")

    def zones_of_matrix(self, rate: Rate, zones: set[str], pointer: str) -> None:
        if ZONE not in rate.fields:
            return
        if not zones:
            self.reader.fault(f"{pointer}/fields/{rate.fields.index(ZONE)}", "needs zones, and this plan has none")
            return
        at = rate.fields.index(ZONE)
        for place, price in enumerate(rate.prices):
            if len(price.values) == len(rate.fields):
                self.known(price.values[at], zones, f"{pointer}/prices/{place}/values/{at}", "zone")

    def prefixes(self) -> None:
        """A prefix leads to one zone."""
        seen: dict[str, str] = {}
        for place, zone in enumerate(self.plan.zones):
            for under, prefix in enumerate(zone.prefixes):
                if prefix and prefix in seen:
                    message = f"{prefix} is a prefix of {seen[prefix]} already; a prefix leads to one zone"
                    self.reader.fault(f"/zones/{place}/prefixes/{under}", message)
                seen.setdefault(prefix, zone.name)

    def costs(self) -> None:
        """Percentages of a cost need a cost, which is that of each record by itself."""
        costed = {rate.usage_class for group in self.plan.cost_groups for rate in group.rates}
        for pointer, _, rate in self.rates:
            if rate.tier_by is not None and pointer.startswith("/cost_groups"):
                self.reader.fault(f"{pointer}/tier_by", "has no place among costs, which are of each record by itself")
            if rate.of != "cost":
                continue
            if pointer.startswith("/cost_groups"):
                self.reader.fault(f"{pointer}/of", "cannot be cost in a cost group, which says what the cost is")
            elif rate.usage_class and rate.usage_class not in costed:
                self.reader.fault(f"{pointer}/of", f"is cost, but no rate of cost_groups is for {rate.usage_class}")

    def buckets(self) -> None:
        """Buckets can serve what they are for, follow what is not drawn from them, and wait for one another."""
        named = {bucket.name: bucket for bucket in self.plan.buckets if bucket.name}
        for place, bucket in enumerate(self.plan.buckets):
            pointer = f"/buckets/{place}"
            self.served(bucket, pointer)
            self.known(bucket.after, named, f"{pointer}/after", "bucket")
            before = named.get(bucket.after or "")
            if before and before.of != bucket.of:
                message = f"{before.name} holds {before.of}: units are drawn before there is a price, money after"
                self.reader.fault(f"{pointer}/after", message)
        self.circles(named)

    def served(self, bucket: Bucket, pointer: str) -> None:
        classes = set()
        for place, group, rate in self.rates:
            if place.startswith("/cost_groups") or not serves(bucket, group, rate):
                continue
            classes.add(rate.usage_class)
            function = rate.aggregation.function
            if bucket.of == "units" and function not in RISING:
                message = f"serves {full_name(group, rate)}, whose function {function} may fall; units cannot be drawn"
                self.reader.fault(pointer, f"{message} for it: name the rates or classes that the bucket serves")
        if bucket.follows and bucket.follows.usage_class:
            followed = bucket.follows.usage_class
            if followed in classes:
                message = f"{followed} is drawn from this bucket itself; it must follow another class"
                self.reader.fault(f"{pointer}/follows/usage_class", message)
            what = "usage class that this plan prices"
            self.known(followed, self.priced, f"{pointer}/follows/usage_class", what)

    def circles(self, named: dict[str, Bucket]) -> None:
        """Told once for each circle, at its first bucket."""
        told: set[str] = set()
        for place, bucket in enumerate(self.plan.buckets):
            way = [bucket.name]
            while (after := named[way[-1]].after if way[-1] in named else None) and after not in way:
                way.append(after)
            if after and after == bucket.name and bucket.name not in told:
                told.update(way)
                circle = " waits for ".join([*way, bucket.name])
                self.reader.fault(f"/buckets/{place}/after", f"goes in a circle, so that none is ever drawn: {circle}")


def full_name(group: Group, rate: Rate) -> str:
    """How buckets and commitments name a rate."""
    return f"{group.name} / {rate.name}"
