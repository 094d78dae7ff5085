"""The frames of mediation: the UDR in columns, what mediation refuses, and what it leaves out."""

from dataclasses import dataclass

import polars as pl

from mediation.core.numbers import AMOUNT, QUANTITY

MOMENT = pl.Datetime("us", "UTC")

# A mediated record. value: in the unit of its usage class. amount: in currency.
UDRS: dict[str, pl.DataType | type[pl.DataType]] = {
    "import_id": pl.Int64,
    "record_number": pl.Int64,
    "date": MOMENT,
    "source_zone": pl.String,
    "usage_class_id": pl.Int64,
    "identifier_type_id": pl.Int64,
    "originating_identifier": pl.String,
    "terminating_identifier": pl.String,
    "udr_usage_identifier": pl.String,
    "candidate_terminating_identifier": pl.String,
    "uniqueness_identifier": pl.String,
    "value": QUANTITY,
    "amount": AMOUNT,
    "currency": pl.String,
    "inbound": pl.Boolean,
    "reverse_rating": pl.Boolean,
    "primary_data_row": pl.Int32,
    "usage_bill_date": MOMENT,
    "extensions": pl.String,
    "repairs": pl.String,
}
# What tells a record apart in its feed, beside each UDR that is kept.
KEYS: dict[str, type[pl.DataType]] = {"key": pl.String, "content_hash": pl.String}

# A record that could not become a UDR. field: the UDR field at fault, or empty; value: the source's text behind that
# field, clipped, or empty.
REJECTED: dict[str, type[pl.DataType]] = {
    "import_id": pl.Int64,
    "record_number": pl.Int64,
    "raw": pl.String,
    "code": pl.String,
    "field": pl.String,
    "value": pl.String,
    "message": pl.String,
}
# A record that a filter skipped, or that repeats one that is known. udr_id: the one it repeats, where known.
LEFT_OUT: dict[str, type[pl.DataType]] = {
    "import_id": pl.Int64,
    "record_number": pl.Int64,
    "outcome": pl.String,
    "reason": pl.String,
    "udr_id": pl.Int64,
}
# A record whose key an earlier record of the same frame has. What it is depends on who holds the key in the end.
REPEATED: dict[str, type[pl.DataType]] = {
    "import_id": pl.Int64,
    "record_number": pl.Int64,
    "raw": pl.String,
    **KEYS,
}
# What a feed takes by the age of usage, counted from when the import was received. earliest: null takes any age.
WINDOWS: dict[str, pl.DataType | type[pl.DataType]] = {"import_id": pl.Int64, "earliest": MOMENT, "latest": MOMENT}


def source_column(name: str) -> str:
    """The column of RECORDS that holds source field `name`; prefixed, since sources may use any name."""
    return f"source:{name}"


@dataclass(frozen=True)
class Catalogue:
    """The names that records use, with their ids.

    classes: usage_class_name, usage_class_id, known_class_type (text or null); types: identifier_type_name,
    identifier_type_id.
    """

    classes: pl.DataFrame
    identifier_types: pl.DataFrame


@dataclass(frozen=True)
class Verdict:
    """Every record once: kept (UDRS, KEYS, raw; each key once), skipped (LEFT_OUT), rejected (REJECTED), REPEATED."""

    kept: pl.DataFrame
    skipped: pl.DataFrame
    rejected: pl.DataFrame
    repeated: pl.DataFrame
