"""What another version of a profile would change: the state of each record before and after, and where they differ."""

from dataclasses import dataclass

import polars as pl

from mediation.core.frames import UDRS, Catalogue
from mediation.core.reading import json_records

# The state of a record: its outcome, the filter or code that gave it, and every UDR field as text.
VALUES = [name for name in UDRS if name not in ("import_id", "record_number", "usage_class_id", "identifier_type_id")]
NAMES = ("usage_class", "identifier_type", *VALUES)
STATES: dict[str, type[pl.DataType]] = {
    "record_number": pl.Int64,
    "outcome": pl.String,
    "reason": pl.String,
    **dict.fromkeys(NAMES, pl.String),
}
NOT_READ = "not read"
MOST_CHANGES = 1_000


@dataclass(frozen=True)
class Change:
    """A record that would end otherwise. fields: (UDR column, text before, text after) where those differ."""

    number: int
    before: str
    after: str
    before_reason: str
    after_reason: str
    fields: tuple[tuple[str, str | None, str | None], ...]


@dataclass(frozen=True)
class Comparison:
    """How many records were looked at, what would change by outcome and by field, and the first changes themselves."""

    record_count: int
    is_cut: bool
    change_count: int
    transitions: list[tuple[str, str, int]]
    fields: list[tuple[str, int]]
    changes: list[Change]


def states_of_udrs(udrs: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """STATES of imported records. udrs: UDRS."""
    classes = catalogue.classes.select("usage_class_id", usage_class="usage_class_name")
    types = catalogue.identifier_types.select("identifier_type_id", identifier_type="identifier_type_name")
    named = udrs.join(classes, on="usage_class_id", how="left").join(types, on="identifier_type_id", how="left")
    # One text for all spellings of the same object: the database keeps no order of members.
    extensions = [None if text is None else json_records.canonical(text) for text in named["extensions"]]
    return named.with_columns(
        pl.lit("imported").alias("outcome"),
        pl.lit("").alias("reason"),
        pl.Series("extensions", extensions, dtype=pl.String),
    ).select(_text(name, kind) for name, kind in STATES.items())


def _text(name: str, kind: type[pl.DataType]) -> pl.Expr:
    column = pl.col(name)
    if isinstance(UDRS.get(name), pl.Datetime):
        return column.dt.strftime("%Y-%m-%d %H:%M:%S%.6f").str.strip_suffix(".000000").alias(name)
    if isinstance(UDRS.get(name), pl.Decimal):
        return column.cast(pl.String).str.strip_chars_end("0").str.strip_suffix(".").alias(name)
    return column.cast(kind)


def states_of_others(records: pl.DataFrame) -> pl.DataFrame:
    """STATES of records that are no UDRs. records: record_number, outcome, reason."""
    nothing = (pl.lit(None, pl.String).alias(name) for name in NAMES)
    return records.select("record_number", "outcome", "reason", *nothing).cast(STATES)  # type: ignore[arg-type]


def compare(before: pl.DataFrame, after: pl.DataFrame, *, is_cut: bool = False) -> Comparison:
    """What differs between two frames of STATES, record by record; a record that one lacks is not read there."""
    both = before.join(after, on="record_number", how="full", coalesce=True, suffix=":after").sort("record_number")
    both = both.with_columns(pl.col("outcome", "outcome:after").fill_null(NOT_READ))
    differs = {name: pl.col(name).ne_missing(pl.col(f"{name}:after")) for name in ("outcome", "reason", *NAMES)}
    changed = both.filter(pl.any_horizontal(differs.values()))
    # Fields of records that became UDRs both times; of the others the outcome says all.
    twice = changed.filter((pl.col("outcome") == "imported") & (pl.col("outcome:after") == "imported"))
    counts = twice.select(**{name: differs[name].sum() for name in NAMES})
    moved = changed.group_by("outcome", "outcome:after").len().sort("len", "outcome", descending=[True, False])
    return Comparison(
        record_count=both.height,
        is_cut=is_cut,
        change_count=changed.height,
        transitions=list(moved.iter_rows()),
        fields=sorted(((name, counts[name][0]) for name in NAMES if counts[name][0]), key=lambda one: -one[1]),
        changes=[_change(row) for row in changed.head(MOST_CHANGES).iter_rows(named=True)],
    )


def _change(row: dict[str, object]) -> Change:
    pairs = [(name, row[name], row[f"{name}:after"]) for name in NAMES]
    differing = [(name, *map(_or_none, (old, new))) for name, old, new in pairs if old != new]
    return Change(
        number=int(str(row["record_number"])),
        before=str(row["outcome"]),
        after=str(row["outcome:after"]),
        before_reason=str(row["reason"] or ""),
        after_reason=str(row["reason:after"] or ""),
        fields=tuple(differing),  # type: ignore[arg-type]
    )


def _or_none(value: object) -> str | None:
    return None if value is None else str(value)
