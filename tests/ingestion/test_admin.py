"""What people do with imports and their exceptions in the admin: uploads, corrections, write-offs, reprocessing."""

import csv
import io
import json
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from ingestion import services
from ingestion.models import Feed, ImportException, UsageImport
from mediation.models import DataProfile, ProfileVersion, Udr, UdrBatch, UsageClass
from tests.config.crowd import do, person

IMPORTS, EXCEPTIONS = "ingestion_usageimport", "ingestion_importexception"
SEE_IMPORTS, SEE_EXCEPTIONS = "ingestion.view_usageimport", "ingestion.view_importexception"
SPEC = {
    "format": {"kind": "delimited", "columns": ["at", "who", "what", "much"]},
    "fields": {
        "Date": {"source": "at"},
        "UdrUsageIdentifier": {"source": "who"},
        "UsageClassName": {"source": "what"},
        "Value": {"source": "much"},
    },
}
GOOD = b"2026-11-01T10:00:00Z,4361,data,10\n"
BAD = b"2026-11-01T11:00:00Z,4361,data,1e5\n"

pytestmark = pytest.mark.django_db


@pytest.fixture
def feed():
    UsageClass.objects.create(name="data")
    profile = DataProfile.objects.create(name="Four columns")
    ProfileVersion.objects.create(profile=profile, number=1, status="active", spec=SPEC)
    return Feed.objects.create(name="Core", api_name="core", profile=profile)


def mediated(feed, content=GOOD + BAD):
    """An import of one good and one bad record that has been through mediation."""
    name = SimpleUploadedFile("may.csv", content)
    taken = services.receive_file(
        feed=feed, stream=name, file_name="may.csv", source="upload", by=None, now=timezone.now()
    )
    work()
    taken.refresh_from_db()
    return taken


def work():
    now = timezone.now()
    while services.plan_next_import(now=now) or services.mediate_next_chunks(now=now):
        pass
    services.retry_next_exceptions(now=now)


def upload(client, feed, content=GOOD, **answers):
    url = reverse("admin:ingestion_feed_upload", args=[feed.pk])
    return client.post(url, {"file": SimpleUploadedFile("may.csv", content), **answers}, follow=True)


def test_an_uploaded_file_becomes_an_import(feed):
    client = person("ingestion.add_usageimport", SEE_IMPORTS)
    page = upload(client, feed).content.decode()
    assert "The file may.csv is received" in page
    assert UsageImport.objects.get().source == "upload"


def test_the_same_file_is_refused_with_a_link_to_the_first_unless_insisted(feed, admin_client):
    upload(admin_client, feed)
    first = UsageImport.objects.get()
    page = upload(admin_client, feed).content.decode()
    assert "had this very file before" in page
    assert f'href="/admin/ingestion/usageimport/{first.pk}/change/"' in page
    upload(admin_client, feed, allow_repeat="on")
    assert UsageImport.objects.count() == 2


def test_a_disabled_feed_refuses_an_upload_and_says_so(feed, admin_client):
    Feed.objects.update(is_enabled=False)
    assert "is disabled" in upload(admin_client, feed).content.decode()


def test_an_upload_needs_its_permission(feed):
    assert upload(person("ingestion.change_feed", SEE_IMPORTS), feed).status_code == 403


def test_a_completed_import_is_read_again(feed):
    taken = mediated(feed)
    page = do(person(SEE_IMPORTS, "ingestion.reprocess_usageimport"), IMPORTS, "reprocess", taken.pk, is_confirmed="1")
    assert "1 import will be read again" in page
    taken.refresh_from_db()
    assert taken.attempt == 2


def test_reading_again_says_first_what_will_happen(feed, admin_client):
    taken = mediated(feed)
    UdrBatch.objects.update(status="rated")
    page = do(admin_client, IMPORTS, "reprocess", taken.pk)
    assert "2 records will be read again" in page
    assert "what is active now: Four columns v1" in page
    assert "The charges of 1 UDR will be reversed" in page
    taken.refresh_from_db()
    assert taken.attempt == 1


def test_an_import_at_work_is_not_read_again(feed, admin_client):
    upload(admin_client, feed)
    page = do(admin_client, IMPORTS, "reprocess", UsageImport.objects.get().pk, is_confirmed="1")
    assert "have not ended" in page


def test_reading_again_needs_its_permission(feed):
    taken = mediated(feed)
    do(person(SEE_IMPORTS), IMPORTS, "reprocess", taken.pk, is_confirmed="1")
    taken.refresh_from_db()
    assert taken.attempt == 1


def test_while_it_is_read_again_the_attempt_before_counts_and_the_page_says_so(feed, admin_client):
    taken = mediated(feed)
    url = reverse(f"admin:{IMPORTS}_change", args=[taken.pk])
    assert "still counts" not in admin_client.get(url).content.decode()
    page = do(admin_client, IMPORTS, "reprocess", taken.pk, is_confirmed="1", _from_object="1")
    assert "<strong>Attempt 1 still counts</strong> until attempt 2 is complete: 1 imported, 1 exceptions." in page
    work()
    page = admin_client.get(url).content.decode()
    assert "still counts" not in page
    assert '<th scope="row">2 <strong>counts</strong></th>' in page


def test_trying_errored_work_again_says_when_there_is_none(feed, admin_client):
    assert "nothing was changed" in do(admin_client, IMPORTS, "retry_errored", mediated(feed).pk)


def test_errored_work_is_tried_again(feed, admin_client):
    taken = mediated(feed)
    UsageImport.objects.update(status="errored", error="Traceback")
    taken.chunks.update(status="errored")
    assert "1 import will be tried again" in do(admin_client, IMPORTS, "retry_errored", taken.pk)


def test_the_page_of_an_import_shows_its_outcomes_and_leads_to_its_exceptions(feed, admin_client):
    taken = mediated(feed)
    page = admin_client.get(reverse(f"admin:{IMPORTS}_change", args=[taken.pk])).content.decode()
    assert "1 imported, 1 exceptions" in page
    assert f"/admin/ingestion/importexception/?usage_import={taken.pk}" in page
    assert "data-progress-url" not in page


def test_an_import_at_work_tells_its_progress(feed, admin_client):
    upload(admin_client, feed)
    taken = UsageImport.objects.get()
    assert "data-progress-url" in admin_client.get(reverse(f"admin:{IMPORTS}_change", args=[taken.pk])).content.decode()
    url = reverse(f"admin:{IMPORTS}_progress", args=[taken.pk])
    assert json.loads(admin_client.get(url).content)["at_rest"] is False
    work()
    told = json.loads(admin_client.get(url).content)
    assert told["at_rest"] is True
    assert "1 imported" in told["html"]


def test_the_page_after_an_upload_follows_the_import_until_it_has_ended(feed, admin_client):
    page = upload(admin_client, feed).content.decode()
    assert "data-progress-url" in page
    assert 'http-equiv="refresh"' in page
    work()
    page = admin_client.get(reverse(f"admin:{IMPORTS}_change", args=[UsageImport.objects.get().pk])).content.decode()
    assert 'http-equiv="refresh"' not in page


def test_progress_and_payload_need_the_view_permission(feed):
    taken = mediated(feed)
    client = person()
    for page in ("progress", "payload"):
        assert client.get(reverse(f"admin:{IMPORTS}_{page}", args=[taken.pk])).status_code == 403


def test_the_original_is_downloaded_as_it_came(feed, admin_client):
    taken = mediated(feed)
    response = admin_client.get(reverse(f"admin:{IMPORTS}_payload", args=[taken.pk]))
    assert b"".join(response.streaming_content) == GOOD + BAD
    assert response["Content-Disposition"] == 'attachment; filename="may.csv"'


def correct(client, exception, **answers):
    return client.post(reverse(f"admin:{EXCEPTIONS}_correct", args=[exception.pk]), answers, follow=True)


def test_a_corrected_record_becomes_a_udr(feed):
    exception = mediated(feed).exceptions.get()
    client = person(SEE_EXCEPTIONS, "ingestion.correct_importexception")
    page = correct(client, exception, raw=BAD.decode().strip().replace("1e5", "100000"), reason="exponent")
    assert "The correction is kept" in page.content.decode()
    work()
    exception.refresh_from_db()
    assert exception.status == "resolved"
    assert Udr.objects.filter(value=100000).exists()


def test_a_resolved_exception_leads_to_its_udr_and_says_who_corrected_it(feed, admin_client):
    exception = mediated(feed).exceptions.get()
    client = person(SEE_EXCEPTIONS, "ingestion.correct_importexception", "mediation.view_udr")
    correct(client, exception, raw=BAD.decode().strip().replace("1e5", "100000"), reason="exponent")
    work()
    page = client.get(reverse(f"admin:{EXCEPTIONS}_change", args=[exception.pk])).content.decode()
    corrector = exception.revisions.get().created_by
    assert f"{corrector} at <time" in page
    address = reverse("admin:mediation_udr_changelist") + f"?import_id={exception.usage_import_id}&record_number=2"
    assert address.replace("&", "&amp;") in page
    assert [udr.value for udr in admin_client.get(address).context["cl"].result_list] == [100000]


def test_the_form_of_a_correction_holds_the_latest_text(feed, admin_client):
    exception = mediated(feed).exceptions.get()
    correct(admin_client, exception, raw="still,wrong", reason="first try")
    work()
    page = admin_client.get(reverse(f"admin:{EXCEPTIONS}_correct", args=[exception.pk])).content.decode()
    assert "still,wrong" in page


def test_a_correction_keeps_the_line_ends_of_the_record(feed, admin_client):
    exception = mediated(feed).exceptions.get()
    correct(admin_client, exception, raw='a,"b\r\nc",d,1', reason="as browsers send it")
    assert exception.revisions.get().raw == 'a,"b\nc",d,1'


def test_a_closed_exception_takes_no_correction(feed, admin_client):
    exception = mediated(feed).exceptions.get()
    ImportException.objects.update(status="resolved")
    page = correct(admin_client, exception, raw="a,b,c,1", reason="late").content.decode()
    assert "only open ones can be corrected" in page


def test_a_correction_needs_a_reason_and_its_permission(feed, admin_client):
    exception = mediated(feed).exceptions.get()
    assert "This field is required" in correct(admin_client, exception, raw="a,b,c,1", reason="").content.decode()
    assert correct(person(SEE_EXCEPTIONS), exception, raw="a,b,c,1", reason="x").status_code == 403
    assert not exception.revisions.exists()


def test_exceptions_are_mediated_again(feed):
    exception = mediated(feed).exceptions.get()
    client = person(SEE_EXCEPTIONS, "ingestion.reprocess_importexception")
    assert "1 record will be mediated again" in do(client, EXCEPTIONS, "reprocess", exception.pk)


def test_mediating_again_says_when_nothing_is_open(feed, admin_client):
    exception = mediated(feed).exceptions.get()
    ImportException.objects.update(status="resolved")
    assert "nothing was changed" in do(admin_client, EXCEPTIONS, "reprocess", exception.pk)


def test_mediating_again_needs_its_permission(feed):
    exception = mediated(feed).exceptions.get()
    do(person(SEE_EXCEPTIONS), EXCEPTIONS, "reprocess", exception.pk)
    exception.refresh_from_db()
    assert exception.status == "open"


def test_a_write_off_asks_for_a_reason_first(feed, admin_client):
    exception = mediated(feed).exceptions.get()
    page = do(admin_client, EXCEPTIONS, "write_off", exception.pk)
    assert "<strong>1</strong> import exception" in page
    assert "A reason is needed" in do(admin_client, EXCEPTIONS, "write_off", exception.pk, reason="  ")
    exception.refresh_from_db()
    assert exception.status == "open"


def test_a_write_off_keeps_its_reason(feed):
    exception = mediated(feed).exceptions.get()
    client = person(SEE_EXCEPTIONS, "ingestion.writeoff_importexception")
    assert "1 record written off" in do(client, EXCEPTIONS, "write_off", exception.pk, reason="a test call")
    exception.refresh_from_db()
    assert (exception.status, exception.close_reason) == ("written_off", "a test call")


def test_a_write_off_reaches_all_that_the_filter_shows_and_nothing_else(feed, admin_client):
    three = b"2026-11-01T11:00:00Z,4361,%s,1e5\n"
    mediated(feed, b"".join(three % name for name in (b"data", b"data", b"data")) + b"only,two\n")
    first = ImportException.objects.filter(code="bad_number").first()
    page = do(
        admin_client,
        EXCEPTIONS,
        "write_off",
        first.pk,
        query="?code=bad_number",
        select_across="1",
        reason="all of them",
    )
    assert "3 records written off" in page
    assert ImportException.objects.get(status="open").code == "too_few_columns"


def test_a_write_off_needs_its_permission(feed):
    exception = mediated(feed).exceptions.get()
    do(person(SEE_EXCEPTIONS), EXCEPTIONS, "write_off", exception.pk, reason="none of my business")
    exception.refresh_from_db()
    assert exception.status == "open"


def test_a_button_on_the_page_of_an_object_leads_back_to_it(feed, admin_client):
    exception = mediated(feed).exceptions.get()
    chosen = {"action": "reprocess", "_selected_action": exception.pk, "index": "0", "_from_object": "1"}
    response = admin_client.post(reverse(f"admin:{EXCEPTIONS}_changelist"), chosen)
    assert response["Location"] == reverse(f"admin:{EXCEPTIONS}_change", args=[exception.pk])


def test_a_record_is_shown_escaped_and_with_its_control_characters_visible(feed, admin_client):
    exception = mediated(feed).exceptions.get()
    ImportException.objects.update(raw="<script>alert(1)</script>\x01")
    page = admin_client.get(reverse(f"admin:{EXCEPTIONS}_change", args=[exception.pk])).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;␁" in page


def test_an_import_that_is_not_there_is_not_found(admin_client):
    assert admin_client.get(reverse(f"admin:{IMPORTS}_progress", args=[4711])).status_code == 404
    assert admin_client.get(f"/admin/ingestion/usageimport/{uuid.uuid4()}/change/").status_code == 302


def test_the_history_is_exported_with_what_rating_made_of_it(feed, admin_client):
    mediated(feed)
    UdrBatch.objects.update(status="rated", uncharged_count=1)
    response = admin_client.get(reverse(f"admin:{IMPORTS}_export"), {"spreadsheet": "1"})
    (row,) = csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode()))
    assert (row["feed"], row["record_count"], row["imported_count"]) == ("Core", "2", "1")
    assert (row["rated_count"], row["rating_exception_count"]) == ("0", "1")


def test_an_import_whose_udrs_were_not_rated_catches_the_eye_and_leads_to_them(feed, admin_client):
    taken = mediated(feed)
    address = f"/admin/rating/ratingexception/?import_id={taken.pk}&amp;status__exact=open"
    badge = f'<a class="badge badge-bad" href="{address}">1</a>'
    for page in (f"admin:{IMPORTS}_changelist", "admin:index"):
        UdrBatch.objects.update(status="rated", uncharged_count=0)
        assert badge not in admin_client.get(reverse(page)).content.decode()
        UdrBatch.objects.update(uncharged_count=1)
        assert badge in admin_client.get(reverse(page)).content.decode()
