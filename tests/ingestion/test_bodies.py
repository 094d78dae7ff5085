"""Bodies by their shape, without a database: what each holds, every refusal with its line, and that none says more or
less than another of the same records."""

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.core.bodies import Body, Shape, fits_charset, header_of, look_at, rows_of, shapes_of
from ingestion.core.requests import FaultyRequestError
from mediation.core import reading
from mediation.core.judging import mediate
from mediation.core.spec import parse_spec
from tests.mediation.profiles import JSON, NOW, ROWS, WINDOWS, catalogue, document, read_file, row

ROW_FEED = parse_spec(ROWS)
NAMED = document(format={"kind": "delimited", "columns_by": "name", "header_rows": 2})
NAMED_FEED = parse_spec(NAMED)
JSON_FEED = parse_spec(JSON)
INSIDE = parse_spec(document(JSON, format={"kind": "json", "records_path": "response.items"}))
EVENT_FIELDS = {
    "Date": {"source": "data.Date"},
    "UdrUsageIdentifier": {"source": "data.Id"},
    "Value": {"source": "data.Value"},
    "UsageClassName": {"literal": "calls"},
}
EVENT_FEED = parse_spec(document(JSON, format={"kind": "cloudevents"}, fields=EVENT_FIELDS))
RECORD = {"Date": "2026-05-01T10:00:00Z", "Id": "a", "Value": 1}


def event(number=1, **members):
    return {"specversion": "1.0", "id": str(number), "source": "/m", "type": "usage", "data": RECORD} | members


def faults(content, shape, spec):
    """(pointer, code) of each fault of a body that is refused."""
    with pytest.raises(FaultyRequestError) as refused:
        look_at(content, shape, spec)
    assert all(fault.detail for fault in refused.value.faults)
    return [(fault.pointer, fault.code) for fault in refused.value.faults]


def rows(content, shape, spec, import_id=1):
    looked = look_at(content, shape, spec)
    return rows_of([Body(import_id, content, shape, looked.header_lines)], spec)


def texts(content, shape, spec):
    return rows(content, shape, spec)["raw"].to_list()


def records(content, shape, spec):
    """RECORDS of a body."""
    looked = look_at(content, shape, spec)
    body = Body(1, content, shape, looked.header_lines)
    assert header_of(body, spec) == looked.header
    found = reading.read_rows(rows_of([body], spec), spec, looked.header)
    assert found.height == looked.record_count
    return found


def udrs(content, shape, spec):
    """All that becomes of a body's records, their numbers and texts apart."""
    windows = pl.DataFrame([(1, None, NOW)], schema=WINDOWS, orient="row")
    verdict = mediate(records(content, shape, spec), spec=spec, catalogue=catalogue(), windows=windows)
    frames = (verdict.kept, verdict.rejected, verdict.skipped, verdict.repeated)
    return [frame.drop("record_number", "raw", strict=False).to_dicts() for frame in frames]


def test_which_shapes_a_feed_reads():
    assert shapes_of(ROW_FEED) == (Shape.JSON, Shape.CSV)
    assert shapes_of(JSON_FEED) == (Shape.JSON, Shape.NDJSON)
    assert shapes_of(EVENT_FEED) == (Shape.JSON, Shape.NDJSON, Shape.EVENT, Shape.EVENTS)
    columns = [{"name": name, "start": place, "width": 1} for place, name in enumerate("abcd", 1)]
    fixed = document(format={"kind": "fixed_width", "columns": columns})
    fixed["fields"] = {name: {"source": source} for name, source in zip(fixed["fields"], "abcd", strict=True)}
    assert shapes_of(parse_spec(fixed)) == (Shape.JSON,)


# NDJSON


def test_lines_of_json_are_kept_as_they_came():
    content = '\ufeff{"Value": 1.50, "Id": "a"}\r\n\n  \t\n {"Value": 1e2} \r\n{"Value":3}'.encode()
    assert texts(content, Shape.NDJSON, JSON_FEED) == ['{"Value": 1.50, "Id": "a"}', '{"Value": 1e2}', '{"Value":3}']


def test_a_line_separator_of_unicode_ends_no_line_of_json():
    content = '{"Id": "a\u2028b\u0085c"}'.encode()
    assert texts(content, Shape.NDJSON, JSON_FEED) == ['{"Id": "a\u2028b\u0085c"}']


def test_lines_of_a_feed_whose_documents_hold_records_inside_are_records():
    assert texts(b'{"response": 1}\n{"a": 2}', Shape.NDJSON, INSIDE) == ['{"response": 1}', '{"a": 2}']


def test_a_name_that_stands_twice_in_a_line_has_its_last_value():
    read = records(b'{"Value": 1, "Value": 2}', Shape.NDJSON, JSON_FEED)
    assert read["source:Value"].to_list() == ["2"]


def test_every_line_that_is_no_record_is_told_and_the_body_refused():
    deep = "[" * 101 + "]" * 101
    lines = ['{"a": 1}', "{broken", "[1]", "", '{"a": NaN}', '{"a": 1} {"b": 2}', f'{{"a": {deep}}}', "[" * 9_999]
    assert faults("\n".join(lines).encode(), Shape.NDJSON, JSON_FEED) == [
        ("/lines/2", "not_json"),
        ("/lines/3", "record_not_read"),
        ("/lines/5", "not_json"),
        ("/lines/6", "not_json"),
        ("/lines/7", "too_deep"),
        ("/lines/8", "not_json"),
    ]


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize(("shape", "spec"), [(Shape.NDJSON, JSON_FEED), (Shape.CSV, ROW_FEED)], ids=["json", "csv"])
def test_no_records(content, shape, spec):
    assert faults(content, shape, spec) == [("", "no_records")]


def test_a_body_of_lines_that_is_not_utf_8():
    assert faults(b'{"a": "\xff"}\n', Shape.NDJSON, JSON_FEED) == [("", "not_utf8")]


@pytest.mark.parametrize(
    ("shape", "spec", "line"),
    [(Shape.NDJSON, JSON_FEED, json.dumps(RECORD)), (Shape.CSV, ROW_FEED, row())],
    ids=["json", "csv"],
)
def test_a_thousand_records_and_one_more(shape, spec, line):
    assert look_at((f"{line}\n" * 1_000).encode(), shape, spec).record_count == 1_000
    assert faults((f"{line}\n" * 1_001).encode(), shape, spec) == [("", "too_many_records")]
    assert faults(b"\n" * 200_000 + line.encode(), shape, spec) == [("", "too_many_records")]


# Events


def test_one_event_and_a_batch_of_them():
    one, two = event(1), event(2)
    assert texts(json.dumps(one).encode(), Shape.EVENT, EVENT_FEED) == [json.dumps(one, separators=(",", ":"))]
    assert len(texts(json.dumps([one, two]).encode(), Shape.EVENTS, EVENT_FEED)) == 2
    assert faults(json.dumps([one]).encode(), Shape.EVENT, EVENT_FEED) == [("", "shape_not_read")]
    assert faults(json.dumps(one).encode(), Shape.EVENTS, EVENT_FEED) == [("", "not_a_list")]
    assert faults(b"[]", Shape.EVENTS, EVENT_FEED) == [("", "no_records")]
    assert faults(json.dumps([one, 7, "x"]).encode(), Shape.EVENTS, EVENT_FEED) == [
        ("/1", "record_not_read"),
        ("/2", "record_not_read"),
    ]
    assert faults(json.dumps([one] * 1_001).encode(), Shape.EVENTS, EVENT_FEED) == [("", "too_many_records")]


def test_what_lacks_an_attribute_is_an_event_all_the_same_and_its_record_at_fault():
    kept, rejected, *_ = udrs(b'{"data": [1]}', Shape.EVENT, EVENT_FEED)
    assert (kept, [one["code"] for one in rejected]) == ([], ["malformed"])


# CSV


def test_lines_of_csv_are_numbered_as_in_a_file_and_blank_ones_are_none():
    found = rows(f"\ufeff{row('1')}\r\n\r\n{row('2')}".encode(), Shape.CSV, ROW_FEED)
    assert found["record_number"].to_list() == [1, 3]
    assert found["raw"].to_list() == [row("1"), row("2")]


def test_a_feed_by_position_takes_no_header():
    """Its files may have one, but here a first line that is left out could be a record."""
    spec = parse_spec(document(format={**ROWS["format"], "header_rows": 1}))
    assert look_at(row().encode(), Shape.CSV, spec) == (1, 0, None)


def test_a_feed_by_name_takes_its_columns_from_the_body():
    content = b"about\nclass,who,extra,value,date\ncalls,4361,x,10,2026-05-01T10:00:00Z\n"
    assert look_at(content, Shape.CSV, NAMED_FEED) == (1, 2, ["class", "who", "extra", "value", "date"])
    (kept,), *_ = udrs(content, Shape.CSV, NAMED_FEED)
    (by_position,), *_ = udrs(row().encode(), Shape.CSV, ROW_FEED)
    # By the whole content, which has another order and a column more, they are two records.
    assert {name for name in kept if kept[name] != by_position[name]} == {"key", "content_hash"}
    assert faults(b"about\nwho,value\n1,2\n", Shape.CSV, NAMED_FEED) == [("/lines/1", "shape_not_read")]
    assert faults(b"about\ndate,who,value,class\n", Shape.CSV, NAMED_FEED) == [("/lines/1", "shape_not_read")]
    nul = f"about\nclass,who,value,date,e\0\n{row()},\n".encode()
    assert faults(nul, Shape.CSV, NAMED_FEED) == [("/lines/1", "shape_not_read")]


def test_a_broken_line_of_csv_is_its_records_fault_alone():
    content = f'{row("1")}\n1,2\n"open,2,3,4\n{row("2")}\n'.encode()
    kept, rejected, *_ = udrs(content, Shape.CSV, ROW_FEED)
    assert (len(kept), [one["code"] for one in rejected]) == (2, ["too_few_columns", "malformed"])


def test_bytes_that_are_no_text_are_refused_by_their_lines():
    content = f"{row()}\n{row(who='ä')}\n".encode("iso-8859-1")
    assert faults(content, Shape.CSV, ROW_FEED) == [("/lines/2", "not_text")]
    latin = parse_spec(document(format={**ROWS["format"], "encoding": "iso-8859-1"}))
    assert texts(content, Shape.CSV, latin) == [row(), row(who="ä")]


def test_a_body_that_another_profile_reads_keeps_the_faults_of_its_lines():
    """As when an import is mediated again after its profile's encoding changed."""
    body = Body(1, f"{row()}\n{row(who='ä')}\n".encode("iso-8859-1"), Shape.CSV, 0)
    read = reading.read_rows(rows_of([body], ROW_FEED), ROW_FEED)
    assert read["fault"].to_list() == [None, "undecodable"]


def test_a_profile_that_goes_by_names_by_now_loses_no_record_of_a_body_without_them():
    body = Body(1, f"{row('1')}\n{row('2')}\n".encode(), Shape.CSV, 0)
    assert rows_of([body], NAMED_FEED).height == 2
    assert header_of(body, NAMED_FEED) is None
    named = Body(1, f"about\ndate,who,value,class\n{row()}\n".encode(), Shape.CSV, 2)
    assert rows_of([named], ROW_FEED)["raw"].to_list() == [row()]
    assert header_of(named, ROW_FEED) is None


def test_charsets():
    latin = parse_spec(document(format={**ROWS["format"], "encoding": "cp1252"}))
    assert fits_charset("windows-1252", Shape.CSV, latin)
    assert fits_charset("US-ASCII", Shape.CSV, latin)
    assert not fits_charset("utf-8", Shape.CSV, latin)
    assert fits_charset("UTF8", Shape.NDJSON, JSON_FEED)
    assert not fits_charset("utf-16", Shape.EVENT, EVENT_FEED)
    assert not fits_charset("nonsense", Shape.CSV, latin)


# The same records in every shape

numbers = st.from_regex(r"\A-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?\Z")
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
many = st.lists(st.tuples(numbers, words, st.sampled_from(["calls", "data", "none"])), min_size=1, max_size=8)


def json_record(value, who):
    """A record whose number stands in it as it was drawn, which no float could do."""
    return f'{{"Date": "2026-05-01T10:00:00Z", "Id": {json.dumps(who)}, "Value": {value}}}'


@settings(deadline=None)
@given(many, st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
def test_records_give_the_same_udrs_in_every_shape_of_json(drawn, end, has_last_end):
    lines = [json_record(value, who) for value, who, _ in drawn]
    told = udrs(f"[{','.join(lines)}]".encode(), Shape.JSON, JSON_FEED)
    assert told == udrs((end.join(lines) + end * has_last_end).encode(), Shape.NDJSON, JSON_FEED)
    data = [
        f'{{"specversion":"1.0","id":"{place}","source":"/m","type":"t","data":{line}}}'
        for place, line in enumerate(lines)
    ]
    batch = udrs(f"[{','.join(data)}]".encode(), Shape.EVENTS, EVENT_FEED)
    assert batch == udrs("\n".join(data).encode(), Shape.NDJSON, EVENT_FEED)
    one_by_one = [udrs(one.encode(), Shape.EVENT, EVENT_FEED) for one in data]
    assert [kept for one in one_by_one for kept in one[0]] == batch[0]
    assert {one["value"] for one in told[0]} == {one["value"] for one in batch[0]}


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


@settings(deadline=None)
@given(many, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_rows_give_the_same_udrs_as_texts_as_lines_and_as_a_file(drawn, end, has_last_end):
    lines = [f"2026-05-01T10:00:00Z,{quoted(who)},{value},{class_}" for value, who, class_ in drawn]
    content = (end.join(lines) + end * has_last_end).encode()
    told = udrs(json.dumps({"data": lines}).encode(), Shape.JSON, ROW_FEED)
    assert told == udrs(content, Shape.CSV, ROW_FEED)
    named = f"about{end}date,who,value,class{end}".encode() + content
    assert told == udrs(named, Shape.CSV, NAMED_FEED)
    assert records(named, Shape.CSV, NAMED_FEED).equals(read_file(named, NAMED))


signs = st.sampled_from(['"', ",", "\n", "\r\n", "a", "1", " ", "\0", "é", "\ufeff"])


@settings(deadline=None)
@given(st.lists(signs, min_size=1, max_size=60).map("".join).map(str.encode))
def test_any_lines_are_read_as_those_of_a_file(content):
    found = read_or_refused(content, Shape.CSV, ROW_FEED)
    if isinstance(found, pl.DataFrame):
        assert found.equals(read_file(content))
    else:
        assert found in ("no_records", "shape_not_read")


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from(Shape), st.sampled_from([ROW_FEED, NAMED_FEED, JSON_FEED, EVENT_FEED]))
def test_whatever_bytes_come_are_records_or_a_refusal(content, shape, spec):
    found = read_or_refused(content, shape, spec)
    assert found if isinstance(found, str) else found.height


def read_or_refused(content, shape, spec):
    """RECORDS, or the code of the refusal."""
    try:
        return records(content, shape, spec)
    except FaultyRequestError as refused:
        return refused.faults[0].code
