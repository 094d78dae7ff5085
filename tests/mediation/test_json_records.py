"""Reading JSON records: every spelling of a file, no float, and broken ones that spoil themselves or nothing."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core import reading
from mediation.core.reading import UnreadableError, json_records
from mediation.core.spec import parse_spec

from .profiles import JSON, cells, document, read_file, rows_frame

ONE, TWO = '{"Id": "a", "Value": 1}', '{"Id": "b", "Value": 2}'
READ = [("a", "1"), ("b", "2")]


def read(content, block=None):
    return cells(read_file(content if isinstance(content, bytes) else content.encode(), JSON, block), "Id", "Value")


SPELLINGS = [
    f"[{ONE},{TWO}]",
    f'{{"data": [{ONE},{TWO}]}}',
    f'\n {{ "data" :\n[\n{ONE}\n,\n{TWO}\n]\n}}\n',
    f"{ONE}\n{TWO}\n",
    f"{ONE}\r\n{TWO}",
    f"{ONE}{TWO}",
    f"{ONE},\n{TWO}",
    json.dumps([json.loads(ONE), json.loads(TWO)], indent=2),
    json.dumps(json.loads(ONE), indent=2) + "\n" + json.dumps(json.loads(TWO), indent=4),
    f"\ufeff[{ONE},{TWO}]",
    f"\ufeff{ONE}\n{TWO}",
]


@pytest.mark.parametrize("content", SPELLINGS)
@pytest.mark.parametrize("block", [None, 1, 7])
def test_records_are_read_from_every_usual_file(content, block, monkeypatch):
    assert read(content, block) == READ
    monkeypatch.setattr(json_records, "MAX_CHUNK_RECORDS", 1)
    records = read_file(content.encode(), JSON, block)
    assert records["record_number"].to_list() == [1, 2]
    assert cells(records, "Id", "Value") == READ


def test_one_object_is_one_record_even_if_it_begins_with_a_list_named_data():
    assert read(ONE) == READ[:1]
    record = '{"data": [1, 2], "Id": "a", "Value": 1}'
    assert read(record) == READ[:1]
    assert read(f"{record}\n{TWO}") == READ


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\ufeff \n", "is empty"),
        ("[]", "holds no records"),
        ('{"data": []}', "holds no records"),
        ("date,value\n1,2", "neither with { nor with"),
        ("\0", "neither with { nor with"),
        (f"[{ONE},{TWO}", "not closed.*after 2 records"),
        (f'{{"data": [{ONE},{TWO}]', "not closed"),
        (f"[{ONE},{TWO}]]", "follows the end"),
        (f"[{ONE},{TWO}] x", "follows the end"),
        (f"[{ONE},{TWO}]}}", "follows the end"),
        (f"[{ONE},{TWO}] [{ONE}]", "follows the end"),
        (f'[{ONE},{{"Id": ]', "cannot be read at byte 25"),
        (f'[{ONE},{{"Id": "b", "Value": NaN}}]', "NaN is no JSON number"),
        (f'[{ONE},{{"Id": "b", "Value": 1e99999}}]', "too long"),
    ],
)
@pytest.mark.parametrize("block", [None, 1, 7])
def test_a_file_that_cannot_be_read_as_a_whole_gives_nothing(content, message, block):
    with pytest.raises(UnreadableError, match=message):
        read(content, block)


BROKEN = [
    ('{"Id": "x", "Value":', "malformed"),
    ('{"Id": "x" "Value": 1}', "malformed"),
    ("{'Id': 1}", "malformed"),
    ('{"Id": "x", "Value": NaN}', "malformed"),
    ('{"Id": "x", "Value": -Infinity}', "malformed"),
    ('{"Id": "x", "Value": 01}', "malformed"),
    ('{"Id": "x", "Value": 1e99999}', "malformed"),
    ('{"Id": "' + "x" * 50, "malformed"),
    ("]", "malformed"),
    ("}", "malformed"),
    ("null", "malformed"),
    ("12345", "malformed"),
    ('"text"', "malformed"),
    ("[1, 2]", "malformed"),
    ('{"Id": "\\ud800", "Value": 1}', "malformed"),
    ('{"\\udfff": "x", "Value": 1}', "malformed"),
    ('{"Id": "\\u0000", "Value": 1}', "control_character"),
    ('{"a":' * 101 + "1" + "}" * 101, "malformed"),
    ('{"a":' * 100_000 + "1" + "}" * 100_000, "malformed"),
]


@pytest.mark.parametrize(("line", "code"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_line_spoils_itself(line, code):
    rows = reading.read_rows(rows_frame([ONE, line, TWO]), parse_spec(JSON))
    assert cells(rows, "Id", "Value") == [READ[0], code, READ[1]]
    for block in (None, 4096) if len(line) > 1000 else (None, 1, 7):
        assert read(f"{ONE}\n{line}\n{TWO}\n", block) == [READ[0], code, READ[1]]


def test_bytes_that_are_not_utf8_spoil_only_their_record():
    content = f'{ONE}\n{{"Id": "\xff", "Value": 1}}\n{TWO}\n'.encode("latin-1")
    for block in (None, 1, 7):
        records = read_file(content, JSON, block)
        assert cells(records, "Id", "Value") == [READ[0], "undecodable", READ[1]]
        assert records["raw"][1] == r'{"Id": "\xff", "Value": 1}'
    in_array = b"[" + content.strip().replace(b"\n", b",") + b"]"
    assert read(in_array) == [READ[0], "undecodable", READ[1]]


def test_half_of_a_pair_is_bad_and_a_whole_pair_is_a_sign():
    assert read('{"Id": "\\ud83d\\ude00", "Value": 1}') == [("😀", "1")]


def test_a_written_out_backslash_before_u0000_is_no_nul():
    assert read('{"Id": "\\\\u0000", "Value": 1}') == [("\\u0000", "1")]


@pytest.mark.parametrize(
    "digits", ["12345678901234567.123456", "1e5", "-0", "0.10", "1E+2", "99999999999999999999999999999999999999999"]
)
def test_numbers_keep_every_digit_that_was_sent(digits):
    assert read(f'{{"Id": {digits}, "Value": [{digits}]}}') == [(digits, f"[{digits}]")]


def test_paths_lead_into_objects_and_lists():
    profile = document(
        JSON,
        fields={
            "UdrUsageIdentifier": {"source": "who.0.id"},
            "OriginatingIdentifier": {"source": "a.b"},
            "Inbound": {"source": "flags.in"},
            "Extensions": {"source": "extra"},
        },
    )
    record = (
        '{"who": [{"id": 7}], "a.b": "whole name", "a": {"b": "path"}, "flags": {"in": true}, "extra": {"n": 1.50}}'
    )
    sources = ["who.0.id", "a.b", "flags.in", "extra"]
    assert cells(read_file(record.encode(), profile), *sources) == [("7", "whole name", "true", '{"n":1.50}')]
    for other in ('{"who": []}', '{"who": {"0": {"id": null}}}', '{"who": "text", "flags": 1}'):
        assert cells(read_file(other.encode(), profile), *sources) == [(None,) * 4]


@pytest.mark.parametrize("raw", [f"{ONE}{TWO}", f"{ONE} x", f"{ONE},", "", "  ", "]", "[{}]", f"[{ONE}]"])
def test_a_corrected_record_is_one_object_and_nothing_else(raw):
    assert cells(reading.read_rows(rows_frame([raw]), parse_spec(JSON)), "Id") == ["malformed"]


def test_one_record_has_one_content_however_it_is_spelt():
    spellings = ['{"b": [1, {"y": 1.0, "x": "é"}], "a": null}', '{"a":null,"b":[1,{"x":"\\u00e9","y":1.0}]}']
    assert len(set(map(json_records.canonical, spellings))) == 1
    assert json_records.canonical('{"a": 1.0}') != json_records.canonical('{"a": 1}')


def test_a_record_longer_than_a_mebibyte_is_an_exception():
    assert read(f'{ONE}\n{{"Id": "{"x" * (1 << 20)}"}}\n{TWO}') == [READ[0], "record_too_long", READ[1]]


lines = st.lists(
    st.sampled_from(
        [ONE, TWO, "{", "}", "]", "[", "1", "12", "tru", '"', "{}", ",", " ", "x", "\xff", '{"data": [{}]}']
    )
    | st.text(max_size=5),
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(lines, st.integers(1, 40), st.sampled_from(["\n", " ", ""]))
def test_whatever_comes_is_read_the_same_however_it_is_cut(parts, block, separator):
    content = (ONE + separator + separator.join(parts)).encode("latin-1", "backslashreplace")
    at_once = read_file(content, JSON)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_records, "MAX_CHUNK_RECORDS", 2)
        patch.setattr(json_records, "HEAD_CHARS", 4)
        in_parts = read_file(content, JSON, block)
    # How far a message points depends on what follows the record.
    assert in_parts.drop("fault_message").equals(at_once.drop("fault_message"))
    assert at_once["record_number"].to_list() == list(range(1, at_once.height + 1))
    assert without_separators("".join(at_once["raw"])) == without_separators(
        content.decode("utf-8", "backslashreplace")
    )


def without_separators(text):
    return "".join(text.replace(",", "").split())
