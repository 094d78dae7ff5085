"""What people do around Data Profiles in the admin: suggest, preview, keep, compare, take and hand over."""

import base64
import gzip
import html
import io
import json
import zipfile
from pathlib import Path

import pytest
from backports import zstd
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from mediation.models import DataProfile, GoldenSample, GoldenSampleChange, ProfileVersion, UsageClass
from mediation.services.ready_made import ready_made_profile
from tests.config.crowd import do, person
from tests.mediation.test_previewing import ROWS, SPEC
from tests.mediation.test_suggesting import CALLS

pytestmark = pytest.mark.django_db
SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
WIZARD = "admin:mediation_dataprofile_suggest"
ADD = ("mediation.add_dataprofile", "mediation.add_profileversion", "mediation.view_profileversion")


@pytest.fixture
def version():
    UsageClass.objects.create(name="voice")
    profile = DataProfile.objects.create(name="Calls")
    return ProfileVersion.objects.create(profile=profile, number=1, spec=SPEC)


def text_of(response):
    return html.unescape(response.content.decode())


def page_of(name, *keys):
    return reverse(f"admin:mediation_{name}", args=keys)


def upload(content=CALLS, name="calls_of_may.csv"):
    return SimpleUploadedFile(name, content if isinstance(content, bytes) else content.encode())


# Preview


def preview_of(client, version, **answers):
    return client.post(page_of("profileversion_preview", version.pk), {"rows": ROWS.decode(), **answers})


def test_pasted_rows_are_shown_with_steps_outcomes_and_codes(version, admin_client):
    page = text_of(preview_of(admin_client, version))
    assert "value map</span> <code>voice</code>" in page
    assert "skipped by the filter tests" in page
    assert "code__exact=unmapped_value" in page
    assert "no rate" in page or "Would not be charged" in page


def test_an_uploaded_sample_is_put_where_it_can_be_edited(version, admin_client):
    page = text_of(preview_of(admin_client, version, rows="", file=upload(ROWS)))
    assert "2026-05-01 12:00,test,V,60" in page
    assert "Keep as golden sample" in page


def test_a_packed_sample_is_unpacked_for_the_preview_and_within_a_mebibyte(version, admin_client):
    page = text_of(preview_of(admin_client, version, rows="", file=upload(gzip.compress(ROWS), "may.csv.gz")))
    assert "2026-05-01 12:00,test,V,60" in page
    large = gzip.compress(ROWS + b"2026-05-01 12:00,test,V,60\n" * 50_000)
    assert "Unpacked, the sample is larger" in text_of(preview_of(admin_client, version, rows="", file=upload(large)))


def test_nothing_to_preview_and_a_profile_with_faults_are_said(version, admin_client):
    assert "Paste some rows, or choose a file" in text_of(preview_of(admin_client, version, rows=" "))
    ProfileVersion.objects.update(spec={"format": {"kind": "delimited"}})
    page = text_of(preview_of(admin_client, version))
    assert "/fields/Date" in page


def test_a_preview_takes_a_file_of_at_most_a_mebibyte(version, admin_client):
    page = text_of(preview_of(admin_client, version, rows="", file=upload(b"x" * ((1 << 20) + 1))))
    assert "larger than 1 MiB" in page


def test_a_preview_needs_the_permission_to_see_versions(version):
    assert preview_of(person(), version).status_code == 403
    assert preview_of(person("mediation.view_profileversion"), version).status_code == 200


def test_what_a_preview_shows_is_kept_as_a_golden_sample(version, admin_client):
    preview_of(admin_client, version, _keep="1", name="a day", note="")
    sample = GoldenSample.objects.get()
    assert (sample.name, sample.created_by.username, len(sample.expected)) == ("a day", "admin", 6)


def test_keeping_a_sample_needs_its_permission_and_a_name(version, admin_client):
    preview_of(admin_client, version, _keep="1", name="")
    assert preview_of(person("mediation.view_profileversion"), version, _keep="1", name="a").status_code == 403
    assert not GoldenSample.objects.exists()


# Golden samples


@pytest.fixture
def sample(version, admin_client):
    preview_of(admin_client, version, _keep="1", name="a day", note="")
    return GoldenSample.objects.get()


def test_a_golden_sample_is_changed_on_purpose(sample, version, admin_client):
    answers = {"version": version.pk, "content": ROWS.decode().replace("1.50", "2"), "reason": "prices by the half"}
    admin_client.post(page_of("goldensample_expect", sample.pk), answers)
    sample.refresh_from_db()
    assert sample.expected[1]["fields"]["Value"] == "2"
    assert GoldenSampleChange.objects.get().reason == "prices by the half"


def test_a_golden_sample_is_removed_with_a_reason(sample, admin_client):
    assert "Why is it removed?" in do(admin_client, "mediation_goldensample", "remove", sample.pk)
    do(admin_client, "mediation_goldensample", "remove", sample.pk, reason="gone")
    assert not GoldenSample.objects.exists()
    assert GoldenSampleChange.objects.get().is_removal


def test_changing_and_removing_a_sample_need_their_permissions(sample):
    client = person("mediation.view_goldensample")
    assert client.get(page_of("goldensample_expect", sample.pk)).status_code == 403
    do(client, "mediation_goldensample", "remove", sample.pk, reason="gone")
    assert GoldenSample.objects.exists()


def test_a_version_that_breaks_a_sample_is_refused_on_the_screen(sample, version, admin_client):
    ProfileVersion.objects.update(spec={**SPEC, "null_texts": []})
    page = html.unescape(do(admin_client, "mediation_profileversion", "activate", version.pk, is_confirmed="1"))
    assert "/golden_samples/a day/3/fields/UdrUsageIdentifier" in page


# Versions


def test_two_versions_stand_side_by_side(version, admin_client):
    other = ProfileVersion.objects.create(profile=version.profile, number=2, spec={**SPEC, "null_texts": ["-", "?"]})
    page = text_of(admin_client.get(page_of("profileversion_difference", other.pk)))
    assert "/null_texts/1" in page
    assert "line-added" in page
    assert "only version" not in page


def test_a_single_version_has_nothing_beside_it(version, admin_client):
    assert "the only version" in text_of(admin_client.get(page_of("profileversion_difference", version.pk)))


def test_a_version_goes_out_and_comes_in_by_buttons(version, admin_client):
    made = admin_client.get(page_of("profileversion_document", version.pk))
    assert made["Content-Disposition"] == 'attachment; filename="calls-v1.json"'
    admin_client.post(page_of("dataprofile_import"), {"file": upload(made.content, "p.json"), "name": "Copy"})
    assert ProfileVersion.objects.get(profile__name="Copy").spec == SPEC


def test_a_document_that_is_no_profile_is_refused_with_every_fault(admin_client):
    page = text_of(
        admin_client.post(page_of("dataprofile_import"), {"file": upload('{"sluice_profile": 1}', "p.json")})
    )
    assert "/name: must be a text" in page
    assert "/spec: must be the object" in page


def test_a_ready_made_profile_is_taken_as_a_draft(admin_client):
    assert "FOCUS" in text_of(admin_client.get(page_of("dataprofile_ready_made")))
    admin_client.post(page_of("dataprofile_ready_made"), {"profile": "focus"})
    version = ProfileVersion.objects.get()
    assert (version.status, version.spec) == ("draft", ready_made_profile("focus")["spec"])


@pytest.mark.parametrize("name", ["dataprofile_import", "dataprofile_ready_made", "dataprofile_suggest"])
def test_new_profiles_need_the_permissions_to_add_them(name):
    assert person("mediation.view_dataprofile").get(page_of(name)).status_code == 403
    assert person(*ADD).get(page_of(name)).status_code == 200


def test_a_version_leads_to_all_that_can_be_done_with_it(version, admin_client):
    page = text_of(admin_client.get(page_of("profileversion_change", version.pk)))
    for words in ("Preview", "Beside another version", "Feeds that use it", "Golden samples", "Export"):
        assert f">{words}</a>" in page


# Suggest


def proposal(client, content=CALLS, **answers):
    """The second page's context, after answers on top of what its form would post."""
    page = client.post(reverse(WIZARD), {"file": upload(content)})
    if not answers:
        return page
    return client.post(reverse(WIZARD), posted(page) | answers)


def posted(page):
    """What a browser would post from the second page as it stands."""
    context = page.context
    fields = {}
    for field in context["fields"]:
        name = field["name"]
        fields |= {f"source:{name}": field["source"], f"source-was:{name}": field["source"]}
        fields |= {f"text:{name}": field["text"], f"text-was:{name}": field["text"]}
    for question in context["questions"]:
        chosen = [place for place, _, is_chosen in question["choices"] if is_chosen]
        fields[f"{question['name']}-was"] = question["was"]
        if chosen:
            fields[question["name"]] = chosen[0]
    return fields | {
        "sample": context["sample"],
        "document": context["document"],
        "name": context["form"]["name"].value(),
        "add_classes": "1" if context["adds_classes"] else "",
    }


def test_a_sample_becomes_an_active_profile_with_its_classes(admin_client):
    proposal(admin_client, _activate="1")
    version = ProfileVersion.objects.get()
    assert (version.profile.name, version.status) == ("calls of may", "active")
    assert set(UsageClass.objects.values_list("name", flat=True)) == {"voice", "data"}


def test_a_draft_is_saved_without_the_classes_where_they_are_not_wanted(admin_client):
    proposal(admin_client, _draft="1", add_classes="")
    assert ProfileVersion.objects.get().status == "draft"
    assert not UsageClass.objects.exists()


def test_the_page_shows_reasons_and_what_becomes_of_the_records(admin_client):
    page = text_of(proposal(admin_client))
    assert "its name says duration" in page
    assert "<strong>4</strong> records" in page
    assert "Add the 2 usage classes" in page


def test_another_column_a_fixed_text_and_kept_columns_are_taken(admin_client):
    answers = {"source:UdrUsageIdentifier": "caller", "source:OriginatingIdentifier": "", "keep": ["account"]}
    answers |= {"text:UdrIdentifierTypeName": "Unknown"}
    page = proposal(admin_client, _preview="1", **answers)
    fields = json.loads(page.context["document"])["fields"]
    assert fields["UdrUsageIdentifier"] == {"source": "caller"}
    assert "OriginatingIdentifier" not in fields
    assert fields["Extensions.account"] == {"source": "account"}
    assert fields["UdrIdentifierTypeName"] == {"literal": "Unknown"}


def test_the_document_is_edited_by_hand(admin_client):
    first = proposal(admin_client)
    document = json.loads(first.context["document"]) | {"null_texts": ["voice"]}
    page = admin_client.post(reverse(WIZARD), posted(first) | {"document": json.dumps(document), "_preview": "1"})
    assert json.loads(page.context["document"])["null_texts"] == ["voice"]
    assert "missing_value" in text_of(page)


def edited(client, content, **mappings):
    """The second page after the document alone was edited: its mappings, by the name of their field."""
    first = proposal(client, content)
    document = json.loads(first.context["document"])
    document["fields"] |= mappings
    page = client.post(reverse(WIZARD), posted(first) | {"document": json.dumps(document), "_preview": "1"})
    return json.loads(page.context["document"])["fields"]


def test_an_edited_document_wins_over_cells_that_nobody_touched(admin_client):
    mapped = {"Value": {"source": "weight"}, "UsageClassName": {"source": "shape", "case": "lower"}}
    content = "start_time,account,weight,shape\n2026-05-01,A,7,Round\n2026-05-02,B,8,Round"
    fields = edited(admin_client, content, **mapped, UdrUsageIdentifier={"literal": "A-7"})
    assert {name: fields[name] for name in mapped} == mapped
    assert fields["UdrUsageIdentifier"] == {"literal": "A-7"}


def test_a_column_that_tells_records_apart_does_so_where_it_is_chosen_by_hand(admin_client):
    content = "start_time,account,ref\n2026-05-01,A,x1\n2026-05-02,B,x2"
    page = proposal(admin_client, content, _preview="1", **{"source:UniquenessIdentifier": "ref"})
    assert json.loads(page.context["document"])["uniqueness"] == ["UniquenessIdentifier"]
    answers = {"source:UniquenessIdentifier": "", "_preview": "1"}
    page = admin_client.post(reverse(WIZARD), posted(page) | answers)
    assert "uniqueness" not in json.loads(page.context["document"])


def test_what_was_missing_is_no_longer_said_once_it_is_chosen(admin_client):
    content = "start_time,quantity,holder\n2026-05-01,1,A\n2026-05-02,2,B"
    assert "No column says whose usage it is" in text_of(proposal(admin_client, content))
    page = proposal(admin_client, content, _preview="1", **{"source:UdrUsageIdentifier": "holder"})
    assert "No column says whose usage it is" not in text_of(page)


def test_an_edited_document_wins_over_an_answer_that_was_given_before(admin_client):
    content = "start_time,quantity,account\n05/06/2026,1,A\n07/08/2026,2,B"
    page = proposal(admin_client, content, _preview="1", **{"answer:/fields/Date": "0"})
    document = json.loads(page.context["document"])
    assert document["fields"]["Date"]["date_format"] == "%d/%m/%Y"
    document["fields"]["Date"]["date_format"] = "%m/%d/%Y"
    page = admin_client.post(reverse(WIZARD), posted(page) | {"document": json.dumps(document), "_preview": "1"})
    assert json.loads(page.context["document"])["fields"]["Date"]["date_format"] == "%m/%d/%Y"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "must be an object"),
        ('{"fields": []}', "fields one too"),
        ("{}", "cannot be activated like this"),
    ],
)
def test_a_document_that_cannot_be_used_is_said_and_nothing_is_saved(admin_client, document, words):
    assert words in text_of(proposal(admin_client, document=document, _activate="1"))
    assert not DataProfile.objects.exists()


def test_what_the_sample_leaves_open_must_be_answered(admin_client):
    content = "start_time,quantity,account\n05/06/2026,1,A\n07/08/2026,2,B"
    page = proposal(admin_client, content, _draft="1")
    assert "Answer the questions first" in text_of(page)
    answers = {"answer:/fields/Date": "1", "_draft": "1"}
    admin_client.post(reverse(WIZARD), posted(page) | answers)
    assert ProfileVersion.objects.get().spec["fields"]["Date"]["date_format"] == "%m/%d/%Y"


def test_a_name_that_is_taken_is_refused(admin_client):
    DataProfile.objects.create(name="calls of may")
    assert "Choose another" in text_of(proposal(admin_client, _draft="1"))


def test_a_sample_that_is_none_is_refused_on_the_first_page(admin_client):
    assert "ends in the middle" in text_of(admin_client.post(reverse(WIZARD), {"file": upload(b"\x1f\x8b\x08")}))


def zipped(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("calls.csv", content)
    return stream.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress, zipped])
def test_a_packed_sample_is_unpacked_before_it_is_looked_at(pack, admin_client):
    first = admin_client.post(reverse(WIZARD), {"file": upload(pack(CALLS.encode()), "calls of may.csv.gz")})
    assert base64.b64decode(first.context["sample"]) == CALLS.encode()
    assert first.context["form"]["name"].value() == "calls of may"
    admin_client.post(reverse(WIZARD), posted(first) | {"_activate": "1"})
    assert ProfileVersion.objects.get().status == "active"


def test_a_packed_sample_of_more_than_a_mebibyte_is_refused_in_words(admin_client):
    page = admin_client.post(reverse(WIZARD), {"file": upload(b"PK\x03\x04" + b"x" * (1 << 20))})
    assert "A packed sample or a workbook may have 1,048,576 bytes" in text_of(page)


def test_a_sample_that_was_mangled_is_asked_for_again(admin_client):
    for sample in ("not base64!", base64.b64encode(b"\0").decode(), ""):
        page = admin_client.post(reverse(WIZARD), {"sample": sample}, follow=True)
        assert "Choose it again" in text_of(page)


def test_classes_are_added_only_by_who_may(admin_client):
    page = proposal(person(*ADD), _draft="1")
    assert "may not add usage classes" in text_of(page)
    assert not DataProfile.objects.exists()


def test_a_long_json_sample_that_is_cut_off_is_still_previewed(admin_client):
    event = {"id": "e", "time": "2026-05-01T10:00:00Z", "quantity": 5, "account": "A" * 2_000, "type": "calls"}
    content = json.dumps([{**event, "id": f"e-{number}"} for number in range(600)])
    page = proposal(admin_client, content)
    assert page.context["preview"]["record_count"] == page.context["record_count"]


def test_cloud_bills_go_from_upload_to_active_without_a_word(admin_client):
    if not SAMPLES.exists():
        pytest.skip("the samples are not here")
    content = (SAMPLES / "focus" / "focus_sample.csv").read_bytes()
    page = proposal(admin_client, content)
    assert page.context["preview"]["counts"][0] == ("imported", "1,000")
    admin_client.post(reverse(WIZARD), posted(page) | {"_activate": "1"})
    assert ProfileVersion.objects.get().status == "active"
    assert UsageClass.objects.count() == 10
