"""What people do with Data Profiles in the admin: drafts, activation, and what never changes."""

import json

import pytest
from django.urls import reverse

from ingestion.models import Feed
from mediation.models import DataProfile, ProfileVersion
from tests.config.crowd import crowd, do, person

VERSIONS = "mediation_profileversion"
SEE = "mediation.view_profileversion"
CHANGE = "mediation.change_profileversion"
SPEC = {
    "format": {"kind": "delimited", "columns": ["at", "who", "what", "much"]},
    "fields": {
        "Date": {"source": "at"},
        "UdrUsageIdentifier": {"source": "who"},
        "UsageClassName": {"source": "what"},
        "Value": {"source": "much"},
    },
}

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile():
    return DataProfile.objects.create(name="Four columns")


def draft(profile, spec=SPEC):
    return ProfileVersion.objects.create(profile=profile, number=1, spec=spec)


def test_a_new_version_is_a_draft_numbered_by_the_house(profile):
    client = person("mediation.add_profileversion", SEE, CHANGE)
    answers = {"profile": profile.pk, "note": "first", "spec": json.dumps(SPEC)}
    client.post(reverse(f"admin:{VERSIONS}_add"), answers)
    version = ProfileVersion.objects.get()
    assert (version.number, version.status, version.spec) == (1, "draft", SPEC)
    assert version.created_by is not None


def test_a_draft_made_from_a_version_starts_with_its_spec(profile, admin_client):
    version = draft(profile)
    page = admin_client.get(reverse(f"admin:{VERSIONS}_add"), {"from": version.pk}).content.decode()
    assert "&quot;UdrUsageIdentifier&quot;" in page


def test_what_is_no_json_is_sent_back_as_it_was_typed(profile, admin_client):
    answers = {"profile": profile.pk, "note": "", "spec": '{"format": '}
    page = admin_client.post(reverse(f"admin:{VERSIONS}_add"), answers).content.decode()
    assert "Enter a valid JSON" in page
    assert "{&quot;format&quot;: " in page


def test_a_draft_is_changed(profile, admin_client):
    version = draft(profile)
    answers = {"note": "changed", "spec": json.dumps({"fields": {}})}
    admin_client.post(reverse(f"admin:{VERSIONS}_change", args=[version.pk]), answers)
    version.refresh_from_db()
    assert (version.note, version.spec) == ("changed", {"fields": {}})


def test_an_activated_version_never_changes(profile, admin_client):
    version = draft(profile)
    ProfileVersion.objects.update(status="active")
    url = reverse(f"admin:{VERSIONS}_change", args=[version.pk])
    assert admin_client.post(url, {"note": "changed", "spec": "{}"}).status_code == 403
    assert admin_client.post(reverse(f"admin:{VERSIONS}_delete", args=[version.pk]), {"post": "yes"}).status_code == 403
    version.refresh_from_db()
    assert version.spec == SPEC


def test_a_draft_is_activated(profile):
    version = draft(profile)
    assert "is active" in do(person(SEE, CHANGE), VERSIONS, "activate", version.pk, is_confirmed="1")
    version.refresh_from_db()
    assert version.status == "active"


def test_activating_says_first_what_it_replaces_and_whose_usage_it_reads(profile, admin_client):
    ProfileVersion.objects.create(profile=profile, number=2, spec=SPEC, status="active")
    Feed.objects.create(name="Core", api_name="core", profile=profile)
    version = draft(profile)
    page = do(admin_client, VERSIONS, "activate", version.pk)
    assert "Four columns v1 replaces Four columns v2" in page
    assert "It will read the usage of Core." in page
    version.refresh_from_db()
    assert version.status == "draft"


def test_a_faulty_draft_is_refused_with_all_its_faults(profile, admin_client):
    fields = {name: mapping for name, mapping in SPEC["fields"].items() if name not in ("Date", "Value")}
    version = draft(profile, spec={**SPEC, "fields": fields, "surprise": 1})
    page = do(admin_client, VERSIONS, "activate", version.pk, is_confirmed="1")
    assert "<code>/surprise</code>" in page
    assert page.count('class="fault"') >= 3
    version.refresh_from_db()
    assert version.status == "draft"


def test_activation_needs_its_permission(profile):
    version = draft(profile)
    do(person(SEE), VERSIONS, "activate", version.pk, is_confirmed="1")
    version.refresh_from_db()
    assert version.status == "draft"


def test_udrs_of_an_import_are_found_by_their_batches(admin_client):
    crowd(1, 3)
    from mediation.models import Udr

    wanted = Udr.objects.order_by("pk")[1]
    page = admin_client.get(reverse("admin:mediation_udr_changelist"), {"import_id": wanted.import_id})
    assert [udr.pk for udr in page.context["cl"].result_list] == [wanted.pk]
    assert "Feed 2" in page.content.decode()


def test_a_list_that_is_longer_than_can_be_counted_quickly_says_so(admin_client, monkeypatch):
    crowd(1, 5)
    monkeypatch.setattr("mediation.admin.paging.COUNTED_ROWS", 3)
    page = admin_client.get(reverse("admin:mediation_udr_changelist")).content.decode()
    assert "3+ rows" in page


def test_a_filter_that_makes_no_sense_is_sent_back_to_the_whole_list(admin_client):
    for query in ("date__from=tomorrow", "import_id=x", "nonsense=1"):
        assert admin_client.get(reverse("admin:mediation_udr_changelist") + f"?{query}").status_code == 302
        assert admin_client.get(reverse("admin:mediation_udr_export") + f"?{query}").status_code == 400
