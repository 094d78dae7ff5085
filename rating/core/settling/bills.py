"""What a period is settled from and into: who is billed for which time, and the lines that come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

Kind = Literal["usage", "adjustment", "true_up", "maximum", "overage"]

# The order in which a statement shows its lines.
KINDS: tuple[Kind, ...] = ("usage", "adjustment", "true_up", "maximum", "overage")

ZERO = Decimal(0)


@dataclass(frozen=True)
class Subscription:
    """A plan that a service (None: the account itself) had from `since` to before `until` (None: no end).

    jurisdiction: of the service; None for that of its account.
    """

    plan_id: int
    service_id: int | None
    since: datetime
    until: datetime | None = None
    jurisdiction: str | None = None


@dataclass(frozen=True)
class TaxedUsage:
    """Where and as what a line of usage was taxed. jurisdiction, tax_category: "" where it was not."""

    usage_class_id: int | None
    rate_id: int | None
    jurisdiction: str
    tax_category: str


@dataclass(frozen=True)
class Adjusted:
    """How a closed statement was taxed that charges of a later period correct.

    at: the last moment of its period, as of which codes and exemptions are judged. exempt_categories: tax categories
    that the account paid no tax of then. usage: its lines of usage, and the lines that have corrected them since.
    """

    at: datetime
    is_tax_exempt: bool = False
    exempt_categories: frozenset[str] = frozenset()
    usage: tuple[TaxedUsage, ...] = ()


@dataclass(frozen=True)
class Bill:
    """A billing period of an account, from `starts_at` to before `ends_at`, and what its statement must know.

    jurisdiction: where the account is taxed; "" where nowhere. exempt_categories: tax categories it pays no tax of.
    adjusted: the closed statements that charges of this period adjust, by their number.
    """

    period_id: int
    currency: str
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    subscriptions: tuple[Subscription, ...] = ()
    jurisdiction: str = ""
    is_tax_exempt: bool = False
    exempt_categories: frozenset[str] = frozenset()
    adjusted: Mapping[str, Adjusted] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """A line of a statement. Amounts are in the account's currency and come after credit; tax is kept beside them.

    rate_key: the place of the rate in the price list; of versions that price alike, the first. tier: 1 the first; None
    where the line is not of one tier; what it prices lies above `tier_above`, up to `tier_up_to` (None: no end).
    record_count, quantity (as measured) and cost stand in the tier in which a record starts.
    amount: exact; line_amount: rounded half away from zero to the currency's minor unit.
    adjusts: the statement that the line corrects. commitment, service_id: what a commitment's line is of.
    tax_category: None where a commitment is about usage of several categories: `mixed_categories`, sorted, "" for none.
    """

    kind: Kind
    plan_id: int | None = None
    usage_class_id: int | None = None
    rate_key: int | None = None
    group: str = ""
    rate: str = ""
    tier: int | None = None
    tier_above: Decimal | None = None
    tier_up_to: Decimal | None = None
    commitment: str = ""
    service_id: int | None = None
    adjusts: str | None = None
    jurisdiction: str = ""
    tax_category: str | None = ""
    mixed_categories: tuple[str, ...] = ()
    record_count: int = 0
    quantity: Decimal = ZERO
    rated_quantity: Decimal = ZERO
    free_quantity: Decimal = ZERO
    bucket_quantity: Decimal = ZERO
    credit: Decimal = ZERO
    cost: Decimal = ZERO
    amount: Decimal = ZERO
    line_amount: Decimal = ZERO

    @property
    def order(self) -> tuple[object, ...]:
        """Where the line stands in its statement, whatever order its charges came in."""
        return (
            KINDS.index(self.kind),
            -1 if self.usage_class_id is None else self.usage_class_id,
            -1 if self.plan_id is None else self.plan_id,
            -1 if self.rate_key is None else self.rate_key,
            self.tier or 0,
            self.commitment,
            -1 if self.service_id is None else self.service_id,
            self.adjusts or "",
            self.jurisdiction,
            self.tax_category or "",
        )


Categories = Mapping[int, str]  # tax category by usage class
