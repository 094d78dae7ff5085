"""What is asked of usage before a group or a rate fits: conditions, time periods, zones; each asked once a layer."""

from dataclasses import dataclass, field

import polars as pl

from mediation.core.expressions import Expression, fields_of
from rating.core.plans.spec import Group, Rate
from rating.core.tariffs import Version

from .reading import holds
from .time_periods import Hours, hours_of, in_hours

ZONE_COLUMNS = {  # by `zone_by` of a group
    "OriginatingIdentifier": ("originating_identifier", "originating_zone"),
    "TerminatingIdentifier": ("terminating_identifier", "terminating_zone"),
    "UdrUsageIdentifier": ("udr_usage_identifier", "usage_zone"),
}


@dataclass(frozen=True)
class Question:
    """All that must hold: conditions, time periods, and that the zone in a column is the one named."""

    conditions: tuple[Expression, ...] = ()
    hours: tuple[Hours, ...] = ()
    zone: tuple[str, str] | None = None  # the column and the name

    def __bool__(self) -> bool:
        return bool(self.conditions or self.hours or self.zone)


def of_group(version: Version, group: Group) -> Question:
    """What a group asks."""
    conditions = (group.condition,) if group.condition else ()
    return Question(conditions, (hours_of(version.plan, group.time_period),) if group.time_period else ())


def of_rate(version: Version, group: Group, rate: Rate, *, is_zone_known: bool) -> Question:
    """What a group and a rate in it ask. is_zone_known: the zone was looked at before."""
    asked = of_group(version, group)
    zone = (ZONE_COLUMNS[group.zone_by][1], rate.zone) if rate.zone is not None and not is_zone_known else None
    return Question(
        asked.conditions + ((rate.condition,) if rate.condition else ()),
        asked.hours + ((hours_of(version.plan, rate.time_period),) if rate.time_period else ()),
        zone,
    )


@dataclass
class Questions:
    """Questions by number: equal ones, of whatever plan, have the same, so that they are asked together."""

    numbers: dict[Question, int] = field(default_factory=dict)

    def number(self, question: Question) -> int | None:
        """The number of a question; None where it asks nothing."""
        return self.numbers.setdefault(question, len(self.numbers)) if question else None

    @property
    def fields(self) -> frozenset[str]:
        """The fields of the UDR that the conditions read."""
        return frozenset(name for each in self.numbers for asked in each.conditions for name in fields_of(asked))

    @property
    def need_clock(self) -> bool:
        """Whether a time period is asked for."""
        return any(each.hours for each in self.numbers)

    def answers(self, usage: pl.DataFrame, tried: pl.DataFrame) -> pl.Series:
        """Whether the `question` (a number, null: none) of each row of `tried` is answered yes by its usage.

        usage: with all that is asked. tried: row (the place of its usage), question.
        """
        numbers = tried["question"]
        answers = numbers.is_null()
        if answers.all():
            return answers
        by_number = list(self.numbers)
        for number in numbers.unique().drop_nulls().sort().to_list():
            places = (numbers == number).fill_null(False).arg_true()
            asked = usage if places.len() == usage.height else usage[tried["row"].gather(places)]
            answers = answers.scatter(places, _answer(by_number[number], asked))
        return answers


def _answer(question: Question, usage: pl.DataFrame) -> pl.Series:
    answer = pl.repeat(True, usage.height, dtype=pl.Boolean, eager=True)
    if question.zone:
        column, name = question.zone
        answer &= (usage[column] == name).fill_null(False)
    for hours in question.hours:
        answer &= usage.select(in_hours(hours).fill_null(False)).to_series()
    for condition in question.conditions:
        answer &= holds(usage, condition)
    return answer
