"""Record structure: types of records, control totals, and rows that make one record together."""

from decimal import Decimal
from itertools import pairwise, permutations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.expressions import TEXT
from mediation.core.reading import delimited
from mediation.core.reading.frames import RAW, UnreadableError, source_column
from mediation.core.spec import Delimited
from mediation.core.structure import condition_reader, parse_structure, row_sources
from mediation.core.structure.combining import combine
from mediation.core.structure.controls import exact_sum
from mediation.core.structure.marking import mark_parts
from mediation.core.structure.rows import StructuredFormat, read_structured, scan_structured
from mediation.core.structure.telling import file_fields_frame, kinds_of, set_aside

FORMAT = Delimited(columns=("type", "caller", "amount"))
TYPES = {"column": 1, "header": ["H"], "trailer": ["T"], "detail": ["D"]}
TOTALS = {
    "record_types": TYPES,
    "header_columns": ["type", "created"],
    "trailer_columns": ["type", "count", "total"],
    "controls": [{"kind": "count", "field": "count"}, {"kind": "sum", "field": "total", "of": "amount"}],
}


FIELDS = dict.fromkeys(["CallId", "Event", "Time", "Octets", "Number", "Last", "kind", "Caller", "f"], TEXT)


def faults_of(document, *, is_text=True, is_delimited=True):
    faults = []

    def fault(pointer, message):
        faults.append((pointer, message))

    structure = parse_structure(
        document,
        "/structure",
        fault,
        read_condition=condition_reader(FIELDS, fault),
        is_text=is_text,
        is_delimited=is_delimited,
    )
    assert (structure is None) == bool(faults)
    return structure if structure else faults


def structure_of(document, **options):
    structure = faults_of(document, **options)
    assert not isinstance(structure, list), structure
    return structure


def raw(*lines, import_id=1, first=1):
    rows = [(import_id, number, line, None, None) for number, line in enumerate(lines, start=first)]
    return pl.DataFrame(rows, schema=RAW, orient="row")


# Record types


def test_records_are_told_apart_by_a_column():
    types = structure_of({"record_types": TYPES}).record_types
    rows = raw("H,2026", 'D,"a,b",1', "T,1", '"D",b,2', "X,1")
    kinds = kinds_of(rows, types, delimiter=",", quote='"')
    assert kinds.to_list() == ["header", "detail", "trailer", "detail", None]


def test_a_column_is_found_behind_quoted_delimiters():
    types = structure_of({"record_types": {"column": 2, "trailer": ["T"]}}).record_types
    rows = raw('"a,T,""x",D', '"a,D","T",1', "one")
    assert kinds_of(rows, types, delimiter=",", quote='"').to_list() == ["detail", "trailer", "detail"]


def test_records_are_told_apart_by_their_first_characters():
    document = {"record_types": {"position": 1, "width": 2, "header": ["01"], "trailer": ["99"]}}
    types = structure_of(document, is_delimited=False).record_types
    assert kinds_of(raw("01x", "02y", "99"), types).to_list() == ["header", "detail", "trailer"]


def test_records_are_told_apart_by_an_expression():
    document = {"record_types": {"when": {"trailer": "kind = 'sum'"}}}
    types = structure_of(document, is_text=False, is_delimited=False).record_types
    rows = raw("{}", "{}").with_columns(pl.Series("source:kind", ["call", "sum"]))
    assert kinds_of(rows, types).to_list() == ["detail", "trailer"]


def test_header_and_trailer_are_left_out_and_a_strange_record_is_at_fault():
    types = structure_of({"record_types": TYPES}).record_types
    rows = raw("H,2026", "D,a,1", "X,1", "T,1")
    details, others = set_aside(rows, kinds_of(rows, types), types)
    assert details["record_number"].to_list() == [2]
    assert others.select("record_number", "fault", "aside", "aside_reason").rows() == [
        (1, None, "skipped", "header record"),
        (3, "unknown_record_type", None, None),
        (4, None, "skipped", "trailer record"),
    ]


def read_details(rows, sources):
    return delimited.read(rows, FORMAT, FORMAT.columns, sources)


def read_outer(rows, names):
    return delimited.read(rows, Delimited(columns=tuple(names)), names, names)


ROWS = StructuredFormat(read_details, read_outer, delimiter=",", quote='"')


def test_rows_of_other_types_do_not_lend_their_width_to_details():
    structure = structure_of(TOTALS)
    rows = raw("H,2026-05-01", "D,a,1", "D,b", "T,1,1,1,1")
    fields = file_fields_frame({1: {"header.created": "2026-05-01"}}, ["header.created"])
    records = read_structured(rows, structure, ROWS, ["caller"], fields)
    assert records.select("source:caller", "source:header.created", "fault", "aside_reason").rows() == [
        (None, "2026-05-01", None, "header record"),
        ("a", "2026-05-01", None, None),
        (None, "2026-05-01", "too_few_columns", None),
        (None, "2026-05-01", None, "trailer record"),
    ]


def test_a_whole_request_is_scanned_like_a_file():
    rows = raw("H,2026", "D,a,1", "D,b,2", "T,2,3")
    assert scan_structured([rows], structure_of(TOTALS), ROWS).fields["header.created"] == "2026"
    with pytest.raises(UnreadableError, match="the records come to 1"):
        scan_structured([rows.filter(pl.col("record_number") != 3)], structure_of(TOTALS), ROWS)


def test_headers_of_fixed_width_are_read_by_their_places():
    document = {
        "record_types": {"position": 1, "width": 1, "header": ["H"]},
        "header_columns": [{"name": "created", "start": 2, "width": 4}, {"name": "number", "start": 7, "width": 9}],
    }
    structure = structure_of(document, is_delimited=False)
    claims = scan_structured([raw("H2026 12", "D1")], structure, StructuredFormat(lambda rows, _: rows, read_outer))
    assert claims.fields == {"header.created": "2026", "header.number": "12"}


# Control totals


def scan(document, *parts):
    first, rows = 1, []
    for lines in parts:
        rows.append(raw(*lines, first=first))
        first += len(lines)
    return scan_structured(rows, structure_of(document), ROWS)


def refusal(document, *parts):
    with pytest.raises(UnreadableError) as error:
        scan(document, *parts)
    return str(error.value)


def test_totals_that_agree_give_the_fields_of_header_and_trailer():
    claims = scan(TOTALS, ["H, 2026-05-01 ", "D,a,1.5"], ["D,b,2.25", "T,2,3.75"])
    assert claims.detail_count == 2
    assert claims.fields == {
        "header.type": "H",
        "header.created": "2026-05-01",
        "trailer.type": "T",
        "trailer.count": "2",
        "trailer.total": "3.75",
    }


def test_a_count_that_disagrees_fails_and_says_by_how_much():
    message = refusal(TOTALS, ["H,x", "D,a,1"], ["D,b,2", "T,1000,3"])
    assert message == "The trailer says 1,000 records, the file has 2: 998 are missing. Nothing was imported."
    assert "1 is more than it says" in refusal(TOTALS, ["H,x", "D,a,1", "D,b,2", "T,1,3"])


def test_a_sum_that_disagrees_fails_and_says_by_how_much():
    message = refusal(TOTALS, ["H,x", "D,a,0.1", "D,b,zero", "T,2,0.30"])
    assert message == (
        "The trailer says 0.30 for the sum of amount, the records come to 0.1: 0.20 less than it says."
        " 1 of them have no number there, the first is record 3. Nothing was imported."
    )


def test_every_disagreement_is_told_at_once():
    message = refusal(TOTALS, ["H,x", "D,a,1", "T,2,x"])
    assert "1 is missing" in message
    assert "“x” in total, which is no number" in message


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["H,x", "D,a,1"], "The file has no trailer record. Was it cut off?"),
        (["D,a,1", "T,1,1"], "The file has no header record."),
        (["H,x", "D,a,1", "T,1,1", "T,1,1"], "Record 4 is a second trailer."),
        (["H,x", "D,a,1", "T,1,1", "D,b,2"], "Record 4 comes after the trailer, record 3."),
        (["H,x", "H,y", "T,0,0"], "Record 2 is a second header."),
        (["D,a,1", "H,x", "T,1,1"], "Record 2 is a header below other records"),
        (["H,x,y", "T,0,0"], "The header, record 1, cannot be read: 3 columns where 2 are expected."),
    ],
)
def test_a_file_that_is_not_in_order_fails(lines, told):
    assert told in refusal(TOTALS, lines)
    # The same wherever the file was cut.
    assert told in refusal(TOTALS, *([line] for line in lines))


def test_a_header_may_state_the_total_and_count_every_row():
    document = {
        "record_types": {"column": 1, "header": ["H"]},
        "header_columns": ["type", "rows"],
        "controls": [{"kind": "count", "field": "header.rows", "counts": "all"}],
    }
    assert scan(document, ["H,3", "D,a,1", "D,b,2"]).detail_count == 2
    assert "The header says 9 records, the file has 3" in refusal(document, ["H,9", "D,a,1", "D,b,2"])


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**30), max_value=10**30)))
@settings(max_examples=50, deadline=None)
def test_a_sum_of_numbers_of_any_size_is_exact(numbers):
    from decimal import localcontext

    with localcontext() as context:
        context.prec = 100
        assert exact_sum(pl.Series([f"{number:f}" for number in numbers], dtype=pl.String)) == sum(numbers, Decimal(0))


# The document


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"types": {}}, "/structure/types"),
        ({"record_types": {"header": ["H"]}}, "/structure/record_types"),
        ({"record_types": {"column": 1}}, "/structure/record_types"),
        ({"record_types": {"column": 0, "header": ["H"]}}, "/structure/record_types/column"),
        ({"record_types": {"position": 1, "header": ["H"]}}, "/structure/record_types/width"),
        ({"record_types": {"column": 1, "header": ["H"], "trailer": ["H"]}}, "/structure/record_types"),
        ({"header_columns": ["a"]}, "/structure/header_columns"),
        ({**TOTALS, "controls": [{"kind": "count", "field": "rows"}]}, "/structure/controls/0/field"),
        ({**TOTALS, "controls": [{"kind": "sum", "field": "total"}]}, "/structure/controls/0/of"),
        ({"combine": {"key": ["id"]}}, "/structure/combine"),
        ({"combine": {"key": [], "rows": 2}}, "/structure/combine/key"),
        ({"combine": {"key": ["id"], "roles": {"a": "nothing = 'x'", "b": "f"}}}, "/structure/combine/roles/a"),
        ({"combine": {"key": ["id"], "roles": {"a": "f = 'x'", "b": "f"}}}, "/structure/combine/roles/b"),
        ({"record_types": {"when": {"header": "CallId = 'x'"}}}, "/structure/record_types/when/header"),
        ({"combine": {"key": ["id"], "last": "f = 'Y'"}}, "/structure/combine/sequence"),
        ({"combine": {"key": ["id"], "rows": 2, "fields": {"n": "average"}}}, "/structure/combine/fields/n"),
        ({"combine": {"key": ["id"], "roles": {"a": "f = 'x'", "b": "f = 'y'"}}}, "/structure/combine/primary"),
        ({"combine": {"key": ["id"], "rows": 2, "window_hours": 0}}, "/structure/combine/window_hours"),
    ],
)
def test_a_faulty_structure_is_refused_at_its_place(document, pointer):
    assert pointer in [place for place, _ in faults_of(document)]


def test_rows_are_read_for_what_is_derived_from_them():
    structure = structure_of({**TOTALS, "combine": CALLS})
    assert row_sources(["header.created", "start.Time", "Caller"], structure) == [
        "Time", "Caller", "CallId", "Octets", "Event",
    ]  # fmt: skip


# Rows that make one record

CALLS = {
    "key": ["CallId"],
    "roles": {"start": "Event = 'START'", "stop": "Event = 'STOP'"},
    "primary": "start",
    "fields": {"Octets": "sum"},
}
NAMES = ("CallId", "Event", "Time", "Octets", "Number", "Last")


def rows_of(text, structure, *, import_id=1, first=1):
    """Marked RECORDS of a table: a row a line, columns CallId Event Time Octets Number Last, `-` where empty."""
    lines = [line.split() for line in text.strip().splitlines()]
    records = raw(*(" ".join(line) for line in lines), import_id=import_id, first=first).with_columns(
        pl.Series(
            source_column(name),
            [None if len(line) <= place or line[place] == "-" else line[place] for line in lines],
            dtype=pl.String,
        )
        for place, name in enumerate(NAMES)
    )
    return mark_parts(records, structure.combine)


def combined(rows, stored, structure, names=("start.Time", "stop.Time")):
    labels = pl.DataFrame({"import_id": [1, 2, 3], "label": ["one", "two", "three"]})
    stored = rows.clear() if stored is None else stored
    result = combine(rows, stored, structure, names=names, labels=labels)
    assert result.records.height == rows.height
    assert (
        result.records.select("import_id", "record_number").rows() == rows.select("import_id", "record_number").rows()
    )
    return result


def told(result):
    """Record number -> what became of it."""
    return {
        number: fault or (f"{aside}: {reason}" if aside else "record")
        for number, fault, aside, reason in result.records.select(
            "record_number", "fault", "aside", "aside_reason"
        ).iter_rows()
    }


def carried(result):
    columns = ["source:CallId", "source:Octets", "source:start.Time", "source:stop.Time"]
    return result.records.filter(pl.col("content").is_not_null()).select(columns).sort(columns).rows()


def test_a_start_and_a_stop_make_one_record():
    structure = structure_of({"combine": CALLS})
    rows = rows_of(
        """
        c1 START 08:00 10
        c2 START 08:01 5
        c1 STOP  08:05 2.5
        """,
        structure,
    )
    result = combined(rows, None, structure)
    assert told(result) == {
        1: "record",
        2: "skipped: waits for its other parts",
        3: "skipped: part of record 1 of one",
    }
    assert carried(result) == [("c1", "12.5", "08:00", "08:05")]
    assert result.waiting["record_number"].to_list() == [2]
    assert result.joined.select("record_number", "of_record_number", "is_stored").rows() == [(3, 1, False)]


def test_a_part_that_waited_is_joined_by_the_row_that_completes_it():
    structure = structure_of({"combine": CALLS})
    start = rows_of("c1 START 08:00 10", structure, import_id=1, first=7)
    stop = rows_of("c1 STOP 08:05 2", structure, import_id=2)
    result = combined(stop, start, structure)
    assert told(result) == {1: "record"}
    assert carried(result) == [("c1", "12", "08:00", "08:05")]
    assert result.joined.select(
        "import_id", "record_number", "of_import_id", "of_record_number", "is_stored"
    ).rows() == [(1, 7, 2, 1, True)]


def test_the_order_of_arrival_does_not_matter():
    structure = structure_of({"combine": {**CALLS, "rows": 4, "fields": {"Octets": "sum", "Number": "first"}}})
    lines = ["c1 START 08:00 10 1", "c1 MORE 08:01 1 2", "c1 MORE 08:02 2 3", "c1 STOP 08:05 3 4"]
    contents = set()
    for some in permutations(lines):
        for cut in range(5):
            stored = rows_of("\n".join(some[:cut]) or "", structure, import_id=1) if cut else None
            if cut == 4:
                continue
            result = combined(rows_of("\n".join(some[cut:]), structure, import_id=2), stored, structure)
            record = result.records.filter(pl.col("content").is_not_null())
            contents.add(record.select("content", "source:Octets", "source:Number", "source:Event").row(0))
    assert len(contents) == 1
    assert contents.pop()[1:] == ("16", "1", "START")


def test_a_second_start_contradicts_the_first_and_a_repeated_one_is_a_duplicate():
    structure = structure_of({"combine": CALLS})
    rows = rows_of(
        """
        c1 START 08:00 10
        c1 START 09:00 10
        c1 START 08:00 10
        c1 STOP  08:05 1
        """,
        structure,
    )
    result = combined(rows, None, structure)
    assert told(result) == {
        1: "record",
        2: "conflicting_part",
        3: "duplicate: repeats record 1 of one",
        4: "skipped: part of record 1 of one",
    }


def test_a_key_may_come_again_once_its_record_is_complete():
    structure = structure_of({"combine": CALLS})
    rows = rows_of("c1 START 1\nc1 STOP 2\nc1 START 3\nc1 STOP 4\nc1 START 5", structure)
    result = combined(rows, None, structure)
    assert [row[2:] for row in carried(result)] == [("1", "2"), ("3", "4")]
    assert result.waiting["record_number"].to_list() == [5]


def test_records_of_so_many_rows():
    structure = structure_of({"combine": {"key": ["CallId"], "rows": 2}})
    rows = rows_of("c1 A\nc2 A\nc1 B\nc2 B\nc1 C", structure)
    assert told(combined(rows, None, structure)) == {
        1: "skipped: part of record 3 of one",
        2: "skipped: part of record 4 of one",
        3: "record",
        4: "record",
        5: "skipped: waits for its other parts",
    }


def test_the_last_row_says_how_many_there_are():
    document = {"key": ["CallId"], "last": "Last = 'Y'", "sequence": "Number", "fields": {"Octets": "sum"}}
    structure = structure_of({"combine": document})
    late = rows_of("c1 X - 4 3 Y\nc1 X - 2 1", structure, import_id=1)
    assert set(told(combined(late, None, structure)).values()) == {"skipped: waits for its other parts"}
    result = combined(rows_of("c1 X - 1 2\nc2 X - 9 1 Y", structure, import_id=2), late, structure)
    assert told(result) == {1: "record", 2: "record"}
    assert result.records["source:Octets"].to_list() == ["7", "9"]


def test_a_row_beyond_the_last_contradicts_it():
    document = {"key": ["CallId"], "last": "Last = 'Y'", "sequence": "Number"}
    structure = structure_of({"combine": document})
    rows = rows_of("c1 X - - 2 Y\nc1 X - - 3\nc1 X - - 2\nc2 X - - zero", structure)
    assert told(combined(rows, None, structure)) == {
        1: "skipped: waits for its other parts",
        2: "conflicting_part",
        3: "conflicting_part",
        4: "bad_part_number",
    }


def test_the_primary_row_carries_the_main_data_and_the_outcome():
    structure = structure_of({"combine": {"key": ["CallId"], "rows": 2, "primary": "Last = '1'"}})
    rows = rows_of("c1 A - 1 - -\nc1 B - 2 - 1\nc2 A - 1 - 1\nc2 B - 1 - 1\nc3 A\nc3 B", structure)
    result = combined(rows, None, structure)
    assert told(result) == {
        1: "skipped: part of record 2 of one",
        2: "record",
        3: "skipped: part of record 4 of one",
        4: "ambiguous_primary",
        5: "skipped: part of record 6 of one",
        6: "ambiguous_primary",
    }
    assert result.records.filter(pl.col("record_number") == 2)["source:Event"].to_list() == ["B"]


@pytest.mark.parametrize(
    ("how", "values", "total"),
    [
        ("sum", ("0.1", "0.20", "-1"), "-0.7"),
        ("sum", ("9" * 38, "1", "-"), "1" + "0" * 38),
        ("sum", ("1e3", "1", "1"), None),
        ("min", ("10", "9", "-"), "9"),
        ("max", ("10", "9.50", "9.5"), "10"),
        ("max", ("2026-05-01", "2026-04-30", "-"), "2026-05-01"),
        ("first", ("-", "b", "a"), "b"),
        ("last", ("a", "b", "-"), "b"),
        ("count", ("a", "-", "a"), "2"),
        ("count", ("-", "-", "-"), "0"),
    ],
)
def test_totals_of_a_field_over_the_parts_are_exact(how, values, total):
    structure = structure_of(
        {"combine": {"key": ["CallId"], "rows": 3, "fields": {"Octets": how}, "order_by": "Number"}}
    )
    rows = rows_of("\n".join(f"c1 {place} - {value} {place}" for place, value in enumerate(values)), structure)
    record = combined(rows, None, structure).records.filter(pl.col("content").is_not_null())
    assert record["source:Octets"].to_list() == [total]
    assert record["fault"].to_list() == [None if total else "bad_number"]


def test_rows_that_cannot_be_parts_are_at_fault_alone():
    structure = structure_of({"combine": CALLS})
    rows = rows_of("- START\nc1 PING\nc1 START\nc1 STOP", structure)
    assert told(combined(rows, None, structure)) == {
        1: "missing_part_key",
        2: "unknown_part",
        3: "record",
        4: "skipped: part of record 3 of one",
    }


def test_stored_parts_that_do_not_fit_stay_as_they_are():
    structure = structure_of({"combine": CALLS})
    stored = rows_of("c1 START 1\nc9 START 1", structure, import_id=1)
    result = combined(rows_of("c1 START 2\nc2 STOP 3", structure, import_id=2), stored, structure)
    assert told(result) == {1: "conflicting_part", 2: "skipped: waits for its other parts"}
    assert result.joined.is_empty()


events = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["START", "STOP"]), st.integers(1, 3)), max_size=14)


@given(events=events, cuts=st.lists(st.integers(0, 14), max_size=3))
@settings(max_examples=150, deadline=None)
def test_what_rows_become_does_not_depend_on_how_they_were_grouped(events, cuts):
    structure = structure_of({"combine": CALLS})
    lines = [f"{key} {event} {time} 1" for key, event, time in events]
    whole = _contents([lines], structure)
    edges = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    assert _contents([lines[a:b] for a, b in pairwise(edges)], structure) == whole


def _contents(chunks, structure):
    """The contents of the records that chunks make one after the other, and the rows at fault or repeated."""
    stored, number, found, others = rows_of("x START", structure).clear(), 1, [], []
    for lines in chunks:
        if not lines:
            continue
        rows = rows_of("\n".join(lines), structure, first=number)
        number += len(lines)
        result = combined(rows, stored, structure)
        found += result.records["content"].drop_nulls().to_list()
        others += [one for one in told(result).items() if "conflict" in one[1] or "duplicate" in one[1]]
        gone = result.joined.filter("is_stored").select("record_number")
        waits = rows.join(result.waiting.select("record_number"), on="record_number", how="semi")
        stored = pl.concat([stored.join(gone, on="record_number", how="anti"), waits]).sort("record_number")
    return sorted(found), others, stored["record_number"].to_list()


# Whatever comes

ANY = Delimited(columns=("type", "CallId", "Event", "Octets"))
MIXED = {
    "record_types": {"column": 1, "header": ["H"], "trailer": ["T"], "detail": ["D"]},
    "header_columns": ["type", "created"],
    "combine": {
        "key": ["CallId"],
        "roles": {"start": "Event = 'START'", "stop": "Event = 'STOP'"},
        "primary": "start",
        "fields": {"Octets": "sum"},
    },
}
cells = st.one_of(
    st.sampled_from(["H", "T", "D", "START", "STOP", "c1", "c2", "", '"', '"a,b"', "1", "9" * 40, "-1.5", "\0"]),
    st.text(max_size=6),
)


@given(rows=st.lists(st.lists(cells, max_size=6).map(",".join), max_size=12), cut=st.integers(0, 12))
@settings(max_examples=300, deadline=None)
def test_every_row_is_accounted_for_once(rows, cut):
    structure = structure_of(MIXED)
    how = StructuredFormat(
        lambda frame, sources: delimited.read(frame, ANY, ANY.columns, sources),
        lambda frame, names: delimited.read(frame, ANY, names, names),
        delimiter=",",
        quote='"',
    )
    frame = raw(*rows)
    sources = row_sources(["CallId", "start.Octets"], structure)
    marked = mark_parts(read_structured(frame, structure, how, sources), structure.combine)
    stored = marked.head(cut).filter(pl.col("part_key").is_not_null())
    fresh = marked.slice(cut)
    labels = pl.DataFrame({"import_id": [1], "label": ["one"]})
    result = combine(fresh, stored, structure, names=["start.Octets"], labels=labels)
    records = result.records
    assert records["record_number"].to_list() == fresh["record_number"].to_list()
    assert records["raw"].to_list() == fresh["raw"].to_list()
    # One state each: at fault, left out, or a record that the rows of its key make.
    assert not records.filter(pl.col("fault").is_not_null() & pl.col("aside").is_not_null()).height
    usage = records.filter(pl.col("fault").is_null() & pl.col("aside").is_null())
    assert usage["content"].null_count() == 0
    # Each row of a record has one carrier, and no row is in two.
    joined = result.joined.select("record_number")
    assert joined.is_unique().all()
    assert not joined.join(usage.select("record_number"), on="record_number").height


@given(lines=st.lists(st.lists(cells, max_size=4).map(",".join), max_size=12), at=st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_a_scan_agrees_or_refuses_wherever_the_file_was_cut(lines, at):
    def found(*parts):
        try:
            return scan_structured(
                [raw(*part, first=first) for first, part in parts if part], structure_of(TOTALS), ROWS
            )
        except UnreadableError:
            return "refused"  # for the first of its faults that a part shows, which need not be the same

    assert found((1, lines)) == found((1, lines[:at]), (at + 1, lines[at:]))
