"""Delimited text, as a profile states it."""

from dataclasses import dataclass
from typing import Any

from mediation.core.spec.document import Document

# Encodings in which a line feed is one byte of its own, so that a file can be cut between any two lines.
ENCODINGS = ("utf-8", "ascii", "iso-8859-1", "iso-8859-15", "cp1252", "cp850")


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


class DelimitedDocument(Document):
    """The member `format` of kind delimited."""

    def parse(self, value: dict[str, Any]) -> Delimited:
        header_rows = value.get("header_rows", 0)
        if not isinstance(header_rows, int) or isinstance(header_rows, bool) or not 0 <= header_rows <= 100:
            self.fault("/format/header_rows", "must be a whole number from 0 to 100")
            header_rows = 0
        format_ = Delimited(
            delimiter=self._sign(value, "delimiter", ",") or ",",
            quote=self._sign(value, "quote", '"', may_be_empty=True),
            encoding=self.choice(value, "encoding", "/format", ENCODINGS, "utf-8"),
            line_ending=self.choice(value, "line_ending", "/format", ("lf", "cr"), "lf"),
            header_rows=header_rows,
            columns_by=self.choice(value, "columns_by", "/format", ("position", "name"), "position"),
            columns=self.texts(value.get("columns", []), "/format/columns"),
        )
        if format_.columns_by == "position" and not format_.columns:
            self.fault("/format/columns", "must name the columns in their order")
        if format_.columns_by == "name" and not format_.header_rows:
            self.fault("/format/header_rows", "must be at least 1 where the header names the columns")
        if len(set(format_.columns)) != len(format_.columns):
            self.fault("/format/columns", "names a column twice")
        if format_.quote == format_.delimiter:
            self.fault("/format/quote", "must differ from the delimiter")
        return format_

    def _sign(self, of: dict[str, Any], name: str, default: str, may_be_empty: bool = False) -> str:
        value = of.get(name, default)
        is_sign = isinstance(value, str) and len(value) == 1 and value.isascii() and value not in "\r\n\0"
        if is_sign or (may_be_empty and value == ""):
            return str(value)
        self.fault(f"/format/{name}", "must be one ASCII character" + (", or empty" if may_be_empty else ""))
        return default
