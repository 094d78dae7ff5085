"""Factories for the tables of rating, and for UDRs that wait to be rated."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import factory
from factory.django import DjangoModelFactory

from mediation.models import UDR_ID_BITS, IdentifierType, Udr, UdrBatch, UsageClass
from rating import services
from rating.models import Account, Bucket, Rate, RatePlan, Service, ServiceIdentifier

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 10, 12, tzinfo=UTC)
JUNE = datetime(2026, 6, 10, 12, tzinfo=UTC)
NOW = datetime(2026, 7, 2, 8, tzinfo=UTC)

counter = count(1)


class UsageClassFactory(DjangoModelFactory):
    class Meta:
        model = UsageClass

    name = factory.Sequence(lambda n: f"class {n}")


class RatePlanFactory(DjangoModelFactory):
    class Meta:
        model = RatePlan

    name = factory.Sequence(lambda n: f"plan {n}")
    currency = "EUR"


def document(plan):
    """The document of the plan's latest version, or an empty one."""
    latest = plan.versions.order_by("number").last()
    return latest.document if latest else {"name": plan.name, "currency": plan.currency, "groups": []}


def activate(plan, said, starts_at=None):
    """The document as the plan's next version: a second after the last, or from `starts_at`."""
    number = plan.versions.count() + 1
    version = services.create_draft(plan=plan, document=said, note="", by=None, now=NOW)
    starts_at = starts_at or LONG_AGO + timedelta(seconds=number)
    services.activate_version(version=version, starts_at=starts_at, by=None, now=NOW)
    return version


@dataclass
class MadeGroup:
    """A group of a plan's latest version, and of those that follow."""

    plan: RatePlan
    name: str
    said: dict


def RateGroupFactory(plan=None, position=None, currency="EUR", **said):
    name = f"group {next(counter) if position is None else position:03}"
    moments = {key: value.isoformat() for key, value in said.items() if key in ("starts_at", "ends_at")}
    return MadeGroup(plan or RatePlanFactory(currency=currency), name, {**said, **moments})


@dataclass
class MadeRate:
    """A rate of a plan's latest version."""

    group: MadeGroup
    usage_class: UsageClass
    row: Rate

    @property
    def plan(self):
        return self.group.plan

    @property
    def pk(self):
        return self.row.pk


def RateFactory(group=None, usage_class=None, model="per_unit", price="0.10", **said):
    """A rate in the next version of its group's plan; `group__…` and `usage_class__…` say what is made with it."""
    of_group = {key.removeprefix("group__"): said.pop(key) for key in list(said) if key.startswith("group__")}
    of_class = {key.removeprefix("usage_class__"): said.pop(key) for key in list(said) if "usage_class__" in key}
    group = group or RateGroupFactory(**of_group)
    usage_class = usage_class or UsageClassFactory(**of_class)
    rate = {"usage_class": usage_class.name, "model": model, "price": price, **said}
    rate = {key: _said(value) for key, value in rate.items() if value is not None}
    plan = document(group.plan)
    groups = {each["name"]: each for each in plan["groups"]}
    mine = groups.setdefault(group.name, {"name": group.name, "rates": [], **group.said})
    mine["rates"].append(rate)
    activate(group.plan, {**plan, "groups": [groups[name] for name in sorted(groups)]})
    row = Rate.objects.get(plan=group.plan, group=group.name, name=rate.get("name", usage_class.name))
    return MadeRate(group, usage_class, row)


def _said(value):
    return f"{value:f}" if isinstance(value, Decimal) else str(value) if type(value) is int else value


def BucketFactory(plan, size, usage_classes, name="allowance", **said):
    """A bucket in the plan's next version."""
    said = {key: _said(value) for key, value in said.items()}
    bucket = {"name": name, "size": str(size), "usage_classes": [each.name for each in usage_classes], **said}
    before = document(plan)
    activate(plan, {**before, "buckets": [*before.get("buckets", []), bucket]})
    return Bucket.objects.get(plan=plan, name=name)


class AccountFactory(DjangoModelFactory):
    class Meta:
        model = Account

    number = factory.Sequence(lambda n: f"A-{n:05}")
    name = factory.Sequence(lambda n: f"account {n}")
    currency = "EUR"
    time_zone = "Europe/Vienna"


class ServiceFactory(DjangoModelFactory):
    class Meta:
        model = Service

    account = factory.SubFactory(AccountFactory)
    name = factory.Sequence(lambda n: f"service {n}")
    starts_at = LONG_AGO


class ServiceIdentifierFactory(DjangoModelFactory):
    class Meta:
        model = ServiceIdentifier

    service = factory.SubFactory(ServiceFactory)
    identifier = factory.Sequence(lambda n: f"43-650-{n:06}")
    starts_at = LONG_AGO


def subscriber(plan=None, **account):
    """A service of its own account with an identifier; the plan is the account's."""
    return ServiceIdentifierFactory(service__account=AccountFactory(rate_plan=plan, **account))


def graduated(plan=None, tiers=((100, "0.30"), (None, "0.10")), **rate):
    """A graduated rate with tiers of (up_to, price)."""
    group = RateGroupFactory(plan=plan) if plan else None
    said = [{"up_to": None if up_to is None else str(up_to), "price": price} for up_to, price in tiers]
    bounded = {"bounded": True} if tiers[-1][0] is not None else {}
    return RateFactory(group=group, model="graduated", price=None, tiers=said, **bounded, **rate)


def waiting(*udrs, status="mediated", import_id=1):
    """A batch that waits to be rated. udrs: dicts with usage_class, identifier, value and what differs else."""
    batch = UdrBatch.objects.create(status=status, feed_id=1, import_id=import_id, udr_count=len(udrs), mediated_at=NOW)
    kind, _ = IdentifierType.objects.get_or_create(name="Unknown")
    place = count(batch.pk << UDR_ID_BITS)
    for udr in udrs:
        described = {"date": MAY, "value": Decimal(1), "inbound": False, "reverse_rating": False, **udr}
        described["udr_usage_identifier"] = described.pop("identifier", None)
        described["value"] = Decimal(described["value"])
        Udr.objects.create(
            id=next(place), feed_id=1, import_id=import_id, record_number=1, identifier_type=kind, **described
        )
    return batch


def used(rate, owner, value=1, **udr):
    """The UDR of an identifier's owner, of the rate's class."""
    return {"usage_class": rate.usage_class, "identifier": owner.identifier, "value": value, **udr}
