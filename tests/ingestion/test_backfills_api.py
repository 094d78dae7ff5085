"""Backfills over HTTP and on the screens: the examples of the README as they stand, every refusal, who sees what."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from config.approving.deciding import approve
from config.approving.policy import KINDS
from config.models import Approval
from ingestion import services
from ingestion.models import Backfill, Feed, UsageImport
from mediation.models import Udr
from mediation.selectors import counting_udrs

from .factories import BY_EVENT, counts, event, feed_of, posted, user_with, work
from .test_parts import CALLS
from .test_voids_api import client_of, codes, example

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
MAY_BACKFILL = (
    "ingestion.backfill_usage",
    "ingestion.view_backfill",
    "ingestion.add_usageimport",
    "ingestion.view_usageimport",
)
APRIL = {"starts_at": "2026-04-01T00:00:00Z", "ends_at": "2026-05-01T00:00:00Z", "reason": "the switch lost calls"}


@pytest.fixture
def feed():
    return feed_of(BY_EVENT, api_name="calls")


@pytest.fixture
def client():
    return client_of(user_with(*MAY_BACKFILL))


def opened(client, feed="calls", **changed):
    return client.post(f"/api/v1/feeds/{feed}/backfills", APRIL | changed, format="json")


def send(client, backfill, *rows, feed="calls", **headers):
    address = f"/api/v1/feeds/{feed}/usage?backfill={backfill}"
    return client.post(address, {"data": list(rows)}, format="json", headers=headers)


def ask(client, verb, backfill):
    return client.post(f"/api/v1/backfills/{backfill}/{verb}")


def work_all():
    now = timezone.now()
    work(now)
    while services.backfill_next(now=now):
        work(now)


def april(who, value="10"):
    return event(who, value=value, date="2026-04-02T10:00:00Z")


def kept(feed):
    return {udr.udr_usage_identifier: int(udr.value) for udr in counting_udrs(Udr.objects.filter(feed_id=feed.pk))}


def test_the_walk_of_a_backfill_is_as_the_readme_says(feed, client):
    posted(feed, april("call-1"), april("call-2"), now=timezone.now())
    work_all()
    answer = client.post("/api/v1/feeds/calls/backfills", example("backfill request"), format="json")
    assert answer.status_code == 201
    said = example("backfill answer")
    backfill = answer.json()["tracking_id"]
    assert answer.json() == said | {name: answer.json()[name] for name in ("tracking_id", "opened_at")}
    assert send(client, backfill, april("call-1", "11"), april("call-3", "30")).status_code == 202
    work_all()
    assert kept(feed) == {"call-1": 10, "call-2": 10}
    told = client.get(f"/api/v1/backfills/{backfill}").json()
    wanted = example("backfill told")
    assert {name: told[name] for name in wanted} == wanted
    assert told["charges_to_reverse"] is None
    asked = ask(client, "close", backfill)
    assert (asked.status_code, asked.json()["status"]) == (202, "closing")
    work_all()
    assert kept(feed) == {"call-1": 11, "call-3": 30}
    told = client.get(asked.json()["links"]["backfill"]).json()
    assert (told["status"], told["udr_count"], told["replaced_count"]) == ("closed", 2, 2)
    assert told["difference"] == wanted["difference"]
    assert ask(client, "revert", backfill).status_code == 202
    work_all()
    assert kept(feed) == {"call-1": 10, "call-2": 10}
    [listed] = client.get("/api/v1/feeds/calls/backfills").json()["results"]
    assert (listed["tracking_id"], listed["status"], listed["restored_count"]) == (backfill, "reverted", 2)


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"ends_at": APRIL["starts_at"]}, 400, "bad_window"),
        ({"ends_at": "2999-01-01T00:00:00Z"}, 400, "bad_window"),
        ({"starts_at": "soon"}, 400, "invalid"),
        ({"reason": ""}, 400, "invalid"),
        ({"reason": "x" * 1_001}, 400, "invalid"),
        ({"window": 1}, 400, "invalid"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_its_place(feed, client, changed, status, code):
    refused = opened(client, **changed)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert codes(refused)
    assert not Backfill.objects.exists()


def test_a_window_that_another_unfinished_backfill_covers_is_refused(feed, client):
    assert opened(client).status_code == 201
    refused = opened(client, starts_at="2026-03-01T00:00:00Z", ends_at="2026-04-01T00:00:01Z")
    assert (refused.status_code, refused.json()["code"]) == (409, "backfill_overlaps")
    assert opened(client, starts_at="2026-03-01T00:00:00Z", ends_at="2026-04-01T00:00:00Z").status_code == 201


def test_feeds_that_cannot_take_a_backfill_say_so(client):
    disabled = feed_of(BY_EVENT, api_name="off", is_enabled=False)
    refused = opened(client, "off")
    assert (refused.status_code, refused.json()["code"]) == (409, "feed_disabled")
    feed_of(CALLS, api_name="bills")
    refused = opened(client, "bills")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_backfillable")
    assert opened(client, "nowhere").status_code == 404
    assert disabled.imports.count() == 0


def test_what_is_sent_into_no_backfill_of_the_feed_is_refused(feed, client):
    other = feed_of(BY_EVENT, api_name="other")
    backfill = opened(client).json()["tracking_id"]
    for said in ("x", "00000000-0000-0000-0000-000000000000"):
        refused = send(client, said, april("a"))
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown_backfill")
    assert send(client, backfill, april("a"), feed="other").status_code == 404
    ask(client, "abandon", backfill)
    refused = send(client, backfill, april("a"))
    assert (refused.status_code, refused.json()["code"]) == (409, "backfill_not_open")
    assert not UsageImport.objects.exists()
    work_all()
    assert other.imports.count() == 0


def test_a_repeat_is_answered_as_the_first_time_and_amendments_go_into_no_backfill(feed, client):
    backfill = opened(client).json()["tracking_id"]
    first, again = (send(client, backfill, april("a"), **{"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, first.json()) == (202, again.json())
    changed = send(client, backfill, april("a", "2"), **{"Idempotency-Key": "k"})
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")
    client.post("/api/v1/feeds/calls/usage", {"data": [april("a")]}, format="json")
    amended = client.post(f"/api/v1/feeds/calls/usage/amend?reason=x&backfill={backfill}", {"data": [april("a")]})
    assert amended.status_code in (400, 403)
    work_all()


@pytest.mark.parametrize("verb", ["close", "revert", "abandon"])
def test_acts_need_their_right_and_the_state_they_belong_to(feed, client, verb):
    backfill = opened(client).json()["tracking_id"]
    viewer = client_of(user_with("ingestion.view_backfill"))
    assert ask(viewer, verb, backfill).status_code == 403
    assert opened(viewer).status_code == 403
    assert send(client_of(user_with("ingestion.add_usageimport")), backfill, april("a")).status_code == 403
    stranger = client_of(user_with(*MAY_BACKFILL, feeds=[]))
    assert ask(stranger, verb, backfill).status_code == 404
    assert stranger.get(f"/api/v1/backfills/{backfill}").status_code == 404
    assert stranger.get("/api/v1/feeds/calls/backfills").status_code == 404
    ask(client, "abandon", backfill)
    work_all()
    refused = ask(client, verb, backfill)
    assert (refused.status_code, refused.json()["code"]) == (409, "bad_state")


def test_a_backfill_is_not_closed_before_its_imports_have_ended(feed, client):
    backfill = opened(client).json()["tracking_id"]
    send(client, backfill, april("a"))
    refused = ask(client, "close", backfill)
    assert (refused.status_code, refused.json()["code"]) == (409, "imports_under_way")
    work_all()
    assert ask(client, "close", backfill).status_code == 202
    work_all()
    assert kept(feed) == {"a": 10}


def test_closing_waits_for_a_second_person_where_the_setting_asks_for_one(feed, settings):
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    first, second = (user_with(*MAY_BACKFILL, "config.decide_approval", "config.view_approval") for _ in range(2))
    client = client_of(first)
    backfill = opened(client).json()["tracking_id"]
    send(client, backfill, april("a"))
    work_all()
    asked = ask(client, "close", backfill)
    assert (asked.status_code, asked.json()["code"]) == (409, "needs_second_person")
    assert Backfill.objects.get().status == "open"
    approve(approval=Approval.objects.get(), by=second, now=timezone.now())
    work_all()
    assert (Backfill.objects.get().status, kept(feed)) == ("closed", {"a": 10})


def test_the_screens_open_a_backfill_take_a_file_into_it_and_close_it(feed, admin_client):
    posted(feed, april("a"), now=timezone.now())
    work_all()
    page = admin_client.get(reverse("admin:ingestion_feed_backfill", args=[feed.pk]))
    assert page.status_code == 200
    form = {"starts_at": "2026-04-01T00:00:00", "ends_at": "2026-05-01T00:00:00", "reason": "lost calls"}
    faulty = admin_client.post(page.request["PATH_INFO"], form | {"ends_at": "2026-03-01T00:00:00"})
    assert "A window ends after it starts." in faulty.content.decode()
    admin_client.post(page.request["PATH_INFO"], form)
    backfill = Backfill.objects.get()
    assert abs(backfill.starts_at - datetime(2026, 4, 1, tzinfo=UTC)) < timedelta(days=1)
    upload = reverse("admin:ingestion_feed_upload", args=[feed.pk])
    assert "lost calls" in admin_client.get(f"{upload}?backfill={backfill.pk}").content.decode()
    file = SimpleUploadedFile("again.csv", f"{april('a', '11')}\n{april('b', '12')}\n".encode())
    admin_client.post(upload, {"file": file, "backfill": backfill.pk})
    usage_import = backfill.imports.get()
    work_all()
    assert counts(usage_import) == ("completed", 2, 0, 0, 0)
    seen = admin_client.get(reverse("admin:ingestion_backfill_change", args=[backfill.pk])).content.decode()
    assert "2 records in 1 import" in seen
    assert ">23<" in seen
    assert (
        str(backfill.tracking_id)
        in admin_client.get(reverse("admin:ingestion_usageimport_change", args=[usage_import.pk])).content.decode()
    )
    act(admin_client, "close", backfill)
    work_all()
    assert kept(feed) == {"a": 11, "b": 12}
    act(admin_client, "revert", backfill)
    work_all()
    assert kept(feed) == {"a": 10}
    assert admin_client.get(reverse("admin:ingestion_backfill_changelist")).status_code == 200
    refused = act(admin_client, "close", backfill)
    assert "only one that is open can be closed" in refused.content.decode()


def act(client, action, backfill):
    chosen = {"action": action, "_selected_action": [backfill.pk]}
    address = reverse("admin:ingestion_backfill_changelist")
    page = client.post(address, chosen)
    assert page.status_code == 200
    told = {"told_last": page.context["last"], "told_count": page.context["count"]}
    return client.post(address, chosen | {"is_confirmed": "1", **told}, follow=True)


def test_the_command_puts_a_file_into_a_backfill(feed, tmp_path):
    backfill = services.open_backfill(
        feed=feed,
        starts_at=datetime(2026, 4, 1, tzinfo=UTC),
        ends_at=datetime(2026, 5, 1, tzinfo=UTC),
        reason="lost",
        by=None,
        now=timezone.now(),
    )
    path = tmp_path / "again.csv"
    path.write_text(april("a") + "\n")
    call_command("import_file", "calls", str(path), backfill=backfill.tracking_id, wait=True)
    assert backfill.imports.get().imported_count == 1
    assert kept(feed) == {}
    Feed.objects.update(api_name="others")
    with pytest.raises(CommandError, match="has no backfill"):
        call_command("import_file", "others", str(path), backfill="00000000-0000-0000-0000-000000000000")
    with pytest.raises(CommandError, match="had this very file before"):
        call_command("import_file", "others", str(path), backfill=backfill.tracking_id)


def test_lists_and_pages_ask_the_same_questions_for_two_backfills_and_twenty(feed, client, admin_client):
    def questions():
        found = []
        for get, address in (
            (client.get, "/api/v1/feeds/calls/backfills"),
            (admin_client.get, reverse("admin:ingestion_backfill_changelist")),
        ):
            get(address)
            with CaptureQueriesContext(connection) as asked:
                get(address)
            found.append(len(asked))
        return found

    def open_some(first, after):
        for number in range(first, after):
            Backfill.objects.create(
                feed=feed,
                reason="x" * 900,
                starts_at=datetime(2026, 1, 1 + number, tzinfo=UTC),
                ends_at=datetime(2026, 1, 2 + number, tzinfo=UTC),
                opened_at=timezone.now(),
            )

    open_some(0, 2)
    few = questions()
    open_some(2, 20)
    assert questions() == few


def test_examples_of_the_readme_are_json():
    for name in ("backfill request", "backfill answer", "backfill told"):
        assert json.dumps(example(name))
