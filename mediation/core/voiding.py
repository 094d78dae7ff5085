"""Usage that is taken back or amended: what was received before a void does not come to life by being read again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from mediation.core.codes import Code
from mediation.core.frames import LEFT_OUT, MOMENT, REJECTED
from mediation.core.wording import quoted

# What was taken back in a feed. import_id, record_number: the record that had become the UDR.
VOIDED: dict[str, pl.DataType | type[pl.DataType]] = {
    "key": pl.String,
    "import_id": pl.Int64,
    "record_number": pl.Int64,
    "requested_at": MOMENT,
}
ARRIVALS: dict[str, pl.DataType | type[pl.DataType]] = {"import_id": pl.Int64, "received_at": MOMENT}
REASON = "voided"
BY_BACKFILL = "replaced by backfill "  # and its number


@dataclass(frozen=True)
class Window:
    """A half-open stretch of time that a backfill replaces. counts_since: when it did; None: it does not yet."""

    backfill_id: int
    starts_at: datetime
    ends_at: datetime
    counts_since: datetime | None = None

    def holds(self, date: pl.Expr) -> pl.Expr:
        """Whether a moment lies in it."""
        return (date >= self.starts_at) & (date < self.ends_at)


@dataclass(frozen=True)
class Voids:
    """What was taken back in a feed (VOIDED), and when the imports at hand were received (ARRIVALS)."""

    voided: pl.DataFrame
    arrivals: pl.DataFrame


def leave_out(kept: pl.DataFrame, voids: Voids | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records that still count, and LEFT_OUT rows of those that a later void took back, by their key or their place.

    kept: import_id, record_number, key and more. What was received at the very moment of the request amends.
    """
    if voids is None or voids.voided.is_empty():
        return kept, pl.DataFrame(schema=LEFT_OUT)
    latest = voids.voided.group_by("key").agg(pl.col("requested_at").max())
    places = voids.voided.select("import_id", "record_number").unique()
    asked = (
        kept.select("import_id", "record_number", "key")
        .join(voids.arrivals, on="import_id", how="left", maintain_order="left")
        .join(latest, on="key", how="left", maintain_order="left")
        .join(
            places.with_columns(is_voided=pl.lit(True)),
            on=["import_id", "record_number"],
            how="left",
            maintain_order="left",
        )
    )
    is_gone = (pl.col("requested_at") > pl.col("received_at")).fill_null(False) | pl.col("is_voided").fill_null(False)
    mark = asked.select(is_gone).to_series()
    if not mark.any():
        return kept, pl.DataFrame(schema=LEFT_OUT)
    gone = asked.filter(mark).select(
        "import_id",
        "record_number",
        outcome=pl.lit("skipped"),
        reason=pl.lit(REASON),
        udr_id=pl.lit(None, pl.Int64),
    )
    # In one piece: `format` of polars 2.1.0 panics at a column whose first piece is empty.
    return kept.filter(~mark).rechunk(), gone.cast(LEFT_OUT)  # type: ignore[arg-type]


def leave_out_replaced(
    kept: pl.DataFrame, windows: Sequence[Window], arrivals: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records that still count, and LEFT_OUT rows of those that came before a backfill replaced what lay in its window.

    kept: import_id, record_number, typed:Date and more. arrivals: ARRIVALS.
    """
    if not windows or kept.is_empty():
        return kept, pl.DataFrame(schema=LEFT_OUT)
    asked = kept.select("import_id", "record_number", date="typed:Date").join(
        arrivals, on="import_id", how="left", maintain_order="left"
    )
    by = pl.coalesce(
        pl.when(window.holds(pl.col("date")) & (pl.col("received_at") <= window.counts_since)).then(
            pl.lit(f"{BY_BACKFILL}{window.backfill_id}")
        )
        for window in windows
    )
    asked = asked.with_columns(reason=by)
    mark = asked["reason"].is_not_null()
    if not mark.any():
        return kept, pl.DataFrame(schema=LEFT_OUT)
    gone = asked.filter(mark).select(
        "import_id", "record_number", "reason", outcome=pl.lit("skipped"), udr_id=pl.lit(None, pl.Int64)
    )
    return kept.filter(~mark).rechunk(), gone.select(list(LEFT_OUT)).cast(LEFT_OUT)  # type: ignore[arg-type]


def outside_of(kept: pl.DataFrame, window: Window | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records inside the window of the backfill that they came by, and REJECTED rows of the others."""
    if window is None or kept.is_empty():
        return kept, pl.DataFrame(schema=REJECTED)
    mark = kept.select(window.holds(pl.col("typed:Date"))).to_series()
    if mark.all():
        return kept, pl.DataFrame(schema=REJECTED)
    date = pl.col("typed:Date").dt.to_string("%Y-%m-%d %H:%M:%S UTC")
    until = f"{window.starts_at:%Y-%m-%d %H:%M:%S} to {window.ends_at:%Y-%m-%d %H:%M:%S} UTC"
    outside = kept.filter(~mark).rechunk()
    rejected = outside.select(
        "import_id",
        "record_number",
        "raw",
        code=pl.lit(str(Code.OUTSIDE_BACKFILL)),
        field=pl.lit("Date"),
        value=date,
        message=pl.format("{} lies outside of the backfill's window, {}; send it as usual", date, pl.lit(until)),
    )
    return kept.filter(mark).rechunk(), rejected.cast(REJECTED)  # type: ignore[arg-type]


def nothing_to_amend(unknown: pl.DataFrame) -> pl.DataFrame:
    """REJECTED rows of records that were to amend usage which never came. unknown: RAW and key."""
    if unknown.is_empty():
        return pl.DataFrame(schema=REJECTED)
    return unknown.select(
        "import_id",
        "record_number",
        "raw",
        code=pl.lit(str(Code.NOTHING_TO_AMEND)),
        field=pl.lit(""),
        value=pl.col("key").str.slice(0, 200),
        message=pl.format(
            "no usage of this feed was ever known by the key {}; send it as usage", quoted(pl.col("key"))
        ),
    ).cast(REJECTED)  # type: ignore[arg-type]
