"""Senders that are remembered: accepted without asking again, and never once what they were accepted by has changed."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User, update_last_login
from django.db import connection, transaction
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from ingestion import selectors, services, store
from ingestion.api import regulars
from ingestion.models import Feed, FeedGrant, IdempotencyKey, ImportBody, ImportChunk, UsageImport
from ingestion.store import submissions
from mediation.models import DataProfile, ProfileVersion
from tests.mediation.profiles import document

from .factories import EVENTS, ProfileVersionFactory, event, feed_of, new_version, work
from .test_parts import BATCH, BILLS

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
MAY_SEND = "add_usageimport"
BODY = {"data": [event()]}
KEY = {"Idempotency-Key": "k"}


class Sender:
    """A user with a token who may send: by a permission of their own, by their group, or as a superuser."""

    def __init__(self, by="permission", days=1):
        self.user = User.objects.create_user(username=f"sender-{User.objects.count()}", is_superuser=by == "superuser")
        self.group = Group.objects.create(name=f"group-{Group.objects.count()}")
        permission = Permission.objects.get(codename=MAY_SEND)
        self.feed = feed_of()
        self.grant(self.feed)
        if by == "permission":
            self.user.user_permissions.add(permission)
        if by == "group":
            self.group.permissions.add(permission)
            self.user.groups.add(self.group)
        self.token, self.text = AuthToken.objects.create(user=self.user, expiry=timedelta(days=days))

    def post(self, body=BODY, feed=None, door="usage", **headers):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Token {self.text}")
        content = body if isinstance(body, bytes) else json.dumps(body)
        address = f"/api/v1/feeds/{feed or self.feed.api_name}/{door}"
        return client.post(address, content, content_type="application/json", headers=headers)

    def grant(self, feed):
        FeedGrant.objects.create(user=self.user, feed=feed)

    def is_known(self):
        key = regulars.key_of({"HTTP_AUTHORIZATION": f"Token {self.text}"}, self.feed.api_name)
        return regulars.find(key, timezone.now()) is not None


def warm(sender):
    """The sender, remembered."""
    assert sender.post().status_code == 202
    assert sender.is_known()
    return sender


def stored():
    return [model.objects.count() for model in (UsageImport, ImportBody, ImportChunk, IdempotencyKey)]


def sql(statement, *given):
    with connection.cursor() as cursor:
        cursor.execute(statement, given)


def test_who_is_known_is_accepted_in_one_statement_and_answered_as_before(monkeypatch, django_assert_num_queries):
    sender = Sender()
    before = sender.post()
    monkeypatch.setattr(services, "receive_usage", None)
    with django_assert_num_queries(0):  # the one statement goes past Django's cursors
        again = sender.post()
    assert again.status_code == 202
    assert dict(again.headers) == dict(before.headers) | {"X-Request-ID": again["X-Request-ID"]}
    first, second = before.json(), again.json()
    assert first.keys() == second.keys()
    assert first["links"].keys() == second["links"].keys()
    assert [first[name] for name in ("feed", "record_count", "status")] == [
        second[name] for name in ("feed", "record_count", "status")
    ]
    assert again.json()["links"]["import"].endswith(f"/api/v1/imports/{second['tracking_id']}")


def test_what_is_stored_for_who_is_known_is_what_is_stored_for_a_stranger():
    sender = Sender()
    for _ in range(2):
        sender.post(**{"Idempotency-Key": str(_)})

    def rows(model, *but):
        found = list(model.objects.order_by("pk").values())
        return [{name: value for name, value in row.items() if name not in but} for row in found]

    first, second = rows(UsageImport, "id", "tracking_id", "received_at", "request_id")
    assert first == second
    assert (first["received_by_id"], first["waiting_count"], first["source"]) == (sender.user.pk, 1, "api")
    for model, but in ((ImportBody, "usage_import_id"), (ImportChunk, "usage_import_id"), (IdempotencyKey, "key")):
        first, second = rows(model, "id", "usage_import_id", but)
        assert first == second
    work(now=timezone.now())
    assert [one.record_count for one in UsageImport.objects.filter(status="completed")] == [1, 1]


CHANGES = {
    "the token is deleted": ("permission", lambda s: s.token.delete(), 401),
    "the token is deleted by SQL": (
        "permission",
        lambda s: sql("DELETE FROM knox_authtoken WHERE user_id = %s", s.user.pk),
        401,
    ),
    "the token's end is moved": (
        "permission",
        lambda s: AuthToken.objects.filter(user=s.user).update(expiry=timezone.now() - timedelta(seconds=1)),
        401,
    ),
    "the user is disabled": ("permission", lambda s: User.objects.filter(pk=s.user.pk).update(is_active=False), 401),
    "the user is disabled by SQL": (
        "permission",
        lambda s: sql("UPDATE auth_user SET is_active = false WHERE id = %s", s.user.pk),
        401,
    ),
    "the user is saved as disabled": ("superuser", lambda s: disable(s.user), 401),
    "the permission is taken": ("permission", lambda s: s.user.user_permissions.clear(), 403),
    "the permission is taken by SQL": (
        "permission",
        lambda s: sql("DELETE FROM auth_user_user_permissions WHERE user_id = %s", s.user.pk),
        403,
    ),
    "the permission is renamed": (
        "permission",
        lambda s: Permission.objects.filter(codename=MAY_SEND).update(codename="x"),
        403,
    ),
    "the feed is not granted any more": ("permission", lambda s: s.user.feed_grants.all().delete(), 404),
    "the grant is taken by SQL": ("permission", lambda s: sql("DELETE FROM ingestion_feedgrant"), 404),
    "the user leaves the group": ("group", lambda s: s.user.groups.clear(), 403),
    "the user is put out of the group by SQL": ("group", lambda s: sql("DELETE FROM auth_user_groups"), 403),
    "the group loses the permission": ("group", lambda s: s.group.permissions.clear(), 403),
    "the group loses the permission by SQL": ("group", lambda s: sql("DELETE FROM auth_group_permissions"), 403),
    "the group is deleted": ("group", lambda s: s.group.delete(), 403),
    "the superuser is one no more": ("superuser", lambda s: User.objects.update(is_superuser=False), 403),
    "the feed is disabled": ("permission", lambda s: Feed.objects.update(is_enabled=False), 409),
    "the feed is disabled by SQL": ("permission", lambda s: sql("UPDATE ingestion_feed SET is_enabled = false"), 409),
    "the feed is renamed": ("permission", lambda s: Feed.objects.update(api_name="other"), 404),
    "the version is retired": ("permission", lambda s: ProfileVersion.objects.update(status="retired"), 409),
    "the version reads other shapes": ("permission", lambda s: new_version(s.feed, EVENTS), 400),
    "the version reads other shapes since an SQL": (
        "permission",
        lambda s: sql("UPDATE mediation_profileversion SET spec = %s", json.dumps(EVENTS)),
        400,
    ),
    "the version needs a header": ("permission", lambda s: new_version(s.feed, NAMED), 409),
    "the feed is moved to a profile without a version": (
        "permission",
        lambda s: Feed.objects.update(profile=DataProfile.objects.create(name="other")),
        409,
    ),
}
NAMED = document(format={"kind": "delimited", "columns_by": "name", "header_rows": 1})


def disable(user):
    user.is_active = False
    user.save()


@pytest.mark.parametrize("by", CHANGES)
def test_a_change_acts_on_the_very_next_request(by):
    kind, change, status = CHANGES[by]
    sender = warm(Sender(by=kind))
    before = stored()
    change(sender)
    assert sender.post().status_code == status
    assert sender.post(**KEY).status_code == status
    assert stored() == before
    assert not sender.is_known()


@pytest.mark.parametrize("by", CHANGES)
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "stranger"])
def test_a_change_that_comes_between_the_look_up_and_the_writing_acts_too(by, is_known, monkeypatch):
    kind, change, status = CHANGES[by]
    sender = warm(Sender(by=kind)) if is_known else Sender(by=kind)
    before = stored()
    written = just_before_writing(monkeypatch, lambda: change(sender))
    assert sender.post().status_code == status
    assert stored() == before
    assert written == [None]


def just_before_writing(monkeypatch, change, times=1):
    """Have the change made when everything is looked up and nothing written; gives what each writing came to."""
    put, written = store.put_submission, []

    def changed_before(submission, **given):
        if len(written) < times:
            change()
        written.append(put(submission, **given))
        return written[-1]

    monkeypatch.setattr(store, "put_submission", changed_before)
    return written


@pytest.mark.parametrize("is_between", [False, True])
@pytest.mark.parametrize("is_moved", [False, True])
def test_a_new_version_and_another_profile_read_the_very_next_submission(is_between, is_moved, monkeypatch):
    sender = warm(Sender())

    def change():
        version = (
            ProfileVersionFactory() if is_moved else new_version(sender.feed, sender.feed.profile.versions.get().spec)
        )
        Feed.objects.filter(pk=sender.feed.pk).update(profile=version.profile)

    if is_between:
        just_before_writing(monkeypatch, change)
    else:
        change()
    for _ in range(2):
        assert sender.post().status_code == 202
    used = UsageImport.objects.order_by("pk").values_list("profile_version_id", flat=True)
    newest = ProfileVersion.objects.latest("pk").pk
    assert list(used)[1:] == [newest] * 2
    assert set(ImportChunk.objects.values_list("usage_import_id", "profile_version_id")) == set(
        UsageImport.objects.values_list("pk", "profile_version_id")
    )
    work(now=timezone.now())


def test_a_token_ends_when_its_time_comes(monkeypatch):
    sender = warm(Sender(days=1))
    later = timezone.now() + timedelta(days=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert sender.post().status_code == 401
    assert len(UsageImport.objects.all()) == 1


def test_what_is_wrong_with_a_body_is_not_told_to_who_may_not_send():
    sender = warm(Sender())
    assert sender.post(b"{").status_code == 400
    warm(sender)
    sender.token.delete()
    assert sender.post(b"{").status_code == 401


def test_a_stranger_whom_changes_overtake_again_and_again_is_asked_to_come_back(monkeypatch):
    sender = Sender()
    written = just_before_writing(monkeypatch, lambda: Feed.objects.update(description="x"), times=3)
    assert sender.post().status_code == 202
    assert [bool(pk) for pk in written] == [False, False, False, True]
    work(now=timezone.now())
    before = stored()
    monkeypatch.undo()
    just_before_writing(monkeypatch, lambda: Feed.objects.update(description="x"), times=99)
    answer = sender.post(**KEY)
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "overtaken", "1")
    assert stored() == before


def test_a_known_sender_repeats_with_a_key_and_is_answered_the_same():
    sender = warm(Sender())
    first = sender.post(**KEY)
    warm(sender)
    assert sender.post(**KEY).json() == first.json()
    assert sender.post({"data": [event("other")]}, **KEY).status_code == 422
    warm(sender)
    assert sender.post(**{"Idempotency-Key": "k" * 256}).status_code == 400
    warm(sender)
    Feed.objects.update(is_enabled=False)
    assert sender.post(**KEY).json() == first.json()
    assert IdempotencyKey.objects.count() == 1


def test_a_known_sender_who_asks_for_something_else_is_looked_at_closely():
    sender = warm(Sender())
    address = f"/api/v1/feeds/{sender.feed.api_name}/usage"
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {sender.text}")
    before = stored()
    assert client.get(address).status_code == 405
    assert client.post(address, "a=b", content_type="text/plain").status_code == 415
    assert (
        client.post(address, json.dumps(BODY), content_type="application/json", HTTP_ACCEPT="text/xml").status_code
        == 406
    )
    large = b'{"data": ["' + b"x" * (10 << 20) + b'"]}'
    assert sender.post(large).status_code == 413
    assert stored() == before


def test_one_feed_known_is_not_another():
    sender = warm(Sender())
    other = feed_of(is_enabled=False)
    sender.grant(other)
    assert sender.post(feed=other.api_name).status_code == 409
    assert sender.post(feed=sender.feed.pk).status_code == 202


def test_a_known_sender_whose_header_and_trailer_say_what_comes_is_held_to_it_each_time():
    sender = Sender()
    sender.feed = feed_of(BILLS)
    sender.grant(sender.feed)
    bodies = [{"data": [*BATCH, trailer]} for trailer in ("T,2,3.5", "T,2,3.5", "T,2,3")]
    assert [sender.post(body).status_code for body in bodies] == [202, 202, 422]
    first, second = UsageImport.objects.values_list("file_fields", flat=True)
    assert first == second is not None
    work(now=timezone.now())


def test_a_login_and_a_change_taken_back_leave_the_known_known():
    sender = warm(Sender())
    stamp = selectors.acceptance_stamp()
    update_last_login(None, sender.user)
    with transaction.atomic():
        Feed.objects.update(is_enabled=False)
        assert selectors.acceptance_stamp() != stamp
        transaction.set_rollback(True)
    assert selectors.acceptance_stamp() == stamp
    assert sender.post().status_code == 202
    assert UsageImport.objects.count() == 2


def test_a_session_is_never_remembered():
    sender = Sender()
    client = APIClient()
    client.force_login(sender.user)
    known = dict(regulars._known)
    answer = client.post(f"/api/v1/feeds/{sender.feed.pk}/usage", json.dumps(BODY), content_type="application/json")
    assert answer.status_code == 202
    assert regulars._known == known


def test_the_memory_holds_no_token_and_only_so_many(monkeypatch):
    monkeypatch.setattr(regulars, "MOST", 3)
    regulars._known.clear()
    senders = [warm(Sender()) for _ in range(5)]
    assert [sender.is_known() for sender in senders] == [False, False, True, True, True]
    warm(senders[4])
    assert len(regulars._known) == 3
    said = repr(regulars._known)
    assert not any(sender.text in said or sender.text[:15] in said or sender.token.digest in said for sender in senders)


def test_a_session_that_answered_within_the_second_is_not_asked_whether_it_lives(monkeypatch, settings):
    settings.MAX_WAITING_RECORDS = 0  # what is looked at every three seconds asks, too
    sender, asked, clock = Sender(), [], [100.0]
    monkeypatch.setattr(connection, "is_usable", lambda: asked.append("?") or True)
    monkeypatch.setattr(submissions, "monotonic", lambda: clock[0])
    sender.post()
    for seconds, questions in ((0.5, 0), (1.5, 1), (0.9, 0)):
        clock[0] += seconds
        connection.health_check_done = False  # as at the beginning of each request
        assert sender.post().status_code == 202
        assert (seconds, len(asked)) == (seconds, questions)
        asked.clear()
