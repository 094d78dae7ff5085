"""The fields of usage that plans name: extensions unpacked, values as texts, conditions asked."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from mediation.core.expressions import MOMENT, Expression, to_polars
from rating.core.plans.fields import CONDITION_FIELDS, ZONE, column_of, extension_of

# An object of texts and nulls. In such a one polars finds every value as it stands; it would take numbers through a
# float and stops at nested values, and at halves of surrogate pairs, so those objects are read by Python.
_TEXT = r'"(?:[^"\\]|\\(?:[^u]|u[0-9abcefABCEF][0-9a-fA-F]{3}|u[dD][0-7][0-9a-fA-F]{2}))*"'
TEXTS_ONLY = rf"^\s*\{{\s*(?:{_TEXT}\s*:\s*(?:{_TEXT}|null)\s*(?:,\s*{_TEXT}\s*:\s*(?:{_TEXT}|null)\s*)*)?\}}\s*$"


def with_extensions(usage: pl.DataFrame, fields: Iterable[str]) -> pl.DataFrame:
    """Add a column for each `Extensions.<name>` among `fields`, of that full name: its text, or null.

    usage: extensions, a JSON object a row, or null. Numbers come as they are written, true and false as words, lists
    and objects as JSON.
    """
    asked = {field: name for field in sorted(set(fields)) if (name := extension_of(field)) is not None}
    asked = {field: name for field, name in asked.items() if field not in usage.columns}
    if not asked:
        return usage
    texts = usage["extensions"]
    is_plain = texts.str.contains(TEXTS_ONLY).fill_null(True)
    kind = pl.Struct(dict.fromkeys(asked.values(), pl.String))
    plain = pl.select(pl.when(is_plain).then(texts)).to_series()
    unpacked = plain.str.json_decode(kind).struct.unnest()
    if not is_plain.all():
        unpacked = _with_mixed(unpacked, texts, is_plain)
    return usage.hstack([unpacked[name].alias(field) for field, name in asked.items()])


def _with_mixed(unpacked: pl.DataFrame, texts: pl.Series, is_plain: pl.Series) -> pl.DataFrame:
    """What Python reads of the objects that hold more than texts, put in their rows."""
    rows = (~is_plain).arg_true()
    read = [_object(text) for text in texts.gather(rows).to_list()]
    columns = [
        unpacked[name].scatter(rows, pl.Series([_text(each.get(name)) for each in read], dtype=pl.String))
        for name in unpacked.columns
    ]
    return pl.DataFrame(columns)


def _object(text: str) -> dict[str, Any]:
    """A JSON object with its numbers as texts; what is none has no fields."""
    try:
        came = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except ValueError:
        return {}
    return came if isinstance(came, dict) else {}


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else value.encode("utf-8", "replace").decode()
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def text_of(field: str) -> pl.Expr:
    """A field as text: numbers without idle zeros, moments in ISO 8601 in UTC, true and false as words."""
    column = pl.col(column_of(field))
    kind = None if field == ZONE else CONDITION_FIELDS[field]
    if kind is None or kind.name == "text":
        return column
    if kind.name == "number":
        digits = column.cast(pl.String)
        return pl.when(digits.str.contains(".", literal=True)).then(
            digits.str.strip_chars_end("0").str.strip_chars_end(".")
        ).otherwise(digits)  # fmt: skip
    if kind == MOMENT:
        return column.dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ")
    return column.cast(pl.String)


def holds(usage: pl.DataFrame, condition: Expression) -> pl.Series:
    """Whether the condition is true of each row; what is unknown is not. usage: with the extensions it names."""
    asked = to_polars(condition, lambda field: pl.col(column_of(field)))
    return usage.with_columns(asked.fill_null(False).alias("holds"))["holds"]


def list_of(fields: Sequence[str]) -> pl.Expr:
    """The texts of fields as one JSON list, the same for the same values: `["a",null]`; "" for no fields."""
    if not fields:
        return pl.lit("")
    listed = pl.struct(pl.concat_list(text_of(field) for field in fields).alias("v")).struct.json_encode()
    return listed.str.strip_prefix('{"v":').str.strip_suffix("}")
