"""Profiles travel as one document: out and in again unchanged, refused with every fault, and shipped ready-made."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command

from mediation.core.spec import FaultySpecError, parse_spec
from mediation.models import DataProfile, GoldenSample, LookupTable, ProfileVersion, UsageClass
from mediation.services import UnableToActivate, activate_version, create_draft
from mediation.services.golden_samples import check_golden_samples, keep_golden_sample
from mediation.services.previewing import preview
from mediation.services.ready_made import ready_made_profile, ready_made_profiles
from mediation.services.transferring import UnableToImportProfile, export_profile, import_profile, parse_document
from tests.mediation.people import user_who_may
from tests.mediation.test_previewing import ROWS, SPEC

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def version():
    profile = DataProfile.objects.create(name="Calls", description="Of the switch")
    for name in ("voice", "data"):
        UsageClass.objects.create(name=name, unit="time")
    keep_golden_sample(
        profile=profile, name="a day", content=ROWS.decode(), is_rows=False, spec=SPEC, note="", by=None, now=NOW
    )
    made = create_draft(profile=profile, spec=SPEC, note="first", by=None)
    activate_version(version=made, by=None, now=NOW)
    return made


def document(**members):
    return {"sluice_profile": 1, "name": "Calls", "spec": SPEC, **members}


def take(made, **options):
    return import_profile(document=parse_document(json.dumps(made)), **{"by": None, "now": NOW, **options})


def faults(text):
    with pytest.raises(UnableToImportProfile) as refusal:
        parse_document(text)
    return [fault.pointer for fault in refusal.value.faults]


def test_a_profile_that_was_exported_comes_back_as_it_was(version):
    exported = export_profile(version=version)
    for table in (GoldenSample, ProfileVersion, DataProfile, UsageClass):
        table.objects.all().delete()
    taken = take(exported, activate=True)
    assert taken.status == "active"
    assert export_profile(version=taken) == exported
    assert set(UsageClass.objects.values_list("name", "unit")) == {("voice", "time"), ("data", "time")}


def test_a_profile_that_is_there_gets_another_draft(version):
    taken = take(export_profile(version=version))
    assert (taken.profile, taken.number, taken.status) == (version.profile, 2, "draft")


def test_a_golden_sample_that_differs_is_refused(version):
    exported = export_profile(version=version)
    exported["golden_samples"][0]["content"] += "2026-05-01 10:00,b,V,1\n"
    with pytest.raises(UnableToImportProfile, match="differs from the golden sample 'a day'"):
        take(exported)


def test_a_version_that_breaks_a_golden_sample_is_not_activated_on_its_way_in(version):
    exported = export_profile(version=version)
    exported["spec"] = {**SPEC, "null_texts": []}
    with pytest.raises(UnableToActivate):
        take(exported, activate=True)


@pytest.mark.parametrize(
    ("text", "pointers"),
    [
        ("", ["/"]),
        ("[]", ["/sluice_profile"]),
        ('{"name": "a"}', ["/sluice_profile"]),
        ('{"sluice_profile": 2, "name": "a", "spec": {}}', ["/sluice_profile"]),
        ('{"sluice_profile": 1, "colour": 1, "name": " ", "spec": []}', ["/colour", "/name", "/spec"]),
        ('{"sluice_profile": 1, "name": "a", "spec": {"a": NaN}}', ["/"]),
        ('{"sluice_profile": 1, "name": "a\\u0000", "spec": {}}', ["/"]),
        ('{"sluice_profile": 1, "name": "a\\ud800", "spec": {}}', ["/"]),
        (json.dumps(document(golden_samples=[{"name": "x"}])), ["/golden_samples/0"]),
        (json.dumps(document(golden_samples=[{"name": "x", "content": 1}])), ["/golden_samples/0/content"]),
        (json.dumps(document(usage_classes=[{"name": "x", "unit": "stones"}])), ["/usage_classes/0/unit"]),
        (json.dumps(document(usage_classes={})), ["/usage_classes"]),
    ],
)
def test_what_is_no_profile_is_refused_with_every_place(text, pointers):
    assert faults(text) == pointers


def test_taking_a_profile_needs_the_permissions_for_all_that_it_adds():
    few = ["mediation.add_dataprofile", "mediation.add_profileversion"]
    take(document(), by=user_who_may(*few))
    with pytest.raises(PermissionDenied):
        take(document(name="other", usage_classes=[{"name": "x"}]), by=user_who_may(*few))
    with pytest.raises(PermissionDenied):
        take(document(name="other"), by=user_who_may("mediation.add_profileversion"))


# Commands


def test_the_commands_hand_a_profile_over(version, tmp_path, capsys):
    call_command("export_profile", "Calls", number=1)
    path = tmp_path / "calls.json"
    path.write_text(capsys.readouterr().out)
    call_command("import_profile", str(path), name="Copy", activate=True)
    assert "Copy v1 is active" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("export_profile", ["Nobody"], "Profiles: Calls"),
        ("export_profile", ["Calls", "--version", "7"], "Versions: 1"),
        ("import_profile", ["/nowhere.json"], "cannot be read"),
        ("import_profile", ["--ready-made", "nothing"], "Those there are: api-gateway-log"),
        ("import_profile", [], "one of the arguments"),
    ],
)
def test_the_commands_refuse_with_what_to_do(version, command, arguments, words):
    with pytest.raises(CommandError, match=words):
        call_command(command, *arguments)


def test_a_faulty_document_is_refused_with_a_line_for_each_fault(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text('{"sluice_profile": 1, "name": "", "spec": 1}')
    with pytest.raises(CommandError, match=r"/name: .*\n.*/spec: "):
        call_command("import_profile", str(path))


# Ready-made


def skip_what_is_not_read_yet(made):
    try:
        parse_spec(made["spec"])
    except FaultySpecError as error:
        if [fault.pointer for fault in error.faults] == ["/format/kind"]:
            pytest.skip("this format is not read yet")
        raise


@pytest.mark.parametrize("name", ready_made_profiles())
def test_every_shipped_profile_activates_and_reads_its_sample_as_expected(name):
    made = ready_made_profile(name)
    skip_what_is_not_read_yet(made)
    version = import_profile(document=made, by=None, now=NOW, activate=True)
    (sample,) = version.profile.golden_samples.all()
    assert check_golden_samples(profile=version.profile, spec=version.spec) == []
    assert "imported" in [record["outcome"] for record in sample.expected]
    assert all(record["outcome"] != "exception" for record in sample.expected)


@pytest.mark.parametrize("name", ready_made_profiles())
def test_every_class_that_a_shipped_sample_names_comes_with_its_profile(name):
    made = ready_made_profile(name)
    named = {
        record["fields"]["UsageClassName"]
        for sample in made["golden_samples"]
        for record in sample["expected"]
        if record["fields"]
    }
    assert named <= {one["name"] for one in made["usage_classes"]}


def test_the_shipped_profiles_are_those_that_were_promised(capsys):
    assert set(ready_made_profiles()) == {"rows", "events", "focus", "asterisk-cdr", "api-gateway-log", "nem12"}
    call_command("import_profile", "--list")
    assert "FOCUS" in capsys.readouterr().out


def test_a_shipped_profile_is_taken_by_its_name(capsys):
    call_command("import_profile", "--ready-made", "focus", "--activate")
    assert "Cloud bill, FOCUS 1.0 v1 is active" in capsys.readouterr().out


# Lookup tables

ZONES = {"name": "zones", "description": "By prefix", "kind": "prefix", "key_column": "prefix", "columns": ["zone"]}
LOOKING = {
    **SPEC,
    "fields": {
        **SPEC["fields"],
        "Extensions.zone": {"source": "who", "transforms": [{"lookup": {"table": "zones", "give": "zone"}}]},
    },
}


def test_lookup_tables_travel_with_the_profile_that_names_them():
    rows = "prefix,valid_from,zone\n43,2026-01-01T00:00:00.000000Z,Austria\n4366,,mobile\n"
    version = take(document(spec=LOOKING, lookups=[{**ZONES, "rows": rows}]))
    exported = export_profile(version=version)
    assert exported["lookups"] == [{**ZONES, "rows": rows}]
    DataProfile.objects.get().versions.all().delete()
    LookupTable.objects.all().delete()
    assert export_profile(version=take(exported))["lookups"] == exported["lookups"]


def test_a_table_that_is_there_stays_as_it_is():
    take(document(spec=LOOKING, lookups=[{**ZONES, "rows": "prefix,zone\n43,Austria\n"}]))
    take(document(spec=LOOKING, lookups=[{**ZONES, "rows": "prefix,zone\n43,elsewhere\n"}]))
    assert LookupTable.objects.get().rows.get().values == {"zone": "Austria"}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "too large to travel"),
        ({"rows": "prefix\n43\n"}, "no column 'zone'"),
        ({"rows": "prefix,zone\n43,a\n43,b\n"}, "/lookups/0/rows"),
    ],
)
def test_a_table_that_cannot_be_made_keeps_the_profile_out(members, words):
    with pytest.raises(UnableToImportProfile, match=words):
        take(document(spec=LOOKING, lookups=[{**ZONES, **members}]))
    assert not DataProfile.objects.exists()


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"kind": "magic"}, "/lookups/0/kind"),
        ({"columns": [1]}, "/lookups/0/columns"),
        ({"key_column": "k" * 101}, "/lookups/0"),
        ({"colour": "red"}, "/lookups/0"),
    ],
)
def test_a_table_of_wrong_shape_is_refused_with_its_place(members, pointer):
    assert faults(json.dumps(document(lookups=[{**ZONES, **members}]))) == [pointer]


def test_the_shipped_focus_profile_reads_real_bills():
    path = Path(__file__).parents[3] / "shared" / "samples" / "focus" / "focus_sample.csv"
    if not path.exists():
        pytest.skip("the samples are not here")
    made = preview(spec=ready_made_profile("focus")["spec"], content=path.read_bytes(), knows_every_name=True)
    assert made.counts["imported"] == 1_000
    assert str(made.udrs["amount"].sum()) == "20.52022672899"
