"""The layout of a sample: which format it is, and its columns as lists of texts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mediation.core.suggesting import delimited, documents, meters, sheets
from mediation.core.suggesting.proposals import Question, Reason, UnableToSuggestError
from mediation.core.suggesting.sampling import Sample, read_sample

MAX_RECORDS = 1_000
MAX_COLUMNS = 1_000


@dataclass
class Layout:
    """A sample in columns. fields, uniqueness: where the format fixes what its columns mean."""

    format: dict[str, Any]
    columns: dict[str, Sequence[str | None]]
    record_count: int
    reasons: list[Reason] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    structure: dict[str, Any] | None = None
    fields: dict[str, Any] | None = None
    uniqueness: tuple[str, ...] = ()


def find_layout(content: bytes, *, is_whole: bool) -> Layout:
    """The layout of a sample. Raises UnableToSuggestError."""
    if content.startswith(b"PK\x03\x04"):
        return _bounded(_sheet(content, is_whole=is_whole))
    sample = read_sample(content, is_whole=is_whole)
    start = sample.text.lstrip()
    if re.match(r"100,NEM1[23],", start):
        return _meters(content, is_whole=is_whole)
    if start.startswith(("{", "[")):
        layout = _documents(sample, documents.read_json(sample.text, MAX_RECORDS))
    elif start.startswith("<"):
        layout = _documents(sample, documents.read_xml(sample.text, MAX_RECORDS))
    else:
        layout = _rows(sample)
    return _bounded(layout)


def _bounded(layout: Layout) -> Layout:
    if len(layout.columns) > MAX_COLUMNS:
        raise UnableToSuggestError(
            f"The sample has {len(layout.columns):,} columns; at most {MAX_COLUMNS:,} are looked at. Is its delimiter"
            " what you think it is?"
        )
    return layout


def _sheet(content: bytes, *, is_whole: bool) -> Layout:
    if not is_whole:
        raise UnableToSuggestError("A workbook is looked at whole. Give one of at most 1 MiB, with its first rows.")
    found = sheets.read_sheet(content, MAX_RECORDS)
    columns: dict[str, Sequence[str | None]] = {
        name: [row[place] for row in found.rows] for place, name in enumerate(found.names)
    }
    return Layout(found.format, columns, len(found.rows), found.reasons)


def _meters(content: bytes, *, is_whole: bool) -> Layout:
    found = meters.read_meters(content, MAX_RECORDS, is_whole=is_whole)
    return Layout(
        {"kind": "nem"},
        found.columns,
        found.record_count,
        found.reasons,
        fields=meters.FIELDS,
        uniqueness=meters.UNIQUE,
    )


def _documents(sample: Sample, found: documents.Documents) -> Layout:
    if sample.encoding != "utf-8" and found.format["kind"] != "xml":
        raise UnableToSuggestError("JSON is read as UTF-8, and this sample is not. Ask its source for UTF-8.")
    format_ = dict(found.format)
    if sample.encoding != "utf-8":
        format_["encoding"] = sample.encoding
    columns = documents.columns_of(found.records)
    return Layout(format_, columns, len(found.records), [*found.reasons, *sample.reasons], list(sample.questions))


def _rows(sample: Sample) -> Layout:
    lines = sample.text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    found = delimited.read_rows(lines, MAX_RECORDS) or delimited.read_fixed_width(lines, MAX_RECORDS)
    if found is None:
        raise UnableToSuggestError(
            "Neither a delimiter (, ; tab or |) nor columns of a fixed width could be found in the sample. Give more of"
            " its rows, or write the profile's format by hand."
        )
    format_ = {**found.format, "encoding": sample.encoding}
    if sample.line_ending == "cr":
        format_["line_ending"] = "cr"
    columns: dict[str, Sequence[str | None]] = {
        name: [row[place] for row in found.rows] for place, name in enumerate(found.names)
    }
    reasons = [*found.reasons, *sample.reasons]
    return Layout(format_, columns, len(found.rows), reasons, list(sample.questions), found.structure)
