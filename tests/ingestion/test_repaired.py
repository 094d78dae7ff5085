"""Records that a profile's rules repair: counted apart in the history, shown, and recounted."""

import pytest
from django.urls import reverse

from config.reconciling import RULES, differences
from ingestion import services
from ingestion.models import UsageImport
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
    assert "<th>repaired</th>" in page_of(admin_client, "ingestion_usageimport", taken.pk)


@pytest.mark.parametrize("counted", [0, 2])
def test_a_count_of_repairs_that_is_not_so_is_found(counted):
    taken = posted(feed_of(CAPPED), event("a"), event("b", value="500"))
    work()
    assert differences(RULE) is None
    UsageImport.objects.update(repaired_count=counted)
    assert differences(RULE).rows == [(taken.pk, counted, 1)]
