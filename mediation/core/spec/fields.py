"""Fields: which source field feeds which UDR field, and what is done to it on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from mediation.core.dates import DATE_FORMAT_HINT, fault_of_date_format
from mediation.core.expressions import Kind
from mediation.core.spec.document import MAX_NAME, Document
from mediation.core.transforms import HEADS, MEMBERS, Head, Scope, Transform, lookups_of, parse_head_and_chain

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
# Zones of the machine, not of the world.
NO_ZONES = ("Factory", "localtime")


@dataclass(frozen=True)
class FieldMapping:
    """Where a UDR field's text comes from, and what is done to it, in the order of these fields."""

    name: str
    source: str | None = None
    literal: str | None = None
    head: Head | None = None  # where the text begins when it is not one source field
    trim: bool = True
    transforms: tuple[Transform, ...] = ()
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

    @property
    def is_rich(self) -> bool:
        """Whether more than an expression over one source field makes the text."""
        return self.head is not None or bool(self.transforms)

    @property
    def lookups(self) -> frozenset[tuple[str, str]]:
        """The lookup tables that the chain asks, each with the column that it gives."""
        return lookups_of(self.transforms)

    @property
    def sources(self) -> list[str]:
        """The source fields that the mapping reads."""
        beside = [self.head.sources] if self.head else []
        beside += [transform.sources for transform in self.transforms]
        own = [self.source] if self.source else []
        return own + sorted({name for names in beside for name in names})


@cache
def _zone_names() -> frozenset[str]:
    """Asked once: the answer is a walk through all zone files, 2 ms each time, for every field of every request."""
    return frozenset(available_timezones())


class FieldsDocument(Document):
    """The member `fields`."""

    def parse(self, value: Any, sources: Mapping[str, Kind]) -> tuple[FieldMapping, ...]:
        """sources: the source fields that expressions may name."""
        if not isinstance(value, dict):
            self.fault("/fields", "must be an object that maps UDR fields")
            return ()
        mapped = tuple(str(FIELD_ALIASES.get(name, name)) for name in value)
        return tuple(self._field(name, body, sources, mapped) for name, body in value.items())

    def _field(self, name: str, body: Any, sources: Mapping[str, Kind], mapped: tuple[str, ...]) -> FieldMapping:
        pointer = f"/fields/{name}"
        name = FIELD_ALIASES.get(name, name)
        if len(name) > MAX_NAME:
            self.fault(pointer, f"is longer than {MAX_NAME} characters")
        if name not in FIELD_KINDS and (not name.startswith(EXTENSION_PREFIX) or name == EXTENSION_PREFIX):
            self.fault(pointer, f"is no UDR field; those are {', '.join(FIELD_KINDS)} and {EXTENSION_PREFIX}<name>")
        known = {"source", "literal", "trim", "case", "value_map", "default", "date_format", "time_zone"}
        body = self.object(body, pointer, known | MEMBERS | {"decimal_sign", "group_sign", "round_to"})
        if len(body.keys() & {"source", "literal", *HEADS}) != 1:
            self.fault(pointer, f"needs either a source, a literal, or one of {', '.join(HEADS)}")
        decimal_sign = self._number_sign(body, "decimal_sign", ".", pointer)
        group_sign = self._number_sign(body, "group_sign", "", pointer)
        scope = Scope(self.fault, sources, field=name, decimal_sign=decimal_sign, group_sign=group_sign)
        head, transforms = parse_head_and_chain(body, pointer, scope, mapped)
        if body.get("case") not in (None, *CASES):
            self.fault(f"{pointer}/case", f"must be one of {', '.join(CASES)}")
        return FieldMapping(
            name=name,
            source=self.text(body, "source", pointer),
            literal=self.text(body, "literal", pointer),
            head=head,
            transforms=transforms,
            trim=self._trim(body.get("trim", True), pointer),
            case=body.get("case"),
            value_map=self._value_map(body.get("value_map"), pointer),
            default=self.text(body, "default", pointer),
            date_formats=self._date_formats(body.get("date_format", "iso"), pointer),
            time_zone=self._time_zone(body.get("time_zone", "UTC"), pointer),
            decimal_sign=decimal_sign,
            group_sign=group_sign,
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
        wrong = [(text, fault) for text in formats if (fault := fault_of_date_format(text))]
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
