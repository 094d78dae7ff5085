"""Every charge is told in steps whose numbers add up."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.costs import EXACT, Counter, Draw, NoTier, advance, cost_of, count, round_away, steps
from rating.core.plans.spec import Transform

from .counters import d, rate, record

LITTLE = st.decimals(min_value=0, max_value=1000, places=3, allow_nan=False)
MAYBE = st.none() | LITTLE
MODELS = [
    "per_unit", "fixed", "graduated", "volume", "stairstep", "package",
    "percentage", "graduated_percentage", "basis_points", "pass_through", "matrix",
]  # fmt: skip
TIERS = [
    "100 3 percent=2 flat=1 | 300.5 0.25 percent=1 per=7 maximum=20 | - 0.1 percent=0.5 flat=2 increment=7",
    "- 0.333 percent=3.3 per=3 flat=4",
]


@st.composite
def rates(draw):
    return rate(
        draw(st.sampled_from(MODELS)),
        function=draw(st.sampled_from(["each", "each", "sum", "count", "max", "latest"])),
        of_share=draw(st.sampled_from(["amount", "quantity", "cost"])),
        tiers=draw(st.sampled_from(TIERS)),
        transform=draw(st.sampled_from([Transform(), Transform(divide_by=Decimal(7), rounding="up", decimals=1)])),
        minimum=draw(LITTLE),
        increment=draw(st.none() | st.sampled_from([Decimal(6), d("0.5")])),
        free_units=draw(st.just(Decimal(0)) | LITTLE),
        price=draw(LITTLE),
        per=draw(st.sampled_from([Decimal(1), Decimal(3)])),
        size=Decimal(7),
        flat_at_zero=draw(st.booleans()),
        percent=draw(LITTLE),
        points=draw(LITTLE),
        fixed=draw(LITTLE),
        free_records=draw(st.integers(0, 2)),
        free_amount=draw(st.just(Decimal(0)) | LITTLE),
        connect_fee=draw(st.just(Decimal(0)) | LITTLE),
        factor=draw(st.sampled_from([Decimal(1), d("0.9"), Decimal(0)])),
        minimum_charge=draw(MAYBE),
        maximum_charge=draw(MAYBE),
    )


def records():
    made = st.builds(
        lambda counted, amount, cost, part: record(counted, amount=amount, cost=cost, part=part),
        LITTLE, LITTLE, LITTLE, st.integers(0, 1),
    )  # fmt: skip
    return st.lists(made, min_size=1, max_size=4)


@settings(max_examples=150)
@given(rates(), records(), st.integers(0, 11), st.integers(0, 3), LITTLE)
def test_the_steps_of_a_charge_add_up_to_it(priced_by, usage, places, drawing, credit):
    counter = Counter()
    for one in usage:
        counted = count(priced_by, counter, one)
        drawn = max(counted.remaining, Decimal(0)) * drawing / 3
        draws = [Draw("Minutes", drawn.quantize(d("0.000001")), d("0.125"))] if drawing else []
        billable = counted.remaining - sum(draw.quantity for draw in draws)
        cost = cost_of(priced_by, counter, counted, one, billable=billable, matrix_price=Decimal(2))
        told = steps(priced_by, counter, one, draws=draws, matrix_price=Decimal(2), places=places, credit=credit)
        with localcontext(EXACT):
            charged = round_away(cost.after + sum(draw.cost for draw in draws), places) - round_away(
                cost.before, places
            )
            assert sum(step.amount for step in told if step.amount is not None) == charged - credit
        assert [step.quantity for step in told if step.name == "billable"] == [billable]
        advance(counter, one, counted, cost.used)


@settings(max_examples=50)
@given(rates(), records())
def test_the_steps_before_rounding_add_up_to_the_exact_amount(priced_by, usage):
    counter = Counter()
    for one in usage:
        counted = count(priced_by, counter, one)
        cost = cost_of(priced_by, counter, counted, one, billable=counted.remaining, matrix_price=Decimal(2))
        told = steps(priced_by, counter, one, matrix_price=Decimal(2))
        with localcontext(EXACT):
            exact = sum(step.amount for step in told if step.amount is not None and step.name != "rounding")
            assert abs(exact - cost.amount) < Decimal(1).scaleb(-40)
        advance(counter, one, counted, cost.used)


def told(priced_by, *earlier, last, **context):
    """The steps of the last record, as lines."""
    counter = Counter()
    for at, each in enumerate(earlier):
        one = each if hasattr(each, "counted") else record(each, minute=at)
        counted = count(priced_by, counter, one)
        advance(counter, one, counted, cost_of(priced_by, counter, counted, one, billable=counted.remaining).used)
    one = last if hasattr(last, "counted") else record(last, minute=len(earlier))
    return [f"{step.name}: {step.text}" for step in steps(priced_by, counter, one, **context)]


def test_a_call_is_told_from_its_seconds_to_its_price():
    calls = rate("graduated", tiers="10 0.10 | - 0.055", minimum="60", increment="6", free_units="6")
    assert told(calls, last="61", draws=[Draw("Minutes", Decimal(40), d("0.5"))], places=2) == [
        "measured: Measured: 61 (Value).",
        "rounded: Rounded up to 66 (at least 60, then steps of 6).",
        "free: 6 of the counter's 6 free units.",
        "drawn: 40 drawn from “Minutes”.",
        "billable: 20 to be priced.",
        "tier: Tier 1 (up to 10): 10 x 0.1 = 1.",
        "tier: Tier 2 (above 10): 10 x 0.055 = 0.55.",
        "bucket: What was drawn from “Minutes” costs 0.5.",
        "charge: Charged: 2.05.",
    ]


@pytest.mark.parametrize(
    ("priced_by", "earlier", "last", "expected"),
    [
        (
            rate("per_unit", price="1", per="3", transform=Transform(divide_by=Decimal(60), rounding="up")),
            [],
            "150",
            [
                "measured: Measured: 150 (Value).",
                "transformed: 150 / 60, rounded up to 0 decimals: 3.",
                "billable: 3 to be priced.",
                "price: 3 x 1 / 3 = 1.",
                "charge: Charged: 1.",
            ],
        ),
        (
            rate("volume", tiers="15 10 | - 5"),
            ["12", "2"],
            "2",
            [
                "measured: Measured: 2 (Value).",
                "billable: 2 to be priced.",
                "tier: All in tier 2 (above 15): 16 x 5 = 80.",
                "before: Less what the 14 before cost in tier 1 (up to 15): 14 x 10 = 140.",
                "charge: Charged: -60.",
            ],
        ),
        (
            rate("package", price="15", size="10", function="sum"),
            ["17"],
            "5",
            [
                "measured: This record: 5 (Value).",
                "counted: The sum of Value, with this record: 22.",
                "risen: 22, less 17 before this record: 5.",
                "billable: 5 to be priced.",
                "price: 22 are 3 packages of 10: x 15 = 45.",
                "before: Less 2 packages charged before: 30.",
                "charge: Charged: 15.",
            ],
        ),
        (
            rate("percentage", percent="10", fixed="1", free_amount="100", factor="0.9"),
            [record("1", amount="60")],
            record("1", amount="60"),
            [
                "measured: Measured: 1 (Value).",
                "billable: 1 to be priced.",
                "share: 10 % of the amount 20 (60, less 40 free) = 2.",
                "fee: Fixed part of each record: 1.",
                "factor: 3 x 0.9 = 2.7.",
                "charge: Charged: 2.7.",
            ],
        ),
        (
            rate("percentage", percent="10", fixed="1", free_records=1, minimum_charge="5"),
            [],
            record("1", amount="60"),
            [
                "measured: Measured: 1 (Value).",
                "billable: 1 to be priced.",
                "free: Free of charge: record 1 of 1 free records.",
                "charge: Charged: 0.",
            ],
        ),
        (
            rate("graduated", tiers="10 1 flat=2 maximum=3 | - 0 flat=5", connect_fee="0.5", maximum_charge="6"),
            ["2"],
            "9",
            [
                "measured: Measured: 9 (Value).",
                "billable: 9 to be priced.",
                "tier: Tier 1 (up to 10): 8, its most is 3: 1.",
                "tier: Tier 2 (above 10): 1 x 0 = 0.",
                "fee: Tier 2 (above 10) is reached: 5 once.",
                "connection: Connection fee: 0.5.",
                "maximum: The most that a record costs is 6, not 6.5.",
                "charge: Charged: 6.",
            ],
        ),
        (
            rate("basis_points", points="25", minimum_charge="60"),
            [],
            record("1", amount="20000"),
            [
                "measured: Measured: 1 (Value).",
                "billable: 1 to be priced.",
                "share: 25 basis points of the amount 20000 = 50.",
                "minimum: The least that a record costs is 60, not 50.",
                "charge: Charged: 60.",
            ],
        ),
        (
            rate("stairstep", tiers="1000 flat=100 | - flat=500"),
            ["1000"],
            "200",
            [
                "measured: Measured: 200 (Value).",
                "billable: 200 to be priced.",
                "tier: All in tier 2 (above 1000): 500 for all.",
                "before: Less what the 1000 before cost in tier 1 (up to 1000): 100 for all.",
                "charge: Charged: 400.",
            ],
        ),
    ],
)
def test_each_model_is_told_in_its_own_words(priced_by, earlier, last, expected):
    assert told(priced_by, *earlier, last=last) == expected


def test_what_is_free_and_who_chose_the_tier_is_told():
    both = rate("percentage", percent="10", free_records=3, free_amount="100")
    assert "free: Free of charge: record 2 of 3 free records, and 90 in all of less than 100." in told(
        both, record("1", amount="60"), last=record("1", amount="30")
    )
    by_seats = rate("volume", tiers="100 2 | - 0.5 flat=50", tier_by="Seats")
    assert "tier: All in tier 2 (above 100), chosen by 300 of “Seats”: 10 x 0.5 = 5, and 50 once." in told(
        by_seats, last="10", tier_total=Decimal(300)
    )


def test_rounding_and_credit_are_steps_of_their_own():
    thirds = rate("per_unit", price="1", per="3")
    assert told(thirds, last="1", places=2, credit=d("0.3"))[-4:] == [
        "price: 1 x 1 / 3 = 0.33333333333333333333….",
        "rounding: 0.33333333333333333333… rounded to 2 decimals: 0.33.",
        "credit: 0.3 paid from buckets of money.",
        "charge: Charged: 0.03.",
    ]
    summed = rate("per_unit", price="1", per="3", function="sum")
    assert told(summed, "1", last="1", places=2)[-2:] == [
        "rounding: The counter's price rounded to 2 decimals, less what was charged of it: 0.34.",
        "charge: Charged: 0.34.",
    ]


def test_what_has_no_price_has_no_steps():
    with pytest.raises(NoTier):
        told(rate("graduated", tiers="10 1"), last="11")
