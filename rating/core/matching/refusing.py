"""How matching refuses usage: a sentence for each row, and a record as a whole where one of its parts cannot be."""

import polars as pl

from rating.core import frames
from rating.core.frames import Rated

DATE = pl.col("date").dt.strftime("%Y-%m-%d %H:%M:%S UTC")


def refuse(usage: pl.DataFrame, cause: str, message: pl.Expr) -> pl.DataFrame:
    """The rows as REFUSED for `cause`."""
    # In one piece: pl.format panics on filtered columns of several.
    return frames.refuse(usage.rechunk(), cause, message)


def refuse_wholes(passed: Rated, wholes: pl.DataFrame) -> Rated:
    """Refuse each record of which a part was refused: once, for its first refused part, with its own date and value.

    passed: parts of records, and refused parts in any order. wholes: the records before they were split.
    """
    refused = passed.refused.sort("udr_id", "udr_date", maintain_order=True).unique("udr_id", keep="first")
    own = wholes.select("udr_id", whole_date="date", whole_value="value")
    told = refused.join(own, on="udr_id", how="left", maintain_order="left").with_columns(
        udr_date=pl.coalesce("whole_date", "udr_date"), value=pl.coalesce("whole_value", "value")
    )
    rated = passed.rated.join(refused, on="udr_id", how="anti", maintain_order="left")
    return Rated(rated, told.select(passed.refused.columns).sort("udr_id"))
