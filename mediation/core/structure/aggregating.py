"""The fields of a record that several rows make: the primary row's, other rows' by their role, and totals."""

from collections.abc import Callable, Iterable
from decimal import Decimal, localcontext

import polars as pl

from mediation.core.codes import Code
from mediation.core.frames import source_column
from mediation.core.structure.controls import EXACT, MAX_DIGITS, NUMBER, digits_of
from mediation.core.structure.document import Combine

RECORD_SEPARATOR = "\x1e"


def combined_fields(parts: pl.DataFrame, combine: Combine, role_fields: list[tuple[str, str]]) -> pl.DataFrame:
    """One row a group: its source columns, `content`, `fault` and `fault_message`. parts: MARKS, GROUPED, RECORDS.

    role_fields: (role, field) pairs that something reads as `<role>.<field>`.
    """
    ordered = _in_order(parts, combine)
    sources = [name for name in parts.columns if name.startswith("source:")]
    main = _primary(ordered, combine).select("group", "part_count", "primary_count", *sources)
    for role in dict.fromkeys(role for role, _ in role_fields):
        columns = {source_column(f"{role}.{of}"): pl.col(source_column(of)) for r, of in role_fields if r == role}
        own = ordered.filter(pl.col("part_role") == role).unique("group", keep="first", maintain_order=True)
        main = main.join(own.select("group", **columns), on="group", how="left", maintain_order="left")
    # The order of arrival must not make other content: the parts' texts stand in their own order.
    content = ordered.group_by("group").agg(content=pl.col("raw").sort().str.join(RECORD_SEPARATOR))
    main = main.join(content, on="group", how="left", maintain_order="left").with_columns(
        fault=pl.lit(None, pl.String), fault_message=pl.lit(None, pl.String)
    )
    for name, how in combine.fields:
        main = _with_total(main, ordered, name, how)
    return _judge_primary(main, combine).drop("part_count", "primary_count")


def _in_order(parts: pl.DataFrame, combine: Combine) -> pl.DataFrame:
    """Parts of a record in an order of their own: by role, number, order_by, and only then as they came."""
    roles = {name: place for place, name in enumerate(combine.role_names)}
    rank = pl.col("part_role").replace_strict(roles, default=len(roles), return_dtype=pl.Int32) if roles else pl.lit(0)
    ordered = parts.with_columns(_rank=rank)
    return ordered.sort("group", "_rank", "part_number", "part_order", "place", nulls_last=True).drop("_rank")


def _primary(ordered: pl.DataFrame, combine: Combine) -> pl.DataFrame:
    """The row of each group that carries the main data: the one that says so, or the first."""
    counted = ordered.with_columns(
        part_count=pl.len().over("group"), primary_count=pl.col("is_primary").sum().over("group")
    )
    if combine.primary is not None:
        counted = counted.sort("group", ~pl.col("is_primary"), maintain_order=True)
    return counted.unique("group", keep="first", maintain_order=True)


def _judge_primary(main: pl.DataFrame, combine: Combine) -> pl.DataFrame:
    if combine.primary is None:
        return main
    is_broken = (pl.col("primary_count") != 1) & pl.col("fault").is_null()
    message = pl.format("{} of its {} parts are primary; one must be", "primary_count", "part_count")
    return main.with_columns(
        fault=pl.when(is_broken).then(pl.lit(str(Code.AMBIGUOUS_PRIMARY))).otherwise("fault"),
        fault_message=pl.when(is_broken).then(message).otherwise("fault_message"),
    )


def _with_total(main: pl.DataFrame, ordered: pl.DataFrame, name: str, how: str) -> pl.DataFrame:
    """`main` with the column of field `name` replaced by what all parts of the record say together."""
    column = source_column(name)
    text = pl.col(column).str.strip_chars()
    texts = ordered.select("group", text=pl.when(text != "").then(text)).drop_nulls("text")
    totals = _totals(texts, how)
    replaced = main.drop(column).join(totals.rename({"text": column}), on="group", how="left", maintain_order="left")
    if how == "count":
        return replaced.drop("bad").with_columns(pl.col(column).fill_null("0"))
    is_broken = pl.col("bad").is_not_null() & pl.col("fault").is_null()
    message = pl.format("{} is no number in one of its parts, so that it has no sum: “{}”", pl.lit(name), "bad")
    return replaced.with_columns(
        fault=pl.when(is_broken).then(pl.lit(str(Code.BAD_NUMBER))).otherwise("fault"),
        fault_message=pl.when(is_broken).then(message).otherwise("fault_message"),
    ).drop("bad")


def _totals(texts: pl.DataFrame, how: str) -> pl.DataFrame:
    """group, text, bad: a text that kept a sum from being made. texts: group, text, in the order of parts."""
    nothing_bad = pl.lit(None, pl.String).alias("bad")
    groups = texts.group_by("group", maintain_order=True)
    if how in ("first", "last"):
        return groups.agg(getattr(pl.col("text"), how)()).with_columns(nothing_bad)
    if how == "count":
        return groups.agg(pl.len().cast(pl.String).alias("text")).with_columns(nothing_bad)
    is_number = pl.col("text").str.contains(NUMBER)
    judged = texts.with_columns(_bad=pl.when(~is_number).then(pl.col("text").str.slice(0, 80)))
    bad = judged.group_by("group", maintain_order=True).agg(bad=pl.col("_bad").drop_nulls().first())
    numeric = judged.join(bad.filter(pl.col("bad").is_null()), on="group", how="semi", maintain_order="left")
    found = _number_totals(numeric.select("group", "text"), how)
    if how == "sum":
        return bad.join(found, on="group", how="left", maintain_order="left").select("group", "text", "bad")
    # What is no number, such as a date, is compared as text.
    other = judged.join(bad.filter(pl.col("bad").is_not_null()), on="group", how="semi", maintain_order="left")
    compared = other.group_by("group", maintain_order=True).agg(getattr(pl.col("text"), how)())
    return pl.concat([found, compared]).with_columns(nothing_bad)


def _number_totals(texts: pl.DataFrame, how: str) -> pl.DataFrame:
    """group, text: the exact sum, least or greatest of numbers."""
    if texts.is_empty():
        return texts
    scale, whole = digits_of(texts["text"])
    most = texts.group_by("group").len()["len"].max()
    # A sum of n numbers needs at most as many digits more as n has.
    if scale + whole + len(str(most)) > MAX_DIGITS:
        return _slow_totals(texts, how)
    numbers = texts.with_columns(pl.col("text").cast(pl.Decimal(MAX_DIGITS, scale)))
    found = numbers.group_by("group", maintain_order=True).agg(getattr(pl.col("text"), how)())
    text = pl.col("text").cast(pl.String)
    if scale:
        text = text.str.strip_chars_end("0").str.strip_chars_end(".")
    return found.with_columns(text=text)


def _slow_totals(texts: pl.DataFrame, how: str) -> pl.DataFrame:
    """The same for numbers that 38 digits cannot hold together; no source of usage has them."""
    groups = texts.group_by("group", maintain_order=True).agg("text")
    functions: dict[str, Callable[[Iterable[Decimal]], Decimal | int]] = {"sum": sum, "min": min, "max": max}
    with localcontext(EXACT):
        found = [f"{functions[how](map(Decimal, some)):f}" for some in groups["text"].to_list()]
    return groups.select("group", text=pl.Series(found, dtype=pl.String))
