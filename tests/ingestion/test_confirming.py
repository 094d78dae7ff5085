"""What is done with all of a group is done with what its page told of, not with what came since."""

import pytest
from django.urls import reverse

from ingestion.models import GroupCorrection, ImportException
from tests.config.crowd import person
from tests.ingestion.factories import feed_of
from tests.ingestion.test_workbench_pages import CORRECT, SEE, WRITE_OFF, act_url, failed, rule_url
from tests.telling import confirmed, told_by

pytestmark = pytest.mark.django_db


def test_what_joined_a_group_since_its_page_told_of_it_is_not_given_up_with_it():
    feed = feed_of()
    (first,) = failed(feed, "1s")
    client, address = person(SEE, WRITE_OFF), act_url(feed, "write-off")
    told = told_by(client, address)
    failed(feed, "1s", "1s", start=1)
    assert "3 open records" in client.post(address, {"reason": "test traffic"}).content.decode()
    assert not ImportException.objects.filter(status="written_off").exists()
    client.post(address, {**told, "reason": "test traffic"})
    assert ImportException.objects.get(status="written_off") == first


def test_what_was_open_before_and_is_again_is_told_of_first():
    feed = feed_of()
    gone, _ = failed(feed, "1s", "1s")
    client, address = person(SEE, WRITE_OFF), act_url(feed, "write-off")
    ImportException.objects.filter(pk=gone.pk).update(status="reprocessing")
    told = told_by(client, address)
    ImportException.objects.filter(pk=gone.pk).update(status="open")
    html = client.post(address, {**told, "reason": "test traffic"}).content.decode()
    assert "This is what there is now" in html
    assert "2 open records" in html
    assert not ImportException.objects.filter(status="written_off").exists()
    confirmed(client, address, reason="test traffic")
    assert ImportException.objects.filter(status="written_off").count() == 2


def test_a_rule_is_for_the_records_that_its_preview_was_of():
    feed = feed_of()
    (first,) = failed(feed, "1s")
    client, address = person(SEE, CORRECT), rule_url(feed, "substitute", "1s")
    rule = {"field": "value", "pattern": "s", "replacement": ""}
    seen = client.post(address, rule).context["ask"].initial
    failed(feed, "1s", "1s", start=1)
    asking = {**rule, "reason": "unit in the number", "_ask": "1"}
    client.post(address, {**asking, "previewed": seen["previewed"]})
    assert not GroupCorrection.objects.exists()
    client.post(address, {**asking, **seen})
    correction = GroupCorrection.objects.get()
    assert (correction.record_count, correction.max_exception_id) == (1, first.pk)


def test_everything_in_a_filter_is_what_the_page_between_told_of():
    feed = feed_of()
    first = failed(feed, "1s")
    client, address = person(SEE, WRITE_OFF), reverse("admin:ingestion_importexception_changelist")
    everything = {"action": "write_off", "_selected_action": [first[0].pk], "select_across": "1"}
    page = client.post(address, everything)
    told = {"told_count": page.context["count"], "told_last": page.context["last"]}
    assert f'name="told_last" value="{first[0].pk}"' in page.content.decode()
    failed(feed, "1s", "1s", start=1)
    client.post(address, {**everything, **told, "reason": "test traffic"})
    assert list(ImportException.objects.filter(status="written_off")) == first


def test_the_page_between_asks_again_where_more_is_in_the_filter_than_it_told_of():
    feed = feed_of()
    first = failed(feed, "1s", "1s")
    client, address = person(SEE, WRITE_OFF), reverse("admin:ingestion_importexception_changelist")
    everything = {"action": "write_off", "_selected_action": [first[0].pk], "select_across": "1"}
    told = {"told_count": "1", "told_last": first[-1].pk, "reason": "test traffic"}
    assert "There are more by now" in client.post(address, {**everything, **told}).content.decode()
    assert not ImportException.objects.filter(status="written_off").exists()
