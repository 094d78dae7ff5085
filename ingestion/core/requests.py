"""A request's body as records: its shape checked whole, with every fault and its place."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mediation.core.reading import json_path, json_records

MAX_RECORDS = 1_000
MAX_FAULTS = 100


@dataclass(frozen=True)
class RequestFault:
    """One thing that is wrong with a request: a JSON pointer, a code for machines, a sentence for people."""

    pointer: str
    code: str
    detail: str


class FaultyRequestError(ValueError):
    """A body that no record can be taken from; carries the faults."""

    def __init__(self, faults: list[RequestFault]) -> None:
        super().__init__("; ".join(fault.detail for fault in faults))
        self.faults = faults


def count_records(body: bytes, *, is_json_feed: bool, records_path: Sequence[str] = ()) -> int:
    """How many records a body holds. Raises FaultyRequestError where its shape is not what the feed reads.

    records_path: the names on the way to the records.
    """
    return len(_records(body, is_json_feed, records_path))


def raw_records(body: bytes, *, is_json_feed: bool, records_path: Sequence[str] = ()) -> list[str]:
    """The text of each record of a body that was accepted."""
    records = _records(body, is_json_feed, records_path)
    return _dumped(records) if is_json_feed else records


def raw_events(document: Any, *, is_batch: bool) -> list[str]:
    """The text of the event, or of each event of the batch, that a document is. Raises FaultyRequestError."""
    if is_batch and not isinstance(document, list):
        raise _fault("", "not_a_list", "A batch is a list of events; a single one is application/cloudevents+json.")
    if not is_batch and not isinstance(document, dict):
        raise _fault("", "shape_not_read", "An event is an object; several are application/cloudevents-batch+json.")
    events = _bounded(document, "") if is_batch else [document]
    faults = _type_faults(events, dict, "", "An event is an object.") if is_batch else []
    faults += _depth_faults(events, "" if is_batch else None)
    if faults:
        raise FaultyRequestError(faults[:MAX_FAULTS])
    return _dumped(events)


def _dumped(records: list[Any]) -> list[str]:
    # Half of a surrogate pair is no text; escaped again as it came, it fails as that one record's fault.
    return [json_records.dump(record).encode("utf-8", "backslashreplace").decode() for record in records]


def _records(body: bytes, is_json_feed: bool, records_path: Sequence[str]) -> list[Any]:
    document = document_of(body)
    if is_json_feed and records_path:
        return _records_inside(document, records_path)
    if is_json_feed:
        return _json_records(document)
    if not isinstance(document, dict) or "data" not in document:
        raise _fault("", "shape_not_read", 'This feed reads rows: send {"data": ["row", …]}.')
    rows = _bounded(document["data"], "/data")
    strangers = [name for name in document if name != "data"]
    faults = [RequestFault(_pointer(name), "unknown_member", "Only data is read here.") for name in strangers]
    # One look at all of them takes a fifth of what a look at each does, and mostly there is nothing to be told.
    if set(map(type, rows)) != {str} or not all(map(str.isascii, rows)):
        faults += _row_faults(rows)
    if faults:
        raise FaultyRequestError(faults[:MAX_FAULTS])
    return rows


def _row_faults(rows: list[Any]) -> list[RequestFault]:
    faults = _type_faults(rows, str, "/data", "This feed reads rows as text; a JSON record cannot be read.")
    faults += [
        RequestFault(f"/data/{place}", "not_text", "The row holds half of a surrogate pair, which is no text.")
        for place, row in enumerate(rows)
        if type(row) is str and not row.isascii() and not _is_text(row)
    ]
    return faults


def _records_inside(document: Any, path: Sequence[str]) -> list[Any]:
    """The records of a document that holds more; a single one there may stand without a list around it."""
    pointer = "".join(map(_pointer, path))
    try:
        found = json_path.descend(document, path)
    except KeyError as error:
        raise _fault(pointer, "shape_not_read", f"There is no {error.args[0]!r} on the way to the records.") from None
    records = _bounded(found if isinstance(found, list) else [found], pointer)
    faults = _type_faults(records, dict, pointer, "This feed reads JSON objects; nothing else can be read.")
    faults += _depth_faults(records, pointer)
    if faults:
        raise FaultyRequestError(faults[:MAX_FAULTS])
    return records


def _json_records(document: Any) -> list[Any]:
    if isinstance(document, dict) and not json_records.is_wrapper(document):
        if "data" in document and not isinstance(document["data"], dict) and len(document) == 1:
            raise _fault("/data", "not_a_list", "data must be a list of records.")
        if faults := _depth_faults([document], None):
            raise FaultyRequestError(faults)
        return [document]
    if not isinstance(document, dict | list):
        raise _fault("", "shape_not_read", 'This feed reads an object, a list of them, or {"data": [{…}, …]}.')
    pointer = "/data" if isinstance(document, dict) else ""
    records = _bounded(document["data"] if isinstance(document, dict) else document, pointer)
    faults = _type_faults(records, dict, pointer, "This feed reads JSON objects; a row of text cannot be read.")
    faults += _depth_faults(records, pointer)
    if faults:
        raise FaultyRequestError(faults[:MAX_FAULTS])
    return records


def _pointer(name: str) -> str:
    """The JSON pointer of a member; a name that is no text is shown written out."""
    escaped = name.replace("~", "~0").replace("/", "~1")
    return "/" + escaped.encode("utf-8", "backslashreplace").decode()


def _is_text(row: str) -> bool:
    try:
        row.encode()
    except UnicodeEncodeError:
        return False
    return True


def decode_body(body: bytes) -> str:
    """A body's text, without the byte order mark that it may begin with. Raises FaultyRequestError."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _fault("", "not_utf8", f"The body is not UTF-8 at byte {error.start + 1}.") from None


def document_of(body: bytes) -> Any:
    """The JSON value that a body is, its numbers as they were written. Raises FaultyRequestError."""
    text = decode_body(body)
    try:
        return json_records.DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _fault("", "not_json", f"The body is not JSON: {error.msg} at {place}.") from None
    except (ValueError, RecursionError) as error:
        raise _fault("", "not_json", f"The body is not JSON that is read here: {error}.") from None


def _bounded(records: Any, pointer: str) -> list[Any]:
    if not isinstance(records, list):
        raise _fault(pointer, "not_a_list", "data must be a list of records.")
    if not records:
        raise _fault(pointer, "no_records", "There must be at least one record.")
    if len(records) > MAX_RECORDS:
        detail = f"A request takes at most {MAX_RECORDS:,} records; this one has {len(records):,}. Send several."
        raise _fault(pointer, "too_many_records", detail)
    return records


def _depth_faults(records: list[Any], pointer: str | None) -> list[RequestFault]:
    detail = f"The record is nested more than {json_records.MAX_DEPTH} deep."
    return [
        RequestFault("" if pointer is None else f"{pointer}/{place}", "too_deep", detail)
        for place, record in enumerate(records)
        if json_records.is_deep(record)
    ]


def _type_faults(records: list[Any], kind: type, pointer: str, detail: str) -> list[RequestFault]:
    # A number is kept as a text of its digits, so that a look at `str` alone would let it pass for a row.
    is_right = (lambda item: type(item) is str) if kind is str else (lambda item: isinstance(item, kind))
    return [
        RequestFault(f"{pointer}/{place}", "record_not_read", detail)
        for place, item in enumerate(records)
        if not is_right(item)
    ]


def _fault(pointer: str, code: str, detail: str) -> FaultyRequestError:
    return FaultyRequestError([RequestFault(pointer, code, detail)])
