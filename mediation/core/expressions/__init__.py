"""Expressions that admins type: a typed subset of SQL's scalar syntax, compiled to polars, interpreted in Python.

Semantics, the same in both engines:
- Kinds are text, number (a decimal with a fixed scale), moment (UTC) and boolean; a mix of kinds is refused when the
  expression is parsed, at its characters. Nothing is converted silently: CAST says so. NULL takes its neighbours' kind.
- A field is written bare, in double quotes, or dotted: `Extensions.region`, `Extensions."region"` and
  `"Extensions.region"` are the one field of that full name. A bare name may differ in case where one field fits.
- Logic has three values as in SQL: a comparison with null is unknown, and unknown lets no record through a condition.
- What has no result is null, never an error and never a wrong number: division by zero, text that is no number, a
  number with too many digits for its CAST or its field, a moment outside the years 1 to 9999, a negative length.
- Numbers are exact. `+` and `-` keep the larger scale, `*` adds the scales, `%` has the sign of its left side; a result
  that could pass 17 decimals or 38 digits is refused at parsing, with the advice to round or cast a part. `/` stands
  only inside ROUND(a / b, n). ROUND and CAST round half away from zero. Literals are digits, a point, digits.
- CAST(text AS DECIMAL(p, s)) takes the house's number grammar, rounds to s decimals; INTEGER is DECIMAL(18, 0).
  CAST(text AS TIMESTAMP) takes `YYYY-MM-DD[ HH:MM[:SS[.f]][Z|±HH[:MM]]]`, in UTC where no offset is given.
- Text is compared by code point. UPPER and LOWER follow the engine's Unicode tables (Python's may lag: letters newer
  than Unicode 14 differ in the oracle alone). TRIM without characters takes Unicode's white space. CONCAT, GREATEST and
  LEAST pass over nulls, `||` does not. Patterns are literals of at most 200 characters and run in linear time.
"""

from mediation.core.expressions.columns import to_polars
from mediation.core.expressions.faults import ExpressionError, ExpressionErrors
from mediation.core.expressions.interpreting import evaluate
from mediation.core.expressions.kinds import BOOLEAN, INTEGER, MOMENT, TEXT, Kind, decimal_kind
from mediation.core.expressions.language import Entry, describe
from mediation.core.expressions.parsing import parse
from mediation.core.expressions.tree import Expression, fields_of
from mediation.core.expressions.writing import unparse

__all__ = [
    "BOOLEAN",
    "INTEGER",
    "MOMENT",
    "TEXT",
    "Entry",
    "Expression",
    "ExpressionError",
    "ExpressionErrors",
    "Kind",
    "decimal_kind",
    "describe",
    "evaluate",
    "fields_of",
    "parse",
    "to_polars",
    "unparse",
]
