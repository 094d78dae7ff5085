"""Exact decimals in columns for expressions: Decimal(38, scale), and Int128 units where polars would round.

The bounds that `rules` tracks keep every step here below 10^38, so nothing can overflow; only casts look at values.
"""

import polars as pl

from mediation.core.expressions.kinds import MAX_DIGITS, Kind, decimal_of, units_of
from mediation.core.expressions.rules import quotient_steps
from mediation.core.numbers import NUMBER_PATTERN, round_half_away

MAX_CHARACTERS = 2**31  # no text of digits is cut that has no decimals

__all__ = ["decimal_of", "quotient_steps", "units_of"]


def decimal(scale: int) -> pl.Decimal:
    """The type of every number column inside an expression."""
    return pl.Decimal(MAX_DIGITS, scale)


def bounded(column: pl.Expr, kind: Kind) -> pl.Expr:
    """A column from outside as its kind; beyond the kind's digits it is null, since bounds were built on them."""
    return column.cast(pl.Decimal(kind.digits, kind.scale), strict=False).cast(decimal(kind.scale))


def from_units(units: pl.Expr, scale: int) -> pl.Expr:
    """Int128 units of 10^-scale as a decimal: a product of scales 0 and `scale` has that scale, so nothing rounds."""
    whole = units.cast(decimal(0))
    return whole * pl.lit(decimal_of(1, scale), decimal(scale)) if scale else whole


def rescaled(units: pl.Expr, steps: int) -> pl.Expr:
    """Units times a power of ten."""
    return units * pl.lit(10**steps, pl.Int128) if steps else units


def floored(units: pl.Expr, scale: int) -> pl.Expr:
    """The whole number at or below; integer division of polars goes down, not towards zero."""
    return (units // pl.lit(10**scale, pl.Int128)).cast(decimal(0))


def remainder(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    """The remainder of Int128 units with the sign of `a`; by zero null."""
    left = a.abs() % pl.when(b != 0).then(b.abs())
    return pl.when(a < 0).then(0 - left).otherwise(left)


def divided_half_away(top: pl.Expr, bottom: pl.Expr) -> pl.Expr:
    """The quotient of Int128 units, half away from zero; by zero null.

    Whether to go up is asked of the remainder, `left >= size - left`, because twice the remainder may not fit.
    """
    size = pl.when(bottom != 0).then(bottom.abs())
    quotient = top.abs() // size
    left = top.abs() - quotient * size
    away = quotient + (left >= size - left).cast(pl.Int128)
    return pl.when((top < 0) != (bottom < 0)).then(0 - away).otherwise(away)


def rounded(column: pl.Expr, source: int, target: int) -> pl.Expr:
    """Half away from zero to `target` decimals; more than there are change nothing."""
    return round_half_away(column, target).cast(decimal(target)) if target < source else column


def recast(column: pl.Expr, source: Kind, target: Kind) -> pl.Expr:
    """A number as DECIMAL(p, s): rounded, null where it has more digits."""
    column = rounded(column, source.scale, target.scale)
    if source.scale <= target.scale and source.units_at(target.scale) <= target.limit:
        return column.cast(decimal(target.scale)) if source.scale < target.scale else column
    return column.cast(pl.Decimal(target.digits, target.scale), strict=False).cast(decimal(target.scale))


def read_numbers(text: pl.Expr, target: Kind) -> pl.Expr:
    """Text in the house's grammar as DECIMAL(p, s), rounded half away from zero; null where it is none or too large.

    Half away from zero hangs on the first digit dropped alone, so the text is cut behind it before it is a number:
    a number with any count of decimals is read exactly.
    """
    places = target.scale + 1
    number: pl.Expr = pl.when(text.str.contains(NUMBER_PATTERN)).then(text)
    cut = number.str.head((number.str.find(".", literal=True) + places + 1).fill_null(MAX_CHARACTERS))
    number = round_half_away(cut.cast(decimal(places), strict=False), target.scale)
    return number.cast(pl.Decimal(target.digits, target.scale), strict=False).cast(decimal(target.scale))
