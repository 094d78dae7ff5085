"""Where a UDR field's text begins when it is not one source field: a choice, a combination or a formula."""

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Protocol

import polars as pl

from mediation.core.expressions import Expression
from mediation.core.transforms.frames import Around, computed, source_column, sources_of, written
from mediation.core.transforms.options import Options, Scope, read_expression

MAX_CHOICES = 50
MAX_SOURCES = 50


class Head(Protocol):
    """Where a field's text begins. sources: the source fields that it reads."""

    @property
    def sources(self) -> frozenset[str]: ...

    def text(self, around: Around, *, trim: bool, null_texts: tuple[str, ...]) -> pl.Series:
        """The text of each record; empty texts and null texts are null."""


def cleaned(text: pl.Expr, *, trim: bool, null_texts: tuple[str, ...]) -> pl.Expr:
    """A source field's text, where it says anything: `trimmed`, then `present`.

    Over whole columns it costs less to do both one after the other: polars computes an expression for each of its uses.
    """
    return present(trimmed(text, trim=trim), null_texts)


def trimmed(text: pl.Expr, *, trim: bool) -> pl.Expr:
    """A source field's text without the white space around it."""
    return text.str.strip_chars() if trim else text


def present(text: pl.Expr, null_texts: tuple[str, ...]) -> pl.Expr:
    """A text, where it says anything."""
    return pl.when(~text.is_in(["", *null_texts]) if null_texts else text != "").then(text)


@dataclass(frozen=True)
class Case:
    """One of the sources of a choice, with the condition under which it counts; without one it counts always."""

    condition: Expression | None
    source: str | None
    literal: str | None


@dataclass(frozen=True)
class Choose:
    """The source of the first case whose condition holds; null where none does."""

    cases: tuple[Case, ...]

    @property
    def sources(self) -> frozenset[str]:
        named = {case.source for case in self.cases if case.source}
        return sources_of(*(case.condition for case in self.cases)) | named

    def text(self, around: Around, *, trim: bool, null_texts: tuple[str, ...]) -> pl.Series:
        height = around.records.height
        nothing = pl.Series("text", [None], dtype=pl.String).new_from_index(0, height)
        # In order, since an expression in nested conditions would be computed for all of them at once anyway.
        chosen, is_open = nothing, pl.Series([True]).new_from_index(0, height)
        for case in self.cases:
            counts = is_open
            if case.condition:
                counts = is_open & computed(nothing, around, case.condition).fill_null(False)
            chosen = around.records.with_columns(text=self._of(case, trim, null_texts))["text"].zip_with(counts, chosen)
            is_open = is_open & ~counts
        return chosen

    def _of(self, case: Case, trim: bool, null_texts: tuple[str, ...]) -> pl.Expr:
        if case.literal is not None:
            return pl.lit(case.literal, pl.String)
        return cleaned(pl.col(source_column(case.source or "")), trim=trim, null_texts=null_texts)


@dataclass(frozen=True)
class Combine:
    """Several sources in one text. skip_empty: an empty one takes its separator with it; null where all are empty."""

    parts: tuple[str, ...]
    separator: str
    skip_empty: bool

    @property
    def sources(self) -> frozenset[str]:
        return frozenset(self.parts)

    def text(self, around: Around, *, trim: bool, null_texts: tuple[str, ...]) -> pl.Series:
        names = list(dict.fromkeys(self.parts))
        clean = around.records.select(trimmed(pl.col(source_column(name)), trim=trim) for name in names)
        clean = clean.select(present(pl.col(source_column(name)), null_texts) for name in names)
        parts = [pl.col(source_column(name)) for name in self.parts]
        filled = parts if self.skip_empty else [part.fill_null("") for part in parts]
        joined = pl.concat_str(filled, separator=self.separator, ignore_nulls=True)
        has_any = reduce(or_, (part.is_not_null() for part in parts))
        return clean.select(text=pl.when(has_any).then(joined)).to_series()


@dataclass(frozen=True)
class Computed:
    """The result of an expression over source fields, as text."""

    expression: Expression

    @property
    def sources(self) -> frozenset[str]:
        return sources_of(self.expression)

    def text(self, around: Around, *, trim: bool, null_texts: tuple[str, ...]) -> pl.Series:
        nothing = pl.Series("text", [None], dtype=pl.String).new_from_index(0, around.records.height)
        made = written(computed(nothing, around, self.expression)).alias("text")
        text = pl.col("text")
        return made.to_frame().select(trimmed(text, trim=trim)).select(present(text, ())).to_series()


def parse_choose(value: Any, pointer: str, scope: Scope) -> Choose | None:
    """A list of {"when": condition, "source": …}; the last may do without a condition."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CHOICES:
        scope.fault(pointer, f"must be a list of 1 to {MAX_CHOICES} cases")
        return None
    cases = tuple(_case(body, f"{pointer}/{place}", scope) for place, body in enumerate(value))
    for place, case in enumerate(value[:-1]):
        if isinstance(case, dict) and "when" not in case:
            scope.fault(f"{pointer}/{place}", "has no condition, so that the cases after it never count")
    return Choose(cases)


def _case(body: Any, pointer: str, scope: Scope) -> Case:
    options = Options(body, pointer, scope)
    condition = options.expression("when", kinds=("boolean",)) if options.has("when") else None
    source = options.maybe_text("source")
    literal = options.text("literal", may_be_empty=True) if options.has("literal") else None
    if (source is None) == (literal is None):
        options.fault("", "needs either a source or a literal")
    options.done()
    return Case(condition, source, literal or None if source is None else None)


def parse_combine(value: Any, pointer: str, scope: Scope) -> Combine:
    """{"sources": […], "separator": "", "skip_empty": true}."""
    options = Options(value, pointer, scope, short="sources")
    parts = options.texts("sources", most=MAX_SOURCES)
    combine = Combine(
        parts, options.text("separator", "", may_be_empty=True, most=20), options.flag("skip_empty", True)
    )
    options.done()
    return combine


def parse_formula_head(value: Any, pointer: str, scope: Scope) -> Computed | None:
    """An expression over source fields."""
    if (scope.decimal_sign, scope.group_sign) != (".", ""):
        scope.fault(pointer, "writes numbers with a point; leave decimal_sign and group_sign out")
    if not isinstance(value, str) or not value:
        scope.fault(pointer, "must be an expression over source fields")
        return None
    expression = read_expression(value, pointer, scope)
    return Computed(expression) if expression else None
