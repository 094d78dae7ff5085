"""Reads usage as a person or a program writes it down: CSV with a header, or JSON objects, one record each."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from io import StringIO
from typing import Any

from mediation.core.spec.document import Fault, FaultySpecError
from rating.core.plans.mistakes import mistake
from rating.core.quoting.values import UnreadableError, moment, number, text_of, truth

MOST_FAULTS = 100  # a file with the wrong column would else answer with a line for each record

# Columns by the names of the UDR's fields too, so that what a Data Profile makes can be quoted as it is.
ALIASES = {
    "Date": "date",
    "DateTime": "date",
    "UsageClassName": "usage_class",
    "Value": "value",
    "Amount": "amount",
    "Currency": "currency",
    "OriginatingIdentifier": "originating_identifier",
    "TerminatingIdentifier": "terminating_identifier",
    "UdrUsageIdentifier": "udr_usage_identifier",
    "Inbound": "inbound",
    "ReverseRating": "reverse_rating",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record of usage. date, usage_class: None for what the quote takes by default."""

    id: str
    date: datetime | None = None
    usage_class: str | None = None
    value: Decimal = Decimal(1)
    amount: Decimal | None = None
    currency: str | None = None
    account: str | None = None
    service: str | None = None
    identifier: str | None = None
    originating_identifier: str | None = None
    terminating_identifier: str | None = None
    udr_usage_identifier: str | None = None
    inbound: bool = False
    reverse_rating: bool = False
    extensions: Mapping[str, str] = field(default_factory=dict)


class FaultyUsageError(FaultySpecError):
    """Usage that cannot be priced as it is. records: all of it, without what could not be read."""

    def __init__(self, faults: list[Fault], records: list[Record]) -> None:
        super().__init__(faults)
        self.records = records


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(text_of(number(value, integer_digits=38, decimals=38)))
    if not isinstance(value, str):
        raise UnreadableError("must be a text")
    return value


def _value(value: Any) -> Decimal:
    read = number(value, integer_digits=15, decimals=6)
    if read < 0:
        raise UnreadableError("must not be negative; a change of level belongs into a column of its own")
    return read


READERS: dict[str, Callable[[Any], Any]] = {
    "id": _text,
    "date": moment,
    "usage_class": _text,
    "value": _value,
    "amount": lambda value: number(value, integer_digits=21, decimals=11),
    "currency": _text,
    "account": _text,
    "service": _text,
    "identifier": _text,
    "originating_identifier": _text,
    "terminating_identifier": _text,
    "udr_usage_identifier": _text,
    "inbound": truth,
    "reverse_rating": truth,
}


def read_usage(text: str) -> list[Record]:
    """Read usage as JSON where it begins like it, else as CSV. Raises FaultySpecError with the faults found."""
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] in ("[", "{"):
        return read_rows(parse_json(text, "/usage"))
    faults: list[Fault] = []
    return _records(_csv_rows(text, faults), faults)


def parse_json(text: str, pointer: str) -> Any:
    """JSON with its numbers as exact decimals. Raises FaultySpecError."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError) as unreadable:
        raise FaultySpecError([Fault(pointer, f"is no JSON: {mistake(unreadable)}")]) from unreadable


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def read_rows(rows: Any) -> list[Record]:
    """Read usage that was JSON: a list of objects, or an object with such a list as `usage`."""
    if isinstance(rows, dict) and "usage" in rows:
        rows = rows["usage"]
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list):
        raise FaultySpecError([Fault("/usage", "must be a list of objects, one for each record")])
    return _records(rows, [])


def _csv_rows(text: str, faults: list[Fault]) -> Iterator[dict[str, Any]]:
    """The rows of CSV; one with too many cells is told and comes empty, and what is no CSV ends it."""
    header = text.partition("\n")[0]
    delimiter = next((each for each in ",;\t" if each in header), ",")
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        if not any(names) or len(set(names)) < len(names):
            raise FaultySpecError([Fault("/usage", "must begin with a line that names each column, no name twice")])
        for place, row in enumerate(filter(None, rows)):
            if len(row) > len(names):
                told = f"line {rows.line_num} has {len(row)} cells, the header {len(names)}"
                faults.append(Fault(f"/usage/{place}", told))
                row = []
            yield {name: cell for name, cell in zip(names, row, strict=False) if cell != ""}
    except csv.Error as broken:
        faults.append(Fault("/usage", f"line {rows.line_num} is no CSV: {broken}"))


def _records(rows: Iterable[Any], faults: list[Fault]) -> list[Record]:
    """The records of rows. faults: those of the rows themselves, to which those of what they hold are added."""
    records = [_record(row, place, faults) for place, row in enumerate(rows)]
    if len(faults) > MOST_FAULTS:
        faults[MOST_FAULTS:] = [Fault("/usage", f"has {len(faults) - MOST_FAULTS} more faults")]
    if faults:
        raise FaultyUsageError(faults, records)
    return records


def _record(row: Any, place: int, faults: list[Fault]) -> Record:
    if not isinstance(row, dict):
        faults.append(Fault(f"/usage/{place}", "must be an object with the fields of one record"))
        row = {}
    fields: dict[str, Any] = {"id": str(place + 1)}
    extensions: dict[str, str] = {}
    for name, value in row.items():
        known = ALIASES.get(name, name)
        try:
            if value is None:
                continue
            if known in READERS:
                fields[known] = READERS[known](value)
            elif known == "extensions" and isinstance(value, dict):
                extensions.update({key: _text(each) for key, each in value.items() if each is not None})
            else:
                extensions[name.removeprefix("Extensions.")] = _text(value)
        except UnreadableError as unreadable:
            faults.append(Fault(f"/usage/{place}/{name}", str(unreadable)))
    return replace(Record(**fields), extensions=extensions)
