"""Made-up usage and the configuration that reads and prices it: what `quickstart` shows Sluice with."""

import json
import random
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from ingestion.models import Feed
from mediation import services as mediation
from mediation.models import DataProfile, ProfileVersion, UsageClass, UsageClassType
from rating import services as rating
from rating.models import Account, RatePlan, Service, ServiceIdentifier

COLUMNS = (
    "DateTime",
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
ROWS_PROFILE: dict[str, Any] = {
    "format": {"kind": "delimited", "delimiter": ",", "quote": '"', "columns": list(COLUMNS)},
    "fields": {name: {"source": name} for name in COLUMNS},
    "skip": [
        {"name": "heartbeats", "source": "UsageClassName", "operator": "equals", "values": ["heartbeat"]},
    ],
}
EVENTS_PROFILE: dict[str, Any] = {
    "format": {"kind": "json"},
    "fields": {
        name: {"source": name}
        for name in (
            "Date",
            "UdrIdentifierTypeName",
            "OriginatingIdentifier",
            "TerminatingIdentifier",
            "UdrUsageIdentifier",
            "Value",
            "Inbound",
            "UsageClassName",
            "UsageClassTypeName",
            "PrimaryDataRow",
            "Extensions",
        )
    },
    "uniqueness": ["UdrUsageIdentifier"],
}

# Name, type, unit, and which identifier pays.
CLASSES = (
    ("voice", "Voice_1", UsageClass.Unit.TIME, UsageClass.PaidBy.USAGE),
    ("message", "Message_1", UsageClass.Unit.COUNT, UsageClass.PaidBy.USAGE),
    ("data_class", "Data_1", UsageClass.Unit.DATA, UsageClass.PaidBy.USAGE),
    ("API Requests", "Requests", UsageClass.Unit.COUNT, UsageClass.PaidBy.ORIGINATING),
)
# Number, name, zone, telephone identifier, API identifier.
ACCOUNTS = (
    ("100041", "Blue Harbour Freight", "Europe/Vienna", "648-688-4180", "acct-100041"),
    ("100042", "Cedar Mill Foods", "America/New_York", "648-688-4181", "acct-100042"),
    ("100043", "Delta Works Engineering", "UTC", "648-688-4182", "acct-100043"),
    ("100044", "Elm Street Clinic", "Asia/Tokyo", "648-688-4183", "acct-100044"),
    ("100045", "Foxglove Media", "Europe/Vienna", "648-688-4184", "acct-100045"),
)

PLAN: dict[str, Any] = {
    "name": "Standard",
    "currency": "EUR",
    "groups": [
        {
            "name": "Euro",
            "rates": [
                {
                    "usage_class": "voice",
                    "model": "per_unit",
                    "price": "0.00125",
                    "minimum": "60",
                    "increment": "6",
                },
                {"usage_class": "message", "model": "fixed", "price": "0.04"},
                {"usage_class": "data_class", "model": "per_unit", "price": "0.0025"},
                {
                    "usage_class": "API Requests",
                    "model": "graduated",
                    "tiers": [
                        {"up_to": "10000", "price": "0.002"},
                        {"up_to": "50000", "price": "0.0015"},
                        {"up_to": None, "price": "0.001"},
                    ],
                },
            ],
        }
    ],
    "buckets": [{"name": "Included data", "size": "5000", "usage_classes": ["data_class"]}],
}


@transaction.atomic
def load_configuration(*, now: datetime) -> None:
    """Feeds, profiles, classes, accounts and a plan, as a billing admin would set them up; what exists stays."""
    for name, type_name, unit, paid_by in CLASSES:
        class_type, _ = UsageClassType.objects.get_or_create(name=type_name)
        defaults = {"usage_class_type": class_type, "unit": unit, "paid_by": paid_by}
        UsageClass.objects.get_or_create(name=name, defaults=defaults)
    _load_feed("Telephone switch", "rows", "Rows of the telephone switch", ROWS_PROFILE, now)
    _load_feed("API gateway", "events", "Events of the API gateway", EVENTS_PROFILE, now)
    plan = _load_plan(now)
    start = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
    for number, name, zone, telephone, key in ACCOUNTS:
        account, _ = Account.objects.get_or_create(
            number=number, defaults={"name": name, "currency": "EUR", "time_zone": zone, "rate_plan": plan}
        )
        service, _ = Service.objects.get_or_create(
            account=account, name="Telephone and API", defaults={"starts_at": start}
        )
        for identifier in (telephone, key):
            ServiceIdentifier.objects.get_or_create(
                service=service, identifier=identifier, defaults={"starts_at": start}
            )


def _load_feed(name: str, api_name: str, profile_name: str, spec: dict[str, Any], now: datetime) -> None:
    profile, _ = DataProfile.objects.get_or_create(name=profile_name)
    if not profile.versions.filter(status=ProfileVersion.Status.ACTIVE).exists():
        version = mediation.create_draft(profile=profile, spec=spec, note="Ships with Sluice.", by=None)
        mediation.activate_version(version=version, by=None, now=now)
    Feed.objects.get_or_create(api_name=api_name, defaults={"name": name, "profile": profile})


def _load_plan(now: datetime) -> RatePlan:
    plan, is_new = RatePlan.objects.get_or_create(name=PLAN["name"], defaults={"currency": PLAN["currency"]})
    if is_new:
        version = rating.create_draft(plan=plan, document=PLAN, note="Ships with Sluice.", by=None, now=now)
        start = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
        rating.activate_version(version=version, starts_at=start, by=None, now=now)
    return plan


def sample_file(month: datetime) -> bytes:
    """A usage file of 2,000 rows of the month that `month` starts, with the mistakes that sources make."""
    draw = random.Random(20261120)  # noqa: S311 - the same file every time
    rows = [_row(draw, month) for _ in range(1_990)]
    good = rows[0]
    rows[100:100] = [
        good,  # a duplicate
        good.replace(",voice,", ",telegraph,")
        .replace(",message,", ",telegraph,")
        .replace(",data_class,", ",telegraph,"),
        _row(draw, month).replace(f"{month:%Y-%m}-", "2026-02-30T00:00:00 "),
        ",".join(_row(draw, month).split(",")[:7]),
        '"' + _row(draw, month),
        _row(draw, month, value="1e5"),
        _row(draw, month, value="-4"),
        _row(draw, month, identifier="000-000-0000"),  # a UDR that nobody pays for
        _row(draw, month, kind=("heartbeat", "")),
        _row(draw, month, kind=("heartbeat", "")),
    ]
    return ("\n".join(rows) + "\n").encode()


def _row(
    draw: random.Random,
    month: datetime,
    *,
    value: str | None = None,
    identifier: str | None = None,
    kind: tuple[str, str] | None = None,
) -> str:
    moment = month + timedelta(seconds=draw.randrange(24 * 3600), milliseconds=10 * draw.randrange(100))
    date = moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:22]
    name, type_name = kind or draw.choice((("voice", "Voice_1"), ("message", "Message_1"), ("data_class", "Data_1")))
    return ",".join(
        (
            date,
            "Unknown",
            str(4038670000 + draw.randrange(10_000)),
            str(4038670000 + draw.randrange(10_000)),
            identifier or draw.choice(ACCOUNTS)[3],
            value or str(draw.randint(1, 600)),
            "False",
            "False",
            name,
            type_name,
            date,
        )
    )


def sample_rows(month: datetime) -> bytes:
    """The body of a request that posts rows."""
    draw = random.Random(7)  # noqa: S311
    return json.dumps({"data": [_row(draw, month) for _ in range(200)]}).encode()


def sample_events(month: datetime) -> bytes:
    """The body of a request that posts JSON records; one is sent twice, one has no date, one names no known class."""
    draw = random.Random(11)  # noqa: S311
    events = [_event(draw, month, number) for number in range(300)]
    events += [events[0], {**events[1], "UdrUsageIdentifier": "evt-900001", "Date": None}]
    events += [{**events[2], "UdrUsageIdentifier": "evt-900002", "UsageClassName": "GraphQL Requests"}]
    return json.dumps({"data": events}).encode()


def _event(draw: random.Random, month: datetime, number: int) -> dict[str, Any]:
    moment = month + timedelta(seconds=draw.randrange(24 * 3600))
    return {
        "Date": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "UdrIdentifierTypeName": "Unknown",
        "OriginatingIdentifier": draw.choice(ACCOUNTS)[4],
        "TerminatingIdentifier": "svc-api-gateway",
        "UdrUsageIdentifier": f"evt-{month:%Y%m%d}-{number:08d}",
        "Value": draw.randint(1, 2_500),
        "UsageClassName": "API Requests",
        "UsageClassTypeName": "Requests",
        "Inbound": False,
        "PrimaryDataRow": 1,
        "Extensions": {"region": draw.choice(("us-east-1", "eu-west-1")), "operation": "generateReport"},
    }
