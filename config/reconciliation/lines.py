"""What was received on one day by one feed, and what became of it: each number counted from another table."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

# Sums of amounts have up to 38 digits; Python's own context would round after 28.
DIGITS = 60


@dataclass(frozen=True)
class Line:
    """Counts of records and UDRs of one feed, received on one day (UTC).

    The history tells received and waiting; UDR batches tell imported, earlier, not_rated and voided; the rows of
    exceptions and of left-out records tell exceptions, skipped and duplicates; charges tell charged, taking_back and
    amounts; rating exceptions tell unrated and written_off. earlier: UDRs of an attempt that counts until a newer one
    is complete. voided: UDRs of batches that count, taken back by themselves. taking_back: UDRs that count no more,
    whose charges are still to be reversed. amounts: currency -> what all the charges come to, reversals included.
    """

    feed_id: int
    day: date | None
    imports: int = 0
    received: int = 0
    imported: int = 0
    exceptions: int = 0
    skipped: int = 0
    duplicates: int = 0
    waiting: int = 0
    earlier: int = 0
    charged: int = 0
    unrated: int = 0
    written_off: int = 0
    not_rated: int = 0
    voided: int = 0
    taking_back: int = 0
    amounts: dict[str, Decimal] = field(default_factory=dict)

    @property
    def received_difference(self) -> int:
        """Records received of which no outcome is found; negative: outcomes of no record."""
        return self.received - self.imported - self.exceptions - self.skipped - self.duplicates - self.waiting

    @property
    def udrs(self) -> int:
        """The UDRs that count."""
        return self.imported + self.earlier

    @property
    def udr_difference(self) -> int:
        """UDRs neither charged nor refused nor waiting nor voided; negative: what is charged or refused of no UDR."""
        return self.udrs - self.charged - self.unrated - self.written_off - self.not_rated - self.voided

    @property
    def agrees(self) -> bool:
        return not self.received_difference and not self.udr_difference


COUNTS = tuple(each.name for each in fields(Line) if each.name not in ("feed_id", "day", "amounts"))


def total(lines: Iterable[Line], *, feed_id: int = 0, day: date | None = None) -> Line:
    """The sum of lines, as a line of this feed and day."""
    counts = dict.fromkeys(COUNTS, 0)
    amounts: dict[str, Decimal] = {}
    with localcontext(prec=DIGITS):
        for line in lines:
            for name in COUNTS:
                counts[name] += getattr(line, name)
            for currency, amount in line.amounts.items():
                amounts[currency] = amounts.get(currency, Decimal(0)) + amount
    return Line(feed_id=feed_id, day=day, **counts, amounts=dict(sorted(amounts.items())))


def as_json(line: Line) -> dict[str, Any]:
    """A line as it is kept; amounts are texts."""
    told = asdict(line)
    told["day"] = line.day.isoformat() if line.day else None
    told["amounts"] = {currency: str(amount) for currency, amount in line.amounts.items()}
    return told


def from_json(told: dict[str, Any]) -> Line:
    amounts = {currency: Decimal(amount) for currency, amount in told["amounts"].items()}
    day = date.fromisoformat(told["day"]) if told["day"] else None
    return Line(**{**told, "day": day, "amounts": amounts})
