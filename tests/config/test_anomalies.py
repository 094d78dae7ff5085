"""What is unusual, judged by drawn histories: nothing for ordinary noise, a finding for silence, spike and drop."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.dashboard.anomalies import Arrivals, judge_account, judge_feed, judge_share, judge_value

NOW = datetime(2026, 11, 20, 12, 5, tzinfo=UTC)  # a Friday
WEEKS = timedelta(days=56)
TODAY = NOW.date()


def hours_until(now, since=WEEKS):
    start = (now - since).replace(minute=0, second=0, microsecond=0)
    while start <= now:
        yield start
        start += timedelta(hours=1)


def busy(draw, volume=1000, now=NOW, noise=0.2):
    """A feed of every hour, twice as busy by day, quieter on Sundays."""
    found = {}
    for hour in hours_until(now):
        usual = volume * (2 if 8 <= hour.hour < 20 else 1) * (0.5 if hour.weekday() == 6 else 1)
        found[hour] = Arrivals(imports=10, records=max(int(draw.gauss(usual, usual * noise)), 0))
    return found


def office(draw, now=NOW):
    """Files every hour from 8 to 18 on working days, with some noise."""
    return {
        hour: Arrivals(imports=1, records=draw.randint(80, 120))
        for hour in hours_until(now)
        if 8 <= hour.hour < 18 and hour.weekday() < 5
    }


def nightly(draw, now=NOW):
    """One file a day, some time between one and four in the morning."""
    files = {}
    for hour in hours_until(now):
        if hour.hour == 0:
            files[hour + timedelta(hours=draw.randint(1, 3))] = Arrivals(imports=1, records=draw.randint(900, 1100))
    return {hour: file for hour, file in files.items() if hour <= now}


def seldom(draw, now=NOW):
    """Now and then, as it happens."""
    return {
        hour: Arrivals(imports=1, records=draw.randint(1, 5000)) for hour in hours_until(now) if draw.random() < 0.03
    }


def days_of(hours):
    sums = {}
    for hour, each in hours.items():
        before = sums.get(hour.date(), Arrivals(0, 0))
        sums[hour.date()] = Arrivals(before.imports + each.imports, before.records + each.records)
    return sums


def kinds(hours, now=NOW):
    return {finding.kind for finding in judge_feed(7, hours, days_of(hours), now)}


@pytest.mark.parametrize("feed", [busy, office, nightly], ids=lambda feed: feed.__name__)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), back=st.integers(0, 167))
@example(seed=0, back=10)  # early for four weeks, late once
def test_ordinary_noise_raises_no_notice(feed, seed, back):
    now = NOW - timedelta(hours=back)
    assert kinds(feed(random.Random(seed), now=now), now) == set()


def test_a_feed_that_comes_as_it_happens_is_seldom_called_silent():
    draws = [seldom(random.Random(seed)) for seed in range(150)]
    called = sum(bool(kinds(hours)) for hours in draws)
    assert called <= 3


@pytest.mark.parametrize(("feed", "quiet"), [(busy, 5), (office, 4), (nightly, 36)])
def test_a_feed_that_falls_silent_is_noticed(feed, quiet):
    hours = {hour: each for hour, each in feed(random.Random(1)).items() if hour < NOW - timedelta(hours=quiet)}
    assert kinds(hours) == {"silence"}


def test_a_weekend_of_an_office_is_no_silence():
    sunday = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)
    assert kinds(office(random.Random(2), now=sunday), sunday) == set()


def test_the_text_of_a_silence_says_since_when_and_what_is_usual():
    hours = {hour: each for hour, each in busy(random.Random(1)).items() if hour < NOW - timedelta(hours=6)}
    (finding,) = judge_feed(7, hours, {}, NOW)
    assert finding.text.startswith("Nothing has come since the hour from 2026-11-20 06:00 UTC, 6 hours ago;")
    assert "less than an hour old at most" in finding.text
    assert (finding.feed_id, finding.numbers["quiet_hours"]) == (7, "6")


@pytest.mark.parametrize(("times", "kind"), [(10, "spike"), (0.1, "drop")])
def test_far_more_or_fewer_records_than_usual_are_noticed(times, kind):
    hours = busy(random.Random(3), noise=0.1)
    last = NOW.replace(minute=0) - timedelta(hours=1)
    hours[last] = Arrivals(imports=10, records=int(hours[last].records * times))
    (finding,) = judge_feed(7, hours, {}, NOW)
    assert finding.kind == kind
    assert "2026-11-20 11:00 UTC" in finding.text


@pytest.mark.parametrize(("times", "kind"), [(10, "spike"), (0.02, "drop")])
@pytest.mark.parametrize("day", [NOW.date(), NOW.date() - timedelta(days=1)], ids=["today", "yesterday"])
def test_a_file_of_far_more_or_fewer_records_is_noticed_by_its_day(times, kind, day):
    hours = nightly(random.Random(3))
    for hour, file in hours.items():
        if hour.date() == day:
            hours[hour] = Arrivals(imports=1, records=int(file.records * times))
    expected = set() if (kind, day) == ("drop", NOW.date()) else {kind}  # today may bring more yet
    assert kinds(hours) == expected


def test_what_happens_every_day_is_no_spike():
    hours = busy(random.Random(4))
    for hour in hours:
        if hour.hour == 11:
            hours[hour] = Arrivals(imports=10, records=40_000)
    assert kinds(hours) == set()


def test_a_young_feed_has_no_rhythm_yet():
    hours = {hour: each for hour, each in busy(random.Random(5)).items() if hour > NOW - timedelta(days=12)}
    last = NOW.replace(minute=0) - timedelta(hours=1)
    assert kinds({**hours, last: Arrivals(10, 1_000_000)}) == set()
    assert kinds({}) == set()


def test_few_records_are_no_spike_however_steady_the_feed():
    hours = {hour: Arrivals(imports=1, records=2) for hour in hours_until(NOW)}
    hours[NOW.replace(minute=0) - timedelta(hours=1)] = Arrivals(imports=1, records=60)
    assert kinds(hours) == set()


def shares(*parts, today=(0, 1000)):
    """Days of a thousand records with so many of a kind, the last yesterday."""
    before = {TODAY - timedelta(days=number): (part, 1000) for number, part in enumerate(reversed(parts), 1)}
    return {**before, TODAY: today}


@pytest.mark.parametrize("kind", ["duplicates", "exceptions"])
def test_a_share_far_above_the_last_weeks_is_noticed(kind):
    finding = judge_share(7, kind, shares(*[10, 12, 9, 11] * 5, today=(150, 1000)), NOW)
    assert finding.text == f"150 of today's 1,000 records are {kind} (15.0 %); 1.0 % are usual."


@pytest.mark.parametrize(
    "days",
    [
        shares(*[10, 12, 9, 11] * 5, today=(25, 1000)),  # a little above
        shares(*[10, 12, 9, 11] * 5, today=(15, 50)),  # too few to judge
        shares(10, 12, 9, today=(500, 1000)),  # too short a past
        shares(*[10, 300, 10, 10, 320] * 4, today=(310, 1000)),  # it happens
        {},
    ],
    ids=["a little above", "too few", "too short a past", "it happens", "nothing"],
)
def test_a_share_in_the_usual_range_is_not(days):
    assert judge_share(7, "exceptions", days, NOW) is None


def amounts(*before, today):
    days = {TODAY - timedelta(days=number): Decimal(amount) for number, amount in enumerate(reversed(before), 1)}
    return {**days, TODAY: Decimal(today)}


def test_a_day_of_far_more_charges_is_noticed():
    finding = judge_value(7, "EUR", amounts(*["100.00", "110.50", "95.00"] * 9, today="2000"), NOW)
    assert finding.text == "2,000.00 EUR were charged for it today; 100.00 on a day are usual."


@pytest.mark.parametrize(
    "days",
    [
        amounts(*["100", "110", "95"] * 9, today="250"),
        amounts("100", "110", today="2000"),
        amounts(*["0", "0", "0", "5"] * 7, today="50"),
        amounts(*["10", "10", "10", "10", "900", "10", "10"] * 4, today="950"),
    ],
    ids=["twice", "young", "seldom charged", "every week"],
)
def test_charges_in_the_usual_range_are_not(days):
    assert judge_value(7, "EUR", days, NOW) is None


@pytest.mark.parametrize(
    ("seen", "records", "before", "is_noticed"),
    [
        ("5000", 100, ["90", "100", "80"], True),
        ("250", 100, ["90", "100", "80"], False),  # more, not far more
        ("5000", 100, ["90"], False),  # one month is no habit
        ("5000", 3, ["90", "100"], False),  # three records are none either
        ("5", 100, ["0.10", "0.20"], False),  # not worth a look
    ],
)
def test_an_account_is_judged_by_its_own_months(seen, records, before, is_noticed):
    finding = judge_account(9, "EUR", Decimal(seen), records, [Decimal(each) for each in before], Decimal(50))
    assert (finding is not None) == is_noticed


def test_days_are_days_of_utc():
    evening = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    assert judge_share(7, "duplicates", {date(2026, 11, 21): (500, 1000)}, evening) is None
