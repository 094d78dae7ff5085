"""When a time period holds, when it ends, and how records are cut there; no database."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.frames import MOMENT, USAGE
from rating.core.matching import share_amounts
from rating.core.matching.time_periods import Hours, begins_after, held_until, in_hours, spans_of
from rating.core.plans.spec import Band, TimePeriod

from .matching_book import book, match, plan, rate, usage

EVERY_DAY = frozenset(range(7))
VIENNA, ASUNCION, LORD_HOWE = "Europe/Vienna", "America/Asuncion", "Australia/Lord_Howe"


def hours(*bands, holidays=(), on_holidays="ignore"):
    made = (Band(frozenset(days), time.fromisoformat(starts), time.fromisoformat(ends)) for days, starts, ends in bands)
    return Hours(TimePeriod("P", tuple(made), "C", on_holidays), frozenset(holidays))


def holds_at(asked, *clocks):
    frame = pl.DataFrame({"wall_clock": [datetime.fromisoformat(clock) for clock in clocks]})
    return frame.select(in_hours(asked))["wall_clock"].to_list()


def ends_of(asked, zone, *moments):
    dates = [datetime.fromisoformat(moment).astimezone(UTC) for moment in moments]
    days = pl.Series([moment.astimezone(ZoneInfo(zone)).date() for moment in dates])
    ends = held_until(asked, zone, days, pl.Series(dates, dtype=MOMENT))
    return [end and end.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %z") for end in ends]


# When it holds. 2026-05-08 is a Friday.


def test_a_band_holds_from_its_start_to_before_its_end():
    asked = hours(([4], "08:00", "20:00"))
    assert holds_at(
        asked, "2026-05-08 07:59:59", "2026-05-08 08:00", "2026-05-08 19:59:59", "2026-05-08 20:00", "2026-05-09 09:00"
    ) == [False, True, True, False, False]


def test_a_band_that_ends_at_midnight_lasts_to_the_end_of_its_day():
    asked = hours(([4], "20:00", "00:00"), ([6], "00:00", "00:00"))
    assert holds_at(asked, "2026-05-08 23:59:59", "2026-05-09 00:00", "2026-05-10 00:00", "2026-05-10 23:59") == [
        True,
        False,
        True,
        True,
    ]


def test_a_band_over_midnight_belongs_to_the_day_on_which_it_starts():
    asked = hours(([4], "22:00", "06:00"))
    assert holds_at(asked, "2026-05-08 05:00", "2026-05-08 22:00", "2026-05-09 05:59", "2026-05-09 22:00") == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("on_holidays", "holding"),
    [
        ("ignore", [True, False, True, True, True]),
        ("exclude", [True, False, False, False, True]),
        ("include", [True, True, True, True, True]),
    ],
)
def test_a_holiday_counts_as_any_day_or_wholly_or_not_at_all(on_holidays, holding):
    # Friday is the holiday; the night band of Thursday runs into it, its own night band into Saturday.
    asked = hours(
        ([3, 4], "22:00", "06:00"), ([3], "10:00", "11:00"), holidays=[date(2026, 5, 8)], on_holidays=on_holidays
    )
    moments = ["2026-05-08 05:00", "2026-05-08 12:00", "2026-05-08 23:00", "2026-05-09 05:00", "2026-05-07 10:00"]
    if on_holidays == "include":
        assert holds_at(asked, "2026-05-09 06:00") == [False]
    assert holds_at(asked, *moments) == holding


# When it ends


def test_bands_that_meet_go_on_as_one():
    asked = hours(([4], "20:00", "00:00"), ([5, 6], "00:00", "00:00"), ([0], "00:00", "07:00"))
    assert ends_of(asked, VIENNA, "2026-05-08T20:00+02:00", "2026-05-11T06:59+02:00") == ["2026-05-11 07:00 +0200"] * 2


def test_what_always_holds_never_ends_unless_a_holiday_comes():
    always = (EVERY_DAY, "00:00", "00:00")
    assert ends_of(hours(always), VIENNA, "2026-05-08T20:00+02:00") == [None]
    closed = hours(always, holidays=[date(2030, 1, 1)], on_holidays="exclude")
    moments = ["2026-05-08T20:00+02:00", "2030-01-02T00:00+01:00"]
    assert ends_of(closed, VIENNA, *moments) == ["2030-01-01 00:00 +0100", None]


@pytest.mark.parametrize(
    ("zone", "starts", "ends", "moment", "end"),
    [
        # In Vienna the clocks go from 2:00 to 3:00 on 29 March 2026: a band to 2:30 ends at the jump.
        (VIENNA, "01:00", "02:30", "2026-03-29T01:30+01:00", "2026-03-29 03:00 +0200"),
        (VIENNA, "01:00", "04:00", "2026-03-29T01:30+01:00", "2026-03-29 04:00 +0200"),
        # And from 3:00 back to 2:00 on 25 October: 2:00 to 3:00 is read twice.
        (VIENNA, "01:00", "02:30", "2026-10-25T01:30+02:00", "2026-10-25 02:30 +0200"),
        (VIENNA, "01:00", "02:30", "2026-10-25T02:10+01:00", "2026-10-25 02:30 +0100"),
        (VIENNA, "02:30", "04:00", "2026-10-25T02:40+02:00", "2026-10-25 02:00 +0100"),
        (VIENNA, "01:00", "04:00", "2026-10-25T01:30+02:00", "2026-10-25 04:00 +0100"),
        # In Asunción from 0:00 to 1:00 on 1 October 2017, on Lord Howe by half an hour.
        (ASUNCION, "22:00", "00:30", "2017-09-30T23:00-04:00", "2017-10-01 01:00 -0300"),
        (LORD_HOWE, "01:00", "02:15", "2026-10-04T01:30+10:30", "2026-10-04 02:30 +1100"),
    ],
)
def test_the_reading_of_the_clock_counts_when_clocks_are_changed(zone, starts, ends, moment, end):
    assert ends_of(hours((EVERY_DAY, starts, ends)), zone, moment) == [end]


bands = st.builds(
    Band,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.sampled_from([time(0), time(2, 30), time(8), time(23)]),
    st.sampled_from([time(0), time(2, 30), time(6), time(20)]),
)
asked_hours = st.builds(
    lambda drawn, holidays, on: Hours(TimePeriod("P", tuple(drawn), "C", on), holidays),
    st.lists(bands, min_size=1, max_size=3),
    st.frozensets(st.dates(date(2026, 10, 22), date(2026, 10, 29)), max_size=2),
    st.sampled_from(["ignore", "include", "exclude"]),
)


def reads(asked, clock):
    """Whether the period holds by the rules, one moment of a wall clock at a time."""
    period, day = asked.period, clock.date()
    if period.on_holidays == "include" and day in asked.holidays:
        return True
    for band in period.bands:
        for first in (day - timedelta(days=1), day):
            if first.weekday() not in band.days or (period.on_holidays == "exclude" and first in asked.holidays):
                continue
            starts, ends = datetime.combine(first, band.starts), datetime.combine(first, band.ends)
            if starts <= clock < (ends if band.ends > band.starts else ends + timedelta(days=1)):
                return True
    return False


@settings(max_examples=25, deadline=None)
@given(asked_hours)
def test_columns_spans_and_ends_agree_with_the_clock_at_every_quarter_of_an_hour(asked):
    zone, first = ZoneInfo(VIENNA), datetime(2026, 10, 23, tzinfo=UTC)
    moments = [first + timedelta(minutes=15 * n) for n in range(96 * 4)]
    clocks = [moment.astimezone(zone).replace(tzinfo=None) for moment in moments]
    expected = [reads(asked, clock) for clock in clocks]
    assert pl.DataFrame({"wall_clock": clocks}).select(in_hours(asked)).to_series().to_list() == expected
    spans = {span for day in {clock.date() for clock in clocks} for span in spans_of(asked, VIENNA, day)}
    assert [any(start <= moment < end for start, end in spans) for moment in moments] == expected
    held = [n for n, holding in enumerate(expected) if holding]
    days = pl.Series([clocks[n].date() for n in held], dtype=pl.Date)
    ends = held_until(asked, VIENNA, days, pl.Series([moments[n] for n in held], dtype=MOMENT)).to_list()
    for n, end in zip(held, ends, strict=True):
        until = next((m for m in range(n, len(expected)) if not expected[m]), None)
        assert until is None or end == moments[until]
    all_days = pl.Series([clock.date() for clock in clocks], dtype=pl.Date)
    begins = begins_after(asked, VIENNA, all_days, pl.Series(moments, dtype=MOMENT)).to_list()
    for n, begin in enumerate(begins):
        next_one = next((m for m in range(n + 1, len(expected)) if expected[m] and not expected[m - 1]), None)
        assert next_one is None or begin == moments[next_one]


# Cutting records

PEAK = {"name": "Peak", "bands": [{"days": ["mon", "tue", "wed", "thu", "fri"], "starts": "08:00", "ends": "20:00"}]}
ELSE = {
    "name": "Off-peak",
    "bands": [
        {"days": ["mon", "tue", "wed", "thu", "fri"], "starts": "20:00", "ends": "08:00"},
        {"days": ["sat", "sun"]},
        {"days": ["mon"], "ends": "08:00"},
    ],
}


def two_groups(at_boundary="split", **members):
    groups = [
        {"name": name, "time_period": name, "at_boundary": at_boundary, "rates": [rate(name, **members)]}
        for name in ("Peak", "Off-peak")
    ]
    return plan(groups=groups, time_periods=[PEAK, ELSE])


def parts(of, starts, value):
    rows = usage(f"udr_id value\n1 {value}").with_columns(date=pl.lit(datetime.fromisoformat(starts), MOMENT))
    matched, refused = match(rows, of)
    assert refused.is_empty(), refused["message"].to_list()
    names = [of.prices.rates[key].rate.name for key in matched["rate_key"]]
    moments = matched["date"].dt.strftime("%d %H:%M:%S%.6f")
    return [*zip(matched["part"], moments, names, map(str, matched["value"]), strict=True)]


def test_a_record_is_rated_at_its_start_or_split_at_the_boundary_as_its_group_says():
    start, seconds = "2026-05-08T17:59:59.750000Z", "14400.5"
    assert parts(book(two_groups("start")), start, seconds) == [(0, "08 17:59:59.750000", "Peak", "14400.500000")]
    assert parts(book(two_groups()), start, seconds) == [
        (0, "08 17:59:59.750000", "Peak", "0.250000"),
        (1, "08 18:00:00.000000", "Off-peak", "14400.250000"),
    ]


def test_a_record_that_ends_at_the_boundary_is_whole():
    assert len(parts(book(two_groups()), "2026-05-08T17:00:00Z", "3600")) == 1
    assert len(parts(book(two_groups()), "2026-05-08T17:00:00Z", "3600.000001")) == 2
    assert len(parts(book(two_groups()), "2026-05-08T17:00:00Z", "0")) == 1


def test_a_record_over_many_boundaries_falls_into_parts_that_add_up():
    came = parts(book(two_groups()), "2026-05-04T00:00:00Z", str(14 * 86400))
    assert [part for part, *_ in came] == list(range(21))
    assert sum(Decimal(value) for *_, value in came) == 14 * 86400
    assert {name for _, _, name, _ in came} == {"Peak", "Off-peak"}


def peak_and_rest(condition):
    """Peak where a condition holds, the rest of the day by a group without a time period."""
    groups = [
        {
            "name": "Peak",
            "time_period": "Peak",
            "condition": condition,
            "at_boundary": "split",
            "rates": [rate("Peak")],
        },
        {"name": "Rest", "at_boundary": "split", "rates": [rate("Rest")]},
    ]
    return book(plan(groups=groups, time_periods=[PEAK]))


def test_a_record_is_cut_where_a_time_period_begins_that_is_tried_before_its_own():
    assert parts(peak_and_rest("Value > 0"), "2026-05-08T05:00:00Z", "86400") == [
        (0, "08 05:00:00.000000", "Rest", "3600.000000"),
        (1, "08 06:00:00.000000", "Peak", "43200.000000"),
        (2, "08 18:00:00.000000", "Rest", "39600.000000"),
    ]


def test_a_boundary_at_which_the_rate_stays_the_same_cuts_nothing():
    of = peak_and_rest("Currency = 'USD'")
    assert parts(of, "2026-05-08T05:00:00Z", "864000") == [(0, "08 05:00:00.000000", "Rest", "864000.000000")]
    rows = usage("udr_id date value amount currency\n1 2026-05-08T05:00:00Z 864000 1.00000000001 EUR")
    assert match(rows, of)[0]["amount"].to_list() == [Decimal("1.00000000001")]


def test_an_amount_is_shared_by_the_seconds_to_the_last_digit():
    of = book(two_groups(model="pass_through", price=None, factor="1"))
    rows = usage("udr_id date value amount currency\n1 2026-05-08T17:59:59Z 3 1.00000000001 EUR")
    matched, refused = match(rows, of)
    assert refused.is_empty(), refused["message"].to_list()
    assert matched["amount"].to_list() == [Decimal("0.33333333334"), Decimal("0.66666666667")]


def test_shares_add_up_to_an_amount_of_any_size():
    amount = Decimal("999999999999999999999.99999999999")
    parts_ = pl.DataFrame(
        {"udr_id": [1, 2, 1, 1], "part": [2, 0, 0, 1], "value": [Decimal(1)] * 4, "amount": [amount] * 4},
        schema={"udr_id": pl.Int64, "part": pl.Int64, "value": USAGE["value"], "amount": USAGE["amount"]},
    )
    third = Decimal("333333333333333333333.33333333333")
    assert share_amounts(parts_)["amount"].to_list() == [third, amount, third, third]


def test_a_record_is_refused_whole_and_once_where_a_part_cannot_be_rated():
    peak_only = plan(
        groups=[{"name": "Peak", "time_period": "Peak", "at_boundary": "split", "rates": [rate("Peak")]}],
        time_periods=[PEAK],
    )
    rows = usage("udr_id date value\n1 2026-05-08T17:00:00Z 7200\n2 2026-05-08T17:00:00Z 60")
    matched, refused = match(rows, book(peak_only))
    assert matched["udr_id"].to_list() == [2]
    (told,) = refused.iter_rows(named=True)
    assert (told["udr_id"], told["value"], told["udr_date"].hour) == (1, 7200, 17)
    assert "at 2026-05-08 18:00:00 UTC" in told["message"]


def test_all_parts_belong_to_the_month_in_which_their_record_starts():
    nights = {"name": "Night", "bands": [{"days": ["sun"], "starts": "20:00"}]}
    of = book(
        plan(
            groups=[
                {"name": "Night", "time_period": "Night", "at_boundary": "split", "rates": [rate("Night")]},
                {"name": "Else", "rates": [rate("Else")]},
            ],
            time_periods=[nights],
        )
    )
    rows = usage("udr_id date value\n1 2026-05-31T21:00:00Z 7200\n2 2026-06-01T10:00:00Z 60\n3 2026-05-31T17:00:00Z 60")
    matched, _ = match(rows, of)
    assert [month.month for month in matched["month"]] == [5, 5, 6, 5]
    assert [(date.month, date.hour) for date in matched["date"]][:2] == [(5, 21), (5, 22)]


def test_a_record_in_more_parts_than_can_be_is_refused(monkeypatch):
    monkeypatch.setattr("rating.core.matching.walk.MOST_PARTS", 5)
    matched, refused = match(
        usage("udr_id date value\n1 2026-05-04T00:00:00Z 999999999\n2 2026-05-08T17:00:00Z 1"), book(two_groups())
    )
    assert matched["udr_id"].to_list() == [2]
    assert refused["cause"].to_list() == ["system_error"]
    assert "into more than 600 parts" in refused["message"][0]
