"""Which period charges a moment, and the rows that take a charge back: no database."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from rating.core import charging
from rating.core.frames import GRANTS, MOMENT
from rating.core.periods import add_months, month_bounds, periods_for
from rating.core.plans.spec import Bucket

from .metered import d, per_unit, plan, priced, prices
from .tables import frame

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("month", "zone", "starts_at", "ends_at"),
    [
        (date(2026, 3, 1), "Europe/Vienna", "2026-02-28T23:00", "2026-03-31T22:00"),
        (date(2026, 12, 1), "UTC", "2026-12-01T00:00", "2027-01-01T00:00"),
        # The clocks of Asunción went from 0:00 to 1:00 on 1 October 2017.
        (date(2017, 10, 1), "America/Asuncion", "2017-10-01T04:00", "2017-11-01T03:00"),
    ],
)
def test_a_month_is_a_calendar_month_of_the_zone(month, zone, starts_at, ends_at):
    expected = tuple(datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (starts_at, ends_at))
    assert month_bounds(month, zone) == expected


def test_a_moment_belongs_to_the_month_that_it_is_where_the_account_lives():
    drawn = frame(
        "date time_zone\n2026-06-01T00:30:00Z America/New_York\n2026-05-31T23:30:00Z Asia/Tokyo",
        {"date": MOMENT, "time_zone": pl.String},
    )
    assert add_months(drawn)["month"].to_list() == [date(2026, 5, 1), date(2026, 6, 1)]


def test_what_is_before_the_last_closed_period_goes_to_the_one_after_it():
    months = frame(
        "account_id time_zone month\n1 UTC 2026-01-01\n1 UTC 2026-03-01\n2 UTC 2026-01-01",
        {"account_id": pl.Int64, "time_zone": pl.String, "month": pl.Date},
    )
    closed = frame("account_id closed_until\n1 2026-03-01T00:00:00Z", {"account_id": pl.Int64, "closed_until": MOMENT})
    placed = periods_for(months, closed).sort("account_id", "month")
    assert [moment.month for moment in placed["starts_at"]] == [3, 3, 1]
    assert placed["month"].to_list() == [date(2026, 1, 1), date(2026, 3, 1), date(2026, 1, 1)]


@pytest.fixture
def charged():
    """A charge of 7.5 units, 2 of them from a bucket, at 0.1; its draws; and the grant."""
    tariff = prices(plan(per_unit("0.1"), buckets=[Bucket(name="Included", size=d(2))]))
    result = priced("value\n7.5", tariff)
    charges = charging.charges_of(result.rated, tariff, NOW)
    return charges, charging.draw_rows_of(result.draws, charges), result.standing.grants.select(*GRANTS)


def test_a_charge_has_the_number_of_its_udr_and_a_place(charged):
    (charge,) = charged[0].iter_rows(named=True)
    assert (charge["id"], charge["kind"], charge["counting_period_id"]) == (1 << 12, "charge", charge["period_id"])
    assert (charge["bucket_quantity"], charge["amount"]) == (Decimal(2), Decimal("0.55"))


def test_a_charge_after_a_reversal_takes_the_next_place(charged):
    tariff = prices(plan(per_unit("0.1")))
    entries = pl.DataFrame({"udr_id": [1], "entry": [2]})
    (again,) = charging.charges_of(priced("value\n1", tariff).rated, tariff, NOW, entries=entries).iter_rows(named=True)
    assert again["id"] == (1 << 12) + 2


def test_a_reversal_negates_every_quantity_and_the_amount(charged):
    charges = charged[0]
    billed = charges.select("id", billed_id=pl.lit(9, pl.Int64))
    (reversal,) = charging.reversals_of(charges, billed, NOW).iter_rows(named=True)
    assert (reversal["id"], reversal["kind"], reversal["period_id"]) == (4097, "reversal", 9)
    assert reversal["counting_period_id"] == charges["counting_period_id"].item()
    assert (reversal["quantity"], reversal["rated_quantity"]) == (Decimal("-7.5"), Decimal("-7.5"))
    assert (reversal["bucket_quantity"], reversal["amount"]) == (Decimal(-2), Decimal("-0.55"))


def test_what_a_reversed_charge_drew_is_given_back_and_is_left_again(charged):
    _, draws, grants = charged
    assert draws.select("charge_id", "kind", "quantity", "left").rows() == [(4096, "draw", Decimal(2), Decimal(0))]
    (back,) = charging.given_back(draws, grants).iter_rows(named=True)
    assert (back["charge_id"], back["kind"]) == (4097, "give_back")
    assert (back["quantity"], back["left"]) == (Decimal(-2), Decimal(2))
