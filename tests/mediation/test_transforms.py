"""Transforms: what each does to texts, which texts it cannot take, and what a profile may not say."""

from datetime import UTC, datetime
from decimal import Decimal, localcontext

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.frames import MOMENT
from mediation.core.lookups import LOOKUP_ROWS, build_table
from mediation.core.transforms import (
    AnySource,
    Around,
    Scope,
    Tables,
    Unit,
    parse_choose,
    parse_combine,
    parse_formula_head,
    parse_transforms,
    run_chain,
)

UNITS = {
    "KB": Unit("KB", "data", Decimal(1000)),
    "KiB": Unit("KiB", "data", Decimal(1024)),
    "ms": Unit("ms", "time", Decimal("0.001")),
    "bit": Unit("bit", "data", Decimal("0.125")),
}


def scope(faults, **others):
    return Scope(lambda at, what: faults.append((at, what)), AnySource(), date_fields=("Date",), **others)


def ran(texts, *transforms, tables=None, signs=(".", ""), **sources):
    faults = []
    own = scope(faults, decimal_sign=signs[0], group_sign=signs[1])
    chain = parse_transforms(list(transforms), "/t", own)
    assert not faults, faults
    columns = {f"source:{name}": values for name, values in sources.items() if name != "Date"}
    records = pl.DataFrame({"record_number": range(len(texts)), **columns})
    if "Date" in sources:
        records = records.with_columns(pl.Series("typed:Date", sources["Date"], dtype=MOMENT))
    text = pl.Series(texts, dtype=pl.String)
    return run_chain(chain, text, Around(records, tables or Tables(units=UNITS)))


def texts_after(texts, *transforms, **others):
    result = ran(texts, *transforms, **others)
    assert result.faults.is_empty(), result.faults
    return result.text.to_list()


def faults_after(texts, *transforms, **others):
    return [(place, code) for place, code, _ in ran(texts, *transforms, **others).faults.iter_rows()]


def faults_of(*transforms):
    faults = []
    parse_transforms(list(transforms), "/t", scope(faults))
    return faults


@pytest.mark.parametrize(
    ("transform", "before", "after"),
    [
        ({"trim": "both"}, "  a b ", "a b"),
        ({"trim": {"side": "left", "characters": "0"}}, "0070", "70"),
        ({"trim": {"side": "right", "characters": "0"}}, "0070", "007"),
        ({"trim": {"characters": "0"}}, "000", None),
        ({"case": "upper"}, "straße", "STRASSE"),
        ({"case": "lower"}, "ABC", "abc"),
        ({"case": "title"}, "new york", "New York"),
        ({"substitute": {"find": ".", "replace": ","}}, "1.5.2", "1,5,2"),
        ({"substitute": {"find": "x", "replace": ""}}, "x", None),
        ({"regex": {"pattern": r"id=(\d+)"}}, "a id=42 id=43", "42"),
        ({"regex": {"pattern": r"(\w+)@(\w+)", "group": 2}}, "me@here", "here"),
        ({"regex": {"pattern": r"\d+", "group": 0}}, "ab12", "12"),
        ({"regex": "abc"}, "xxabcxx", "abc"),
        ({"regex": r"\d+"}, "none", None),
        ({"regex": {"pattern": r"(\d)(\d)", "replace": r"\2\1"}}, "1234", "2143"),
        ({"regex": {"pattern": r"\d", "replace": "$", "all": False}}, "12", "$2"),
        ({"regex": {"pattern": ".", "replace": "x"}}, "ab", "xx"),
        ({"pad": {"length": 5}}, "42", "00042"),
        ({"pad": {"length": 4, "with": "x", "side": "right"}}, "42", "42xx"),
        ({"pad": 2}, "12345", "12345"),
        ({"slice": {"from": 2, "length": 3}}, "abcdef", "bcd"),
        ({"slice": {"from": -2}}, "žluť", "uť"),
        ({"slice": {"from": 9}}, "abc", None),
        ({"split": {"delimiter": ";", "part": 2}}, "a;b;c", "b"),
        ({"split": {"delimiter": ";", "part": -1}}, "a;b;c", "c"),
        ({"split": {"delimiter": ";", "part": 4}}, "a;b;c", None),
        ({"split": {"delimiter": ";", "part": 2}}, "a;;c", None),
        ({"date": "%d.%m.%Y %H:%M"}, "24.12.2026 18:30", "2026-12-24T18:30:00.000000"),
        ({"date": ["%Y%m%d", "%d/%m/%y"]}, "24/12/26", "2026-12-24T00:00:00.000000"),
        ({"date": "iso"}, "2026-12-24T18:30+01:00", "2026-12-24T18:30:00.000000+01:00"),
        ({"date": "epoch"}, "0", "1970-01-01T00:00:00.000000+00:00"),
        ({"time": "clock"}, "23:59:59", "86399"),
        ({"time": "clock"}, "0730", "27000"),
        ({"time": "clock"}, "073001", "27001"),
        ({"time": "clock"}, "7:30", "27000"),
        ({"time": "clock"}, "00:00:01.250", "1.250"),
        ({"time": "duration"}, "100:00:01", "360001"),
        ({"time": "duration"}, "90:00", "5400"),
        ({"time": "duration"}, "0:01.5", "1.5"),
        ({"map": {"values": {"a": "A"}}}, "a", "A"),
        ({"map": {"values": {"a": "A"}, "otherwise": "keep"}}, "b", "b"),
        ({"map": {"values": {"a": "A"}, "otherwise": "null"}}, "b", None),
        ({"map": {"values": {}, "otherwise": {"text": "other"}}}, "b", "other"),
        ({"phone": "AT"}, "0660 1234567", "+436601234567"),
        ({"phone": "AT"}, "0043 (0)1 23456", "+43123456"),
        ({"phone": {}}, "+1 (201) 555-0123", "+12015550123"),
        ({"phone": {"region": "AT", "otherwise": "keep"}}, "HELPDESK", "HELPDESK"),
        ({"unit": "KB"}, "1.5", "1500"),
        ({"unit": "KiB"}, "0.001", "1.024"),
        ({"unit": "ms"}, "1", "0.001"),
        ({"unit": "KB"}, "-0", "0"),
        ({"formula": "CAST(this AS DECIMAL(9, 2)) * 2"}, "1.25", "2.50"),
        ({"formula": "this || '-' || CAST(1 = 1 AS TEXT)"}, "a", "a-true"),
    ],
)
def test_each_transform_makes_of_a_text(transform, before, after):
    assert texts_after([before, None], transform) == [after, None]


@pytest.mark.parametrize(
    ("transform", "text", "code"),
    [
        ({"date": "%d.%m.%Y"}, "31.02.2026", "bad_date"),
        ({"time": "clock"}, "24:00:00", "bad_time"),
        ({"time": "clock"}, "2360", "bad_time"),
        ({"time": "duration"}, "1:60", "bad_time"),
        ({"time": "duration"}, "-1:00", "bad_time"),
        ({"map": {"values": {"a": "A"}}}, "b", "unmapped_value"),
        ({"lookup": {"table": "none", "give": "zone"}}, "b", "lookup_failed"),
        ({"phone": "AT"}, "12", "bad_phone_number"),
        ({"phone": {}}, "0660 1234567", "bad_phone_number"),
        ({"phone": "AT"}, "0660 1234567 ext. 5", "bad_phone_number"),
        ({"phone": {"region": "US", "check": "valid"}}, "+1 555 123 4567", "bad_phone_number"),
        ({"unit": "KB"}, "1,5", "bad_number"),
        ({"unit": "KB"}, "0.0000000000001", "bad_number"),
        ({"unit": "KB"}, "999999999999999", "bad_number"),
        ({"unit": "MB"}, "1", "unknown_unit"),
        ({"formula": {"expression": "CAST(CAST(this AS INTEGER) AS TEXT)", "otherwise": "fault"}}, "x", "bad_formula"),
    ],
)
def test_a_text_that_a_transform_cannot_take_is_a_fault_of_its_record(transform, text, code):
    result = ran([None, text], transform)
    assert result.text.to_list() == [None, None]
    assert [(place, name) for place, name, _ in result.faults.iter_rows()] == [(1, code)]
    assert text in result.faults["message"][0] or code == "unknown_unit"


def test_transforms_run_in_their_order_and_a_fault_is_told_once():
    chain = [{"substitute": {"find": "/", "replace": "."}}, {"date": "%d.%m.%Y"}, {"slice": {"from": 1, "length": 10}}]
    result = ran(["24/12/2026", "99/99/2026"], *chain, {"date": "iso"})
    assert result.text.to_list() == ["2026-12-24T00:00:00.000000", None]
    assert result.faults.height == 1


def test_a_condition_sends_each_record_down_its_chain():
    chain = {"conditional": {"if": "Op = 'GET' AND this LIKE '1%'", "then": [{"pad": 4}], "else": [{"case": "upper"}]}}
    assert texts_after(["1a", "2a", "1b", None], chain, Op=["GET", "GET", None, "GET"]) == ["001a", "2A", "1B", None]


def test_only_the_chain_that_a_record_takes_can_fault_it():
    chain = {"conditional": {"if": "Kind = 'phone'", "then": [{"phone": "AT"}], "else": [{"time": "clock"}]}}
    assert faults_after(["0660 1234567", "x", "x"], chain, Kind=["phone", "phone", "time"]) == [
        (1, "bad_phone_number"),
        (2, "bad_time"),
    ]


def table(kind, **columns):
    height = len(next(iter(columns.values())))
    rows = {name: columns.get(name, [None] * height) for name in LOOKUP_ROWS} | {"line": range(1, height + 1)}
    values = {name: texts for name, texts in columns.items() if name.startswith("value:")}
    return build_table(
        kind, pl.DataFrame(rows, schema=LOOKUP_ROWS).with_columns(**{k: pl.Series(v) for k, v in values.items()})
    )


def test_a_lookup_gives_the_column_of_the_row_that_is_valid_at_the_records_date():
    may, june = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    zones = table(
        "prefix",
        key=["43", "43", "431"],
        valid_from=[None, june, may],
        valid_to=[june, None, june],
        **{"value:zone": ["old", "new", "Vienna"]},
    )
    look = {"lookup": {"table": "zones", "give": "zone", "otherwise": "null"}}
    dates = [datetime(2026, 4, 1, tzinfo=UTC), may, june, june, None]
    found = texts_after(["4312", "4312", "4312", "49", "43"], look, tables=Tables({"zones": zones}), Date=dates)
    assert found == ["old", "Vienna", "new", None, None]


def test_a_unit_may_be_named_by_the_record():
    unit = {"unit": {"from_source": "u"}}
    assert texts_after(["1.5", "8", "2"], unit, u=["KB", " bit ", "ms"]) == ["1500", "1", "0.002"]
    assert faults_after(["1", "1", "x"], unit, u=["GB", None, "KB"]) == [
        (0, "unknown_unit"),
        (1, "unknown_unit"),
        (2, "bad_number"),
    ]


def test_a_unit_reads_and_writes_the_signs_of_its_field():
    assert texts_after(["1.234,5"], {"unit": "KiB"}, signs=(",", ".")) == ["1264128"]
    assert texts_after(["1,0001"], {"unit": "KB"}, signs=(",", "")) == ["1000,1"]
    assert faults_after(["1.5"], {"unit": "KB"}, signs=(",", "")) == [(0, "bad_number")]
    assert faults_after(["1,5"], {"unit": "KB"}, signs=(".", ",")) == [(0, "bad_number")]


@settings(deadline=None)
@given(
    st.decimals(-(10**12), 10**12, places=6),
    st.decimals("0.000000001", 10**6, places=9).filter(lambda multiplier: multiplier > 0),
)
def test_a_product_with_a_unit_is_exact_or_a_fault(quantity, multiplier):
    result = ran([f"{quantity:f}"], {"unit": "u"}, tables=Tables(units={"u": Unit("u", "data", multiplier)}))
    with localcontext(prec=60):
        exact = quantity * multiplier
    if abs(exact) < 10**17 - 10**7 or result.faults.is_empty():
        assert Decimal(result.text[0]) == exact


@pytest.mark.parametrize(
    ("transform", "place", "words"),
    [
        ("upper", "/t/0", "must be one transform"),
        ({"upper": {}}, "/t/0", "known are trim"),
        ({"case": "UPPER"}, "/t/0/case/to", "must be one of"),
        ({"case": {}}, "/t/0/case/to", "must be one of"),
        ({"trim": {"sides": "left"}}, "/t/0/trim/sides", "is not known here"),
        ({"regex": "(a"}, "/t/0/regex/pattern", "no regular expression"),
        ({"regex": r"(a)\1"}, "/t/0/regex/pattern", "no regular expression"),
        ({"regex": {"pattern": "(a)", "group": 2}}, "/t/0/regex/group", "from 0 to 1"),
        ({"regex": {"pattern": "(a)", "replace": r"\2"}}, "/t/0/regex/replace", "no group 2"),
        ({"regex": {"pattern": "(a)", "replace": "x", "group": 1}}, "/t/0/regex/group", "is not known here"),
        ({"substitute": {"find": "", "replace": "a"}}, "/t/0/substitute/find", "must be a text"),
        ({"pad": {"length": 10_000}}, "/t/0/pad/length", "from 1 to 1,000"),
        ({"slice": {"from": 0}}, "/t/0/slice/from", "counts from 1"),
        ({"split": {"delimiter": ";", "part": 0}}, "/t/0/split/part", "counts from 1"),
        ({"date": "%d.%m"}, "/t/0/date/formats", "does not name the day"),
        ({"date": []}, "/t/0/date/formats", "list of 1 to"),
        ({"map": {"values": {"a": 1}}}, "/t/0/map/values", "object of at most"),
        ({"map": {"values": {}, "otherwise": "skip"}}, "/t/0/map/otherwise", "must be fault, null, keep"),
        ({"lookup": {"table": "t"}}, "/t/0/lookup/give", "must be a text"),
        ({"lookup": {"table": "t", "give": "c", "at": "Value"}}, "/t/0/lookup/at", "must be one of Date"),
        ({"phone": "at"}, "/t/0/phone/region", "no country code"),
        ({"unit": {}}, "/t/0/unit", "needs either from"),
        ({"formula": "this +"}, "/t/0/formula/expression", "at characters"),
        ({"conditional": {"if": "Op || 'a'", "then": []}}, "/t/0/conditional/if", "true or false is needed"),
        ({"conditional": {"if": "1 = 1"}}, "/t/0/conditional", "needs then or else"),
        ({"conditional": {"if": "1 = 1", "then": [{"x": 1}]}}, "/t/0/conditional/then/0", "must be one transform"),
    ],
)
def test_a_transform_that_cannot_run_is_refused_at_its_place(transform, place, words):
    (at, what), *_ = faults_of(transform)
    assert at == place
    assert words in what


def test_conditions_do_not_nest_without_end():
    chain = {"conditional": {"if": "1 = 1", "then": []}}
    for _ in range(5):
        chain = {"conditional": {"if": "1 = 1", "then": [chain]}}
    assert "more than 4 conditions" in faults_of(chain)[0][1]


def test_transforms_name_the_source_fields_that_they_read():
    faults = []
    chain = parse_transforms(
        [{"unit": {"from_source": "u"}}, {"conditional": {"if": "Op = this", "then": [{"formula": "this || b"}]}}],
        "/t",
        scope(faults),
    )
    assert not faults
    assert frozenset().union(*(step.sources for step in chain)) == {"u", "Op", "b"}


# Heads


def head_texts(parse, value, trim=True, null_texts=(), **sources):
    faults = []
    head = parse(value, "/h", scope(faults))
    assert not faults, faults
    records = pl.DataFrame({f"source:{name}": values for name, values in sources.items()})
    assert head.sources <= sources.keys()
    return head.text(Around(records, Tables()), trim=trim, null_texts=null_texts).to_list()


def test_the_first_case_whose_condition_holds_gives_the_source():
    cases = [{"when": "Op = 'GET'", "source": "a"}, {"when": "Op = 'PUT'", "literal": "put"}, {"source": "b"}]
    texts = head_texts(
        parse_choose, cases, a=["1 ", "1", "-"], b=["2", "2", "2"], Op=["GET", None, "GET"], null_texts=("-",)
    )
    assert texts == ["1", "2", None]


def test_no_case_that_holds_gives_nothing():
    assert head_texts(parse_choose, [{"when": "Op = 'GET'", "source": "a"}], a=["1"], Op=["POST"]) == [None]


def test_sources_are_combined_without_their_empty_ones():
    together = {"sources": ["a", "b", "a"], "separator": "-"}
    texts = head_texts(parse_combine, together, a=["1", " ", None], b=["x ", "y", ""])
    assert texts == ["1-x-1", "y", None]
    texts = head_texts(parse_combine, together | {"skip_empty": False}, a=["1", " ", None], b=["x", "y", ""])
    assert texts == ["1-x-1", "-y-", None]


def test_a_formula_over_source_fields_is_written_as_text():
    formula = "CAST(up AS DECIMAL(18, 3)) + CAST(down AS DECIMAL(18, 3))"
    assert head_texts(parse_formula_head, formula, up=["1.5", "x"], down=["2", "1"]) == ["3.500", None]
    assert head_texts(parse_formula_head, "'a'", up=["1", "2"]) == ["a", "a"]
    moment = "CAST(d AS TIMESTAMP) + INTERVAL '1' HOUR"
    assert head_texts(parse_formula_head, moment, d=["2026-05-01"]) == ["2026-05-01T01:00:00.000000Z"]


def test_faults_of_heads_name_their_place():
    faults = []
    parse_choose([{"source": "a"}, {"when": "Op =", "source": "b", "literal": "c"}], "/h", scope(faults))
    parse_combine({"sources": []}, "/h", scope(faults))
    parse_formula_head("1 +", "/h", scope(faults, decimal_sign=","))
    assert {at for at, _ in faults} == {"/h/0", "/h/1", "/h/1/when", "/h/sources", "/h"}
