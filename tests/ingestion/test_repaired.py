"""Records that a profile's rules repair: counted apart in the history, shown, and recounted."""

import pytest
from django.urls import reverse

from config.reconciling import RULES, differences
from ingestion import services
from ingestion.models import ImportException, UsageImport
from mediation.models import Udr
from tests.mediation.profiles import document

from .factories import BY_EVENT, NOW, counts, event, feed_of, filed, new_version, posted, user_with, work

CAPPED = document(
    BY_EVENT,
    validations=[
        {"code": "too_long_a_call", "field": "Value", "rule": {"range": {"most": "100"}}, "repair": {"set": "100"}}
    ],
)
RULE = next(rule for rule in RULES if rule.name == "repaired_are_udrs")
pytestmark = pytest.mark.django_db


def page_of(client, model, pk):
    return client.get(reverse(f"admin:{model}_change", args=[pk])).content.decode()


def test_the_repaired_are_counted_and_shown(reconciled, admin_client):
    repaired = posted(feed_of(CAPPED), event("a"), event("b", value="500"), event("c", value="x"))
    work()
    assert counts(repaired) == ("completed", 2, 1, 0, 0)
    assert repaired.repaired_count == 1
    page = page_of(admin_client, "ingestion_usageimport", repaired.pk)
    address = f"{reverse('admin:mediation_udr_changelist')}?import_id={repaired.pk}&amp;repairs__isnull=0"
    assert f'repaired</dt><dd><a href="{address}">1</a>' in page
    listed = admin_client.get(address.replace("&amp;", "&"))
    assert [udr.udr_usage_identifier for udr in listed.context["cl"].result_list] == ["b"]
    history = admin_client.get(reverse("admin:ingestion_usageimport_changelist")).content.decode()
    assert "1\N{NO-BREAK SPACE}repaired" in history
    assert "too_long_a_call" in page_of(admin_client, "mediation_udr", Udr.objects.get(udr_usage_identifier="b").pk)


def test_a_new_attempt_counts_its_own_repairs(reconciled, admin_client):
    feed = feed_of(CAPPED)
    taken = filed(feed, event("a", value="500"), event("b", value="600"), event("c"))
    work()
    assert counts(taken)[:2] == ("completed", 3)
    new_version(feed, BY_EVENT)
    services.reprocess_imports(
        imports=UsageImport.objects.all(), by=user_with("ingestion.reprocess_usageimport"), now=NOW
    )
    work()
    assert counts(taken)[:2] == ("completed", 3)
    assert taken.repaired_count == 0
    page = admin_client.get(reverse("admin:ingestion_usageimport_change", args=[taken.pk]))
    said = [line["said"] for line in page.context["attempts"]]
    assert ["repaired" in words for words in said] == [False, True]


def test_a_corrected_record_that_is_repaired_counts(reconciled):
    taken = posted(feed_of(CAPPED), event("a", value="x"), event("b", value="500"))
    work()
    by = user_with("ingestion.correct_importexception")
    refused = ImportException.objects.get()
    services.correct_exception(exception=refused, raw=event("a", value="600"), reason="typo", by=by, now=NOW)
    work()
    assert counts(taken) == ("completed", 2, 0, 0, 0)
    assert taken.repaired_count == 2


def test_what_a_refused_file_would_have_repaired_does_not_count_until_it_is_corrected(reconciled):
    taken = filed(feed_of({**CAPPED, "envelope": "file"}), event("a", value="500"), event("b", value="x"))
    work()
    assert counts(taken)[:3] == ("completed", 0, 1)
    assert taken.repaired_count == 0
    by = user_with("ingestion.correct_importexception")
    refused = ImportException.objects.get()
    services.correct_exception(exception=refused, raw=event("b", value="2"), reason="typo", by=by, now=NOW)
    work()
    assert counts(taken)[:3] == ("completed", 2, 0)
    assert taken.repaired_count == 1


@pytest.mark.parametrize("counted", [0, 2])
def test_a_count_of_repairs_that_is_not_so_is_found(counted):
    taken = posted(feed_of(CAPPED), event("a"), event("b", value="500"))
    work()
    assert differences(RULE) is None
    UsageImport.objects.update(repaired_count=counted)
    assert differences(RULE).rows == [(taken.pk, counted, 1)]
