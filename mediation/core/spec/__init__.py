"""A Data Profile as values: parsed from its JSON document, or refused with every fault and its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mediation.core.codes import Code
from mediation.core.expressions import TEXT, Kind
from mediation.core.spec.document import Document, Fault, FaultySpecError
from mediation.core.spec.fields import (
    EXTENSION_PREFIX,
    FIELD_ALIASES,
    FIELD_KINDS,
    IDENTIFIER_FIELDS,
    REQUIRED_FIELDS,
    FieldMapping,
    FieldsDocument,
)
from mediation.core.spec.filters import FiltersDocument, SkipFilter
from mediation.core.spec.formats import (
    ENCODINGS,
    CloudEvents,
    Delimited,
    FixedColumn,
    FixedWidth,
    Format,
    FormatDocument,
    Json,
    Nem,
    Xlsx,
    Xml,
    fault_of_source,
    names_of,
)
from mediation.core.spec.formats.cloudevents import UNIQUE_SOURCES
from mediation.core.structure import (
    Structure,
    condition_reader,
    derived_from,
    derived_names,
    parse_structure,
    row_sources,
)
from mediation.core.transforms import AnySource
from mediation.core.validations import Validation, parse_validations

__all__ = [
    "ENCODINGS",
    "EXTENSION_PREFIX",
    "FIELD_ALIASES",
    "FIELD_KINDS",
    "IDENTIFIER_FIELDS",
    "REQUIRED_FIELDS",
    "CloudEvents",
    "Delimited",
    "Fault",
    "FaultySpecError",
    "FieldMapping",
    "FixedColumn",
    "FixedWidth",
    "Format",
    "Json",
    "Nem",
    "ProfileSpec",
    "SkipFilter",
    "Xlsx",
    "Xml",
    "parse_spec",
]

# What one bad record keeps out beside itself: nothing, the records of its chunk, or those of its whole file or request.
ENVELOPES = ("record", "chunk", "file")


@dataclass(frozen=True)
class ProfileSpec:
    """How the records of a source are read, mapped and filtered."""

    format: Format
    fields: tuple[FieldMapping, ...]
    skip: tuple[SkipFilter, ...] = ()
    uniqueness: tuple[str, ...] = ()
    null_texts: tuple[str, ...] = ()
    validations: tuple[Validation, ...] = ()
    envelope: str = "record"
    structure: Structure | None = None

    @property
    def row_sources(self) -> list[str]:
        """The source fields to read from each row, each once: also those that the structure needs."""
        return row_sources(self.sources, self.structure)

    @property
    def file_fields(self) -> list[str]:
        """What mappings and filters read of a file's header and trailer: `header.<column>`, `trailer.<column>`."""
        return [name for name in self.sources if derived_from(name, self.structure) == ""]

    @property
    def sources(self) -> list[str]:
        """The source fields that mappings, filters and the format's own uniqueness read, each once."""
        named = [name for mapping in self.fields for name in mapping.sources]
        named += [name for skip in self.skip for name in skip.sources]
        return list(dict.fromkeys([*named, *self.unique_sources]))

    @property
    def lookups(self) -> frozenset[tuple[str, str]]:
        """The lookup tables that transforms ask, each with the column that it gives."""
        return frozenset(found for mapping in self.fields for found in mapping.lookups)

    @property
    def is_rich(self) -> bool:
        """Whether some field is made by more than an expression over one source field."""
        return any(mapping.is_rich for mapping in self.fields)

    @property
    def unique_sources(self) -> tuple[str, ...]:
        """The source fields that make a record unique where the profile names no UDR fields: the format may know."""
        return UNIQUE_SOURCES if isinstance(self.format, CloudEvents) and not self.uniqueness else ()

    @property
    def records_path(self) -> tuple[str, ...]:
        """The names on the way to the records of a JSON document; empty where they are the document itself."""
        return self.format.records_path if isinstance(self.format, Json) else ()

    @property
    def is_of_rows(self) -> bool:
        """Whether a record is a row of text; else it is a JSON object, in files, requests and corrections."""
        return isinstance(self.format, Delimited | FixedWidth | Xml)

    def mapping(self, name: str) -> FieldMapping | None:
        return next((mapping for mapping in self.fields if mapping.name == name), None)


def parse_spec(document: Any) -> ProfileSpec:
    """The spec that a profile's JSON document states. Raises FaultySpecError with all faults at once."""
    whole = WholeDocument([])
    spec = whole.parse(document)
    if whole.faults:
        raise FaultySpecError(whole.faults)
    return spec


def source_kinds(format_: Format, structure: Structure | None = None) -> Mapping[str, Kind]:
    """What expressions may name of a source's fields: each is a text; any name where the format knows none.

    structure: adds what it derives from the rows, such as `header.date` and `start.time`.
    """
    names = names_of(format_)
    return dict.fromkeys([*names, *derived_names(names, structure)], TEXT) if names else AnySource()


class WholeDocument(Document):
    """The document with all its members, and what they must be together."""

    def parse(self, document: Any) -> ProfileSpec:
        known = {"format", "structure", "envelope", "fields", "skip", "validations", "uniqueness", "null_texts"}
        document = self.object(document, "", known)
        format_ = FormatDocument(self.faults).parse(document.get("format"))
        structure = self._structure(document.get("structure"), format_)
        sources = source_kinds(format_, structure)
        fields = FieldsDocument(self.faults).parse(document.get("fields"), sources)
        spec = ProfileSpec(
            format=format_,
            structure=structure,
            envelope=self.choice(document, "envelope", "", ENVELOPES, "record"),
            fields=fields,
            skip=FiltersDocument(self.faults).parse(document.get("skip", []), sources),
            validations=parse_validations(
                document.get("validations", []),
                "/validations",
                self.fault,
                fields=[mapping.name for mapping in fields],
                taken_codes=set(Code),
            ),
            uniqueness=self._uniqueness(document.get("uniqueness", [])),
            null_texts=self.texts(document.get("null_texts", []), "/null_texts"),
        )
        self.check(spec)
        return spec

    def _structure(self, value: Any, format_: Format) -> Structure | None:
        return parse_structure(
            value,
            "/structure",
            self.fault,
            read_condition=condition_reader(source_kinds(format_), self.fault),
            is_text=isinstance(format_, Delimited | FixedWidth),
            is_delimited=isinstance(format_, Delimited),
        )

    def _uniqueness(self, value: Any) -> tuple[str, ...]:
        return tuple(FIELD_ALIASES.get(name, name) for name in self.texts(value, "/uniqueness"))

    def check(self, spec: ProfileSpec) -> None:
        mapped = [mapping.name for mapping in spec.fields]
        for name in REQUIRED_FIELDS:
            if name not in mapped:
                self.fault(f"/fields/{name}", "must be mapped: no UDR is without it")
        if not any(name in mapped for name in IDENTIFIER_FIELDS):
            self.fault("/fields", f"must map at least one of {', '.join(IDENTIFIER_FIELDS)}: somebody has to pay")
        if len(set(mapped)) != len(mapped):
            self.fault("/fields", "maps a field twice (Date and DateTime are one field)")
        if "Extensions" in mapped and any(name.startswith(EXTENSION_PREFIX) for name in mapped):
            self.fault("/fields/Extensions", "maps the whole; do not map single extensions beside it")
        for name in spec.uniqueness:
            if name not in mapped:
                self.fault("/uniqueness", f"{name} is not mapped, so it cannot tell records apart")
        self._check_columns(spec)

    def _check_columns(self, spec: ProfileSpec) -> None:
        place = "/fields" if isinstance(spec.format, Xml | Nem) else "/format/columns"
        for source in spec.row_sources:
            if fault := fault_of_source(source, spec.format):
                self.fault(place, fault)
