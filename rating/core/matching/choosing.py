"""Which of a record's identifiers pays: by its usage class, and by its direction where the class says so."""

import polars as pl

from rating.core.frames import REFUSED, Rated, empty

from .refusing import refuse

PAYING_IDENTIFIER = {  # by `paid_by`, the direction resolved
    "usage": "udr_usage_identifier",
    "originating": "originating_identifier",
    "terminating": "terminating_identifier",
}

# Who calls pays, who is called does when the record came in to the network; reverse rating turns it round.
IS_TURNED = pl.col("inbound").fill_null(False) != pl.col("reverse_rating").fill_null(False)


def choose_payers(usage: pl.DataFrame, classes: pl.DataFrame) -> Rated:
    """Choose of each record's identifiers the one that its class is paid by.

    usage: schema USAGE. classes: usage_class_id, usage_class, paid_by (usage, originating, terminating, or direction:
    the originating identifier of outbound usage, the terminating one of inbound usage, the other way round with
    reverse rating). Returns schema CHOSEN; refuses usage of a class that is no longer there.
    """
    by_direction = pl.when(IS_TURNED).then(pl.lit("terminating")).otherwise(pl.lit("originating"))
    named = usage.join(classes, on="usage_class_id", how="left", maintain_order="left")
    if "direction" in classes["paid_by"]:
        named = named.with_columns(
            paid_by=pl.when(pl.col("paid_by") == "direction").then(by_direction).otherwise("paid_by")
        )
    chosen = named.with_columns(
        identifier=pl.coalesce(
            pl.when(pl.col("paid_by") == paid_by).then(column) for paid_by, column in PAYING_IDENTIFIER.items()
        )
    )
    is_unknown = chosen["paid_by"].is_null()
    if not is_unknown.any():
        return Rated(chosen, empty(REFUSED))
    message = pl.format("Usage class {} does not exist any more. Restore it, then rerate.", "usage_class_id")
    return Rated(chosen.filter(~is_unknown), refuse(chosen.filter(is_unknown), "system_error", message))
