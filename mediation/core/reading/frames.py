"""What every reader hands over: the schema of raw records, spans of a file, and the refusal of a whole file."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

from mediation.core.frames import source_column as source_column

# A record as received. `fault` is the Code of a record that cannot be read, `fault_message` says what is wrong.
RAW: dict[str, type[pl.DataType]] = {
    "import_id": pl.Int64,
    "record_number": pl.Int64,
    "raw": pl.String,
    "fault": pl.String,
    "fault_message": pl.String,
}
FAULT_COLUMNS = [pl.lit(None, pl.String).alias("fault"), pl.lit(None, pl.String).alias("fault_message")]

BLOCK_BYTES = 8 << 20
MAX_CHUNK_RECORDS = 100_000
MAX_RECORD_BYTES = 1 << 20
MAX_NAMED_CHARS = 500  # of names in a message


class Span(NamedTuple):
    """A part of a file that holds whole records: bytes [start, end) and the number of its first record."""

    start: int
    end: int
    first_number: int


class UnreadableError(ValueError):
    """A file that cannot be read as a whole; the message says what is wrong, where, and what to do."""


def twice_in(names: Iterable[str]) -> list[str]:
    """The names that stand there more than once; a place without a name has none."""
    return sorted(name for name, count in Counter(names).items() if name and count > 1)


def named(names: Sequence[str]) -> str:
    """Names in a message, which is cut short; a NUL in one, which no message can hold, by its sign."""
    text = ", ".join(names).replace("\0", "␀")
    return text if len(text) <= MAX_NAMED_CHARS else f"{text[:MAX_NAMED_CHARS]}… ({len(names):,} names)"
