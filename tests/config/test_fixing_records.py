"""A group of import exceptions mended at its source: the profile's maps, lookup rows, names; then it goes through."""

import pytest
from django.urls import reverse

from config.fixing.offers import FOR_CAUSES, FOR_CODES, Mend, mends_for_cause, mends_for_code
from config.fixing.record_forms import SECTIONS as OF_RECORDS
from config.fixing.usage_pages import SECTIONS as OF_USAGE
from ingestion.admin.groups import group_of, group_url
from ingestion.models import ImportException
from mediation.models import LookupRow, LookupTable, ProfileVersion, Udr, UsageClass
from mediation.services.golden_samples import keep_golden_sample
from tests.ingestion.factories import EVENTS, NOW, event, feed_of, posted, user_with, work
from tests.mediation.profiles import document

pytestmark = pytest.mark.django_db

ALL = ImportException.objects
MAY_SEE = ("ingestion.view_importexception", "ingestion.reprocess_importexception")


def refused(*records, spec=None):
    """The open exceptions of a submission."""
    posted(feed_of(spec) if spec else feed_of(), *records)
    work()
    return ALL.filter(status="open")


def page_of(exceptions, **query):
    return group_url(group_of(exceptions.first()), "fix_records")


def unknown_class(*names):
    return refused(*(event(f"e{place}", class_=name) for place, name in enumerate(names)))


def sent(mend, **answers):
    return {"mend": mend, **answers}


def signed_in(client, *permissions, feeds=None):
    user = user_with(*MAY_SEE, *permissions, feeds=feeds)
    user.is_staff = True
    user.save()
    client.force_login(user)
    return user


# Which mends are offered


def test_every_mend_of_a_code_or_cause_has_a_section():
    assert {mend for mends in FOR_CODES.values() for mend in mends} == set(OF_RECORDS)
    assert {mend for mends in FOR_CAUSES.values() for mend in mends} == set(OF_USAGE)
    assert set(OF_RECORDS) | set(OF_USAGE) == set(Mend)


def test_mends_are_offered_by_code_and_cause():
    assert mends_for_code("unknown_usage_class") == (Mend.VALUE_MAP, Mend.USAGE_CLASS)
    assert mends_for_code("lookup_failed") == (Mend.LOOKUP_ROW,)
    assert mends_for_code("malformed") == mends_for_code("a_code_of_the_profile") == ()
    assert mends_for_cause("no_identifier_match") == (Mend.IDENTIFIER,)
    assert mends_for_cause("system_error") == ()


# The value map


def test_an_entry_in_the_value_map_is_shown_before_it_is_made(admin_client):
    rows = unknown_class("CALL", "CALL", "calls")
    answer = admin_client.post(page_of(rows), sent("value-map", key="CALL", to="calls"))
    text = answer.content.decode()
    assert "/fields/UsageClassName/transforms" in text
    assert "All golden samples of the profile are read as before" in text
    assert "<strong>2</strong> records" in text
    assert ProfileVersion.objects.count() == 1
    assert rows.count() == 2


def test_activating_the_entry_mends_the_group(admin_client):
    rows = unknown_class("CALL", "CALL")
    back = group_url(group_of(rows.first()))
    answer = admin_client.post(page_of(rows), sent("value-map", key="CALL", to="calls", _activate="1"), follow=True)
    assert answer.redirect_chain[0][0] == back
    active = ProfileVersion.objects.get(status="active")
    chain = [{"map": {"values": {"CALL": "calls"}, "otherwise": "keep"}}]
    assert active.spec["fields"]["UsageClassName"]["transforms"] == chain
    assert (active.number, active.created_by.username) == (2, "admin")
    assert "2 records will be mediated again" in answer.content.decode()
    work()
    assert ALL.filter(status="resolved").count() == Udr.objects.count() == 2


def test_texts_that_the_new_map_does_not_know_stay_as_they_are(admin_client):
    rows = unknown_class("CALL")
    admin_client.post(page_of(rows), sent("value-map", key="CALL", to="calls", _activate="1"))
    posted(rows.model.objects.get().feed, event("after", class_="calls"), event("new", class_="RING"))
    work()
    assert Udr.objects.count() == 2
    rows = ALL.filter(status="open")
    admin_client.post(page_of(rows), sent("value-map", key="RING", to="calls", _activate="1"))
    work()
    assert not ALL.filter(status="open").exists()
    [only] = ProfileVersion.objects.get(status="active").spec["fields"]["UsageClassName"]["transforms"]
    assert only["map"]["values"] == {"CALL": "calls", "RING": "calls"}


def test_a_value_map_that_is_there_takes_the_entry(admin_client):
    fields = {"UsageClassName": {"source": "class", "value_map": {"V": "calls"}}}
    rows = refused(event(class_="D"), spec=with_fields(fields))
    assert rows.get().code == "unmapped_value"
    admin_client.post(page_of(rows), sent("value-map", key="D", to="calls", _activate="1"))
    work()
    assert ALL.get().status == "resolved"
    said = ProfileVersion.objects.get(status="active").spec["fields"]["UsageClassName"]
    assert said["value_map"] == {"V": "calls", "D": "calls"}


def test_the_text_that_the_map_is_asked_for_is_found_by_trimming_and_case(admin_client):
    fields = {"UsageClassName": {"source": "class", "case": "upper", "value_map": {"X": "calls"}}}
    rows = refused(event(class_=" call "), spec=with_fields(fields))
    text = admin_client.get(page_of(rows)).content.decode()
    assert 'value="CALL"' in text


def with_fields(fields):
    spec = document(uniqueness=["UdrUsageIdentifier"])
    return {**spec, "fields": {**spec["fields"], **fields}}


def test_an_entry_that_a_golden_sample_forbids_is_not_activated(admin_client):
    rows = unknown_class("CALL")
    active = ProfileVersion.objects.get()
    keep_golden_sample(
        profile=active.profile,
        name="refused calls",
        content=event(class_="CALL"),
        is_rows=True,
        spec=active.spec,
        note="",
        by=None,
        now=NOW,
    )
    shown = admin_client.post(page_of(rows), sent("value-map", key="CALL", to="calls")).content.decode()
    assert "Golden samples would be read otherwise" in shown
    assert 'name="_activate"' not in shown
    admin_client.post(page_of(rows), sent("value-map", key="CALL", to="calls", _activate="1"))
    assert list(ProfileVersion.objects.order_by("number").values_list("status", flat=True)) == ["active", "draft"]
    assert rows.count() == 1


def test_a_map_among_the_transforms_takes_an_entry(admin_client):
    chain = [{"trim": "both"}, {"map": {"values": {"c": "calls"}}}]
    rows = refused(event(class_="zz"), spec=with_fields({"UsageClassName": {"source": "class", "transforms": chain}}))
    assert rows.get().code == "unmapped_value"
    admin_client.post(page_of(rows), sent("map-entry", key="zz", to="calls", _activate="1"))
    work()
    assert ALL.get().status == "resolved"


def test_records_of_another_format_are_previewed_too(admin_client):
    spec = document(EVENTS, fields={"UsageClassName": {"source": "Class"}})
    record = {"Date": "2026-05-01T10:00:00Z", "Id": "a", "Value": 1, "Class": "CALL"}
    rows = refused(record, spec=spec)
    assert rows.get().code == "unknown_usage_class"
    text = admin_client.post(page_of(rows), sent("value-map", key="CALL", to="calls")).content.decode()
    assert "<strong>1</strong> records" in text


# Names and lookup rows


def test_the_usage_class_is_set_up_and_the_group_goes_through(admin_client):
    rows = unknown_class("video", "video")
    assert 'value="video"' in admin_client.get(page_of(rows)).content.decode()
    admin_client.post(page_of(rows), sent("usage-class", name="video", unit="count", paid_by="usage"))
    work()
    assert UsageClass.objects.filter(name="video").exists()
    assert ALL.filter(status="resolved").count() == 2


def test_a_name_that_is_taken_is_refused_at_its_field(admin_client):
    rows = unknown_class("video")
    answer = admin_client.post(page_of(rows), sent("usage-class", name="calls", unit="count", paid_by="usage"))
    assert "already exists" in answer.content.decode()
    assert rows.count() == 1


def lookup_refused():
    table = LookupTable.objects.create(name="classes", kind="exact", key_column="word", columns=["class"])
    chain = [{"lookup": {"table": "classes", "give": "class"}}]
    spec = with_fields({"UsageClassName": {"source": "class", "transforms": chain}})
    return table, refused(event(class_="zz"), spec=spec)


def test_a_row_in_the_lookup_table_mends_the_group(admin_client):
    table, rows = lookup_refused()
    assert rows.get().code == "lookup_failed"
    assert 'value="zz"' in admin_client.get(page_of(rows)).content.decode()
    row = {"cell:word": "zz", "cell:class": "calls", "valid_from": "", "valid_to": ""}
    answer = admin_client.post(page_of(rows), sent("lookup-row", **row), follow=True)
    assert "A row was added to" in answer.content.decode()
    work()
    assert LookupRow.objects.get(table=table).values == {"class": "calls"}
    assert ALL.get().status == "resolved"


def test_a_row_that_the_table_cannot_take_is_refused_on_the_page(admin_client):
    _, rows = lookup_refused()
    row = {"cell:word": "zz", "cell:class": "calls", "valid_from": "yesterday", "valid_to": ""}
    answer = admin_client.post(page_of(rows), sent("lookup-row", **row))
    assert "cannot take the row" in answer.content.decode()
    assert not LookupRow.objects.exists()


# Who may


def test_only_mends_that_somebody_may_do_are_shown_and_done(client):
    signed_in(client, "mediation.add_usageclass")
    rows = unknown_class("video")
    text = client.get(page_of(rows)).content.decode()
    assert "Set up the usage class" in text
    assert "value map" not in text
    answer = client.post(page_of(rows), sent("value-map", key="video", to="calls", _activate="1"))
    assert answer.status_code == 403
    assert ProfileVersion.objects.count() == 1


def test_without_the_right_to_reprocess_the_page_is_refused(client):
    user = user_with("ingestion.view_importexception", "mediation.add_usageclass")
    user.is_staff = True
    user.save()
    client.force_login(user)
    rows = unknown_class("video")
    assert client.get(page_of(rows)).status_code == 403
    assert "Fix it at the source" not in client.get(group_url(group_of(rows.first()))).content.decode()


def test_groups_of_other_feeds_are_not_found(client):
    rows = unknown_class("video")
    signed_in(client, "mediation.add_usageclass", feeds=[feed_of()])
    assert client.get(page_of(rows)).status_code == 404


def test_the_group_leads_here_and_a_group_without_a_mend_does_not(admin_client):
    rows = unknown_class("video")
    assert "Fix it at the source" in admin_client.get(group_url(group_of(rows.first()))).content.decode()
    posted(feed_of(), "one,two")
    work()
    other = ALL.get(code="too_few_columns")
    assert "Fix it at the source" not in admin_client.get(group_url(group_of(other))).content.decode()
    page = admin_client.get(group_url(group_of(other), "fix_records")).content.decode()
    assert "Nothing outside of these records" in page


def test_an_address_without_a_group_is_not_found(admin_client):
    assert admin_client.get(reverse("admin:fix_records")).status_code == 404


def test_where_a_second_person_must_agree_the_draft_waits_for_one(admin_client, settings):
    settings.FOUR_EYES = {"activate_profile": None}
    rows = unknown_class("CALL")
    text = admin_client.post(page_of(rows), sent("value-map", key="CALL", to="calls", _activate="1")).content.decode()
    assert "was drafted. Reprocess the group once it is active" in text
    assert list(ProfileVersion.objects.order_by("number").values_list("status", flat=True)) == ["active", "draft"]
    assert rows.count() == 1
