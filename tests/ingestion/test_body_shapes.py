"""Bodies of every shape through the door: what they become, in every place that reads them again, and every refusal."""

import gzip
import io
import json
import re
import tracemalloc
import zlib
from pathlib import Path

import pytest
from backports import zstd
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from config.tracing.origins import trace_record
from ingestion import services
from ingestion.models import ImportBody, ImportException, UsageImport
from ingestion.services.comparing import compare_version
from ingestion.services.receiving import told_body
from mediation.models import ProfileVersion, Udr
from tests.mediation.profiles import JSON, document

from .factories import BY_EVENT, EVENTS, NAMED, NOW, counts, event, feed_of, filed, new_version, work
from .test_api import EVERYTHING, PROBLEM, client_of, refused

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
CLOUD = document(
    JSON,
    format={"kind": "cloudevents"},
    fields={
        "Date": {"source": "data.Date"},
        "UdrUsageIdentifier": {"source": "data.Id"},
        "Value": {"source": "data.Value"},
    },
)
NDJSON, CSV = "application/x-ndjson", "text/csv"
EVENT, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


@pytest.fixture
def client():
    return client_of(*EVERYTHING, "ingestion.void_usage")


def json_record(who="e1", value="10", date="2026-05-01T10:00:00Z"):
    return f'{{"Date": "{date}", "Id": "{who}", "Value": {value}}}'


def cloud_event(number, value="10"):
    who = json_record(f"e{number}", value)
    return f'{{"specversion": "1.0", "id": "{number}", "source": "/m", "type": "usage", "data": {who}}}'


def send(client, feed, content, media_type, path="usage", **headers):
    content = content.encode() if isinstance(content, str) else content
    return client.generic("POST", f"/api/v1/feeds/{feed.pk}/{path}", content, media_type, headers=headers)


def taken(answer, record_count):
    assert answer.status_code == 202, answer.content
    assert answer.json()["record_count"] == record_count
    work(now=timezone.now())
    return UsageImport.objects.get(tracking_id=answer.json()["tracking_id"])


def values():
    return sorted(str(value) for value in Udr.objects.values_list("value", flat=True))


BIG = "123456789012345.123456"
BODIES = [
    (EVENTS, f"{json_record('e1', BIG)}\r\n\n{json_record('e2')}", NDJSON),
    (BY_EVENT, f"\ufeff{event('e1', BIG)}\n{event('e2')}\n", CSV),
    (BY_EVENT, f"{event('e1', BIG)}\r\n{event('e2')}", "Text/CSV; charset=UTF-8; header=absent"),
    (NAMED, f"class,who,value,date\ncalls,e1,{BIG},2026-05-01T10:00:00Z\n\ncalls,e2,10,2026-05-01T10:00:00Z\n", CSV),
    (CLOUD, f"[{cloud_event(1, BIG)}, {cloud_event(2)}]", f"{BATCH}; charset=utf-8"),
    (CLOUD, f"{cloud_event(1, BIG)}\n{cloud_event(2)}\n", NDJSON),
]
PACKINGS = {"": lambda body: body, "gzip": gzip.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize(("spec", "content", "media_type"), BODIES, ids=range(len(BODIES)))
def test_a_body_becomes_udrs_to_the_last_digit(client, spec, content, media_type, packing):
    headers = {"Content-Encoding": packing} if packing else {}
    answer = send(client, feed_of(spec), PACKINGS[packing](content.encode()), media_type, **headers)
    usage_import = taken(answer, 2)
    assert counts(usage_import) == ("completed", 2, 0, 0, 0)
    assert values() == ["10.000000", BIG]
    assert bytes(usage_import.body.content) == content.encode()
    assert usage_import.byte_size == len(content.encode())


def test_one_event_alone(client):
    assert counts(taken(send(client, feed_of(CLOUD), cloud_event(1), EVENT), 1)) == ("completed", 1, 0, 0, 0)


def test_the_same_records_in_another_shape_are_duplicates(client):
    feed = feed_of(BY_EVENT)
    taken(send(client, feed, json.dumps({"data": [event("e1"), event("e2")]}), "application/json"), 2)
    again = taken(send(client, feed, f"{event('e1')}\n{event('e2')}\n", CSV), 2)
    assert counts(again) == ("completed", 0, 0, 0, 2)
    filed(feed, event("e1"), event("e2"), now=timezone.now())
    work(timezone.now())
    assert counts(UsageImport.objects.latest("pk")) == ("completed", 0, 0, 0, 2)


def test_submissions_of_several_shapes_and_headers_are_mediated_together(client):
    feed = feed_of(document(NAMED, format={**NAMED["format"], "columns": ["date", "who", "value", "class"]}))
    bodies = [
        (json.dumps({"data": [event("e1", "1")]}), "application/json"),
        (f"date,who,value,class\n{event('e2', '2')}\n", CSV),
        ("value,class,date,who\n3,calls,2026-05-01T10:00:00Z,e3\n", CSV),
        (f"date,who,value,class\n{event('e4', '4')}\n1,2\n", CSV),
    ]
    answers = [send(client, feed, *body) for body in bodies]
    imports = [taken(answer, answer.json()["record_count"]) for answer in answers]
    assert [counts(one)[1:3] for one in imports] == [(1, 0), (1, 0), (1, 0), (1, 1)]
    assert values() == ["1.000000", "2.000000", "3.000000", "4.000000"]


def test_the_example_of_the_readme(client):
    readme = Path(settings.BASE_DIR, "ingestion", "README.md").read_text()
    head, _, body = re.search(r"```http lines\n(.*?)```", readme, re.DOTALL)[1].partition("\n\n")
    request, media_type = head.splitlines()
    feed_of(BY_EVENT, api_name="calls")
    address = request.removeprefix("POST ")
    answer = client.generic("POST", address, body, media_type.removeprefix("Content-Type: "))
    assert counts(taken(answer, 2)) == ("completed", 2, 0, 0, 0)
    assert values() == ["12.500000", "90.000001"]


# Repeats


def test_a_repeat_is_the_same_bytes_in_the_same_shape_however_they_are_packed(client):
    feed, content = feed_of(CLOUD), cloud_event(1)
    first = send(client, feed, content, EVENT, **{"Idempotency-Key": "k"})
    packed = send(
        client, feed, gzip.compress(content.encode()), EVENT, **{"Idempotency-Key": "k", "Content-Encoding": "gzip"}
    )
    assert first.json() == packed.json()
    for media_type in ("application/json", NDJSON):
        refused(send(client, feed, content, media_type, **{"Idempotency-Key": "k"}), 422, "idempotency_key_reused")
    assert UsageImport.objects.count() == 1


def test_a_regular_whose_body_is_packed_goes_the_whole_way(client, monkeypatch):
    feed, body = feed_of(EVENTS), json_record()
    taken(send(client, feed, body, "application/json"), 1)
    monkeypatch.setattr(services, "receive_more_usage", None)
    headers = {"Content-Encoding": "gzip"}
    assert counts(taken(send(client, feed, gzip.compress(body.encode()), "application/json", **headers), 1))[4] == 1


def test_lines_with_a_header_let_no_rows_without_one_in(client):
    feed = feed_of(NAMED)
    for _ in range(2):
        assert send(client, feed, f"date,who,value,class\n{event()}\n", CSV).status_code == 202
        rows = json.dumps({"data": [event()]})
        refused(send(client, feed, rows, "application/json"), 409, "profile_needs_header")


# Refusals


@pytest.mark.parametrize(
    ("spec", "media_type", "read"),
    [
        (BY_EVENT, NDJSON, "application/json, text/csv"),
        (BY_EVENT, "", "application/json, text/csv"),
        (BY_EVENT, "text/csv; charset=iso-8859-1", "application/json, text/csv"),
        (EVENTS, CSV, "application/json, application/x-ndjson"),
        (EVENTS, EVENT, "application/json, application/x-ndjson"),
        (EVENTS, f"{NDJSON}; charset=utf-16", "application/json, application/x-ndjson"),
        (CLOUD, "text/plain", f"application/json, application/x-ndjson, {EVENT}, {BATCH}"),
    ],
)
def test_what_a_feed_does_not_read_is_told_with_what_it_reads(client, spec, media_type, read):
    answer = send(client, feed_of(spec), "x", media_type)
    refused(answer, 415, "unsupported_media_type")
    assert answer["Accept-Post"] == read


def test_the_second_door_takes_json_alone(client):
    feed = feed_of(EVENTS)
    address = f"/api/DataImport/Usage/Json/{feed.pk}"
    answer = client.generic("POST", address, json_record(), NDJSON)
    assert (answer.status_code, answer["Accept-Post"]) == (415, "application/json")
    assert client.generic("POST", address, json_record(), "application/json").status_code == 200


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, zstd", "x"])
def test_a_packing_that_is_not_read(client, coding):
    answer = send(client, feed_of(EVENTS), b"x", "application/json", **{"Content-Encoding": coding})
    refused(answer, 415, "unsupported_encoding")
    assert answer["Accept-Encoding"] == "gzip, zstd"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"{}"),
        ("gzip", b""),
        ("zstd", gzip.compress(b"{}")),
        ("gzip", zlib.compress(b"{}")),
        ("gzip", gzip.compress(json_record().encode())[:-9]),
        ("gzip", gzip.compress(b"{}") + b"more"),
        ("gzip", gzip.compress(gzip.compress(b"{}"))),
        ("zstd", zstd.compress(json_record().encode())[:-3]),
    ],
    ids=["plain", "empty", "otherwise", "without a head", "cut", "with more behind", "twice", "cut too"],
)
def test_what_is_not_packed_as_it_says(client, coding, body):
    answer = send(client, feed_of(EVENTS), body, "application/json", **{"Content-Encoding": coding})
    refused(answer, 400, "bad_encoding")


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_bomb_is_refused_without_being_unpacked(client, packing):
    bomb = PACKINGS[packing](b" " * (200 << 20))
    assert len(bomb) < 1 << 20
    feed = feed_of(EVENTS)
    tracemalloc.start()
    answer = send(client, feed, bomb, "application/json", **{"Content-Encoding": packing})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    refused(answer, 413, "too_large")
    assert peak < 32 << 20
    assert UsageImport.objects.count() == 0


def test_a_packed_body_that_asks_for_much_memory(client):
    options = {zstd.CompressionParameter.window_log: 27}
    packer = zstd.ZstdCompressor(options=options)
    body = packer.compress(json_record().encode()) + packer.flush()
    answer = send(client, feed_of(EVENTS), body, "application/json", **{"Content-Encoding": "zstd"})
    refused(answer, 400, "bad_encoding")


def test_a_body_that_is_too_large_once_it_is_unpacked(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    body = gzip.compress("\n".join([json_record()] * 50).encode())
    assert len(body) < 1000
    refused(send(client, feed_of(EVENTS), body, NDJSON, **{"Content-Encoding": "gzip"}), 413, "too_large")


def test_a_body_in_pieces(client, settings):
    """Chunked transfer: nobody said how long it is."""
    feed, body = feed_of(EVENTS), json_record().encode()
    told = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}

    def send_pieces():
        address = f"/api/v1/feeds/{feed.pk}/usage"
        return client.generic("POST", address, b"", NDJSON, **told, **{"wsgi.input": io.BytesIO(body)})

    assert counts(taken(send_pieces(), 1)) == ("completed", 1, 0, 0, 0)
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    refused(send_pieces(), 413, "too_large")


def test_a_header_with_a_nul_character_is_refused(client):
    content = f"class,who,value,date,e\0\n{event()},\n"
    (found,) = refused(send(client, feed_of(NAMED), content, CSV), 400, "shape_not_read")
    assert (found["pointer"], "NUL" in found["detail"]) == ("/lines/1", True)


def test_broken_lines_of_json_are_refused_with_their_places(client):
    answer = send(client, feed_of(EVENTS), f"{json_record()}\n{{oops\n\n[1]\n", NDJSON)
    found = refused(answer, 400, "not_json")
    assert [(fault["pointer"], fault["code"]) for fault in found] == [
        ("/lines/2", "not_json"),
        ("/lines/4", "record_not_read"),
    ]
    assert found[0]["detail"].startswith("Line 2 ")


@pytest.mark.parametrize(("spec", "media_type"), [(EVENTS, NDJSON), (BY_EVENT, CSV), (CLOUD, BATCH)])
def test_records_of_none_and_too_many(client, spec, media_type):
    feed = feed_of(spec)
    line = {NDJSON: json_record(), CSV: event(), BATCH: cloud_event(1)}[media_type]
    several = f"[{','.join([line] * 1_001)}]" if media_type == BATCH else f"{line}\n" * 1_001
    refused(send(client, feed, several, media_type), 400, "too_many_records")
    refused(send(client, feed, "[]" if media_type == BATCH else "", media_type), 400, "no_records")


# Wherever a body is read again


def test_an_exception_of_a_line_is_corrected_and_its_import_mediated_again(client):
    feed = feed_of(NAMED)
    lines = f"class,value,who,date\ncalls,oops,e1,2026-05-01T10:00:00Z\n\ncalls,{BIG},e2,2026-05-01T10:00:00Z\n"
    usage_import = taken(send(client, feed, lines, CSV), 2)
    exception = ImportException.objects.get()
    assert (exception.record_number, exception.raw) == (2, "calls,oops,e1,2026-05-01T10:00:00Z")
    services.correct_exception(
        exception=exception, raw=exception.raw.replace("oops", "7"), by=None, reason="r", now=NOW
    )
    work(timezone.now())
    assert values() == sorted(["7.000000", BIG])
    services.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=timezone.now())
    work(timezone.now())
    assert counts(usage_import) == ("completed", 2, 0, 0, 0)
    new_version(feed, BY_EVENT)
    services.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=timezone.now())
    work(timezone.now())
    assert counts(usage_import) == ("completed", 0, 2, 0, 0), (
        "by position the columns are others, and no record is lost"
    )
    usage_import.refresh_from_db()
    assert usage_import.header is None


@pytest.mark.parametrize(("spec", "content", "media_type"), BODIES, ids=range(len(BODIES)))
def test_a_body_is_traced_compared_and_mediated_again(client, spec, content, media_type):
    usage_import = taken(send(client, feed_of(spec), content, media_type), 2)
    number = Udr.objects.latest("record_number").record_number
    udr = Udr.objects.get(record_number=number)
    chapters = trace_record(usage_import=usage_import, number=number, udr=udr)
    facts = {fact.name: fact for chapter in chapters for fact in chapter.facts}
    assert "e2" in facts["raw"].raw
    assert not {"lost", "today", "mapping"} & facts.keys()
    same = compare_version(version=ProfileVersion.objects.get(), usage_import=usage_import, by=None)
    assert (same.record_count, same.change_count) == (2, 0)
    services.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=timezone.now())
    work(timezone.now())
    assert counts(usage_import) == ("completed", 2, 0, 0, 0)
    assert usage_import.attempt == 2


def test_a_body_that_todays_profile_cannot_read_stays_what_it_is(client):
    feed = feed_of(BY_EVENT)
    usage_import = taken(send(client, feed, f"{event()}\n", CSV), 1)
    new_version(feed, EVENTS)
    with pytest.raises(services.UnableToReprocess, match="does not read lines of CSV"):
        services.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("spec", "content", "media_type", "name"),
    [
        (EVENTS, json_record(), NDJSON, ".ndjson"),
        (BY_EVENT, event(), CSV, ".csv"),
        (CLOUD, cloud_event(1), EVENT, ".json"),
        (EVENTS, json_record(), "application/json", ".json"),
    ],
)
def test_the_original_is_handed_out_as_what_it_is(client, admin_client, spec, content, media_type, name):
    usage_import = taken(send(client, feed_of(spec), content, media_type), 1)
    answer = admin_client.get(reverse("admin:ingestion_usageimport_payload", args=[usage_import.pk]))
    assert answer["Content-Disposition"] == f'attachment; filename="{usage_import.tracking_id}{name}"'
    assert b"".join(answer.streaming_content) == content.encode()


def test_the_page_of_an_import_shows_how_its_body_began(client, admin_client):
    for spec, content, media_type in BODIES:
        usage_import = taken(send(client, feed_of(spec), content, media_type), 2)
        page = admin_client.get(reverse("admin:ingestion_usageimport_change", args=[usage_import.pk])).content.decode()
        assert f"Sent as {media_type.partition(';')[0].lower()}." in page
        assert BIG in page


# Amendments


def test_usage_is_amended_by_lines(client):
    feed = feed_of(BY_EVENT)
    taken(send(client, feed, f"{event('e1', '1')}\n", CSV), 1)
    amended = send(client, feed, f"{event('e1', '2')}\n", CSV, path="usage/amend?reason=measured%20wrong")
    assert counts(taken(amended, 1))[:2] == ("completed", 1)
    assert "2.000000" in values()
    refused(send(client, feed, json_record(), NDJSON, path="usage/amend?reason=x"), 415, "unsupported_media_type")


def test_usage_is_sent_into_a_backfill_by_lines():
    client = client_of(*EVERYTHING, "ingestion.backfill_usage", "ingestion.view_backfill")
    feed = feed_of(BY_EVENT)
    window = {"starts_at": "2026-04-01T00:00:00Z", "ends_at": "2026-05-01T00:00:00Z", "reason": "lost"}
    backfill = client.post(f"/api/v1/feeds/{feed.pk}/backfills", window, format="json").json()["tracking_id"]
    line = event("e1", "7", date="2026-04-02T10:00:00Z")
    path, key = f"usage?backfill={backfill}", {"Idempotency-Key": "k"}
    first = send(client, feed, f"{line}\n", CSV, path=path, **key)
    packed = gzip.compress(f"{line}\n".encode())
    assert first.json() == send(client, feed, packed, CSV, path=path, **key, **{"Content-Encoding": "gzip"}).json()
    rows = json.dumps({"data": [line]})
    refused(send(client, feed, rows, "application/json", path=path, **key), 422, "idempotency_key_reused")
    taken(first, 1)
    assert client.post(f"/api/v1/backfills/{backfill}/close").status_code == 202
    while services.backfill_next(now=timezone.now()):
        work(timezone.now())
    assert values() == ["7.000000"]


def test_lines_that_wait_for_a_second_person_come_back_as_they_were():
    for body, shape in ((b"\xe4,\0\r\n", "csv"), ('{"a": "ä"}'.encode(), "ndjson"), (b"{}", "json")):
        told = json.loads(json.dumps(told_body(body, shape)))
        assert services.body_told(told) == (body, shape)
    assert services.body_told({"body": "{}"}) == (b"{}", "json")


def test_nothing_is_told_to_strangers(client):
    answer = APIClient().generic("POST", f"/api/v1/feeds/{feed_of().pk}/usage", b"x", "text/plain")
    assert (answer.status_code, answer["Content-Type"]) == (401, PROBLEM)
    assert "Accept-Post" not in answer
    assert ImportBody.objects.count() == 0
