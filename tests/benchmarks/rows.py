"""Made rows in the shape that the source document prints: about 130 bytes each, none like another, from a seed."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tests.benchmarks.world import CLASSES, identifier_of


class Row(NamedTuple):
    """A record as its sender knows it. number: no two rows share it; it stands in the terminating identifier."""

    number: int
    date: datetime
    account: int
    value: int
    usage_class: int

    @property
    def text(self) -> str:
        moment = f"{self.date:%Y-%m-%dT%H:%M:%S}.{self.date.microsecond // 10_000:02d}"
        usage_class = CLASSES[self.usage_class]
        return (
            f"{moment},Unknown,{4_030_000_000 + self.account},{terminating(self.number)},{identifier_of(self.account)},"
            f"{self.value},False,False,{usage_class.name},{usage_class.kind},{moment}"
        )


def terminating(number: int) -> int:
    return 4_100_000_000 + number


def make_rows(count: int, *, accounts: int, seed: int, now: datetime, first: int = 0) -> Iterator[Row]:
    """`count` rows numbered from `first`, with dates from the start of last month until `now`."""
    chance = random.Random(seed)
    last_month = now.replace(day=1) - timedelta(days=1)
    start = datetime(last_month.year, last_month.month, 1, tzinfo=UTC)
    hundredths = int((now - start).total_seconds() * 100)
    for number in range(first, first + count):
        date = start + timedelta(milliseconds=10 * int(chance.random() * hundredths))
        account = int(chance.random() * accounts)
        value = 1 + int(chance.random() * 999)
        yield Row(number, date, account, value, int(chance.random() * len(CLASSES)))
