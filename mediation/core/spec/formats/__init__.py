"""Formats: how the bytes of a source are rows or records, one file for each kind."""

from collections.abc import Callable
from typing import Any

from mediation.core.spec.document import Document, FaultSink
from mediation.core.spec.formats import cloudevents, fixed_width, json, nem, xlsx, xml
from mediation.core.spec.formats.cloudevents import CloudEvents
from mediation.core.spec.formats.delimited import ENCODINGS, Delimited, DelimitedDocument
from mediation.core.spec.formats.fixed_width import FixedColumn, FixedWidth
from mediation.core.spec.formats.json import Json
from mediation.core.spec.formats.nem import Nem
from mediation.core.spec.formats.xlsx import Xlsx
from mediation.core.spec.formats.xml import Xml

__all__ = [
    "ENCODINGS",
    "CloudEvents",
    "Delimited",
    "FixedColumn",
    "FixedWidth",
    "Format",
    "FormatDocument",
    "Json",
    "Nem",
    "Xlsx",
    "Xml",
    "fault_of_source",
    "names_of",
]

Format = Delimited | FixedWidth | Json | Xml | Xlsx | CloudEvents | Nem
# Every kind but delimited, with what reads its document.
KINDS: dict[str, Callable[[dict[str, Any], str, FaultSink], Any]] = {
    "fixed_width": fixed_width.parse_format,
    "json": json.parse_format,
    "xml": xml.parse_format,
    "xlsx": xlsx.parse_format,
    "cloudevents": cloudevents.parse_format,
    "nem": nem.parse_format,
}


class FormatDocument(Document):
    """The member `format`."""

    def parse(self, value: Any) -> Format:
        kind = value.get("kind") if isinstance(value, dict) else None
        if kind == "delimited":
            known = {"kind", "delimiter", "quote", "encoding", "line_ending", "header_rows", "columns_by", "columns"}
            return DelimitedDocument(self.faults).parse(self.object(value, "/format", known))
        if not isinstance(kind, str) or kind not in KINDS:
            self.fault("/format/kind", f"must be one of delimited, {', '.join(KINDS)}")
            return Json()
        found: Format | None = KINDS[kind](value, "/format", self.fault)
        return found or Json()


def names_of(format_: Format) -> list[str]:
    """The source fields that a format names; empty where its files do, or paths."""
    if isinstance(format_, FixedWidth):
        return format_.names
    if isinstance(format_, Nem):
        return list(nem.NAMES)
    return list(format_.columns) if isinstance(format_, Delimited | Xlsx) else []


def fault_of_source(source: str, format_: Format) -> str | None:
    """What is wrong with a source field's name in a format; None where nothing is."""
    if isinstance(format_, Xml):
        return xml.fault_of_source(source)
    if isinstance(format_, Nem):
        return nem.fault_of_source(source)
    names = names_of(format_)
    message = f"does not name {source!r}, which a mapping, a filter or the structure reads"
    return message if names and source not in names else None
