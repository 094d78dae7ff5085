"""Bodies of requests in each of their shapes: which a feed reads, how many records one holds, and what its rows are.

JSON is read in `requests`. Lines of NDJSON, and CloudEvents, are JSON records; a body of CSV is lines as a file of the
feed has them. What is wrong with one line of CSV is its record's fault, as in a file; a line of NDJSON that is no JSON
object, or longer than any record may be, is no record, and its body is refused.
"""

import codecs
import json
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

import polars as pl

from ingestion.core.requests import (
    MAX_FAULTS,
    MAX_RECORDS,
    FaultyRequestError,
    RequestFault,
    count_records,
    decode_body,
    document_of,
    raw_events,
    raw_records,
)
from mediation.core.codes import Code
from mediation.core.reading import RAW, UnreadableError, delimited, json_records
from mediation.core.reading.frames import MAX_RECORD_BYTES
from mediation.core.spec import CloudEvents, Delimited, ProfileSpec

MAX_LINES = 100 * MAX_RECORDS  # of a body of lines, blank ones and those inside quotes included
ROW = {"import_id": pl.Int64, "record_number": pl.Int64, "raw": pl.String}


class Shape(StrEnum):
    """How the records stand in a body."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    EVENT = "event"
    EVENTS = "events"


MEDIA_TYPES = {
    "application/json": Shape.JSON,
    "application/x-ndjson": Shape.NDJSON,
    "text/csv": Shape.CSV,
    "application/cloudevents+json": Shape.EVENT,
    "application/cloudevents-batch+json": Shape.EVENTS,
}


def media_type_of(shape: str) -> str:
    """What a body of this shape is called."""
    return next(name for name, known in MEDIA_TYPES.items() if known == shape)


class Body(NamedTuple):
    """A body as it is kept. header_lines: how many of its first lines name its columns, and hold no record."""

    import_id: int
    content: bytes
    shape: str
    header_lines: int


class Looked(NamedTuple):
    """What a body was seen to hold. header: the names of its columns where it names them."""

    record_count: int
    header_lines: int = 0
    header: list[str] | None = None


def shapes_of(spec: ProfileSpec) -> tuple[Shape, ...]:
    """In which shapes a feed's requests may come."""
    if spec.is_of_rows:
        return (Shape.JSON, Shape.CSV) if isinstance(spec.format, Delimited) else (Shape.JSON,)
    events = (Shape.EVENT, Shape.EVENTS) if isinstance(spec.format, CloudEvents) else ()
    return (Shape.JSON, Shape.NDJSON, *events)


def fits_charset(charset: str, shape: str, spec: ProfileSpec) -> bool:
    """Whether a body that is said to be in `charset` is read as what it is; all that is read here includes ASCII."""
    is_lines = shape == Shape.CSV and isinstance(spec.format, Delimited)
    try:
        said = codecs.lookup(charset)
    except LookupError:
        return False
    wanted = spec.format.encoding if is_lines and isinstance(spec.format, Delimited) else "utf-8"
    return said.name in ("ascii", codecs.lookup(wanted).name)


def look_at(content: bytes, shape: str, spec: ProfileSpec) -> Looked:
    """What a body holds. Raises FaultyRequestError where it is not what the feed reads."""
    if shape == Shape.CSV:
        return _look_at_lines(content, _delimited(spec), spec)
    if shape == Shape.JSON:
        return Looked(count_records(content, is_json_feed=not spec.is_of_rows, records_path=spec.records_path))
    return Looked(len(_json_texts(content, shape, spec)))


def rows_of(bodies: Iterable[Body], spec: ProfileSpec) -> pl.DataFrame:
    """The rows of accepted bodies, in their order: columns import_id, record_number, raw, and the faults of lines.

    Raises FaultyRequestError or UnreadableError where a body is not what the profile reads any more.
    """
    texts: list[tuple[int, int, str]] = []
    frames: list[pl.DataFrame] = []
    for body in bodies:
        if body.shape == Shape.CSV:
            frames.append(_lines(body, spec))
            continue
        found = _json_texts(body.content, body.shape, spec)
        texts += [(body.import_id, number, raw) for number, raw in enumerate(found, start=1)]
    if texts or not frames:
        frames.append(pl.DataFrame(texts, schema=ROW, orient="row"))
    rows = pl.concat(frames, how="diagonal") if len(frames) > 1 else frames[0]
    return rows.sort("import_id", "record_number") if len(frames) > 1 else rows


def header_of(body: Body, spec: ProfileSpec) -> list[str] | None:
    """The names of a body's columns, where it names them and the profile goes by names. Raises UnreadableError."""
    format_ = spec.format
    if not body.header_lines or not isinstance(format_, Delimited) or format_.columns_by != "name":
        return None
    return delimited.cut([body.content], replace(format_, header_rows=body.header_lines), [])[0]


def _delimited(spec: ProfileSpec) -> Delimited:
    if not isinstance(spec.format, Delimited):
        raise _refused("", "shape_not_read", "This profile does not read lines of CSV.")
    return spec.format


def _json_texts(content: bytes, shape: str, spec: ProfileSpec) -> list[str]:
    """The text of each record of a body of JSON, in whatever shape."""
    if shape == Shape.JSON:
        return raw_records(content, is_json_feed=not spec.is_of_rows, records_path=spec.records_path)
    if spec.is_of_rows:
        raise _refused("", "shape_not_read", "This profile reads rows of text, no JSON records.")
    if shape == Shape.NDJSON:
        return _json_lines(content)
    return raw_events(document_of(content), is_batch=shape == Shape.EVENTS)


# Lines of JSON


def _json_lines(content: bytes) -> list[str]:
    """The lines of NDJSON as they came, blank ones left out; every line that is no record is told at once."""
    text = decode_body(content)
    _require_few_lines(text.count("\n") + 1)
    stripped = ((number, line.strip(" \t\r")) for number, line in enumerate(text.split("\n"), start=1))
    lines = [(number, line) for number, line in stripped if line]
    _require_some(len(lines))
    faults = [fault for number, line in lines if (fault := _fault_of(number, line))]
    if faults:
        raise FaultyRequestError(faults[:MAX_FAULTS])
    return [line for _, line in lines]


def _fault_of(number: int, line: str) -> RequestFault | None:
    if len(line.encode()) > MAX_RECORD_BYTES:
        return _line_fault(number, "too_long", f"is longer than {MAX_RECORD_BYTES:,} bytes")
    try:
        value = json_records.DECODER.decode(line)
    except json.JSONDecodeError as error:
        return _line_fault(number, "not_json", f"is not JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return _line_fault(number, "not_json", f"is not JSON that is read here: {error}")
    if json_records.is_deep(value):
        return _line_fault(number, "too_deep", f"is nested more than {json_records.MAX_DEPTH} deep")
    if not isinstance(value, dict):
        return _line_fault(number, "record_not_read", "is no JSON object, and nothing else can be read")
    return None


# Lines of CSV


def _look_at_lines(content: bytes, format_: Delimited, spec: ProfileSpec) -> Looked:
    header_lines = format_.header_rows if format_.columns_by == "name" else 0
    _require_few_lines(content.count(b"\n" if format_.line_ending == "lf" else b"\r") + 1)
    if not content.removeprefix(delimited.BYTE_ORDER_MARK).strip(b"\r\n"):
        _require_some(0)
    try:
        header, rows = _read_lines(Body(0, content, Shape.CSV, header_lines), format_, spec.row_sources)
    except UnreadableError as error:
        detail = f"Read as a file of this feed would be: {error}"
        raise _refused("/lines/1" if header_lines else "", "shape_not_read", detail) from None
    _require_some(rows.height)
    undecodable = rows.filter(fault=str(Code.UNDECODABLE))
    faults = [
        _line_fault(number, "not_text", f"cannot be read: {message}")
        for number, message in undecodable.select("record_number", "fault_message").iter_rows()
    ]
    if faults:
        raise FaultyRequestError(faults[:MAX_FAULTS])
    return Looked(rows.height, header_lines, header)


def _lines(body: Body, spec: ProfileSpec) -> pl.DataFrame:
    return _read_lines(body, _delimited(spec), [])[1]


def _read_lines(body: Body, format_: Delimited, sources: list[str]) -> tuple[list[str] | None, pl.DataFrame]:
    """The header's names, and RAW rows. sources: what the header must name. Raises UnreadableError."""
    as_sent = replace(format_, header_rows=body.header_lines)
    if not body.header_lines:
        as_sent = replace(as_sent, columns_by="position")
    header, spans = delimited.cut([body.content], as_sent, sources)
    parts = [
        delimited.raw_lines(
            body.content[span.start : span.end],
            as_sent,
            header,
            import_id=body.import_id,
            first_number=span.first_number,
        )
        for span in spans
    ]
    return header, pl.concat(parts) if parts else pl.DataFrame(schema=RAW)


# Refusals


def _require_few_lines(count: int) -> None:
    if count > MAX_LINES:
        detail = f"A request takes at most {MAX_RECORDS:,} records; this one has {count:,} lines. Send several."
        raise _refused("", "too_many_records", detail)


def _require_some(count: int) -> None:
    """Raise FaultyRequestError unless this is as many records as a request may have."""
    if not count:
        raise _refused("", "no_records", "There must be at least one record.")
    if count > MAX_RECORDS:
        detail = f"A request takes at most {MAX_RECORDS:,} records; this one has {count:,}. Send several."
        raise _refused("", "too_many_records", detail)


def _line_fault(number: int, code: str, what: str) -> RequestFault:
    """A fault of a line, counted from 1."""
    return RequestFault(f"/lines/{number}", code, f"Line {number:,} {what}.")


def _refused(pointer: str, code: str, detail: str) -> FaultyRequestError:
    return FaultyRequestError([RequestFault(pointer, code, detail)])
