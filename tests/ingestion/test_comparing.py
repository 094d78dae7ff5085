"""A version held against a past import says what would change, record by record, and changes nothing."""

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django.utils import timezone

from ingestion.admin.comparing import CompareForm
from ingestion.models import ImportChunk, UsageImport
from ingestion.services import correct_exception
from ingestion.services.comparing import MAX_RECORDS, UnableToCompare, compare_version
from mediation.models import ProfileVersion, Udr, UdrBatch, UdrKey
from tests.config.crowd import person
from tests.mediation.profiles import document

from .factories import BY_EVENT, NAMED, NOW, ProfileVersionFactory, event, feed_of, filed, posted, user_with, work

pytestmark = pytest.mark.django_db
LINES = [event("e1"), event("e2", "1.5"), event("e3", "no number"), event("e4", class_="faxes"), event("e1")]


@pytest.fixture
def feed():
    return feed_of()


@pytest.fixture
def usage_import(feed):
    made = filed(feed, *LINES)
    work()
    return made


def draft(feed, spec=BY_EVENT, **members):
    return ProfileVersionFactory(profile=feed.profile, number=9, status="draft", spec={**spec, **members})


def compared(version, usage_import):
    return compare_version(version=version, usage_import=usage_import, by=None)


def told(comparison):
    return [(one.number, one.before, one.before_reason, one.after, one.after_reason) for one in comparison.changes]


def test_the_same_profile_changes_nothing(feed, usage_import):
    comparison = compared(draft(feed), usage_import)
    assert (comparison.record_count, comparison.change_count, comparison.changes) == (5, 0, [])


def test_each_change_of_outcome_is_counted_and_listed(feed, usage_import):
    skip = [{"name": "small", "source": "value", "operator": "equals", "values": ["1.5", "no number"]}]
    comparison = compared(draft(feed, skip=skip), usage_import)
    assert told(comparison) == [
        (2, "imported", "", "skipped", "small"),
        (3, "exception", "bad_number", "skipped", "small"),
    ]
    assert sorted(comparison.transitions) == [("exception", "skipped", 1), ("imported", "skipped", 1)]


def test_fields_that_would_differ_are_named_with_both_texts(feed, usage_import):
    rounded = document(BY_EVENT, fields={"Value": {"source": "value", "round_to": 0}})
    (change,) = (comparison := compared(draft(feed, rounded), usage_import)).changes
    assert change.fields == (("value", "1.5", "2"),)
    assert comparison.fields == [("value", 1)]


def test_another_mapping_of_classes_shows_by_name(feed, usage_import):
    mapped = document(BY_EVENT, fields={"UsageClassName": {"source": "class", "value_map": {"faxes": "calls"}}})
    comparison = compared(draft(feed, mapped), usage_import)
    assert (4, "exception", "unknown_usage_class", "imported", "") in told(comparison)
    assert (1, "imported", "", "exception", "unmapped_value") in told(comparison)


def test_keys_of_other_imports_still_count(feed, usage_import):
    later = filed(feed, event("e1"), event("e9"), name="later.csv")
    work()
    assert compared(draft(feed), later).change_count == 0


def test_posted_records_are_compared_too(feed):
    made = posted(feed, event("e1"), event("e2", "x"))
    work()
    rounded = document(BY_EVENT, fields={"Value": {"literal": "7"}})
    assert [number for number, *_ in told(compared(draft(feed, rounded), made))] == [1, 2]


def test_a_record_that_was_corrected_is_read_as_it_was_corrected(feed, usage_import):
    exception = usage_import.exceptions.get(code="bad_number")
    correct_exception(exception=exception, raw=event("e3", "3"), reason="typo", by=None, now=NOW)
    work()
    assert compared(draft(feed), usage_import).change_count == 0


def test_a_file_with_a_header_is_read_by_its_names():
    feed = feed_of(NAMED)
    made = filed(feed, "date,who,value,class", *LINES)
    work()
    assert compared(draft(feed, NAMED), made).change_count == 0


def test_a_header_row_more_is_a_record_that_is_not_read(feed, usage_import):
    with_header = document(BY_EVENT, format={**BY_EVENT["format"], "header_rows": 1})
    assert (1, "imported", "", "not read", "") in told(compared(draft(feed, with_header), usage_import))


def test_only_the_first_records_are_looked_at_and_it_is_said(feed, monkeypatch):
    monkeypatch.setattr("ingestion.services.comparing.MAX_RECORDS", 3)
    made = filed(feed, *(event(f"e{number}") for number in range(9)))
    work()
    comparison = compared(draft(feed), made)
    assert (comparison.record_count, comparison.is_cut, comparison.change_count) == (3, True, 0)
    assert MAX_RECORDS == 100_000


def test_nothing_is_written(feed, usage_import):
    def rows():
        tables = (Udr, UdrBatch, UdrKey, ImportChunk, UsageImport)
        return [sorted(table.objects.values_list(), key=repr) for table in tables]

    version = draft(feed, null_texts=["1.5"])
    before = rows()
    compared(version, usage_import)
    assert rows() == before


def test_what_cannot_be_compared_is_refused_with_the_reason(feed, usage_import):
    with pytest.raises(UnableToCompare, match="has faults"):
        compared(draft(feed, {}), usage_import)
    ProfileVersion.objects.filter(number=9).update(spec={**BY_EVENT, "format": {"kind": "json"}})
    with pytest.raises(UnableToCompare, match="no JSON records"):
        compared(ProfileVersion.objects.get(number=9), usage_import)
    usage_import.payload.delete(save=False)
    with pytest.raises(UnableToCompare, match="not in the file storage"):
        compared(ProfileVersion.objects.get(number=1), UsageImport.objects.get(pk=usage_import.pk))


def test_comparing_needs_to_see_both(feed, usage_import):
    with pytest.raises(PermissionDenied):
        compare_version(version=draft(feed), usage_import=usage_import, by=user_with("ingestion.view_usageimport"))


# The page


def page_of(client, **asked):
    return client.get(reverse("admin:ingestion_usageimport_compare"), asked)


def test_the_page_offers_the_imports_of_the_profile_and_shows_what_would_change(feed, usage_import, admin_client):
    version = draft(feed, null_texts=["1.5"])
    offered = page_of(admin_client, version=version.pk).content.decode()
    assert "usage.csv (5 records)" in offered
    page = page_of(admin_client, version=version.pk, usage_import=usage_import.pk).content.decode()
    assert "<strong>1</strong> of 5 records would change" in page
    assert "missing_value" in page


def test_the_page_refuses_what_does_not_belong_together(feed, usage_import, admin_client):
    other = draft(feed_of())
    page = page_of(admin_client, version=other.pk, usage_import=usage_import.pk).content.decode()
    assert "Select a valid choice" in page


def test_the_page_needs_its_permissions(feed, usage_import):
    assert page_of(person("ingestion.view_usageimport")).status_code == 403
    assert page_of(person("ingestion.view_usageimport", "mediation.view_profileversion")).status_code == 200


def test_a_version_and_an_import_lead_to_the_page(feed, usage_import, admin_client):
    version = draft(feed)
    for name, key in (("mediation_profileversion", version.pk), ("ingestion_usageimport", usage_import.pk)):
        page = admin_client.get(reverse(f"admin:{name}_change", args=[key])).content.decode()
        assert reverse("admin:ingestion_usageimport_compare") in page


def test_imports_of_feeds_that_were_not_granted_are_neither_offered_nor_compared(feed, usage_import):
    version = draft(feed)
    mine = feed_of()
    client = person("ingestion.view_usageimport", "mediation.view_profileversion", feeds=[mine])
    for asked in ({"usage_import": usage_import.pk}, {"version": version.pk}):
        assert "usage.csv" not in page_of(client, **asked).content.decode()
    both = page_of(client, version=version.pk, usage_import=usage_import.pk).content.decode()
    assert "usage.csv" not in both
    assert "would change" not in both


def test_imports_are_offered_with_the_time_of_the_readers_zone(feed, usage_import, admin_client):
    UsageImport.objects.update(received_at="2026-05-01T23:30:00Z")
    with timezone.override("Europe/Vienna"):
        form = CompareForm({"usage_import": usage_import.pk}, by=user_with())
    assert any("2026-05-02 01:30" in str(label) for _, label in form.fields["usage_import"].choices)
