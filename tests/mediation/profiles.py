"""Profiles as documents and records as frames, for the tests of mediation's core: no database."""

import copy
from datetime import UTC, datetime
from itertools import pairwise

import polars as pl

from mediation.core import reading
from mediation.core.frames import WINDOWS, Catalogue
from mediation.core.judging import mediate
from mediation.core.spec import parse_spec

NOW = datetime(2026, 6, 1, tzinfo=UTC)
COLUMNS = ["date", "who", "value", "class"]
ROWS = {
    "format": {"kind": "delimited", "columns": COLUMNS},
    "fields": {
        "Date": {"source": "date"},
        "UdrUsageIdentifier": {"source": "who"},
        "Value": {"source": "value"},
        "UsageClassName": {"source": "class"},
    },
}
JSON = {
    "format": {"kind": "json"},
    "fields": {
        "Date": {"source": "Date"},
        "UdrUsageIdentifier": {"source": "Id"},
        "Value": {"source": "Value"},
        "UsageClassName": {"literal": "calls"},
    },
}


def document(base=ROWS, fields=None, **members):
    """A profile document: `base` with fields merged in, and members replaced."""
    made = copy.deepcopy(base)
    for name, mapping in (fields or {}).items():
        made["fields"].pop(name, None)
        if mapping is not None:
            made["fields"][name] = mapping
    return made | members


def catalogue(classes=(("calls", "voice"), ("data", None)), types=("Unknown", "MSISDN")):
    return Catalogue(
        pl.DataFrame(
            [(name, place, kind) for place, (name, kind) in enumerate(classes, 1)],
            schema={"usage_class_name": pl.String, "usage_class_id": pl.Int64, "known_class_type": pl.String},
            orient="row",
        ),
        pl.DataFrame(
            [(name, place) for place, name in enumerate(types, 1)],
            schema={"identifier_type_name": pl.String, "identifier_type_id": pl.Int64},
            orient="row",
        ),
    )


def rows_frame(rows, import_id=1):
    return pl.DataFrame(
        {"import_id": [import_id] * len(rows), "record_number": range(1, len(rows) + 1), "raw": list(rows)},
        schema={"import_id": pl.Int64, "record_number": pl.Int64, "raw": pl.String},
    )


def judge_rows(rows, profile=ROWS, *, earliest=None, latest=NOW):
    """The verdict on rows that came one by one."""
    spec = parse_spec(profile)
    windows = pl.DataFrame([(1, earliest, latest)], schema=WINDOWS, orient="row")
    records = reading.read_rows(rows_frame(rows), spec)
    return mediate(records, spec=spec, catalogue=catalogue(), windows=windows)


def row(value="10", date="2026-05-01T10:00:00Z", who="4361", class_="calls"):
    return f"{date},{who},{value},{class_}"


def kept(verdict, column):
    return verdict.kept[column].to_list()


def codes(verdict):
    return verdict.rejected.sort("record_number")["code"].to_list()


def outcomes(verdict):
    """Each record number with the outcome that it had, as often as it had one."""
    parts = [
        ("kept", verdict.kept),
        ("skipped", verdict.skipped),
        ("rejected", verdict.rejected),
        ("repeated", verdict.repeated),
    ]
    return sorted((number, name) for name, frame in parts for number in frame["record_number"].to_list())


def read_file(content, profile=ROWS, block=None):
    """Every record of a file, read span by span as workers do; also proves that the spans leave nothing out."""
    spec = parse_spec(profile)
    size = block or max(len(content), 1)
    blocks = (content[at : at + size] for at in range(0, len(content), size))
    header, spans = reading.cut(blocks, spec)
    spans = list(spans)
    for before, after in pairwise(spans):
        assert before.end <= after.start
    frames = [
        reading.read_part(
            content[span.start : span.end], spec, import_id=1, first_number=span.first_number, header=header
        )
        for span in spans
    ]
    return pl.concat(frames) if frames else pl.DataFrame(schema=reading.RAW)


def cells(records, *sources):
    """Rows of source fields; a record that cannot be read shows its fault."""
    names = [reading.source_column(source) for source in sources]
    return [
        row["fault"] if row["fault"] else tuple(row[name] for name in names) for row in records.iter_rows(named=True)
    ]
