"""Which rows make one record: parts of a key taken in order of arrival until the record is complete."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from mediation.core.structure.document import Combine

# What `group_parts` adds to marked parts. group: the record, null while it is not complete; repeats: the `place` of the
# same row that came before; conflict: what another row of the record stands against.
GROUPED: dict[str, type[pl.DataType]] = {"group": pl.Int64, "repeats": pl.Int64, "conflict": pl.String}


def group_parts(parts: pl.DataFrame, combine: Combine) -> pl.DataFrame:
    """Add GROUPED and `place`, the row's place. parts: MARKS and raw, every key given, in order of arrival.

    Keys of which every row fits are grouped in columns. Where rows of one key repeat or contradict each other, or make
    several records, it matters which came first: those keys are walked row by row. They are the exception.
    """
    if parts.is_empty():
        return parts.with_columns(place=pl.lit(0, pl.Int64), **{n: pl.lit(None, k) for n, k in GROUPED.items()})
    placed = parts.with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64))
    keys = placed.group_by("part_key").agg(
        is_plain=_is_plain(combine), is_complete=_is_complete(combine), group=pl.col("place").min()
    )
    known = placed.join(keys, on="part_key", how="left", maintain_order="left")
    plain = known.filter("is_plain").with_columns(
        group=pl.when("is_complete").then("group"), repeats=pl.lit(None, pl.Int64), conflict=pl.lit(None, pl.String)
    )
    odd = _walk(known.filter(~pl.col("is_plain")).drop("group"), combine)
    return pl.concat([plain, odd], how="diagonal").drop("is_plain", "is_complete").sort("place")


def _is_plain(combine: Combine) -> pl.Expr:
    """Whether a key's rows make at most one record, whatever their order."""
    plain = pl.col("raw").n_unique() == pl.len()
    if combine.roles:
        plain &= pl.col("part_role").drop_nulls().n_unique() == pl.col("part_role").count()
    if combine.rows:
        plain &= pl.len() <= combine.rows
    if combine.last:
        plain &= pl.col("part_number").n_unique() == pl.len()
        plain &= (pl.col("is_last").sum() <= 1) & (pl.len() <= pl.col("part_number").max())
        plain &= ~pl.col("is_last").any() | (_last_number() == pl.col("part_number").max())
    return plain


def _last_number() -> pl.Expr:
    return pl.col("part_number").filter(pl.col("is_last")).max()


def _is_complete(combine: Combine) -> pl.Expr:
    """Whether the rows of a plain key are all there."""
    complete = pl.lit(True)
    if combine.roles:
        complete &= pl.col("part_role").drop_nulls().n_unique() == len(combine.roles)
    if combine.rows:
        complete &= pl.len() == combine.rows
    if combine.last:
        complete &= (_last_number() == pl.len()).fill_null(False)
    return complete


class _Part(NamedTuple):
    place: int
    key: str
    role: str | None
    number: int | None
    is_last: bool
    raw: str


@dataclass
class _Record:
    """A record that is not complete yet."""

    parts: list[_Part] = field(default_factory=list)
    raws: dict[str, int] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)
    last: int | None = None

    def conflict(self, part: _Part, combine: Combine) -> str | None:
        if part.role in self.roles:
            return f"another record of the same key is its {part.role} already"
        if combine.last is None or part.number is None:
            return None
        if part.number in self.numbers:
            return f"another record of the same key has the number {part.number} already"
        if part.is_last and (self.last is not None or part.number < max(self.numbers, default=0)):
            return "it says that it is the last of its key, and another has a higher number or says so too"
        if self.last is not None and part.number > self.last:
            return f"its number is {part.number}, and number {self.last} of its key was the last"
        return None

    def add(self, part: _Part) -> None:
        self.parts.append(part)
        self.raws[part.raw] = part.place
        if part.role is not None:
            self.roles.add(part.role)
        if part.number is not None:
            self.numbers.add(part.number)
        if part.is_last:
            self.last = part.number

    def is_complete(self, combine: Combine) -> bool:
        has_roles = len(self.roles) == len(combine.roles)
        has_rows = combine.rows is None or len(self.parts) >= combine.rows
        has_numbers = combine.last is None or (self.last is not None and len(self.numbers) == self.last)
        return has_roles and has_rows and has_numbers


def _walk(odd: pl.DataFrame, combine: Combine) -> pl.DataFrame:
    columns = ["place", "part_key", "part_role", "part_number", "is_last", "raw"]
    found = list(_walked(map(_Part._make, odd.select(columns).iter_rows()), combine))
    frame = pl.DataFrame(found, schema={"place": pl.Int64, **GROUPED}, orient="row")
    return odd.join(frame, on="place", how="left", maintain_order="left")


def _walked(parts: Iterable[_Part], combine: Combine) -> Iterator[Sequence[int | str | None]]:
    """place, group, repeats, conflict of every part."""
    open_records: dict[str, _Record] = {}
    for part in parts:
        record = open_records.setdefault(part.key, _Record())
        if part.raw in record.raws:
            yield part.place, None, record.raws[part.raw], None
            continue
        if conflict := record.conflict(part, combine):
            yield part.place, None, None, conflict
            continue
        record.add(part)
        if record.is_complete(combine):
            yield from ((one.place, record.parts[0].place, None, None) for one in record.parts)
            del open_records[part.key]
    for record in open_records.values():
        yield from ((one.place, None, None, None) for one in record.parts)
