"""The made world that usage is priced in: classes, one plan with tiers and a bucket, accounts, a feed, a user.

What a month costs an account does not depend on the order of its usage: classes that share the bucket have one price,
and every price times every quantity fits the decimals of a charge. So anybody can add up what must come out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

ACCOUNTS = 50_000
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ZONES = ("UTC", "Europe/Vienna", "America/New_York")
CURRENCY = "EUR"
BUCKET_SIZE = 600
FEED = "rows"
USER = "integrator"
# The UDR fields that a row holds, in its order.
FIELDS = (
    "Date",
    "UdrIdentifierTypeName",
    "OriginatingIdentifier",
    "TerminatingIdentifier",
    "UdrUsageIdentifier",
    "Value",
    "Inbound",
    "ReverseRating",
    "UsageClassName",
    "UsageClassTypeName",
    "UsageBillDate",
)


@dataclass(frozen=True)
class ClassPrice:
    """How the usage of a class is rounded and priced."""

    name: str
    kind: str
    price: Decimal | None = None
    minimum: int = 0
    increment: int | None = None
    tiers: tuple[tuple[int | None, Decimal], ...] = ()
    is_in_bucket: bool = False

    @property
    def model(self) -> str:
        return "graduated" if self.tiers else "fixed" if self.name == "session_fee" else "per_unit"


def _tiers(*steps: tuple[int | None, str]) -> tuple[tuple[int | None, Decimal], ...]:
    return tuple((up_to, Decimal(price)) for up_to, price in steps)


CLASSES = (
    ClassPrice("data_class", "Data_1", Decimal("0.01"), is_in_bucket=True),
    ClassPrice("data_roaming", "Data_1", Decimal("0.01"), is_in_bucket=True),
    ClassPrice("data_night", "Data_1", Decimal("0.00123"), minimum=100, increment=10),
    ClassPrice("voice_local", "Voice_1", Decimal("0.0025"), minimum=60, increment=6),
    ClassPrice("voice_mobile", "Voice_1", Decimal("0.0137"), minimum=60, increment=1),
    ClassPrice("voice_abroad", "Voice_1", Decimal("0.08125"), increment=60),
    ClassPrice("message_text", "Count_1", Decimal("0.09")),
    ClassPrice("message_picture", "Count_1", Decimal("0.39")),
    ClassPrice("api_get", "Count_1", tiers=_tiers((300, "0.004"), (1_500, "0.003"), (None, "0.00175"))),
    ClassPrice("api_post", "Count_1", tiers=_tiers((200, "0.01"), (1_000, "0.008"), (None, "0.005"))),
    ClassPrice("storage", "Data_1", tiers=_tiers((500, "0.002"), (2_000, "0.001"), (None, "0.0005")), increment=50),
    ClassPrice("session_fee", "Count_1", Decimal("0.25")),
)


def identifier_of(account: int) -> str:
    return f"648-{account // 10_000:03d}-{account % 10_000:04d}"


def zone_of(account: int) -> str:
    return ZONES[account % len(ZONES)]


def make_world(accounts: int) -> str:
    """Fill the migrated database that Django is connected to; returns a token for the HTTP API."""
    _make_feed()
    _make_plan()
    _make_accounts(accounts)
    return _make_user()


def _make_feed() -> None:
    from django.utils import timezone

    from ingestion.models import Feed
    from mediation import services
    from mediation.models import DataProfile, UsageClass, UsageClassType

    types = {kind: UsageClassType.objects.create(name=kind) for kind in sorted({each.kind for each in CLASSES})}
    UsageClass.objects.bulk_create(UsageClass(name=each.name, usage_class_type=types[each.kind]) for each in CLASSES)
    profile = DataProfile.objects.create(name="rows of the source document")
    version = services.create_draft(profile=profile, spec=spec(), note="", by=None)
    services.activate_version(version=version, by=None, now=timezone.now())
    Feed.objects.create(name="Rows", api_name=FEED, profile=profile)


def spec() -> dict[str, object]:
    """The plain profile: every UDR field of a row, as it came."""
    return {
        "format": {"kind": "delimited", "columns": list(FIELDS)},
        "fields": {field: {"source": field} for field in FIELDS},
    }


def plan_document(classes: Sequence[ClassPrice] = CLASSES, bucket_size: int = BUCKET_SIZE) -> dict[str, object]:
    """The price list: a group with a rate for each class, and an allowance of data that an account's services share."""
    return {
        "name": "standard",
        "currency": CURRENCY,
        "groups": [{"name": "all", "rates": [_rate(each) for each in classes]}],
        "buckets": [
            {
                "name": "data",
                "size": str(bucket_size),
                "usage_classes": [each.name for each in classes if each.is_in_bucket],
                "shared": "account",
            }
        ],
    }


def _rate(each: ClassPrice) -> dict[str, object]:
    rate: dict[str, object] = {"usage_class": each.name, "model": each.model, "minimum": str(each.minimum)}
    if each.price is not None:
        rate["price"] = str(each.price)
    if each.increment is not None:
        rate["increment"] = str(each.increment)
    if each.tiers:
        rate["tiers"] = [
            {"up_to": None if up_to is None else str(up_to), "price": str(price)} for up_to, price in each.tiers
        ]
    return rate


def _make_plan() -> None:
    from django.utils import timezone

    from rating import services
    from rating.models import RatePlan

    now = timezone.now()
    plan = RatePlan.objects.create(name="standard", currency=CURRENCY, is_default=True)
    version = services.create_draft(plan=plan, document=plan_document(), note="", by=None, now=now)
    services.activate_version(version=version, starts_at=LONG_AGO, by=None, now=now)


def _make_accounts(count: int) -> None:
    from rating.models import Account, Service, ServiceIdentifier

    numbers = range(count)
    accounts = Account.objects.bulk_create(
        (Account(number=f"A-{n:06d}", name=f"account {n}", currency=CURRENCY, time_zone=zone_of(n)) for n in numbers),
        batch_size=5_000,
    )
    services = Service.objects.bulk_create(
        (Service(account=account, name="line", starts_at=LONG_AGO) for account in accounts), batch_size=5_000
    )
    identifiers = (
        ServiceIdentifier(service=service, identifier=identifier_of(n), starts_at=LONG_AGO)
        for n, service in zip(numbers, services, strict=True)
    )
    ServiceIdentifier.objects.bulk_create(identifiers, batch_size=5_000)


def _make_user() -> str:
    from django.contrib.auth.models import Permission, User
    from knox.models import AuthToken

    user = User.objects.create(username=USER)
    user.user_permissions.set(Permission.objects.filter(codename__in=["add_usageimport", "every_feed"]))
    _, token = AuthToken.objects.create(user=user)
    return str(token)


def main(accounts: int) -> None:
    """Migrate the database of DATABASE_URL, fill it, print the token: for those who are no Django process."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    print(make_world(accounts))


if __name__ == "__main__":
    import os
    import sys

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    main(int(sys.argv[1]))
