"""What a file says of itself: the fields of its header and trailer, and control totals that must agree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext

import polars as pl

from mediation.core.frames import source_column
from mediation.core.numbers import sum_exact
from mediation.core.reading.frames import UnreadableError
from mediation.core.structure.document import Control, PlacedColumn, Structure

# Beyond what any total needs; a longer run of digits is no number here, so that nothing is added up for minutes.
NUMBER = r"^[+-]?[0-9]{1,60}(?:\.[0-9]{1,30})?$"
MAX_DIGITS = 38
EXACT = Context(prec=200)

# Reads rows as a header or trailer: RECORDS with a source column for each name, and a fault where they do not fit.
ReadColumns = Callable[[pl.DataFrame, Sequence[PlacedColumn]], pl.DataFrame]


@dataclass(frozen=True)
class Claims:
    """What a file says of itself, by `header.<column>` and `trailer.<column>`, and how many details it has."""

    fields: dict[str, str | None]
    detail_count: int


@dataclass
class _Sum:
    total: Decimal = Decimal(0)
    without_count: int = 0
    first_without: int | None = None


@dataclass
class Scan:
    """Takes a file's records part by part, in their order, and in the end says whether its totals agree.

    What is kept does not grow with the file.
    """

    structure: Structure
    read_columns: ReadColumns
    fields: dict[str, str | None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"header": 0, "trailer": 0, "detail": 0})
    row_count: int = 0
    trailer_number: int | None = None
    sums: dict[tuple[str, str], _Sum] = field(default_factory=dict)

    def take(self, rows: pl.DataFrame, kinds: pl.Series) -> None:
        """Take the next rows. rows: RAW and the source columns of the fields that controls sum; kinds: of `kinds_of`.

        Raises UnreadableError where headers and trailers do not stand where they belong.
        """
        told = rows.with_columns(_kind=kinds)
        self._check_order(told)
        for kind in ("header", "trailer"):
            for row in told.filter(pl.col("_kind") == kind).drop("_kind").iter_slices(1):
                self._take_outer(kind, row)
        details = told.filter(pl.col("_kind") == "detail")
        self.counts["detail"] += details.height
        self.row_count += rows.height
        for of, sign in {(one.of, one.decimal_sign) for one in self.structure.controls if one.of}:
            _add(self.sums.setdefault((of, sign), _Sum()), details, source_column(of), sign)

    def _check_order(self, told: pl.DataFrame) -> None:
        """A trailer ends the file; a header comes before every other record."""
        kinds, numbers = told["_kind"].fill_null("detail"), told["record_number"]
        trailers = told.filter(kinds == "trailer")["record_number"].to_list()
        if trailers and (self.trailer_number is not None or trailers[1:]):
            second = trailers[0] if self.trailer_number is not None else trailers[1]
            raise UnreadableError(f"Record {second:,} is a second trailer. Send each batch as a file of its own.")
        self.trailer_number = trailers[0] if trailers else self.trailer_number
        if self.trailer_number is not None and told.height and numbers[-1] > self.trailer_number:
            after = numbers.filter(numbers > self.trailer_number)[0]
            raise UnreadableError(f"Record {after:,} comes after the trailer, record {self.trailer_number:,}.")
        headers = numbers.filter(kinds == "header")
        others = numbers.filter(kinds != "header")
        has_others_before = self.row_count > self.counts["header"]
        if headers.len() and (has_others_before or (others.len() and headers[-1] > others[0])):
            late = headers[0] if has_others_before else headers.filter(headers > others[0])[0]
            raise UnreadableError(
                f"Record {late:,} is a header below other records; it belongs at the top of the file."
            )

    def _take_outer(self, kind: str, row: pl.DataFrame) -> None:
        """The fields of a header or trailer record."""
        self.counts[kind] += 1
        columns = self.structure.header_columns if kind == "header" else self.structure.trailer_columns
        number = row["record_number"][0]
        if columns and self.counts[kind] > 1:
            raise UnreadableError(f"Record {number:,} is a second {kind}. Send each batch as a file of its own.")
        if not columns:
            return
        read = self.read_columns(row.select("import_id", "record_number", "raw", "fault", "fault_message"), columns)
        if message := read["fault_message"][0]:
            raise UnreadableError(f"The {kind}, record {number:,}, cannot be read: {message}.")
        for column in columns:
            text = read[source_column(column.name)][0]
            self.fields[f"{kind}.{column.name}"] = text.strip() if text is not None else None

    def finish(self) -> Claims:
        """What the whole file says of itself. Raises UnreadableError where a record lacks or a total disagrees."""
        types = self.structure.record_types
        for kind, hint in (("header", ""), ("trailer", " Was it cut off?")):
            if types is not None and types.states(kind) and not self.counts[kind]:
                raise UnreadableError(f"The file has no {kind} record.{hint} Nothing was imported.")
        faults = [fault for control in self.structure.controls if (fault := self._disagreement(control))]
        if faults:
            raise UnreadableError(" ".join([*faults, "Nothing was imported."]))
        return Claims(self.fields, self.counts["detail"])

    def _disagreement(self, control: Control) -> str | None:
        where, _, name = control.field.rpartition(".") if control.field.startswith("header.") else ("trailer", "", "")
        text = self.fields[control.field if name else f"trailer.{control.field}"]
        said = number_of(text or "", control.decimal_sign)
        if said is None:
            return f"The {where} says “{(text or '')[:80]}” in {name or control.field}, which is no number."
        if control.kind == "count":
            found = self.row_count if control.counts == "all" else self.counts["detail"]
            return _count_fault(where, said, found)
        assert control.of is not None  # noqa: S101 - parse_structure made sure of it
        return _sum_fault(where, control.of, said, self.sums.get((control.of, control.decimal_sign), _Sum()))


def number_of(text: str, decimal_sign: str = ".") -> Decimal | None:
    """The number that a text states, or None."""
    plain = text.strip()
    plain = plain.replace(decimal_sign, ".") if decimal_sign != "." and "." not in plain else plain
    is_number = pl.select(pl.lit(plain).str.contains(NUMBER)).item()
    return Decimal(plain) if is_number else None


def _count_fault(where: str, said: Decimal, found: int) -> str | None:
    difference = EXACT.subtract(said, Decimal(found))
    if not difference:
        return None
    how = "missing" if difference > 0 else "more than it says"
    verb = "is" if abs(difference) == 1 else "are"
    return f"The {where} says {said:,f} records, the file has {found:,}: {abs(difference):,f} {verb} {how}."


def _sum_fault(where: str, of: str, said: Decimal, found: _Sum) -> str | None:
    difference = EXACT.subtract(found.total, said)
    if not difference:
        return None
    how = "more" if difference > 0 else "less"
    total = f"The {where} says {said:,f} for the sum of {of}, the records come to {found.total:,f}"
    fault = f"{total}: {abs(difference):,f} {how} than it says."
    if not found.without_count:
        return fault
    return f"{fault} {found.without_count:,} of them have no number there, the first is record {found.first_without:,}."


def _add(to: _Sum, details: pl.DataFrame, column: str, decimal_sign: str) -> None:
    texts = details[column].str.strip_chars()
    if decimal_sign != ".":
        texts = texts.str.replace(".", "!", literal=True).str.replace(decimal_sign, ".", literal=True)
    is_number = texts.str.contains(NUMBER).fill_null(False)
    to.total = EXACT.add(to.total, exact_sum(texts.filter(is_number)))
    without = details.filter(~is_number)["record_number"]
    to.without_count += without.len()
    to.first_without = to.first_without if to.first_without is not None or not without.len() else without[0]


def exact_sum(texts: pl.Series) -> Decimal:
    """The sum of texts that NUMBER matches, to the last digit."""
    if texts.is_empty():
        return Decimal(0)
    scale, whole = digits_of(texts)
    if scale + whole <= MAX_DIGITS:
        try:
            return sum_exact(texts.cast(pl.Decimal(MAX_DIGITS, scale)))
        except OverflowError:
            pass
    # Numbers that 38 digits cannot hold together: no source of usage has them, so their price is not looked at.
    with localcontext(EXACT):
        return sum(map(Decimal, texts.to_list()), Decimal(0))


def digits_of(texts: pl.Series) -> tuple[int, int]:
    """The most decimals, and the most digits before the point, leading zeros aside, of texts that NUMBER matches."""
    decimals = texts.str.extract(r"\.([0-9]+)$").str.len_chars().max()
    whole = texts.str.extract(r"^[+-]?0*([0-9]*)").str.len_chars().max()
    return int(decimals or 0), int(whole or 0)  # type: ignore[arg-type]
