"""What a quote document says beside its plans, as plain values: who uses, in which periods, and what is taxed."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from rating.core.plans.spec import Plan
from rating.core.settling import TableTax

PaidBy = Literal["usage", "originating", "terminating", "direction"]


@dataclass(frozen=True)
class UsageClass:
    """A usage class. paid_by: the identifier that pays; tax_category: what its tax codes are found by."""

    name: str
    paid_by: PaidBy = "usage"
    tax_category: str = ""


@dataclass(frozen=True)
class Owned:
    """An identifier, and when its service owned it (None: as long as the service lasts)."""

    identifier: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True)
class Service:
    """A service. plan, package: names of plans. starts_at: None for the start of its account's first period."""

    name: str
    plan: str | None = None
    package: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    identifiers: tuple[Owned, ...] = ()


@dataclass(frozen=True)
class Account:
    """An account. plan, parent: names. currency: None for that of its plan. tax_exempt: from all tax."""

    number: str
    currency: str | None = None
    time_zone: str = "UTC"
    plan: str | None = None
    parent: str | None = None
    jurisdiction: str = ""
    tax_exempt: bool = False
    exempt_categories: tuple[str, ...] = ()
    services: tuple[Service, ...] = ()


@dataclass(frozen=True)
class Period:
    """A billing period of every account, half-open."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Opening:
    """What of a bucket was used, or carried over, before the first usage. service: None where the bucket is shared.

    Of a bucket whose grants are given one by one it is a grant: of `size`, from `starts_at` (None: the first period's)
    to before `ends_at` (None: no end).
    """

    bucket: str
    plan: str | None = None  # None: the only plan with such a bucket
    account: str | None = None
    service: str | None = None
    starts_at: datetime | None = None  # of the grant; None: the first period's
    ends_at: datetime | None = None
    size: Decimal = Decimal(0)
    used: Decimal = Decimal(0)
    carried: Decimal = Decimal(0)


@dataclass(frozen=True)
class Setting:
    """A whole quote document. accounts: empty for whoever the usage names, all of them on the only plan."""

    plans: tuple[Plan, ...]
    classes: tuple[UsageClass, ...] = ()
    accounts: tuple[Account, ...] = ()
    periods: tuple[Period, ...] = ()
    grants: tuple[Opening, ...] = ()
    tax: TableTax | None = None
