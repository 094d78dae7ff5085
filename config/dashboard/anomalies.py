"""What is out of the usual range of a feed or an account; pure: counts by hour, day and month in, findings out.

Everything is judged twice. First against its like: the same hour of the week for counts and silence, the last four
weeks for shares and values. Then against its own past: what stands out no more than the past stood out, but for its
worst episode, is how this feed is. So a feed without a rhythm raises nothing, and nobody has to set a threshold.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import median

HOURS_A_WEEK = 168
WEEKS = 5  # how many are the usual range of an hour of the week
LEAST_WEEKS = 3  # of a feed that is younger nothing is usual yet
PAST_HOURS = 21 * 24  # how far back a feed's own past is judged by the same rule
WORSE = Decimal("1.25")  # than the past, but for its worst episode
SPREADS = 6  # from the median; a spread is the standard deviation, as the median deviation estimates it
FEWEST_RECORDS = 100
QUIET_HOURS = 2
SLACK_HOURS = 2  # a nightly file that came early for four weeks may come late once
FEWER_SPREADS, FEWER_TIMES = 4, 5  # nothing can lie further below the median than all of it
TIMES = 3  # the median: less is not worth a person's time however steady the feed is
LAST_DAYS, LEAST_DAYS = 28, 7
LEAST_SHARE = Decimal("0.02")
FEWEST_FAULTS = 20
DEVIATION = Decimal("1.4826")
LEAST_MONTHS = 2
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Finding:
    """Something out of the usual range. numbers: what it was judged by, as texts."""

    kind: str
    text: str
    feed_id: int | None = None
    account_id: int | None = None
    numbers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrivals:
    """What a feed received in one hour or day."""

    imports: int
    records: int
    exceptions: int = 0
    duplicates: int = 0


def judge_feed(
    feed_id: int, hours: Mapping[datetime, Arrivals], days: Mapping[date, Arrivals], now: datetime
) -> list[Finding]:
    """What is unusual about a feed's arrivals. hours: by the start of the hour; those without arrivals are left out."""
    if not hours:
        return []
    series = {number_of(start): arrived for start, arrived in hours.items()}
    judged = [
        judge_silence(feed_id, series, now),
        judge_volume(feed_id, series, now) or judge_days(feed_id, days, now),
        judge_share(feed_id, "duplicates", {day: (each.duplicates, each.records) for day, each in days.items()}, now),
        judge_share(feed_id, "exceptions", {day: (each.exceptions, each.records) for day, each in days.items()}, now),
    ]
    return [finding for finding in judged if finding is not None]


def judge_silence(feed_id: int, series: Mapping[int, Arrivals], now: datetime) -> Finding | None:
    """Whether nothing has come for longer than usual at this hour of the week, by more than happened before."""
    this_hour = number_of(now)
    first = min(series)
    quiet = _quiet_hours(sorted(series), this_hour + 1)

    def usually(hour: int) -> int | None:
        """The longest silence at this hour of the week and around it; None where too few weeks tell."""
        like = [hour - week * HOURS_A_WEEK - first for week in _weeks(hour, first)]
        around = [at for each in like for at in range(max(0, each - SLACK_HOURS), each + SLACK_HOURS + 1)]
        return max(quiet[at] for at in around) if len(like) >= LEAST_WEEKS else None

    def excess(hour: int) -> int | None:
        """How many hours of silence at the end of an hour are more than twice what is usual."""
        usual = usually(hour)
        return None if usual is None else quiet[hour - first] - 2 * usual

    usual, seen = usually(this_hour), excess(this_hour)
    if usual is None or seen is None or seen <= QUIET_HOURS or seen <= _worst_but_one(excess, this_hour, first):
        return None
    last = _start_of(this_hour - quiet[this_hour - first])
    return Finding(
        "silence",
        f"Nothing has come since the hour from {_told(last)}, {quiet[this_hour - first]:,} hours ago; at this hour of "
        f"the week the last usage is usually {_hours(usual)} old at most.",
        feed_id=feed_id,
        numbers={"quiet_hours": str(quiet[this_hour - first]), "usual_hours": str(usual)},
    )


def _quiet_hours(arrivals: Sequence[int], end: int) -> list[int]:
    """For each hour from the first arrival to before `end`: how many hours ago the last arrival was."""
    came, last, quiet = set(arrivals), arrivals[0], []
    for hour in range(arrivals[0], end):
        last = hour if hour in came else last
        quiet.append(hour - last)
    return quiet


def judge_volume(feed_id: int, series: Mapping[int, Arrivals], now: datetime) -> Finding | None:
    """Whether the last whole hour brought far more or fewer records than its hour of the week usually brings.

    Only where usage usually comes at this time: of files that come once a day, one hour says nothing.
    """
    hour, first = number_of(now) - 1, min(series)
    counts = {number: Decimal(arrived.records) for number, arrived in series.items()}

    def surplus(at: int) -> Decimal | None:
        like = _like(counts, at, first)
        return _spreads(counts.get(at, Decimal(0)), like) if like else None

    def lack(at: int) -> Decimal | None:
        above = surplus(at)
        return None if above is None else -above

    like, seen = _like(counts, hour, first), counts.get(hour, Decimal(0))
    if not like or not seen:
        return None
    usual = median(like)
    kind: str
    if seen >= TIMES * usual and seen - usual >= FEWEST_RECORDS and _stands_out(surplus, SPREADS, hour, first):
        kind = "spike"
    elif usual >= FEWEST_RECORDS and seen * FEWER_TIMES <= usual and _stands_out(lack, FEWER_SPREADS, hour, first):
        kind = "drop"
    else:
        return None
    return Finding(
        kind,
        f"{seen:,} records came in the hour from {_told(_start_of(hour))}; at this hour of the week {usual:,.0f} are "
        "usual.",
        feed_id=feed_id,
        numbers={"seen": f"{seen}", "usual": f"{usual:.0f}"},
    )


def _like(counts: Mapping[int, Decimal], hour: int, first: int) -> list[Decimal]:
    """The counts of the same hour of the week and its neighbours; none where usage seldom comes then."""
    weeks = _weeks(hour, first)
    if len(weeks) < LEAST_WEEKS:
        return []
    found = [counts.get(hour - week * HOURS_A_WEEK + beside, Decimal(0)) for week in weeks for beside in (-1, 0, 1)]
    return found if 3 * sum(1 for count in found if count) >= 2 * len(found) else []


def _stands_out(score: Callable[[int], Decimal | None], least: int, hour: int, first: int) -> bool:
    seen = score(hour)
    return seen is not None and seen >= least and seen > _worst_but_one(score, hour, first)


def _worst_but_one(score: Callable[[int], Decimal | int | None], hour: int, first: int) -> Decimal:
    """How far the feed's own past stood out, with its worst episode left out, and somewhat more."""
    past = [score(at) or 0 for at in range(max(first, hour - PAST_HOURS), hour)]
    return WORSE * _without_worst_episode(past)


def _without_worst_episode(scores: Sequence[Decimal | int]) -> Decimal:
    """The highest score outside of the run of positive ones that holds the highest; 0 where there is none."""
    if not scores:
        return Decimal(0)
    # The run up to the present may be what is judged: it is not the past yet.
    end = len(scores)
    while end and scores[end - 1] > 0:
        end -= 1
    past = list(scores[:end])
    if not past:
        return Decimal(0)
    peak = past.index(max(past))
    low = high = peak
    while low > 0 and past[low - 1] > 0:
        low -= 1
    while high < len(past) - 1 and past[high + 1] > 0:
        high += 1
    return Decimal(max([0, *past[:low], *past[high + 1 :]]))


def judge_share(feed_id: int, kind: str, days: Mapping[date, tuple[int, int]], now: datetime) -> Finding | None:
    """Whether the share of duplicates or exceptions in today's records is far above that of the last four weeks.

    days: (of them, records) by day.
    """
    today = now.astimezone(UTC).date()
    part, whole = days.get(today, (0, 0))
    if part < FEWEST_FAULTS or whole < FEWEST_RECORDS:
        return None
    before = [
        Decimal(of_them) / records
        for day, (of_them, records) in days.items()
        if today - timedelta(days=LAST_DAYS) <= day < today and records >= FEWEST_FAULTS
    ]
    share = Decimal(part) / whole
    if len(before) < LEAST_DAYS:
        return None
    usual = median(before)
    if share <= usual + max(SPREADS * _deviation(before), LEAST_SHARE) or share <= WORSE * _second(before):
        return None
    return Finding(
        kind,
        f"{part:,} of today's {whole:,} records are {kind} ({_percent(share)}); {_percent(usual)} are usual.",
        feed_id=feed_id,
        numbers={"seen": _percent(share), "usual": _percent(usual), "count": f"{part}", "records": f"{whole}"},
    )


def judge_value(feed_id: int, currency: str, days: Mapping[date, Decimal], now: datetime) -> Finding | None:
    """Whether a feed's usage was charged far more today than on a day of the last four weeks. days: amounts by day."""
    today = now.astimezone(UTC).date()
    before = [days.get(today - timedelta(days=back), Decimal(0)) for back in range(1, LAST_DAYS + 1)]
    seen = days.get(today, Decimal(0))
    if sum(1 for amount in before if amount > 0) < LEAST_DAYS:
        return None
    usual = median(before)
    spread = max(_deviation(before), usual / 5)
    if usual <= 0 or seen < TIMES * usual or seen <= usual + SPREADS * spread or seen <= WORSE * _second(before):
        return None
    return Finding(
        "value",
        f"{seen:,.2f} {currency} were charged for it today; {usual:,.2f} on a day are usual.",
        feed_id=feed_id,
        numbers={"seen": _exact(seen), "usual": _exact(usual), "currency": currency},
    )


def judge_account(
    account_id: int, currency: str, seen: Decimal, records: int, before: Sequence[Decimal], floor: Decimal
) -> Finding | None:
    """Whether an account was charged far more this month than in any of the months before it.

    records: of this month. before: amounts of those of the last months in which it was charged. floor: the rise that is
    worth a look, such as what an account is charged in a month on average.
    """
    if len(before) < LEAST_MONTHS or records < FEWEST_FAULTS:
        return None
    most = max(before)
    if most <= 0 or seen <= TIMES * most or seen - most < floor:
        return None
    return Finding(
        "account",
        f"{seen:,.2f} {currency} were charged this month so far; in the {len(before)} months before it was {most:,.2f} "
        "at most.",
        account_id=account_id,
        numbers={"seen": _exact(seen), "usual": _exact(most), "currency": currency},
    )


def judge_days(feed_id: int, days: Mapping[date, Arrivals], now: datetime) -> Finding | None:
    """The same of today and yesterday against their weekday, for feeds that bring a file now and then.

    Today may bring more, so only a spike of it is known already.
    """
    today = now.astimezone(UTC).date()
    counts = {day: Decimal(arrived.records) for day, arrived in days.items()}
    judged = (_judge_day(counts, day) for day in (today, today - timedelta(days=1)))
    for day, (kind, usual) in zip((today, today - timedelta(days=1)), judged, strict=True):
        if kind == "spike" or (kind == "drop" and day != today):
            return Finding(
                kind,
                f"{counts[day]:,} records came on {day} (UTC); on this day of the week {usual:,.0f} are usual.",
                feed_id=feed_id,
                numbers={"seen": f"{counts[day]}", "usual": f"{usual:.0f}"},
            )
    return None


def _judge_day(counts: Mapping[date, Decimal], day: date) -> tuple[str, Decimal]:
    """("spike", "drop" or nothing, what is usual) of a day against the same days of the weeks before."""
    past = [day - timedelta(weeks=week) for week in range(1, WEEKS + 1)]
    like = [counts.get(each, Decimal(0)) for each in past if each > min(counts, default=day)]
    seen = counts.get(day, Decimal(0))
    if not seen or len(like) < LEAST_WEEKS or 3 * sum(1 for count in like if count) < 2 * len(like):
        return "", Decimal(0)
    usual, before = median(like), [count for each, count in counts.items() if each < day and count]
    far = _spreads(seen, like)
    if seen >= TIMES * usual and seen - usual >= FEWEST_RECORDS and far > SPREADS and seen > WORSE * _second(before):
        return "spike", usual
    is_less = usual >= FEWEST_RECORDS and seen * FEWER_TIMES <= usual and -far >= FEWER_SPREADS
    return ("drop", usual) if is_less and WORSE * seen < sorted(before)[1] else ("", usual)


def _spreads(seen: Decimal, like: Sequence[Decimal]) -> Decimal:
    """How many spreads lie between a count and the median of its like; a count spreads by its root at least."""
    usual = median(like)
    spread = max(_deviation(like), Decimal(usual).sqrt(), usual / 10, Decimal(1))
    return (seen - usual) / spread


def _deviation(values: Sequence[Decimal]) -> Decimal:
    usual = median(values)
    return DEVIATION * median([abs(value - usual) for value in values])


def _second(values: Iterable[Decimal]) -> Decimal:
    """The highest but one: a single bad day is no habit."""
    return sorted(values)[-2]


def _weeks(hour: int, first: int) -> list[int]:
    """How many weeks back the same hour of the week was, for those weeks that the feed has lived whole."""
    return [week for week in range(1, WEEKS + 1) if hour - week * HOURS_A_WEEK > first]


def number_of(moment: datetime) -> int:
    """The hour of a moment, counted from 1970."""
    return int(moment.timestamp()) // 3600


def _start_of(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, UTC)


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _hours(count: int) -> str:
    return "less than an hour" if count == 0 else "1 hour" if count == 1 else f"{count} hours"


def _exact(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _percent(share: Decimal) -> str:
    return f"{100 * share:.1f} %"
