"""What a rate plan says, as plain values: the price list that a plan document is read into.

Quantities are in the unit of their usage class, amounts and prices in the plan's currency. Bounds (`up_to`) are
inclusive, on the real number line. Rules of pricing stand in `rating/README.md`; a document that reads into a `Plan`
without faults can be priced without guesswork.
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Literal

from mediation.core.expressions import Expression

Days = frozenset[int]  # 0 Monday to 6 Sunday

Model = Literal[
    "per_unit",
    "fixed",
    "graduated",
    "volume",
    "stairstep",
    "package",
    "percentage",
    "graduated_percentage",
    "basis_points",
    "pass_through",
    "matrix",
]
Function = Literal["each", "sum", "count", "max", "latest", "unique_count", "weighted_sum"]
Owner = Literal["service", "account", "family"]
Recurs = Literal["period", "day", "week", "month", "year", "once", "granted"]

# Models that price by what was counted before in the same counter.
CLIMBING: frozenset[str] = frozenset({"graduated", "graduated_percentage"})
# Models whose earlier charges are put right by later usage: a charge is what the total costs now less what it cost.
RETROACTIVE: frozenset[str] = frozenset({"volume", "stairstep", "package"})
# Functions whose result never falls as records of zero or more come in.
RISING: frozenset[str] = frozenset({"each", "sum", "count", "max", "unique_count"})


@dataclass(frozen=True)
class Transform:
    """Quantity x multiply_by / divide_by, rounded to `decimals`; the first thing done to a quantity."""

    multiply_by: Decimal = Decimal(1)
    divide_by: Decimal = Decimal(1)
    rounding: Literal["none", "up", "down", "nearest"] = "none"  # none: to 6 decimals, half away from zero
    decimals: int = 0


@dataclass(frozen=True)
class Aggregation:
    """What is counted of records before it is priced. each: every record by itself.

    of: the UDR field that is counted: Value, Amount, or an extension (`Extensions.name`); unique_count takes any field.
    by: UDR fields; a counter of its own for each of their values. carries_over: the counter goes on where the last
    period's ended (levels of latest and weighted_sum, members of unique_count).
    within, then: records are first joined by `function` in each window, the windows' results by `then` over the counter
    (the highest day's sum: function sum, within day, then max); None: the function goes over the whole counter.
    """

    function: Function = "each"
    of: str = "Value"
    within: Literal["hour", "day"] | None = None
    then: Literal["sum", "max", "latest"] | None = None
    carries_over: bool = False


@dataclass(frozen=True)
class Counting:
    """Which usage shares a counter: whose it is, when it starts again, and by which fields of the UDR.

    restarts: period, day, hour (in the account's zone), import, record (each record is priced by itself), never.
    """

    per: Owner = "service"
    restarts: Literal["period", "day", "hour", "import", "record", "never"] = "period"
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tier:
    """A stretch of a rate, from the bound of the tier before (exclusive) to its own (inclusive; None: no end).

    price: of `per` units. increment: the stretch within the tier is rounded up to multiples of it (None: not at all).
    percent: of the base, for graduated_percentage. flat: charged once, when the tier is reached.
    """

    up_to: Decimal | None
    price: Decimal = Decimal(0)
    per: Decimal = Decimal(1)
    increment: Decimal | None = None
    percent: Decimal = Decimal(0)
    flat: Decimal = Decimal(0)
    maximum: Decimal | None = None  # the most that the tier's stretch costs, its flat fee left aside


@dataclass(frozen=True)
class MatrixPrice:
    values: tuple[str, ...]
    price: Decimal


@dataclass(frozen=True)
class Rate:
    """How usage of one class is counted, rounded and priced. The order of the fields is the order of the work."""

    name: str
    usage_class: str
    model: Model
    # Which records it prices, beside the class: all that are given must hold.
    condition: Expression | None = None
    time_period: str | None = None
    zone: str | None = None
    # How much counts.
    aggregation: Aggregation = Aggregation()
    counting: Counting = Counting()
    transform: Transform = Transform()
    minimum: Decimal = Decimal(0)
    increment: Decimal | None = None
    free_units: Decimal = Decimal(0)  # of each counter, taken off the rounded quantity
    # What it costs.
    price: Decimal | None = None  # per_unit: of `per` units; fixed: of a record; package: of `size` units
    per: Decimal = Decimal(1)
    size: Decimal | None = None  # package
    rounding: Literal["up", "down", "nearest"] = "up"  # package: how a started package counts
    tiers: tuple[Tier, ...] = ()
    bounded: bool = False  # the last tier ends on purpose: usage above it is an exception
    flat_at_zero: bool = False  # the first tier's flat fee is charged for records of zero units too
    tier_by: str | None = None  # volume, stairstep: the usage class whose quantity chooses the tier
    of: Literal["amount", "quantity", "cost"] = "amount"  # what percentages and pass-through are taken of
    percent: Decimal = Decimal(0)  # percentage
    points: Decimal = Decimal(0)  # basis_points: hundredths of a percent
    fixed: Decimal = Decimal(0)  # percentage, pass_through: added for each record
    free_records: int = 0  # percentage: so many records of a counter cost nothing
    free_amount: Decimal = Decimal(0)  # percentage: so much of a counter's base costs nothing
    fields: tuple[str, ...] = ()  # matrix: one or two UDR fields, `Zone` among them
    prices: tuple[MatrixPrice, ...] = ()
    default_price: Decimal | None = None  # matrix: for values that are not listed
    connect_fee: Decimal = Decimal(0)  # for each record of more than zero units, its first part only
    factor: Decimal = Decimal(1)  # pass_through: of the base; others: of the whole amount (0.9: ten percent off)
    minimum_charge: Decimal | None = None  # of each record that costs anything at all
    maximum_charge: Decimal | None = None


@dataclass(frozen=True)
class Group:
    """Rates that are searched together; groups are searched top-down, the first with a rate that fits wins.

    at_boundary: where a record runs over the end of its time period, or into one that is tried before it, it is rated
    at its start, or split there (Value in seconds). zone_by: the identifier whose prefix finds the zone.
    """

    name: str
    rates: tuple[Rate, ...]
    condition: Expression | None = None
    time_period: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    at_boundary: Literal["start", "split"] = "start"
    zone_by: Literal["OriginatingIdentifier", "TerminatingIdentifier", "UdrUsageIdentifier"] = "TerminatingIdentifier"
    amount_precision: int = 11


@dataclass(frozen=True)
class Band:
    """Days of the week from a time to before another, in the account's zone; `ends` 00:00 is the end of the day.

    A band whose end is not after its start runs over midnight and belongs to the day on which it starts.
    """

    days: Days
    starts: time = time(0)
    ends: time = time(0)


@dataclass(frozen=True)
class TimePeriod:
    """When a rate applies. holidays: a calendar whose days count as `on_holidays` says.

    on_holidays: as any day (ignore), always (include: the whole day belongs to it), never (exclude).
    """

    name: str
    bands: tuple[Band, ...] = ()
    calendar: str | None = None
    on_holidays: Literal["ignore", "include", "exclude"] = "ignore"


@dataclass(frozen=True)
class Calendar:
    name: str
    days: frozenset[date]


@dataclass(frozen=True)
class Zone:
    """A place by the prefixes of its identifiers; the longest prefix of all zones wins."""

    name: str
    prefixes: tuple[str, ...]


@dataclass(frozen=True)
class BucketTier:
    """A stretch of a bucket: what is drawn in it costs `price` a unit, and `flat` once, when it is reached."""

    up_to: Decimal | None
    price: Decimal = Decimal(0)
    flat: Decimal = Decimal(0)


@dataclass(frozen=True)
class Rollover:
    """What is left at a grant's end goes into the next: at most `cap`, for `grants` grants, then it is lost."""

    cap: Decimal | None = None
    grants: int = 1


@dataclass(frozen=True)
class Refill:
    """When a bucket has run empty it is filled by `size` for `price`, at most `times` a grant (None: always)."""

    size: Decimal
    price: Decimal = Decimal(0)
    times: int | None = None


@dataclass(frozen=True)
class Follows:
    """The size is `factor` x the quantity that the same owner used of another class in the same grant."""

    usage_class: str
    factor: Decimal


@dataclass(frozen=True)
class Bucket:
    """An allowance of units or prepaid money. Drawn by priority, then what ends first, then what started first.

    usage_classes, rates ("group / rate"): what draws on it; both empty: everything. shared: whose it is; an account's
    serves all its services on the plan, a family's (the topmost account's) those of all accounts below it too.
    grows: the size counts once for each member (services on the plan). recurs: a grant for each billing period, or day,
    week, month, year counted from `starts_at`, or once, from `starts_at` to `ends_at`; granted: the plan gives nothing,
    owners are given grants one by one, each with its own size, start and end.
    """

    name: str
    of: Literal["units", "money"] = "units"
    size: Decimal = Decimal(0)
    usage_classes: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    condition: Expression | None = None
    shared: Owner = "service"
    grows: bool = False
    recurs: Recurs = "period"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    priority: int = 100
    after: str | None = None  # a bucket that must be empty (or not serve the usage) before this one is drawn
    tiers: tuple[BucketTier, ...] = ()
    rollover: Rollover | None = None
    refill: Refill | None = None
    follows: Follows | None = None
    prorate: bool = False  # of a period that is not whole, only its part is given


@dataclass(frozen=True)
class Commitment:
    """What a customer promised to spend, or will not spend more than; reckoned when a period is drafted or closed.

    minimum: what is lacking to `amount` is billed by a true-up line. maximum: what is over is taken off.
    commitment: what is over costs `overage_factor` times; what is lacking is billed if `true_up`.
    per: one amount for the account's usage under the plan, or for each service. usage_classes, rates: what counts
    (both empty: all of the plan). within: a commitment for each hour or day of its own, None for the period.
    prorate: by the days of the period on which service and plan were valid.
    """

    name: str
    kind: Literal["minimum", "maximum", "commitment"]
    amount: Decimal
    overage_factor: Decimal = Decimal(1)
    true_up: bool = True
    per: Literal["account", "service"] = "account"
    usage_classes: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    within: Literal["hour", "day"] | None = None
    prorate: bool = False


@dataclass(frozen=True)
class Plan:
    """A whole price list, as of one version. cost_groups: what usage costs us; shown beside the price, never billed."""

    name: str
    currency: str
    groups: tuple[Group, ...]
    description: str = ""
    cost_groups: tuple[Group, ...] = ()
    time_periods: tuple[TimePeriod, ...] = ()
    calendars: tuple[Calendar, ...] = ()
    zones: tuple[Zone, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    commitments: tuple[Commitment, ...] = ()
