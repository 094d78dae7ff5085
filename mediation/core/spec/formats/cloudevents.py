"""CloudEvents, as a profile states them."""

from dataclasses import dataclass
from typing import Any

from mediation.core.spec.document import FaultSink

# What tells one event from another, by the specification.
UNIQUE_SOURCES = ("source", "id")


@dataclass(frozen=True)
class CloudEvents:
    """Events in the JSON format of CloudEvents 1.0."""

    encoding: str = "utf-8"


def parse_format(value: dict[str, Any], pointer: str, fault: FaultSink) -> CloudEvents | None:
    """The format that a profile states under `format`; None where it has a fault, each of which is reported."""
    strangers = value.keys() - {"kind", "encoding"}
    for name in strangers:
        fault(f"{pointer}/{name}", "is not known here; known are encoding, kind")
    if value.get("encoding", "utf-8") != "utf-8":
        fault(f"{pointer}/encoding", "must be utf-8: CloudEvents are always")
        return None
    return None if strangers else CloudEvents()
