"""Record structure: header, detail and trailer records, control totals, and rows that make one record together."""

from mediation.core.structure.combining import Combination, combine
from mediation.core.structure.conditions import condition_reader
from mediation.core.structure.controls import Claims, Scan
from mediation.core.structure.document import (
    Combine,
    Condition,
    Control,
    PlacedColumn,
    RecordTypes,
    Structure,
    derived_from,
    parse_structure,
    row_sources,
)
from mediation.core.structure.marking import Code, mark_parts
from mediation.core.structure.rows import Format, read_structured, scan_structured
from mediation.core.structure.telling import ASIDE, file_fields_frame, kinds_of, set_aside

__all__ = [
    "ASIDE",
    "Claims",
    "Code",
    "Combination",
    "Combine",
    "Condition",
    "Control",
    "Format",
    "PlacedColumn",
    "RecordTypes",
    "Scan",
    "Structure",
    "combine",
    "condition_reader",
    "derived_from",
    "file_fields_frame",
    "kinds_of",
    "mark_parts",
    "parse_structure",
    "read_structured",
    "row_sources",
    "scan_structured",
    "set_aside",
]
