"""Conditions that admins type, over the source fields of rows."""

from collections.abc import Mapping, Sequence

import polars as pl

from mediation.core.expressions import TEXT, ExpressionError, Kind, fields_of, parse, to_polars
from mediation.core.frames import source_column
from mediation.core.structure.document import Condition, FaultSink, ReadCondition


def condition_reader(fields: Mapping[str, Kind], fault: FaultSink) -> ReadCondition:
    """Reads conditions for `parse_structure`. fields: what the profile's rows hold, all of kind text."""

    def read(text: str, pointer: str, names: Sequence[str] | None) -> Condition | None:
        try:
            expression = parse(text, fields if names is None else dict.fromkeys(names, TEXT))
        except ExpressionError as error:
            for one in error.faults:
                fault(pointer, f"at characters {one.start + 1} to {one.end}: {one.message}")
            return None
        if expression.kind.name != "boolean":
            fault(pointer, f"is {expression.kind}, where true or false is needed, such as Event = 'START'")
            return None
        sources = tuple(sorted(fields_of(expression)))
        if not sources:
            fault(pointer, "reads no field, so that it would say the same of every record")
            return None
        return Condition(text, sources, to_polars(expression, lambda name: pl.col(source_column(name))))

    return read
