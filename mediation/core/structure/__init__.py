"""Record structure: header, detail and trailer records, control totals, and rows that make one record together."""

from mediation.core.structure.combining import Combination, combine
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
from mediation.core.structure.telling import ASIDE, add_file_fields, kinds_of, set_aside

__all__ = [
    "ASIDE",
    "Claims",
    "Code",
    "Combination",
    "Combine",
    "Condition",
    "Control",
    "PlacedColumn",
    "RecordTypes",
    "Scan",
    "Structure",
    "add_file_fields",
    "combine",
    "derived_from",
    "kinds_of",
    "mark_parts",
    "parse_structure",
    "row_sources",
    "set_aside",
]
