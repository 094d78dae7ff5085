"""Random plans and usage: `quote` and an oracle in plain Decimal agree to the last digit; and what always holds."""

import json
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rating.core.quoting import answer, quote, read_rows, read_setting
from tests.rating.plan_oracle import PlanOracle
from tests.rating.plans_drawn import (
    PARENTS,
    PRICES,
    QUANTITIES,
    SERVICES,
    SIZES,
    ZONES,
    maybe,
    model_keys,
    plans,
    present,
    scaled,
    usages,
    usual_plans,
)

QUICK = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
NUMBERS = ("rated_quantity", "free_quantity", "bucket_quantity", "credit", "amount")


def document_of(plan, zone):
    accounts = {}
    for service, account in SERVICES.items():
        accounts.setdefault(account, []).append({"name": service})
    return {
        "plan": plan,
        "accounts": [
            {"number": number, "time_zone": zone, "services": services}
            | ({"parent": PARENTS[number]} if number in PARENTS else {})
            for number, services in accounts.items()
        ],
    }


def rows_of(usage):
    return [{**record, "date": record["date"].isoformat(), "account": SERVICES[record["service"]]} for record in usage]


def quoted(plan, usage, zone):
    return answer(quote(read_setting(document_of(plan, zone)), read_rows(rows_of(usage))))


def outcomes(told):
    """By record: what was charged, in numbers, or why not."""
    found = {each["id"]: each["cause"] for each in told["exceptions"]}
    for charge in told["charges"]:
        draws = [
            {**draw, **{name: Decimal(draw[name]) for name in ("quantity", "amount", "left")}}
            for draw in charge["draws"]
        ]
        for draw in draws:
            del draw["starts_at"]
        found[charge["id"]] = {name: Decimal(charge[name]) for name in NUMBERS} | {"draws": draws}
    return found


def of_oracle(plan, usage, zone):
    first = min(record["date"] for record in usage).astimezone(ZoneInfo(zone))
    since = first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return PlanOracle(plan, SERVICES, PARENTS, zone, since).price(usage)


def assert_they_agree(plan, usage, zone):
    ours, theirs = outcomes(quoted(plan, usage, zone)), of_oracle(plan, usage, zone)
    for record in usage:
        assert ours[record["id"]] == theirs[record["id"]], json.dumps([plan, record], default=str)


@st.composite
def cases(draw, least, most):
    plan = draw(st.one_of(plans(), usual_plans()))
    classes = sorted({rate["usage_class"] for rate in plan["groups"][0]["rates"]})
    return plan, draw(usages(classes, least, most)), draw(st.sampled_from(ZONES))


@settings(QUICK, max_examples=40)
@given(cases(1, 12))
def test_a_quote_agrees_with_the_oracle_to_the_last_digit(case):
    assert_they_agree(*case)


@QUICK
@given(cases(2, 12), st.randoms(use_true_random=False))
def test_the_order_of_usage_changes_nothing(case, rnd):
    plan, usage, zone = case
    other = usage.copy()
    rnd.shuffle(other)

    def priced(records):
        """What records with their content come to; equal ones may have changed places."""
        renumbered = [{**record, "id": str(place + 1)} for place, record in enumerate(records)]
        told = outcomes(quoted(plan, renumbered, zone))
        contents = [{**record, "id": None} for record in renumbered]
        return sorted(str((content, told[each["id"]])) for content, each in zip(contents, renumbered, strict=True))

    assert priced(usage) == priced(other)


@QUICK
@given(cases(2, 12))
def test_what_was_drawn_and_what_is_left_is_what_was_granted(case):
    told = quoted(*case)
    for grant in told["buckets"]:
        assert Decimal(grant["used"]) + Decimal(grant["left"]) == Decimal(grant["granted"])
        assert Decimal(grant["left"]) >= 0
    signs = {"draw": 1, "give_back": -1, "refill": 0}
    drawn = sum(
        signs[draw["kind"]] * Decimal(draw["quantity"]) for charge in told["charges"] for draw in charge["draws"]
    )
    assert drawn == sum(Decimal(grant["used"]) for grant in told["buckets"])


@QUICK
@given(cases(2, 12))
def test_charges_add_up_to_statements_and_every_record_has_one_outcome(case):
    plan, usage, zone = case
    told = quoted(plan, usage, zone)
    amounts = sum(Decimal(charge["amount"]) for charge in told["charges"])
    assert amounts == sum(Decimal(statement["amount"]) for statement in told["statements"])
    assert amounts == Decimal(told["totals"]["amount"])
    seen = [each["id"] for each in (*told["charges"], *told["exceptions"])]
    assert sorted(seen, key=int) == [record["id"] for record in usage]


@st.composite
def rising_rates(draw):
    """Rates whose price does not fall with the quantity, each record by itself."""
    model = draw(st.sampled_from(["per_unit", "graduated", "package"]))
    rate = {"usage_class": "c1", **draw(model_keys(model)), "counting": {"restarts": "record"}}
    rate.pop("bounded", None)
    if rate.get("tiers"):
        rate["tiers"][-1]["up_to"] = None
    more = present(minimum=maybe(QUANTITIES), increment=maybe(SIZES), free_units=maybe(QUANTITIES), connect_fee=PRICES)
    return rate | draw(more)


@QUICK
@given(rising_rates(), st.lists(QUANTITIES, min_size=2, max_size=30))
def test_a_price_that_rises_with_quantity_never_falls(rate, quantities):
    plan = {"name": "P", "currency": "EUR", "groups": [{"name": "all", "rates": [rate]}]}
    usage = [{"value": quantity} for quantity in sorted(quantities, key=Decimal)]
    told = answer(quote(read_setting(plan), read_rows(usage)))
    amounts = [Decimal(charge["amount"]) for charge in told["charges"]]
    assert amounts == sorted(amounts)
    assert len(amounts) == len(usage)


def promised(commitment, charges):
    """What a commitment adds to charges of an account in whole cents, by service or by window where it says so."""
    counted = [
        c for c in charges if not commitment.get("usage_classes") or c["usage_class"] in commitment["usage_classes"]
    ]
    cut = {None: 0, "day": 10, "hour": 13}[commitment.get("within")]
    portions = {}
    for charge in counted:
        key = (charge["service"] if commitment.get("per") == "service" else None, charge["date"][:cut])
        portions[key] = portions.get(key, Decimal(0)) + Decimal(charge["amount"])
    if not commitment.get("within"):  # who used nothing still owes
        services = {"s1", "s2"} if commitment.get("per") == "service" else {None}
        portions = {(service, ""): Decimal(0) for service in services} | portions
    amount, added = Decimal(commitment["amount"]), Decimal(0)
    for used in portions.values():
        if commitment["kind"] == "minimum" or (commitment["kind"] == "commitment" and commitment.get("true_up", True)):
            added += max(Decimal(0), amount - used)
        if commitment["kind"] == "maximum":
            added -= max(Decimal(0), used - amount)
        if commitment["kind"] == "commitment":
            added += max(Decimal(0), used - amount) * (Decimal(commitment.get("overage_factor", 1)) - 1)
    return added


@st.composite
def commitments(draw):
    kind = draw(st.sampled_from(["minimum", "maximum", "commitment"]))
    made = {"name": "promise", "kind": kind, "amount": draw(scaled(200, 2).filter(lambda text: Decimal(text) > 0))}
    if kind == "commitment":
        made |= draw(present(overage_factor=maybe(st.sampled_from(["2", "3"])), true_up=maybe(st.booleans())))
    shares = present(
        per=maybe(st.just("service")),
        within=maybe(st.sampled_from(["day", "hour"])),
        usage_classes=maybe(st.just(["c1"])),
    )
    return made | draw(shares)


@QUICK
@given(commitments(), usages(["c1", "c2"], 1, 12))
def test_a_promise_adds_what_is_lacking_and_takes_or_charges_what_is_over(commitment, usage):
    usage = [{**each, "date": each["date"].replace(month=2, day=1 + each["date"].day % 3)} for each in usage]
    rates = [{"usage_class": name, "model": "per_unit", "price": "1.25"} for name in ("c1", "c2")]
    groups = [{"name": "all", "rates": rates, "amount_precision": 2}]
    plan = {"name": "P", "currency": "EUR", "groups": groups, "commitments": [commitment]}
    rows = [
        {**each, "date": each["date"].isoformat(), "account": "A", "service": "s1" if each["service"] == "s1" else "s2"}
        for each in usage
    ]
    accounts = [{"number": "A", "services": [{"name": "s1"}, {"name": "s2"}]}]
    told = answer(quote(read_setting({"plan": plan, "accounts": accounts}), read_rows(rows)))
    charged = sum(Decimal(charge["amount"]) for charge in told["charges"])
    assert Decimal(told["totals"]["amount"]) == charged + promised(commitment, told["charges"])


@pytest.mark.slow
def test_a_hundred_thousand_random_pairs_of_plan_and_usage_agree_with_the_oracle():
    """Pairs of a plan and a record: 1,600 plans with 60 to 120 records each, drawn anew in every run."""
    pairs = 0

    @settings(max_examples=1_600, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(cases(60, 120))
    def agree(case):
        nonlocal pairs
        pairs += len(case[1])
        assert_they_agree(*case)

    agree()
    assert pairs >= 100_000
