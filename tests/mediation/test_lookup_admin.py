"""Lookup tables and usage units in the admin: made, loaded from CSV, shown, written out, looked after."""

import html
from datetime import UTC, datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from mediation.models import DataProfile, LookupRow, LookupTable, ProfileVersion, UsageUnit
from tests.config.crowd import person
from tests.mediation.profiles import document

pytestmark = pytest.mark.django_db
MAY = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def zones():
    return LookupTable.objects.create(name="zones", kind="prefix", key_column="prefix", columns=["zone", "price"])


def load(client, table, text, **answers):
    upload = SimpleUploadedFile("zones.csv", text.encode())
    address = reverse("admin:mediation_lookuptable_load", args=[table.pk])
    return client.post(address, {"file": upload, **answers}, follow=True)


def text_of(response):
    return html.unescape(response.content.decode())


def make(client, **answers):
    body = {"name": "rates", "description": "", "kind": "exact", "key_column": "country", "columns": "zone\nprice"}
    return client.post(reverse("admin:mediation_lookuptable_add"), body | answers, follow=True)


def change(client, table, **answers):
    body = {"description": "", "kind": table.kind, "key_column": table.key_column, "columns": "zone\nprice"}
    return client.post(reverse("admin:mediation_lookuptable_change", args=[table.pk]), body | answers, follow=True)


def test_a_table_is_made_with_its_columns_a_line_each(admin_client):
    make(admin_client, columns="zone \r\n\r\nprice\r\n")
    assert LookupTable.objects.get().columns == ["zone", "price"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("zone\nzone", "Named twice: zone."),
        ("country", "country: a file has this column already"),
        ("valid_to", "valid_to: a file has this column already"),
        ("x" * 101, "each of at most 100 characters"),
        (" ", "This field is required."),
    ],
)
def test_columns_that_no_file_could_have_are_refused(columns, said, admin_client):
    assert said in text_of(make(admin_client, columns=columns))
    assert not LookupTable.objects.exists()


def test_rows_are_loaded_from_csv_and_shown(zones, admin_client):
    page = text_of(load(admin_client, zones, "prefix,zone,price,valid_from\n43,near,1.5,2026-05-01\n1,far,,\n"))
    assert "2 rows loaded into zones." in page
    assert LookupRow.objects.get(key="43").valid_from == MAY
    rows = text_of(admin_client.get(reverse("admin:mediation_lookuprow_changelist"), {"table__id__exact": zones.pk}))
    assert "zone: near, price: 1.5" in rows
    assert "2026-05-01" in rows


def test_a_load_replaces_the_rows_unless_it_adds(zones, admin_client):
    load(admin_client, zones, "prefix,zone,price\n43,near,1\n")
    load(admin_client, zones, "prefix,zone,price\n44,far,1\n", keep_rows="on")
    assert sorted(LookupRow.objects.values_list("key", flat=True)) == ["43", "44"]
    load(admin_client, zones, "prefix,zone,price\n45,far,1\n")
    assert list(LookupRow.objects.values_list("key", flat=True)) == ["45"]


def test_every_fault_of_a_file_is_shown_by_its_line_and_nothing_is_loaded(zones, admin_client):
    load(admin_client, zones, "prefix,zone,price\n43,near,1\n")
    page = text_of(load(admin_client, zones, "prefix,zone,price\n44,far\n45,a,1,2\n"))
    assert "Nothing was loaded; 2 faults." in page
    assert "Line 2: has 2 columns, the header 3." in page
    assert "Line 3: has 4 columns, the header 3." in page
    assert list(LookupRow.objects.values_list("key", flat=True)) == ["43"]
    many = text_of(load(admin_client, zones, "prefix,zone,price\n" + "1\n" * 130))
    assert "… and 30 more." in many


def test_what_is_downloaded_can_be_loaded_again(zones, admin_client):
    load(
        admin_client,
        zones,
        'prefix,valid_from,zone,price\n43,2026-05-01,"near, ""by""",1\n43,,old,\n'.replace("43,,old", "44,,old"),
    )
    before = list(LookupRow.objects.order_by("pk").values_list("key", "values", "valid_from", "valid_to"))
    response = admin_client.get(reverse("admin:mediation_lookuptable_rows", args=[zones.pk]))
    assert 'filename="zones.csv"' in response["Content-Disposition"]
    assert response.content.decode().startswith(
        "prefix,valid_from,valid_to,zone,price\n43,2026-05-01T00:00:00.000000Z,"
    )
    load(admin_client, zones, response.content.decode())
    assert list(LookupRow.objects.order_by("pk").values_list("key", "values", "valid_from", "valid_to")) == before


def test_the_rows_of_a_range_are_downloaded_with_their_bounds(admin_client):
    sizes = LookupTable.objects.create(name="sizes", kind="range", columns=["size"])
    load(admin_client, sizes, "low,high,size\n,10,small\n10,,large\n")
    response = admin_client.get(reverse("admin:mediation_lookuptable_rows", args=[sizes.pk]))
    assert response.content.decode() == "low,high,valid_from,valid_to,size\n,10,,,small\n10,,,,large\n"


def test_a_table_with_rows_keeps_its_name_its_kind_and_its_columns(zones, admin_client):
    load(admin_client, zones, "prefix,zone,price\n43,near,1\n")
    zones.refresh_from_db()
    change(admin_client, zones, name="other", kind="exact", columns="zone\nprice\nregion")
    zones.refresh_from_db()
    assert (zones.name, zones.kind, zones.columns) == ("zones", "prefix", ["zone", "price", "region"])
    page = text_of(change(admin_client, zones, columns="zone"))
    assert "The rows have price, region; columns can be added, not taken away." in page


def test_a_table_that_an_active_profile_asks_cannot_be_deleted(zones, admin_client):
    lookup = {"source": "class", "transforms": [{"lookup": {"table": "zones", "give": "zone"}}]}
    profile = DataProfile.objects.create(name="Calls")
    version = ProfileVersion.objects.create(
        profile=profile, number=1, status="active", spec=document(fields={"UsageClassName": lookup})
    )
    load(admin_client, zones, "prefix,zone,price\n43,near,1\n")
    address = reverse("admin:mediation_lookuptable_delete", args=[zones.pk])
    assert admin_client.post(address, {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [zones.pk], "post": "yes"}
    assert admin_client.post(reverse("admin:mediation_lookuptable_changelist"), chosen).status_code == 403
    version.delete()
    assert "lookup tables" in text_of(admin_client.get(address)).lower()
    admin_client.post(address, {"post": "yes"})
    assert not LookupRow.objects.exists()


def test_loading_needs_the_permission_to_change_tables(zones):
    may_see = person("mediation.view_lookuptable")
    assert load(may_see, zones, "prefix,zone,price\n43,near,1\n").status_code == 403
    assert may_see.get(reverse("admin:mediation_lookuptable_rows", args=[zones.pk])).status_code == 200
    assert person().get(reverse("admin:mediation_lookuptable_rows", args=[zones.pk])).status_code == 403
    assert not LookupRow.objects.exists()
    may_change = person("mediation.change_lookuptable")
    assert "1 row loaded" in text_of(load(may_change, zones, "prefix,zone,price\n43,near,1\n"))


def test_a_usage_unit_is_added_and_shown_without_idle_zeros(admin_client):
    body = {"name": "Wh", "kind": "count", "multiplier": "3600"}
    admin_client.post(reverse("admin:mediation_usageunit_add"), body)
    assert UsageUnit.objects.get(name="Wh").multiplier == 3600
    assert "3,600</td>" in text_of(admin_client.get(reverse("admin:mediation_usageunit_changelist"), {"q": "Wh"}))


def test_a_usage_unit_multiplies_by_more_than_nothing(admin_client):
    body = {"name": "none", "kind": "data", "multiplier": "0"}
    assert admin_client.post(reverse("admin:mediation_usageunit_add"), body).status_code == 200
    assert not UsageUnit.objects.filter(name="none").exists()
    assert person().get(reverse("admin:mediation_usageunit_changelist")).status_code == 403
