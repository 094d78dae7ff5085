"""The pages of rerates and what-ifs: asked for, followed, read by account, applied; and who may do so."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rating import services
from rating.admin.differences import Bar, count_bars, histogram, percent, signed
from rating.admin.repricings import version_links
from rating.models import BillingPeriod, Charge, RepricedAccount, Repricing
from rating.selectors import repriced_accounts
from tests.config.crowd import do, person

from .factories import (
    LONG_AGO,
    MAY,
    NOW,
    AccountFactory,
    RatePlanFactory,
    UsageClassFactory,
    activate,
    subscriber,
    waiting,
)

pytestmark = pytest.mark.django_db

SEE = "rating.view_repricing"
REPRICING = "rating_repricing"
RERATE = "admin:rating_repricing_rerate"
WHAT_IF = "admin:rating_repricing_what_if"
LONG_NAME = "Österreichische Telekommunikationsinfrastrukturbetreibergesellschaft " * 3


def said(plan, price):
    rate = {"usage_class": "calls", "model": "per_unit", "price": price}
    return {"name": plan.name, "currency": "EUR", "groups": [{"name": "all", "rates": [rate]}]}


@pytest.fixture
def plan():
    """A plan by which 100 units of May cost 10 EUR, that `dearer` charges 12 EUR for."""
    calls, plan = UsageClassFactory(name="calls"), RatePlanFactory()
    activate(plan, said(plan, "0.1"))
    owner = subscriber(plan, number="A-1", name=LONG_NAME[:200])
    waiting({"usage_class": calls, "identifier": owner.identifier, "value": 100})
    work()
    return plan


def dearer(plan):
    return activate(plan, said(plan, "0.12"), starts_at=LONG_AGO + timedelta(days=1))


def work():
    while services.rate_batches(now=NOW) or services.reprice_waiting(now=NOW):
        pass


def worked_out(plan):
    dearer(plan)
    asked = services.propose_rerate(filters={"plan": plan.pk}, reason="a wrong price", by=None, now=NOW)
    work()
    asked.refresh_from_db()
    return asked


def ask(client, page, **answers):
    return client.post(reverse(page), answers, follow=True)


def page_of(client, asked):
    return client.get(reverse("admin:rating_repricing_change", args=[asked.pk])).content.decode()


def test_a_rerate_is_asked_for_followed_read_and_applied(plan):
    dearer(plan)
    client = person(SEE, "rating.rerate_charge")
    began = ask(client, RERATE, account="A-1", plan=plan.pk, reason="a wrong price").content.decode()
    asked = Repricing.objects.get()
    assert set(asked.filters) == {"account", "plan"}
    assert "being worked out" in began
    assert '<meta http-equiv="refresh"' in began
    assert "Apply" not in began
    work()
    shown = page_of(client, asked)
    assert '<meta http-equiv="refresh"' not in shown
    for text in ("worked out", "a wrong price", "+2", "+20 %", "All 1 account"):
        assert text in shown
    listed = client.get(reverse("admin:rating_repricing_changelist")).content.decode()
    assert "+2 EUR" in listed
    first = do(client, REPRICING, "apply", asked.pk)
    assert "1 record of 1 account costs something else" in first
    assert "10 → 12 EUR: +2 (+20 %)" in first
    assert Charge.objects.count() == 1
    assert "is being applied" in do(client, REPRICING, "apply", asked.pk, is_confirmed="1")
    work()
    asked.refresh_from_db()
    assert asked.status == "applied"
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 12
    assert asked.accounts.get().after - asked.accounts.get().before == 2


def test_applying_says_how_many_closed_periods_get_adjustments(plan, admin_client):
    services.close_period(period=BillingPeriod.objects.get(), by=None, now=NOW)
    first = do(admin_client, REPRICING, "apply", worked_out(plan).pk)
    assert "1 closed billing period holds such usage" in first


def test_a_what_if_shows_the_difference_and_cannot_be_applied(plan):
    client = person(SEE, "rating.what_if", "rating.rerate_charge")
    draft = services.create_draft(plan=plan, document=said(plan, "0.05"), note="", by=None, now=NOW)
    linked = client.get(reverse(WHAT_IF), {"version": draft.pk}).content.decode()
    assert f'<option value="{draft.pk}" selected>' in linked
    ask(client, WHAT_IF, version=draft.pk)
    work()
    asked = Repricing.objects.get()
    shown = page_of(client, asked)
    assert "\N{MINUS SIGN}5" in shown
    assert "Apply" not in shown
    assert "can be applied" in do(client, REPRICING, "apply", asked.pk, is_confirmed="1")
    assert Repricing.objects.get().status == "shown"


def test_what_cannot_be_rerated_is_said_beside_the_form(plan, admin_client):
    assert "no account Z" in ask(admin_client, RERATE, account="Z", reason="x").content.decode()
    assert "required" in ask(admin_client, RERATE, account="A-1").content.decode()
    assert "Widen the filter" in ask(admin_client, RERATE, reason="x", **{"import": 99}).content.decode()
    turned = {"from": "2026-06-01T00:00:00", "until": "2026-05-01T00:00:00"}
    assert "Not later" in ask(admin_client, RERATE, reason="x", **turned).content.decode()
    faulty = services.create_draft(plan=plan, document={}, note="", by=None, now=NOW)
    assert "has faults" in ask(admin_client, WHAT_IF, version=faulty.pk).content.decode()
    assert not Repricing.objects.exists()


def test_without_the_permission_nothing_is_asked_applied_or_offered(plan):
    asked = worked_out(plan)
    client = person(SEE)
    for page in (RERATE, WHAT_IF):
        assert client.get(reverse(page)).status_code == 403
        assert client.post(reverse(page), {"reason": "x"}).status_code == 403
    assert "Apply" not in page_of(client, asked)
    do(client, REPRICING, "apply", asked.pk, is_confirmed="1")
    assert Repricing.objects.get().status == "shown"
    assert person().get(reverse("admin:rating_repricing_changelist")).status_code == 403
    assert person().get(reverse("admin:rating_repricedaccount_changelist")).status_code == 403


def test_an_errored_rerate_shows_its_trace_and_can_be_tried_again(plan, admin_client):
    asked = worked_out(plan)
    asked.accounts.update(is_done=False)
    Repricing.objects.update(status="errored", error="RuntimeError: no such thing", shown_at=None)
    assert "RuntimeError: no such thing" in page_of(admin_client, asked)
    assert "goes on" in do(admin_client, REPRICING, "retry", asked.pk)
    work()
    asked.refresh_from_db()
    assert (asked.status, asked.error) == ("shown", "")
    assert "only what is errored" in do(admin_client, REPRICING, "retry", asked.pk)


def synthetic(amounts, currency="EUR"):
    asked = Repricing.objects.create(kind="rerate", status="shown", filters={}, reason="x", created_at=NOW)
    for before, after in amounts:
        RepricedAccount.objects.create(
            repricing=asked,
            account=AccountFactory(currency=currency),
            udr_count=1,
            is_done=True,
            before=before,
            after=after,
            changed_count=1,
            refused_count=0,
        )
    return asked


def test_accounts_are_listed_by_the_size_of_their_difference_and_exported(admin_client):
    asked = synthetic([(1, 2), (10, 4), (5, 5), (1, Decimal("4.5"))])
    url = reverse("admin:rating_repricedaccount_changelist")
    listed = admin_client.get(url, {"repricing": asked.pk}).context["cl"].result_list
    assert [row.difference for row in listed] == [-6, Decimal("3.5"), 1, 0]
    answer = admin_client.get(reverse("admin:rating_repricedaccount_export"), {"repricing": asked.pk})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert sorted(Decimal(row["difference"]) for row in rows) == [-6, 0, 1, Decimal("3.5")]


def test_a_page_asks_as_many_queries_for_200_accounts_as_for_2(admin_client):
    few, many = synthetic([(1, 2), (4, 3)]), synthetic([(1, n) for n in range(200)])
    with CaptureQueriesContext(connection) as for_two:
        page_of(admin_client, few)
    with CaptureQueriesContext(connection) as for_many:
        page = page_of(admin_client, many)
    assert len(for_many) == len(for_two)
    assert page.count('<svg class="difference"') == 20
    assert "<style" not in page
    assert ' style="' not in page


def test_the_largest_difference_comes_first_whether_up_or_down(admin_client):
    page = page_of(admin_client, synthetic([(1, 3), (10, 1), (5, 5), (1, "4.5")]))
    shown = page[page.index("The largest differences") :]
    assert shown.index("\N{MINUS SIGN}9") < shown.index("+3.5") < shown.index("+2")


def test_pages_say_that_commitments_and_tax_are_left_out_and_name_the_commitments(plan, admin_client):
    plain = "Commitments and tax are reckoned on the statement and are not in these figures."
    promised = {"commitments": [{"name": "Monthly minimum", "kind": "minimum", "amount": "20"}]}
    asked = worked_out(plan)
    for page in (page_of(admin_client, asked), admin_client.get(reverse(RERATE), {"plan": "x"}).content.decode()):
        assert plain in page
        assert "commitments:" not in page
    draft = services.create_draft(plan=plan, document=said(plan, "0.1") | promised, note="", by=None, now=NOW)
    named = f"Version {draft.number} has commitments: Monthly minimum."
    form = admin_client.get(reverse(WHAT_IF), {"version": draft.pk}).content.decode()
    assert f"{plain} {named}" in form
    result = ask(admin_client, WHAT_IF, version=draft.pk).content.decode()
    assert f"{plain} {named}" in result
    for odd in ("x", ["x", {"kind": "minimum"}]):
        faulty = services.create_draft(plan=plan, document={"commitments": odd}, note="", by=None, now=NOW)
        assert plain in admin_client.get(reverse(WHAT_IF), {"version": faulty.pk}).content.decode()
    third = activate(plan, said(plan, "0.1") | promised, starts_at=LONG_AGO + timedelta(days=2))
    fourth = activate(plan, said(plan, "0.2") | promised, starts_at=LONG_AGO + timedelta(days=3))
    both = f"Versions {third.number} and {fourth.number} have commitments: Monthly minimum."
    assert both in admin_client.get(reverse(RERATE), {"plan": plan.pk}).content.decode()


def test_what_is_made_anew_at_the_same_amount_is_not_counted_as_changed(plan, admin_client):
    activate(plan, said(plan, "0.1"), starts_at=LONG_AGO + timedelta(days=1))
    asked = services.propose_rerate(filters={"plan": plan.pk}, reason="another version", by=None, now=NOW)
    work()
    assert asked.accounts.get().changed_count == 0
    first = do(admin_client, REPRICING, "apply", asked.pk)
    assert "No record costs something else." in first
    assert "at the same amount is made anew too" in first
    do(admin_client, REPRICING, "apply", asked.pk, is_confirmed="1")
    work()
    assert [charge.kind for charge in Charge.objects.order_by("pk")] == ["charge", "reversal", "charge"]


def test_a_page_of_two_currencies_adds_up_each_by_itself(admin_client):
    asked = synthetic([(1, 2)])
    RepricedAccount.objects.filter(repricing=synthetic([(7, 3)], currency="USD")).update(repricing=asked)
    page = page_of(admin_client, asked)
    assert page.index(">EUR") < page.index("+100 %") < page.index(">USD") < page.index("\N{MINUS SIGN}57.1 %")


def test_differences_are_counted_by_powers_of_ten_on_both_sides_of_zero():
    asked = synthetic([(0, 0), (0, 100), (0, "99.99"), (0, "0.001"), (0, "0.05"), (0, "-10"), (0, "-9.99"), (0, "0.1")])
    bars = count_bars(repriced_accounts().filter(repricing=asked))
    assert [(bar.words, bar.count) for bar in bars] == [
        ("less by 100 or more", 0),
        ("less by 10 to 100", 1),
        ("less by 1 to 10", 1),
        ("less by 0.1 to 1", 0),
        ("less by under 0.1", 0),
        ("the same", 1),
        ("more by under 0.1", 2),
        ("more by 0.1 to 1", 1),
        ("more by 1 to 10", 0),
        ("more by 10 to 100", 1),
        ("more by 100 or more", 1),
    ]
    assert sum(bar.count for bar in bars) == 8


def test_pictures_of_nothing_and_of_no_difference_are_drawn():
    assert histogram([]) == ""
    assert "accounts" not in histogram([Bar("none", Decimal(0), Decimal(0), 3)])
    assert count_bars(RepricedAccount.objects.none().annotate(difference=Sum("after"))) == []
    bars = count_bars(repriced_accounts().filter(repricing=synthetic([(3, 3)])))
    assert [(bar.words, bar.count) for bar in bars] == [("the same", 1)]


@pytest.mark.parametrize(
    ("difference", "before", "text", "share"),
    [
        ("2.50", "10", "+2.5", "+25 %"),
        ("-2", "-8", "\N{MINUS SIGN}2", "\N{MINUS SIGN}25 %"),
        ("0", "8", "0", ""),
        ("1", "0", "+1", ""),
    ],
)
def test_differences_are_written_with_their_sign_and_share(difference, before, text, share):
    assert signed(Decimal(difference)) == text
    assert percent(Decimal(difference), Decimal(before)) == share


def test_charges_on_screen_lead_to_a_rerate_of_the_same(plan, admin_client):
    charges = reverse("admin:rating_charge_changelist")
    account = Charge.objects.get().account_id
    period = BillingPeriod.objects.get()

    def link(**filters):
        return dict(admin_client.get(charges, filters).context["list_links"]).get("Rerate these…")

    assert link() == f"{reverse(RERATE)}?"
    chosen = link(plan__id__exact=plan.pk, period__account=account, date__from="2026-05-01", date__to="2026-05-31")
    form = admin_client.get(chosen).content.decode()
    for text in ('value="A-1"', f'<option value="{plan.pk}" selected>', "2026-05-01T00:00:00", "2026-06-01T00:00:00"):
        assert text in form
    assert "account=A-1" in link(period=period.pk)
    assert link(udr_id=1) is None
    assert link(kind__exact="reversal") is None
    client = person("rating.view_charge")
    assert client.get(charges).context["list_links"] == []


def test_a_plan_version_leads_to_what_if_and_rerate(plan, rf, admin_user):
    version = dearer(plan)
    request = rf.get("/")
    request.user = admin_user
    version.refresh_from_db()
    links = dict(version_links(request, version))
    assert set(links) == {"What if", "Rerate usage since its start"}
    assert f"version={version.pk}" in links["What if"]
    assert "from=2020-01-02" in links["Rerate usage since its start"]


def test_a_list_of_repricings_names_what_each_is_about(plan, admin_client):
    filters = {"until": MAY.isoformat(), "import": 7, "plan": plan.pk, "usage_class": 999_999}
    Repricing.objects.create(kind="rerate", filters=filters, reason=LONG_NAME[:200], created_at=NOW)
    Repricing.objects.create(kind="rerate", filters={}, reason="x", created_at=NOW)
    page = admin_client.get(reverse("admin:rating_repricing_changelist")).content.decode()
    assert f"plan {plan.name}, usage class 999999, import 7, until 2026-05-10 12:00:00" in page
    assert "everything that was charged" in page
