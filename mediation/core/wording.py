"""How messages show the values of records."""

import polars as pl

MAX_SHOWN = 80


def quoted(text: pl.Expr) -> pl.Expr:
    """A value as a message shows it: quoted, and cut where it is long."""
    shown = pl.when(text.str.len_chars() > MAX_SHOWN).then(text.str.slice(0, MAX_SHOWN) + "…").otherwise(text)
    return pl.format("“{}”", shown.fill_null(""))
