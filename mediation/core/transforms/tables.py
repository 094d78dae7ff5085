"""Transforms that look a text up: in a map of the profile, in a lookup table, in the table of usage units."""

import re
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from mediation.core.codes import Code
from mediation.core.frames import MOMENT
from mediation.core.transforms.frames import Around, Otherwise, Ran, Unit, of, source_column
from mediation.core.transforms.options import Options
from mediation.core.wording import quoted

# What a quantity before conversion may hold: 16 digits before the point and 12 after, times a multiplier of at most 17
# digits before and 9 after, is exact in 38 digits while the product stays below 10^17.
QUANTITY_DECIMALS, MULTIPLIER_DECIMALS, PRODUCT_DIGITS = 12, 9, 17
QUANTITY_PATTERN = r"^[+-]?0*[0-9]{1,17}(?:\.[0-9]{1,12}0*)?$"
EXACT = pl.Decimal(38, QUANTITY_DECIMALS + MULTIPLIER_DECIMALS)


@dataclass(frozen=True)
class Map:
    """A table of values in the profile itself."""

    values: dict[str, str]
    otherwise: Otherwise
    sources: frozenset[str] = frozenset()

    def run(self, text: pl.Series, around: Around) -> Ran:
        mapped = text.replace_strict(
            list(self.values), list(self.values.values()), default=None, return_dtype=pl.String
        )
        message = pl.format("{} has no entry in the map", quoted(pl.col("text")))
        return self.otherwise.settle(text, mapped, around, code=Code.UNMAPPED_VALUE, message=message)


def parse_map(options: Options) -> Map:
    """Translate a text by the profile's own table."""
    return Map(options.table("values"), options.otherwise())


@dataclass(frozen=True)
class Lookup:
    """A column of the lookup table's row that the text finds, valid at a date of the record."""

    table: str
    give: str
    at: str
    otherwise: Otherwise
    sources: frozenset[str] = frozenset()

    def run(self, text: pl.Series, around: Around) -> Ran:
        table = around.tables.lookups.get(self.table)
        moment = f"typed:{self.at}"
        if table is None or f"value:{self.give}" not in table.rows.columns:
            found = pl.Series([None], dtype=pl.String).new_from_index(0, len(text))
        else:
            moments = around.records[moment] if moment in around.records.columns else _never(len(text))
            found = table.rows[f"value:{self.give}"].gather(table.find(text, moments))
            found = found.set(found == "", None)
        message = pl.format(
            "the lookup table {} gives no {} for {}", *map(pl.lit, (self.table, self.give)), quoted(pl.col("text"))
        )
        return self.otherwise.settle(text, found, around, code=Code.LOOKUP_FAILED, message=message)


def _never(height: int) -> pl.Series:
    return pl.Series([None], dtype=MOMENT).new_from_index(0, height)


def parse_lookup(options: Options) -> Lookup:
    """Look a text up in a table that admins keep; `at` names the UDR date at which its rows must be valid."""
    fields = options.scope.date_fields
    at = options.choice("at", fields, fields[0]) if fields else ""
    if not fields:
        options.fault("", f"cannot be used for {options.scope.field}: tables are asked as of the record's date")
    return Lookup(options.text("table"), options.text("give"), at, options.otherwise())


@dataclass(frozen=True)
class Convert:
    """A quantity in a usage unit, to the base unit of its kind: an exact product.

    unit: the unit's name, or source: the source field that names it. The signs are the field's own, for reading and
    for writing, so that what follows reads the result as it would have read the text.
    """

    unit: str | None
    source: str | None
    decimal_sign: str
    group_sign: str
    otherwise: Otherwise

    @property
    def sources(self) -> frozenset[str]:
        return frozenset({self.source} if self.source else ())

    def run(self, text: pl.Series, around: Around) -> Ran:
        names = self._names(around)
        quantity = of(text, _plain(pl.col("text"), self.decimal_sign, self.group_sign))
        asked = pl.DataFrame({"quantity": quantity, "unit": names})
        product: pl.Expr = pl.lit(None, EXACT)
        for name in names.unique().drop_nulls().to_list():
            if unit := around.tables.units.get(name):
                product = pl.when(pl.col("unit") == name).then(_product(pl.col("quantity"), unit)).otherwise(product)
        made = asked.with_columns(made=_written(product, self.decimal_sign))["made"]
        return self.otherwise.settle(text, made, around, code=self._code(around), message=self._message(around))

    def _name(self) -> pl.Expr:
        return pl.lit(self.unit) if self.unit else pl.col(source_column(self.source or "")).str.strip_chars()

    def _names(self, around: Around) -> pl.Series:
        return around.records.with_columns(unit=self._name())["unit"]

    def _is_known(self, around: Around) -> pl.Expr:
        return self._name().is_in(list(around.tables.units))

    def _code(self, around: Around) -> pl.Expr:
        is_known = self._is_known(around).fill_null(False)
        return pl.when(is_known).then(pl.lit(str(Code.BAD_NUMBER))).otherwise(pl.lit(str(Code.UNKNOWN_UNIT)))

    def _message(self, around: Around) -> pl.Expr:
        name = quoted(self._name())
        unknown = pl.format("there is no usage unit {}; add it, or map the value", name)
        bad = pl.format("{} {} is no number that can be converted exactly", quoted(pl.col("text")), name)
        return pl.when(self._is_known(around).fill_null(False)).then(bad).otherwise(unknown)


def _plain(text: pl.Expr, decimal_sign: str, group_sign: str) -> pl.Expr:
    """The text in the one grammar for numbers; null where it is no number that can be converted exactly."""
    plain = text
    if (decimal_sign, group_sign) != (".", ""):
        # Looked at before the signs are taken out: 1,5 is not 15 where the comma groups.
        group, decimal = re.escape(group_sign), re.escape(decimal_sign)
        grouped = f"|[0-9]{{1,3}}(?:{group}[0-9]{{3}})+" if group else ""
        plain = pl.when(text.str.contains(f"^[+-]?(?:[0-9]+{grouped})(?:{decimal}[0-9]+)?$")).then(text)
        plain = plain.str.replace_all(group_sign, "", literal=True) if group_sign else plain
        plain = plain.str.replace(decimal_sign, ".", literal=True)
    return pl.when(plain.str.contains(QUANTITY_PATTERN)).then(plain).cast(EXACT, strict=False)


def _product(quantity: pl.Expr, unit: Unit) -> pl.Expr:
    """Quantity times multiplier; null where it would not fit."""
    most = (10**PRODUCT_DIGITS - 1) / unit.multiplier if unit.multiplier else Decimal(0)
    bound = min(Decimal(10**PRODUCT_DIGITS - 1), most).quantize(Decimal(1), "ROUND_DOWN")
    fitting = pl.when(quantity.abs() <= pl.lit(bound, pl.Decimal(38, 0)).cast(EXACT)).then(quantity)
    return fitting * pl.lit(unit.multiplier, EXACT)


def _written(product: pl.Expr, decimal_sign: str) -> pl.Expr:
    text = product.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    return text.str.replace(".", decimal_sign, literal=True) if decimal_sign != "." else text


def parse_unit(options: Options) -> Convert:
    """Convert a quantity from a usage unit, named here (`from`) or by a source field (`from_source`)."""
    unit, source = options.maybe_text("from"), options.maybe_text("from_source")
    if (unit is None) == (source is None):
        options.fault("", "needs either from, a usage unit, or from_source, the source field that names it")
    scope = options.scope
    return Convert(unit, source, scope.decimal_sign, scope.group_sign, options.otherwise())
