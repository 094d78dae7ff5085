"""Meter data: intervals as records, the rows that speak of others, and files whose shape is broken."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.reading import nem
from mediation.core.reading.frames import UnreadableError, source_column
from mediation.core.spec import formats

HOURS = ",".join(f"{hour}.5" for hour in range(24))
METER = "200,NMI0000001,E1Q1,1,E1,N1,METER1,kWh,60,"
DAY = f"300,20260131,{HOURS},A,,,20260201120000,"
NEM12 = f"100,NEM12,202602010000,MDP1,Ret1\n{METER}\n{DAY}\n900\n"


def file_of(*rows: str, version: str = "NEM12") -> bytes:
    return "\r\n".join([f"100,{version},202602010000,MDP1,Ret1", *rows, "900", ""]).encode()


def records(content: bytes, block: int = 1 << 16) -> pl.DataFrame:
    blocks = [content[place : place + block] for place in range(0, len(content), block)]
    above, spans = nem.cut(blocks)
    return pl.concat(
        [
            nem.read(
                content[span.start : span.end], nem.NAMES, import_id=1, first_number=span.first_number, above=above
            )
            for span in list(spans)
        ]
    )


def fields(frame: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return frame.select("record_number", *map(source_column, names)).rows()


def refusal(content: bytes) -> str:
    with pytest.raises(UnreadableError) as refused:
        records(content)
    return str(refused.value)


@pytest.mark.parametrize("block", [1, 13, 1 << 16])
def test_each_interval_is_a_record_with_its_place_in_the_day(block):
    frame = records(NEM12.encode(), block)
    assert frame.height == 24
    names = ("NMI", "NMISuffix", "IntervalStart", "IntervalEnd", "IntervalNumber", "Value", "QualityMethod")
    rows = fields(frame, *names)
    first = ("NMI0000001", "E1", "2026-01-31T00:00:00+10:00", "2026-01-31T01:00:00+10:00", "1", "0.5", "A")
    last = ("NMI0000001", "E1", "2026-01-31T23:00:00+10:00", "2026-02-01T00:00:00+10:00", "24", "23.5", "A")
    assert rows[0] == (3001, *first)
    assert rows[-1] == (3024, *last)


def test_a_record_keeps_its_fields_as_text_and_is_read_from_it_again():
    frame = records(NEM12.encode())
    again = nem.read_rows(frame.select("import_id", "record_number", "raw"), nem.NAMES)
    assert again.drop("raw").equals(frame.drop("raw"))


def test_rows_of_quality_speak_of_their_intervals():
    varied = DAY.replace(",A,,,", ",V,,,")
    frame = records(file_of(METER, varied, "400,1,20,F14,76,Site access", "400,21,24,A,,"))
    told = frame["source:QualityMethod"].to_list()
    assert told == ["F14"] * 20 + ["A"] * 4
    assert frame["source:ReasonCode"].to_list() == ["76"] * 20 + [None] * 4
    assert frame["source:ReasonDescription"][0] == "Site access"


def test_an_interval_whose_quality_nobody_says_is_an_exception():
    frame = records(file_of(METER, DAY.replace(",A,,,", ",V,,,"), "400,1,20,A,,"))
    assert frame["fault"].to_list() == [None] * 20 + ["missing_value"] * 4


@pytest.mark.parametrize("row", ["400,2,24,A,,", "400,1,25,A,,", "400,1,x,A,,", "400,5,1,A,,", "400,1,24,V,,", "400"])
def test_a_wrong_row_of_quality_makes_its_day_an_exception(row):
    frame = records(file_of(METER, DAY.replace(",A,,,", ",V,,,"), row, DAY))
    assert frame["fault"].to_list() == ["malformed", *[None] * 24]
    assert frame["record_number"].to_list()[:2] == [3000, 5001]
    assert row in frame["raw"][0]


@pytest.mark.parametrize(
    ("day", "code"),
    [
        ("300,20260131,V,,,20260201120000,", "too_few_columns"),
        (DAY.replace("0.5,", "", 1), "too_few_columns"),
        (DAY + ",,", "too_many_columns"),
        (DAY.replace("20260131", "20260132"), "bad_date"),
        (DAY.replace("20260131", "2026-1-1"), "bad_date"),
        ("300", "bad_date"),
    ],
)
def test_a_day_that_is_not_complete_is_one_exception_and_its_neighbours_are_read(day, code):
    frame = records(file_of(METER, DAY, day, DAY))
    assert frame.height == 49
    assert frame.filter(pl.col("fault").is_not_null()).select("record_number", "raw", "fault").rows() == [
        (4000, day, code)
    ]


def test_the_days_below_a_wrong_meter_row_are_exceptions():
    frame = records(file_of(METER.replace(",60,", ",7,"), DAY, METER, DAY))
    assert frame["record_number"].to_list()[:3] == [2000, 3000, 5001]
    assert "line 2" in frame["fault_message"][1]


def test_register_reads_are_one_record_each():
    row = (
        "250,NMI1,11,1,11,11,METER1,E,006342.8,20031005093055,A,,,"
        "007654.9,20040107100333,S51,32,,1312.1,kWh,20040407,20040108100333,"
    )
    frame = records(file_of(row, "550,N,,A,", row.replace("20031005093055", "x"), version="NEM13"))
    assert frame["record_number"].to_list() == [2000, 4000]
    assert frame["fault"].to_list() == [None, "bad_date"]
    names = ("IntervalStart", "IntervalEnd", "Value", "QualityMethod", "PreviousRegisterRead", "UOM")
    start, end = "2003-10-05T09:30:55+10:00", "2004-01-07T10:03:33+10:00"
    assert fields(frame, *names)[0] == (2000, start, end, "1312.1", "S51", "006342.8", "kWh")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n" + METER.encode(), "no 100 row"),
        (NEM12.removesuffix("900\n").encode(), "no 900 row"),
        (NEM12.encode() + DAY.encode(), "Line 5 follows the 900 row"),
        (file_of(METER, version="NEM99"), "says version 'NEM99'"),
        (file_of(DAY), "Line 2: a 300 row cannot stand below a 100 row"),
        (file_of(METER, "400,1,24,A,,"), "a 400 row cannot stand below a 200 row"),
        (file_of(METER, "700,x"), "Line 3 starts with '700'"),
        (file_of(METER, DAY, version="NEM13"), "Line 2 starts with '200', which is no row of NEM13"),
        (file_of(), "no meter data"),
        (b"100,NEM12," + b"x" * (2 << 20), "longer than 1 MiB"),
    ],
)
def test_a_file_whose_shape_is_broken_fails_as_a_whole(content, message):
    assert message in refusal(content)


def test_bytes_that_are_no_text_spoil_their_day():
    day = DAY.encode().replace(b"0.5,", b"0.\xff,", 1)
    frame = records(file_of(METER, "@", DAY).replace(b"@", day))
    assert frame["fault"].to_list() == ["undecodable", *[None] * 24]
    assert records(file_of(METER, DAY.replace("0.5", "\0", 1)))["fault"].to_list() == ["control_character"]


def test_days_that_are_cut_from_their_meter_row_still_know_it(monkeypatch):
    monkeypatch.setattr(nem, "CHUNK_RECORDS", 48)
    days = [DAY.replace("20260131", (date(2026, 1, 1) + timedelta(day)).strftime("%Y%m%d")) for day in range(9)]
    content = file_of(METER, *days, METER.replace("NMI0000001", "NMI2"), *days)
    above, spans = nem.cut([content])
    assert len(list(spans)) > 5
    assert {row.partition(":")[0] for row in above} == {"2", "12"}
    frame = records(content)
    assert frame.height == 18 * 24
    assert frame["source:NMI"].to_list() == ["NMI0000001"] * 216 + ["NMI2"] * 216
    assert frame["fault"].null_count() == frame.height
    assert frame["record_number"].is_unique().all()


def test_a_format_leaves_nothing_to_choose():
    faults: list[str] = []
    assert formats.nem.parse_format({"kind": "nem"}, "/format", lambda place, _: faults.append(place)) is not None
    assert formats.nem.parse_format({"kind": "nem", "x": 1}, "/format", lambda place, _: faults.append(place)) is None
    assert faults == ["/format/x"]
    assert formats.nem.fault_of_source("NMI") is None
    assert "is no field" in str(formats.nem.fault_of_source("nmi"))


def test_values_add_up():
    values = records(NEM12.encode())["source:Value"].to_list()
    assert sum(map(Decimal, values)) == Decimal(288)


@settings(max_examples=500, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 255)), max_size=4),
    kept=st.floats(0.5, 1),
    block=st.integers(1, 200),
)
def test_a_changed_or_cut_file_is_refused_or_every_row_of_it_is_accounted_for(changes, kept, block):
    content = bytearray(
        file_of(METER, DAY, DAY.replace(",A,,,", ",V,,,"), "400,1,20,F14,76,", "400,21,24,A,,", METER, DAY)
    )
    for place, value in changes:
        content[place % len(content)] = value
    content = content[: int(len(content) * kept)]
    try:
        frame = records(bytes(content), block)
    except UnreadableError as error:
        assert str(error).endswith((".", "?"))  # noqa: PT017
        return
    days = [place for place, row in enumerate(bytes(content).split(b"\n"), start=1) if row.strip().startswith(b"300")]
    assert set(days) <= {number // 1_000 for number in frame["record_number"].to_list()}
    for _, day in frame.filter(pl.col("record_number") % 1_000 > 0).group_by(pl.col("record_number") // 1_000):
        assert day.height in (24, 288, 144, 96, 72, 48, 36, 32, 16, 160, 240, 20, 12, 120)
    assert frame["record_number"].is_unique().all()


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(content):
    try:
        records(b"100,NEM12\n200" + content + b"\n900")
        nem.read(content, ["NMI"], import_id=1, first_number=1_000)
    except UnreadableError:
        pass
