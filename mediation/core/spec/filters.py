"""Skip filters: which records are none of usage."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from mediation.core.spec.document import MAX_NAME, Document

OPERATORS = ("equals", "not_equals", "is_empty", "is_not_empty", "matches")


@dataclass(frozen=True)
class SkipFilter:
    """Records that match are counted as skipped."""

    name: str
    source: str
    operator: str
    values: tuple[str, ...] = ()


class FiltersDocument(Document):
    """The member `skip`."""

    def parse(self, value: Any) -> tuple[SkipFilter, ...]:
        if not isinstance(value, list):
            self.fault("/skip", "must be a list of filters")
            return ()
        return tuple(self._skip_filter(body, f"/skip/{place}") for place, body in enumerate(value))

    def _skip_filter(self, body: Any, pointer: str) -> SkipFilter:
        body = self.object(body, pointer, {"name", "source", "operator", "values"})
        skip = SkipFilter(
            name=self.text(body, "name", pointer) or f"filter {pointer.rsplit('/', 1)[1]}",
            source=self.text(body, "source", pointer) or "",
            operator=self.choice(body, "operator", pointer, OPERATORS, "equals"),
            values=self.texts(body.get("values", []), f"{pointer}/values"),
        )
        if len(skip.name) > MAX_NAME:
            self.fault(f"{pointer}/name", f"is longer than {MAX_NAME} characters")
        if not skip.source:
            self.fault(f"{pointer}/source", "must name a source field")
        if skip.operator in ("equals", "not_equals", "matches") and not skip.values:
            self.fault(f"{pointer}/values", f"must hold at least one value for {skip.operator}")
        if skip.operator == "matches":
            self._check_patterns(skip.values, pointer)
        return skip

    def _check_patterns(self, patterns: tuple[str, ...], pointer: str) -> None:
        for pattern in patterns:
            try:
                # The engine that will run it: linear in the text, and without look-around and back references.
                pl.select(pl.lit("").str.contains(pattern))
            except pl.exceptions.PolarsError as error:
                self.fault(f"{pointer}/values", f"{pattern!r} is no regular expression that is run here: {error}")
