"""Every charge that pricing makes is told again from the usage before it, in steps that add up to it."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rating.core.costs import Draw
from rating.core.explaining import Charged, met_by, picture_of, recall, reckon, taken_back
from rating.core.frames import COUNTERS, GRANTS, MATCHED, MEMBERS, SEEN, TOTALS, Standing, empty
from rating.core.ledger.totals import by_owner
from rating.core.ledger.usage import with_periods
from rating.core.quoting import quote, read_rows, read_setting

from .counters import rate, record
from .plans_drawn import plans, usages
from .test_plan_oracle import document_of, rows_of

QUICK = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
NOTHING = Standing(empty(COUNTERS), empty(SEEN), empty(GRANTS), empty(TOTALS), empty(MEMBERS))


def charges_of(plan, usage, zone="UTC"):
    """Of each charge of a quote: itself, what it met, and its reckoning."""
    answer = quote(read_setting(document_of(plan, zone)), read_rows(rows_of(usage)))
    prices, rated = answer.world.prices, answer.priced.rated
    matched = rated.select(*MATCHED)
    moved = {
        (row[0], row[1]): row[2:] for row in rated.select("udr_id", "part", "bucket_quantity", "credit").iter_rows()
    }
    draws = defaultdict(list)
    for row in answer.priced.draws.iter_rows(named=True):
        draws[row["udr_id"], row["part"]].append(row)
    totals = totals_of(answer)
    of = {each.bucket_id: each.bucket for each in prices.buckets}
    for row in rated.iter_rows(named=True):
        entry = (row["udr_id"], row["part"])
        met = met_by(entry, matched, prices=prices, periods=answer.periods, opening=NOTHING, moved=moved)
        charged = Charged(
            quantity=row["value"],
            rated_quantity=row["rated_quantity"],
            free_quantity=row["free_quantity"],
            bucket_quantity=row["bucket_quantity"],
            tier_position=row["tier_position"],
            credit=row["credit"],
            amount=row["charged_amount"],
            draws=drawn_by(draws[entry], of),
            topped_up=sum((each["amount"] for each in draws[entry] if of[each["bucket_id"]].of == "money"), Decimal(0)),
        )
        extra = {"matrix_price": met.matrix_price, "tier_total": totals(met)}
        yield (
            row,
            met,
            charged,
            reckon(met.work.rate, met.counter, met.record, charged, places=met.work.places, **extra),
            extra,
        )


def drawn_by(rows, of):
    found = {}
    for row in rows:
        if of[row["bucket_id"]].of == "units":
            quantity, cost = found.get(row["bucket_id"], (Decimal(0), Decimal(0)))
            drawn = row["quantity"] if row["kind"] == "draw" else Decimal(0)
            found[row["bucket_id"]] = (quantity + drawn, cost + row["amount"])
    return tuple(Draw(of[bucket_id].name, *each) for bucket_id, each in found.items())


def totals_of(answer):
    """What the class that chooses a rate's tier came to, by what met the rate."""
    class_ids = answer.world.prices.class_ids
    usage = with_periods(answer.priced.rated.select(*MATCHED), answer.periods)
    found = by_owner(answer.priced.standing.totals, empty(TOTALS), usage, class_ids.values())

    def total(met):
        rate = met.work.rate
        if rate.tier_by is None:
            return None
        return found.get((rate.counting.per, met.period_id, met.owner, class_ids[rate.tier_by]), Decimal(0))

    return total


@st.composite
def cases(draw):
    plan = draw(plans())
    classes = sorted({rate["usage_class"] for rate in plan["groups"][0]["rates"]})
    return plan, draw(usages(classes, 1, 10))


@QUICK
@given(cases())
def test_the_steps_of_every_charge_add_up_to_it_whatever_the_model(case):
    for row, met, charged, reckoning, extra in charges_of(*case):
        assert reckoning is not None, row
        assert reckoning.amount == row["charged_amount"]
        assert taken_back(reckoning).amount == row["charged_amount"].copy_negate()
        recalled = recall(met.work.rate, met.record, charged, **extra)
        assert recalled.amount == row["charged_amount"]
        assert not recalled.is_whole


def bars(drawn):
    return [(bar.place, bar.x, bar.width) for bar in drawn]


def test_tiers_are_pictured_side_by_side_with_the_stretch_of_the_record():
    shown = picture_of(rate("graduated", tiers="100 3 | 1000 2 | - 1"), Decimal(50), Decimal(1500))
    assert bars(shown.tiers) == [(1, "0.00", "333.33"), (2, "333.33", "333.33"), (3, "666.67", "333.33")]
    assert bars(shown.before) == [(1, "0.00", "166.67")]
    assert bars(shown.record) == [(1, "166.67", "166.67"), (2, "333.33", "333.33"), (3, "666.67", "233.33")]


def test_of_many_tiers_those_around_the_record_are_pictured():
    tiers = " | ".join(f"{place}0 1" for place in range(1, 31))
    shown = picture_of(rate("graduated", tiers=f"{tiers} | - 1"), Decimal(151), Decimal(155))
    assert [bar.place for bar in shown.tiers] == [10, 11, 12, 13, 14, 15, 16, 17]
    assert [bar.place for bar in shown.record] == [16]
    assert shown.is_cut


def test_a_counter_that_has_not_moved_has_no_stretch():
    shown = picture_of(rate("volume", tiers="100 3 | - 1"), Decimal(0), Decimal(0))
    assert (shown.before, shown.record) == ((), ())


def test_rates_without_tiers_have_no_picture():
    assert picture_of(rate("per_unit", price="1"), Decimal(0), Decimal(5)) is None
    assert picture_of(rate("graduated", tiers="- 1"), Decimal(0), Decimal(5)) is None


def test_what_a_charge_says_of_itself_adds_up_with_the_rest_named():
    charged = Charged(*map(Decimal, ("10", "10", "4", "0", "0", "0", "0.85")))
    told = recall(rate("per_unit", price="0.1", connect_fee="0.25"), record("10"), charged)
    assert [(step.name, step.amount) for step in told.steps if step.amount is not None] == [
        ("price", Decimal("0.6")),
        ("rest", Decimal("0.25")),
    ]
    assert recall(None, record("10"), charged).amount == Decimal("0.85")
