"""Factories for the tables of rating, and for UDRs that wait to be rated."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

import factory
from factory.django import DjangoModelFactory

from mediation.models import UDR_ID_BITS, IdentifierType, Udr, UdrBatch, UsageClass
from rating.models import Account, Bucket, Rate, RateGroup, RatePlan, Service, ServiceIdentifier, Tier

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 10, 12, tzinfo=UTC)
JUNE = datetime(2026, 6, 10, 12, tzinfo=UTC)
NOW = datetime(2026, 7, 2, 8, tzinfo=UTC)


class UsageClassFactory(DjangoModelFactory):
    class Meta:
        model = UsageClass

    name = factory.Sequence(lambda n: f"class {n}")


class RatePlanFactory(DjangoModelFactory):
    class Meta:
        model = RatePlan

    name = factory.Sequence(lambda n: f"plan {n}")


class RateGroupFactory(DjangoModelFactory):
    class Meta:
        model = RateGroup

    plan = factory.SubFactory(RatePlanFactory)
    position = factory.Sequence(lambda n: n + 1)
    name = "standard"
    currency = "EUR"
    starts_at = LONG_AGO


class RateFactory(DjangoModelFactory):
    class Meta:
        model = Rate

    group = factory.SubFactory(RateGroupFactory)
    usage_class = factory.SubFactory(UsageClassFactory)
    model = "per_unit"
    price = Decimal("0.10")


class TierFactory(DjangoModelFactory):
    class Meta:
        model = Tier


class BucketFactory(DjangoModelFactory):
    class Meta:
        model = Bucket
        skip_postgeneration_save = True

    name = "allowance"

    @factory.post_generation
    def usage_classes(self, create, extracted, **kwargs):
        if extracted:
            self.usage_classes.set(extracted)


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
    group = RateGroupFactory(**({"plan": plan} if plan else {}))
    made = RateFactory(group=group, model="graduated", price=None, **rate)
    for up_to, price in tiers:
        TierFactory(rate=made, up_to=up_to, price=Decimal(price))
    return made


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
