"""XML records: how a document is cut and read, and everything that is refused."""

import time
import tracemalloc
from itertools import chain, repeat
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.reading import xml_records
from mediation.core.reading.frames import UnreadableError, source_column
from mediation.core.reading.xml_records import Xml
from mediation.core.spec import formats

CALLS = """<?xml version="1.0" encoding="UTF-8"?>
<t:Calls xmlns:t="urn:t"><Header count="3"/>
  <t:Call id="1"><t:Caller type="msisdn">4366 &amp; Zoë</t:Caller><Seconds>12</Seconds></t:Call>
  <!-- <Call id="x"/> --><Call id="2"><Caller type="a>b"><![CDATA[<Call>]]></Caller>
    <Party><Number>1</Number></Party><Party><Number>2</Number></Party></Call
  >
  <Call/>
</t:Calls>
"""
SOURCES = ["Caller", "Caller/@type", "@id", "Seconds", "Party/Number", "Party[2]/Number"]


def records(
    content: bytes | str, format_: Xml | None = None, sources: list[str] | None = None, block: int = 1 << 16
) -> pl.DataFrame:
    content = content.encode() if isinstance(content, str) else content
    format_, sources = format_ or Xml("Call"), SOURCES if sources is None else sources
    blocks = [content[place : place + block] for place in range(0, len(content), block)]
    _, spans = xml_records.cut(blocks, format_)
    return pl.concat(
        [
            xml_records.read(
                content[span.start : span.end], format_, sources, import_id=1, first_number=span.first_number
            )
            for span in list(spans)
        ]
    )


def fields(frame: pl.DataFrame, sources: list[str] | None = None) -> list[tuple[Any, ...]]:
    return frame.select(source_column(source) for source in sources or SOURCES).rows()


def refusal(content: bytes | str, format_: Xml | None = None, block: int = 1 << 16) -> str:
    with pytest.raises(UnreadableError) as refused:
        records(content, format_, block=block)
    return str(refused.value)


@pytest.mark.parametrize("block", [1, 5, 64, 1 << 16])
def test_records_are_read_by_their_paths_wherever_blocks_end(block):
    frame = records(CALLS, block=block)
    assert fields(frame) == [
        ("4366 & Zoë", "msisdn", "1", "12", None, None),
        ("<Call>", "a>b", "2", None, "1", "2"),
        (None, None, None, None, None, None),
    ]
    assert frame["record_number"].to_list() == [1, 2, 3]
    assert frame["fault"].null_count() == 3
    assert frame["raw"][2] == "<Call/>"


def test_a_record_keeps_its_text_and_is_read_from_it_again():
    frame = records(CALLS)
    again = xml_records.read_rows(frame.select("import_id", "record_number", "raw"), Xml("Call"), SOURCES)
    assert again.equals(frame)


def test_a_path_tells_records_from_elements_of_the_same_name():
    document = (
        "<A><Voice><Call>1</Call></Voice><Lost><Call>2</Call></Lost><Voice><Call>3</Call><Call>4</Call></Voice></A>"
    )
    assert fields(records(document, Xml("Voice/Call"), ["."]), ["."]) == [("1",), ("3",), ("4",)]
    assert fields(records(document, Xml("Call"), ["."]), ["."]) == [("1",), ("2",), ("3",), ("4",)]


def test_an_element_inside_a_record_is_no_record_of_its_own():
    frame = records("<A><Call><Call><Call/></Call></Call><Call>x</Call></A>", sources=["."])
    assert frame["raw"].to_list() == ["<Call><Call><Call/></Call></Call>", "<Call>x</Call>"]


def test_the_document_itself_may_be_the_record():
    assert fields(records("<Call>1</Call>", sources=["."]), ["."]) == [("1",)]


def test_spans_are_bounded_and_hold_whole_records(monkeypatch):
    monkeypatch.setattr(xml_records, "MAX_CHUNK_RECORDS", 2)
    document = "<A>" + "".join(f"<B><Call>{number}</Call></B>" for number in range(7)) + "</A>"
    _, spans = xml_records.cut([document.encode()], Xml("B/Call"))
    spans = list(spans)
    assert [span.first_number for span in spans] == [1, 3, 5, 7]
    assert fields(records(document, Xml("B/Call"), ["."]), ["."]) == [(str(number),) for number in range(7)]


@pytest.mark.parametrize("encoding", ["iso-8859-1", "cp1252", "cp850", "iso-8859-15"])
def test_the_encoding_is_declared_in_the_profile(encoding):
    content = "<A><Call><Caller>Zoë</Caller></Call></A>".encode(encoding)
    assert fields(records(content, Xml("Call", encoding), ["Caller"]), ["Caller"]) == [("Zoë",)]


def test_a_document_that_says_another_encoding_is_refused():
    document = "<?xml version='1.0' encoding='ISO-8859-1'?><A><Call/></A>"
    assert "says that it is ISO-8859-1" in refusal(document)
    assert records(document, Xml("Call", "iso-8859-1"), []).height == 1


def test_a_byte_order_mark_is_no_text():
    assert records(b"\xef\xbb\xbf<A><Call/></A>", sources=[]).height == 1


BOMB = "<!DOCTYPE a [<!ENTITY b 'bbbbbbbbbb'>" + "".join(
    f"<!ENTITY {name} '{f'&{before};' * 10}'>" for before, name in zip("bcdefghi", "cdefghij", strict=True)
)


@pytest.mark.parametrize(
    "document",
    [
        BOMB + "]><A><Call>&j;</Call></A>",
        "<!DOCTYPE a SYSTEM 'http://example.com/a.dtd'><A><Call/></A>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><A><Call>&x;</Call></A>",
        "<!DOCTYPE a><A><Call/></A>",
    ],
)
def test_document_types_and_entities_are_refused(document):
    started = time.process_time()
    assert "document type" in refusal(document)
    assert time.process_time() - started < 1


def test_an_unknown_entity_is_refused():
    assert "undefined entity" in refusal("<A><Call>&x;</Call></A>")


def test_a_broken_document_is_refused_with_its_place():
    assert refusal("<A>\n<Call/>\n<Call></A>").startswith("The XML is broken at line 3, column 9: mismatched tag")
    assert "Nothing was imported" in refusal("<A><Call/>")
    assert "junk after document element" in refusal("<A><Call/></A><A/>")


def test_a_document_without_records_says_what_it_has():
    assert refusal("<A><B/><C/></A>") == "The file holds no <Call> elements. It has: A, B, C."
    assert "empty" in refusal("")


@pytest.mark.parametrize(
    ("start", "more", "message"),
    [
        (b"", b"<a>", "nested more than 100"),
        (b"<A><Call x='", b"y", "tag or comment"),
        (b"<A><!--", b"y", "tag or comment"),
        (b"<A><Call>", b"<x/>", "element is longer"),
        (b"<A><Call>", b"yyyy", "element is longer"),
    ],
)
def test_what_never_ends_is_refused_soon_and_in_little_memory(start, more, message):
    blocks = chain([start], repeat(more * (1 << 18)))
    tracemalloc.start()
    with pytest.raises(UnreadableError, match=message):
        list(xml_records.cut(blocks, Xml("Call"))[1])
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_a_record_that_is_too_long_is_its_own_fault():
    frame = records("<A><Call>" + "y" * (2 << 20) + "</Call><Call>z</Call></A>", sources=["."])
    assert frame["fault"].to_list() == ["record_too_long", None]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("<Call>", "no element found"),
        ("<Call/><Call/>", "junk after document element"),
        ("<Other/>", "a <Other> element where <Call> is expected"),
        ("", "no element found"),
        ("<!DOCTYPE Call><Call/>", "document type"),
        ("<Call>" + "<a>" * 200 + "</a>" * 200 + "</Call>", "nested more than 100"),
    ],
)
def test_a_row_that_is_no_record_is_malformed(row, message):
    rows = pl.DataFrame({"import_id": [1], "record_number": [1], "raw": [row]})
    frame = xml_records.read_rows(rows, Xml("Call"), ["Caller"])
    assert frame["fault"].to_list() == ["malformed"]
    assert message in frame["fault_message"][0]


def test_source_paths_are_checked():
    for source in [*SOURCES, ".", "./@id", "t:Caller"]:
        assert formats.xml.fault_of_source(source) is None
    for source in ["", "/", "a//b", "a[0]", "a[x]", "@", "a/@", "//a", "a b"]:
        assert formats.xml.fault_of_source(source) is not None


def test_a_format_names_every_fault():
    faults: list[str] = []
    for value in ({}, {"record": "a//b"}, {"record": "a", "encoding": "utf-16"}, {"record": "a", "rows": 1}):
        assert (
            formats.xml.parse_format({"kind": "xml", **value}, "/format", lambda place, _: faults.append(place)) is None
        )
    assert faults == ["/format/record", "/format/record", "/format/encoding", "/format/rows"]


names = st.sampled_from(["Call", "B", "C", "x:Call"])
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=5)
trees = st.recursive(
    st.tuples(names, st.dictionaries(st.sampled_from("ab"), texts, max_size=2), st.just([]), texts),
    lambda inner: st.tuples(names, st.just({}), st.lists(inner, max_size=4), texts),
    max_leaves=12,
)


def element_of(tree: Any) -> ElementTree.Element:
    name, attributes, children, text = tree
    element = ElementTree.Element(name.removeprefix("x:"), attributes)
    element.text = text
    element.extend(map(element_of, children))
    return element


def outermost(element: ElementTree.Element, path: list[str], parents: tuple[str, ...] = ()) -> list[Any]:
    parents = (*parents, element.tag)
    if list(parents[-len(path) :]) == path:
        return [element]
    return [found for child in element for found in outermost(child, path, parents)]


@settings(max_examples=300, deadline=None)
@given(
    tree=trees, path=st.sampled_from(["Call", "B/Call", "C/B/Call"]), block=st.integers(1, 40), count=st.integers(1, 3)
)
def test_what_is_read_is_what_another_reader_finds(tree, path, block, count):
    root = element_of(("Root", {}, [tree, tree], ""))
    expected = outermost(root, path.split("/"))
    content = ElementTree.tostring(root, encoding="utf-8")
    before, xml_records.MAX_CHUNK_RECORDS = xml_records.MAX_CHUNK_RECORDS, count
    try:
        frame = records(content, Xml(path), [".", "@a", "C/B", "B[2]"], block)
    except UnreadableError:
        assert not expected
        return
    finally:
        xml_records.MAX_CHUNK_RECORDS = before
    assert frame["fault"].null_count() == frame.height
    wanted = [
        (
            (one.text or "").replace("\r\n", "\n").replace("\r", "\n"),
            one.get("a"),
            found.text or "" if (found := one.find("C[1]/B[1]")) is not None else None,
            found.text or "" if (found := one.find("B[2]")) is not None else None,
        )
        for one in expected
    ]
    assert fields(frame, [".", "@a", "C/B", "B[2]"]) == wanted


@settings(max_examples=500, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 255)), max_size=4),
    kept=st.floats(0.3, 1),
    block=st.integers(1, 200),
)
def test_a_changed_or_cut_document_is_refused_or_read_and_never_crashes(changes, kept, block):
    content = bytearray(CALLS.encode())
    for place, value in changes:
        content[place % len(content)] = value
    document = bytes(content[: int(len(content) * kept)])
    try:
        frame = records(document, block=block)
    except UnreadableError as error:
        assert str(error).endswith(".")  # noqa: PT017
        return
    try:
        root = ElementTree.fromstring(document.replace(b"t:", b""))
    except ElementTree.ParseError as error:
        # We read names without their prefixes, so that one that stands for nothing is no fault.
        assert "unbound prefix" in str(error)  # noqa: PT017
        return
    assert frame.height == len(outermost(root, ["Call"]))


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(content):
    try:
        xml_records.read(content, Xml("Call"), ["Caller"], import_id=1, first_number=1)
        records(content)
    except UnreadableError:
        pass
