"""The admin as a whole: every list, every export, every page of a fact, the front page, the tokens."""

import csv
import io

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken

from config.dashboard import figures
from ingestion.models import Feed, WaitingPart
from mediation.admin import kit
from rating.models import BucketGrant
from tests.config.crowd import crowd, person

SCREENS = sorted(admin.site._registry.items(), key=lambda pair: pair[0]._meta.label)
OURS = [(model, screen) for model, screen in SCREENS if isinstance(screen, kit.ModelAdmin)]
FACTS = [(model, screen) for model, screen in SCREENS if isinstance(screen, kit.ReadOnlyAdmin)]
ADDED_ON_A_PAGE = (AuthToken, BucketGrant)  # made by services, from pages of their own


def labels(screens):
    return [model._meta.label for model, _ in screens]


def address(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def exported(response):
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


# One crowd for all screens, since making it takes as long as opening twenty of them.


@pytest.mark.django_db
def test_a_list_asks_as_many_queries_for_20_rows_as_for_2(admin_client):
    crowd(1, 2)
    for_two = {model._meta.label: queries_of(admin_client, address(model, "changelist")) for model, _ in SCREENS}
    crowd(3, 20)
    for_twenty = {model._meta.label: queries_of(admin_client, address(model, "changelist")) for model, _ in SCREENS}
    assert for_twenty == for_two


def queries_of(client, url):
    with CaptureQueriesContext(connection) as asked:
        assert client.get(url).status_code == 200, url
    return len(asked)


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "screen"), OURS, ids=labels(OURS))
def test_an_empty_list_says_what_to_do_next(model, screen, admin_client):
    if model._default_manager.exists():
        pytest.skip("a fresh database holds some of these")
    page = admin_client.get(address(model, "changelist")).content.decode()
    assert screen.empty_text != kit.ModelAdmin.empty_text
    assert screen.empty_text.split(".")[0] in page


@pytest.mark.django_db
def test_an_export_has_every_row_of_the_list(admin_client):
    crowd(1, 3)
    for model, screen in OURS:
        count = model._default_manager.count()
        rows = exported(admin_client.get(address(model, "export")))
        assert len(rows) == count, model
        assert set(rows[0]) == set(screen.export_columns()), model


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "screen"), OURS, ids=labels(OURS))
def test_an_export_needs_the_view_permission(model, screen):
    client = person()
    assert client.get(address(model, "export")).status_code == 403


@pytest.mark.django_db
def test_a_fact_cannot_be_changed_by_address(admin_client):
    crowd(1, 1)
    for model, _ in FACTS:
        fact = model._default_manager.first()
        before = model._default_manager.filter(pk=fact.pk).values().get()
        changed = admin_client.post(address(model, "change", fact.pk), {"status": "resolved"})
        assert changed.status_code == 403, model
        if model not in ADDED_ON_A_PAGE:
            assert admin_client.get(address(model, "add")).status_code == 403, model
        if model is not AuthToken:
            assert admin_client.post(address(model, "delete", fact.pk), {"post": "yes"}).status_code == 403, model
        assert model._default_manager.filter(pk=fact.pk).values().get() == before, model


@pytest.mark.django_db
def test_a_page_of_one_object_opens_without_inline_script_or_style(admin_client):
    crowd(1, 1)
    for model, _ in OURS:
        response = admin_client.get(address(model, "change", model._default_manager.first().pk))
        assert response.status_code == 200, model
        page = response.content.decode()
        assert not [inline for inline in ("<style", ' style="', "<script>") if inline in page], model


@pytest.mark.django_db
def test_every_link_above_an_object_leads_somewhere(admin_client, admin_user, rf):
    crowd(1, 2)
    request = rf.get("/")
    request.user = admin_user
    for model, screen in OURS:
        for _, url in screen.object_links(request, model._default_manager.first()):
            response = admin_client.get(url)
            assert response.status_code == 200 or ("payload" in url and response.status_code == 404), url


@pytest.mark.django_db
def test_an_export_holds_what_the_filter_shows_and_nothing_else(admin_client):
    crowd(1, 3)
    url = reverse("admin:ingestion_importexception_export")
    feed = Feed.objects.get(name="Feed 2")
    rows = exported(admin_client.get(url, {"feed__id__exact": feed.pk, "q": "HYPERLINK"}))
    assert [row["feed"] for row in rows] == ["Feed 2"]


@pytest.mark.django_db
def test_an_export_filters_by_day(admin_client):
    crowd(1, 30)
    url = reverse("admin:ingestion_usageimport_export")
    rows = exported(admin_client.get(url, {"received_at__from": "2026-05-02", "received_at__to": "2026-05-02"}))
    assert {row["received_at"][:10] for row in rows} == {"2026-05-02"}
    assert len(rows) == 7


@pytest.mark.django_db
def test_an_export_for_spreadsheets_defuses_formulas_in_texts_only(admin_client):
    crowd(1, 1)
    url = reverse("admin:ingestion_importexception_export")
    assert exported(admin_client.get(url))[0]["raw"] == "=HYPERLINK(1),x"
    defused = exported(admin_client.get(url, {"spreadsheet": "1"}))[0]
    assert defused["raw"] == "'=HYPERLINK(1),x"
    assert defused["record_number"] == "2"


@pytest.mark.django_db
def test_an_export_works_under_the_debug_cursor(admin_client):
    crowd(1, 1)
    with CaptureQueriesContext(connection):
        assert exported(admin_client.get(reverse("admin:mediation_udr_export"), {"feed_id": "0"})) == []


@pytest.mark.django_db
def test_an_export_of_nothing_is_the_header_alone(admin_client):
    response = admin_client.get(reverse("admin:mediation_udr_export"), {"import_id": "77"})
    assert b"".join(response.streaming_content).decode().startswith("id,date,source_zone")


@pytest.mark.django_db
def test_an_export_of_people_holds_no_password(admin_client):
    assert "password" not in exported(admin_client.get(reverse("admin:auth_user_export")))[0]


@pytest.mark.django_db
@pytest.mark.parametrize("rows", [0, 20])
def test_the_front_page_opens_with_few_queries(rows, admin_client):
    crowd(1, rows)
    figures.count_due(now=timezone.now())
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(reverse("admin:index")).content.decode()
    assert len(queries) <= 34
    assert ("bad number" in page) == (rows > 0)


@pytest.mark.django_db
def test_the_front_page_counts_the_parts_that_wait_for_the_rest_of_their_record(admin_client):
    crowd(1, 3)
    WaitingPart.objects.filter(key="call-1").update(record_import_id=1, record_attempt=1, record_row=1)
    lines = {line["name"]: line for line in admin_client.get(reverse("admin:index")).context["waiting"]}
    line = lines["parts of records that wait for the others"]
    assert line["count"] == "2"
    assert admin_client.get(line["url"]).context["cl"].result_count == 2


@pytest.mark.django_db
def test_the_front_page_shows_nobody_what_he_may_not_see():
    crowd(1, 1)
    page = person("mediation.view_udr").get(reverse("admin:index")).content.decode()
    assert "Last imports" not in page
    assert "bad number" not in page


@pytest.mark.django_db
def test_screens_stand_in_the_order_of_the_walk(admin_client):
    groups = admin_client.get(reverse("admin:index")).context["app_list"]
    assert [group["name"] for group in groups] == ["Ingestion", "Mediation", "Rating", "Operations"]
    assert groups[0]["models"][0]["object_name"] == "Feed"


@pytest.mark.django_db
def test_a_token_is_shown_once_and_only_its_hash_is_kept(admin_client, admin_user):
    response = admin_client.post(reverse("admin:knox_authtoken_add"), {"user": admin_user.pk, "name": "x", "days": 30})
    token = response.context["token"]
    assert token in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert AuthToken.objects.get().digest != token
    for page in ("changelist", "export"):
        answer = admin_client.get(reverse(f"admin:knox_authtoken_{page}"))
        assert token not in b"".join(answer).decode()


@pytest.mark.django_db
def test_a_token_needs_the_permission_to_issue_one():
    client = person("knox.view_authtoken")
    assert client.post(reverse("admin:knox_authtoken_add"), {"user": 1, "days": 30}).status_code == 403
