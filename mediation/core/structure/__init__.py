"""Record structure: header, detail and trailer records, control totals, and rows that make one record together.

What a profile states is here; what is done by it is in `rows`, `controls`, `marking` and `combining`.
"""

from mediation.core.structure.conditions import condition_reader
from mediation.core.structure.document import (
    Combine,
    Condition,
    Control,
    PlacedColumn,
    RecordTypes,
    Structure,
    derived_from,
    derived_names,
    parse_structure,
    row_sources,
)

__all__ = [
    "Combine",
    "Condition",
    "Control",
    "PlacedColumn",
    "RecordTypes",
    "Structure",
    "condition_reader",
    "derived_from",
    "derived_names",
    "parse_structure",
    "row_sources",
]
