"""One file of each format through the whole of ingestion: received, cut, mediated, counted and recounted."""

import gzip
import io
import json
import zipfile

import pytest
from backports import zstd

from ingestion import services
from ingestion.models import ImportException, UsageImport
from mediation.core.reading import delimited
from mediation.models import Udr
from tests.mediation.profiles import document
from tests.mediation.test_formats_xlsx import book

from .factories import BY_EVENT, NOW, counts, event, feed_of, filed, new_version, user_with, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]

MAPPED = {
    "Date": {"source": "when"},
    "UdrUsageIdentifier": {"source": "who"},
    "Value": {"source": "much"},
    "UsageClassName": {"literal": "calls"},
}
CSV = "".join(f"{event(who)}\n" for who in ("a", "b", "c")).encode()


def profile(format_, fields=MAPPED, **members):
    return {"format": format_, "fields": MAPPED | fields, "uniqueness": ["UdrUsageIdentifier"], **members}


def took(spec, content, name="usage.bin"):
    taken = filed(feed_of(spec), content, name=name)
    work()
    taken.refresh_from_db()
    return taken


def udrs():
    """Who, how much and when, in the order of records."""
    rows = Udr.objects.order_by("record_number").values_list("udr_usage_identifier", "value", "date")
    return [(who, str(value.normalize()), date.isoformat()) for who, value, date in rows]


def exceptions():
    return list(ImportException.objects.order_by("record_number").values_list("record_number", "code", "raw"))


# Formats


def test_fixed_width_lines():
    columns = [("when", 1, 20), ("who", 21, 4), ("much", 25, 6)]
    placed = [dict(zip(("name", "start", "width"), column, strict=True)) for column in columns]
    lines = [
        "2026-05-01T10:00:00Za   000010",
        "2026-05-01T11:00:00Zb   00002x",
        "short",
        "2026-05-01T12:00:00Zc        7",
    ]
    taken = took(profile({"kind": "fixed_width", "columns": placed}), "\r\n".join([*lines, ""]).encode())
    assert counts(taken) == ("completed", 2, 2, 0, 0)
    assert udrs() == [("a", "1E+1", "2026-05-01T10:00:00+00:00"), ("c", "7", "2026-05-01T12:00:00+00:00")]
    assert [(number, code) for number, code, _ in exceptions()] == [(2, "bad_number"), (3, "too_few_columns")]
    assert exceptions()[0][2] == lines[1]


def test_fixed_width_records_without_line_ends():
    placed = [{"name": "when", "start": 1, "width": 20}, {"name": "who", "start": 21, "width": 1}]
    format_ = {"kind": "fixed_width", "columns": placed, "line_ending": "none", "record_length": 21}
    taken = took(profile(format_, {"Value": {"literal": "1"}}), b"2026-05-01T10:00:00Za2026-05-01T11:00:00Zb")
    assert counts(taken) == ("completed", 2, 0, 0, 0)


def test_xml_elements():
    calls = (
        '<c:Call at="2026-05-01T10:00:00Z"><Who>a &amp; b</Who><Much>10</Much></c:Call>',
        '<c:Call at="2026-05-01T11:00:00Z"><Who>b</Who><Much>much</Much></c:Call>',
        "<c:Call/>",
    )
    text = f'<?xml version="1.0"?><c:Calls xmlns:c="urn:calls">{"".join(calls)}</c:Calls>'
    fields = {"Date": {"source": "@at"}, "UdrUsageIdentifier": {"source": "Who"}, "Value": {"source": "Much"}}
    taken = took(profile({"kind": "xml", "record": "Calls/Call"}, fields), text.encode())
    assert counts(taken) == ("completed", 1, 2, 0, 0)
    assert udrs() == [("a & b", "1E+1", "2026-05-01T10:00:00+00:00")]
    assert [(number, code) for number, code, _ in exceptions()] == [(2, "bad_number"), (3, "missing_value")]


def test_xml_that_defines_entities_fails_and_imports_nothing():
    text = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Calls><Call at="2026-05-01T10:00:00Z">&a;</Call></Calls>'
    taken = took(profile({"kind": "xml", "record": "Call"}, {"Date": {"source": "@at"}}), text)
    assert counts(taken) == ("failed", 0, 0, 0, 0)
    assert "document type" in taken.error


def sheet(*rows):
    texts = lambda row: "".join(f"<c t='inlineStr'><is><t>{text}</t></is></c>" for text in row)  # noqa: E731
    return book(*(f"<row r='{number}'>{texts(row)}</row>" for number, row in enumerate(rows, start=1)))


def test_a_sheet_of_a_workbook():
    content = sheet(
        ("much", "who", "when"),
        ("10", "a", "2026-05-01T10:00:00Z"),
        ("", "", ""),
        ("x", "b", "2026-05-01T10:00:00Z"),
        ("3", "c", "2026-05-01T12:00:00Z"),
    )
    taken = took(profile({"kind": "xlsx"}), content, name="usage.xlsx")
    assert counts(taken) == ("completed", 2, 1, 0, 0)
    assert [who for who, _, _ in udrs()] == ["a", "c"]
    assert list(Udr.objects.order_by("record_number").values_list("record_number", flat=True)) == [2, 5]
    assert [(number, code) for number, code, _ in exceptions()] == [(4, "bad_number")]


def test_a_workbook_of_another_sheet_fails_with_the_names_of_its_own():
    taken = took(profile({"kind": "xlsx", "sheet": "May"}), sheet(("when", "who", "much"), ("1", "2", "3")))
    assert counts(taken) == ("failed", 0, 0, 0, 0)
    assert "It has: Usage" in taken.error


def cloud_event(number, **members):
    data = {"when": "2026-05-01T10:00:00Z", "who": f"u{number}", "much": number}
    return {"specversion": "1.0", "id": str(number), "source": "/meter", "type": "usage", "data": data} | members


CLOUD = {
    "Date": {"source": "data.when"},
    "UdrUsageIdentifier": {"source": "data.who"},
    "Value": {"source": "data.much"},
}


@pytest.mark.parametrize("is_batch", [True, False])
def test_cloud_events_in_a_batch_or_a_line_each(is_batch):
    events = [cloud_event(1), cloud_event(2, specversion="0.3"), cloud_event(3), cloud_event(1)]
    text = json.dumps(events) if is_batch else "\n".join(map(json.dumps, events))
    taken = took(profile({"kind": "cloudevents"}, CLOUD, uniqueness=[]), text.encode())
    assert counts(taken) == ("completed", 2, 1, 0, 1)
    assert [who for who, _, _ in udrs()] == ["u1", "u3"]


def test_records_inside_a_json_document():
    body = {"page": 1, "response": {"items": [cloud_event(1)["data"], cloud_event(2)["data"], {"who": "c"}]}}
    taken = took(profile({"kind": "json", "records_path": "response.items"}), json.dumps(body).encode())
    assert counts(taken) == ("completed", 2, 1, 0, 0)


METERED = {
    "Date": {"source": "IntervalStart"},
    "UdrUsageIdentifier": {"source": "NMI"},
    "Value": {"source": "Value"},
    "UniquenessIdentifier": {"combine": {"sources": ["NMI", "NMISuffix", "IntervalStart"], "separator": "/"}},
}
HOURS = ",".join(f"{hour}.5" for hour in range(24))
METER = "200,NMI0000001,E1Q1,1,E1,N1,METER1,kWh,60,"


def nem(*rows):
    return "\r\n".join(["100,NEM12,202605030000,MDP1,Ret1", METER, *rows, "900", ""]).encode()


def test_a_day_of_meter_data_is_a_record_an_interval():
    content = nem(f"300,20260501,{HOURS},A,,,20260502120000,", "300,20260502,1,2,3,A,,,20260503120000,")
    taken = took(profile({"kind": "nem"}, METERED, uniqueness=["UniquenessIdentifier"]), content)
    assert counts(taken) == ("completed", 24, 1, 0, 0)
    assert udrs()[0] == ("NMI0000001", "0.5", "2026-04-30T14:00:00+00:00")
    assert sum(value for value in Udr.objects.values_list("value", flat=True)) == sum(range(24)) + 12


def test_meter_data_that_was_cut_off_fails_and_imports_nothing():
    content = nem(f"300,20260501,{HOURS},A,,,20260502120000,").removesuffix(b"900\r\n")
    taken = took(profile({"kind": "nem"}, METERED, uniqueness=["UniquenessIdentifier"]), content)
    assert counts(taken) == ("failed", 0, 0, 0, 0)
    assert "900 row" in taken.error


# Packed files


def zipped(content, *names):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("usage.csv",):
            archive.writestr(name, content)
    return target.getvalue()


PACKED = {"gz": gzip.compress(CSV), "zip": zipped(CSV), "zst": zstd.compress(CSV)}


@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_file_is_read_as_what_is_in_it(kind, monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 2)
    taken = took(BY_EVENT, PACKED[kind], name=f"usage.csv.{kind}")
    assert counts(taken) == ("completed", 3, 0, 0, 0)
    assert taken.chunks.count() == 2
    assert taken.payload.read() == PACKED[kind]
    assert taken.unpacked.read() == CSV


def test_a_packed_json_file_is_read_as_what_is_in_it():
    taken = took(profile({"kind": "json"}), gzip.compress(json.dumps([cloud_event(1)["data"]]).encode()))
    assert counts(taken) == ("completed", 1, 0, 0, 0)


def test_a_packed_workbook_is_read():
    content = zstd.compress(sheet(("when", "who", "much"), ("2026-05-01T10:00:00Z", "a", "1")))
    assert counts(took(profile({"kind": "xlsx"}), content)) == ("completed", 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(bytes(8 << 20)), "as a bomb does"),
        (zstd.compress(bytes(64 << 20)), "as a bomb does"),
        (zipped(bytes(8 << 20)), "as a bomb does"),
        (gzip.compress(gzip.compress(CSV)), "packed twice"),
        (zipped(CSV, "a.csv", "b.csv"), "exactly one file"),
        (PACKED["gz"][:-9], "ends in the middle"),
        (PACKED["zst"][:-3], "ends in the middle"),
        (PACKED["zip"][:40], "zip file"),
        (b"BZh91AY&SY" + CSV, "packed as bzip2"),
    ],
    ids=["gz bomb", "zst bomb", "zip bomb", "nested", "two members", "cut gz", "cut zst", "cut zip", "bzip2"],
)
def test_what_cannot_be_unpacked_fails_with_a_message_and_imports_nothing(content, said):
    taken = took(BY_EVENT, content)
    assert counts(taken) == ("failed", 0, 0, 0, 0)
    assert said in taken.error
    assert not taken.unpacked
    assert not Udr.objects.exists()


# Again


def test_a_packed_file_is_read_again_by_another_version_from_its_original():
    feed = feed_of(BY_EVENT)
    taken = filed(feed, PACKED["zip"], name="usage.zip")
    work()
    new_version(feed, document(BY_EVENT, fields={"Value": {"literal": "2"}}))
    by = user_with("ingestion.reprocess_usageimport")
    services.reprocess_imports(imports=UsageImport.objects.all(), by=by, now=NOW)
    work()
    assert counts(taken) == ("completed", 3, 0, 0, 0)
    assert sorted(Udr.objects.values_list("value", flat=True).distinct()) == [2, 10]


def test_the_same_file_packed_otherwise_repeats_its_records():
    feed = feed_of(BY_EVENT)
    filed(feed, CSV)
    again = filed(feed, PACKED["gz"], name="usage.csv.gz")
    work()
    assert counts(again) == ("completed", 0, 0, 0, 3)
