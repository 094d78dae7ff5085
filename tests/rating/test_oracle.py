"""The columnar core against the oracle: whatever the tariff and the usage, the same charges and the same refusals."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rating.core.charging import CHOOSING, MATCHING, PRICING, balances_after, charges_of, positions_after, walk
from rating.core.frames import (
    BALANCES,
    BUCKETS,
    CLASSES,
    GROUPS,
    PAYERS,
    PERIODS,
    PLANS,
    POSITIONS,
    RATES,
    TIERS,
    UDRS,
    Tariff,
)

from .oracle import Oracle

START = datetime(2026, 3, 1, tzinfo=UTC)
CLASS_IDS = [1, 2, 3]
PLAN_IDS = [1, 2]
ZONES = ["UTC", "America/New_York", "Pacific/Apia"]
MONTHS = [date(2026, month, 1) for month in (2, 3, 4, 5)]

moments = st.integers(0, 60 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))
quantities = st.one_of(
    st.sampled_from(["0", "0.000001", "60", "999999999999999.999999", "500000000000000"]).map(Decimal),
    st.decimals(0, 300, places=6),
    st.integers(0, 200).map(Decimal),
)
prices = st.one_of(
    st.sampled_from(["0", "0.00000000001", "999999.99999999999", "-1.5"]).map(Decimal), st.decimals(0, 10, places=11)
)


@st.composite
def validities(draw):
    starts_at = draw(st.sampled_from([datetime(2020, 1, 1, tzinfo=UTC), START + timedelta(days=20)]))
    return {"starts_at": starts_at, "ends_at": draw(st.sampled_from([None, None, START + timedelta(days=40)]))}


@st.composite
def rates(draw):
    model = draw(st.sampled_from(["per_unit", "graduated", "graduated", "fixed", "pass_through"]))
    bounds = draw(st.lists(st.decimals(1, 400, places=2), unique=True, max_size=3).map(sorted))
    ends = [*bounds, None] if draw(st.booleans()) else bounds
    return {
        "model": model,
        "price": draw(prices) if model in ("per_unit", "fixed") else None,
        "minimum": draw(st.sampled_from(["0", "0", "60", "0.5"]).map(Decimal)),
        "increment": draw(st.sampled_from([None, "6", "0.000007", "1"])),
        "tiers": [(up_to, draw(prices)) for up_to in ends] if model == "graduated" else [],
    }


@st.composite
def plans(draw):
    groups = draw(
        st.lists(
            st.builds(
                lambda validity, currency, precision, by_class: {
                    **validity,
                    "currency": currency,
                    "precision": precision,
                    "rates": by_class,
                },
                validities(),
                st.sampled_from(["EUR", "EUR", "EUR", "USD"]),
                st.sampled_from([11, 11, 2, 0, 6]),
                st.dictionaries(st.sampled_from(CLASS_IDS), rates(), min_size=1),
            ),
            min_size=1,
            max_size=3,
        )
    )
    bucket = {
        "id": draw(st.integers(1, 3)),
        "size": draw(st.sampled_from([Decimal(50), Decimal("100.5"), Decimal(1000)])),
    }
    return {"groups": groups, "buckets": dict.fromkeys(draw(st.sets(st.sampled_from(CLASS_IDS))), bucket)}


@st.composite
def worlds(draw):
    """An oracle and the same tariff for the core."""
    books = {plan_id: draw(plans()) for plan_id in PLAN_IDS}
    for number, rate in enumerate(
        (rate for plan in books.values() for group in plan["groups"] for rate in group["rates"].values()), 1
    ):
        rate["id"] = number
        rate["increment"] = rate["increment"] and Decimal(rate["increment"])
    for plan_id, plan in books.items():
        for bucket in plan["buckets"].values():
            bucket["id"] = plan_id
    owners = [
        {
            **draw(validities()),
            "identifier": f"id{n}",
            "service_id": n % 3 + 1,
            "service_validity": {"starts_at": datetime(2020, 1, 1, tzinfo=UTC), "ends_at": None},
            "final_billed": draw(st.integers(0, 9)) == 0,
            "currency": "EUR",
            "zone": ZONES[n % 3],
            "plans": draw(st.lists(st.sampled_from([None, None, *PLAN_IDS]), min_size=3, max_size=3)),
        }
        for n in range(4)
    ]
    classes = {
        class_id: draw(st.sampled_from(["usage", "usage", "originating", "terminating"])) for class_id in CLASS_IDS
    }
    default = draw(st.sampled_from([None, 1, 2]))
    return Oracle(classes, owners, books, default)


@st.composite
def usage(draw):
    identifiers = st.sampled_from(["id0", "id1", "id2", "id3", "id0", "id1", "id2", "id3", "nobody", None])
    return {
        "date": draw(moments),
        "usage_class_id": draw(st.sampled_from(CLASS_IDS)),
        "udr_usage_identifier": draw(identifiers),
        "originating_identifier": draw(identifiers),
        "terminating_identifier": draw(identifiers),
        "value": draw(quantities),
        "amount": draw(st.sampled_from([None, Decimal("1.005"), Decimal("-0.00000000001"), Decimal(10) ** 20])),
        "currency": draw(st.sampled_from(["EUR", "EUR", "USD", None])),
    }


def tariff_of(oracle):
    groups, prices, tiers, buckets = [], [], [], []
    for plan_id, plan in oracle.plans.items():
        for position, group in enumerate(plan["groups"]):
            group_id = plan_id * 10 + position
            groups.append(
                (
                    plan_id,
                    group_id,
                    position,
                    group["currency"],
                    group["starts_at"],
                    group["ends_at"],
                    group["precision"],
                )
            )
            for class_id, rate in group["rates"].items():
                prices.append(
                    (group_id, rate["id"], class_id, rate["model"], rate["price"], rate["minimum"], rate["increment"])
                )
                tiers += [(rate["id"], up_to, price) for up_to, price in rate["tiers"]]
        buckets += [(plan_id, class_id, bucket["id"], bucket["size"]) for class_id, bucket in plan["buckets"].items()]
    payers = [
        (
            owner["identifier"], n, owner["starts_at"], owner["ends_at"], owner["service_id"],
            owner["service_validity"]["starts_at"], None, owner["plans"][0], owner["service_id"], "A",
            owner["currency"], owner["zone"], owner["final_billed"], owner["plans"][1], owner["plans"][2],
        )
        for n, owner in enumerate(oracle.owners)
    ]  # fmt: skip
    periods = [(account, month, account * 100 + month.month) for account in (1, 2, 3) for month in MONTHS]
    rows = {
        "classes": (CLASSES, [(class_id, f"class {class_id}", by) for class_id, by in oracle.classes.items()]),
        "payers": (PAYERS, payers),
        "plans": (PLANS, [(plan_id, f"plan {plan_id}", plan_id == oracle.default_plan) for plan_id in oracle.plans]),
        "groups": (GROUPS, groups),
        "rates": (RATES, prices),
        "tiers": (TIERS, tiers),
        "buckets": (BUCKETS, buckets),
        "periods": (PERIODS, periods),
        "balances": (BALANCES, []),
        "positions": (POSITIONS, []),
    }
    return Tariff(**{name: pl.DataFrame(each, schema=schema, orient="row") for name, (schema, each) in rows.items()})


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(), st.lists(usage(), min_size=1, max_size=30))
def test_the_core_agrees_with_the_oracle(oracle, udrs):
    tariff = tariff_of(oracle)
    rows = [{"udr_id": n, "feed_id": 1, "import_id": 1, **udr} for n, udr in enumerate(udrs)]
    rated = walk(CHOOSING + MATCHING + PRICING, pl.DataFrame(rows, schema=UDRS), tariff)
    charges = {row["udr_id"]: row for row in charges_of(rated.rated, START).iter_rows(named=True)}
    refused = dict(rated.refused.select("udr_id", "cause").iter_rows())
    assert len(charges) + len(refused) == len(udrs)
    for row in sorted(rows, key=lambda row: (row["date"], row["udr_id"])):
        expected = oracle.rate(row)
        if isinstance(expected, str):
            assert refused.get(row["udr_id"]) == expected
        else:
            charge = charges[row["udr_id"]]
            month = expected.pop("month")
            assert {name: charge[name] for name in expected} == expected
            assert charge["period_id"] == charge["account_id"] * 100 + month.month
    frame = charges_of(rated.rated, START)
    assert sorted(positions_after(frame)["quantity"]) == sorted(oracle.climbed.values())
    assert sorted(balances_after(frame, tariff)["used"]) == sorted(used for used in oracle.drawn.values() if used)
