"""JSON records inside a document, and CloudEvents."""

import base64
import contextlib
import json
import time
import tracemalloc
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.reading import cloudevents, json_path, json_records
from mediation.core.reading.frames import UnreadableError, source_column
from mediation.core.spec import formats

PATH = ("response", "items")
PAGE = {
    "meta": {"pages": [1, {"items": [9]}], "note": 'a "b" \\ {['},
    "response": {"n": 2, "items": [{"a": 1}, {"a": 2}]},
    "end": None,
}


def records(content: bytes | str, path: Sequence[str] = PATH, block: int = 1 << 16) -> pl.DataFrame:
    content = content.encode() if isinstance(content, str) else content
    spans = list(json_path.cut([content[place : place + block] for place in range(0, len(content), block)], path))
    return pl.concat(
        json_records.read(content[span.start : span.end], ["a"], import_id=1, first_number=span.first_number)
        for span in spans
    )


def refusal(content: bytes | str, path: Sequence[str] = PATH, block: int = 1 << 16) -> str:
    with pytest.raises(UnreadableError) as refused:
        records(content, path, block)
    return str(refused.value)


@pytest.mark.parametrize("block", [1, 3, 1 << 16])
@pytest.mark.parametrize("indent", [None, 2])
def test_records_are_found_at_their_path_wherever_blocks_end(block, indent):
    frame = records(json.dumps(PAGE, indent=indent), block=block)
    assert frame.select("record_number", "raw", "fault", "source:a").rows()[0][3] == "1"
    assert frame["record_number"].to_list() == [1, 2]
    assert frame["fault"].null_count() == 2


def test_one_record_may_stand_at_the_path():
    frame = records('{"response": {"items": {"a": "x"}}}')
    assert frame["source:a"].to_list() == ["x"]


def test_an_array_may_be_the_document():
    assert records('[{"a": 1}, {"a": 2}]', ())["source:a"].to_list() == ["1", "2"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "empty"),
        ('{"response": {"items": [{"a": 1}', "not closed"),
        ('{"response": {"items": [{"a": 1}]}', "not closed"),
        ('{"response": {"items": [{"a": 1}]}}x', "Something follows"),
        ('{"response": {"items": [{"a": tru}]}}', "cannot be read at byte"),
        ('{"response": {"items": []}}', "response.items holds no records"),
        ('{"response": {"items": 5}}', "neither a list of records nor a record"),
        ('{"response": {"rows": []}}', 'no response.items; there it has "rows"'),
        ('{"a": 1}', 'no response; there it has "a"'),
        ('{"response": [{"items": [{}]}]}', "response is no object"),
        ("[]", "The document is no object"),
        ('{"response": {"items": [{}], "items": [{}]}}', "response.items stands in the document twice"),
        ('{"a": [1}, "response": {"items": [{}]}}', "broken at byte 8"),
        ('{"a": , "response": {"items": [{}]}}', "broken at byte 6"),
        ('{"a": "x', "not closed"),
        ('{"a" 1}', "broken"),
        ("{1: 1}", "broken"),
        ('{"a": ' + "[" * 200 + "]" * 200 + "}", "nested more than 100"),
    ],
)
def test_a_document_that_cannot_be_read_is_refused_as_a_whole(document, message):
    assert message in refusal(document)
    assert message in refusal(document, block=1)


def test_what_stands_around_the_records_may_be_of_any_size_but_not_of_any_depth():
    around = chain([b'{"meta": ['], repeat(b'"xxxxxxxx", ' * 4_000, 300), [b'0], "response": {"items": [{"a": 1}]}}'])
    tracemalloc.start()
    assert len(list(json_path.cut(around, PATH))) == 1
    endless = chain([b'{"meta": "'], repeat(b"x" * 65_536, 300), [b'", "response": {"items": [{"a": 1}]}}'])
    assert len(list(json_path.cut(endless, PATH))) == 1
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    started = time.process_time()
    assert "nested more than" in refusal('{"a": ' + "[" * (4 << 20))
    assert "broken" in refusal('{"' + "x" * (4 << 20))
    assert time.process_time() - started < 4


def test_spans_are_bounded(monkeypatch):
    monkeypatch.setattr(json_path, "MAX_CHUNK_RECORDS", 2)
    frame = records(json.dumps({"response": {"items": [{"a": number} for number in range(7)]}}))
    assert frame["source:a"].to_list() == [str(number) for number in range(7)]
    assert frame["record_number"].to_list() == list(range(1, 8))


def test_a_path_is_names_with_points():
    faults: list[str] = []
    assert formats.json.parse_records_path("response.items", "/format/records_path", lambda *_: None) == PATH
    assert formats.json.parse_records_path(None, "/format/records_path", lambda *_: None) == ()
    for value in ("a..b", 5, ".a"):
        assert formats.json.parse_records_path(value, "/p", lambda place, _: faults.append(place)) == ()
    assert faults == ["/p"] * 3
    assert json_path.descend(PAGE, PATH) == [{"a": 1}, {"a": 2}]
    with pytest.raises(KeyError):
        json_path.descend(PAGE, ("response", "rows"))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    before=values,
    after=values,
    items=st.lists(st.dictionaries(st.sampled_from("abc"), values, max_size=2), min_size=1, max_size=5),
    is_ascii=st.booleans(),
    block=st.integers(1, 60),
)
def test_what_is_read_is_what_the_document_holds(before, after, items, is_ascii, block):
    document = {"before": before, "response": {"x": before, "items": items, "y": after}, "after": after}
    frame = records(json.dumps(document, ensure_ascii=is_ascii), block=block)
    assert [json.loads(raw) for raw in frame["raw"].to_list()] == items


@settings(max_examples=500, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 255)), max_size=4),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
    block=st.integers(1, 60),
)
def test_a_changed_or_cut_document_is_refused_or_read_and_never_crashes(changes, kept, block):
    content = bytearray(json.dumps(PAGE).encode())
    for place, value in changes:
        content[place % len(content)] = value
    content = content[: int(len(content) * kept)]
    try:
        frame = records(bytes(content), block=block)
    except UnreadableError as error:
        str(error).encode()
        return
    frame.write_ipc(None)
    with contextlib.suppress(ValueError):
        assert frame.height == len(json_path.descend(json.loads(content), PATH))


# CloudEvents

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/gateway",
    "type": "com.example.tokens",
    "subject": "customer-1",
    "time": "2026-01-31T12:00:00Z",
    "region": "eu",
    "datacontenttype": "application/json",
    "data": {"tokens": 5, "model": {"name": "m"}},
}
SOURCES = ["id", "source", "subject", "region", "data.tokens", "data.model.name"]


def events(*found: Any, as_text: str = "lines") -> pl.DataFrame:
    text = "\n".join(map(json.dumps, found)) if as_text == "lines" else json.dumps(list(found))
    content = text.encode()
    _, spans = cloudevents.cut([content])
    return pl.concat(
        cloudevents.read(content[span.start : span.end], SOURCES, import_id=1, first_number=span.first_number)
        for span in spans
    )


def packed(data: bytes, **attributes: Any) -> dict[str, Any]:
    event = {**EVENT, "data_base64": base64.b64encode(data).decode(), **attributes}
    return {name: value for name, value in event.items() if name != "data"}


@pytest.mark.parametrize("as_text", ["lines", "batch"])
def test_events_are_read_alone_and_in_a_batch(as_text):
    frame = events(EVENT, {**EVENT, "id": "e-2"}, as_text=as_text)
    assert frame.select(map(source_column, SOURCES)).rows() == [
        ("e-1", "/gateway", "customer-1", "eu", "5", "m"),
        ("e-2", "/gateway", "customer-1", "eu", "5", "m"),
    ]
    assert frame["fault"].null_count() == 2


@pytest.mark.parametrize("name", cloudevents.REQUIRED)
def test_an_event_without_a_required_attribute_is_malformed(name):
    frame = events({**EVENT, name: ""}, {key: value for key, value in EVENT.items() if key != name}, EVENT)
    message = f"the event lacks {name}, which CloudEvents require"
    assert frame["fault_message"].to_list() == [message, message, None]


def test_an_event_of_another_version_is_malformed():
    assert events({**EVENT, "specversion": "0.3"})["fault_message"].to_list() == [
        "specversion 0.3 is not read here; 1.0 is"
    ]


def test_data_that_came_as_base64_is_read_as_if_it_stood_in_the_event():
    frame = events(
        EVENT, packed(b'{"tokens": 7.10, "model": {"name": "n"}}'), packed(b'{"tokens": 8}', datacontenttype=None)
    )
    assert frame["source:data.tokens"].to_list() == ["5", "7.10", "8"]
    assert frame["source:data.model.name"].to_list() == ["m", "n", None]
    assert frame["fault"].null_count() == 3


def test_base64_that_is_none_or_holds_none_is_malformed():
    both = {**packed(b"{}"), "data": {}}
    frame = events(
        packed(b"", data_base64="!"), packed(b"\xff"), packed(b"[1"), both, packed(b"hi", datacontenttype="text/plain")
    )
    assert frame["fault"].to_list() == ["malformed"] * 4 + [None]
    assert frame["fault_message"].to_list()[1:4] == [
        "data_base64 is not base64 of UTF-8 text",
        "data_base64 holds no JSON object that can be read",
        "the event has both data and data_base64",
    ]


def test_what_is_no_event_is_malformed_and_spoils_no_other():
    frame = events(EVENT, 5, EVENT, "x", {})
    assert frame["fault"].to_list() == [None, "malformed", None, "malformed", "malformed"]


def test_rows_that_came_one_by_one_are_read_alike():
    frame = events(EVENT, packed(b'{"tokens": 7}'), {})
    again = cloudevents.read_rows(frame.select("import_id", "record_number", "raw"), SOURCES)
    assert again.equals(frame)


def test_the_format_takes_nothing_but_utf8():
    faults: list[str] = []
    for value in ({"encoding": "cp1252"}, {"x": 1}):
        assert formats.cloudevents.parse_format(value, "/format", lambda place, _: faults.append(place)) is None
    assert faults == ["/format/encoding", "/format/x"]
    assert formats.cloudevents.UNIQUE_SOURCES == ("source", "id")


attributes = st.dictionaries(st.sampled_from([*EVENT, "data_base64"]), values | st.just("1.0"), max_size=9)


@settings(max_examples=300, deadline=None)
@given(found=st.lists(attributes | st.builds(lambda change: {**EVENT, **change}, attributes), min_size=1, max_size=5))
def test_every_event_is_a_record_whatever_it_holds(found):
    frame = events(EVENT, *found)
    assert frame.height == len(found) + 1
    for record, fault in zip([EVENT, *found], frame["fault"].to_list(), strict=True):
        lacks = any(record.get(name) in (None, "") for name in cloudevents.REQUIRED)
        assert fault is not None or not lacks
