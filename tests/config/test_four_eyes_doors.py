"""Four eyes at the doors: screens offer to ask, programs are answered 409, and lists say what waits for whom."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from config.approving.deciding import ask_for_approval
from config.approving.policy import KINDS
from config.models import Approval
from ingestion.models import ImportException
from mediation import services as mediation
from mediation.models import ProfileVersion
from mediation.services.approving import Asked
from tests.config.crowd import person
from tests.ingestion.factories import event, feed_of, posted, user_with, work
from tests.mediation.profiles import document

pytestmark = pytest.mark.django_db
MAY = ("ingestion.view_importexception", "ingestion.writeoff_importexception")
DECIDES = (*MAY, "config.view_approval", "config.decide_approval")
EXCEPTIONS = "admin:ingestion_importexception_changelist"
APPROVALS = "admin:config_approval_changelist"


@pytest.fixture(autouse=True)
def four_eyes(settings):
    settings.FOUR_EYES = dict.fromkeys(KINDS)


@pytest.fixture
def refused():
    posted(feed_of(), event("a", "x"), event("b", "x"))
    work()
    return ImportException.objects.order_by("pk")


def write_off(client, rows, **more):
    chosen = {"action": "write_off", "_selected_action": [row.pk for row in rows], "reason": "test data", **more}
    return client.post(reverse(EXCEPTIONS), chosen)


def ask(client, rows):
    page = write_off(client, rows)
    assert "This needs a second person" in page.content.decode()
    asked = page.context["form"].initial["asked"]
    return client.post(reverse("admin:config_approval_ask"), {"asked": asked, "why": "month end"})


def act(client, approval, action, **answers):
    return client.post(
        reverse(APPROVALS),
        {"action": action, "_selected_action": approval.pk, "_from_object": "1", **answers},
        follow=True,
    )


def statuses():
    return set(ImportException.objects.values_list("status", flat=True))


def test_a_screen_offers_to_ask_and_another_person_approves_there(refused):
    first, second = person(*MAY), person(*DECIDES)
    answer = ask(first, refused)
    approval = Approval.objects.get()
    assert answer.url == reverse("admin:config_approval_change", args=[approval.pk])
    assert statuses() == {"open"}
    assert "Write off 2 import exceptions: test data" in first.get(answer.url).content.decode()
    offered = second.get(answer.url).content.decode()
    assert "Approve…" in offered
    assert "Withdraw" not in offered
    assert "the audit names you both" in act(second, approval, "approve").content.decode()
    assert "2 records are written off" in act(second, approval, "approve", is_confirmed="1").content.decode()
    assert statuses() == {"written_off"}


def test_one_s_own_is_not_offered_and_not_possible_by_address(refused):
    both = person(*DECIDES)
    address = ask(both, refused).url
    approval = Approval.objects.get()
    offered = both.get(address).content.decode()
    assert "Approve…" not in offered
    assert "Withdraw" in offered
    assert "Nobody approves their own" in act(both, approval, "approve", is_confirmed="1").content.decode()
    assert "Nobody approves their own" in act(both, approval, "refuse", reason="no").content.decode()
    assert statuses() == {"open"}
    assert "Withdrawn" in act(both, approval, "withdraw").content.decode()


def test_a_refusal_asks_why(refused):
    ask(person(*MAY), refused)
    approval, second = Approval.objects.get(), person(*DECIDES)
    assert "Why is this refused?" in act(second, approval, "refuse").content.decode()
    act(second, approval, "refuse", reason="correct them")
    approval.refresh_from_db()
    assert (approval.status, approval.decision) == ("refused", "correct them")


def test_who_may_not_decide_is_offered_nothing(refused):
    ask(person(*MAY), refused)
    approval = Approval.objects.get()
    onlooker = person("config.view_approval")
    page = onlooker.get(reverse("admin:config_approval_change", args=[approval.pk])).content.decode()
    assert "Approve…" not in page
    act(onlooker, approval, "approve", is_confirmed="1")
    assert statuses() == {"open"}
    assert person(*MAY).get(reverse(APPROVALS)).status_code == 403


def test_what_is_asked_is_only_taken_from_its_own_page(refused):
    first, other = person(*MAY), person(*MAY)
    asked = write_off(first, refused).context["form"].initial["asked"]
    for client, said in ((other, asked), (first, f"{asked}x"), (first, "")):
        client.post(reverse("admin:config_approval_ask"), {"asked": said, "why": "x"})
    assert not Approval.objects.exists()
    assert "is required" in first.post(reverse("admin:config_approval_ask"), {"asked": asked}).content.decode()
    assert first.get(reverse("admin:config_approval_ask")).status_code == 302


def test_a_program_is_told_where_it_waits(refused):
    clerk = user_with(*MAY)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {AuthToken.objects.create(user=clerk)[1]}")
    address = f"/api/v1/exceptions/{refused[0].pk}/write-off"
    answers = [client.post(address, {"reason": "test data"}, format="json") for _ in range(2)]
    approval = Approval.objects.get()
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (409, "needs_second_person")
        assert answer.json()["links"]["approval"].endswith(reverse("admin:config_approval_change", args=[approval.pk]))
    assert (approval.asked_by, approval.why) == (clerk, "test data")
    assert statuses() == {"open"}


def test_its_page_says_that_something_waits(refused):
    first = person(*MAY)
    ask(first, refused[:1])
    page = first.get(reverse("admin:ingestion_importexception_change", args=[refused[0].pk])).content.decode()
    assert "it waits for a second person" in page
    other = first.get(reverse("admin:ingestion_importexception_change", args=[refused[1].pk])).content.decode()
    assert "it waits for a second person" not in other


def test_a_version_is_shown_beside_what_it_replaces():
    profile = feed_of().profile
    draft = mediation.create_draft(profile=profile, spec=document(), note="", by=None)
    may = ("mediation.view_profileversion", "mediation.change_profileversion")
    first = person(*may)
    chosen = {"action": "activate", "_selected_action": draft.pk, "is_confirmed": "1"}
    page = first.post(reverse("admin:mediation_profileversion_changelist"), chosen)
    asked = page.context["form"].initial["asked"]
    answer = first.post(reverse("admin:config_approval_ask"), {"asked": asked, "why": "new columns"})
    second = person(*may, "config.view_approval", "config.decide_approval")
    assert "What it changes" in second.get(answer.url).content.decode()
    act(second, Approval.objects.get(), "approve", is_confirmed="1")
    assert ProfileVersion.objects.get(pk=draft.pk).status == "active"


def test_the_list_shows_what_is_long_and_what_expired():
    somebody = user_with()
    asked = Asked(
        "write_off_import_exceptions",
        ("ingestion.ImportException", ""),
        {"ids": [1], "reason": "x" * 5_000},
        f"Write off 1 import exception: {'x' * 5_000}",
        somebody,
    )
    approval = ask_for_approval(asked=asked, why="", now=timezone.now() - timedelta(days=8))
    reader = person("config.view_approval")
    assert "expired" in reader.get(reverse(APPROVALS)).content.decode()
    assert reader.get(reverse("admin:config_approval_change", args=[approval.pk])).status_code == 200


def test_only_what_was_read_is_approved_however_much_waits_meanwhile(refused):
    first, second = person(*MAY), person(*DECIDES)
    ask(first, refused[:1])
    read = Approval.objects.get()
    everything = {"action": "approve", "_selected_action": [read.pk], "select_across": "1"}
    page = second.post(reverse(APPROVALS), everything).content.decode()
    assert "Write off 1 import exception" in page
    ask(first, refused[1:])
    second.post(reverse(APPROVALS), {**everything, "is_confirmed": "1"})
    assert list(Approval.objects.filter(status="approved")) == [read]
    second.post(reverse(APPROVALS), {**everything, "action": "refuse", "reason": "no"})
    assert Approval.objects.filter(status="waiting").count() == 1


def test_no_more_are_approved_at_once_than_their_page_shows(refused):
    first, second = person(*MAY), person(*DECIDES)
    ask(first, refused[:1])
    many = [Approval.objects.get().pk, *range(10_000, 10_020)]
    chosen = {"action": "approve", "_selected_action": many, "is_confirmed": "1"}
    assert "At most 20" in second.post(reverse(APPROVALS), chosen, follow=True).content.decode()
    assert not Approval.objects.filter(status="approved").exists()


def test_what_is_about_no_feed_is_shown_to_those_who_may_do_it_themselves():
    asked = Asked("close_periods", ("rating.BillingPeriod", ""), {"ids": []}, "Close 3 billing periods.", user_with())
    ask_for_approval(asked=asked, why="", now=timezone.now())
    deciding, feeds = ("config.view_approval", "config.decide_approval"), [feed_of()]
    for client, is_shown in (
        (person(*deciding, feeds=feeds), False),
        (person(*deciding, "rating.close_billingperiod", feeds=feeds), True),
        (person(*deciding), True),
    ):
        assert ("Close 3 billing periods" in client.get(reverse(APPROVALS)).content.decode()) == is_shown


def test_lists_and_notes_do_not_read_what_an_act_is_given(refused):
    first, second = person(*MAY), person(*DECIDES)
    ask(first, refused[:1])
    for client, address in (
        (second, reverse(APPROVALS)),
        (first, reverse("admin:ingestion_importexception_change", args=[refused[0].pk])),
    ):
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        assert any("config_approval" in each["sql"] for each in queries)
        assert not any('"config_approval"."arguments"' in each["sql"] for each in queries)
