"""One import exception at the desk: the record beside what was read, corrected by form or in the raw text."""

import pytest
from django.urls import reverse
from django.utils import timezone

from ingestion.models import ExceptionRevision, ImportException
from ingestion.services import correct_exception
from mediation.models import Udr
from tests.config.crowd import person
from tests.ingestion.factories import EVENTS, event, feed_of, posted
from tests.ingestion.test_workbench_pages import CORRECT, EXCEPTIONS, SEE, failed, now_text, page, work
from tests.mediation.profiles import document

pytestmark = pytest.mark.django_db


def desk(exception):
    return reverse(f"admin:{EXCEPTIONS}_change", args=[exception.pk])


def correcting(exception):
    return reverse(f"admin:{EXCEPTIONS}_correct", args=[exception.pk])


def fields(who="e0", value="1s", class_="calls", **answers):
    """The form as the page shows it, with what was filled in otherwise."""
    texts = {"date": now_text(), "who": who, "value": value, "class": class_}
    return {f"source:{name}": text for name, text in texts.items()} | answers


def test_the_record_stands_beside_what_was_read_with_the_fault_marked():
    (exception,) = failed(feed_of(), "1s")
    html = page(person(SEE), desk(exception))
    assert "<mark>1s</mark>" in html
    assert '<tr class="at-fault"><th scope="row">value</th>' in html
    assert "UdrUsageIdentifier" in html
    assert 'name="source:value"' not in html  # it may be looked at only


def test_a_correction_by_form_is_previewed_before_it_is_kept():
    (exception,) = failed(feed_of(), "1s")
    client = person(SEE, CORRECT)
    assert 'name="source:value"' in page(client, desk(exception))
    html = client.post(correcting(exception), fields(value="1", _preview="1")).content.decode()
    assert "It would be imported." in html
    assert 'was <code class="old-text">1s</code>' in html
    html = client.post(correcting(exception), fields(value="1x", _preview="1")).content.decode()
    assert "It would still be an exception:" in html
    assert ExceptionRevision.objects.count() == 0


def test_only_the_fields_that_were_changed_are_kept_as_changes():
    (exception,) = failed(feed_of(), "1s")
    client = person(SEE, CORRECT)
    client.post(correcting(exception), fields(value="1", reason="unit in the number"))
    revision = exception.revisions.get()
    assert (revision.raw, revision.changes, revision.reason) == (None, {"value": "1"}, "unit in the number")
    work()
    assert Udr.objects.get().value == 1
    html = page(client, desk(exception))
    assert '<span class="quiet">value</span> <code>1</code>' in html


def test_a_field_that_is_emptied_has_no_value():
    (exception,) = failed(feed_of(), "1s")
    person(SEE, CORRECT).post(correcting(exception), fields(value="1", class_="", reason="why not"))
    assert exception.revisions.get().changes == {"value": "1", "class": None}


def test_nothing_changed_is_no_correction():
    (exception,) = failed(feed_of(), "1s")
    html = person(SEE, CORRECT).post(correcting(exception), fields(reason="none")).content.decode()
    assert "Nothing is corrected" in html
    assert ExceptionRevision.objects.count() == 0


def test_a_correction_needs_a_reason_and_keeps_what_was_filled_in():
    (exception,) = failed(feed_of(), "1s")
    html = person(SEE, CORRECT).post(correcting(exception), fields(value="17")).content.decode()
    assert "This field is required" in html
    assert 'value="17"' in html


def test_the_raw_text_is_corrected_and_previewed():
    (exception,) = failed(feed_of(), "1s")
    client = person(SEE, CORRECT)
    assert "<textarea" in page(client, desk(exception), **{"as": "raw"})
    raw = event("e0", "1", now_text())
    html = client.post(f"{correcting(exception)}?as=raw", {"raw": raw, "_preview": "1"}).content.decode()
    assert "It would be imported." in html
    client.post(f"{correcting(exception)}?as=raw", {"raw": raw, "reason": "unit"})
    assert exception.revisions.get().raw == raw


def test_a_record_that_cannot_be_read_is_corrected_in_its_raw_text():
    feed = feed_of()
    (exception,) = failed(feed, "1,2,3")
    html = page(person(SEE, CORRECT), desk(exception))
    assert 'name="raw"' in html
    assert "too many columns" in html


def test_json_records_are_corrected_field_by_field_too():
    feed = feed_of(EVENTS)
    taken = posted(feed, {"Date": now_text(), "Id": "j1", "Value": "12,5"}, now=timezone.now())
    work()
    exception = taken.exceptions.get()
    client = person(SEE, CORRECT)
    assert "<mark>" in page(client, desk(exception))
    client.post(correcting(exception), {"source:Value": "12.5", "reason": "comma"})
    work()
    exception.refresh_from_db()
    assert exception.status == "resolved"


def test_a_person_works_through_the_records_of_a_group():
    feed = feed_of()
    first, second, third = failed(feed, "1s", "1s", "1s")
    client = person(SEE, CORRECT)
    context = client.get(desk(second)).context["desk"]
    assert (context["steps"].place, context["steps"].count_text) == (2, "3")
    assert context["steps"].before_url.startswith(desk(first))
    assert context["steps"].after_url.startswith(desk(third))
    response = client.post(correcting(second), fields(value="1", who="e1", reason="unit", _next="1"))
    assert response["Location"].startswith(desk(third))


def test_the_way_goes_through_all_values_where_one_came_from_there():
    first, second = failed(feed_of(), "1s", "2s")
    steps = person(SEE).get(f"{desk(first)}?of=any").context["desk"]["steps"]
    assert steps.after_url == f"{desk(second)}?of=any"
    assert person(SEE).get(desk(first)).context["desk"]["steps"].after_url == ""


def test_a_very_long_record_is_cut_around_the_fault_with_a_link_to_the_whole():
    columns = ["date", "who", "value", "class", "note"]
    feed = feed_of(document(format={"kind": "delimited", "columns": columns}, uniqueness=["UdrUsageIdentifier"]))
    (exception,) = failed(feed, "1s", class_="calls," + "n" * 100_000)
    html = page(person(SEE), desk(exception))
    assert len(html) < 120_000
    assert "<mark>1s</mark>" in html
    address = reverse(f"admin:{EXCEPTIONS}_raw", args=[exception.pk])
    assert address in html
    response = person(SEE).get(address)
    assert response["Content-Type"].startswith("text/plain")
    assert len(response.content) > 100_000


def test_correcting_needs_its_permission():
    (exception,) = failed(feed_of(), "1s")
    client = person(SEE)
    page(client, correcting(exception), status=403)
    assert client.post(correcting(exception), fields(value="1", reason="unit")).status_code == 403
    page(person(CORRECT), reverse(f"admin:{EXCEPTIONS}_raw", args=[exception.pk]), status=403)


def test_records_of_other_feeds_are_not_there():
    mine, other = feed_of(name="Mine"), feed_of(name="Other")
    (exception,) = failed(other, "1s")
    client = person(SEE, CORRECT, feeds=[mine])
    page(client, correcting(exception), status=404)
    page(client, reverse(f"admin:{EXCEPTIONS}_raw", args=[exception.pk]), status=404)
    assert client.get(desk(exception)).status_code == 302
    client.post(correcting(exception), fields(value="1", reason="unit"))
    assert ImportException.objects.get().revision_count == 0


def test_a_closed_exception_is_shown_without_a_form():
    (exception,) = failed(feed_of(), "1s")
    ImportException.objects.update(status="written_off", close_reason="test")
    html = page(person(SEE, CORRECT), desk(exception))
    assert 'name="source:value"' not in html
    assert "What was read from it" in html


@pytest.mark.parametrize("way", ["form", "raw"])
def test_what_a_colleague_has_corrected_since_it_was_opened_is_not_undone(way):
    (exception,) = failed(feed_of(), "1s")
    client = person(SEE, CORRECT)
    address = desk(exception) + ("?as=raw" if way == "raw" else "")
    assert '<input type="hidden" name="seen" value="0"' in page(client, address)
    correct_exception(exception=exception, changes={"who": "e9"}, reason="who", by=None, now=timezone.now())
    work()
    sent = {"raw": event("e0", value="1")} if way == "raw" else fields(value="1")
    html = client.post(correcting(exception), {**sent, "seen": "0", "reason": "value"}).content.decode()
    assert "Somebody else has corrected this record since you opened it." in html
    assert exception.revisions.get().changes == {"who": "e9"}
    client.post(correcting(exception), {**fields(who="e9", value="1"), "seen": "1", "reason": "value"})
    assert exception.revisions.get(number=2).changes == {"value": "1"}
