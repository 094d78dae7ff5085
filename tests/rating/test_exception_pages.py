"""The workbench of rating exceptions in the admin: groups, a group, what is done with all of it, who has it."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rating import services
from rating.admin.groups import group_of, group_url
from rating.models import Charge, ExceptionRerate, RatingException, RatingExceptionComment
from tests.mediation.people import user_who_may
from tests.telling import confirmed

from .factories import NOW, UsageClassFactory, waiting
from .test_exception_groups import mend, unowned

pytestmark = pytest.mark.django_db

GROUPS = "admin:rating_ratingexception_groups"


def signed_in(client, *permissions):
    user = user_who_may("rating.view_ratingexception", *permissions)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(user)
    return user


def page_of(exceptions, what="rating_ratingexception_group", *args):
    return group_url(group_of(exceptions.first()), what, *args)


def test_groups_are_listed_the_largest_first_and_lead_to_their_page(admin_client):
    unowned(3, "555")
    unowned(1, "777")
    page = admin_client.get(reverse(GROUPS))
    text = page.content.decode()
    assert text.index("555") < text.index("777")
    row = page.context["rows"][0][0]
    group = admin_client.get(row.url)
    assert group.status_code == 200
    assert group.content.decode().count("No service has the identifier “555”") >= 3
    assert parse_qs(urlsplit(row.url).query)["subject"] == ["555"]


def test_without_exceptions_the_page_says_what_would_be_there(admin_client):
    assert "Nothing stands uncharged" in admin_client.get(reverse(GROUPS)).content.decode()


def test_filters_narrow_the_groups(admin_client, admin_user):
    services.assign_exceptions(exceptions=unowned(1, "mine"), to=admin_user, by=None, now=NOW)
    unowned(1, "other")
    text = admin_client.get(reverse(GROUPS), {"assigned": "me"}).content.decode()
    assert ">mine<" in text
    assert ">other<" not in text
    assert "Nothing matches" in admin_client.get(reverse(GROUPS), {"cause": "no_rate"}).content.decode()


@pytest.mark.parametrize("page", ["groups", "group"])
def test_a_page_asks_the_database_as_often_for_20_rows_as_for_2(admin_client, page):
    usage_class = UsageClassFactory()

    def queries():
        rows = RatingException.objects.filter(identifier="0")
        address = reverse(GROUPS) if page == "groups" else page_of(rows)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert admin_client.get(address).status_code == 200
        return len(asked)

    def more(start, end):
        for n in range(start, end):
            identifier = str(n) if page == "groups" else "0"
            waiting({"usage_class": usage_class, "identifier": identifier})
        services.rate_batches(now=NOW)

    more(0, 2)
    queries()
    first = queries()
    more(2, 20)
    assert queries() == first


def test_a_long_identifier_and_message_are_cut_on_the_page(admin_client):
    rows = unowned(1, "9" * 2_000)
    assert admin_client.get(page_of(rows)).status_code == 200
    assert "(300 characters)" not in admin_client.get(reverse(GROUPS)).content.decode()[:200]


def test_a_group_is_rated_again_by_workers_and_followed(admin_client):
    rows = unowned(3)
    address = page_of(rows, "rating_ratingexception_group_act", "rerate")
    assert "3 open UDRs" in admin_client.get(address).content.decode()
    mend()
    answer = confirmed(admin_client, address, follow=False)
    asked = ExceptionRerate.objects.get()
    assert answer.url == reverse("admin:rating_exceptionrerate_change", args=[asked.pk])
    assert not Charge.objects.exists()
    progress = reverse("admin:rating_exceptionrerate_progress", args=[asked.pk])
    assert "data-progress-url" in admin_client.get(answer.url).content.decode()
    assert admin_client.get(progress).json()["at_rest"] is False
    services.rerate_asked(now=NOW)
    told = admin_client.get(progress).json()
    assert told["at_rest"] is True
    assert "3 of 3 exceptions tried again" in told["html"]
    assert Charge.objects.count() == 3
    assert "No open exception is left" in admin_client.get(page_of(rows)).content.decode()
    assert admin_client.get(reverse("admin:rating_exceptionrerate_changelist")).status_code == 200


def test_a_refused_rerate_says_why_on_the_page(admin_client):
    rows = unowned(1)
    address = page_of(rows, "rating_ratingexception_group_act", "rerate")
    confirmed(admin_client, address)
    assert "open and free" in confirmed(admin_client, address).content.decode()


def test_writing_a_group_off_needs_a_reason(admin_client):
    rows = unowned(2)
    address = page_of(rows, "rating_ratingexception_group_act", "write-off")
    back = page_of(rows)
    assert "required" in admin_client.post(address, {"reason": ""}).content.decode()
    assert confirmed(admin_client, address, follow=False, reason="a test").url == back
    assert set(rows.values_list("status", "close_reason")) == {("written_off", "a test")}


def test_a_group_is_tried_again_later_and_no_more(admin_client):
    rows = unowned(2)
    confirmed(admin_client, page_of(rows, "rating_ratingexception_group_act", "retry-later"))
    assert rows.filter(next_try_at__isnull=False).count() == 2
    assert "tried again by themselves" in admin_client.get(page_of(rows)).content.decode()
    confirmed(admin_client, page_of(rows, "rating_ratingexception_group_act", "stop-retrying"))
    assert rows.filter(next_try_at__isnull=False).count() == 0


def test_many_chosen_in_the_list_are_asked_about_first_and_left_to_workers(admin_client, monkeypatch):
    monkeypatch.setattr("rating.admin.exceptions.ASK_ABOVE", 2)
    rows = unowned(3)
    chosen = {"action": "rerate", "_selected_action": list(rows.values_list("pk", flat=True))}
    address = reverse("admin:rating_ratingexception_changelist")
    assert "is_confirmed" in admin_client.post(address, chosen).content.decode()
    admin_client.post(address, {**chosen, "is_confirmed": "1"})
    assert ExceptionRerate.objects.get().exception_count == 3


def test_a_group_is_assigned_and_commented_on(admin_client):
    rows = unowned(2)
    able = user_who_may("rating.rerate_ratingexception")
    assert str(able) in admin_client.get(page_of(rows, "rating_ratingexception_group_assign")).content.decode()
    admin_client.post(page_of(rows, "rating_ratingexception_group_assign"), {"to": able.pk})
    assert set(rows.values_list("assigned_to", flat=True)) == {able.pk}
    admin_client.post(page_of(rows, "rating_ratingexception_group_comment"), {"text": "asked the carrier <b>"})
    text = admin_client.get(page_of(rows)).content.decode()
    assert "asked the carrier &lt;b&gt;" in text
    assert f"2 records assigned to {able}" in text
    assert str(able) in admin_client.get(reverse(GROUPS)).content.decode()


def test_one_exception_is_assigned_and_commented_on(admin_client, admin_user):
    one = unowned(1).get()
    admin_client.post(reverse("admin:rating_ratingexception_assign", args=[one.pk]), {"to": admin_user.pk})
    admin_client.post(reverse("admin:rating_ratingexception_comment", args=[one.pk]), {"text": "looks odd"})
    text = admin_client.get(reverse("admin:rating_ratingexception_change", args=[one.pk])).content.decode()
    assert "looks odd" in text
    assert "assigned to admin" in text


def test_what_somebody_may_not_do_is_neither_shown_nor_done(client):
    signed_in(client)
    rows = unowned(1)
    page = client.get(page_of(rows)).content.decode()
    for words in ("Rerate all", "Write off", "Retry later", "Assign", "Comment"):
        assert words not in page
    for verb in ("rerate", "write-off", "retry-later", "stop-retrying"):
        address = page_of(rows, "rating_ratingexception_group_act", verb)
        assert client.post(address, {"reason": "x"}).status_code == 403
    for what in ("assign", "comment"):
        assert client.post(page_of(rows, f"rating_ratingexception_group_{what}"), {"text": "x"}).status_code == 403
        one = reverse(f"admin:rating_ratingexception_{what}", args=[rows.get().pk])
        assert client.post(one, {"text": "x"}).status_code == 403
    assert rows.get().status == "open"
    assert not RatingExceptionComment.objects.exists()


def test_groups_and_rerates_of_other_feeds_are_not_there(client):
    user = signed_in(client, "rating.rerate_ratingexception")
    rows = unowned(1)
    asked = services.ask_rerate(exceptions=rows, by=None, now=NOW)
    user.user_permissions.remove(*user.user_permissions.filter(codename="every_feed"))
    assert "Nothing stands uncharged" in client.get(reverse(GROUPS)).content.decode()
    assert client.get(page_of(rows)).status_code == 404
    assert client.post(page_of(rows, "rating_ratingexception_group_act", "rerate")).status_code == 404
    assert client.get(reverse("admin:rating_exceptionrerate_progress", args=[asked.pk])).status_code == 404


def test_an_address_that_names_no_group_is_not_found(admin_client):
    for query in (
        "",
        "?feed=1&cause=nonsense&class=1",
        "?feed=x&cause=no_rate&class=1",
        "?feed=1&cause=no_rate&class=%00",
    ):
        assert admin_client.get(reverse("admin:rating_ratingexception_group") + query).status_code == 404
