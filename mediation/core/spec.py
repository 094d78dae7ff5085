"""A Data Profile as values: parsed from its JSON document, or refused with every fault and its place."""

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from zoneinfo import available_timezones

import polars as pl

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

# Encodings in which a line feed is one byte of its own, so that a file can be cut between any two lines.
ENCODINGS = ("utf-8", "ascii", "iso-8859-1", "iso-8859-15", "cp1252", "cp850")
CASES = ("upper", "lower")
# What a date format may say, in the letters of chrono. `%f` is not among them: it would read .25 as 25 nanoseconds.
DATE_DIRECTIVES = re.compile(r"%(?:[YymbBhdejFDHIMSpPTRzaA%]|:z|\.f|\.?[369]f)")
DATE_FORMAT_HINT = "write for example %Y-%m-%d %H:%M:%S%.f"
# Zones of the machine, not of the world.
NO_ZONES = ("Factory", "localtime")
MAX_NAME = 200  # characters of a field's or filter's name, as far as exceptions can hold it
OPERATORS = ("equals", "not_equals", "is_empty", "is_not_empty", "matches")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a profile: where (a JSON pointer), and what to do."""

    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer}: {self.message}"


class FaultySpecError(ValueError):
    """A profile document that cannot be used; carries every fault."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


@dataclass(frozen=True)
class Delimited:
    """Text in rows: one record a line, unless a quoted field holds a line end."""

    delimiter: str = ","
    quote: str = '"'  # empty: the source does not quote
    encoding: str = "utf-8"
    line_ending: str = "lf"  # "lf" reads LF and CR LF; "cr" reads CR alone
    header_rows: int = 0
    columns_by: str = "position"  # or "name": the file's header row names its columns
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Json:
    """JSON records: one object, an array, `{"data": [...]}`, or an object a line."""

    encoding: str = "utf-8"


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


@dataclass(frozen=True)
class SkipFilter:
    """Records that match are counted as skipped."""

    name: str
    source: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProfileSpec:
    """How the records of a source are read, mapped and filtered."""

    format: Delimited | Json
    fields: tuple[FieldMapping, ...]
    skip: tuple[SkipFilter, ...] = ()
    uniqueness: tuple[str, ...] = ()
    null_texts: tuple[str, ...] = ()

    @property
    def sources(self) -> list[str]:
        """The source fields that mappings and filters read, each once."""
        named = [mapping.source for mapping in self.fields if mapping.source] + [skip.source for skip in self.skip]
        return list(dict.fromkeys(named))

    def mapping(self, name: str) -> FieldMapping | None:
        return next((mapping for mapping in self.fields if mapping.name == name), None)


@cache
def _zone_names() -> frozenset[str]:
    """Asked once: the answer is a walk through all zone files, 2 ms each time, for every field of every request."""
    return frozenset(available_timezones())


def parse_spec(document: Any) -> ProfileSpec:
    """The spec that a profile's JSON document states. Raises FaultySpecError with all faults at once."""
    return _Parser().parse(document)


@dataclass
class _Parser:
    faults: list[Fault] = field(default_factory=list)

    def parse(self, document: Any) -> ProfileSpec:
        document = self._object(document, "", {"format", "fields", "skip", "uniqueness", "null_texts"})
        spec = ProfileSpec(
            format=self._format(document.get("format")),
            fields=self._fields(document.get("fields")),
            skip=self._skip(document.get("skip", [])),
            uniqueness=self._uniqueness(document.get("uniqueness", [])),
            null_texts=self._texts(document.get("null_texts", []), "/null_texts"),
        )
        self._check_whole(spec)
        if self.faults:
            raise FaultySpecError(self.faults)
        return spec

    def _fault(self, pointer: str, message: str) -> None:
        self.faults.append(Fault(pointer or "/", message))

    def _object(self, value: Any, pointer: str, known: set[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._fault(pointer, "must be an object")
            return {}
        for name in value.keys() - known:
            self._fault(f"{pointer}/{name}", f"is not known here; known are {', '.join(sorted(known))}")
        return value

    def _texts(self, value: Any, pointer: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._fault(pointer, "must be a list of texts")
            return ()
        return tuple(value)

    def _text(self, of: dict[str, Any], name: str, pointer: str, default: str | None = None) -> str | None:
        value = of.get(name, default)
        if value is not None and not isinstance(value, str):
            self._fault(f"{pointer}/{name}", "must be a text")
            return default
        return value

    def _choice(self, of: dict[str, Any], name: str, pointer: str, choices: tuple[str, ...], default: str) -> str:
        value = of.get(name, default)
        if value not in choices:
            self._fault(f"{pointer}/{name}", f"must be one of {', '.join(choices)}")
            return default
        return value

    def _format(self, value: Any) -> Delimited | Json:
        if isinstance(value, dict) and value.get("kind") == "json":
            self._object(value, "/format", {"kind", "encoding"})
            return Json(encoding=self._choice(value, "encoding", "/format", ("utf-8",), "utf-8"))
        if not isinstance(value, dict) or value.get("kind") != "delimited":
            self._fault("/format/kind", "must be delimited or json")
            return Json()
        known = {"kind", "delimiter", "quote", "encoding", "line_ending", "header_rows", "columns_by", "columns"}
        self._object(value, "/format", known)
        return self._delimited(value)

    def _delimited(self, value: dict[str, Any]) -> Delimited:
        header_rows = value.get("header_rows", 0)
        if not isinstance(header_rows, int) or isinstance(header_rows, bool) or not 0 <= header_rows <= 100:
            self._fault("/format/header_rows", "must be a whole number from 0 to 100")
            header_rows = 0
        format_ = Delimited(
            delimiter=self._sign(value, "delimiter", ",") or ",",
            quote=self._sign(value, "quote", '"', may_be_empty=True),
            encoding=self._choice(value, "encoding", "/format", ENCODINGS, "utf-8"),
            line_ending=self._choice(value, "line_ending", "/format", ("lf", "cr"), "lf"),
            header_rows=header_rows,
            columns_by=self._choice(value, "columns_by", "/format", ("position", "name"), "position"),
            columns=self._texts(value.get("columns", []), "/format/columns"),
        )
        if format_.columns_by == "position" and not format_.columns:
            self._fault("/format/columns", "must name the columns in their order")
        if format_.columns_by == "name" and not format_.header_rows:
            self._fault("/format/header_rows", "must be at least 1 where the header names the columns")
        if len(set(format_.columns)) != len(format_.columns):
            self._fault("/format/columns", "names a column twice")
        if format_.quote == format_.delimiter:
            self._fault("/format/quote", "must differ from the delimiter")
        return format_

    def _sign(self, of: dict[str, Any], name: str, default: str, may_be_empty: bool = False) -> str:
        value = of.get(name, default)
        is_sign = isinstance(value, str) and len(value) == 1 and value.isascii() and value not in "\r\n\0"
        if is_sign or (may_be_empty and value == ""):
            return str(value)
        self._fault(f"/format/{name}", "must be one ASCII character" + (", or empty" if may_be_empty else ""))
        return default

    def _fields(self, value: Any) -> tuple[FieldMapping, ...]:
        if not isinstance(value, dict):
            self._fault("/fields", "must be an object that maps UDR fields")
            return ()
        return tuple(self._field(name, body) for name, body in value.items())

    def _field(self, name: str, body: Any) -> FieldMapping:
        pointer = f"/fields/{name}"
        name = FIELD_ALIASES.get(name, name)
        if len(name) > MAX_NAME:
            self._fault(pointer, f"is longer than {MAX_NAME} characters")
        if name not in FIELD_KINDS and (not name.startswith(EXTENSION_PREFIX) or name == EXTENSION_PREFIX):
            self._fault(pointer, f"is no UDR field; those are {', '.join(FIELD_KINDS)} and {EXTENSION_PREFIX}<name>")
        known = {"source", "literal", "trim", "case", "value_map", "default", "date_format", "time_zone"}
        body = self._object(body, pointer, known | {"decimal_sign", "group_sign", "round_to"})
        if ("source" in body) == ("literal" in body):
            self._fault(pointer, "needs either a source or a literal")
        if body.get("case") not in (None, *CASES):
            self._fault(f"{pointer}/case", f"must be one of {', '.join(CASES)}")
        return FieldMapping(
            name=name,
            source=self._text(body, "source", pointer),
            literal=self._text(body, "literal", pointer),
            trim=self._trim(body.get("trim", True), pointer),
            case=body.get("case"),
            value_map=self._value_map(body.get("value_map"), pointer),
            default=self._text(body, "default", pointer),
            date_formats=self._date_formats(body.get("date_format", "iso"), pointer),
            time_zone=self._time_zone(body.get("time_zone", "UTC"), pointer),
            decimal_sign=self._number_sign(body, "decimal_sign", ".", pointer),
            group_sign=self._number_sign(body, "group_sign", "", pointer),
            round_to=self._round_to(body.get("round_to"), name, pointer),
        )

    def _trim(self, value: Any, pointer: str) -> bool:
        if not isinstance(value, bool):
            self._fault(f"{pointer}/trim", "must be true or false")
        return bool(value)

    def _number_sign(self, body: dict[str, Any], name: str, default: str, pointer: str) -> str:
        value = body.get(name, default)
        is_sign = isinstance(value, str) and len(value) == 1 and not value.isalnum() and value not in "+-"
        if not is_sign and not (name == "group_sign" and value == ""):
            self._fault(f"{pointer}/{name}", "must be one sign, neither a letter, a digit, + nor -")
            return default
        if name == "group_sign" and value == body.get("decimal_sign", "."):
            self._fault(f"{pointer}/{name}", "must differ from the decimal sign")
        return str(value)

    def _value_map(self, value: Any, pointer: str) -> dict[str, str] | None:
        if value is None:
            return None
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            self._fault(f"{pointer}/value_map", "must be an object of texts")
            return None
        return value

    def _date_formats(self, value: Any, pointer: str) -> tuple[str, ...]:
        formats = (value,) if isinstance(value, str) else value
        if not isinstance(formats, list | tuple) or not formats or not all(isinstance(f, str) for f in formats):
            self._fault(f"{pointer}/date_format", "must be iso, epoch, a format such as %d.%m.%Y %H:%M:%S, or a list")
            return ("iso",)
        wrong = [(text, fault) for text in formats if (fault := _fault_of_date_format(text))]
        for text, fault in wrong:
            self._fault(f"{pointer}/date_format", f"{text!r} {fault}; {DATE_FORMAT_HINT}")
        return ("iso",) if wrong else tuple(formats)

    def _time_zone(self, value: Any, pointer: str) -> str:
        if not isinstance(value, str) or value not in _zone_names() or value in NO_ZONES:
            self._fault(f"{pointer}/time_zone", f"{value!r} is no IANA time zone, such as Europe/Berlin")
            return "UTC"
        return value

    def _round_to(self, value: Any, name: str, pointer: str) -> int | None:
        most = 11 if name == "Amount" else 6
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most):
            return value
        self._fault(f"{pointer}/round_to", f"must be a whole number from 0 to {most}")
        return None

    def _uniqueness(self, value: Any) -> tuple[str, ...]:
        return tuple(FIELD_ALIASES.get(name, name) for name in self._texts(value, "/uniqueness"))

    def _skip(self, value: Any) -> tuple[SkipFilter, ...]:
        if not isinstance(value, list):
            self._fault("/skip", "must be a list of filters")
            return ()
        return tuple(self._skip_filter(body, f"/skip/{place}") for place, body in enumerate(value))

    def _skip_filter(self, body: Any, pointer: str) -> SkipFilter:
        body = self._object(body, pointer, {"name", "source", "operator", "values"})
        skip = SkipFilter(
            name=self._text(body, "name", pointer) or f"filter {pointer.rsplit('/', 1)[1]}",
            source=self._text(body, "source", pointer) or "",
            operator=self._choice(body, "operator", pointer, OPERATORS, "equals"),
            values=self._texts(body.get("values", []), f"{pointer}/values"),
        )
        if len(skip.name) > MAX_NAME:
            self._fault(f"{pointer}/name", f"is longer than {MAX_NAME} characters")
        if not skip.source:
            self._fault(f"{pointer}/source", "must name a source field")
        if skip.operator in ("equals", "not_equals", "matches") and not skip.values:
            self._fault(f"{pointer}/values", f"must hold at least one value for {skip.operator}")
        if skip.operator == "matches":
            self._check_patterns(skip.values, pointer)
        return skip

    def _check_patterns(self, patterns: tuple[str, ...], pointer: str) -> None:
        for pattern in patterns:
            try:
                # The engine that will run it: linear in the text, and without look-around and back references.
                pl.select(pl.lit("").str.contains(pattern))
            except pl.exceptions.PolarsError as error:
                self._fault(f"{pointer}/values", f"{pattern!r} is no regular expression that is run here: {error}")

    def _check_whole(self, spec: ProfileSpec) -> None:
        mapped = [mapping.name for mapping in spec.fields]
        for name in REQUIRED_FIELDS:
            if name not in mapped:
                self._fault(f"/fields/{name}", "must be mapped: no UDR is without it")
        if not any(name in mapped for name in IDENTIFIER_FIELDS):
            self._fault("/fields", f"must map at least one of {', '.join(IDENTIFIER_FIELDS)}: somebody has to pay")
        if len(set(mapped)) != len(mapped):
            self._fault("/fields", "maps a field twice (Date and DateTime are one field)")
        if "Extensions" in mapped and any(name.startswith(EXTENSION_PREFIX) for name in mapped):
            self._fault("/fields/Extensions", "maps the whole; do not map single extensions beside it")
        for name in spec.uniqueness:
            if name not in mapped:
                self._fault("/uniqueness", f"{name} is not mapped, so it cannot tell records apart")
        self._check_columns(spec)

    def _check_columns(self, spec: ProfileSpec) -> None:
        if not isinstance(spec.format, Delimited) or not spec.format.columns:
            return
        for source in spec.sources:
            if source not in spec.format.columns:
                self._fault("/format/columns", f"does not name {source!r}, which a mapping or filter reads")


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
