"""Plans without fault, drawn over everything that a plan document can say."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from mediation.core.expressions import parse
from rating.core.plans import spec
from rating.core.plans.fields import CONDITION_FIELDS
from rating.core.plans.rates import MODELS

CLASSES = ("Voice", "Data", "Text", "Calls to SK")
FIELDS = ("Extensions.region", "Extensions.a.b", "Currency", "Inbound", "Value")
CONDITIONS = ("Extensions.region = 'EU'", "Value > 10 AND NOT inbound", "Extensions.\"a.b\" LIKE 'x%'")
PERIODS, ZONES = ("peak", "night"), ("CZ", "SK")


def decimals(whole: int, places: int, *, least: int = 0) -> st.SearchStrategy[Decimal]:
    top = 10 ** (whole + places) - 1
    return st.one_of(
        st.integers(max(least, 1), 10_000).map(Decimal),
        st.integers(least, top).map(lambda units: Decimal(units).scaleb(-places)),
        st.just(Decimal(least)),
    )


QUANTITIES, POSITIVE = decimals(15, 6), decimals(15, 6, least=1)
PRICES, AMOUNTS, FACTORS = decimals(6, 11), decimals(16, 11), decimals(15, 11, least=1)
SOME_AMOUNT = decimals(16, 11, least=1)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
EXPRESSIONS = st.sampled_from(CONDITIONS).map(lambda text: parse(text, CONDITION_FIELDS))
OWNERS = st.sampled_from(["service", "account", "family"])
NAMES = st.text("abc žß/~\"'“0", min_size=1, max_size=8).map(str.strip).filter(bool)


def perhaps(values: st.SearchStrategy[Any], other: Any = None) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(other), values)


def lists(values: st.SearchStrategy[Any], most: int = 3, least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, min_size=least, max_size=most, unique=True).map(tuple)


@st.composite
def bounds(draw: st.DrawFn, *, is_bounded: bool) -> list[Decimal | None]:
    rising = sorted(draw(st.lists(POSITIVE, min_size=1, max_size=3, unique=True)))
    return [*rising] if is_bounded else [*rising, None]


@st.composite
def tiers(draw: st.DrawFn, model: str) -> dict[str, Any]:
    is_bounded = draw(st.booleans())
    made: dict[str, Any] = {
        "graduated": {
            "price": PRICES,
            "flat": AMOUNTS,
            "per": POSITIVE,
            "increment": perhaps(POSITIVE),
            "maximum": perhaps(AMOUNTS),
        },
        "volume": {"price": PRICES, "flat": AMOUNTS, "per": POSITIVE, "increment": perhaps(POSITIVE)},
        "stairstep": {"flat": SOME_AMOUNT},
        "graduated_percentage": {"percent": PRICES, "flat": AMOUNTS},
    }[model]
    each = st.fixed_dictionaries(made)
    made_tiers = tuple(spec.Tier(bound, **draw(each)) for bound in draw(bounds(is_bounded=is_bounded)))
    return {
        "tiers": made_tiers,
        "bounded": is_bounded,
        "flat_at_zero": bool(made_tiers[0].flat) and draw(st.booleans()),
    }


@st.composite
def of_model(draw: st.DrawFn, model: str) -> dict[str, Any]:
    """The fields of one model."""
    if model in ("graduated", "volume", "stairstep", "graduated_percentage"):
        said: dict[str, Any] = draw(tiers(model))
        if model in ("volume", "stairstep"):
            said["tier_by"] = draw(perhaps(st.sampled_from(CLASSES)))
        return said | ({"of": draw(st.sampled_from(["amount", "quantity"]))} if model == "graduated_percentage" else {})
    of = st.sampled_from(["amount", "quantity", "cost"])
    return draw(
        st.fixed_dictionaries(
            {
                "per_unit": {"price": PRICES, "per": POSITIVE},
                "fixed": {"price": PRICES},
                "package": {
                    "price": PRICES,
                    "size": POSITIVE,
                    "rounding": st.sampled_from(["up", "down", "nearest"]),
                },
                "percentage": {
                    "of": of,
                    "percent": PRICES,
                    "fixed": AMOUNTS,
                    "free_records": st.integers(0, 10**9),
                    "free_amount": AMOUNTS,
                },
                "basis_points": {"of": of, "points": PRICES},
                "pass_through": {"of": of, "fixed": AMOUNTS, "price": PRICES, "per": POSITIVE},
                "matrix": {
                    "fields": st.just(("Zone", "Extensions.region")),
                    "prices": lists(
                        st.builds(spec.MatrixPrice, st.tuples(st.sampled_from(ZONES), NAMES), PRICES), least=1
                    ).filter(lambda prices: len({one.values for one in prices}) == len(prices)),
                    "default_price": perhaps(PRICES),
                    "per": POSITIVE,
                },
            }[model]
        )
    )


AGGREGATIONS = st.one_of(
    st.just(spec.Aggregation()),
    st.builds(spec.Aggregation, st.sampled_from(["sum", "max"]), st.sampled_from(["Value", "Amount", "Extensions.n"])),
    st.just(spec.Aggregation("count")),
    st.builds(spec.Aggregation, st.just("unique_count"), st.sampled_from(FIELDS)),
    st.builds(
        spec.Aggregation,
        st.sampled_from(["sum", "max"]),
        within=st.sampled_from(["hour", "day"]),
        then=st.sampled_from(["sum", "max", "latest"]),
    ),
)
TRANSFORMS = st.one_of(
    st.builds(spec.Transform, FACTORS, FACTORS),
    st.builds(spec.Transform, FACTORS, FACTORS, st.sampled_from(["up", "down", "nearest"]), st.integers(0, 6)),
)


@st.composite
def rates(draw: st.DrawFn, name: str, *, is_cost: bool = False) -> spec.Rate:
    model = draw(st.sampled_from(["per_unit", "fixed", "pass_through"] if is_cost else MODELS))
    said = draw(of_model(model))
    if is_cost and "of" in said:
        said["of"] = "amount"
    restarts = "period" if said.get("tier_by") else draw(st.sampled_from(["period", "import"]))
    usage_class = draw(st.sampled_from(CLASSES))
    return spec.Rate(
        name=usage_class if name == "" else name,
        usage_class=usage_class,
        model=model,
        **said,
        condition=draw(perhaps(EXPRESSIONS)),
        time_period=draw(perhaps(st.sampled_from(PERIODS))),
        zone=draw(perhaps(st.sampled_from(ZONES))),
        aggregation=spec.Aggregation() if is_cost else draw(AGGREGATIONS),
        counting=spec.Counting(draw(OWNERS), restarts, draw(lists(st.sampled_from(FIELDS)))),
        transform=draw(TRANSFORMS),
        minimum=draw(QUANTITIES),
        increment=draw(perhaps(POSITIVE)),
        free_units=Decimal(0) if is_cost else draw(QUANTITIES),
        connect_fee=draw(AMOUNTS),
        factor=draw(PRICES),
        maximum_charge=draw(perhaps(AMOUNTS)),
    )


@st.composite
def groups(draw: st.DrawFn, name: str, *, is_cost: bool = False) -> spec.Group:
    count = draw(st.integers(1, 3))
    starts_at = draw(perhaps(MOMENTS))
    return spec.Group(
        name=name,
        # The first goes by the name of its class.
        rates=tuple(draw(rates(f"rate {place}" if place else "", is_cost=is_cost)) for place in range(count)),
        condition=draw(perhaps(EXPRESSIONS)),
        time_period=draw(perhaps(st.sampled_from(PERIODS))),
        starts_at=starts_at,
        ends_at=None if starts_at is None else draw(perhaps(st.just(datetime(2091, 1, 1, tzinfo=UTC)))),
        at_boundary=draw(st.sampled_from(["start", "split"])),
        zone_by=draw(st.sampled_from(["OriginatingIdentifier", "TerminatingIdentifier", "UdrUsageIdentifier"])),
        amount_precision=draw(st.integers(0, 11)),
    )


@st.composite
def buckets(draw: st.DrawFn, name: str, served: list[str], before: str | None) -> spec.Bucket:
    """served: the names of the rates that it may serve. before: a bucket of units that it may wait for."""
    is_money = draw(st.booleans())
    recurs = draw(st.sampled_from(["period", "day", "week", "month", "year", "once"]))
    shared = draw(OWNERS)
    is_open = bounds(is_bounded=False).flatmap(
        lambda ends: st.tuples(*(st.builds(spec.BucketTier, st.just(end), PRICES, AMOUNTS) for end in ends))
    )
    rollovers = st.builds(spec.Rollover, perhaps(POSITIVE), st.integers(1, 1000))
    refills = st.builds(spec.Refill, POSITIVE, AMOUNTS, perhaps(st.integers(1, 1000)))
    return spec.Bucket(
        name=name,
        of="money" if is_money else "units",
        size=draw(POSITIVE),
        rates=draw(lists(st.sampled_from(served), least=1)),
        condition=draw(perhaps(EXPRESSIONS)),
        shared=shared,
        grows=shared != "service" and draw(st.booleans()),
        recurs=recurs,
        starts_at=draw(perhaps(MOMENTS)),
        priority=draw(st.integers(0, 10**6)),
        after=None if is_money else draw(perhaps(st.just(before))),
        tiers=() if is_money else draw(perhaps(is_open, ())),
        rollover=None if recurs == "once" else draw(perhaps(rollovers)),
        refill=draw(perhaps(refills)),
        prorate=recurs == "period" and draw(st.booleans()),
    )


@st.composite
def commitments(draw: st.DrawFn, name: str) -> spec.Commitment:
    kind = draw(st.sampled_from(["minimum", "maximum", "commitment"]))
    own = {"overage_factor": draw(PRICES), "true_up": draw(st.booleans())} if kind == "commitment" else {}
    within = draw(perhaps(st.sampled_from(["hour", "day"])))
    per = draw(st.sampled_from(["account", "service"]))
    prorate = within is None and draw(st.booleans())
    return spec.Commitment(name, kind, draw(SOME_AMOUNT), **own, per=per, within=within, prorate=prorate)


@st.composite
def time_periods(draw: st.DrawFn, name: str) -> spec.TimePeriod:
    days = st.frozensets(st.integers(0, 6), min_size=1)
    times = st.times().map(lambda one: one.replace(microsecond=0))
    bands = st.builds(spec.Band, days, times, times).filter(lambda band: band.starts != band.ends)
    on_holidays = draw(st.sampled_from(["ignore", "include", "exclude"]))
    return spec.TimePeriod(
        name=name,
        bands=draw(lists(st.one_of(bands, st.builds(spec.Band, days)), least=1)),
        calendar=None if on_holidays == "ignore" else "holidays",
        on_holidays=on_holidays,
    )


@st.composite
def plans(draw: st.DrawFn) -> spec.Plan:
    """A plan of a few groups with everything that they name, every class among what it prices."""
    basis = spec.Group("Basis", tuple(spec.Rate(name, name, "fixed", price=Decimal(1)) for name in CLASSES))
    cost = spec.Group("Cost of all", basis.rates)
    drawn = [draw(groups(f"G{place}")) for place in range(draw(st.integers(0, 2)))]
    costs = (draw(groups("Costs", is_cost=True)), cost)
    own = [f"Basis / {name}" for name in CLASSES]
    chain = [draw(buckets("B0", own, None))]
    chain.append(draw(buckets("B1", own, "B0" if chain[0].of == "units" else None)))
    days = st.frozensets(st.dates(date(2000, 1, 1), date(2100, 1, 1)), min_size=1, max_size=3)
    return spec.Plan(
        name=draw(NAMES),
        currency=draw(st.sampled_from(["EUR", "CZK"])),
        groups=(*drawn, basis),
        description=draw(st.text("abc\n“”", max_size=10)),
        cost_groups=costs,
        time_periods=tuple(draw(time_periods(name)) for name in PERIODS),
        calendars=(spec.Calendar("holidays", draw(days)),),
        zones=(
            spec.Zone("CZ", ("420", "+420")),
            spec.Zone("SK", draw(lists(st.sampled_from(["421", "4219"]), least=1))),
        ),
        buckets=tuple(chain[: draw(st.integers(0, 2))]),
        commitments=tuple(draw(commitments(f"C{place}")) for place in range(draw(st.integers(0, 2)))),
    )
