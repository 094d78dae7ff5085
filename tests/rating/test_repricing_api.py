"""Rerates and what-ifs over HTTP: asked for, followed, applied; refusals say why, and who may."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from rating import services
from rating.models import Charge, Repricing
from tests.ingestion.factories import user_with

from .factories import LONG_AGO, NOW, RatePlanFactory, UsageClassFactory, activate, subscriber, waiting

pytestmark = pytest.mark.django_db

SEE, RERATE, WHAT_IF = "rating.view_repricing", "rating.rerate_charge", "rating.what_if"


def client(*permissions):
    found = APIClient()
    found.force_authenticate(user_with(*permissions))
    return found


def post(address, body, *permissions):
    return client(*permissions).post(f"/api/v1/{address}", body, format="json")


def get(address, *permissions):
    return client(*permissions).get(f"/api/v1/{address}")


def said(plan, price):
    rate = {"usage_class": "calls", "model": "per_unit", "price": price}
    return {"name": plan.name, "currency": "EUR", "groups": [{"name": "all", "rates": [rate]}]}


def work():
    while services.rate_batches(now=NOW) or services.reprice_waiting(now=NOW):
        pass


@pytest.fixture
def plan():
    """A plan by which 100 units of A-1 and 50 of A-2 were charged at 0.1, and cost 0.12 each by now."""
    calls, plan = UsageClassFactory(name="calls"), RatePlanFactory(name="Standard")
    activate(plan, said(plan, "0.1"))
    for number, value in (("A-1", 100), ("A-2", 50)):
        owner = subscriber(plan, number=number)
        waiting({"usage_class": calls, "identifier": owner.identifier, "value": value})
    work()
    activate(plan, said(plan, "0.12"), starts_at=LONG_AGO + timedelta(days=1))
    return plan


def faults(answer):
    assert answer["Content-Type"] == "application/problem+json"
    return {fault["pointer"]: fault["detail"] for fault in answer.json()["errors"]}


def test_a_rerate_is_asked_for_followed_and_applied(plan):
    body = {"plan": "Standard", "usage_class": "calls", "from": "2026-05-01T00:00:00Z", "reason": "a wrong price"}
    answer = post("rerates", body, RERATE)
    assert answer.status_code == 202
    began = answer.json()
    assert (began["status"], began["kind"], began["reason"]) == ("counting", "rerate", "a wrong price")
    assert began["filters"] == {"plan": "Standard", "usage_class": "calls", "from": "2026-05-01T00:00:00+00:00"}
    assert "apply" not in began["links"]
    early = post(f"rerates/{began['id']}/apply", {}, RERATE)
    assert (early.status_code, early.json()["code"]) == (409, "unable_to_rerate")
    work()
    shown = get(f"rerates/{began['id']}", SEE).json()
    assert shown["status"] == "shown"
    assert shown["progress"] == {"accounts": 2, "accounts_done": 2, "udrs": 2, "udrs_done": 2}
    (total,) = shown["totals"]
    assert total == {
        "currency": "EUR",
        "account_count": 2,
        "before": "15.00000000000",
        "after": "18.00000000000",
        "difference": "3.00000000000",
        "changed": 2,
        "refused": 0,
    }
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 15
    applied = post(f"rerates/{began['id']}/apply", {}, RERATE)
    assert (applied.status_code, applied.json()["status"]) == (202, "waiting")
    work()
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 18
    assert get(f"rerates/{began['id']}", SEE).json()["status"] == "applied"


def test_a_rerate_is_applied_only_as_it_was_seen(plan):
    asked = post("rerates", {"reason": "x"}, RERATE).json()
    early = get(f"rerates/{asked['id']}", SEE)["ETag"]
    work()
    seen = get(f"rerates/{asked['id']}", SEE)["ETag"]
    sender, url = client(RERATE), f"/api/v1/rerates/{asked['id']}/apply"
    late = sender.post(url, {}, headers={"If-Match": early})
    assert (late.status_code, late.json()["code"], late["ETag"]) == (412, "changed_meanwhile", seen)
    assert sender.post(url, {}, headers={"If-Match": seen}).status_code == 202
    assert client(SEE).get(url.removesuffix("/apply"), headers={"If-None-Match": seen}).status_code == 200


def test_accounts_come_in_pages(plan):
    asked = post("rerates", {"reason": "x"}, RERATE).json()
    work()
    first = get(f"rerates/{asked['id']}/accounts?page_size=1", SEE).json()
    second = client(SEE).get(first["next"]).json()
    rows = first["results"] + second["results"]
    assert {row["account"]: (row["before"], row["after"], row["difference"]) for row in rows} == {
        "A-1": ("10.00000000000", "12.00000000000", "2.00000000000"),
        "A-2": ("5.00000000000", "6.00000000000", "1.00000000000"),
    }
    assert second["next"] is None


def test_a_what_if_is_asked_for_and_answers_by_account(plan):
    draft = services.create_draft(plan=plan, document=said(plan, "0.2"), note="", by=None, now=NOW)
    answer = post("what-ifs", {"version": draft.pk, "account": "A-1"}, WHAT_IF)
    assert answer.status_code == 202
    work()
    number = answer.json()["id"]
    told = get(f"what-ifs/{number}", SEE).json()
    assert (told["version"], told["totals"][0]["before"], told["totals"][0]["after"]) == (
        draft.pk,
        "10.00000000000",
        "20.00000000000",
    )
    assert "apply" not in told["links"]
    assert told["left_out"] == ["Commitments and tax are reckoned on the statement and are not in these figures."]
    assert [row["account"] for row in get(f"what-ifs/{number}/accounts", SEE).json()["results"]] == ["A-1"]
    assert get(f"rerates/{number}", SEE).status_code == 404
    assert get(f"rerates/{number}/accounts", SEE).status_code == 404
    assert post(f"rerates/{number}/apply", {}, RERATE).status_code == 404


def test_lists_hold_those_of_their_kind(plan):
    draft = services.create_draft(plan=plan, document=said(plan, "0.2"), note="", by=None, now=NOW)
    post("what-ifs", {"version": draft.pk}, WHAT_IF)
    post("rerates", {"reason": "x"}, RERATE)
    assert [one["kind"] for one in get("rerates", SEE).json()["results"]] == ["rerate"]
    (what_if,) = get("what-ifs", SEE).json()["results"]
    assert (what_if["kind"], what_if["filters"]) == ("what_if", {"plan": "Standard"})
    assert client(SEE).get(what_if["links"]["self"]).json()["id"] == what_if["id"]


def test_a_list_asks_as_many_queries_for_20_as_for_2(plan):
    sees = client(SEE)

    def count():
        with CaptureQueriesContext(connection) as asked:
            sees.get("/api/v1/rerates")
        return len(asked)

    made = [Repricing(kind="rerate", filters={"plan": plan.pk}, reason="x", created_at=NOW) for _ in range(20)]
    Repricing.objects.bulk_create(made[:2])
    count()  # what the user may do is asked once
    for_two = count()
    Repricing.objects.bulk_create(made[2:])
    assert count() == for_two


def test_every_fault_of_a_request_is_told_with_its_place(plan):
    body = {"account": "Z", "plan": "none", "import": "x", "from": "yesterday", "colour": 1}
    answer = post("rerates", body, RERATE)
    assert answer.status_code == 400
    assert set(faults(answer)) >= {"/account", "/plan", "/import", "/from", "/reason"}
    assert "/colour" in faults(post("rerates", {"reason": "x", "colour": 1}, RERATE))
    turned = {"reason": "x", "from": "2026-05-02T00:00:00Z", "until": "2026-05-01T00:00:00Z"}
    assert set(faults(post("rerates", turned, RERATE))) == {"/until"}
    assert set(faults(post("what-ifs", {"version": 0}, WHAT_IF))) == {"/version"}
    assert post("rerates", [1], RERATE).status_code == 400
    assert set(faults(post("rerates", {"reason": "a\0b", "account": "\0"}, RERATE))) == {"/account", "/reason"}
    assert not Repricing.objects.exists()


def test_a_refusal_says_what_to_do(plan):
    answer = post("rerates", {"reason": "x", "import": 99}, RERATE)
    assert (answer.status_code, answer.json()["code"]) == (409, "unable_to_rerate")
    assert "Widen the filter" in answer.json()["detail"]
    faulty = services.create_draft(plan=plan, document={}, note="", by=None, now=NOW)
    answer = post("what-ifs", {"version": faulty.pk}, WHAT_IF)
    assert (answer.status_code, answer.json()["code"]) == (409, "unable_to_ask_what_if")
    assert "has faults" in answer.json()["detail"]


def test_unknown_numbers_are_not_found():
    for address in ("rerates/1", "what-ifs/1", "rerates/1/accounts", "what-ifs/1/accounts"):
        assert get(address, SEE).status_code == 404
    assert post("rerates/1/apply", {}, RERATE).status_code == 404


def test_without_the_permission_nothing_is_told_or_done():
    for address in ("rerates", "rerates/1", "rerates/1/accounts", "what-ifs", "what-ifs/1", "what-ifs/1/accounts"):
        assert get(address, RERATE, WHAT_IF).status_code == 403
        assert APIClient().get(f"/api/v1/{address}").status_code == 401
    for address in ("rerates", "rerates/1/apply", "what-ifs"):
        answer = post(address, {}, SEE)
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_a_request_for_many_accounts_reads_no_more_than_one_charge(plan):
    asks = client(RERATE)
    with CaptureQueriesContext(connection) as asked:
        answer = asks.post("/api/v1/rerates", {"reason": "x", "plan": "Standard"}, format="json")
    assert answer.status_code == 202
    read = [one["sql"] for one in asked if "rating_charge" in one["sql"]]
    assert [sql.endswith("LIMIT 1") for sql in read] == [True]
    began = get(f"rerates/{answer.json()['id']}", SEE).json()
    assert (began["status"], began["progress"]["accounts"]) == ("counting", 0)


def test_a_rerate_of_an_account_without_charges_of_that_kind_is_refused(plan):
    UsageClassFactory(name="texts")
    answer = post("rerates", {"reason": "x", "account": "A-1", "usage_class": "texts"}, RERATE)
    assert (answer.status_code, answer.json()["code"]) == (409, "unable_to_rerate")
    assert not Repricing.objects.exists()
