"""Fixed-width text: fields by their place, records by line or by length, and the faults of each."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.reading import fixed_width
from mediation.core.reading.fixed_width import FixedWidth
from mediation.core.reading.frames import UnreadableError, source_column
from mediation.core.spec import formats

COLUMNS = [
    {"name": "caller", "start": 1, "width": 6},
    {"name": "seconds", "start": 7, "width": 4},
    {"name": "kind", "start": 12, "width": 2},
]
SOURCES = ["caller", "seconds", "kind"]


def faults_of(**value: Any) -> list[str]:
    faults: list[str] = []
    found = formats.fixed_width.parse_format(
        {"kind": "fixed_width", "columns": COLUMNS, **value}, "/format", lambda pointer, message: faults.append(pointer)
    )
    assert (found is None) == bool(faults)
    return faults


def format_of(**value: Any) -> FixedWidth:
    faults: list[str] = []
    document = {"kind": "fixed_width", "columns": COLUMNS, **value}
    found = formats.fixed_width.parse_format(
        document, "/format", lambda pointer, message: faults.append(pointer + message)
    )
    assert found is not None, faults
    return found


def records(content: bytes, format_: FixedWidth, block: int = 1 << 16) -> pl.DataFrame:
    blocks = [content[place : place + block] for place in range(0, len(content), block)]
    _, spans = fixed_width.cut(blocks, format_, SOURCES)
    frames = []
    for span in spans:
        raw = fixed_width.raw_records(
            content[span.start : span.end], format_, import_id=1, first_number=span.first_number
        )
        frames.append(fixed_width.read(raw, format_, SOURCES))
    return pl.concat(frames)


def fields(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return frame.select("record_number", "fault", *map(source_column, SOURCES)).rows()


def test_fields_are_taken_by_their_place():
    frame = records(b"436601 120 GP\r\n436602  60 ET\n", format_of())
    assert fields(frame) == [(1, None, "436601", " 120", "GP"), (2, None, "436602", "  60", "ET")]


def test_places_count_characters_in_every_encoding():
    for encoding in ("utf-8", "iso-8859-1", "cp1252", "cp850"):
        frame = records("Zoë Ü1 120 GP\n".encode(encoding), format_of(encoding=encoding))
        assert fields(frame) == [(1, None, "Zoë Ü1", " 120", "GP")]


def test_short_and_long_lines_are_their_own_faults():
    frame = records(b"436601 120 G\n436602  60 ETX\n436603  60 ET", format_of())
    assert frame["fault"].to_list() == ["too_few_columns", "too_many_columns", None]
    assert frame["fault_message"][0] == "12 characters where 13 are expected"
    assert frame["raw"].to_list() == ["436601 120 G", "436602  60 ETX", "436603  60 ET"]


def test_a_source_that_leaves_out_blanks_at_the_end_may_do_so():
    frame = records(b"436601 120 G\n436602  60\n", format_of(short_lines="pad"))
    assert fields(frame) == [(1, None, "436601", " 120", "G"), (2, None, "436602", "  60", None)]


def test_the_declared_length_may_be_more_than_the_columns():
    frame = records(b"436601 120 GP      \n436601 120 GP\n", format_of(record_length=19))
    assert frame["fault"].to_list() == [None, "too_few_columns"]


def test_header_rows_and_blank_lines_are_no_records_but_keep_their_numbers():
    frame = records(b"HEADER\n436601 120 GP\n\n436602  60 ET\n", format_of(header_rows=1))
    assert frame["record_number"].to_list() == [2, 4]


@pytest.mark.parametrize("block", [1, 7, 1 << 16])
@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1"])
def test_records_without_line_ends_are_cut_by_their_length(block, encoding):
    text = "".join(f"Zoë{number:03} 120 GP" for number in range(200))
    format_ = format_of(line_ending="none", record_length=13, encoding=encoding)
    frame = records(text.encode(encoding), format_, block)
    assert frame["source:caller"].to_list() == [f"Zoë{number:03}" for number in range(200)]
    assert frame["record_number"].to_list() == list(range(1, 201))


def test_what_is_left_of_a_record_at_the_end_is_a_short_one():
    format_ = format_of(line_ending="none", record_length=13)
    frame = records(b"436601 120 GP436602", format_)
    assert frame["fault"].to_list() == [None, "too_few_columns"]
    assert records(b"436601 120 GP\r\n\x1a", format_)["fault"].to_list() == [None]


def test_a_byte_that_is_no_character_spoils_its_own_record():
    for value in ({}, {"line_ending": "none", "record_length": 13}):
        ends = b"" if value else b"\n"
        frame = records(b"43660\xff 120 GP" + ends + b"436602  60 ET" + ends, format_of(**value))
        assert frame["fault"].to_list() == ["undecodable", None]


def test_spans_of_records_without_line_ends_are_bounded(monkeypatch):
    monkeypatch.setattr(fixed_width, "MAX_CHUNK_RECORDS", 3)
    format_ = format_of(line_ending="none", record_length=13)
    content = b"436601 120 GP" * 10
    _, spans = fixed_width.cut([content], format_, SOURCES)
    assert [(span.start, span.end, span.first_number) for span in spans] == [
        (0, 39, 1),
        (39, 78, 4),
        (78, 117, 7),
        (117, 130, 10),
    ]


def test_rows_that_came_one_by_one_are_read_alike():
    rows = pl.DataFrame(
        [(1, 1, "436601 120 GP"), (1, 2, "436601 120 GP\n")],
        schema={"import_id": pl.Int64, "record_number": pl.Int64, "raw": pl.String},
        orient="row",
    )
    frame = fixed_width.read_rows(rows, format_of(), SOURCES)
    assert frame["fault"].to_list() == [None, "malformed"]
    assert frame["source:seconds"].to_list() == [" 120", None]


def test_a_format_names_every_fault():
    assert faults_of(encoding="utf-16") == ["/format/encoding"]
    assert faults_of(line_ending="none") == ["/format/record_length"]
    assert faults_of(record_length=5) == ["/format/columns/0", "/format/columns/1", "/format/columns/2"]
    assert faults_of(columns=[]) == ["/format/columns"]
    assert faults_of(columns=[{"name": "a", "start": 0, "width": 1}]) == ["/format/columns/0/start"]
    assert faults_of(columns=[COLUMNS[0], COLUMNS[0]]) == ["/format/columns"]
    assert faults_of(columns=[{"name": "a", "start": True, "width": 1, "x": 1}]) == ["/format/columns/0"]
    assert faults_of(short_lines="cut", header_rows=-1) == ["/format/short_lines", "/format/header_rows"]
    assert faults_of(colums=[]) == ["/format/colums"]


def test_an_empty_file_is_refused():
    for value in ({}, {"line_ending": "none", "record_length": 13}):
        with pytest.raises(UnreadableError, match="empty"):
            records(b"", format_of(**value))


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=300), is_lines=st.booleans(), encoding=st.sampled_from(["utf-8", "ascii", "cp1252"]))
def test_every_character_of_any_file_is_in_a_record(content, is_lines, encoding):
    value = {"line_ending": "lf"} if is_lines else {"line_ending": "none", "record_length": 13}
    format_ = format_of(encoding=encoding, **value)
    try:
        frame = records(content, format_, block=7)
    except UnreadableError:
        return
    if is_lines:
        lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        assert frame.height == len([line for line in lines if line.removesuffix(b"\r")])
    else:
        characters = len(content.removeprefix(b"\xef\xbb\xbf").decode(encoding, "surrogateescape"))
        assert frame.height in (-(-characters // 13), characters // 13)
    assert frame["record_number"].is_unique().all()
