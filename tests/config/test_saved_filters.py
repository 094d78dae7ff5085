"""Filters of lists that people keep: above the list, understood by it, for one or for all, taken away by owners."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.http import urlencode

from config.models import SavedFilter
from tests.ingestion.factories import NOW, user_with

pytestmark = pytest.mark.django_db

PAGE = "ingestion_usageimport_changelist"
GROUPS = "rating_ratingexception_groups"


def save(client, page=PAGE, query="status__exact=failed", name="failed ones", **more):
    address = f"{reverse('admin:filter_save')}?{urlencode({'page': page, 'query': query})}"
    return client.post(address, {"name": name, **more}, follow=True)


def kept(by, name="theirs", page=PAGE, query="status__exact=failed", is_shared=False):
    return SavedFilter.objects.create(
        page=page, name=name, query=query, is_shared=is_shared, created_at=NOW, created_by=by
    )


def list_of(client, page=PAGE, query=""):
    return client.get(reverse(f"admin:{page}") + (f"?{query}" if query else "")).content.decode()


def person(client, *permissions):
    user = user_with(*permissions)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(user)
    return user


def test_a_filter_is_kept_from_the_list_and_stands_above_it(admin_client, admin_user):
    offered = list_of(admin_client, query="status__exact=failed&p=2")
    assert f"{reverse('admin:filter_save')}?page={PAGE}&amp;query=status__exact%3Dfailed" in offered
    answer = save(admin_client)
    assert "The filter “failed ones” is kept" in answer.content.decode()
    one = SavedFilter.objects.get()
    assert (one.page, one.query, one.created_by, one.is_shared) == (PAGE, "status__exact=failed", admin_user, False)
    shown = list_of(admin_client)
    assert 'href="/admin/ingestion/usageimport/?status__exact=failed">failed ones</a>' in shown
    assert "Save this filter" not in list_of(admin_client, query="status__exact=failed")


def test_without_a_filter_nothing_is_offered(admin_client):
    assert "saved-filters" not in list_of(admin_client)


def test_the_groups_of_the_workbench_keep_filters_too(admin_client):
    assert "Save this filter" in list_of(admin_client, GROUPS, "cause=no_rate")
    save(admin_client, GROUPS, "cause=no_rate", "no rates")
    assert '?cause=no_rate">no rates</a>' in list_of(admin_client, GROUPS)


@pytest.mark.parametrize(
    ("page", "query"),
    [
        (PAGE, "nonsense=1"),
        (PAGE, "received_at__from=yesterday"),
        (PAGE, "feed__profile__name=x"),
        (GROUPS, "nonsense=1"),
        (PAGE, "p=3"),
        (PAGE, ""),
    ],
)
def test_what_the_list_does_not_understand_is_not_kept(admin_client, page, query):
    assert save(admin_client, page, query).status_code == 200
    assert not SavedFilter.objects.exists()


def test_a_name_is_needed_and_stands_once_for_each_person_and_list(admin_client, admin_user, client):
    assert "required" in save(admin_client, name="").content.decode()
    save(admin_client)
    assert "Choose another name" in save(admin_client).content.decode()
    kept(user_with(), name="failed ones")
    assert SavedFilter.objects.count() == 2


def test_one_sees_the_own_filters_and_the_shared_ones(client):
    other = user_with()
    kept(other, "for one")
    kept(other, "for all", is_shared=True)
    person(client, "ingestion.view_usageimport")
    shown = list_of(client)
    assert "for all" in shown
    assert "for one" not in shown


def test_the_owner_alone_takes_a_filter_away(client, admin_user):
    theirs = kept(admin_user, is_shared=True)
    me = person(client, "ingestion.view_usageimport")
    mine = kept(me, "mine")
    manage = client.get(f"{reverse('admin:filters')}?page={PAGE}").content.decode()
    assert "Delete mine" in manage
    assert "Delete theirs" not in manage
    assert client.post(reverse("admin:filter_delete", args=[theirs.pk])).status_code == 404
    client.get(reverse("admin:filter_delete", args=[mine.pk]))
    assert SavedFilter.objects.count() == 2
    client.post(reverse("admin:filter_delete", args=[mine.pk]))
    assert list(SavedFilter.objects.all()) == [theirs]


def test_filters_of_lists_that_one_may_not_see_are_neither_shown_nor_kept(client):
    person(client, "rating.view_charge")
    assert save(client).status_code == 403
    assert client.get(f"{reverse('admin:filters')}?page={PAGE}").status_code == 403
    assert client.get(f"{reverse('admin:filters')}?page=nonsense").status_code == 404
    assert not SavedFilter.objects.exists()


def test_a_list_asks_once_for_its_filters_however_many_there_are(admin_client, admin_user):
    def queries():
        with CaptureQueriesContext(connection) as asked:
            list_of(admin_client)
        return [query["sql"] for query in asked if "savedfilter" in query["sql"]]

    assert len(queries()) == 1
    for number in range(20):
        kept(admin_user, f"filter {number}")
    assert len(queries()) == 1


def test_a_name_is_shown_as_text(admin_client, admin_user):
    kept(admin_user, "<b>" + "x" * 97)
    assert "&lt;b&gt;xxx" in list_of(admin_client)
