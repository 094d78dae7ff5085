"""Fixed-width text, as a profile states it: fields by their place in the line, counted in characters."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from mediation.core.spec.document import FaultSink
from mediation.core.spec.formats.delimited import ENCODINGS

LINE_ENDINGS = ("lf", "cr", "none")
SHORT_LINES = ("fault", "pad")
MAX_COLUMNS = 10_000
MAX_LENGTH = 1 << 18  # characters of a record, four bytes each at most


@dataclass(frozen=True)
class FixedColumn:
    """A field: its name, the character it starts at (the first is 1), and how many characters it has."""

    name: str
    start: int
    width: int


@dataclass(frozen=True)
class FixedWidth:
    """Text whose fields stand at fixed places."""

    columns: tuple[FixedColumn, ...]
    encoding: str = "utf-8"
    line_ending: str = "lf"  # "lf" reads LF and CR LF; "cr" reads CR alone; "none": no line ends, `record_length` long
    record_length: int | None = None  # characters; None: to the end of the last column
    header_rows: int = 0
    short_lines: str = "fault"  # or "pad": the source leaves out the blanks at the end of a line

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def length(self) -> int:
        return self.record_length or max(column.start + column.width - 1 for column in self.columns)


def parse_format(value: dict[str, Any], pointer: str, fault: FaultSink) -> FixedWidth | None:
    """The format that a profile states under `format`; None where it has a fault, each of which is reported."""
    faults = _Faults(fault)
    known = {"kind", "columns", "encoding", "line_ending", "record_length", "header_rows", "short_lines"}
    for name in value.keys() - known:
        faults(f"{pointer}/{name}", f"is not known here; known are {', '.join(sorted(known))}")
    columns = parse_columns(value.get("columns"), f"{pointer}/columns", faults)
    for name, choices in (("encoding", ENCODINGS), ("line_ending", LINE_ENDINGS), ("short_lines", SHORT_LINES)):
        if value.get(name, choices[0]) not in choices:
            faults(f"{pointer}/{name}", f"must be one of {', '.join(choices)}")
    header_rows, length = value.get("header_rows", 0), value.get("record_length")
    if not _is_whole(header_rows, 0, 100):
        faults(f"{pointer}/header_rows", "must be a whole number from 0 to 100")
    if length is not None and not _is_whole(length, 1, MAX_LENGTH):
        faults(f"{pointer}/record_length", f"must be a whole number of characters from 1 to {MAX_LENGTH:,}")
    elif columns and length is not None:
        for place, column in enumerate(columns):
            if column.start + column.width - 1 > length:
                faults(f"{pointer}/columns/{place}", f"{column.name} reaches beyond the record_length of {length}")
    if value.get("line_ending") == "none" and (length is None or header_rows):
        faults(f"{pointer}/record_length", "must be given where line_ending is none, and header_rows be 0")
    if faults.found or columns is None:
        return None
    return FixedWidth(columns=columns, **{name: value[name] for name in known - {"kind", "columns"} if name in value})


def parse_columns(value: Any, pointer: str, fault: FaultSink) -> tuple[FixedColumn, ...] | None:
    """Columns of a record, as `[{"name": …, "start": …, "width": …}]`."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_COLUMNS:
        fault(pointer, f"must be a list of 1 to {MAX_COLUMNS:,} columns, each with name, start and width")
        return None
    columns = [_parse_column(item, f"{pointer}/{place}", fault) for place, item in enumerate(value)]
    found = [column for column in columns if column is not None]
    twice = sorted(name for name, count in Counter(column.name for column in found).items() if count > 1)
    if twice:
        fault(pointer, f"names a column twice: {', '.join(twice)}")
    return tuple(found) if len(found) == len(value) and not twice else None


def _parse_column(item: Any, pointer: str, fault: FaultSink) -> FixedColumn | None:
    if not isinstance(item, dict) or item.keys() != {"name", "start", "width"}:
        fault(pointer, "must be an object of name, start and width")
        return None
    name, start, width = item["name"], item["start"], item["width"]
    if not isinstance(name, str) or not name:
        fault(f"{pointer}/name", "must be a text")
    elif not _is_whole(start, 1, MAX_LENGTH):
        fault(f"{pointer}/start", f"must be a whole number from 1 (the first character) to {MAX_LENGTH:,}")
    elif not _is_whole(width, 1, MAX_LENGTH) or start + width - 1 > MAX_LENGTH:
        fault(f"{pointer}/width", f"must be a whole number of characters, and end by character {MAX_LENGTH:,}")
    else:
        return FixedColumn(name, start, width)
    return None


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


class _Faults:
    """Passes faults on and remembers that there were some."""

    def __init__(self, fault: FaultSink) -> None:
        self.fault = fault
        self.found = False

    def __call__(self, pointer: str, message: str) -> None:
        self.found = True
        self.fault(pointer, message)
