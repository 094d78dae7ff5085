"""From source fields to typed UDR fields: each mapping is an expression over columns, each failure a named rule."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from mediation.core.codes import Code
from mediation.core.dates import read_dates
from mediation.core.frames import MOMENT
from mediation.core.numbers import AMOUNT, AMOUNT_SCALE, NUMBER_PATTERN, QUANTITY, QUANTITY_SCALE, round_half_away
from mediation.core.reading import source_column
from mediation.core.spec import EXTENSION_PREFIX, FieldMapping, ProfileSpec
from mediation.core.transforms import Around, Tables, present, run_chain, trimmed
from mediation.core.validations import Rule
from mediation.core.wording import quoted

MAX_TEXT = 1_000  # characters of an identifier or a name
MAX_CHARACTERS = 2**31  # no text of digits is cut that has no decimals
# Moments that PostgreSQL, Python and every time zone can hold; what lies outside is a slip of the source.
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
NO_TABLES = Tables()
TRUE_TEXTS = ("true", "t", "1", "yes", "y")
FALSE_TEXTS = ("false", "f", "0", "no", "n")


def text_of(name: str) -> pl.Expr:
    """The mapped text of UDR field `name`, before it is parsed."""
    return pl.col(f"text:{name}")


def map_texts(records: pl.DataFrame, spec: ProfileSpec, tables: Tables = NO_TABLES) -> pl.DataFrame:
    """Add a column `text:<field>` for every mapped field: trimmed, transformed, translated, defaulted; empty is null.

    A field with a value map or with transforms also gets `came:`, its text before it is translated; one with transforms
    `failed:` and `failure:`, the code and message of a transform that could not take its text. Dates come first and are
    typed at once, since lookups may ask at their moment.
    """
    frame = _map_plain(records, spec)
    rich = [mapping for mapping in spec.fields if mapping.is_rich]
    for mapping in in_order(rich):
        frame = _map_rich(_type_dates(frame, spec), mapping, spec, tables)
    return frame


def _map_plain(records: pl.DataFrame, spec: ProfileSpec) -> pl.DataFrame:
    """In steps over all fields of one source each, since polars computes an expression for each of its uses."""
    plain = [mapping for mapping in spec.fields if not mapping.is_rich]
    columns = {mapping.name: pl.col(f"came:{mapping.name}") for mapping in plain if mapping.literal is None}
    sourced = [mapping for mapping in plain if mapping.name in columns]
    frame = records.with_columns(
        trimmed(pl.col(source_column(mapping.source or "")), trim=mapping.trim).alias(f"came:{mapping.name}")
        for mapping in sourced
    )
    frame = frame.with_columns(present(column, spec.null_texts) for column in columns.values())
    frame = frame.with_columns(_in_case(columns[mapping.name], mapping) for mapping in sourced if mapping.case)
    texts = {mapping.name: _translated(columns[mapping.name], mapping) for mapping in sourced}
    texts |= {mapping.name: pl.lit(mapping.literal, pl.String) for mapping in plain if mapping.literal is not None}
    frame = frame.with_columns(text.alias(f"text:{name}") for name, text in texts.items())
    return frame.drop(f"came:{mapping.name}" for mapping in sourced if not mapping.value_map)


def in_order(mappings: Iterable[FieldMapping]) -> list[FieldMapping]:
    """Dates first, the usage's own before any other: what follows may ask at their moment."""
    return sorted(mappings, key=lambda mapping: (mapping.name != "Date", mapping.kind != "date"))


def _map_rich(frame: pl.DataFrame, mapping: FieldMapping, spec: ProfileSpec, tables: Tables) -> pl.DataFrame:
    """Walk a field's head and chain, column by column."""
    around = Around(frame, tables)
    ran = run_chain(mapping.transforms, _begin(around, mapping, spec), around)
    came = ran.text.alias(f"came:{mapping.name}")
    failed, failure = _failures(ran.faults, frame.height)
    columns = [came, failed.alias(f"failed:{mapping.name}"), failure.alias(f"failure:{mapping.name}")]
    cased = _in_case(pl.col(came.name), mapping).alias(came.name)
    return (
        frame.with_columns(columns)
        .with_columns(cased)
        .with_columns(_translated(pl.col(came.name), mapping).alias(f"text:{mapping.name}"))
    )


def _begin(around: Around, mapping: FieldMapping, spec: ProfileSpec) -> pl.Series:
    if mapping.head is not None:
        return mapping.head.text(around, trim=mapping.trim, null_texts=spec.null_texts)
    if mapping.literal is not None:
        return pl.Series([mapping.literal], dtype=pl.String).new_from_index(0, around.records.height)
    column = trimmed(pl.col(source_column(mapping.source or "")), trim=mapping.trim)
    return around.records.select(text=column).select(present(pl.col("text"), spec.null_texts)).to_series()


def _failures(faults: pl.DataFrame, height: int) -> tuple[pl.Series, pl.Series]:
    """The code and the message of each record that a transform could not take."""
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, height)
    if faults.is_empty():
        return nothing, nothing
    # `scatter` writes into the series that it is called on.
    codes = nothing.clone().scatter(faults["place"], faults["code"])
    return codes, nothing.clone().scatter(faults["place"], faults["message"])


def _translated(text: pl.Expr, mapping: FieldMapping) -> pl.Expr:
    if mapping.value_map is not None:
        keys, values = list(mapping.value_map), [value or None for value in mapping.value_map.values()]
        text = text.replace_strict(keys, values, default=None, return_dtype=pl.String) if keys else text
    return text.fill_null(pl.lit(mapping.default, pl.String)) if mapping.default is not None else text


def _in_case(text: pl.Expr, mapping: FieldMapping) -> pl.Expr:
    if mapping.case is None:
        return text
    return text.str.to_uppercase() if mapping.case == "upper" else text.str.to_lowercase()


def rules_of_mapping(mapping: FieldMapping, spec: ProfileSpec) -> list[Rule]:
    """The rules that a field's text must keep before its value counts; `type_fields` gives that value."""
    name, text = mapping.name, text_of(mapping.name)
    rules = []
    if mapping.is_rich:
        failed = pl.col(f"failed:{name}")
        # A default, or a repair, stands in for a text that a transform could not take.
        rules.append(Rule(failed, name, failed.is_not_null() & text.is_null(), pl.col(f"failure:{name}")))
    if mapping.value_map and mapping.default is None and mapping.literal is None:
        came = pl.col(f"came:{name}")
        emptied = [key for key, value in mapping.value_map.items() if not value]
        is_unmapped = came.is_not_null() & text.is_null()
        is_unmapped = is_unmapped & ~came.is_in(emptied) if emptied else is_unmapped
        rules.append(
            Rule(Code.UNMAPPED_VALUE, name, is_unmapped, pl.format("{} has no entry in the value map", quoted(came)))
        )
    if mapping.kind == "date":
        rules += _date_rules(mapping)
    elif mapping.kind == "number":
        rules += _number_rules(mapping)
    elif mapping.kind == "boolean":
        is_bad = ~text.str.to_lowercase().is_in([*TRUE_TEXTS, *FALSE_TEXTS])
        rules.append(Rule(Code.BAD_BOOLEAN, name, is_bad, pl.format("{} is neither true nor false", quoted(text))))
    elif mapping.kind == "integer":
        is_bad = ~text.str.contains(r"^[+-]?[0-9]{1,9}$")
        rules.append(
            Rule(Code.BAD_NUMBER, name, is_bad, pl.format("{} is no whole number of at most 9 digits", quoted(text)))
        )
    elif mapping.kind == "text" and not name.startswith(EXTENSION_PREFIX):
        is_long = text.str.len_chars() > MAX_TEXT
        rules.append(Rule(Code.TOO_LONG, name, is_long, pl.lit(f"is longer than {MAX_TEXT:,} characters")))
    return rules


def type_fields(texts: pl.DataFrame, spec: ProfileSpec) -> pl.DataFrame:
    """Add the typed column of every date, number, boolean and whole number; what breaks a rule is null."""
    typed = _type_dates(texts, spec)
    return typed.with_columns(column for mapping in spec.fields for column in _typed_columns(mapping))


def _type_dates(texts: pl.DataFrame, spec: ProfileSpec) -> pl.DataFrame:
    """Add the columns of every date that is mapped and not typed yet."""
    dates = [
        mapping
        for mapping in spec.fields
        if mapping.kind == "date"
        and f"text:{mapping.name}" in texts.columns
        and f"typed:{mapping.name}" not in texts.columns
    ]
    if not dates:
        return texts
    # In two steps, since an expression that several columns use would be computed for each: parsing dates costs most.
    parsed = [
        column.alias(f"{column.name}:{mapping.name}")
        for mapping in dates
        for column in read_dates(texts[f"text:{mapping.name}"], mapping.date_formats)
    ]
    return texts.with_columns(parsed).with_columns(column for mapping in dates for column in _date_columns(mapping))


def _date_columns(mapping: FieldMapping) -> list[pl.Expr]:
    name = mapping.name
    naive, offset = pl.col(f"clock:{name}"), pl.col(f"offset:{name}")
    return [
        _moment(mapping, naive, offset).alias(f"typed:{name}"),
        naive.is_not_null().alias(f"parsed:{name}"),
        _is_in_gap(naive, mapping).alias(f"in_gap:{name}"),
        pl.coalesce(offset, pl.lit(mapping.time_zone)).alias(f"zone:{name}"),
    ]


def _typed_columns(mapping: FieldMapping) -> list[pl.Expr]:
    name, text = mapping.name, text_of(mapping.name)
    if mapping.kind == "number":
        return [_number(mapping).alias(f"typed:{name}")]
    if mapping.kind == "boolean":
        return [text.str.to_lowercase().is_in(TRUE_TEXTS).alias(f"typed:{name}")]
    if mapping.kind == "integer":
        return [text.cast(pl.Int32, strict=False).alias(f"typed:{name}")]
    return []


# Dates


def _in_zone(naive: pl.Expr, mapping: FieldMapping, *, ambiguous: Literal["earliest", "null"]) -> pl.Expr:
    return naive.dt.replace_time_zone(mapping.time_zone, ambiguous=ambiguous, non_existent="null").dt.convert_time_zone(
        "UTC"
    )


def _is_in_gap(naive: pl.Expr, mapping: FieldMapping) -> pl.Expr:
    if mapping.time_zone == "UTC":
        return pl.lit(False)
    return _in_zone(naive, mapping, ambiguous="earliest").is_null()


def _moment(mapping: FieldMapping, naive: pl.Expr, offset: pl.Expr) -> pl.Expr:
    hours = offset.str.slice(1, 2).cast(pl.Int64, strict=False)
    past_hour = offset.str.slice(4, 2).cast(pl.Int64, strict=False)
    minutes = hours * 60 + past_hour
    signed = pl.when(offset.str.starts_with("-")).then(-minutes).otherwise(minutes)
    by_offset = pl.when((hours < 24) & (past_hour < 60)).then(
        naive.dt.replace_time_zone("UTC") - pl.duration(minutes=signed)
    )
    by_zone = _in_zone(naive, mapping, ambiguous="null")
    return pl.when(offset.is_not_null()).then(by_offset).otherwise(by_zone).cast(MOMENT)


def _date_rules(mapping: FieldMapping) -> list[Rule]:
    name, text = mapping.name, text_of(mapping.name)
    moment, parsed = pl.col(f"typed:{name}"), pl.col(f"parsed:{name}")
    formats = " or ".join("ISO 8601" if format_ == "iso" else format_ for format_ in mapping.date_formats)
    zone = mapping.time_zone
    is_bad = text.is_not_null() & (~parsed | (moment.is_null() & (pl.col(f"zone:{name}") != zone)))
    in_gap = parsed & moment.is_null() & pl.col(f"in_gap:{name}")
    is_ambiguous = parsed & moment.is_null()
    return [
        Rule(Code.BAD_DATE, name, is_bad, pl.format("{} is no existing date in {}", quoted(text), pl.lit(formats))),
        Rule(
            Code.OUT_OF_RANGE,
            name,
            (moment < EARLIEST) | (moment >= LATEST),
            pl.format("{} lies outside the years 1900 to 9998", quoted(text)),
        ),
        Rule(
            Code.DATE_IN_DST_GAP,
            name,
            in_gap,
            pl.format("{} does not exist in {}: the clocks went forward", quoted(text), pl.lit(zone)),
        ),
        Rule(
            Code.AMBIGUOUS_DATE,
            name,
            is_ambiguous,
            pl.format("{} happened twice in {}: the clocks went back; send an offset", quoted(text), pl.lit(zone)),
        ),
    ]


# Numbers


def _plain(mapping: FieldMapping) -> pl.Expr:
    """The number's text in the one grammar of the house, after what the source's format adds is removed."""
    text = text_of(mapping.name)
    if mapping.group_sign:
        text = text.str.replace_all(mapping.group_sign, "", literal=True)
    return text.str.replace(mapping.decimal_sign, ".", literal=True) if mapping.decimal_sign != "." else text


def _scales(mapping: FieldMapping) -> tuple[int, int]:
    """(decimals, integer digits) that the field holds."""
    return (AMOUNT_SCALE, 21) if mapping.name == "Amount" else (QUANTITY_SCALE, 15)


def _number(mapping: FieldMapping) -> pl.Expr:
    scale, digits = _scales(mapping)
    plain = _plain(mapping)
    keep = scale if mapping.round_to is None else mapping.round_to
    # One decimal beyond the last kept one decides half away from zero, so nothing more of the text is needed.
    cut = plain.str.head((plain.str.find(".", literal=True) + keep + 2).fill_null(MAX_CHARACTERS))
    value = pl.when(_is_number(mapping) & ~_is_large(plain, digits)).then(cut)
    rounded = round_half_away(value.cast(pl.Decimal(38, keep + 1), strict=False), keep)
    # The cast gives null for what rounding made too large for the type.
    return rounded.cast(AMOUNT if mapping.name == "Amount" else QUANTITY, strict=False)


def _is_number(mapping: FieldMapping) -> pl.Expr:
    """Whether the text is a number in the source's own signs: a group has three digits, no other point may stand in it.

    Looked at before the signs are taken out: 1,5 is not 15 where the comma groups, nor is 1.500 one and a half where it
    parts the decimals.
    """
    if not mapping.group_sign and mapping.decimal_sign == ".":
        return text_of(mapping.name).str.contains(NUMBER_PATTERN)
    group, decimal = re.escape(mapping.group_sign), re.escape(mapping.decimal_sign)
    grouped = f"|[0-9]{{1,3}}(?:{group}[0-9]{{3}})+" if group else ""
    return text_of(mapping.name).str.contains(f"^[+-]?(?:[0-9]+{grouped})(?:{decimal}[0-9]+)?$")


def _is_large(plain: pl.Expr, digits: int) -> pl.Expr:
    return plain.str.contains(r"^[+-]?0*[1-9][0-9]{" + str(digits) + "}")


def _number_form(mapping: FieldMapping) -> str:
    grouped = f", in groups of three by “{mapping.group_sign}” or not" if mapping.group_sign else ""
    return f"a sign, digits{grouped}, a “{mapping.decimal_sign}” and digits are read"


def _number_rules(mapping: FieldMapping) -> list[Rule]:
    name, text, plain = mapping.name, text_of(mapping.name), _plain(mapping)
    scale, digits = _scales(mapping)
    rules = [
        Rule(
            Code.BAD_NUMBER,
            name,
            ~_is_number(mapping),
            pl.format("{} is no number: {}", quoted(text), pl.lit(_number_form(mapping))),
        ),
        Rule(
            Code.OUT_OF_RANGE,
            name,
            text.is_not_null() & pl.col(f"typed:{name}").is_null(),
            pl.format("{} has more than {} digits before the point", quoted(text), pl.lit(digits)),
        ),
    ]
    if mapping.round_to is None:
        too_fine = plain.str.contains(r"\.[0-9]{" + str(scale) + r"}[0-9]*[1-9]")
        rules.append(
            Rule(
                Code.TOO_MANY_DECIMALS,
                name,
                too_fine,
                pl.format("{} has more than {} decimals; let the profile round it", quoted(text), pl.lit(scale)),
            )
        )
    if name == "Value":
        rules.append(
            Rule(
                Code.NEGATIVE_VALUE,
                name,
                pl.col(f"typed:{name}") < 0,
                pl.format("{} is less than nothing", quoted(text)),
            )
        )
    return rules
