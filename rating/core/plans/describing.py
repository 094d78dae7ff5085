"""A plan in plain words: sections with a row for each rate, bucket and commitment, for the page of a person."""

from dataclasses import dataclass
from datetime import datetime, time

from mediation.core.expressions.moments import write_moment
from rating.core.plans.phrasing import OWNERS, plain, rate_in_words, sentence
from rating.core.plans.reading import WEEKDAYS
from rating.core.plans.spec import Band, Bucket, Commitment, Group, Plan, TimePeriod

DAY_NAMES = tuple(name.capitalize() for name in WEEKDAYS)
TIMES = {
    "period": "each billing period",
    "day": "each day",
    "week": "each week",
    "month": "each month",
    "year": "each year",
    "once": "once",
    "granted": "as much and as long as is given to each",
}


@dataclass(frozen=True)
class Row:
    """One thing of a plan: its name, what it does in a sentence or two, and its place in the document."""

    name: str
    text: str
    pointer: str


@dataclass(frozen=True)
class Section:
    """Rows that belong together. text: what holds for all of them, or nothing."""

    title: str
    text: str
    rows: tuple[Row, ...]


def describe_plan(plan: Plan) -> tuple[Section, ...]:
    """The plan told in its order: groups, groups of costs, then what they use; empty parts are left out."""
    sections = [_group(group, f"/groups/{place}", f"{place + 1}. ") for place, group in enumerate(plan.groups)]
    sections += [_group(group, f"/cost_groups/{place}", "Cost: ") for place, group in enumerate(plan.cost_groups)]
    lists = {
        "Buckets": ("buckets", [(one.name, describe_bucket(one, plan.currency)) for one in plan.buckets]),
        "Commitments": ("commitments", [(one.name, describe_commitment(one)) for one in plan.commitments]),
        "Time periods": ("time_periods", [(one.name, describe_period(one)) for one in plan.time_periods]),
        "Calendars": (
            "calendars",
            [(one.name, _few([day.isoformat() for day in sorted(one.days)])) for one in plan.calendars],
        ),
        "Zones": ("zones", [(one.name, f"Identifiers that start with {_few(one.prefixes)}.") for one in plan.zones]),
    }
    for title, (member, named) in lists.items():
        rows = tuple(Row(name, text, f"/{member}/{place}") for place, (name, text) in enumerate(named))
        sections += [Section(title, "", rows)] if rows else []
    return tuple(sections)


def _group(group: Group, pointer: str, before: str) -> Section:
    rows = tuple(
        Row(rate.name, rate_in_words(rate), f"{pointer}/rates/{place}") for place, rate in enumerate(group.rates)
    )
    return Section(f"{before}{group.name}", _when(group), rows)


def _when(group: Group) -> str:
    """What must hold for a group, and how it is applied where that is not as usual."""
    said = [f"where {group.condition.text}"] if group.condition else []
    said += [f"in the time period {group.time_period}"] if group.time_period else []
    said += _validity(group.starts_at, group.ends_at)
    sentences = [sentence("Applies " + ", ".join(said))] if said else []
    if group.at_boundary == "split":
        sentences.append("A record that runs over the end of a time period is split there.")
    if any(rate.zone or "Zone" in rate.fields for rate in group.rates):
        sentences.append(f"Zones are found by the {group.zone_by}.")
    if group.amount_precision < 11:
        sentences.append(f"Amounts are rounded to {group.amount_precision} decimals.")
    return " ".join(sentences)


def _validity(starts_at: datetime | None, ends_at: datetime | None) -> list[str]:
    said = [f"from {write_moment(starts_at)}"] if starts_at else []
    return said + ([f"before {write_moment(ends_at)}"] if ends_at else [])


def describe_bucket(bucket: Bucket, currency: str) -> str:
    """What a bucket gives, to whom and when, and in which order it is drawn."""
    unit = "units" if bucket.of == "units" else currency
    size = [f"{plain(bucket.size)} {unit}"] if bucket.size or not bucket.follows else []
    if bucket.recurs == "granted":
        size = [unit]
    if bucket.follows:
        times, followed = plain(bucket.follows.factor), bucket.follows.usage_class
        size.append(f"{times} {unit} for each unit of {followed}")
    said = [f"{' and '.join(size)}{' times the members of' if bucket.grows else ' for'} {OWNERS[bucket.shared]}"]
    said.append(TIMES[bucket.recurs])
    said += _validity(bucket.starts_at, bucket.ends_at)
    said += ["in part for a period that is not whole"] if bucket.prorate else []
    sentences = [sentence(", ".join(said)), sentence(_serves(bucket.usage_classes, bucket.rates, "Serves"))]
    if bucket.condition:
        sentences.append(sentence(f"Only where {bucket.condition.text}"))
    order = f"Drawn with priority {bucket.priority}" + (f", once {bucket.after} is empty" if bucket.after else "")
    sentences.append(sentence(order))
    return " ".join(sentences + _more_of_bucket(bucket, unit))


def _more_of_bucket(bucket: Bucket, unit: str) -> list[str]:
    sentences = []
    if bucket.tiers:
        parts, start = [], "0"
        for tier in bucket.tiers:
            where = f"up to {plain(tier.up_to)}" if tier.up_to is not None else f"above {start}"
            flat = f" and {plain(tier.flat)} once" if tier.flat else ""
            price = f"{plain(tier.price)} for each unit" if tier.price or tier.flat else "nothing"
            parts.append(f"{price}{flat} {where}")
            start = plain(tier.up_to) if tier.up_to is not None else start
        sentences.append(sentence(f"What is drawn costs {', '.join(parts)}"))
    if bucket.rollover:
        cap = f"at most {plain(bucket.rollover.cap)} {unit} of " if bucket.rollover.cap is not None else ""
        times = "the next grant" if bucket.rollover.grants == 1 else f"the next {bucket.rollover.grants} grants"
        sentences.append(sentence(f"{cap}what is left goes into {times}"))
    if bucket.refill:
        times = f", at most {bucket.refill.times} times a grant" if bucket.refill.times else ""
        filled = f"{plain(bucket.refill.size)} {unit} for {plain(bucket.refill.price)}"
        sentences.append(sentence(f"When it is empty it is filled by {filled}{times}"))
    return sentences


def describe_commitment(commitment: Commitment) -> str:
    """What was promised, and what follows where it is missed or passed."""
    amount, each = plain(commitment.amount), commitment.per
    whole = f"each {each} and {commitment.within or 'billing period'}"
    said = {
        "minimum": f"At least {amount} for {whole}; what is lacking is billed",
        "maximum": f"At most {amount} for {whole}; what is over is taken off",
        "commitment": f"{amount} for {whole}; what is over costs {plain(commitment.overage_factor)} times its price"
        + (", what is lacking is billed" if commitment.true_up else ""),
    }
    sentences = [sentence(said[commitment.kind])]
    sentences.append(sentence(_serves(commitment.usage_classes, commitment.rates, "Counts")))
    if commitment.prorate:
        sentences.append("In part for a period that is not whole.")
    return " ".join(sentences)


def _serves(usage_classes: tuple[str, ...], rates: tuple[str, ...], verb: str) -> str:
    named = [*usage_classes, *(f"the rate {name}" for name in rates)]
    return f"{verb} {_few(named)}" if named else f"{verb} all usage under the plan"


def describe_period(period: TimePeriod) -> str:
    """When a time period is."""
    said = [_band(band) for band in period.bands]
    if period.on_holidays == "include":
        said.append(f"on all days of {period.calendar}")
    if period.on_holidays == "exclude":
        said.append(f"never on a day of {period.calendar}")
    return sentence("; ".join(said))


def _band(band: Band) -> str:
    days = sorted(band.days)
    is_run = len(days) > 2 and days == list(range(days[0], days[-1] + 1))
    named = f"{DAY_NAMES[days[0]]} to {DAY_NAMES[days[-1]]}" if is_run else ", ".join(DAY_NAMES[day] for day in days)
    if band.starts == band.ends == time(0):
        return f"{named}, all day"
    ends = "24:00" if band.ends == time(0) else _clock(band.ends)
    after = " of the next day" if time(0) != band.ends < band.starts else ""
    return f"{named} from {_clock(band.starts)} to {ends}{after}"


def _clock(moment: time) -> str:
    return moment.isoformat("minutes" if not moment.second else "seconds")


def _few(names: list[str] | tuple[str, ...], most: int = 8) -> str:
    """Names in a row; of a long list the first, and how many more."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
