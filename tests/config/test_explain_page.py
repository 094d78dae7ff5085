"""The page and the API answer that explain a charge, from the raw row in its import to the line of its statement."""

from decimal import Decimal

import pytest
from django.core.files.storage import default_storage
from django.urls import reverse
from rest_framework.test import APIClient

from ingestion import services as ingestion
from ingestion.models import ImportException
from mediation.models import UsageClass
from rating.models import Charge
from rating.services import rate_batches
from tests.config.crowd import person
from tests.ingestion.factories import BY_EVENT, NOW, event, feed_of, filed, posted, user_with, work
from tests.ingestion.test_parts import CALLS, start, stop
from tests.rating.factories import ServiceIdentifierFactory, graduated

pytestmark = pytest.mark.django_db
SEES_ALL = (
    "rating.view_charge",
    "rating.view_account",
    "rating.view_billingperiod",
    "ingestion.view_usageimport",
    "mediation.view_udr",
)


@pytest.fixture
def feed():
    """A feed whose usage is charged to whoever owns “e1”."""
    made = feed_of(BY_EVENT)
    rate = graduated(usage_class=UsageClass.objects.get(name="calls"), tiers=((10, "1"), (None, "0.5")))
    ServiceIdentifierFactory(identifier="e1", service__account__rate_plan=rate.plan)
    ServiceIdentifierFactory(identifier="=cmd|'/C calc'!A0<b>", service__account__rate_plan=rate.plan)
    return made


def charged():
    """The charge of all that waits."""
    work()
    while rate_batches(now=NOW):
        pass
    return Charge.objects.latest("pk")


def page(client, charge):
    return client.get(reverse("admin:rating_charge_explain", args=[charge.pk]))


def answer(charge, *permissions):
    client = APIClient()
    client.force_authenticate(user_with(*permissions))
    return client.get(f"/api/v1/charges/{charge.pk}")


def chapters(charge):
    """The texts, and raw rows, of each chapter of the API's answer."""
    told = answer(charge, "rating.view_charge").json()["explanation"]["chapters"]
    return {one["name"]: [fact.get("raw", fact["text"]) for fact in one["facts"]] for one in told}


def test_a_charge_from_a_file_is_explained_from_its_raw_row(feed):
    filed(feed, event("nobody"), event("e1", "12"), name="may.csv")
    charge = charged()
    html = page(person(*SEES_ALL), charge).content.decode()
    assert "Record 2 of may.csv, received at 2026-05-20 12:00:00 UTC" in html
    assert event("e1", "12") in html
    assert reverse("admin:ingestion_usageimport_payload", args=[charge.import_id]) in html
    assert "Value = 12 (from " in html
    assert "Tier 2 (above 10): 2 x 0.5 = 1." in html
    assert "<svg" in html
    assert "<style" not in html
    assert ' style="' not in html
    assert "<script>" not in html


def test_a_charge_from_a_request_is_explained_from_its_record(feed):
    posted(feed, event("e1", "3"))
    told = chapters(charged())
    assert told["record"][0].startswith("Record 1 of a submission by API")
    assert told["record"][1] == event("e1", "3")
    assert told["udr"][0].startswith("Read by Data Profile profile ")
    assert list(told) == [
        "record", "udr", "payer", "plan", "rate", "quantity", "counter", "buckets", "price", "tax", "statement",
    ]  # fmt: skip


def test_a_corrected_record_shows_what_came_and_what_it_was_corrected_to(feed):
    filed(feed, event("e1", "many"))
    work()
    exception = ImportException.objects.get()
    ingestion.correct_exception(exception=exception, raw=event("e1", "4"), reason="typo", by=None, now=NOW)
    told = chapters(charged())
    assert told["record"][1:] == [event("e1", "many"), event("e1", "4")]
    assert any(text.startswith("Value = 4 ") for text in told["udr"])


def test_a_record_of_several_rows_shows_them_all_also_those_of_another_import():
    made = feed_of(CALLS)
    rate = graduated(usage_class=UsageClass.objects.get(name="calls"))
    for identifier in ("c1", "c2"):
        ServiceIdentifierFactory(identifier=identifier, service__account__rate_plan=rate.plan)
    filed(made, start("c1"), start("c2"), stop("c1"))
    told = chapters(charged())
    assert told["record"][1:] == [start("c1"), stop("c1")]
    assert "Value = 3 (from octets: as read “3”)." in told["udr"]
    assert any(text.startswith("Extensions.ended = ") for text in told["udr"])
    posted(made, stop("c2"))
    assert chapters(charged())["record"][1:] == [stop("c2"), start("c2")]


def test_an_original_that_is_gone_is_said_to_be(feed):
    taken = filed(feed, event("e1", "3"))
    charge = charged()
    default_storage.delete(taken.payload.name)
    assert chapters(charge)["record"][1] == "The original is not in the file storage any more."


def test_a_row_that_would_be_read_otherwise_today_is_said_to_be(feed):
    filed(feed, event("e1", "3"))
    charge = charged()
    UsageClass.objects.filter(name="calls").update(name="old calls")
    UsageClass.objects.create(name="calls")
    assert (
        "Read today, the row would give another usage class: what the profile looks up has changed."
        in (chapters(charge)["udr"])
    )


def test_the_answer_of_the_api_adds_up_and_names_what_it_is_about(feed):
    posted(feed, event("e1", "12"))
    charge = charged()
    said = answer(charge, "rating.view_charge").json()
    told = {chapter["name"]: chapter["facts"] for chapter in said["explanation"]["chapters"]}
    assert sum(Decimal(fact["amount"]) for fact in told["price"] if "amount" in fact) == Decimal(said["amount"]) == 11
    assert said["explanation"]["is_whole"] is True
    assert said["explanation"]["tiers"] == {"before": "0", "after": "12", "reached": [1, 2]}
    assert {"kind": "account", "id": charge.account_id} in [fact.get("about") for fact in told["payer"]]


def test_explaining_needs_the_permission_to_see_charges(feed):
    posted(feed, event("e1", "12"))
    charge = charged()
    assert page(person("rating.view_account"), charge).status_code == 403
    assert answer(charge).status_code == 403
    assert answer(Charge(pk=7), "rating.view_charge").status_code == 404
    assert page(person("rating.view_charge"), Charge(pk=7)).status_code == 404


def test_links_lead_only_where_the_reader_may_go(feed):
    posted(feed, event("e1", "12"))
    charge = charged()
    html = page(person("rating.view_charge"), charge).content.decode()
    assert reverse("admin:rating_account_change", args=[charge.account_id]) not in html
    assert reverse("admin:rating_account_change", args=[charge.account_id]) in (
        page(person(*SEES_ALL), charge).content.decode()
    )


def test_every_link_of_the_page_leads_somewhere(feed, admin_client):
    filed(feed, event("e1", "12"))
    told = page(admin_client, charged()).context["chapters"]
    links = {fact["url"] for chapter in told for fact in chapter["facts"] if fact["url"]}
    assert len(links) >= 9
    for url in links:
        assert admin_client.get(url).status_code == 200, url


def test_what_a_record_holds_is_shown_letter_for_letter(feed):
    posted(feed, event("=cmd|'/C calc'!A0<b>", "12"))
    html = page(person("rating.view_charge"), charged()).content.decode()
    assert "<b>" not in html.split("<ol", 1)[1]
    assert "A0&lt;b&gt;" in html


def test_a_charge_and_its_list_lead_to_the_explanation(feed, admin_client):
    posted(feed, event("e1", "12"))
    charge = charged()
    address = reverse("admin:rating_charge_explain", args=[charge.pk])
    for at in (reverse("admin:rating_charge_changelist"), reverse("admin:rating_charge_change", args=[charge.pk])):
        assert address in admin_client.get(at).content.decode()


def test_long_names_and_many_tiers_are_shown(admin_client):
    made = feed_of(BY_EVENT)
    tiers = [(10 * place, "1") for place in range(1, 31)] + [(None, "0.5")]
    rate = graduated(usage_class=UsageClass.objects.get(name="calls"), tiers=tiers)
    account = {"service__account__rate_plan": rate.plan, "service__account__name": "n" * 200}
    ServiceIdentifierFactory(identifier="e1", service__name="s" * 200, **account)
    posted(made, event("e1", "155"))
    html = page(admin_client, charged()).content.decode()
    assert "8 of 31 tiers are shown" in html
    assert "s" * 200 in html
