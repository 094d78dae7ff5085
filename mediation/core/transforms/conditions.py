"""Transforms that an expression decides or makes: conditional chains, and formulas."""

from dataclasses import dataclass

import polars as pl

from mediation.core.codes import Code
from mediation.core.expressions import Expression
from mediation.core.transforms.frames import Around, Otherwise, Ran, Transform, computed, sources_of, written
from mediation.core.transforms.options import Options
from mediation.core.transforms.running import run_chain
from mediation.core.wording import quoted


@dataclass(frozen=True)
class Conditional:
    """One chain where the condition holds, the other where it does not, or is unknown."""

    condition: Expression
    then: tuple[Transform, ...]
    otherwise: tuple[Transform, ...]

    @property
    def sources(self) -> frozenset[str]:
        return sources_of(self.condition).union(*(step.sources for step in (*self.then, *self.otherwise)))

    def run(self, text: pl.Series, around: Around) -> Ran:
        holds = computed(text, around, self.condition).fill_null(False)
        # Each chain sees only its own texts: null passes through every transform, and fails none.
        nothing = pl.Series([None], dtype=pl.String)
        then = run_chain(self.then, text.zip_with(holds, nothing), around)
        otherwise = run_chain(self.otherwise, text.zip_with(~holds, nothing), around)
        return Ran(then.text.zip_with(holds, otherwise.text), pl.concat([then.faults, otherwise.faults]))


@dataclass(frozen=True)
class Formula:
    """The result of an expression over source fields, and over the text so far as `this`."""

    expression: Expression
    otherwise: Otherwise

    @property
    def sources(self) -> frozenset[str]:
        return sources_of(self.expression)

    def run(self, text: pl.Series, around: Around) -> Ran:
        made = written(computed(text, around, self.expression))
        made = made.zip_with(text.is_not_null(), pl.Series([None], dtype=pl.String))
        message = pl.format("the formula has no result for {}", quoted(pl.col("text")))
        return self.otherwise.settle(text, made, around, code=Code.BAD_FORMULA, message=message)


def parse_formula(options: Options) -> Formula | None:
    """Compute a text; an empty text stays empty."""
    scope = options.scope
    if (scope.decimal_sign, scope.group_sign) != (".", ""):
        options.fault("", "writes numbers with a point; leave decimal_sign and group_sign out, and substitute before")
    options.scope = scope.with_this()
    expression, otherwise = options.expression("expression"), options.otherwise("null")
    return Formula(expression, otherwise) if expression else None
