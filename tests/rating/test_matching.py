"""From usage to the rate that prices it, by drawn tables: no database."""

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rating.core.frames import MATCHED, REFUSED
from rating.core.matching import KNOWN, choose_payers, describe_matched

from .matching_book import book, match, plan, rate, rates_of, refusals, usage, version

VOICE = plan(rate("Calls"))


# Whose identifier pays


@pytest.mark.parametrize(
    ("paid_by", "inbound", "reverse_rating", "identifier", "told"),
    [
        ("usage", "false", "false", "u", "usage"),
        ("originating", "true", "true", "o", "originating"),
        ("terminating", "false", "false", "t", "terminating"),
        ("direction", "false", "false", "o", "originating"),
        ("direction", "true", "false", "t", "terminating"),
        ("direction", "false", "true", "t", "terminating"),
        ("direction", "true", "true", "o", "originating"),
        ("direction", "-", "-", "o", "originating"),
    ],
)
def test_the_class_and_the_direction_choose_the_identifier_that_pays(
    paid_by, inbound, reverse_rating, identifier, told
):
    rows = usage(
        "udr_id originating_identifier terminating_identifier udr_usage_identifier inbound reverse_rating\n"
        f"1 o t u {inbound} {reverse_rating}"
    )
    of = book(VOICE, classes=f"usage_class_id usage_class paid_by\n1 Voice {paid_by}")
    (chosen,) = choose_payers(rows, of.classes).rated.iter_rows(named=True)
    assert (chosen["identifier"], chosen["paid_by"]) == (identifier, told)


def test_usage_of_a_class_that_is_gone_is_refused():
    assert refusals(usage("udr_id usage_class_id\n1 9"), book(VOICE)) == [
        ("system_error", "Usage class 9 does not exist any more. Restore it, then rerate.")
    ]


# Who pays, and by which plan


def test_the_first_fault_on_the_way_names_the_exception():
    rows = usage("udr_id udr_usage_identifier\n1 -\n2 444\n3 666\n4 777\n5 888\n6 999")
    of = book(
        VOICE,
        payers="""
            identifier service_id account_plan_id is_final_billed ends_at              account_currency
            666        2          -               true            -                    EUR
            777        3          -               false           -                    EUR
            888        4          1               true            2026-01-01T00:00:00Z EUR
            999        5          1               false           -                    USD
        """,
    )
    told = refusals(rows, of)
    assert [cause for cause, _ in told] == [
        "no_identifier_match",
        "no_identifier_match",
        "final_bill_issued",
        "no_rate_plan",
        "identifier_not_valid_at_date",
        "no_rate_group",
    ]
    assert "has no usage identifier" in told[0][1]
    assert "No service has the identifier “444”" in told[1][1]
    assert told[5][1].startswith("Plan “Gold” is in EUR, but account A-1 is billed in USD.")


@pytest.mark.parametrize(
    ("service", "package", "account", "parent", "plan_id"),
    [
        ("1", "2", "3", "4", 1),
        ("-", "2", "3", "4", 2),
        ("-", "-", "3", "4", 3),
        ("-", "-", "-", "4", 4),
        ("-", "-", "-", "-", 5),
    ],
)
def test_the_plan_nearest_to_the_service_wins(service, package, account, parent, plan_id):
    plans = [plan(rate("Calls"), name=name) for name in ("Own", "Package", "Account", "Parent", "Default")]
    of = book(
        *plans,
        payers="service_id service_plan_id package_plan_id account_plan_id parent_plan_id\n"
        f"1 {service} {package} {account} {parent}",
        plans="plan_id plan currency is_default\n1 Own EUR false\n2 Package EUR false\n3 Account EUR false\n"
        "4 Parent EUR false\n5 Default EUR true\n6 Dollars USD true",
    )
    assert match(usage("udr_id\n1"), of)[0]["plan_id"].to_list() == [plan_id]


def test_the_default_plan_is_the_one_of_the_accounts_currency():
    of = book(
        plan(rate("Calls")),
        plan(rate("Calls"), name="Dollars", currency="USD"),
        payers="identifier account_plan_id account_currency\n1 - EUR\n2 - USD\n3 - CZK",
        plans="plan_id plan currency is_default\n1 Gold EUR true\n2 Dollars USD true",
    )
    matched, refused = match(usage("udr_id udr_usage_identifier\n1 1\n2 2\n3 3"), of)
    assert matched["plan_id"].to_list() == [1, 2]
    assert "no plan is the default one in CZK" in refused["message"][0]


def test_an_identifier_belongs_to_who_has_it_at_the_moment_of_use():
    of = book(
        VOICE,
        payers="""
            service_id starts_at            ends_at              service_starts_at    service_ends_at
            1          2026-01-01T00:00:00Z 2026-05-01T00:00:00Z 2020-01-01T00:00:00Z -
            2          2026-05-01T00:00:00Z -                    2026-05-02T00:00:00Z 2026-06-01T00:00:00Z
        """,
    )
    rows = usage(
        "udr_id date\n1 2026-04-30T23:59:59Z\n2 2026-05-01T00:00:00Z\n3 2026-05-02T00:00:00Z\n4 2026-06-01T00:00:00Z"
    )
    matched, refused = match(rows, of)
    assert matched.select("udr_id", "service_id").rows() == [(1, 1), (3, 2)]
    assert refused["udr_id"].to_list() == [2, 4]
    assert matched["since"].to_list() == [datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC)]


def test_a_month_is_that_of_the_accounts_zone():
    of = book(VOICE, payers="identifier time_zone\n1 Europe/Vienna\n2 UTC")
    rows = usage("udr_id udr_usage_identifier date\n1 1 2026-04-30T22:00:00Z\n2 2 2026-04-30T22:00:00Z")
    assert [month.month for month in match(rows, of)[0]["month"]] == [5, 4]


# Versions


def test_the_version_that_was_active_at_the_date_prices_usage():
    of = book(
        version(1, 1, plan(rate("Old")), "2026-01-01T00:00Z", "2026-03-01T00:00Z"),
        version(2, 1, plan(rate("New")), "2026-03-01T00:00Z", "2026-05-01T00:00Z"),
        version(3, 1, plan(rate("Newest")), "2026-05-01T00:00Z"),
        version(4, 2, plan(rate("Other"), name="Silver")),
        plans="plan_id plan currency\n1 Gold EUR\n2 Silver EUR",
        payers="identifier account_plan_id\n1 1\n2 2",
    )
    dates = ["2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z"]
    rows = usage("udr_id date udr_usage_identifier\n" + "\n".join(f"{n} {date} 1" for n, date in enumerate(dates)))
    assert rates_of(rows, of) == ["Old", "New", "Newest"]
    assert rates_of(usage("udr_id udr_usage_identifier\n1 2"), of) == ["Other"]
    assert refusals(usage("udr_id date udr_usage_identifier\n1 2025-12-31T23:59:59Z 1"), of) == [
        (
            "no_rate_group",
            "No version of plan “Gold” was active at 2025-12-31 23:59:59 UTC. Activate a version from then on, then "
            "rerate.",
        )
    ]


# Groups and rates


def test_groups_are_searched_top_down_and_one_without_the_class_is_passed_over():
    of = book(
        plan(
            groups=[
                {"name": "First", "rates": [rate("First data", "Data")]},
                {"name": "Second", "rates": [rate("Second data", "Data"), rate("Second voice")]},
                {"name": "Third", "rates": [rate("Third voice")]},
            ]
        )
    )
    assert rates_of(usage("udr_id usage_class_id\n1 1\n2 2"), of) == ["Second voice", "First data"]


def test_a_group_has_a_validity_of_its_own():
    may = {"starts_at": "2026-05-01T00:00:00Z", "ends_at": "2026-06-01T00:00:00Z"}
    of = book(
        plan(
            groups=[{"name": "May", "rates": [rate("In May")], **may}, {"name": "Else", "rates": [rate("Other times")]}]
        )
    )
    rows = usage("udr_id date\n1 2026-04-30T23:59:59Z\n2 2026-05-01T00:00:00Z\n3 2026-06-01T00:00:00Z")
    assert rates_of(rows, of) == ["Other times", "In May", "Other times"]


def test_a_condition_that_is_false_or_unknown_lets_the_next_rate_have_the_usage():
    of = book(
        plan(
            groups=[
                {"name": "Long", "condition": "Value > 60", "rates": [rate("Long")]},
                {
                    "name": "All",
                    "rates": [
                        rate("North", condition="Extensions.region = 'north' AND UsageClassName = 'Voice'"),
                        rate("Elsewhere", condition="Extensions.region <> 'north'"),
                        rate("Nowhere"),
                    ],
                },
            ]
        )
    )
    rows = usage('udr_id value extensions\n1 61 -\n2 60 {"region":"north"}\n3 60 {"region":"x"}\n4 60 {}\n5 60 -')
    assert rates_of(rows, of) == ["Long", "North", "Elsewhere", "Nowhere", "Nowhere"]


def test_time_of_use_chooses_by_the_clock_of_the_account_at_the_start():
    peak = {
        "name": "Peak",
        "bands": [{"days": ["mon", "tue", "wed", "thu", "fri"], "starts": "08:00", "ends": "20:00"}],
    }
    of = book(
        plan(rate("Peak", time_period="Peak"), rate("Off-peak"), time_periods=[peak]),
        payers="identifier time_zone\n1 Europe/Vienna\n2 UTC",
    )
    moments = ["2026-05-08T06:00:00Z", "2026-05-08T05:59:59Z", "2026-05-08T18:00:00Z", "2026-05-09T10:00:00Z"]
    rows = "udr_id date udr_usage_identifier\n" + "\n".join(f"{n} {moment} 1" for n, moment in enumerate(moments))
    assert rates_of(usage(rows + "\n9 2026-05-08T06:00:00Z 2"), of) == [
        "Peak",
        "Off-peak",
        "Off-peak",
        "Off-peak",
        "Off-peak",
    ]


# Zones

ZONES = [
    {"name": "Austria", "prefixes": ["43"]},
    {"name": "Vienna", "prefixes": ["431"]},
    {"name": "World", "prefixes": ["1", "4", "44"]},
]


def calls(*numbers):
    return usage(
        "udr_id originating_identifier terminating_identifier\n"
        + "\n".join(f"{n} 4399 {number}" for n, number in enumerate(numbers))
    )


def test_the_longest_prefix_of_all_zones_finds_the_zone():
    of = book(plan(*(rate(zone["name"], zone=zone["name"]) for zone in ZONES), zones=ZONES))
    rows = calls("4315", "431", "4325", "43", "4", "4455", "19")
    expected = ["Vienna", "Vienna", "Austria", "Austria", "World", "World", "World"]
    assert rates_of(rows, of) == expected
    assert match(rows, of)[0]["zone"].to_list() == expected


def test_a_rate_without_a_zone_stands_where_it_stands_among_those_with_one():
    of = book(
        plan(
            rate("Vienna", zone="Vienna"),
            rate("Long", condition="Value > 60"),
            rate("Austria", zone="Austria"),
            rate("Rest"),
            zones=ZONES,
        )
    )
    rows = calls("431", "43", "9", "43").with_columns(value=pl.Series(["61", "61", "1", "1"]).cast(pl.Decimal(21, 6)))
    assert rates_of(rows, of) == ["Vienna", "Long", "Rest", "Austria"]


def test_each_group_names_the_identifier_that_finds_its_zone():
    of = book(
        plan(
            zones=ZONES,
            groups=[
                {"name": "Called", "rates": [rate("To Vienna", zone="Vienna")]},
                {
                    "name": "Calling",
                    "zone_by": "OriginatingIdentifier",
                    "rates": [rate("From Austria", zone="Austria")],
                },
            ],
        )
    )
    matched, _ = match(calls("4312", "99"), of)
    assert [of.prices.rates[key].rate.name for key in matched["rate_key"]] == ["To Vienna", "From Austria"]
    assert matched["zone"].to_list() == ["Vienna", "Austria"]


# What is missing


def test_a_refusal_names_what_is_missing_first():
    no_zone = plan(rate("Vienna", zone="Vienna"), rate("Data", "Data", condition="Value > 5"), zones=ZONES)
    late = plan(groups=[{"name": "Late", "starts_at": "2027-01-01T00:00:00Z", "rates": [rate("Calls")]}], name="Late")
    of = book(no_zone, late, payers="identifier account_plan_id\n1 1\n2 2")
    rows = usage(
        "udr_id usage_class_id terminating_identifier udr_usage_identifier\n"
        "1 1 99 1\n2 1 43 1\n3 2 - 1\n4 3 - 1\n5 1 43 2\n6 1 - 1"
    )
    told = refusals(rows, of)
    assert [cause for cause, _ in told] == ["no_rate", "no_rate", "no_rate", "no_rate", "no_rate_group", "no_rate"]
    assert "no zone has a prefix of “99” (TerminatingIdentifier)" in told[0][1]
    assert "has rates for class “Voice”" in told[1][1]
    assert "has rates for class “Data”" in told[2][1]
    assert "none has a rate for class “Text”" in told[3][1]
    assert "Plan “Late” has no rate group whose validity" in told[4][1]
    assert "no zone has a prefix of “” (TerminatingIdentifier)" in told[5][1]


def test_many_refusals_of_every_kind_keep_their_rows():
    of = book(plan(rate("Vienna", zone="Vienna"), zones=ZONES))
    rows = usage(
        "udr_id usage_class_id terminating_identifier\n" + "\n".join(f"{n} {n % 3 + 1} 4{n % 7}" for n in range(90))
    )
    matched, refused = match(rows, of)
    assert matched.height + refused.height == 90
    assert refused.schema == REFUSED
    assert refused["message"].null_count() == 0


# What comes out


def test_usage_is_described_in_the_columns_that_pricing_reads():
    matched, refused = match(usage("udr_id\n1\n2"), book(VOICE))
    assert matched.schema == MATCHED
    assert refused.schema == REFUSED


def test_no_usage_and_no_configuration_are_no_trouble():
    everything = plan(
        rate("Vienna", zone="Vienna", aggregation={"function": "sum", "of": "Extensions.gb"}),
        rate("Night", time_period="Night", condition="Extensions.x = 'a'"),
        zones=ZONES,
        time_periods=[{"name": "Night", "bands": [{"days": ["mon"]}]}],
        cost_groups=[{"name": "Costs", "rates": [rate("Cost", zone="Vienna")]}],
        buckets=[{"name": "Some", "size": "1", "condition": "Value > 5"}],
    )
    matched, refused = match(usage("udr_id\n1").clear(), book(everything))
    assert (matched.schema, matched.height) == (MATCHED, 0)
    assert (refused.schema, refused.height) == (REFUSED, 0)
    bare = book(plans="plan_id plan currency\n1 Gold EUR")
    assert "No version of plan “Gold”" in refusals(usage("udr_id\n1"), bare)[0][1]
    nobody = replace(bare, payers=bare.payers.clear(), plans=bare.plans.clear())
    assert refusals(usage("udr_id\n1"), nobody)[0][0] == "no_identifier_match"


def test_usage_whose_rate_is_known_is_described_without_choosing_anew():
    of = book(
        plan(
            {
                "name": "Cells",
                "usage_class": "Voice",
                "model": "matrix",
                "fields": ["Zone"],
                "prices": [{"values": ["Vienna"], "price": "2"}],
                "counting": {"by": ["Extensions.cell"]},
            },
            zones=ZONES,
        )
    )
    rows = calls("431", "4312").with_columns(extensions=pl.Series(['{"cell":"a"}', None]))
    matched, _ = match(rows, of)
    known = rows.join(matched.select("udr_id", *(set(KNOWN) - set(rows.columns))), on="udr_id").select(*KNOWN)
    again = describe_matched(known, of)
    assert again.refused.is_empty()
    assert_frame_equal(again.rated, matched)


def test_the_order_of_usage_changes_nothing():
    of = book(
        plan(rate("Vienna", zone="Vienna"), rate("Long", condition="Value > 60"), rate("Rest"), zones=ZONES),
        payers="identifier service_id\n1 1\n2 2",
    )
    rows = usage(
        "udr_id terminating_identifier udr_usage_identifier value\n"
        + "\n".join(f"{n} 43{n % 3} {n % 2 + 1} {n * 7}" for n in range(40))
    )
    assert_frame_equal(match(rows, of)[0], match(rows.reverse(), of)[0])
