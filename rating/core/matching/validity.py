"""Finding the first candidate that is valid at a moment, layer by layer: one join for all rows at a time."""

from collections.abc import Callable

import polars as pl

Fits = Callable[[pl.DataFrame], pl.Series]

IS_VALID = (pl.col("starts_at").is_null() | (pl.col("starts_at") <= pl.col("date"))) & (
    pl.col("ends_at").is_null() | (pl.col("date") < pl.col("ends_at"))
)


def placed(candidates: pl.DataFrame, on: list[str], order: str, *, descending: bool = False) -> pl.DataFrame:
    """Candidates with `place`, 0 for the first by `order` among those of the same `on`."""
    if not candidates.select(on).is_duplicated().any():
        return candidates.with_columns(place=pl.lit(0, pl.Int64))
    ordered = candidates.sort(order, descending=descending, nulls_last=descending, maintain_order=True)
    return ordered.with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64).over(on))


def first_fitting(
    rows: pl.DataFrame, candidates: pl.DataFrame, on: list[str], answer: str, fits: Fits | None = None
) -> pl.Series:
    """Of each row the `answer` of its first candidate that is valid at its `date` and that `fits`; null without one.

    rows: `row` (0, 1, …), `date` and the columns of `on`. candidates: those of `on`, `place`, starts_at, ends_at
    (half-open, null: no bound) and `answer`, never null. fits: is asked of the rows joined to their candidates.
    """
    left, found = rows, []
    for _, layer in sorted(candidates.partition_by("place", include_key=False, as_dict=True).items()):
        tried = left.join(layer, on=on, how="inner", nulls_equal=True, maintain_order="left")
        holds = tried.select(IS_VALID).to_series()
        if fits is not None:
            holds = holds & fits(tried)
        found.append(tried.filter(holds).select("row", answer))
        # A row without a candidate in this place has none in the places after it.
        left = tried.filter(~holds).select(rows.columns)
        if left.is_empty():
            break
    return _by_row(found, rows, answer, candidates.schema[answer])


def _by_row(found: list[pl.DataFrame], rows: pl.DataFrame, answer: str, kind: pl.DataType) -> pl.Series:
    """The answers in the order of the rows, null where none was found."""
    if len(found) == 1 and found[0].height == rows.height:
        return found[0][answer]  # every row by its first candidate, as is usual
    answers = pl.concat(found) if found else pl.DataFrame(schema={"row": rows.schema["row"], answer: kind})
    return rows.select("row").join(answers, on="row", how="left", maintain_order="left")[answer]
