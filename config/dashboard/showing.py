"""How figures are told on the front page: tables behind the pictures, amounts, ages, the largest and the others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from django.utils.safestring import SafeString

from mediation.admin import marks

NO_BAR = SafeString("")
Row = TypeVar("Row")


@dataclass(frozen=True)
class Table:
    """What stands behind a picture. rows: the name of the row, where it leads, and its cells."""

    caption: str
    headers: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[Any]]]
    totals: Sequence[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bar:
    """A line of a chart of bars, which is its own table: name, where it leads, the bar, and what it comes to."""

    name: str
    url: str
    bar: SafeString
    figures: Sequence[str]


def whole(count: Decimal | int) -> str:
    """A count that a chart has as a number of any kind."""
    return marks.number(int(count))


def money(amount: Decimal | None, currency: str | None) -> str:
    """An amount to the cent with its currency; a dash where there is none."""
    return marks.NOTHING if amount is None else f"{amount:,.2f} {currency or ''}".strip()


def age(since: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that says something."""
    if since is None:
        return marks.NOTHING
    passed = max(now - since, timedelta(0))
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        count = passed // length
        if count >= 2 or (count and unit == "minute"):
            return f"{count:,} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def largest(rows: Iterable[Row], most: int) -> tuple[list[Row], list[Row]]:
    """The first so many of what is ordered already, and the others; one that would be the only other stays in."""
    ordered = list(rows)
    return (ordered, []) if len(ordered) <= most + 1 else (ordered[:most], ordered[most:])
