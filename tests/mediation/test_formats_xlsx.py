"""XLSX sheets: what cells say, where records stand, and workbooks that are refused."""

import contextlib
import io
import time
import tracemalloc
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.reading import workbook, xlsx
from mediation.core.reading.cell_values import kind_of_format, text_of_number, text_of_serial
from mediation.core.reading.frames import UnreadableError, source_column
from mediation.core.reading.workbook import column_letters, column_place
from mediation.core.reading.xlsx import Xlsx
from mediation.core.spec import formats

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
HEADER = "<row r='1'>" + "".join(f"<c t='inlineStr'><is><t>{name}</t></is></c>" for name in ("When", "Qty", "Name"))
HEADER += "</row>"
STYLES = """<styleSheet><numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>
<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>
<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="14"/><xf numFmtId="21"/><xf numFmtId="46"/></cellXfs>
</styleSheet>"""


def relations(*targets: tuple[str, str, str]) -> str:
    inner = "".join(f'<Relationship Id="{id_}" Type="{OFFICE}/{kind}" Target="{path}"/>' for id_, kind, path in targets)
    return f"<Relationships>{inner}</Relationships>"


def book(*rows: str, strings: Sequence[str] = (), head: str = "", is_1904: bool = False, **parts: str) -> bytes:
    """A workbook of one sheet named Usage, made of the XML of its rows."""
    contents = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": relations(("rId1", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f"<workbook xmlns:r='{OFFICE}'><workbookPr date1904='{int(is_1904)}'/><sheets>"
        "<sheet name='Usage' sheetId='1' r:id='rId1'/></sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(
            ("rId1", "worksheet", "/xl/worksheets/sheet1.xml"),
            ("rId2", "sharedStrings", "sharedStrings.xml"),
            ("rId3", "styles", "styles.xml"),
        ),
        "xl/sharedStrings.xml": f"<sst>{''.join(strings)}</sst>",
        "xl/styles.xml": STYLES,
        "xl/worksheets/sheet1.xml": f"{head}<worksheet><sheetData>{''.join(rows)}</sheetData></worksheet>",
        **{name.replace("__", "/"): content for name, content in parts.items()},
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return target.getvalue()


def records(content: bytes, sources: Sequence[str] = ("When", "Qty", "Name"), **value: Any) -> pl.DataFrame:
    faults: list[str] = []
    format_ = formats.xlsx.parse_format({"kind": "xlsx", **value}, "/format", lambda *fault: faults.append(str(fault)))
    assert format_ is not None, faults
    spool = io.BytesIO()
    xlsx.rewrite(io.BytesIO(content), spool, format_, sources)
    text = spool.getvalue()
    _, spans = xlsx.cut([text], sources)
    return pl.concat(
        xlsx.read(text[span.start : span.end], sources, import_id=1, first_number=span.first_number) for span in spans
    )


def cells(row: str, **options: Any) -> list[Any]:
    """What the cells A, B and C of one row say."""
    frame = records(book(f"<row r='1'>{row}</row>", **options), "ABC", columns_by="position")
    return list(frame.select(map(source_column, "ABC")).row(0))


def refusal(content: bytes, **value: Any) -> str:
    with pytest.raises(UnreadableError) as refused:
        records(content, **value)
    return str(refused.value)


def test_a_record_has_the_number_of_its_row():
    frame = records(
        book(HEADER, "<row r='3'><c r='B3'><v>5</v></c></row>", "<row/>", "<row><c r='B5'><v>7</v></c></row>")
    )
    assert frame["record_number"].to_list() == [3, 5]
    assert frame["raw"].to_list() == ['{"Qty":"5"}', '{"Qty":"7"}']
    assert frame["source:When"].to_list() == [None, None]


def test_numbers_keep_the_digits_of_the_file():
    digits = ["0.30000000000000004", "12345678901234567890.5", "-7"]
    assert cells("".join(f"<c><v>{text}</v></c>" for text in digits)) == digits
    assert cells("<c><v>1.5E-7</v></c><c><v>1E+3</v></c><c><v>2e2</v></c>") == ["0.00000015", "1000", "200"]


def test_dates_are_told_by_their_style():
    assert cells("<c s='1'><v>46053.999994212965</v></c><c s='2'><v>46053</v></c><c s='3'><v>0.75</v></c>") == [
        "2026-01-31T23:59:59.500",
        "2026-01-31",
        "18:00:00",
    ]
    assert cells("<c s='4'><v>1.5</v></c><c s='1'><v>59</v></c><c s='0'><v>46053</v></c>") == [
        "36:00:00",
        "1900-02-28T00:00:00",
        "46053",
    ]


def test_days_count_from_1904_where_the_workbook_says_so():
    assert cells("<c s='2'><v>44591</v></c><c s='2'><v>0</v></c>", is_1904=True)[:2] == ["2026-01-31", "1904-01-01"]


def test_texts_are_shared_inline_or_of_formulas():
    shared = ["<si><t>one</t></si>", "<si><r><t>t</t></r><r><t>wo</t></r><rPh><t>XX</t></rPh></si>"]
    assert cells("<c t='s'><v>1</v></c><c t='s'><v>0</v></c><c t='str'><f>A1</f><v>x</v></c>", strings=shared) == [
        "two",
        "one",
        "x",
    ]
    assert cells("<c t='inlineStr'><is><r><t>a</t></r><r><t> b</t></r></is></c><c t='str'><v>_x005F_x0041_</v></c>")[
        :2
    ] == [
        "a b",
        "_x0041_",
    ]


def test_booleans_iso_dates_and_formula_values_are_text():
    assert cells("<c t='b'><v>1</v></c><c t='d'><v>2026-01-31</v></c><c><f>1+1</f><v>2</v></c>") == [
        "true",
        "2026-01-31",
        "2",
    ]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("<c t='e'><v>#DIV/0!</v></c>", "the error #DIV/0!"),
        ("<c><f>1+1</f></c>", "value was not saved"),
        ("<c t='s'><v>9</v></c>", "shared text 9"),
        ("<c s='2'><v>-1</v></c>", "out of range"),
        ("<c s='2'><v>60</v></c>", "no day of the calendar"),
        ("<c s='2'><v>soon</v></c>", "no number"),
        ("<c><v>1E999999999</v></c>", "no number"),
    ],
)
def test_a_cell_with_an_error_spoils_its_record_where_it_is_read(cell, message):
    content = book(HEADER, f"<row><c><v>1</v></c>{cell}</row>", "<row><c><v>1</v></c><c><v>2</v></c></row>")
    frame = records(content)
    assert frame["fault"].to_list() == ["malformed", None]
    assert message in frame["fault_message"][0]
    assert frame["fault_message"][0].startswith("the cell Qty holds ")
    assert records(content, ["When"])["fault"].to_list() == [None, None]


def test_a_text_that_looks_like_an_error_is_a_text():
    text = escape('{"error":"x"}')
    frame = records(book(HEADER, f"<row><c/><c/><c t='str'><v>{text}</v></c></row>"))
    assert frame["fault"].to_list() == [None]
    assert frame["source:Name"].to_list() == ['{"error":"x"}']


def test_rows_that_came_one_by_one_are_read_alike():
    rows = pl.DataFrame({"import_id": [1, 1], "record_number": [1, 2], "raw": ['{"Qty": 5.10}', "x"]})
    frame = xlsx.read_rows(rows, ["Qty"])
    assert frame["source:Qty"].to_list() == ["5.10", None]
    assert frame["fault"].to_list() == [None, "malformed"]


def test_columns_go_by_position_where_there_is_no_header():
    row = "<row r='1'><c><v>1</v></c><c><v>2</v></c><c><v>3</v></c></row>"
    frame = records(book(row), ["a", "C"], columns_by="position", columns=["a", "b"])
    assert frame.select("source:a", "source:C").row(0) == ("1", "3")


def test_a_sheet_is_chosen_by_name_or_number():
    content = book(HEADER, "<row><c><v>1</v></c></row>")
    assert records(content, sheet="Usage").equals(records(content, sheet=1))
    assert refusal(content, sheet="Other") == "The workbook has no sheet 'Other'. It has: Usage."
    assert "no sheet 2" in refusal(content, sheet=2)


def test_a_header_that_lacks_or_repeats_columns_is_refused():
    row = "<row><c><v>1</v></c></row>"
    assert "lacks the columns that the profile reads: Name" in refusal(book(HEADER.replace("Name", "Nom"), row))
    assert "names a column twice: Qty" in refusal(book(HEADER.replace("Name", "Qty"), row))
    assert "holds a header and no records" in refusal(book(HEADER))
    assert "nothing in row 1" in refusal(book("<row r='2'><c><v>1</v></c></row>"))
    assert "nothing in row 1" in refusal(book())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["<row r='3'><c><v>1</v></c></row>", "<row r='2'><c><v>1</v></c></row>"],
            "Row 2 of the sheet stands below row 3",
        ),
        (["<row r='2'><c r='B2'><v>1</v></c><c r='A2'><v>1</v></c></row>"], "cell A2 of row 2"),
        (["<row r='2'><c r='A9'><v>1</v></c></row>"], "cell A9 of row 2"),
        (["<row r='2'><c r='XFE2'><v>1</v></c></row>"], "cell XFE2 of row 2"),
        (["<row r='1048577'><c><v>1</v></c></row>"], "Row 1,048,577"),
        (["<row r='2'>", "<c>"], "is broken at line 1"),
        (["<row>" + "<c/>" * 20_000 + "</row>"], "cell XFE of row 2"),
    ],
)
def test_cells_that_stand_where_none_can_are_refused(rows, message):
    assert message in refusal(book(HEADER, *rows))


def test_document_types_are_refused_in_every_part():
    bomb = "<!DOCTYPE a [<!ENTITY a 'aaaa'>]>"
    assert "document type" in refusal(book(HEADER, head=bomb))
    for part in ("xl__workbook.xml", "xl__styles.xml", "xl__sharedStrings.xml", "_rels__.rels"):
        assert "document type" in refusal(book(HEADER, **{part: bomb + "<a/>"}))


def test_what_is_no_workbook_is_refused():
    assert "old .xls" in refusal(b"\xd0\xcf\x11\xe0" + b"\0" * 512)
    assert "no .xlsx workbook" in refusal(b"a,b\n")
    assert "empty" in refusal(b"")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("../../etc/passwd", "x")
    assert "lacks _rels/.rels" in refusal(target.getvalue())
    content = book(HEADER, _rels__x="")
    assert "cannot be opened" in refusal(content[:-30])
    up = relations(("rId1", "officeDocument", "../../../../etc/passwd.xml"))
    assert "lacks etc/_rels/passwd.xml.rels" in refusal(book(HEADER, **{"_rels__.rels": up}))


@pytest.mark.parametrize(
    ("begins", "repeated", "times"),
    [("", " ", 300 << 20), ("<row><c t='str'><v>", "x", 300 << 20), ("", "<row/>", 20 << 20)],
    ids=["spaces", "text", "rows"],
)
def test_a_bomb_is_refused_soon_and_in_little_memory(begins, repeated, times):
    content = book(HEADER, begins + repeated * times)
    tracemalloc.start()
    started = time.process_time()
    assert "bomb" in refusal(content)
    assert time.process_time() - started < 2
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_texts_that_fill_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr(workbook, "MAX_STRINGS", 10)
    assert "too much text" in refusal(book(HEADER, strings=["<si><t>x</t></si>"] * 11))
    monkeypatch.setattr(workbook, "MAX_STILL_BYTES", 1_000)
    noise = " ".join(f"<x{number}/>" for number in range(30_000))
    assert "too much text" in refusal(book(HEADER, strings=[noise]))
    assert "too large" in refusal(book(HEADER, noise))


def test_number_formats_are_told_apart():
    dates = ["yyyy-mm-dd", "m/d/yy", "dd.mm.yyyy;@", "[$-409]mmmm yy", "mmm"]
    moments = ["yyyy-mm-dd hh:mm:ss", "d/m h:mm AM/PM", '"at" dd hh"h"']
    times = ["hh:mm", "h:mm AM/PM", "mm:ss.0"]
    numbers = ["General", "0.00", "#,##0", '0 "days"', "[Red]0.0", "0%", "0.00E+00", "@", "_-* #,##0", "\\d0"]
    for kind, codes in (("date", dates), ("moment", moments), ("time", times), ("elapsed", ["[h]:mm", "[mm]:ss"])):
        assert [kind_of_format(code) for code in codes] == [kind] * len(codes)
    assert [kind_of_format(code) for code in numbers] == [None] * len(numbers)


def test_columns_have_letters():
    assert [column_letters(place) for place in (0, 25, 26, 701, 702, 16_383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]
    assert all(column_place(column_letters(place)) == place for place in range(16_384))


def test_a_format_names_every_fault():
    faults: list[str] = []
    for value in (
        {"sheet": 0},
        {"sheet": True},
        {"columns_by": "x"},
        {"header_rows": 0},
        {"header_rows": 101},
        {"columns": ["a"]},
        {"columns_by": "position", "columns": ["a", "a"]},
        {"tab": 1},
    ):
        assert (
            formats.xlsx.parse_format({"kind": "xlsx", **value}, "/format", lambda place, _: faults.append(place))
            is None
        )
    names = ["sheet", "sheet", "columns_by", "header_rows", "header_rows", "columns", "columns", "tab"]
    assert faults == [f"/format/{name}" for name in names]
    assert formats.xlsx.parse_format({"kind": "xlsx"}, "/format", lambda *_: None) == Xlsx()


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=9))
def test_a_number_with_an_exponent_stays_what_it_is(number):
    assert Decimal(text_of_number(f"{number:e}")) == number


@given(st.integers(61, 2_958_465), st.integers(0, 86_399_999))
def test_moments_are_exact_to_the_millisecond(days, milliseconds):
    text = text_of_serial(str(Decimal(days) + Decimal(milliseconds) / 86_400_000), "moment", is_1904=False)
    frame = pl.Series([text]).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f")
    since = frame.dt.epoch("ms").item() - (days - 25_569) * 86_400_000
    assert since == milliseconds


SMALL = book(
    HEADER, "<row><c s='1'><v>46053.5</v></c><c><v>5</v></c><c t='s'><v>0</v></c></row>", strings=["<si><t>x</t></si>"]
)


@settings(max_examples=400, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_a_changed_or_cut_workbook_is_refused_or_read_and_never_crashes(changes, kept):
    content = bytearray(SMALL)
    for place, value in changes:
        content[place % len(content)] = value
    try:
        frame = records(bytes(content[: int(len(content) * kept)]))
    except UnreadableError as error:
        assert str(error).endswith(".")  # noqa: PT017
        return
    assert frame.height == 1


PIECES = [
    "<row>",
    "</row>",
    "<c>",
    "</c>",
    "<c t='s'>",
    "<c r='B2'>",
    "<v>",
    "</v>",
    "<f/>",
    "<is><t>",
    "</t></is>",
    "1",
    "x",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=20))
def test_any_rows_are_refused_or_read(pieces):
    with contextlib.suppress(UnreadableError):
        records(book(HEADER, "".join(pieces)))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])), max_size=3), max_size=5)
)
def test_every_row_with_anything_in_it_is_a_record(rows):
    xml = ["<row>" + "".join(f"<c t='str'><v>{escape(text)}</v></c>" for text in row) + "</row>" for row in rows]
    expected = [row for row in rows if any(row)]
    try:
        frame = records(book(HEADER, *xml))
    except UnreadableError:
        assert not expected
        return
    assert frame.height == len(expected)
    assert frame.select("source:When", "source:Qty", "source:Name").rows() == [
        tuple((*[text or None for text in row], None, None, None)[:3]) for row in expected
    ]


def test_columns_without_names_are_named_in_a_moment():
    names = xlsx._Names(Xlsx(), [])
    started = time.process_time()
    names.take_header([(0, "B"), (1, "column C")])
    assert [names.name(place) for place in range(4)] == ["B", "column C", "C", "D"]
    assert len({names.name(place) for place in range(1 << 14)}) == 1 << 14
    assert time.process_time() - started < 1
