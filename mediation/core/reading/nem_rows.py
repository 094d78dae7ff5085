"""The rows of meter data: what each says, and what is wrong with it."""

import csv
import re
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from mediation.core.codes import Code
from mediation.core.reading.frames import UnreadableError

LINE_NUMBERS = 1_000  # a record's number is that of its line times this, plus that of its interval
OFFSET = "+10:00"  # all year
DAY_MINUTES = 24 * 60
LEAST_INTERVAL = 5  # minutes: the shortest that the format knows, and 288 a day
QUALITY = re.compile(r"[AEFNSV](?:\d\d)?")
ASK_AGAIN = "It cannot be corrected here: ask the source for the day again"


class FaultError(ValueError):
    """A row that cannot be read; carries the code."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class Meter(NamedTuple):
    """What a 200 row says of the days below it."""

    facts: dict[str, str]
    interval_minutes: int


@dataclass
class Day:
    """A 300 row, with what the 400 rows below it say of its intervals."""

    line: int
    text: str
    meter: Meter
    date: date
    values: list[str]
    qualities: list[str | None]
    reasons: list[str]
    descriptions: list[str]
    updated: str
    is_varied: bool
    ends: int = 0  # the last interval that a 400 row spoke of
    fault: FaultError | None = None


@dataclass
class Reader:
    """Takes the rows of a span in their order."""

    meter: Meter | FaultError
    days: list[Day] = field(default_factory=list)
    reads: list[dict[str, Any]] = field(default_factory=list)
    faults: list[tuple[int, str, str, str]] = field(default_factory=list)

    def take(self, line: int, text: str) -> None:
        """Take a row. text: with bytes that are not UTF-8 as halves of surrogate pairs. Raises UnreadableError."""
        fields = _fields(text)
        kind, wrong = fields[0], _fault_of_text(text)
        if wrong:
            text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        try:
            if kind == "200":
                self.meter = FaultError(Code.MALFORMED, f"the 200 row above it, line {line:,}, is wrong. {ASK_AGAIN}")
            if kind == "400":
                self._tell_quality(text, fields, wrong)
            elif wrong and kind in ("200", "250", "300"):
                raise wrong
            elif kind == "200":
                self.meter = _meter(fields)
            elif kind == "300":
                self.days.append(_day(line, text, fields, self.meter))
            elif kind == "250":
                self.reads.append({"line": line, **_register_read(fields)})
            elif kind not in ("100", "500", "550", "900"):
                raise UnreadableError(f"Line {line:,} is no row of meter data.")
        except FaultError as fault:
            self.faults.append((line * LINE_NUMBERS, text, str(fault.code), str(fault)))

    def _tell_quality(self, text: str, fields: list[str], wrong: FaultError | None) -> None:
        """A 400 row speaks of the day above it; where it is wrong, so is that day."""
        if not self.days or (self.faults and self.faults[-1][0] > self.days[-1].line * LINE_NUMBERS):
            return  # it belongs to a row that is an exception already
        day = self.days[-1]
        day.text = f"{day.text}\n{text}"
        if wrong:
            day.fault = wrong
            return
        first, last = (int(text) if re.fullmatch(r"\d{1,4}", text) else 0 for text in (*fields, "", "")[1:3])
        is_range = day.ends + 1 == first <= last <= len(day.values)
        if not is_range or len(fields) < 4 or not QUALITY.fullmatch(fields[3]) or fields[3].startswith("V"):
            told = f"the row {text[:60]} does not continue the quality of the day's intervals. {ASK_AGAIN}"
            day.fault = FaultError(Code.MALFORMED, told)
            return
        day.ends = last
        for place in range(first - 1, last):
            day.qualities[place] = fields[3]
            day.reasons[place], day.descriptions[place] = (*fields, "", "")[4:6]


def _fault_of_text(text: str) -> FaultError | None:
    if "\0" in text:
        return FaultError(Code.CONTROL_CHARACTER, "the row holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return FaultError(Code.UNDECODABLE, f"character {error.start + 1} of the row is not UTF-8")
    return None


def _fields(text: str) -> list[str]:
    if '"' not in text:
        return [part.strip() for part in text.split(",")]
    try:
        return [part.strip() for part in next(csv.reader([text]), [""])]
    except csv.Error:
        return [part.strip() for part in text.split(",")]


def _meter(fields: list[str]) -> Meter:
    if not 9 <= len(fields) <= 10 or not fields[1]:
        raise FaultError(Code.TOO_FEW_COLUMNS, f"a 200 row has 10 fields and names its NMI; this one has {len(fields)}")
    minutes = int(fields[8]) if re.fullmatch(r"\d{1,4}", fields[8]) else 0
    if minutes < LEAST_INTERVAL or DAY_MINUTES % minutes:
        raise FaultError(Code.MALFORMED, f"{fields[8]!r} is no interval length, such as 5, 15 or 30 minutes")
    names = ("NMI", "NMIConfiguration", "RegisterID", "NMISuffix", "", "MeterSerialNumber", "UOM")
    facts = {name: text for name, text in zip(names, fields[1:8], strict=True) if name}
    return Meter({**facts, "IntervalLength": str(minutes)}, minutes)


def _day(line: int, text: str, fields: list[str], meter: Meter | FaultError) -> Day:
    if isinstance(meter, FaultError):
        raise meter
    count = DAY_MINUTES // meter.interval_minutes
    day = _date(fields[1] if len(fields) > 1 else "")
    if len(fields) > count + 7:
        told = f"{len(fields)} fields where a day of {count} intervals has {count + 7}. {ASK_AGAIN}"
        raise FaultError(Code.TOO_MANY_COLUMNS, told)
    if len(fields) < count + 3 or not QUALITY.fullmatch(fields[count + 2]):
        told = f"the day is not complete: it must have {count} values and then its quality. {ASK_AGAIN}"
        raise FaultError(Code.TOO_FEW_COLUMNS, told)
    quality, reason, description, updated = (*fields[count + 2 :], "", "", "")[:4]
    is_varied = quality.startswith("V")
    return Day(
        line=line,
        text=text,
        meter=meter,
        date=day,
        values=fields[2 : count + 2],
        qualities=[None if is_varied else quality] * count,
        reasons=[reason] * count,
        descriptions=[description] * count,
        updated=updated,
        is_varied=is_varied,
    )


def _date(text: str) -> date:
    try:
        found = datetime.strptime(text, "%Y%m%d").date() if re.fullmatch(r"\d{8}", text) else None  # noqa: DTZ007
    except ValueError:
        found = None
    if found is None or found.year == date.max.year:
        raise FaultError(Code.BAD_DATE, f"{text[:40]!r} is no date such as 20260131. {ASK_AGAIN}")
    return found


def _register_read(fields: list[str]) -> dict[str, str]:
    """A 250 row: what was used between two reads of a register."""
    if not 22 <= len(fields) <= 23 or not fields[1]:
        raise FaultError(Code.TOO_FEW_COLUMNS, f"a 250 row has 23 fields and names its NMI; this one has {len(fields)}")
    names = ("NMI", "NMIConfiguration", "RegisterID", "NMISuffix", "", "MeterSerialNumber", "DirectionIndicator")
    facts = {name: text for name, text in zip(names, fields[1:8], strict=True) if name}
    start, end = _moment(fields[9]), _moment(fields[14])
    return {
        **facts,
        "PreviousRegisterRead": fields[8],
        "CurrentRegisterRead": fields[13],
        "IntervalDate": end[:10],
        "IntervalStart": start,
        "IntervalEnd": end,
        "QualityMethod": fields[15],
        "ReasonCode": fields[16],
        "ReasonDescription": fields[17],
        "Value": fields[18],
        "UOM": fields[19],
        "UpdateDateTime": fields[21],
    }


def _moment(text: str) -> str:
    try:
        if re.fullmatch(r"\d{14}", text):
            return datetime.strptime(text, "%Y%m%d%H%M%S").isoformat() + OFFSET  # noqa: DTZ007
    except ValueError:
        pass
    raise FaultError(Code.BAD_DATE, f"{text[:40]!r} is no moment such as 20260131235959")
