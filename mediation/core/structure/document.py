"""The record structure that a profile states, as values: parsed from its document, every fault with its place."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

KINDS = ("header", "trailer", "detail")
CONTROLS = ("count", "sum")
AGGREGATES = ("sum", "min", "max", "first", "last", "count")
MAX_WINDOW_HOURS = 24 * 366
MAX_PARTS = 10_000  # rows of one record

FaultSink = Callable[[str, str], None]


@dataclass(frozen=True)
class Condition:
    """An expression that holds for a record or does not. sources: the fields it reads; holds: over their columns."""

    text: str
    sources: tuple[str, ...]
    holds: pl.Expr = field(compare=False, repr=False)


# (text, pointer, names) -> the condition, or None where its faults were reported. names: what it may read; None: the
# source fields of the profile's format.
ReadCondition = Callable[[str, str, Sequence[str] | None], Condition | None]


@dataclass(frozen=True)
class PlacedColumn:
    """A field of a header or trailer record; start (the first is 1) and width where rows have no delimiter."""

    name: str
    start: int | None = None
    width: int | None = None


@dataclass(frozen=True)
class RecordTypes:
    """How header, trailer and detail records are told apart: by a column, by characters, or by expressions.

    detail: empty where every row that is neither header nor trailer is a detail.
    """

    header: tuple[str, ...] = ()
    trailer: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()
    column: int | None = None  # the first is 1
    position: int | None = None  # the first character is 1
    width: int | None = None
    when: tuple[tuple[str, Condition], ...] = ()

    def states(self, kind: str) -> bool:
        """Whether records of this kind are told by a rule of their own."""
        return bool(getattr(self, kind)) or kind in dict(self.when)


@dataclass(frozen=True)
class Control:
    """A total that the header or trailer states. field: of the trailer, or `header.<column>`; of: the field summed."""

    kind: str
    field: str
    of: str | None = None
    counts: str = "detail"  # or "all": the header and trailer count too
    decimal_sign: str = "."


@dataclass(frozen=True)
class Combine:
    """Which rows make one record: those of one key, once they are all there.

    They are when every role has its row, `rows` are there, and the numbers from 1 to that of the last row, as far as
    these are stated.
    """

    key: tuple[str, ...]
    roles: tuple[tuple[str, Condition], ...] = ()  # the primary one first, then by name
    primary: Condition | None = None  # without it: the row of the first role, or the first row
    rows: int | None = None
    last: Condition | None = None
    sequence: str | None = None
    order_by: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    window_hours: int = 48

    @property
    def role_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.roles)

    @property
    def every_row_has_a_role(self) -> bool:
        return bool(self.roles) and self.rows is None and self.last is None


@dataclass(frozen=True)
class Structure:
    """How the rows of a source become records."""

    record_types: RecordTypes | None = None
    header_columns: tuple[PlacedColumn, ...] = ()
    trailer_columns: tuple[PlacedColumn, ...] = ()
    controls: tuple[Control, ...] = ()
    combine: Combine | None = None

    @property
    def has_claims(self) -> bool:
        """Whether a file must be looked through as a whole before its records are."""
        types = self.record_types
        return types is not None and (types.states("header") or types.states("trailer"))


def derived_from(name: str, structure: Structure | None) -> str | None:
    """The row's field that a name such as `start.Time` reads; "" for `header.x` and `trailer.x`; None: no such name."""
    if structure is None:
        return None
    of, _, column = name.partition(".")
    if column and of in ("header", "trailer"):
        columns = structure.header_columns if of == "header" else structure.trailer_columns
        return "" if column in [one.name for one in columns] else None
    if column and structure.combine and of in structure.combine.role_names:
        return column
    return None


def derived_names(names: Iterable[str], structure: Structure | None) -> list[str]:
    """What mappings and filters may read beside the fields of a row. names: those fields."""
    if structure is None:
        return []
    found = [f"header.{column.name}" for column in structure.header_columns]
    found += [f"trailer.{column.name}" for column in structure.trailer_columns]
    roles = structure.combine.role_names if structure.combine else ()
    return found + [f"{role}.{name}" for role in roles for name in names]


def row_sources(sources: Iterable[str], structure: Structure | None) -> list[str]:
    """The fields to read from each row, so that mappings and filters find `sources` and the structure its own."""
    names = []
    for source in sources:
        derived = derived_from(source, structure)
        names.append(source if derived is None else derived)
    if structure and structure.record_types:
        for _, condition in structure.record_types.when:
            names += [name for name in condition.sources if name != "raw"]
    if structure and (combine := structure.combine):
        names += combine.key
        names += [name for name, _ in combine.fields]
        names += [name for name in (combine.sequence, combine.order_by) if name]
        conditions = [condition for _, condition in combine.roles] + [combine.primary, combine.last]
        names += [name for condition in conditions if condition for name in condition.sources]
    return [name for name in dict.fromkeys(names) if name]


def parse_structure(
    value: Any, pointer: str, fault: FaultSink, *, read_condition: ReadCondition, is_text: bool, is_delimited: bool
) -> Structure | None:
    """The structure that a profile states under `structure`; None where it states none, or what cannot be used.

    is_text: the format's records are rows of text (delimited, fixed width), so that a header row has no source fields.
    """
    if value is None:
        return None
    return _Parser(fault, read_condition, is_text, is_delimited).parse(value, pointer)


@dataclass
class _Parser:
    report: FaultSink
    read_condition: ReadCondition
    is_text: bool
    is_delimited: bool
    is_faulty: bool = False

    def fault(self, pointer: str, message: str) -> None:
        self.is_faulty = True
        self.report(pointer, message)

    def parse(self, value: Any, pointer: str) -> Structure | None:
        known = {"record_types", "header_columns", "trailer_columns", "controls", "combine"}
        value = self.members(value, pointer, known)
        structure = Structure(
            record_types=self.record_types(value.get("record_types"), f"{pointer}/record_types"),
            header_columns=self.columns(value.get("header_columns", []), f"{pointer}/header_columns"),
            trailer_columns=self.columns(value.get("trailer_columns", []), f"{pointer}/trailer_columns"),
            controls=self.controls(value.get("controls", []), f"{pointer}/controls"),
            combine=self.combine(value.get("combine"), f"{pointer}/combine"),
        )
        if not self.is_faulty:
            self.check_whole(structure, pointer)
        return None if self.is_faulty else structure

    def members(self, value: Any, pointer: str, known: set[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fault(pointer, "must be an object")
            return {}
        for name in value.keys() - known:
            self.fault(f"{pointer}/{name}", f"is not known here; known are {', '.join(sorted(known))}")
        return value

    def texts(self, value: Any, pointer: str) -> tuple[str, ...]:
        is_list = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
        if not is_list:
            self.fault(pointer, "must be a list of texts, none of them empty")
            return ()
        return tuple(value)

    def name(self, value: Any, pointer: str) -> str | None:
        if value is None or (isinstance(value, str) and value):
            return value
        self.fault(pointer, "must name a field")
        return None

    def whole(self, value: Any, pointer: str, least: int, most: int) -> int | None:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and least <= value <= most):
            return value
        self.fault(pointer, f"must be a whole number from {least} to {most:,}")
        return None

    def condition(self, value: Any, pointer: str, names: Sequence[str] | None = None) -> Condition | None:
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.fault(pointer, "must be an expression, such as Event = 'START'")
            return None
        condition = self.read_condition(value, pointer, names)
        self.is_faulty = self.is_faulty or condition is None
        return condition

    def record_types(self, value: Any, pointer: str) -> RecordTypes | None:
        if value is None:
            return None
        value = self.members(value, pointer, {"column", "position", "width", "when", *KINDS})
        names = ("raw",) if self.is_text else None
        when = self.members(value.get("when", {}), f"{pointer}/when", set(KINDS))
        conditions = {kind: self.condition(text, f"{pointer}/when/{kind}", names) for kind, text in when.items()}
        types = RecordTypes(
            **{kind: self.texts(value.get(kind, []), f"{pointer}/{kind}") for kind in KINDS},
            column=self.whole(value.get("column"), f"{pointer}/column", 1, 10_000),
            position=self.whole(value.get("position"), f"{pointer}/position", 1, 100_000),
            width=self.whole(value.get("width"), f"{pointer}/width", 1, 1_000),
            when=tuple((kind, condition) for kind in KINDS if (condition := conditions.get(kind))),
        )
        self.check_types(types, value, pointer)
        return types

    def check_types(self, types: RecordTypes, value: dict[str, Any], pointer: str) -> None:
        ways = [name for name in ("column", "position", "when") if name in value]
        if len(ways) != 1:
            self.fault(pointer, "needs one of column, position (with width) and when, to tell records apart by")
        if ("position" in value) != ("width" in value):
            self.fault(f"{pointer}/width", "belongs to position: state both, or neither")
        if "column" in value and not self.is_delimited:
            self.fault(f"{pointer}/column", "is for delimited rows; here use position and width, or when")
        stated = [text for kind in KINDS for text in getattr(types, kind)]
        if "when" in value and stated:
            self.fault(f"{pointer}/when", "stands alone: name the records by expressions, or by what they hold")
        if twice := sorted({text for text in stated if stated.count(text) > 1}):
            self.fault(pointer, f"names {', '.join(twice)} twice; a record is of one type")
        if not stated and not types.when:
            self.fault(pointer, "must say what tells header, trailer or detail records apart")

    def columns(self, value: Any, pointer: str) -> tuple[PlacedColumn, ...]:
        if not isinstance(value, list):
            self.fault(pointer, "must be a list of the columns in their order")
            return ()
        columns = [self.column(one, f"{pointer}/{place}") for place, one in enumerate(value)]
        names = [column.name for column in columns]
        if len(set(names)) != len(names):
            self.fault(pointer, "names a column twice")
        return tuple(columns)

    def column(self, value: Any, pointer: str) -> PlacedColumn:
        if isinstance(value, str) and value:
            if self.is_text and not self.is_delimited:
                self.fault(pointer, 'must be placed: {"name": …, "start": 1, "width": 8}')
            return PlacedColumn(value)
        value = self.members(value, pointer, {"name", "start", "width"})
        start = self.whole(value.get("start", 0), f"{pointer}/start", 1, 100_000)
        width = self.whole(value.get("width", 0), f"{pointer}/width", 1, 100_000)
        if self.is_delimited or not self.is_text:
            self.fault(pointer, "must be a name: the columns of these records need no places")
        return PlacedColumn(self.name(value.get("name", ""), f"{pointer}/name") or "", start, width)

    def controls(self, value: Any, pointer: str) -> tuple[Control, ...]:
        if not isinstance(value, list):
            self.fault(pointer, "must be a list of control totals")
            return ()
        return tuple(self.control(one, f"{pointer}/{place}") for place, one in enumerate(value))

    def control(self, value: Any, pointer: str) -> Control:
        value = self.members(value, pointer, {"kind", "field", "of", "counts", "decimal_sign"})
        control = Control(
            kind=value.get("kind", ""),
            field=self.name(value.get("field", ""), f"{pointer}/field") or "",
            of=self.name(value.get("of"), f"{pointer}/of"),
            counts=value.get("counts", "detail"),
            decimal_sign=value.get("decimal_sign", "."),
        )
        if control.kind not in CONTROLS:
            self.fault(f"{pointer}/kind", f"must be one of {', '.join(CONTROLS)}")
        if (control.kind == "sum") != ("of" in value):
            self.fault(f"{pointer}/of", "names the field that a sum adds up; a sum needs it, a count has none")
        if control.counts not in ("detail", "all"):
            self.fault(f"{pointer}/counts", "must be detail, or all where the header and trailer are counted too")
        if control.decimal_sign not in (".", ","):
            self.fault(f"{pointer}/decimal_sign", "must be . or ,")
        return control

    def combine(self, value: Any, pointer: str) -> Combine | None:
        if value is None:
            return None
        known = {"key", "roles", "primary", "rows", "last", "sequence", "order_by", "fields", "window_hours"}
        value = self.members(value, pointer, known)
        roles = {
            name: self.condition(text, f"{pointer}/roles/{name}")
            for name, text in self.named(value.get("roles", {}), f"{pointer}/roles").items()
        }
        fields = self.named(value.get("fields", {}), f"{pointer}/fields")
        primary = value.get("primary")
        # A stored document keeps no order of its members, so that the order of roles can mean nothing.
        order = sorted(roles, key=lambda name: (name != primary, name))
        combine = Combine(
            key=self.texts(value.get("key", []), f"{pointer}/key"),
            roles=tuple((name, condition) for name in order if (condition := roles[name])),
            primary=None if primary in roles else self.condition(primary, f"{pointer}/primary"),
            rows=self.whole(value.get("rows"), f"{pointer}/rows", 2, MAX_PARTS),
            last=self.condition(value.get("last"), f"{pointer}/last"),
            sequence=self.name(value.get("sequence"), f"{pointer}/sequence"),
            order_by=self.name(value.get("order_by"), f"{pointer}/order_by"),
            fields=tuple(fields.items()),
            window_hours=self.whole(value.get("window_hours", 48), f"{pointer}/window_hours", 1, MAX_WINDOW_HOURS)
            or 48,
        )
        if roles and primary is None:
            message = "must say which row carries the main data: by the name of a role, or by an expression"
            self.fault(f"{pointer}/primary", message)
        self.check_combine(combine, pointer)
        return combine

    def named(self, value: Any, pointer: str) -> dict[str, Any]:
        if isinstance(value, dict) and all(value):
            return value
        self.fault(pointer, "must be an object, each member with a name")
        return {}

    def check_combine(self, combine: Combine, pointer: str) -> None:
        if not combine.key:
            self.fault(f"{pointer}/key", "must name the fields that the rows of one record share")
        if not (combine.roles or combine.rows or combine.last):
            self.fault(pointer, "must say when a record is complete: by roles, by rows, or by last with sequence")
        if (combine.last is None) != (combine.sequence is None):
            message = "last and sequence belong together: rows come in any order, so the last one tells by its number"
            self.fault(f"{pointer}/sequence", f"{message} how many there are")
        if len(combine.roles) == 1 and combine.every_row_has_a_role:
            self.fault(f"{pointer}/roles", "must be at least two, or rows must say how many rows a record has")
        for name, _ in combine.roles:
            if "." in name or name in ("header", "trailer"):
                self.fault(f"{pointer}/roles/{name}", "cannot be a role's name: it is read as something else")
        for name, how in combine.fields:
            if how not in AGGREGATES:
                self.fault(f"{pointer}/fields/{name}", f"must be one of {', '.join(AGGREGATES)}")

    def check_whole(self, structure: Structure, pointer: str) -> None:
        types = structure.record_types
        for kind in ("header", "trailer"):
            columns = structure.header_columns if kind == "header" else structure.trailer_columns
            if columns and not (types and types.states(kind)):
                self.fault(f"{pointer}/{kind}_columns", f"needs record_types to say which record is the {kind}")
        for place, control in enumerate(structure.controls):
            name = control.field if control.field.startswith("header.") else f"trailer.{control.field}"
            if derived_from(name, structure) is None:
                message = (
                    f"{control.field} is no column of the trailer; those of the header are written header.<column>"
                )
                self.fault(f"{pointer}/controls/{place}/field", message)
