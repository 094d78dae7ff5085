"""Every list of the API as CSV: the same rows and columns as in pages, by the same rights."""

import csv
import io

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from rest_framework.generics import ListAPIView
from rest_framework.test import APIClient

from config.urls import api_patterns
from ingestion.models import Feed, FeedGrant, ImportException
from mediation.api import Listed
from tests.config.crowd import crowd

pytestmark = pytest.mark.django_db

LISTS = {
    pattern.name: pattern.callback.cls
    for pattern in api_patterns
    if issubclass(getattr(pattern.callback, "cls", object), ListAPIView)
}


def rows_of(response):
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


@pytest.mark.parametrize("name", LISTS)
def test_every_list_can_be_had_as_csv(name):
    assert issubclass(LISTS[name], Listed)


@pytest.mark.parametrize("name", ["imports", "exceptions", "udrs", "charges", "bucket-grants", "rerates", "what-ifs"])
def test_a_csv_has_the_rows_and_the_columns_of_the_pages(name, admin_client):
    crowd(1, 3)
    url = f"/api/v1/{name}"
    told = admin_client.get(url).json()["results"]
    rows = rows_of(admin_client.get(url, {"format": "csv"}))
    assert len(rows) == len(told)
    if rows:
        flat = [key for key, value in told[0].items() if not isinstance(value, list | dict) or key == "filters"]
        assert list(rows[0]) == flat
        assert [row[flat[0]] for row in rows] == [str(one[flat[0]]) for one in told]
    assert rows_of(admin_client.get(url, headers={"Accept": "text/csv"})) == rows


def test_a_csv_is_filtered_and_safe_for_a_spreadsheet_if_asked(admin_client):
    crowd(1, 3)
    feed = Feed.objects.get(name="Feed 2")
    query = {"format": "csv", "feed": feed.api_name}
    [row] = rows_of(admin_client.get("/api/v1/exceptions", query))
    assert row["raw"] == "=HYPERLINK(2),x"
    [row] = rows_of(admin_client.get("/api/v1/exceptions", query | {"spreadsheet": "1"}))
    assert row["raw"] == "'=HYPERLINK(2),x"
    one = ImportException.objects.get(feed=feed).usage_import.tracking_id
    assert len(rows_of(admin_client.get(f"/api/v1/imports/{one}/exceptions", {"format": "csv"}))) == 1


def test_a_csv_needs_the_same_rights_and_a_refusal_is_a_problem():
    crowd(1, 2)
    user = User.objects.create(username="of one feed")
    client = APIClient()
    client.force_authenticate(user)
    refused = client.get("/api/v1/charges", {"format": "csv"})
    assert refused.status_code == 403
    assert refused["Content-Type"].startswith("application/problem+json")
    assert refused.json()["code"] == "permission_denied"
    for codename in ("view_usageimport", "view_udr"):
        user.user_permissions.add(Permission.objects.get(codename=codename))
    FeedGrant.objects.create(user=user, feed=Feed.objects.get(name="Feed 2"))
    client.force_authenticate(User.objects.get(pk=user.pk))
    assert [row["feed"] for row in rows_of(client.get("/api/v1/imports", {"format": "csv"}))] == ["feed-2"]
    assert len(rows_of(client.get("/api/v1/udrs", {"format": "csv"}))) == 1


def test_a_filter_with_faults_is_told_as_a_problem(admin_client: Client):
    response = admin_client.get("/api/v1/imports", {"format": "csv", "received_after": "yesterday"})
    assert response.status_code == 400
    assert response.json()["code"] == "invalid"
