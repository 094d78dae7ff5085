"""What a profile does to the texts of source fields before they count: heads, chains of transforms, and their faults.

head or source -> trim -> null texts -> transforms in their order -> case -> value map -> default -> typed parse
Every transform takes a column of texts and gives one. Null passes through. A text that a transform has no answer for is
a fault of its record, unless the profile says otherwise: null, keep, or a text.
"""

from mediation.core.transforms.fields import DATE_FIELDS, HEADS, MEMBERS, parse_head_and_chain
from mediation.core.transforms.frames import FAULTS, THIS, Around, Ran, Tables, Transform, Unit
from mediation.core.transforms.heads import Head, parse_choose, parse_combine, parse_formula_head, present, trimmed
from mediation.core.transforms.options import AnySource, Scope, read_expression
from mediation.core.transforms.parsing import NAMES, parse_transforms
from mediation.core.transforms.running import run_chain, steps
from mediation.core.transforms.walking import lookups_of, units_of

__all__ = [
    "DATE_FIELDS",
    "FAULTS",
    "HEADS",
    "MEMBERS",
    "NAMES",
    "THIS",
    "AnySource",
    "Around",
    "Head",
    "Ran",
    "Scope",
    "Tables",
    "Transform",
    "Unit",
    "lookups_of",
    "parse_choose",
    "parse_combine",
    "parse_formula_head",
    "parse_head_and_chain",
    "parse_transforms",
    "present",
    "read_expression",
    "run_chain",
    "steps",
    "trimmed",
    "units_of",
]
