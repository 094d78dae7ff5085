"""Tokens: limited to feeds and verbs, never more than their user, revoked and kept, and when they were used."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from config.access import last_use
from config.access.tokens import Limits, issue_token, limit_token, revoke_tokens
from config.access.verbs import VERBS, permissions_of
from config.models import AuditEntry, TokenScope, TokenUse
from ingestion.models import ImportException, UsageImport
from mediation import services as mediation
from tests.config.crowd import person
from tests.ingestion.factories import event, feed_of, posted, user_with, work

pytestmark = pytest.mark.django_db
BODY = {"data": [event()]}


def source(*permissions):
    """A service user who may do what these permissions say, by default what any verb is about, with every feed."""
    user = User.objects.create_user(f"source-{User.objects.count()}")
    names = {*(permissions or permissions_of(VERBS)), "ingestion.every_feed"}
    for one in Permission.objects.select_related("content_type"):
        if f"{one.content_type.app_label}.{one.codename}" in names:
            user.user_permissions.add(one)
    return user


def token_of(user, *verbs, feeds=(), name="source"):
    limits = Limits([feed.pk for feed in feeds], verbs)
    return issue_token(user=user, name=name, limits=limits, lifetime=timedelta(days=1), by=None)


def client_of(text):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {text}")
    return client


def send(client, feed):
    return client.post(f"/api/v1/feeds/{feed.api_name}/usage", json.dumps(BODY), content_type="application/json")


@pytest.fixture(params=["permissions", "superuser"])
def user(request):
    if request.param == "superuser":
        return User.objects.create_superuser("source")
    return source()


def test_a_token_without_limits_does_what_its_user_may(user):
    client = client_of(token_of(user)[1])
    assert send(client, feed_of()).status_code == 202
    for address in ("imports", "exceptions", "udrs", "charges", "rerates"):
        assert client.get(f"/api/v1/{address}").status_code == 200


READS = {"exceptions": "read_imports", "imports": "read_imports", "udrs": "read_udrs", "charges": "read_charges"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_token_does_what_its_verbs_say_and_nothing_else(verb, user):
    feed = feed_of()
    usage_import = posted(feed, event(value="x"), now=timezone.now())
    work(now=timezone.now())
    exception = ImportException.objects.get()
    client = client_of(token_of(user, verb)[1])
    for address, reader in READS.items():
        # Who sends asks after what he sent himself; that is nothing here.
        is_let_in = verb == reader or (verb == "send" and reader == "read_imports")
        answer = client.get(f"/api/v1/{address}")
        assert answer.status_code == (200 if is_let_in else 403), address
        if verb == "send" and is_let_in:
            assert answer.json()["results"] == []
    assert (send(client, feed).status_code == 202) == (verb == "send")
    of_exception, doers = f"/api/v1/exceptions/{exception.pk}", {"correct": "correct", "write-off": "correct"}
    for act, doer in (doers | {"reprocess": "reprocess"}).items():
        status = client.post(f"{of_exception}/{act}", {}).status_code
        assert (status not in (403, 404)) == (verb == doer), (act, status)
    status = client.post(f"/api/v1/imports/{usage_import.tracking_id}/reprocess").status_code
    assert (status not in (403, 404)) == (verb == "reprocess")
    for address, doer in (("rerates", "rerate"), ("what-ifs", "rerate"), ("bucket-grants", "grant")):
        assert (client.post(f"/api/v1/{address}", {}).status_code != 403) == (verb == doer), address


def test_a_token_sees_and_sends_to_its_feeds_alone(user):
    mine, other = feed_of(), feed_of()
    for feed in (mine, other):
        posted(feed, event(feed.api_name), event(feed.api_name, value="x"), now=timezone.now())
    work(now=timezone.now())
    client = client_of(token_of(user, feeds=[mine])[1])
    for address in ("imports", "exceptions"):
        assert {row["feed"] for row in client.get(f"/api/v1/{address}").json()["results"]} == {mine.api_name}
    assert len(client.get("/api/v1/udrs").json()["results"]) == 1
    assert send(client, other).status_code == 404
    assert send(client, mine).status_code == 202
    foreign = ImportException.objects.get(feed=other)
    assert client.get(f"/api/v1/exceptions/{foreign.pk}").status_code == 404
    assert client.post(f"/api/v1/exceptions/{foreign.pk}/write-off", {"reason": "x"}).status_code in (403, 404)
    assert not UsageImport.objects.filter(feed=other, received_by=user).exists()


def test_a_token_never_reaches_a_feed_or_a_right_that_its_user_has_not():
    mine, other = feed_of(), feed_of()
    user = user_with("ingestion.view_usageimport", feeds=[mine])
    client = client_of(token_of(user, "send", "read_imports", feeds=[mine, other])[1])
    assert send(client, mine).status_code == 403
    posted(other, event(), now=timezone.now())
    assert client.get("/api/v1/imports").json()["results"] == []


def test_a_narrowed_person_is_narrow_in_services_too_and_others_are_not():
    feed = feed_of()
    user = User.objects.create_superuser("boss")
    mediation.narrow(user, permissions=frozenset({"mediation.view_udr"}), feeds=frozenset({feed.pk}))
    assert mediation.feeds_seen(user) == {feed.pk}
    assert user.get_all_permissions() == {"mediation.view_udr"}
    with pytest.raises(PermissionDenied):
        mediation.require_permission(user, "ingestion.add_usageimport")
    with pytest.raises(PermissionDenied):
        mediation.require_feeds(user, [feed.pk + 1])
    assert not user.has_perms(["mediation.view_udr", "rating.view_charge"])
    fresh = User.objects.get(pk=user.pk)
    assert mediation.feeds_seen(fresh) is None
    assert fresh.has_perm("rating.view_charge")


def test_a_feed_that_is_deleted_leaves_its_tokens_narrower():
    feed = feed_of()
    _, text = token_of(source(), feeds=[feed])
    feed.delete()
    other = feed_of()
    assert send(client_of(text), other).status_code == 404


CHANGES = {
    "it is revoked": (lambda token: revoke_tokens(tokens=[token], reason="lost", by=None, now=timezone.now()), 401),
    "its verbs change": (lambda token: limit(token, verbs=["read_udrs"]), 403),
    "its feeds change": (lambda token: limit(token, feeds=[0]), 404),
    "its verbs change by SQL": (lambda token: TokenScope.objects.update(verbs=["read_udrs"]), 403),
    "its limits are taken away": (lambda token: limit(token), 202),
}


def limit(token, **limits):
    limit_token(token=token, name="source", limits=Limits(**limits), by=None)


@pytest.mark.parametrize("by", CHANGES)
def test_a_change_of_a_token_acts_on_the_next_request_of_a_remembered_sender(by):
    change, status = CHANGES[by]
    feed = feed_of()
    token, text = token_of(source(), "send", feeds=[feed])
    client = client_of(text)
    assert [send(client, feed).status_code for _ in range(2)] == [202, 202]
    change(token)
    assert send(client, feed).status_code == status
    assert UsageImport.objects.count() == (3 if status == 202 else 2)


def test_two_tokens_of_one_user_have_limits_of_their_own():
    user, feed = source(), feed_of()
    sender, reader = (client_of(token_of(user, verb)[1]) for verb in ("send", "read_udrs"))
    assert [send(one, feed).status_code for one in (sender, reader, sender, reader)] == [202, 403, 202, 403]


def test_a_token_that_has_ended_or_was_revoked_is_kept_and_can_be_revoked_once():
    user = source()
    ended, text = token_of(user)
    AuthToken.objects.filter(pk=ended.pk).update(expiry=timezone.now() - timedelta(seconds=1))
    assert client_of(text).get("/api/v1/imports").status_code == 401
    bare, bare_text = AuthToken.objects.create(user=user)
    assert revoke_tokens(tokens=[bare, ended], reason="left", by=user_with("knox.delete_authtoken"), now=_now()) == 2
    assert revoke_tokens(tokens=[bare, ended], reason="again", by=None, now=_now()) == 0
    assert client_of(bare_text).get("/api/v1/imports").status_code == 401
    assert set(TokenScope.objects.values_list("revoke_reason", flat=True)) == {"left"}
    assert AuthToken.objects.count() == 2
    told = AuditEntry.objects.filter(table_name="config_tokenscope", after__has_key="revoke_reason")
    assert told.exists()
    assert not any(one.digest in str((entry.before, entry.after)) for one in (ended, bare) for entry in told)
    with pytest.raises(PermissionDenied):
        revoke_tokens(tokens=[bare], reason="x", by=user, now=_now())
    with pytest.raises(PermissionDenied):
        limit_token(token=bare, name="x", limits=Limits(), by=user)


def _now():
    return timezone.now()


@pytest.mark.parametrize("text", ["é" * 20, "\ufffd", "x" * 5_000, "a\x01b"])
def test_a_token_of_any_characters_is_refused_and_nothing_more(text):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=b"Token " + text.encode())
    assert client.get("/api/v1/imports").status_code == 401


def test_the_last_use_is_noted_once_a_minute(django_assert_num_queries, monkeypatch):
    token, text = token_of(source())
    client, start = client_of(text), timezone.now()
    for seconds, noted in ((0, 0), (50, 0), (61, 61), (100, 61), (122, 122)):
        monkeypatch.setattr(timezone, "now", lambda at=start + timedelta(seconds=seconds): at)
        assert client.get("/api/v1/udrs", REMOTE_ADDR="10.0.0.7").status_code == 200
        use = TokenUse.objects.get(token=token)
        assert (use.last_used_at, use.last_used_from) == (start + timedelta(seconds=noted), "10.0.0.7")
    with django_assert_num_queries(0):
        last_use.note_use(digest=token.digest, address=None, now=timezone.now())


def test_the_memory_of_last_uses_is_bounded(monkeypatch):
    monkeypatch.setattr(last_use, "MOST", 3)
    for number in range(10):
        last_use.note_use(digest=f"unknown {number}", address=None, now=timezone.now())
    assert len(last_use._noted) <= 3
    assert not TokenUse.objects.exists()


def test_a_token_is_issued_limited_and_revoked_on_its_screen(admin_client):
    feed, other, source = feed_of(), feed_of(), User.objects.create(username="source")
    asked = {"user": source.pk, "days": 30, "name": "gate way", "feeds": [feed.pk], "verbs": ["send"]}
    page = admin_client.post(reverse("admin:knox_authtoken_add"), asked)
    text, token = page.context["token"], AuthToken.objects.get()
    assert (token.scope.feeds, token.scope.verbs) == ([feed.pk], ["send"])
    client_of(text).get("/api/v1/imports", REMOTE_ADDR="10.1.2.3")
    listed = admin_client.get(reverse("admin:knox_authtoken_changelist")).content.decode()
    for said in ("gate way", feed.name, "Send usage", "active"):
        assert said in listed
    assert "10.1.2.3" in admin_client.get(reverse("admin:knox_authtoken_change", args=[token.pk])).content.decode()
    url = reverse("admin:knox_authtoken_limit", args=[token.pk])
    assert admin_client.get(url).context["form"].initial["feeds"] == [feed.pk]
    assert "Select a valid choice" in admin_client.post(url, {"name": "x", "verbs": ["all"]}).content.decode()
    admin_client.post(url, {"name": "gate way", "feeds": [other.pk], "verbs": ["read_udrs"]})
    assert TokenScope.objects.values_list("feeds", "verbs").get() == ([other.pk], ["read_udrs"])
    revoke = {"action": "revoke", "_selected_action": [token.pk]}
    assert "Why?" in admin_client.post(reverse("admin:knox_authtoken_changelist"), revoke).content.decode()
    admin_client.post(reverse("admin:knox_authtoken_changelist"), revoke | {"reason": "lost"})
    assert client_of(text).get("/api/v1/imports").status_code == 401
    page = admin_client.get(reverse("admin:knox_authtoken_change", args=[token.pk])).content.decode()
    assert "revoked" in page
    assert "lost" in page


def test_limiting_and_revoking_need_their_permissions():
    token, text = token_of(User.objects.create(username="source"))
    client = person("knox.view_authtoken")
    assert client.post(reverse("admin:knox_authtoken_limit", args=[token.pk]), {"name": "x"}).status_code == 403
    revoke = {"action": "revoke", "_selected_action": [token.pk], "reason": "x"}
    client.post(reverse("admin:knox_authtoken_changelist"), revoke)
    assert TokenScope.objects.get().revoked_at is None
    assert client_of(text).get("/api/v1/bucket-grants").status_code in (403, 405)
