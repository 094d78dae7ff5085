"""Why this rate and no other: the groups and rates that were tried before it, and what did not hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from mediation.core.expressions import Expression
from mediation.core.expressions.moments import write_moment
from rating.core.matching.offers import OFFERS, Offers
from rating.core.matching.questions import ZONE_COLUMNS, Question, Questions
from rating.core.matching.searching import with_answers
from rating.core.matching.time_periods import hours_of
from rating.core.plans.spec import Group, Rate
from rating.core.tariffs import PricedRate, Version

MOST_TRIED = 50  # of rates that are named one by one


@dataclass(frozen=True)
class Tried:
    """A group, or a rate of it, that was tried. reasons: what did not hold; empty: it fits."""

    group: str
    rate: str
    reasons: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether it is the rate that prices the usage."""
        return not self.reasons


@dataclass(frozen=True)
class Search:
    """Groups and rates in the order in which they were tried, the last of them the one that fits.

    left_out: how many rates of other zones, or beyond the first fifty, are not named. zone: that was found.
    """

    tried: tuple[Tried, ...]
    left_out: int
    zone: str | None


def search_of(usage: pl.DataFrame, chosen: PricedRate) -> Search:
    """The search that ended at a rate. usage: one row of schema KNOWN with usage_class and version_id."""
    version = chosen.version
    questions = Questions()
    asked = _Asked(version, questions)
    groups = version.plan.groups
    groups = groups[: groups.index(chosen.group) + 1]
    for group in groups:
        for rate in _of_class(group, chosen):
            asked.rate(group, rate)
        asked.group(group)
    answered = with_answers(usage, Offers(pl.DataFrame(schema=OFFERS), {}, questions), [version])
    asked.answer(answered)
    tried: list[Tried] = []
    left_out = 0
    for group in groups:
        for each in asked.tried_in(group, chosen):
            is_other_zone = len(each.reasons) == 1 and each.reasons[0].startswith(OTHER_ZONE)
            if not each.fits and (is_other_zone or len(tried) >= MOST_TRIED):
                left_out += 1
            else:
                tried.append(each)
    zone = answered[ZONE_COLUMNS[chosen.group.zone_by][1]][0] if chosen.rate.zone is not None else None
    return Search(tuple(tried), left_out, zone)


OTHER_ZONE = "it is for the zone"


def _of_class(group: Group, chosen: PricedRate) -> Iterator[Rate]:
    """The rates of a group for the class, up to the one that was chosen."""
    for rate in group.rates:
        if rate.usage_class == chosen.rate.usage_class:
            yield rate
        if group is chosen.group and rate is chosen.rate:
            return


class _Asked:
    """What groups and rates ask of the usage: every question once, with its answer."""

    def __init__(self, version: Version, questions: Questions) -> None:
        self.version, self.questions = version, questions
        self.answers: list[bool] = []
        self.usage: pl.DataFrame | None = None

    def group(self, group: Group) -> None:
        for question, _ in self._of(group.condition, group.time_period):
            self.questions.number(question)

    def rate(self, group: Group, rate: Rate) -> None:
        for question, _ in self._of_rate(group, rate):
            self.questions.number(question)

    def answer(self, usage: pl.DataFrame) -> None:
        """Ask everything of one row."""
        numbers = pl.DataFrame(
            {"row": [0] * len(self.questions.numbers), "question": list(range(len(self.questions.numbers)))},
            schema={"row": pl.UInt32, "question": pl.Int64},
        )
        self.usage = usage
        self.answers = [
            bool(self.questions.answers(usage, numbers[place : place + 1]).item()) for place in range(numbers.height)
        ]

    def tried_in(self, group: Group, chosen: PricedRate) -> Iterator[Tried]:
        """The group itself where it does not hold, else each of its rates for the class."""
        reasons = (*self._not_valid(group), *self._refused(self._of(group.condition, group.time_period)))
        if reasons:
            yield Tried(group.name, "", reasons)
            return
        rates = list(_of_class(group, chosen))
        if not rates:
            yield Tried(group.name, "", (f"it has no rate for class “{chosen.rate.usage_class}”",))
        for rate in rates:
            if group is chosen.group and rate is chosen.rate:
                yield Tried(group.name, rate.name, ())
            else:
                reasons = tuple(self._refused(self._of_rate(group, rate)))
                yield Tried(group.name, rate.name, reasons or ("it did not hold when the usage was rated",))

    def _not_valid(self, group: Group) -> Iterator[str]:
        moment = self.usage["date"][0] if self.usage is not None else None
        if moment is not None and group.starts_at is not None and moment < group.starts_at:
            yield f"it is valid only from {_in_utc(group.starts_at)}"
        if moment is not None and group.ends_at is not None and moment >= group.ends_at:
            yield f"it was valid only before {_in_utc(group.ends_at)}"

    def _refused(self, asked: Iterator[tuple[Question, str]]) -> Iterator[str]:
        for question, reason in asked:
            number = self.questions.number(question)
            if number is not None and not self.answers[number]:
                yield reason

    def _of_rate(self, group: Group, rate: Rate) -> Iterator[tuple[Question, str]]:
        yield from self._of(rate.condition, rate.time_period)
        if rate.zone is not None:
            column = ZONE_COLUMNS[group.zone_by][1]
            yield Question(zone=(column, rate.zone)), f"{OTHER_ZONE} “{rate.zone}”"

    def _of(self, condition: Expression | None, time_period: str | None) -> Iterator[tuple[Question, str]]:
        if condition is not None:
            yield Question(conditions=(condition,)), f"its condition does not hold: {condition.text}"
        if time_period is not None:
            hours = hours_of(self.version.plan, time_period)
            yield Question(hours=(hours,)), f"the usage is not in the time period “{time_period}”"


def _in_utc(moment: datetime) -> str:
    """As the rest of an explanation says it; to the microsecond, where the plan does."""
    return f"{write_moment(moment).replace('T', ' ').removesuffix('Z')} UTC"
