"""Fields: which source field feeds which UDR field, and what is done to it on the way."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from mediation.core.spec.document import MAX_NAME, Document

# Each UDR field that a profile can map, with what its text is parsed as.
FIELD_KINDS: dict[str, str] = {
    "Date": "date",
    "UdrIdentifierTypeName": "text",
    "OriginatingIdentifier": "text",
    "TerminatingIdentifier": "text",
    "UdrUsageIdentifier": "text",
    "CandidateTerminatingIdentifier": "text",
    "UniquenessIdentifier": "text",
    "Value": "number",
    "Amount": "number",
    "Currency": "text",
    "Inbound": "boolean",
    "ReverseRating": "boolean",
    "UsageClassName": "text",
    "UsageClassTypeName": "text",
    "PrimaryDataRow": "integer",
    "UsageBillDate": "date",
    "Extensions": "json",
}
FIELD_ALIASES = {"DateTime": "Date"}  # one field, two names in the field's documents
REQUIRED_FIELDS = ("Date", "Value", "UsageClassName")
IDENTIFIER_FIELDS = ("UdrUsageIdentifier", "OriginatingIdentifier", "TerminatingIdentifier")
EXTENSION_PREFIX = "Extensions."
CASES = ("upper", "lower")
# What a date format may say, in the letters of chrono. `%f` is not among them: it would read .25 as 25 nanoseconds.
DATE_DIRECTIVES = re.compile(r"%(?:[YymbBhdejFDHIMSpPTRzaA%]|:z|\.f|\.?[369]f)")
DATE_FORMAT_HINT = "write for example %Y-%m-%d %H:%M:%S%.f"
# Zones of the machine, not of the world.
NO_ZONES = ("Factory", "localtime")


@dataclass(frozen=True)
class FieldMapping:
    """Where a UDR field's text comes from, and what is done to it, in the order of these fields."""

    name: str
    source: str | None = None
    literal: str | None = None
    trim: bool = True
    case: str | None = None
    value_map: dict[str, str] | None = None
    default: str | None = None
    date_formats: tuple[str, ...] = ("iso",)
    time_zone: str = "UTC"
    decimal_sign: str = "."
    group_sign: str = ""
    round_to: int | None = None

    @property
    def kind(self) -> str:
        return FIELD_KINDS.get(self.name, "text")


@cache
def _zone_names() -> frozenset[str]:
    """Asked once: the answer is a walk through all zone files, 2 ms each time, for every field of every request."""
    return frozenset(available_timezones())


class FieldsDocument(Document):
    """The member `fields`."""

    def parse(self, value: Any) -> tuple[FieldMapping, ...]:
        if not isinstance(value, dict):
            self.fault("/fields", "must be an object that maps UDR fields")
            return ()
        return tuple(self._field(name, body) for name, body in value.items())

    def _field(self, name: str, body: Any) -> FieldMapping:
        pointer = f"/fields/{name}"
        name = FIELD_ALIASES.get(name, name)
        if len(name) > MAX_NAME:
            self.fault(pointer, f"is longer than {MAX_NAME} characters")
        if name not in FIELD_KINDS and (not name.startswith(EXTENSION_PREFIX) or name == EXTENSION_PREFIX):
            self.fault(pointer, f"is no UDR field; those are {', '.join(FIELD_KINDS)} and {EXTENSION_PREFIX}<name>")
        known = {"source", "literal", "trim", "case", "value_map", "default", "date_format", "time_zone"}
        body = self.object(body, pointer, known | {"decimal_sign", "group_sign", "round_to"})
        if ("source" in body) == ("literal" in body):
            self.fault(pointer, "needs either a source or a literal")
        if body.get("case") not in (None, *CASES):
            self.fault(f"{pointer}/case", f"must be one of {', '.join(CASES)}")
        return FieldMapping(
            name=name,
            source=self.text(body, "source", pointer),
            literal=self.text(body, "literal", pointer),
            trim=self._trim(body.get("trim", True), pointer),
            case=body.get("case"),
            value_map=self._value_map(body.get("value_map"), pointer),
            default=self.text(body, "default", pointer),
            date_formats=self._date_formats(body.get("date_format", "iso"), pointer),
            time_zone=self._time_zone(body.get("time_zone", "UTC"), pointer),
            decimal_sign=self._number_sign(body, "decimal_sign", ".", pointer),
            group_sign=self._number_sign(body, "group_sign", "", pointer),
            round_to=self._round_to(body.get("round_to"), name, pointer),
        )

    def _trim(self, value: Any, pointer: str) -> bool:
        if not isinstance(value, bool):
            self.fault(f"{pointer}/trim", "must be true or false")
        return bool(value)

    def _number_sign(self, body: dict[str, Any], name: str, default: str, pointer: str) -> str:
        value = body.get(name, default)
        is_sign = isinstance(value, str) and len(value) == 1 and not value.isalnum() and value not in "+-"
        if not is_sign and not (name == "group_sign" and value == ""):
            self.fault(f"{pointer}/{name}", "must be one sign, neither a letter, a digit, + nor -")
            return default
        if name == "group_sign" and value == body.get("decimal_sign", "."):
            self.fault(f"{pointer}/{name}", "must differ from the decimal sign")
        return str(value)

    def _value_map(self, value: Any, pointer: str) -> dict[str, str] | None:
        if value is None:
            return None
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            self.fault(f"{pointer}/value_map", "must be an object of texts")
            return None
        return value

    def _date_formats(self, value: Any, pointer: str) -> tuple[str, ...]:
        formats = (value,) if isinstance(value, str) else value
        if not isinstance(formats, list | tuple) or not formats or not all(isinstance(f, str) for f in formats):
            self.fault(f"{pointer}/date_format", "must be iso, epoch, a format such as %d.%m.%Y %H:%M:%S, or a list")
            return ("iso",)
        wrong = [(text, fault) for text in formats if (fault := _fault_of_date_format(text))]
        for text, fault in wrong:
            self.fault(f"{pointer}/date_format", f"{text!r} {fault}; {DATE_FORMAT_HINT}")
        return ("iso",) if wrong else tuple(formats)

    def _time_zone(self, value: Any, pointer: str) -> str:
        if not isinstance(value, str) or value not in _zone_names() or value in NO_ZONES:
            self.fault(f"{pointer}/time_zone", f"{value!r} is no IANA time zone, such as Europe/Berlin")
            return "UTC"
        return value

    def _round_to(self, value: Any, name: str, pointer: str) -> int | None:
        most = 11 if name == "Amount" else 6
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most):
            return value
        self.fault(f"{pointer}/round_to", f"must be a whole number from 0 to {most}")
        return None


def _fault_of_date_format(text: str) -> str | None:
    """What keeps a date format from being read exactly; None where nothing does."""
    if text in ("iso", "epoch"):
        return None
    found = {directive.removeprefix("%") for directive in DATE_DIRECTIVES.findall(text)}
    if "%" in DATE_DIRECTIVES.sub("", text):
        return "holds a directive that is not read"
    has_month_day = found & {"d", "e"} and found & {"m", "b", "B", "h"}
    if not (found & {"F", "D"} or (found & {"Y", "y"} and ("j" in found or has_month_day))):
        return "does not name the day: year, month and day"
    if found & {"H", "I", "M", "S"} and not (found & {"H", "I"} and "M" in found):
        return "must name both hours and minutes, or neither"
    if found & {"z", ":z"} and not found & {"H", "I", "T", "R"}:
        return "names an offset but no time"
    return None
