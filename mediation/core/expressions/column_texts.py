"""Text in columns: what each function on text compiles to; patterns, separators and counts come as plain values."""

import polars as pl

from mediation.core.expressions.column_numbers import decimal
from mediation.core.expressions.patterns import engine_replacement, like_parts, like_regex, whole
from mediation.core.expressions.texts import FALSE_TEXTS, TRUE_TEXTS, WHITE_SPACE


def trimmed(text: pl.Expr, characters: str = WHITE_SPACE) -> pl.Expr:
    return text.str.strip_chars(characters)


def trimmed_start(text: pl.Expr, characters: str = WHITE_SPACE) -> pl.Expr:
    return text.str.strip_chars_start(characters)


def trimmed_end(text: pl.Expr, characters: str = WHITE_SPACE) -> pl.Expr:
    return text.str.strip_chars_end(characters)


def part(text: pl.Expr, start: pl.Expr, count: pl.Expr | None = None) -> pl.Expr:
    """From `start`, counted from 1; places before the text count as characters that are not there."""
    offset = (start - 1).clip(0, None)
    if count is None:
        return text.str.slice(offset)
    length = (start - 1 + count - offset).clip(0, None)
    # A null length would mean "to the end" to polars, so the guard stands around the slice, not inside it.
    return pl.when(count >= 0).then(text.str.slice(offset, length))


def padded(text: pl.Expr, length: int, filling: str = " ") -> pl.Expr:
    return text.str.pad_start(length, filling).str.head(length)


def replaced(text: pl.Expr, old: str, new: str) -> pl.Expr:
    return text.str.replace_all(old, new, literal=True) if old else text


def split_part(text: pl.Expr, separator: str, index: int) -> pl.Expr:
    """The part, empty where there are fewer; null text stays null."""
    parts = text.str.split(separator).list
    return pl.when(text.is_not_null()).then(parts.get(index - 1, null_on_oob=True).fill_null(""))


def position(text: pl.Expr, sought: str) -> pl.Expr:
    """Counted in characters, where polars' own `find` counts bytes."""
    if not sought:
        return pl.when(text.is_not_null()).then(pl.lit(1, decimal(0)))
    before = text.str.splitn(sought, 2).struct.field("field_0").str.len_chars() + 1
    found = text.str.contains(sought, literal=True)
    return pl.when(found).then(before).when(~found).then(0).cast(decimal(0))


def like(text: pl.Expr, pattern: str, escape: str = "\\") -> pl.Expr:
    """The common shapes without a regular expression: whole, at the start, at the end, anywhere."""
    parts = like_parts(pattern, escape)
    literal = "".join(piece[1:] for piece in parts)
    wild = [index for index, piece in enumerate(parts) if not piece.startswith("=")]
    if not wild:
        return text == literal
    if all(parts[index] == "%" for index in wild):
        if wild == [len(parts) - 1]:
            return text.str.starts_with(literal)
        if wild == [0]:
            return text.str.ends_with(literal)
        if wild == [0, len(parts) - 1]:
            return text.str.contains(literal, literal=True)
    return text.str.contains(like_regex(pattern, escape))


def regexp_like(text: pl.Expr, pattern: str) -> pl.Expr:
    return text.str.contains(pattern)


def regexp_extract(text: pl.Expr, pattern: str, group: int) -> pl.Expr:
    return text.str.extract(pattern, group)


def regexp_replaced(text: pl.Expr, pattern: str, replacement: str, flag: str = "") -> pl.Expr:
    to = engine_replacement(replacement)
    return text.str.replace_all(whole(pattern), to) if flag else text.str.replace(whole(pattern), to)


def read_booleans(text: pl.Expr) -> pl.Expr:
    """True and false by the words that mappings take too; anything else is null."""
    word = text.str.to_lowercase()
    return pl.when(word.is_in(TRUE_TEXTS)).then(True).when(word.is_in(FALSE_TEXTS)).then(False)
