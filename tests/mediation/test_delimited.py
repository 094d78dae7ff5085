"""Reading delimited text: each record right, or itself and nobody else spoilt."""

import csv
import io
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mediation.core import reading
from mediation.core.reading import UnreadableError, delimited
from mediation.core.spec import parse_spec

from .profiles import COLUMNS, ROWS, cells, document, read_file, rows_frame

A, B = "2026-05-01,4361,1,calls", "2026-05-02,4362,2,calls"
READ_A, READ_B = tuple(A.split(",")), tuple(B.split(","))
NAMED = document(format={"kind": "delimited", "columns_by": "name", "header_rows": 1})
HEADER = "date,who,value,class"


def with_format(**members):
    return document(format=ROWS["format"] | members)


def read(content, profile=ROWS, block=None):
    records = read_file(content if isinstance(content, bytes) else content.encode(), profile, block)
    return cells(records, *COLUMNS)


@pytest.mark.parametrize(
    "content", [f"{A}\n{B}\n", f"{A}\n{B}", f"{A}\r\n{B}\r\n", f"\ufeff{A}\n{B}", f"\n\n{A}\n\r\n{B}\n\n"]
)
@pytest.mark.parametrize("block", [None, 1, 7])
def test_line_ends_blank_lines_and_a_byte_order_mark_are_no_part_of_records(content, block):
    assert read(content, block=block) == [READ_A, READ_B]


def test_record_numbers_are_line_numbers():
    records = read_file(f"{HEADER}\n{A}\n\n{B}\n".encode(), NAMED)
    assert records["record_number"].to_list() == [2, 4]


QUOTED = [
    ('2026,"a,b",1,calls', ("2026", "a,b", "1", "calls")),
    ('"2026","a","1","calls"', ("2026", "a", "1", "calls")),
    ('2026,"a ""b""",1,calls', ("2026", 'a "b"', "1", "calls")),
    ('2026,"",1,calls', ("2026", "", "1", "calls")),
    ("2026,,1,calls", ("2026", "", "1", "calls")),
    ('2026,"a\nb",1,calls', ("2026", "a\nb", "1", "calls")),
    ('2026,"a\r\nb",1,calls', ("2026", "a\r\nb", "1", "calls")),
    ('2026,"a\n\n""\nb",1,calls', ("2026", 'a\n\n"\nb', "1", "calls")),
    ('2026," a ",1,calls', ("2026", " a ", "1", "calls")),
    ('\ufeff2026,"a",1,calls', ("\ufeff2026", "a", "1", "calls")),
]


@pytest.mark.parametrize(("record", "fields"), QUOTED)
def test_quoted_fields_are_read_by_rfc_4180(record, fields):
    rows = reading.read_rows(rows_frame([record, A]), parse_spec(ROWS))
    assert cells(rows, *COLUMNS) == [fields, READ_A]
    for block in (None, 1, 5):
        assert read(f"{A}\n{record}\n{B}\n", block=block) == [READ_A, fields, READ_B]


SPOILT = [
    ('2026,"a,1,calls', "malformed"),
    ('2026,a",1,calls', "malformed"),
    ('2026,"a"b,1,calls', "malformed"),
    ('2026,a "b",1,calls', "malformed"),
    ('"', "malformed"),
    ("2026,a,1", "too_few_columns"),
    ("2026,a,1,calls,more", "too_many_columns"),
    ('2026,"a,1",calls', "too_few_columns"),
    ('2026,"a",1,calls,more', "too_many_columns"),
    ("2026,a\0,1,calls", "control_character"),
    ('2026,"a\0",1,calls', "control_character"),
    ("2026,a\rb,1,calls", "malformed"),
    ('2026,a\rb,"1",calls', "malformed"),
]


@pytest.mark.parametrize(("record", "code"), SPOILT)
def test_a_bad_record_spoils_only_itself(record, code):
    rows = reading.read_rows(rows_frame([A, record, B]), parse_spec(ROWS))
    assert cells(rows, *COLUMNS) == [READ_A, code, READ_B]
    for block in (None, 1, 5):
        assert read(f"{A}\n{record}\n{B}\n{A}", block=block) == [READ_A, code, READ_B, READ_A]


@pytest.mark.parametrize("record", ['2026,a\nb,"1",calls', "2026,a,1,calls\n", "2026,a\r\nb,1,calls", '2026,"a",1,c\r'])
def test_an_item_of_a_request_is_one_row_whatever_line_ends_it_holds(record):
    rows = reading.read_rows(rows_frame([record, A]), parse_spec(ROWS))
    assert cells(rows, *COLUMNS) == ["malformed", READ_A]


def test_an_open_quote_does_not_swallow_records_over_several_lines_below_it():
    content = f'2026,"open,1,calls\n{A}\n2026,"a\nb",1,calls\n{B}\n2026,open",1,calls\n{A}\n'
    read_records = ["malformed", READ_A, ("2026", "a\nb", "1", "calls"), READ_B, "malformed", READ_A]
    for block in (None, 1, 5, 17):
        assert read(content, block=block) == read_records


def test_bytes_that_do_not_decode_spoil_only_their_record():
    content = f"{A}\n2026,\xff,1,calls\n{B}\n".encode("iso-8859-1")
    assert read(content) == [READ_A, "undecodable", READ_B]
    assert read_file(content)["raw"][1] == r"2026,\xff,1,calls"
    latin = document(format=ROWS["format"] | {"encoding": "iso-8859-1"})
    assert read(content, latin) == [READ_A, ("2026", "ÿ", "1", "calls"), READ_B]


def test_lines_that_end_in_cr_alone_are_read_where_the_profile_says_so():
    content = f"{A}\r{B}\r"
    with pytest.raises(UnreadableError, match="line_ending to cr"):
        read(content)
    assert read(content, with_format(line_ending="cr")) == [READ_A, READ_B]
    with pytest.raises(UnreadableError, match="line_ending to lf"):
        read(f"{A}\n{B}\n", with_format(line_ending="cr"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (HEADER.encode(), "a header and no records"),
        (f"{HEADER}\r\n".encode(), "a header and no records"),
        (f"date,who,value\n{A}".encode(), "lacks the columns that the profile reads: class"),
        (f"{HEADER},who\n{A}".encode(), "names a column twice: who"),
        (f'"date,who\n{A}'.encode(), "quote that does not close"),
        (b"date,\xff\nx\n", "is not utf-8"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content, message):
    with pytest.raises(UnreadableError, match=message):
        read(content, NAMED)


def test_too_few_header_rows_are_told():
    with pytest.raises(UnreadableError, match="ends before its 3 header rows"):
        read(f"{HEADER}\n{A}\n", with_format(header_rows=3))


def test_a_header_names_its_columns_in_any_order_and_may_have_nameless_ones():
    content = f'\ufeffclass," who ",,value,"da""te",date,\r\n{"calls,4361,,1,x,2026-05-01,"}\r\n'
    assert read(content, NAMED) == [READ_A]


def test_a_record_longer_than_a_mebibyte_is_an_exception():
    long = f"2026,{'x' * (1 << 20)},1,calls"
    assert read(f"{A}\n{long}\n{B}\n") == [READ_A, "record_too_long", READ_B]


def test_a_file_without_line_ends_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_RECORD_BYTES", 100)
    with pytest.raises(UnreadableError, match="Is this text"):
        read("x" * 100_000, block=1000)


def test_a_retried_record_of_a_file_that_lacks_a_new_column_says_so():
    rows = reading.read_rows(rows_frame([A]), parse_spec(ROWS), header=["date", "who", "value", "kind"])
    assert cells(rows, *COLUMNS) == ["too_few_columns"]
    assert "no column class" in rows["fault_message"][0]


@pytest.mark.parametrize("delimiter", ["\t", "|", ";", "^", "-", "]", "\\", "<", " ", "#", "a"])
def test_any_sign_may_part_the_fields(delimiter):
    fields = ["1", "2", 'x"y' + delimiter, "\n"]
    quoted = delimiter.join('"' + field.replace('"', '""') + '"' for field in fields)
    content = f"{quoted}\n{delimiter.join('1234')}\n"
    profile = with_format(delimiter=delimiter)
    assert read(content, profile) == [tuple(fields), tuple("1234")]


def test_a_source_that_does_not_quote_may_use_the_sign_freely():
    assert read('2026,a"b,1,"\n', with_format(quote="")) == [("2026", 'a"b', "1", '"')]


# Any text

signs = st.sampled_from([*'ab,"\n\r é☃;\0', "\r\n", '""'])
texts = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.lists(
    signs.filter(lambda sign: sign != "\0"), max_size=8
).map("".join)
tables = st.lists(st.lists(texts, min_size=4, max_size=4), min_size=1, max_size=12)
blocks = st.integers(1, 60)


@settings(max_examples=300, deadline=None)
@given(
    tables, blocks, st.sampled_from(["\n", "\r\n"]), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.booleans()
)
def test_well_formed_text_is_read_as_pythons_csv_module_reads_it(table, block, ends, quoting, has_last_end):
    if any("\r" in field for row in table for field in row):
        quoting = csv.QUOTE_ALL  # csv writes a lone CR bare and reads it as the end of a row
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=ends, quoting=quoting).writerows([list("abcd"), *table])
    content = text.getvalue() if has_last_end else text.getvalue().removesuffix(ends)
    expected = [tuple(row) for row in csv.reader(io.StringIO(content, newline=""), strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "MAX_CHUNK_RECORDS", 3)
        patch.setattr(delimited, "HEAD_BYTES", 4)
        found = read(content, block=block)
    assert found == expected


@settings(max_examples=300, deadline=None)
@given(st.lists(signs, max_size=60).map("".join).map(str.encode) | st.binary(max_size=60), blocks)
@example(b'"\n","\n', 1)
def test_whatever_comes_every_line_is_in_exactly_one_record(content, block):
    whole = content.removeprefix(b"\xef\xbb\xbf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "MAX_CHUNK_RECORDS", 3)
        patch.setattr(delimited, "HEAD_BYTES", 4)
        try:
            records = read_file(content, block=block)
        except UnreadableError:
            assert not whole or (b"\r" in whole[: 4 + block] and not whole.startswith(b"\n"))
            return
    numbers = records["record_number"].to_list()
    assert numbers == sorted(set(numbers))
    came = [line.rstrip(b"\r").decode("utf-8", "backslashreplace") for line in whole.split(b"\n")]
    stood = [line.rstrip("\r") for raw in records["raw"].to_list() for line in raw.split("\n")]
    assert [line for line in stood if line] == [line for line in came if line]


@settings(max_examples=200, deadline=None)
@given(st.lists(signs, min_size=1, max_size=80).map("".join).map(str.encode), blocks)
def test_how_a_file_is_cut_does_not_change_what_is_read(content, block):
    try:
        at_once = read(content)
    except UnreadableError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "MAX_CHUNK_RECORDS", 2)
        assert read(content, block=block) == at_once


def test_spans_rejoin_to_the_whole_file():
    content = f'{HEADER}\n{A}\n2026,"a\nb",1,calls\n{B}'.encode()
    spec = parse_spec(NAMED)
    for block in range(1, len(content) + 1):
        _, spans = reading.cut((content[at : at + block] for at in range(0, len(content), block)), spec)
        parts = [content[span.start : span.end] for span in spans]
        assert b"".join(parts) == content[len(HEADER) + 1 :]


def refusal_of_header(header, profile=NAMED):
    content = f"{header}\n{A}\n".encode()
    with pytest.raises(UnreadableError) as refused:
        list(delimited.cut([content], parse_spec(profile).format, ["date", "who"])[1])
    assert len(str(refused.value)) < 2_000
    return str(refused.value)


def test_a_header_of_many_columns_is_read_in_a_moment():
    names = [f"c{number}" for number in range(delimited.MAX_COLUMNS - 4)]
    content = f"{HEADER},{','.join(names)}\n{A}{',' * len(names)}\n".encode()
    started = time.process_time()
    header, spans = delimited.cut([content], parse_spec(NAMED).format, ["date", "who"])
    assert header == [*HEADER.split(","), *names]
    assert len(list(spans)) == 1
    assert time.process_time() - started < 1
    assert refusal_of_header(f"{HEADER},{','.join(names)},x") == (
        "The header names 10,001 columns; at most 10,000 are read."
    )


@pytest.mark.parametrize("profile", [NAMED, with_format(header_rows=1)])
def test_a_header_is_bounded_also_where_it_comes_at_once_with_what_follows(profile):
    most = delimited.MAX_HEADER_BYTES
    assert refusal_of_header("a" * (most + 1), profile).startswith("The header is longer than 1,048,576 bytes.")


def test_what_is_wrong_with_a_header_is_told_in_few_words():
    many = ",".join(f"{'c' * 200}{number}" for number in range(2_000))
    assert refusal_of_header(many).endswith("c… (2,000 names).")
    assert refusal_of_header(f"{HEADER},{many},who,{many}").endswith("c… (2,001 names).")
    assert refusal_of_header(f"{HEADER},who") == "The header names a column twice: who."


def test_a_header_with_a_nul_character_is_refused():
    assert refusal_of_header(f"{HEADER}\0") == "The header holds a NUL character. Is this a text file?"
