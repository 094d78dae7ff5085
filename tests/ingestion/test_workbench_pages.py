"""The workbench of import exceptions on screen: groups, what is done with all of one, corrections by a rule."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ingestion import services
from ingestion.admin.groups import group_url
from ingestion.admin.rules import RULE, digest
from ingestion.models import GroupCorrection, ImportException
from ingestion.selectors import Group
from mediation.models import UdrBatch
from tests.config.crowd import do, person
from tests.ingestion.factories import event, feed_of, filed
from tests.telling import confirmed

EXCEPTIONS = "ingestion_importexception"
SEE = "ingestion.view_importexception"
CORRECT, REPROCESS = "ingestion.correct_importexception", "ingestion.reprocess_importexception"
REVIEW, WRITE_OFF = "ingestion.review_importexception", "ingestion.writeoff_importexception"
GROUPS = f"admin:{EXCEPTIONS}_groups"

pytestmark = pytest.mark.django_db


def now_text():
    return timezone.now().strftime("%Y-%m-%dT%H:00:00Z")


def failed(feed, *values, class_="calls", start=0):
    """A file whose records fail for these texts of their value; returns their exceptions."""
    rows = [event(f"e{start + place}", value, now_text(), class_) for place, value in enumerate(values)]
    usage_import = filed(feed, *rows, name=f"usage-{start}.csv", now=timezone.now())
    work()
    return list(usage_import.exceptions.order_by("record_number"))


def work():
    now = timezone.now()
    while (
        services.plan_next_import(now=now)
        or services.mediate_next_chunks(now=now)
        or services.retry_next_exceptions(now=now)
        or services.correct_next_portion(now=now)
    ):
        pass


def group(feed, value="1s"):
    return Group(feed.pk, "bad_number", "Value", value)


def page(client, url, status=200, **query):
    response = client.get(url, query)
    assert response.status_code == status
    return response.content.decode()


def act_url(feed, verb, value="1s"):
    return group_url(group(feed, value), f"{EXCEPTIONS}_group_act", verb)


def rule_url(feed, kind, value=None):
    return group_url(group(feed, value), RULE) + f"&kind={kind}"


# All groups


def test_groups_stand_largest_first_with_their_value_and_lead_to_their_page():
    feed = feed_of(name="Roaming")
    failed(feed, "1s", "2s", "2s", "2s")
    html = page(person(SEE), reverse(GROUPS))
    assert html.index("2s</span>") < html.index("1s</span>")
    assert group_url(group(feed, "2s")).replace("&", "&amp;") in html


def test_all_values_of_a_field_are_one_group_when_asked():
    feed = feed_of()
    failed(feed, "1s", "2s", "3s")
    html = page(person(SEE), reverse(GROUPS), by="field")
    assert group_url(group(feed, None)).replace("&", "&amp;") in html
    html = page(person(SEE), group_url(group(feed, None)))
    assert "record 3" in html
    assert "1s</span>" in html


def test_without_any_exception_the_groups_say_what_they_are_for():
    assert "No open exceptions." in page(person(SEE), reverse(GROUPS))


def test_a_filter_that_leaves_nothing_leads_back_to_all():
    failed(feed_of(), "1s")
    assert "Nothing matches" in page(person(SEE), reverse(GROUPS), code="too_old")


def test_groups_need_the_view_permission():
    feed = feed_of()
    failed(feed, "1s")
    client = person(CORRECT)
    page(client, reverse(GROUPS), status=403)
    page(client, group_url(group(feed)), status=403)


def test_groups_of_other_feeds_are_not_there():
    mine, other = feed_of(name="Mine"), feed_of(name="Other")
    failed(mine, "1s")
    failed(other, "9s")
    client = person(SEE, CORRECT, REPROCESS, WRITE_OFF, feeds=[mine])
    html = page(client, reverse(GROUPS))
    assert "1s</span>" in html
    assert "9s</span>" not in html
    for url in (group_url(group(other, "9s")), act_url(other, "reprocess", "9s"), rule_url(other, "set", "9s")):
        page(client, url, status=404)


def test_groups_ask_as_many_queries_for_20_as_for_2(admin_client):
    feed = feed_of()
    failed(feed, "1s", "2s")
    admin_client.get(reverse(GROUPS))
    with CaptureQueriesContext(connection) as for_two:
        page(admin_client, reverse(GROUPS))
    failed(feed, *(f"{number}x" for number in range(20)), start=10)
    with CaptureQueriesContext(connection) as for_twenty:
        page(admin_client, reverse(GROUPS))
    assert len(for_twenty) == len(for_two)


# One group


def test_a_group_shows_its_records_with_the_offending_value_marked():
    feed = feed_of()
    failed(feed, "1s", "1s")
    html = page(person(SEE), group_url(group(feed)))
    assert "<mark>1s</mark>" in html
    assert "has a number outside the grammar" in html


def test_the_records_of_a_group_are_turned_page_by_page():
    feed = feed_of()
    failed(feed, *["1s"] * 30)
    client = person(SEE)
    first = client.get(group_url(group(feed))).context
    assert len(first["records"]) == 25
    second = client.get(group_url(group(feed)).partition("?")[0] + first["pages"].after_url).context
    assert len(second["records"]) == 5
    back = client.get(group_url(group(feed)).partition("?")[0] + second["pages"].before_url).context
    assert [row["link"] for row in back["records"]] == [row["link"] for row in first["records"]]


def test_a_group_asks_as_many_queries_for_20_records_as_for_2(admin_client):
    feed = feed_of()
    failed(feed, "1s", "1s")
    admin_client.get(group_url(group(feed)))
    with CaptureQueriesContext(connection) as for_two:
        page(admin_client, group_url(group(feed)))
    failed(feed, *["1s"] * 18, start=10)
    with CaptureQueriesContext(connection) as for_twenty:
        page(admin_client, group_url(group(feed)))
    assert len(for_twenty) == len(for_two)


def test_what_a_person_may_not_do_with_a_group_is_not_offered():
    feed = feed_of()
    failed(feed, "1s")
    html = page(person(SEE), group_url(group(feed)))
    assert "Correct all by a rule" not in html
    assert "Write off all" not in html
    assert "Reprocess all" in page(person(SEE, REPROCESS), group_url(group(feed)))


def test_a_group_that_is_cleared_leads_to_the_others():
    feed = feed_of()
    failed(feed, "1s")
    ImportException.objects.update(status="resolved")
    assert "No record of this group is open any more" in page(person(SEE), group_url(group(feed)))


# What is done with all of a group


def test_a_group_is_reprocessed_after_its_count_was_shown():
    feed = feed_of()
    failed(feed, "1s", "1s", "2s")
    client = person(SEE, REPROCESS)
    assert "2 open records" in page(client, act_url(feed, "reprocess"))
    html = confirmed(client, act_url(feed, "reprocess")).content.decode()
    assert "2 records will be mediated again" in html
    assert ImportException.objects.filter(status="reprocessing").count() == 2


def test_a_group_is_written_off_for_a_reason_only():
    feed = feed_of()
    failed(feed, "1s", "1s")
    client = person(SEE, WRITE_OFF)
    assert "This field is required" in client.post(act_url(feed, "write-off")).content.decode()
    html = confirmed(client, act_url(feed, "write-off"), reason="test traffic").content.decode()
    assert "2 records written off" in html
    assert set(ImportException.objects.values_list("status", "close_reason")) == {("written_off", "test traffic")}


def test_a_group_is_tried_again_later_until_somebody_stops_it():
    feed = feed_of()
    failed(feed, "1s")
    client = person(SEE, REVIEW)
    assert "Stop retrying" not in page(client, group_url(group(feed)))
    confirmed(client, act_url(feed, "retry-later"))
    assert ImportException.objects.get().next_try_at is not None
    assert "Stop retrying" in page(client, group_url(group(feed)))
    confirmed(client, act_url(feed, "stop-retrying"))
    assert ImportException.objects.get().next_try_at is None


@pytest.mark.parametrize("verb", ["reprocess", "write-off", "retry-later", "stop-retrying"])
def test_what_is_done_with_a_group_needs_its_permission(verb):
    feed = feed_of()
    failed(feed, "1s")
    client = person(SEE, CORRECT)
    assert client.post(act_url(feed, verb), {"reason": "because"}).status_code == 403
    assert ImportException.objects.get().status == "open"


def test_what_nobody_can_do_with_a_group_is_not_found(admin_client):
    feed = feed_of()
    failed(feed, "1s")
    page(admin_client, act_url(feed, "frobnicate"), status=404)


# Corrections by a rule

STRIP = {"field": "value", "pattern": "s$", "replacement": ""}
STRIPPED = {"kind": "substitute", **STRIP}


def previewed(client, feed, kind="substitute", value=None, **answers):
    return client.post(rule_url(feed, kind, value), {**answers, "_preview": "Preview"}).content.decode()


def asked(client, feed, rule=STRIPPED, **answers):
    answers = {
        **STRIP,
        "reason": "unit in the number",
        "previewed": digest(rule),
        "told_last": str(10**9),
        "_ask": "1",
        **answers,
    }
    return client.post(rule_url(feed, "substitute"), answers, follow=True)


def test_a_rule_is_previewed_with_nothing_stored():
    feed = feed_of()
    failed(feed, "1s", "2s", "x")
    client = person(SEE, CORRECT)
    html = previewed(client, feed, **STRIP)
    assert "3 records, each looked at" in html
    assert "<del>s</del>" in html
    assert "would be imported" in html
    assert GroupCorrection.objects.count() == 0
    assert ImportException.objects.filter(status="open").count() == 3


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("set", {"field": "value", "text": "10"}),
        ("map", {"field": "value", "from_0": "1s", "to_0": "1"}),
        ("substitute", {"field": " raw ", "pattern": "1s", "replacement": "1"}),
        ("expression", {"field": "value", "expression": "REPLACE(value, 's', '')"}),
    ],
)
def test_each_kind_of_rule_is_filled_in_and_previewed(kind, answers):
    feed = feed_of()
    failed(feed, "1s")
    html = previewed(person(SEE, CORRECT), feed, kind, **answers)
    assert "Correct 1 record" in html
    assert 'badge badge-good">imported' in html


def test_faults_of_a_rule_stand_at_their_fields():
    feed = feed_of()
    failed(feed, "1s")
    response = person(SEE, CORRECT).post(
        rule_url(feed, "substitute"), {"field": "value", "pattern": "(", "replacement": "\\9", "_preview": "1"}
    )
    form = response.context["form"]
    assert form.errors["pattern"]
    assert "preview" not in response.context


def test_more_rows_of_a_map_keep_what_was_filled_in():
    feed = feed_of()
    failed(feed, "1s")
    html = person(CORRECT).post(rule_url(feed, "map"), {"field": "value", "from_0": "1s", "_more": "1"})
    assert 'name="from_5"' in html.content.decode()
    assert 'value="1s"' in html.content.decode()


def test_a_rule_that_changes_nothing_is_not_offered():
    feed = feed_of()
    failed(feed, "1x")
    html = previewed(person(CORRECT), feed, **STRIP)
    assert "changes none of the records" in html
    assert 'name="_ask"' not in html


def test_a_rule_is_asked_for_followed_and_done():
    feed = feed_of()
    failed(feed, "1s", "2s", "x")
    client = person(SEE, CORRECT)
    html = asked(client, feed).content.decode()
    assert "3 records will be corrected and mediated again" in html
    correction = GroupCorrection.objects.get()
    assert reverse("admin:ingestion_groupcorrection_progress", args=[correction.pk]) in html
    progress = client.get(reverse("admin:ingestion_groupcorrection_progress", args=[correction.pk])).json()
    assert not progress["at_rest"]
    work()
    progress = client.get(reverse("admin:ingestion_groupcorrection_progress", args=[correction.pk])).json()
    assert progress["at_rest"]
    assert sorted(ImportException.objects.values_list("status", flat=True)) == ["open", "resolved", "resolved"]
    html = page(client, reverse("admin:ingestion_groupcorrection_change", args=[correction.pk]))
    assert "replace what matches" in html
    resolved = page(client, reverse(f"admin:{EXCEPTIONS}_changelist"), revisions__correction=correction.pk)
    assert "record 1" in resolved
    assert "record 3" not in resolved


def test_a_rule_changed_since_its_preview_is_previewed_again_first():
    feed = feed_of()
    failed(feed, "1s")
    html = asked(person(CORRECT), feed, previewed="other").content.decode()
    assert "was changed since it was previewed" in html
    assert GroupCorrection.objects.count() == 0


def test_a_rule_needs_a_reason_and_keeps_its_preview():
    feed = feed_of()
    failed(feed, "1s")
    html = asked(person(CORRECT), feed, reason="").content.decode()
    assert "This field is required" in html
    assert "Correct 1 record" in html
    assert GroupCorrection.objects.count() == 0


def test_rules_need_the_permission_to_correct():
    feed = feed_of()
    failed(feed, "1s")
    page(person(SEE, REPROCESS), rule_url(feed, "set"), status=403)
    assert asked(person(SEE), feed).status_code == 403


def undoing(correction):
    return reverse("admin:ingestion_groupcorrection_undo", args=[correction.pk])


def test_a_correction_is_undone_while_nothing_is_rated():
    feed = feed_of()
    failed(feed, "1s", "2s")
    client = person(SEE, CORRECT)
    asked(client, feed)
    work()
    correction = GroupCorrection.objects.get()
    assert undoing(correction) in page(client, reverse("admin:ingestion_groupcorrection_change", args=[correction.pk]))
    assert "2 records" in page(client, undoing(correction))
    html = client.post(undoing(correction), follow=True).content.decode()
    assert "is undone" in html
    assert ImportException.objects.filter(status="open").count() == 2


def test_undoing_what_is_rated_is_offered_to_who_may_mediate_imports_again():
    feed = feed_of()
    failed(feed, "1s")
    asked(person(SEE, CORRECT), feed)
    work()
    UdrBatch.objects.update(status="rated")
    correction = GroupCorrection.objects.get()
    change = reverse("admin:ingestion_groupcorrection_change", args=[correction.pk])
    clerk, operator = person(SEE, CORRECT), person(SEE, CORRECT, "ingestion.reprocess_usageimport")
    assert undoing(correction) not in page(clerk, change)
    assert undoing(correction) in page(operator, change)
    for client in (clerk, person(SEE)):
        assert client.get(undoing(correction)).status_code == 403
        assert client.post(undoing(correction)).status_code == 403
    assert "1 import of" in page(operator, undoing(correction))


def test_who_sees_no_exceptions_sees_no_corrections_of_them():
    feed = feed_of()
    failed(feed, "1s")
    asked(person(SEE, CORRECT), feed)
    correction = GroupCorrection.objects.get()
    client = person("ingestion.view_usageimport")
    for name in ("change", "progress"):
        page(client, reverse(f"admin:ingestion_groupcorrection_{name}", args=[correction.pk]), status=403)
    page(client, reverse("admin:ingestion_groupcorrection_changelist"), status=403)


def test_corrections_of_other_feeds_are_not_there():
    mine, other = feed_of(name="Mine"), feed_of(name="Other")
    failed(other, "1s")
    asked(person(CORRECT), other)
    correction = GroupCorrection.objects.get()
    client = person(SEE, CORRECT, feeds=[mine])
    for name in ("undo", "progress"):
        page(client, reverse(f"admin:ingestion_groupcorrection_{name}", args=[correction.pk]), status=404)
    assert client.get(reverse("admin:ingestion_groupcorrection_change", args=[correction.pk])).status_code == 302


# Many of the list


def test_reopening_takes_a_write_off_back():
    feed = feed_of()
    (exception,) = failed(feed, "1s")
    client = person(SEE, WRITE_OFF)
    do(client, EXCEPTIONS, "write_off", exception.pk, reason="by mistake")
    assert "1 record open again" in do(client, EXCEPTIONS, "reopen", exception.pk, reason="it was a mistake")
    exception.refresh_from_db()
    assert exception.status == "open"


def test_more_than_a_hundred_are_counted_before_they_are_reprocessed():
    feed = feed_of()
    keys = [exception.pk for exception in failed(feed, *["1s"] * 101)]
    client = person(SEE, REPROCESS)
    assert "<strong>101</strong>" in do(client, EXCEPTIONS, "reprocess", *keys)
    assert ImportException.objects.filter(status="open").count() == 101
    do(client, EXCEPTIONS, "reprocess", *keys, is_confirmed="1")
    assert ImportException.objects.filter(status="reprocessing").count() == 101
