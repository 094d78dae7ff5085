"""JSON records, as a profile states them."""

from dataclasses import dataclass
from typing import Any

from mediation.core.spec.document import FaultSink


@dataclass(frozen=True)
class Json:
    """JSON records: one object, an array, `{"data": [...]}`, or an object a line."""

    encoding: str = "utf-8"
    records_path: tuple[str, ...] = ()  # the names on the way to the records, in a document that holds more


def parse_format(value: dict[str, Any], pointer: str, fault: FaultSink) -> Json | None:
    """The format that a profile states under `format`; None where it has a fault, each of which is reported."""
    strangers = value.keys() - {"kind", "encoding", "records_path"}
    for name in strangers:
        fault(f"{pointer}/{name}", "is not known here; known are encoding, kind, records_path")
    if value.get("encoding", "utf-8") != "utf-8":
        fault(f"{pointer}/encoding", "must be one of utf-8")
    return Json(records_path=parse_records_path(value.get("records_path"), f"{pointer}/records_path", fault))


def parse_records_path(value: Any, pointer: str, fault: FaultSink) -> tuple[str, ...]:
    """The names on the way to the records; empty where they are the document itself."""
    if value in (None, ""):
        return ()
    if isinstance(value, str) and all(value.split(".")) and len(value) <= 1_000:
        return tuple(value.split("."))
    fault(pointer, "must be the names on the way to the records, such as response.items")
    return ()
