"""Golden samples: what a profile must go on reading as it does, unless somebody says otherwise."""

from datetime import UTC, datetime

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from mediation.models import DataProfile, GoldenSample, GoldenSampleChange
from mediation.services import UnableToActivate, activate_version, create_draft
from mediation.services.golden_samples import (
    UnableToKeepSample,
    change_golden_sample,
    check_golden_samples,
    keep_golden_sample,
    remove_golden_sample,
)
from tests.mediation.people import user_who_may
from tests.mediation.test_previewing import ROWS, SPEC

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 1, tzinfo=UTC)
OTHER = {**SPEC, "fields": {**SPEC["fields"], "Value": {"source": "much", "round_to": 0}}}


@pytest.fixture
def profile():
    return DataProfile.objects.create(name="Calls")


def keep(profile, **options):
    answers = {"name": "a day", "content": ROWS.decode(), "is_rows": False, "spec": SPEC, "note": "", "by": None}
    return keep_golden_sample(profile=profile, now=NOW, **{**answers, **options})


def broken(profile, spec):
    return [(fault.pointer, fault.message) for fault in check_golden_samples(profile=profile, spec=spec)]


def test_a_sample_keeps_what_became_of_each_record(profile):
    expected = keep(profile).expected
    assert [(one["record"], one["outcome"], one["reason"]) for one in expected] == [
        (2, "imported", ""),
        (3, "imported", ""),
        (4, "skipped", "tests"),
        (5, "exception", "unmapped_value"),
        (6, "duplicate", "2"),
        (7, "exception", "too_few_columns"),
    ]
    assert expected[1]["fields"]["Value"] == "1.5"


def test_a_profile_that_reads_alike_breaks_nothing(profile):
    keep(profile)
    assert broken(profile, SPEC) == []


def test_each_difference_is_named_by_sample_record_and_field(profile):
    keep(profile)
    assert broken(profile, OTHER) == [
        ("/golden_samples/a day/3/fields/Value", "“1.5” is expected, “2” came out"),
    ]


def test_a_sample_that_cannot_be_read_any_more_is_broken(profile):
    keep(profile)
    ((pointer, message),) = broken(profile, {**SPEC, "format": {"kind": "json"}})
    assert pointer == "/golden_samples/a day"
    assert "cannot be read any more" in message


def test_a_version_that_breaks_a_sample_cannot_be_activated(profile):
    keep(profile)
    draft = create_draft(profile=profile, spec=OTHER, note="", by=None)
    with pytest.raises(UnableToActivate, match=r"“1.5” is expected, “2” came out"):
        activate_version(version=draft, by=None, now=NOW)
    assert draft.status == "draft"


def test_a_sample_that_is_changed_on_purpose_lets_the_version_through(profile):
    sample = keep(profile)
    draft = create_draft(profile=profile, spec=OTHER, note="", by=None)
    by = user_who_may("mediation.change_goldensample")
    options = {"content": sample.content, "is_rows": False, "spec": OTHER, "reason": "whole units only"}
    change_golden_sample(sample=sample, by=by, now=NOW, **options)
    activate_version(version=draft, by=None, now=NOW)
    change = GoldenSampleChange.objects.get()
    assert (change.changed_by, change.changed_at, change.reason) == (by, NOW, "whole units only")
    assert change.expected[1]["fields"]["Value"] == "1.5"


def test_a_sample_that_is_removed_is_remembered(profile):
    sample = keep(profile)
    remove_golden_sample(sample=sample, reason="the source is gone", by=None, now=NOW)
    assert not GoldenSample.objects.exists()
    assert GoldenSampleChange.objects.get().is_removal


def test_a_change_needs_a_reason_in_the_database_too(profile):
    sample = keep(profile)
    with pytest.raises(UnableToKeepSample, match="on purpose"):
        remove_golden_sample(sample=sample, reason=" ", by=None, now=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        GoldenSampleChange.objects.create(profile=profile, name="a", content="", expected=[], reason="", changed_at=NOW)


def test_names_are_given_once_a_profile(profile):
    keep(profile)
    with pytest.raises(UnableToKeepSample, match="Choose another name"):
        keep(profile)
    with pytest.raises(UnableToKeepSample, match="needs a name"):
        keep(profile, name=" ")


def test_a_sample_is_small(profile):
    with pytest.raises(UnableToKeepSample, match="200 records"):
        keep(profile, content="at,who,what,much\n" + "2026-05-01,a,V,1\n" * 201)


def test_keeping_changing_and_removing_need_their_permissions(profile):
    sample, nobody = keep(profile), user_who_may()
    with pytest.raises(PermissionDenied):
        keep(profile, name="b", by=nobody)
    with pytest.raises(PermissionDenied):
        change_golden_sample(sample=sample, content="", is_rows=False, spec=SPEC, reason="x", by=nobody, now=NOW)
    with pytest.raises(PermissionDenied):
        remove_golden_sample(sample=sample, reason="x", by=nobody, now=NOW)
