"""Skip filters: which records are none of usage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from mediation.core.expressions import Expression, Kind, fields_of
from mediation.core.spec.document import MAX_NAME, Document
from mediation.core.transforms import Scope
from mediation.core.transforms.options import Options

OPERATORS = ("equals", "not_equals", "is_empty", "is_not_empty", "matches")


@dataclass(frozen=True)
class SkipFilter:
    """Records that match are counted as skipped."""

    name: str
    source: str = ""
    operator: str = "equals"
    values: tuple[str, ...] = ()
    condition: Expression | None = None  # instead of the three above

    @property
    def sources(self) -> list[str]:
        """The source fields that the filter reads."""
        return sorted(fields_of(self.condition)) if self.condition else [self.source]


class FiltersDocument(Document):
    """The member `skip`."""

    def parse(self, value: Any, sources: Mapping[str, Kind]) -> tuple[SkipFilter, ...]:
        """sources: the source fields that expressions may name."""
        if not isinstance(value, list):
            self.fault("/skip", "must be a list of filters")
            return ()
        return tuple(self._skip_filter(body, f"/skip/{place}", sources) for place, body in enumerate(value))

    def _skip_filter(self, body: Any, pointer: str, sources: Mapping[str, Kind]) -> SkipFilter:
        if isinstance(body, dict) and "when" in body:
            return self._by_condition(body, pointer, sources)
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

    def _by_condition(self, body: dict[str, Any], pointer: str, sources: Mapping[str, Kind]) -> SkipFilter:
        options = Options(body, pointer, Scope(self.fault, sources))
        name = options.text("name", f"filter {pointer.rsplit('/', 1)[1]}", most=MAX_NAME)
        condition = options.expression("when", kinds=("boolean",))
        options.done()
        return SkipFilter(name=name, condition=condition)

    def _check_patterns(self, patterns: tuple[str, ...], pointer: str) -> None:
        for pattern in patterns:
            try:
                # The engine that will run it: linear in the text, and without look-around and back references.
                pl.select(pl.lit("").str.contains(pattern))
            except pl.exceptions.PolarsError as error:
                self.fault(f"{pointer}/values", f"{pattern!r} is no regular expression that is run here: {error}")
