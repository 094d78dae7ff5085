"""A file over HTTP: at once or in parts, with the way breaking in between, and every refusal."""

import base64
import hashlib
import io
import json
import re
import threading
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from ingestion import services
from ingestion.api import files
from ingestion.models import FileUpload, UploadPart, UsageImport

from .factories import counts, event, feed_of, filed, in_threads, user_with, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
SEND = "ingestion.add_usageimport"
CONTENT = "".join(f"{event(who=f'e{number}')}\n" for number in range(1, 8)).encode()
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
README = Path(settings.BASE_DIR, "ingestion", "README.md").read_text()
EXAMPLE = json.loads(re.search(r"```json file taken\n(.*?)```", README, re.DOTALL)[1])


class Sender:
    """Somebody with a client of his own, who sends a file into a feed."""

    def __init__(self, feed=None, user=None, name="may.csv"):
        self.feed, self.user = feed or feed_of(), user or user_with(SEND)
        self.url = reverse("api:file", args=[self.feed.api_name, name])
        self.client = APIClient(raise_request_exception=False)
        self.client.force_authenticate(self.user)

    def put(self, content=CONTENT, start=None, total=SIZE, **headers):
        if start is not None:
            headers["Content-Range"] = f"bytes {start}-{start + len(content) - 1}/{total}"
        return self.client.generic("PUT", self.url, content, "text/csv", headers=_named(headers))

    def broken(self, content, promised, **headers):
        """A request whose connection breaks before all that it promised has come."""
        return self.client.generic(
            "PUT",
            self.url,
            headers=_named(headers),
            CONTENT_LENGTH=str(promised),
            **{"wsgi.input": io.BytesIO(content)},
        )

    def finish(self):
        return self.client.generic("PUT", self.url, headers={"Content-Range": f"bytes */{SIZE}"})


def _named(headers):
    return {name.replace("_", "-"): text for name, text in headers.items()}


def told(answer):
    """(status, code) of a problem."""
    assert answer["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def field_of(content):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def stored():
    folders = default_storage.listdir("uploads")[0] if default_storage.exists("uploads") else []
    return [name for folder in folders for name in default_storage.listdir(f"uploads/{folder}")[1]]


@pytest.fixture(autouse=True)
def apart(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)


def test_a_file_that_is_sent_at_once_is_an_import(django_capture_on_commit_callbacks):
    sender = Sender(feed_of(api_name="calls"))
    with django_capture_on_commit_callbacks(execute=True):
        answer = sender.put()
    assert answer.status_code == 202
    usage_import = UsageImport.objects.get()
    said = json.dumps(EXAMPLE).replace(EXAMPLE["tracking_id"], str(usage_import.tracking_id))
    expected = json.loads(said.replace("https://\\u2026", "http://testserver"))
    assert answer.json() == expected
    assert (usage_import.source, usage_import.received_by) == ("upload", sender.user)
    assert not FileUpload.objects.exists()
    assert not stored()
    work()
    assert counts(usage_import) == ("completed", 7, 0, 0, 0)


def test_a_file_comes_in_parts_and_says_how_far_it_has_come():
    sender = Sender()
    assert told(sender.client.get(sender.url)) == (404, "no_upload")
    first = sender.put(CONTENT[:100], 0)
    assert (first.status_code, first["Range"], first.content) == (204, "bytes=0-99", b"")
    asked = sender.client.get(sender.url)
    assert asked["Range"] == "bytes=0-99"
    assert asked.json().items() >= {"status": "on_its_way", "received_size": 100, "total_size": SIZE}.items()
    last = sender.put(CONTENT[100:], 100)
    assert last.status_code == 202
    assert (last.json()["content_hash"], UsageImport.objects.get().byte_size) == (SHA256, SIZE)


def test_a_part_larger_than_what_is_held_in_memory_is_kept_in_several(monkeypatch):
    monkeypatch.setattr(files, "PART_BYTES", 50)
    sender = Sender()
    sender.put(CONTENT[:120], 0)
    assert list(UploadPart.objects.order_by("byte_start").values_list("byte_start", flat=True)) == [0, 50, 100]
    assert sender.put(CONTENT[120:], 120).json()["content_hash"] == SHA256


def test_after_a_broken_connection_the_sender_goes_on_where_it_broke():
    sender = Sender()
    broken = sender.broken(CONTENT[:130], SIZE)
    assert (told(broken), broken["Range"]) == ((408, "incomplete_body"), "bytes=0-129")
    assert sender.client.head(sender.url)["Range"] == "bytes=0-129"
    assert sender.put(CONTENT[130:], 130).json()["content_hash"] == SHA256


def test_a_broken_part_with_a_digest_of_its_own_is_not_kept_since_it_cannot_be_checked():
    sender = Sender()
    sender.put(CONTENT[:50], 0, Content_Digest=field_of(CONTENT[:50]))
    broken = sender.broken(
        CONTENT[50:90], 100, Content_Range=f"bytes 50-149/{SIZE}", Content_Digest=field_of(CONTENT[50:150])
    )
    assert broken["Range"] == "bytes=0-49"
    assert len(stored()) == 1


def test_a_part_that_is_not_what_its_digest_says_is_refused_and_can_be_sent_again():
    sender = Sender()
    sender.put(CONTENT[:50], 0)
    wrong = sender.put(CONTENT[50:], 50, Content_Digest=field_of(b"other"))
    assert (told(wrong), wrong["Range"]) == ((422, "digest_mismatch"), "bytes=0-49")
    assert sender.put(CONTENT[50:], 50, Content_Digest=field_of(CONTENT[50:])).status_code == 202


@pytest.mark.parametrize(
    "header", [{"X-Content-SHA256": "0" * 64}, {"Repr-Digest": field_of(b"x")}, {"Content-Digest": field_of(b"x")}]
)
def test_a_file_that_is_not_what_its_digest_says_is_refused_as_a_whole(header, django_capture_on_commit_callbacks):
    sender = Sender()
    with django_capture_on_commit_callbacks(execute=True):
        assert told(sender.put(**header)) == (422, "digest_mismatch")
    assert not UsageImport.objects.exists()
    assert not FileUpload.objects.exists()
    assert not stored()


def test_the_right_digests_are_taken():
    assert Sender().put(X_Content_SHA256=SHA256.upper(), Content_Digest=field_of(CONTENT)).status_code == 202


@pytest.mark.parametrize("start", [10, 90, 110])
def test_other_bytes_than_the_next_are_refused_with_the_place_to_go_on(start):
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    answer = sender.put(CONTENT[start : start + 20], start)
    assert (told(answer), answer["Range"]) == ((416, "not_the_next_bytes"), "bytes=0-99")


def test_a_file_begins_with_its_first_byte():
    answer = Sender().put(CONTENT[100:], 100)
    assert told(answer) == (416, "not_the_next_bytes")
    assert "Range" not in answer


def test_whoever_begins_again_gives_up_what_was_there(django_capture_on_commit_callbacks):
    sender = Sender()
    with django_capture_on_commit_callbacks(execute=True):
        sender.put(b"x" * 100, 0, total=500)
        sender.put(CONTENT[:60], 0)
    assert FileUpload.objects.get().received_size == 60
    assert len(stored()) == 1
    assert sender.put(CONTENT[60:], 60).json()["content_hash"] == SHA256


def test_the_rest_of_another_file_is_refused():
    sender = Sender()
    sender.put(CONTENT[:100], 0, X_Content_SHA256=SHA256)
    assert told(sender.put(CONTENT[100:], 100, total=SIZE + 1)) == (409, "another_file")
    assert told(sender.put(CONTENT[100:], 100, X_Content_SHA256="0" * 64)) == (409, "another_file")
    assert sender.put(CONTENT[100:], 100).status_code == 202


def test_a_digest_of_the_whole_file_may_be_said_first_with_its_last_part(django_capture_on_commit_callbacks):
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    assert sender.put(CONTENT[100:], 100, Repr_Digest=field_of(CONTENT)).json()["content_hash"] == SHA256
    other = Sender(name="june.csv")
    other.put(CONTENT[:100], 0)
    with django_capture_on_commit_callbacks(execute=True):
        assert told(other.put(CONTENT[100:], 100, Repr_Digest=field_of(b"x"))) == (422, "digest_mismatch")
    assert FileUpload.objects.count() == 0


def test_a_digest_that_was_said_with_a_part_between_holds_for_the_file():
    sender = Sender()
    sender.put(CONTENT[:50], 0)
    sender.put(CONTENT[50:100], 50, X_Content_SHA256="0" * 64)
    assert told(sender.put(CONTENT[100:], 100, X_Content_SHA256=SHA256)) == (409, "another_file")
    assert told(sender.put(CONTENT[100:], 100)) == (422, "digest_mismatch")


def test_a_file_of_which_a_part_was_lost_is_not_taken(django_capture_on_commit_callbacks):
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    Path(UploadPart.objects.get().stored.path).write_bytes(b"")
    with django_capture_on_commit_callbacks(execute=True):
        answer = sender.put(CONTENT[100:], 100)
    assert told(answer) == (422, "digest_mismatch")
    assert answer.json()["detail"] == (
        f"may.csv has {SIZE - 100} bytes here, not {SIZE}: a part of it was lost. Send it again from its start."
    )
    assert not UsageImport.objects.exists()
    assert not FileUpload.objects.exists()
    assert sender.put().status_code == 202


def test_a_file_of_which_a_part_is_not_there_is_not_taken(django_capture_on_commit_callbacks):
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    Path(UploadPart.objects.get().stored.path).unlink()
    with django_capture_on_commit_callbacks(execute=True):
        assert told(sender.put(CONTENT[100:], 100)) == (422, "digest_mismatch")
    assert not FileUpload.objects.exists()


def test_a_second_request_that_sends_at_the_same_time_is_refused_clearly():
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    with services.hold_upload(**_held(sender)):
        answer = sender.put(CONTENT[100:], 100)
        assert (told(answer), answer["Retry-After"]) == ((409, "upload_busy"), "5")
        assert answer.json()["detail"] == (
            "Another request sends bytes of may.csv right now. Send parts one after the other."
        )
        # The host of whoever held it has vanished, which the server does not know: after its time anybody may go on.
        FileUpload.objects.update(held_until=timezone.now() - timedelta(seconds=1))
        assert sender.put(CONTENT[100:], 100).status_code == 202


@pytest.mark.parametrize("hold", [services.uploads.HOLD, services.uploads.HOLD_TO_FINISH])
def test_what_a_process_held_that_died_can_be_gone_on_with_at_once(hold):
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    FileUpload.objects.update(holder=uuid4(), held_until=timezone.now() + hold)
    assert sender.put(CONTENT[100:], 100).status_code == 202


def test_an_upload_that_somebody_sends_is_not_given_up(django_capture_on_commit_callbacks):
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    with services.hold_upload(**_held(sender)):
        answer = sender.client.delete(sender.url)
        assert (told(answer), answer["Retry-After"]) == ((409, "upload_busy"), "5")
    with django_capture_on_commit_callbacks(execute=True):
        assert sender.client.delete(sender.url).status_code == 204
    assert not stored()


def while_it_is_made_an_import(monkeypatch, act):
    """Let something happen when all bytes are there, and before they are read."""
    receive = services.receive_file

    def late(**given):
        act()
        return receive(**given)

    monkeypatch.setattr("ingestion.services.uploads.receive_file", late)


def test_a_file_that_is_made_an_import_is_not_given_up_and_says_so(monkeypatch):
    sender, answers = Sender(), []
    while_it_is_made_an_import(monkeypatch, lambda: answers.append(sender.client.delete(sender.url)))
    assert sender.put().status_code == 202
    assert told(answers[0]) == (409, "upload_busy")
    assert answers[0].json()["detail"] == (
        "All of may.csv is here, and another request makes an import of it right now."
    )


def test_who_was_overtaken_when_all_was_there_is_told_so(monkeypatch):
    sender = Sender()

    def overtake():
        [part] = UploadPart.objects.all()
        Path(part.stored.path).unlink()
        FileUpload.objects.update(holder=uuid4())

    while_it_is_made_an_import(monkeypatch, overtake)
    assert told(sender.put()) == (409, "upload_busy")
    assert FileUpload.objects.exists()
    assert not UsageImport.objects.exists()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_several_that_send_the_same_bytes_at_once_one_is_taken():
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    seen = []
    all_have_tried = threading.Barrier(4, timeout=30)

    def hold():
        try:
            with services.hold_upload(**_held(sender)) as upload:
                seen.append(upload.holder)
                all_have_tried.wait()
        except services.UnableToUpload as refusal:
            seen.append(refusal.code)
            all_have_tried.wait()

    assert in_threads(hold, 4) == []
    assert seen.count("upload_busy") == 3


def _held(sender):
    return {
        "feed": sender.feed,
        "file_name": "may.csv",
        "span": files.Span(100, SIZE, SIZE),
        "content_hash": "",
        "by": sender.user,
        "now": timezone.now(),
        "most_bytes": 1_000,
    }


def test_who_lost_his_hold_adds_nothing():
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    later = _held(sender) | {"now": timezone.now() + 2 * services.uploads.HOLD}
    with ExitStack() as at_last:
        with services.hold_upload(**_held(sender)) as slow:
            fast = at_last.enter_context(services.hold_upload(**later))
            with pytest.raises(services.UnableToUpload, match="took may"):
                services.keep_bytes(upload=slow, content=b"x", now=timezone.now())
            with pytest.raises(services.UnableToUpload, match="took may"):
                services.finish_upload(upload=slow, now=timezone.now())
        assert len(stored()) == 1
        fast.refresh_from_db()
        assert fast.holder is not None


def test_the_same_file_of_the_same_sender_is_answered_with_its_import():
    sender = Sender()
    first = sender.put()
    again = sender.put()
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    assert UsageImport.objects.count() == 1
    taken = sender.client.get(sender.url)
    assert (taken.json()["status"], taken["X-Content-SHA256"]) == ("taken", SHA256)


def test_the_same_file_by_another_name_or_another_door_is_refused_with_a_link_to_the_first():
    feed = feed_of()
    first = filed(feed, CONTENT)
    answer = Sender(feed).put()
    assert told(answer) == (409, "same_file")
    assert answer.json()["links"]["import"].endswith(str(first.tracking_id))
    assert not FileUpload.objects.exists()


def test_a_whole_file_that_could_not_be_received_can_be_finished_later(monkeypatch):
    sender = Sender()
    refusal = services.UnableToReceive("profile_not_active", "No active version.")
    with monkeypatch.context() as patched:
        patched.setattr("ingestion.services.uploads.receive_file", lambda **_: (_ for _ in ()).throw(refusal))
        assert told(sender.put()) == (409, "profile_not_active")
    assert sender.client.head(sender.url)["Range"] == f"bytes=0-{SIZE - 1}"
    assert sender.finish().status_code == 202


def test_what_is_not_whole_cannot_be_finished():
    sender = Sender()
    assert told(sender.finish()) == (416, "not_the_next_bytes")
    sender.put(CONTENT[:100], 0)
    answer = sender.finish()
    assert (told(answer), answer["Range"]) == ((416, "not_the_next_bytes"), "bytes=0-99")


def test_an_upload_is_given_up_by_its_sender(django_capture_on_commit_callbacks):
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    with django_capture_on_commit_callbacks(execute=True):
        assert sender.client.delete(sender.url).status_code == 204
    assert not stored()
    assert told(sender.client.delete(sender.url)) == (404, "no_upload")


def test_an_upload_that_nobody_goes_on_with_is_forgotten_after_a_day(django_capture_on_commit_callbacks):
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    now = timezone.now()
    assert services.expire_uploads(now=now) == 0
    with django_capture_on_commit_callbacks(execute=True):
        assert services.expire_uploads(now=now + timedelta(hours=25)) == 1
    assert not stored()


def test_parts_of_no_upload_are_swept_away():
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    UploadPart.objects.all().delete()
    FileUpload.objects.all().delete()
    services.expire_uploads(now=timezone.now())
    assert not stored()


def test_two_senders_may_use_the_same_name():
    feed = feed_of()
    one, two = Sender(feed), Sender(feed)
    one.put(CONTENT[:100], 0)
    assert told(two.client.get(two.url)) == (404, "no_upload")
    assert two.put(b"2026-05-02T10:00:00Z,other,1,calls\n").status_code == 202
    assert one.put(CONTENT[100:], 100).status_code == 202


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content-Range": "bytes 0-9/5"}, (400, "bad_header")),
        ({"Content-Digest": "sha-256=x"}, (400, "bad_header")),
        ({"X-Content-SHA256": "x"}, (400, "bad_header")),
        ({"Content-Encoding": "gzip"}, (415, "unsupported_encoding")),
        ({"Content-Length": "", "Transfer-Encoding": "chunked"}, (411, "length_required")),
    ],
)
def test_headers_that_cannot_be_followed_are_refused(headers, expected):
    assert told(Sender().put(**headers)) == expected
    assert not FileUpload.objects.exists()


def test_a_file_without_bytes_or_with_too_many_is_refused(settings):
    assert told(Sender().put(b"")) == (400, "empty_file")
    settings.MAX_FILE_BYTES = SIZE - 1
    assert told(Sender(name="b.csv").put()) == (413, "too_large")


def test_names_that_no_file_may_have_are_refused():
    assert told(Sender(name="a\0b").put()) == (400, "bad_file_name")


def test_a_sender_has_a_bounded_number_of_files_on_their_way(monkeypatch):
    monkeypatch.setattr("ingestion.services.uploads.MOST_OPEN", 1)
    sender = Sender()
    sender.put(CONTENT[:100], 0)
    other = Sender(sender.feed, sender.user, name="june.csv")
    assert told(other.put(CONTENT[:100], 0)) == (409, "too_many_uploads")


def test_a_disabled_feed_takes_no_bytes():
    assert told(Sender(feed_of(is_enabled=False)).put()) == (409, "feed_disabled")


def test_while_somebody_else_sends_the_server_says_when_to_come_again():
    sender = Sender()
    assert files._senders.acquire(blocking=False)
    try:
        answer = sender.put()
    finally:
        files._senders.release()
    assert (told(answer), answer["Retry-After"]) == ((503, "uploads_busy"), "5")
    assert sender.put().status_code == 202


def test_only_who_may_send_into_the_feed_opens_the_address():
    feed = feed_of()
    assert told(Sender(feed, user_with()).put()) == (403, "permission_denied")
    assert told(Sender(feed, user_with(SEND, feeds=[feed_of()])).put()) == (404, "unknown_feed")
    assert Sender(feed, user_with(SEND, feeds=[feed])).put().status_code == 202
    sender = Sender(feed)
    sender.client.force_authenticate(None)
    assert told(sender.put()) == (401, "not_authenticated")
