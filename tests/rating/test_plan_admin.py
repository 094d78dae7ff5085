"""What people do with rate plans in the admin: draft, read, compare, try, activate, take and hand over."""

import html
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rating.admin import versions
from rating.models import BillingPeriod, Charge, PlanVersion, RatePlan
from tests.config.crowd import do, person

from .factories import AccountFactory, RateFactory, RatePlanFactory, UsageClassFactory, activate, graduated

pytestmark = pytest.mark.django_db

SEE, ADD, CHANGE = (f"rating.{verb}_planversion" for verb in ("view", "add", "change"))
ACTIVATE = "rating.activate_planversion"
LONG = "W" * 200


def text_of(response):
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def page_of(name, *keys):
    return reverse(f"admin:rating_{name}", args=keys)


def document(name="Calls", **said):
    rate = {"usage_class": "voice", "model": "per_unit", "price": "0.05"}
    return {"name": name, "currency": "EUR", "groups": [{"name": "Standard", "rates": [rate]}], **said}


@pytest.fixture
def plan():
    UsageClassFactory(name="voice")
    return RatePlanFactory(name="Calls")


@pytest.fixture
def draft(plan):
    return PlanVersion.objects.create(plan=plan, number=1, document=document(), created_at="2026-01-01T00:00Z")


def saved(client, version, said, note="new"):
    answers = {"note": note, "document": said if isinstance(said, str) else json.dumps(said), "_save": "Save"}
    return text_of(client.post(page_of("planversion_change", version.pk), answers, follow=True))


# Drafts


def test_a_plan_shows_its_versions_and_leads_to_a_draft(draft, admin_client):
    page = text_of(admin_client.get(page_of("rateplan_change", draft.plan_id)))
    assert "Calls, version 1" in page
    assert f"{page_of('planversion_add')}?plan={draft.plan_id}" in page


def test_a_draft_starts_from_the_newest_version_or_an_example(draft, plan, admin_client):
    first = admin_client.get(page_of("planversion_add"), {"plan": plan.pk})
    assert first.context["adminform"].form.initial["document"] == document()
    fresh = RatePlanFactory(name="Other")
    page = text_of(admin_client.get(page_of("planversion_add"), {"plan": fresh.pk}))
    assert '"usage_class": "voice"' in page


def test_the_example_can_be_activated_as_it_is(plan):
    activate(plan, versions.example_document(plan))
    assert plan.versions.get().status == "active"


def test_a_draft_is_made_from_another_version(plan, admin_client):
    old = activate(plan, document(description="the first"))
    activate(plan, document(description="the second"))
    page = admin_client.get(page_of("planversion_add"), {"from": old.pk})
    said = page.context["adminform"].form.initial["document"]
    answers = {"plan": plan.pk, "note": "again", "document": json.dumps(said)}
    shown = text_of(admin_client.post(page_of("planversion_add"), answers, follow=True))
    made = plan.versions.get(number=3)
    assert (made.document["description"], made.created_by.username) == ("the first", "admin")
    assert "Calls, version 3" in shown


def test_a_faulty_draft_is_kept_and_every_fault_is_told_with_its_place(draft, admin_client):
    faulty = document(groups=[{"name": "A", "rates": [{"usage_class": "fax", "model": "per_unit", "price": "-1"}]}])
    page = saved(admin_client, draft, faulty)
    assert "2 faults" in page
    assert "/groups/0/rates/0/price" in page
    assert "there is no usage class named fax" in page
    draft.refresh_from_db()
    assert draft.document == faulty


def test_decimals_of_a_draft_are_kept_to_the_last_digit(draft, admin_client):
    text = json.dumps(document()).replace('"0.05"', "0.12345678901")
    saved(admin_client, draft, text)
    draft.refresh_from_db()
    assert draft.document["groups"][0]["rates"][0]["price"] == "0.12345678901"


@pytest.mark.parametrize("text", ["{", '{"name": NaN}', '{"a": 1, "a": 2}', '{"name": "\\u0000"}', "[" * 100_000])
def test_what_is_no_json_is_refused_and_comes_back_as_typed(text, draft, admin_client):
    page = saved(admin_client, draft, text)
    assert "Please correct the error" in page
    assert text in page
    draft.refresh_from_db()
    assert draft.document == document()


def test_a_draft_is_told_in_words_beside_its_document(draft, admin_client):
    page = text_of(admin_client.get(page_of("planversion_change", draft.pk)))
    assert "0.05 for each unit" in page
    assert page.index('"name": "Calls"') < page.index('"currency": "EUR"') < page.index('"groups"')


def test_a_version_of_long_names_and_an_empty_one_are_shown(plan, admin_client):
    long = document(LONG, groups=[{"name": LONG, "rates": [{**document()["groups"][0]["rates"][0], "name": LONG}]}])
    for number, said in enumerate((long, {}, [], "text", 1), 1):
        version = PlanVersion.objects.create(
            plan=plan, number=number, document=said, note="N" * 200, created_at="2026-01-01T00:00Z"
        )
        for page in ("planversion_change", "planversion_difference", "planversion_quote"):
            assert admin_client.get(page_of(page, version.pk)).status_code == 200
    assert LONG in text_of(admin_client.get(page_of("planversion_change", plan.versions.get(number=1).pk)))


def test_an_active_version_is_read_only(plan, admin_client):
    version = activate(plan, document())
    page = text_of(admin_client.get(page_of("planversion_change", version.pk)))
    assert 'name="document"' not in page
    assert "0.05 for each unit" in page
    assert admin_client.post(page_of("planversion_change", version.pk), {"document": "{}"}).status_code == 403
    assert admin_client.post(page_of("planversion_delete", version.pk), {"post": "yes"}).status_code == 403


def test_drafting_and_changing_need_their_permissions(draft, plan):
    reader = person(SEE, "rating.view_rateplan")
    assert reader.get(page_of("planversion_add")).status_code == 403
    assert reader.post(page_of("planversion_change", draft.pk), {"document": "{}"}).status_code == 403
    assert "Draft" not in text_of(reader.get(page_of("rateplan_change", plan.pk)))
    assert "Draft from" not in text_of(reader.get(page_of("planversion_change", draft.pk)))
    assert saved(person(SEE, CHANGE), draft, document(description="other"))
    draft.refresh_from_db()
    assert draft.document["description"] == "other"


# Activating


def activated(client, version, starts_at="2026-05-01T00:00:00"):
    answer = client.post(page_of("planversion_activate", version.pk), {"starts_at": starts_at}, follow=True)
    return text_of(answer)


def test_activating_asks_from_when_and_says_what_is_replaced(draft, plan, admin_client):
    activate(plan, document())
    AccountFactory(rate_plan=plan)
    page = do(admin_client, "rating_planversion", "activate", draft.pk)
    assert "version 2 from 2020-01-01" in page
    assert "1 account" in page
    assert f'action="{page_of("planversion_activate", draft.pk)}"' in page


def test_a_draft_is_activated_from_a_moment_on(draft):
    page = activated(person(SEE, ACTIVATE), draft)
    draft.refresh_from_db()
    assert (draft.status, f"{draft.starts_at:%Y-%m-%d %H:%M}") == ("active", "2026-05-01 00:00")
    assert "prices usage from 2026-05-01 00:00:00 on" in page


def test_a_faulty_draft_is_not_activated_and_says_every_fault(draft, admin_client):
    PlanVersion.objects.update(document={**document(), "currency": "USD", "groups": []})
    page = activated(admin_client, draft)
    draft.refresh_from_db()
    assert draft.status == "draft"
    assert "/groups" in page
    assert "must not be empty" in page
    assert "is USD, but plan Calls is in EUR" in page


def test_no_two_versions_start_at_one_moment(draft, plan, admin_client):
    first = activate(plan, document())
    page = activated(admin_client, draft, f"{first.starts_at:%Y-%m-%dT%H:%M:%S}")
    assert "choose another moment" in page
    assert "is active already" in activated(admin_client, first)


@pytest.mark.parametrize("moment", ["", "tomorrow", "0001-01-01"])
def test_a_moment_that_is_none_is_asked_for_again(moment, draft, admin_client):
    activated(admin_client, draft, moment)
    draft.refresh_from_db()
    assert draft.status == ("active" if moment.startswith("0001") else "draft")


def test_versions_are_activated_one_at_a_time(draft, plan, admin_client):
    second = PlanVersion.objects.create(plan=plan, number=2, document=document(), created_at="2026-01-01T00:00Z")
    assert "one version at a time" in do(admin_client, "rating_planversion", "activate", draft.pk, second.pk)


def test_activating_needs_its_permission(draft):
    changer = person(SEE, CHANGE)
    assert "Activate…" not in text_of(changer.get(page_of("planversion_change", draft.pk)))
    assert changer.post(page_of("planversion_activate", draft.pk), {"starts_at": "2026-05-01"}).status_code == 403
    draft.refresh_from_db()
    assert draft.status == "draft"


# Beside each other, out and in


def test_two_versions_stand_beside_each_other(draft, plan, admin_client):
    activate(
        plan,
        document(groups=[{"name": "Standard", "rates": [{**document()["groups"][0]["rates"][0], "price": "0.07"}]}]),
    )
    page = text_of(admin_client.get(page_of("planversion_difference", draft.pk)))
    assert "/groups/0/rates/0/price" in page
    assert '"0.07"' in page
    assert person().get(page_of("planversion_difference", draft.pk)).status_code == 403


def test_a_single_version_has_nothing_beside_it(draft, admin_client):
    page = text_of(admin_client.get(page_of("planversion_difference", draft.pk)))
    assert "the only version of its plan" in page


def test_a_version_is_saved_as_a_document(draft, admin_client):
    answer = admin_client.get(page_of("planversion_document", draft.pk))
    assert answer["Content-Disposition"] == 'attachment; filename="calls-v1.json"'
    assert json.loads(answer.content) == document()
    assert list(json.loads(answer.content)) == ["name", "currency", "groups"]
    assert person().get(page_of("planversion_document", draft.pk)).status_code == 403


def imported(client, **answers):
    return text_of(client.post(page_of("rateplan_import"), answers, follow=True))


def test_an_uploaded_document_becomes_a_draft_of_a_new_plan(plan, admin_client):
    upload = SimpleUploadedFile("p.json", json.dumps(document("New")).encode())
    assert "is a draft" in imported(admin_client, file=upload)
    assert RatePlan.objects.get(name="New").versions.get().document == document("New")


def test_a_pasted_document_becomes_a_draft_of_the_plan_it_names(draft, admin_client):
    assert "Calls, version 2" in imported(admin_client, text=json.dumps(document(description="more")))


def test_a_faulty_document_is_refused_with_every_fault(plan, admin_client):
    page = imported(admin_client, text=json.dumps({"name": "x", "currency": "eur", "groups": [], "more": 1}))
    for fault in ("/currency", "/groups", "/more"):
        assert fault in page
    assert "is no JSON" in imported(admin_client, text="{")
    assert "after “,” in line 1, column 9" in imported(admin_client, text='{"a": 12,\n}')
    assert "Choose a file, or paste" in imported(admin_client, text=" ")
    assert not PlanVersion.objects.exists()


def test_a_faulty_document_of_a_plan_in_another_currency_is_refused_for_both(plan, admin_client):
    page = imported(admin_client, text=json.dumps({"name": "Calls", "currency": "USD", "groups": []}))
    assert "is USD, but plan Calls is in EUR" in page
    assert "/groups" in page


def test_importing_needs_the_permission_to_draft_and_for_a_new_plan_to_add_plans(draft):
    assert person("rating.view_rateplan").get(page_of("rateplan_import")).status_code == 403
    drafter = person("rating.view_rateplan", SEE, ADD)
    assert "is a draft" in imported(drafter, text=json.dumps(document()))
    answer = drafter.post(page_of("rateplan_import"), {"text": json.dumps(document("New"))})
    assert answer.status_code == 403
    assert not RatePlan.objects.filter(name="New").exists()


# Trying


def tried(client, version, rows):
    return text_of(client.post(page_of("planversion_quote", version.pk), {"rows": rows}))


def test_pasted_usage_is_priced_by_a_draft_and_nothing_is_stored(draft, admin_client):
    page = tried(admin_client, draft, "date,usage_class,value\n2026-05-01T00:00:00Z,voice,90.5\n2026-05-02,voice,1")
    assert "4.525" in page
    assert "4.58 EUR" in page
    assert not Charge.objects.exists()
    assert not BillingPeriod.objects.exists()


def test_tiers_buckets_and_what_cannot_be_charged_are_shown(plan, admin_client):
    tiers = [{"up_to": "10", "price": "1"}, {"up_to": "20", "price": "2"}]
    rate = {"usage_class": "voice", "model": "graduated", "tiers": tiers, "bounded": True}
    bucket = {"name": "Included", "size": "5", "usage_classes": ["voice"]}
    version = activate(plan, document(groups=[{"name": "G", "rates": [rate]}], buckets=[bucket]))
    page = tried(admin_client, version, "usage_class,value\nvoice,17\nvoice,100\nfax,1")
    assert "5 Included" in page
    assert "14.00 EUR" in page
    assert "Would not be charged" in page
    assert "2</strong> would not be charged" in page


def test_columns_that_say_nothing_are_left_out(plan, draft, admin_client):
    rows = "account,usage_class,value\n1,voice,17"
    page = tried(admin_client, draft, rows)
    assert "measured</th>" in page
    assert not any(f"{name}</th>" in page for name in ("account, service", "free", "from buckets", "credit"))
    bucket = {"name": "Included", "size": "5", "usage_classes": ["voice"]}
    page = tried(admin_client, activate(plan, document(buckets=[bucket])), f"{rows}\n2,voice,1")
    assert all(f"{name}</th>" in page for name in ("account, service", "from buckets"))
    assert not any(f"{name}</th>" in page for name in ("free", "credit"))


def test_usage_and_documents_with_faults_are_told(draft, admin_client):
    assert "must be a number" in tried(admin_client, draft, "usage_class,value\nvoice,x")
    assert "at most 1,000" in tried(admin_client, draft, "value\n" + "1\n" * 1_001)
    PlanVersion.objects.update(document={**document(), "groups": []})
    page = tried(admin_client, draft, "value\n1,2\nx\ny")
    for place in ("/plan/groups", "/usage/0", "/usage/1/value", "/usage/2/value"):
        assert place in page


def test_trying_needs_the_permission_to_see_versions(draft):
    assert person().get(page_of("planversion_quote", draft.pk)).status_code == 403
    assert tried(person(SEE), draft, "value\n1")


# Links, lists


def test_other_screens_add_their_links_to_a_version(draft, admin_client, monkeypatch):
    monkeypatch.setattr(versions, "VERSION_LINKS", [lambda request, version: [("What if", f"/x/{version.pk}")]])
    assert f'href="/x/{draft.pk}">What if' in text_of(admin_client.get(page_of("planversion_change", draft.pk)))


def test_a_plan_in_use_keeps_its_currency(plan, admin_client):
    assert 'name="currency"' in text_of(admin_client.get(page_of("rateplan_change", plan.pk)))
    activate(plan, document())
    assert 'name="currency"' not in text_of(admin_client.get(page_of("rateplan_change", plan.pk)))


def test_the_list_of_plans_names_the_version_of_this_moment(admin_client):
    rate = graduated()
    RateFactory(group=rate.group)
    page = text_of(admin_client.get(page_of("rateplan_changelist")))
    assert ">v2</a>" in page
    assert "none" not in page.split("result_list")[1].split("paginator")[0]


def test_a_plan_with_many_versions_asks_no_more_queries(plan, admin_client):
    url = page_of("rateplan_change", plan.pk)
    activate(plan, document())
    admin_client.get(url)
    with CaptureQueriesContext(connection) as for_one:
        admin_client.get(url)
    for _ in range(5):
        activate(plan, document())
    with CaptureQueriesContext(connection) as for_six:
        admin_client.get(url)
    assert len(for_six) == len(for_one)
