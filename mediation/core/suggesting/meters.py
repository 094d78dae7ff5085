"""Meter data of the Australian market as a sample: its fields are fixed, so that the whole mapping is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mediation.core import reading
from mediation.core.reading.frames import UnreadableError, source_column
from mediation.core.spec import FieldMapping, Nem, ProfileSpec
from mediation.core.suggesting.proposals import Reason, UnableToSuggestError

SOURCES = ("NMI", "MeterSerialNumber", "NMISuffix", "UOM", "IntervalStart", "IntervalLength", "QualityMethod", "Value")
FIELDS: dict[str, Any] = {
    "Date": {"source": "IntervalStart"},
    "UdrUsageIdentifier": {"source": "NMI"},
    "OriginatingIdentifier": {"source": "MeterSerialNumber"},
    "Value": {"source": "Value", "round_to": 6},
    "UsageClassName": {"source": "UOM"},
    "Extensions.suffix": {"source": "NMISuffix"},
    "Extensions.quality": {"source": "QualityMethod"},
}
UNIQUE = ("UdrUsageIdentifier", "Extensions.suffix", "Date")


@dataclass(frozen=True)
class Meters:
    """Intervals in columns."""

    columns: dict[str, Sequence[str | None]]
    record_count: int
    reasons: list[Reason]


def read_meters(content: bytes, most: int, *, is_whole: bool) -> Meters:
    """The first intervals of a sample. Raises UnableToSuggestError."""
    fields = tuple(FieldMapping(f"Extensions.{source}", source=source) for source in SOURCES)
    spec = ProfileSpec(format=Nem(), fields=fields)
    if not is_whole:
        content = content[: content.rfind(b"\n300,") + 1] + b"900\n"
    try:
        header, found = reading.cut(iter([content]), spec)
        spans = list(found)
        part = content[spans[0].start : spans[0].end]
        first = spans[0].first_number
        records = reading.read_part(part, spec, import_id=0, first_number=first, header=header).head(most)
    except UnreadableError as error:
        raise UnableToSuggestError(f"The sample starts as meter data, but cannot be read: {error}") from None
    columns: dict[str, Sequence[str | None]] = {source: records[source_column(source)].to_list() for source in SOURCES}
    words = "the file starts with the 100 record of meter data; its fields are fixed by the format"
    uniqueness = "an interval is told by its meter point, its register and its start"
    reasons = [
        Reason("/format/kind", "nem", "sure", words),
        Reason("/uniqueness", list(UNIQUE), "likely", uniqueness),
        *(
            Reason(f"/fields/{name}", mapping["source"], "sure", "fixed by the format")
            for name, mapping in FIELDS.items()
        ),
    ]
    return Meters(columns, records.height, reasons)
