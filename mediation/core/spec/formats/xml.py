"""XML, as a profile states it: which elements are records, and how paths name what is in them."""

import re
from dataclasses import dataclass
from typing import Any

from mediation.core.spec.document import FaultSink
from mediation.core.spec.formats.delimited import ENCODINGS

NAME = r"[^\s/@\[\]<>&'\"=!?]+"
RECORD_PATH = re.compile(f"{NAME}(/{NAME})*")
SOURCE = re.compile(
    rf"(?P<steps>\.|{NAME}(?:\[[1-9]\d{{0,5}}\])?(?:/{NAME}(?:\[[1-9]\d{{0,5}}\])?)*)?(?:(?:^|/)@(?P<attribute>{NAME}))?"
)


@dataclass(frozen=True)
class Xml:
    """XML whose records are the elements of one name, or at one path such as `Batch/Call`."""

    record: str
    encoding: str = "utf-8"

    @property
    def path(self) -> tuple[str, ...]:
        """The names that a record's element and its parents end in, outermost first."""
        return tuple(map(local, self.record.split("/")))


def parse_format(value: dict[str, Any], pointer: str, fault: FaultSink) -> Xml | None:
    """The format that a profile states under `format`; None where it has a fault, each of which is reported."""
    known, is_right = {"kind", "record", "encoding"}, True
    for name in value.keys() - known:
        fault(f"{pointer}/{name}", f"is not known here; known are {', '.join(sorted(known))}")
        is_right = False
    record = value.get("record")
    if not isinstance(record, str) or not RECORD_PATH.fullmatch(record):
        fault(f"{pointer}/record", "must name the element that is a record, or its path such as Batch/Call")
        is_right = False
    if value.get("encoding", "utf-8") not in ENCODINGS:
        fault(f"{pointer}/encoding", f"must be one of {', '.join(ENCODINGS)}")
        is_right = False
    return Xml(str(record), value.get("encoding", "utf-8")) if is_right else None


def fault_of_source(source: str) -> str | None:
    """What is wrong with a source path; None where nothing is."""
    if source and SOURCE.fullmatch(source):
        return None
    return f"{source!r} is no path in a record; write Caller, Party/Number, Party[2]/Number, Caller/@type or @id"


def local(name: str) -> str:
    return name.rpartition(":")[2] if ":" in name else name
