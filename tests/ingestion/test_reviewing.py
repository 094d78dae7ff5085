"""Who looks after import exceptions, and what is said about them: services, pages and the API."""

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.urls import reverse

from ingestion import selectors
from ingestion.admin.groups import group_of, group_url
from ingestion.models import ExceptionComment, ImportException
from ingestion.services import reviewing as services
from mediation.services.reviewing import UnableToAssign, UnableToComment

from .factories import NOW, event, feed_of, posted, user_with, work

pytestmark = pytest.mark.django_db

REVIEW = "ingestion.review_importexception"
CORRECT = "ingestion.correct_importexception"
ALL = ImportException.objects


def refused(*values, feed=None):
    """Open exceptions of records with these values, which are no numbers."""
    posted(feed or feed_of(), *(event(f"e{place}", value=value) for place, value in enumerate(values)))
    work()
    return ALL.filter(status="open")


def assign(exceptions, to, by=None):
    return services.assign_exceptions(exceptions=exceptions, to=to, by=by, now=NOW)


def comment(exception, text="asked the sender", by=None):
    return services.comment_exception(exception=exception, text=text, by=by, now=NOW)


def test_exceptions_are_given_to_somebody_who_may_correct_them_and_taken_back():
    rows, clerk = refused("x", "y"), user_with(CORRECT)
    assert assign(rows, clerk) == 2
    assert selectors.holders_of_groups(None) == {group_of(one): clerk.username for one in rows}
    assert assign(rows.filter(value="x"), None) == 1
    assert set(rows.values_list("value", "assigned_to")) == {("x", None), ("y", clerk.pk)}


def test_nobody_gets_exceptions_that_he_may_not_correct_or_see():
    rows = refused("x")
    with pytest.raises(UnableToAssign, match="may not clear"):
        assign(rows, user_with())
    with pytest.raises(UnableToAssign, match="does not see the feed"):
        assign(rows, user_with(CORRECT, feeds=[feed_of()]))
    gone = user_with(CORRECT)
    gone.is_active = False
    with pytest.raises(UnableToAssign):
        assign(rows, gone)


def test_only_open_exceptions_of_feeds_that_one_sees_are_assigned():
    rows, clerk = refused("x"), user_with(CORRECT)
    assert assign(rows, clerk, by=user_with(REVIEW, feeds=[feed_of()])) == 0
    ALL.update(status="superseded")
    assert assign(ALL.all(), clerk) == 0


def test_comments_stay_as_they_were_written():
    one = refused("x").get()
    comment(one)
    services.comment_group(group=group_of(one), text="all of them", by=None, now=NOW)
    assert [said.text for said in selectors.comments_on_group(group_of(one))] == ["all of them"]
    assert [said.text for said in one.comments.all()] == ["asked the sender"]
    for change in (ExceptionComment.objects.all().delete, lambda: ExceptionComment.objects.update(text="x")):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


def test_what_is_said_of_any_value_stands_with_each_value():
    one = refused("x", "y").first()
    every = selectors.Group(one.feed_id, one.code, one.field, None)
    services.comment_group(group=every, text="the meter is broken", by=None, now=NOW)
    services.comment_group(group=group_of(one), text="only this", by=None, now=NOW)
    told = [said.text for said in selectors.comments_on_group(group_of(one))]
    assert told == ["only this", "the meter is broken"]
    assert [said.text for said in selectors.comments_on_group(every)] == ["the meter is broken"]


def test_a_comment_says_something_and_not_too_much():
    one = refused("x").get()
    for text in (" ", "x" * 5_000):
        with pytest.raises(UnableToComment):
            comment(one, text)


def test_reviewing_asks_for_its_permission_and_the_feed():
    rows = refused("x")
    with pytest.raises(PermissionDenied):
        assign(rows, None, by=user_with(CORRECT))
    with pytest.raises(PermissionDenied):
        comment(rows.get(), by=user_with(CORRECT))
    with pytest.raises(PermissionDenied):
        comment(rows.get(), by=user_with(REVIEW, feeds=[feed_of()]))


def test_a_group_is_assigned_and_spoken_about_on_its_page(admin_client, admin_user):
    rows = refused("x", "x")
    group = group_of(rows.first())
    admin_client.post(group_url(group, "ingestion_importexception_group_assign"), {"to": admin_user.pk})
    admin_client.post(group_url(group, "ingestion_importexception_group_comment"), {"text": "typing <errors>"})
    page = admin_client.get(group_url(group)).content.decode()
    assert "2 records assigned to admin" in page
    assert "typing &lt;errors&gt;" in page
    assert "admin" in admin_client.get(reverse("admin:ingestion_importexception_groups")).content.decode()


def test_one_exception_is_assigned_and_spoken_about_on_its_page(admin_client, admin_user):
    one = refused("x").get()
    admin_client.post(reverse("admin:ingestion_importexception_assign", args=[one.pk]), {"to": admin_user.pk})
    admin_client.post(reverse("admin:ingestion_importexception_comment", args=[one.pk]), {"text": "odd"})
    page = admin_client.get(reverse("admin:ingestion_importexception_change", args=[one.pk])).content.decode()
    assert "assigned to admin" in page
    assert "odd" in page


def test_without_the_permission_the_pages_are_refused(client):
    user = user_with("ingestion.view_importexception")
    user.is_staff = True
    user.save()
    client.force_login(user)
    group = group_of(refused("x").get())
    assert "Assign" not in client.get(group_url(group)).content.decode()
    for what in ("assign", "comment"):
        assert client.post(group_url(group, f"ingestion_importexception_group_{what}")).status_code == 403


def test_the_api_says_who_has_it_and_to_reviewers_what_was_said(client):
    one, clerk = refused("x").get(), user_with(CORRECT)
    assign(ALL.all(), clerk)
    comment(one, by=user_with(REVIEW))
    services.comment_group(group=group_of(one), text="all of them", by=None, now=NOW)
    client.force_login(user_with("ingestion.view_importexception"))
    [listed] = client.get(reverse("api:exceptions")).json()["results"]
    assert listed["assigned_to"] == clerk.username
    assert client.get(reverse("api:exception", args=[one.pk])).json()["comments"] == []
    client.force_login(user_with("ingestion.view_importexception", REVIEW))
    said = client.get(reverse("api:exception", args=[one.pk])).json()["comments"]
    assert [(each["text"], each["is_of_group"]) for each in said] == [
        ("asked the sender", False),
        ("all of them", True),
    ]


def test_an_exception_of_another_feed_is_not_found_in_the_api(client):
    one = refused("x").get()
    client.force_login(user_with("ingestion.view_importexception", feeds=[feed_of()]))
    assert client.get(reverse("api:exception", args=[one.pk])).status_code == 404
