"""NEM12 and NEM13, the meter data files of the Australian market: each interval's value, or each read, is a record.

NEM time is ten hours ahead of UTC all year. A record's number is the number of its line times 1,000, plus that of its
interval in the day: 3,048 is the last half hour of line 3. Its text is a JSON object of its fields, so that one
interval can be corrected, or posted, without its neighbours. What breaks the file's shape (no 100 row at its start or
900 row at its end, a row that cannot stand where it does) fails the file; a day's row that is not complete is one
exception, and the days around it are read. It cannot be corrected as one record: its source has to send it again.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from mediation.core.codes import Code
from mediation.core.reading import json_records
from mediation.core.reading.frames import BLOCK_BYTES, MAX_RECORD_BYTES, RAW, Span, UnreadableError, source_column
from mediation.core.reading.nem_rows import ASK_AGAIN, LINE_NUMBERS, OFFSET, Day, FaultError, Reader
from mediation.core.spec.formats.nem import NAMES

CHUNK_RECORDS = 50_000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Which rows may stand below which, in each version.
ABOVE = {
    "NEM12": {
        "200": {"100", "200", "300", "400", "500"},
        "300": {"200", "300", "400", "500"},
        "400": {"300", "400"},
        "500": {"200", "300", "400", "500"},
        "900": {"100", "200", "300", "400", "500"},
    },
    "NEM13": {"250": {"100", "250", "550"}, "550": {"250", "550"}, "900": {"100", "250", "550"}},
}


# Cutting


def cut(blocks: Iterable[bytes]) -> tuple[list[str], Iterator[Span]]:
    """The 200 rows that spans start below, filled in while the spans are taken, and the spans. Raises UnreadableError.

    A 200 row holds for the rows below it. Where those are too many for one chunk, the next one needs it.
    """
    above: list[str] = []
    return above, _spans(iter(blocks), above)


def _spans(blocks: Iterator[bytes], above: list[str]) -> Iterator[Span]:
    kind, version, meter = "", "", ""
    start = first = count = end = 0
    for number, (place, line) in enumerate(_lines(blocks), start=1):
        if not line.strip():
            continue
        here = line.partition(b",")[0].strip().decode("ascii", "replace")
        version = version or _version(line)
        _check_order(kind, here, version, number)
        kind = here
        if kind == "200":
            meter = f"{number}:{line.strip().decode('utf-8', 'replace')}"
        if kind in ("200", "250", "300") and (count >= CHUNK_RECORDS or place - start >= BLOCK_BYTES) and first:
            yield Span(start, place, first * LINE_NUMBERS)
            first = count = 0
            above += [meter] if kind == "300" else []
        if not first and kind in ("200", "250", "300"):
            start, first = place, number
        count += {"300": max(line.count(b",") - 6, 1), "200": 1, "250": 1}.get(kind, 0)
        end = place + len(line)
    if not kind:
        raise UnreadableError("The file is empty. Send it again once its source has written it.")
    if kind != "900":
        raise UnreadableError("The file has no 900 row at its end: it was cut off. Nothing was imported.")
    if not first:
        raise UnreadableError("The file holds no meter data between its 100 and its 900 row.")
    yield Span(start, end, first * LINE_NUMBERS)


def _lines(blocks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each line of the file and the byte that it starts at."""
    carry, start, is_first = b"", 0, True
    for block in blocks:
        carry += block
        if is_first and len(carry) >= len(BYTE_ORDER_MARK):
            start = len(BYTE_ORDER_MARK) if carry.startswith(BYTE_ORDER_MARK) else 0
            carry, is_first = carry[start:], False
        *lines, carry = carry.split(b"\n")
        for line in [*lines, carry]:
            if len(line) > MAX_RECORD_BYTES:
                raise UnreadableError("A line is longer than 1 MiB. Is this meter data?")
        for line in lines:
            yield start, line
            start += len(line) + 1
    if carry:
        yield start, carry


def _version(line: bytes) -> str:
    fields = [text.strip() for text in line.decode("utf-8", "replace").split(",")]
    if fields[0] != "100":
        raise UnreadableError(
            "The file has no 100 row at its start, so it does not say what it is. Nothing was imported."
        )
    if len(fields) < 2 or fields[1] not in ABOVE:
        told = fields[1][:40] if len(fields) > 1 else ""
        raise UnreadableError(f"The 100 row says version {told!r}; {' and '.join(ABOVE)} are read here.")
    return fields[1]


def _check_order(above: str, kind: str, version: str, number: int) -> None:
    if not above:
        return
    if above == "900":
        raise UnreadableError(f"Line {number:,} follows the 900 row, which ends a file. Nothing was imported.")
    if kind not in ABOVE[version]:
        raise UnreadableError(f"Line {number:,} starts with {kind[:40]!r}, which is no row of {version}.")
    if above not in ABOVE[version][kind]:
        raise UnreadableError(f"Line {number:,}: a {kind} row cannot stand below a {above} row. Nothing was imported.")


# Reading


def read(
    content: bytes, sources: Sequence[str], *, import_id: int, first_number: int, above: Sequence[str] | None = None
) -> pl.DataFrame:
    """RECORDS of a span that `cut` found. above: the 200 rows that `cut` gave. Raises UnreadableError."""
    first = first_number // LINE_NUMBERS
    reader = Reader(FaultError(Code.MALFORMED, f"no 200 row stands above it. {ASK_AGAIN}"))
    meters = [meter for meter in above or () if int(meter.partition(":")[0]) < first]
    if meters:
        number, _, text = meters[-1].partition(":")
        reader.take(int(number), text)
        reader.faults.clear()  # of the row itself, which the span that holds it tells
    for line, text in enumerate(content.decode("utf-8", "surrogateescape").split("\n"), start=first):
        if text.strip():
            reader.take(line, text.strip())
    for day in reader.days:
        if day.fault is not None:
            reader.faults.append((day.line * LINE_NUMBERS, day.text, str(day.fault.code), str(day.fault)))
    frames = [_intervals([day for day in reader.days if day.fault is None]), _reads(reader.reads)]
    faults = pl.DataFrame([(import_id, *fault) for fault in reader.faults], schema=RAW, orient="row").with_columns(
        pl.lit(None, pl.String).alias(source_column(source)) for source in sources
    )
    records = pl.concat(frames).with_columns(pl.lit(import_id, pl.Int64).alias("import_id"))
    picked = [
        pl.col(source).alias(source_column(source)) if source in NAMES else _nothing(source) for source in sources
    ]
    return pl.concat([records.select(*RAW, *picked), faults.select(*RAW, *map(source_column, sources))]).sort(
        "record_number"
    )


def _nothing(source: str) -> pl.Expr:
    return pl.lit(None, pl.String).alias(source_column(source))


READ = {"record_number": pl.Int64, **dict.fromkeys(NAMES, pl.String)}


def _intervals(days: Sequence[Day]) -> pl.DataFrame:
    """A row for each interval of days."""
    facts = list(NAMES[:7])
    columns: dict[str, Any] = {name: [day.meter.facts.get(name) for day in days] for name in facts}
    lists = {
        "Value": "values",
        "QualityMethod": "qualities",
        "ReasonCode": "reasons",
        "ReasonDescription": "descriptions",
    }
    columns |= {name: [getattr(day, attribute) for day in days] for name, attribute in lists.items()}
    columns |= {
        "UpdateDateTime": [day.updated for day in days],
        "line": [day.line for day in days],
        "minutes": [day.meter.interval_minutes for day in days],
        "date": [day.date for day in days],
        "interval": [list(range(1, len(day.values) + 1)) for day in days],
    }
    schema: dict[str, Any] = {
        **dict.fromkeys((*facts, "UpdateDateTime"), pl.String),
        **dict.fromkeys(lists, pl.List(pl.String)),
        **dict.fromkeys(("line", "minutes"), pl.Int64),
        "date": pl.Date,
        "interval": pl.List(pl.Int64),
    }
    frame = pl.DataFrame(columns, schema=schema).explode(*lists, "interval")
    start = pl.col("date").cast(pl.Datetime("us")) + pl.duration(minutes=(pl.col("interval") - 1) * pl.col("minutes"))
    end = start + pl.duration(minutes="minutes")
    return _with_text(
        frame.with_columns(
            record_number=pl.col("line") * LINE_NUMBERS + pl.col("interval"),
            IntervalDate=pl.col("date").dt.strftime("%Y-%m-%d"),
            IntervalNumber=pl.col("interval").cast(pl.String),
            IntervalStart=start.dt.strftime(f"%Y-%m-%dT%H:%M:%S{OFFSET}"),
            IntervalEnd=end.dt.strftime(f"%Y-%m-%dT%H:%M:%S{OFFSET}"),
        )
    )


def _reads(reads: Sequence[dict[str, Any]]) -> pl.DataFrame:
    frame = pl.DataFrame(reads, schema={"line": pl.Int64, **dict.fromkeys(NAMES, pl.String)})
    return _with_text(frame.with_columns(record_number=pl.col("line") * LINE_NUMBERS))


def _with_text(frame: pl.DataFrame) -> pl.DataFrame:
    """READ columns with empty texts as null, the text of each record, and the fault of one without quality."""
    given = [name for name in NAMES if name in frame.columns]
    named = frame.with_columns(
        pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in given
    ).with_columns(pl.lit(None, pl.String).alias(name) for name in NAMES if name not in given)
    is_told = pl.col("QualityMethod").is_not_null()
    message = pl.lit("no 400 row says the quality of this interval, although its day's quality is V")
    return named.select(
        *READ,
        raw=pl.struct(given).struct.json_encode(),
        fault=pl.when(~is_told).then(pl.lit(str(Code.MISSING_VALUE))),
        fault_message=pl.when(~is_told).then(message),
    )


def read_rows(rows: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    """RECORDS of intervals that came one by one, as JSON objects of their fields."""
    return json_records.read_rows(rows, sources)
