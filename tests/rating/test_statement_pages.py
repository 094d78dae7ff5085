"""Statements in the admin: the page, paper, files and lists; closing many periods; taxes."""

import csv
import html
import io
import zipfile
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import xlsxwriter
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mediation.services.workbooks import put
from rating import services
from rating.admin import closing
from rating.models import (
    Account,
    BillingPeriod,
    ClassTaxCategory,
    Jurisdiction,
    Statement,
    TaxCode,
    TaxExemption,
    TaxPart,
)
from tests.config.crowd import do, person

from .factories import (
    JUNE,
    LONG_AGO,
    MAY,
    NOW,
    RateFactory,
    RatePlanFactory,
    UsageClassFactory,
    activate,
    document,
    graduated,
    subscriber,
    used,
    waiting,
)

pytestmark = pytest.mark.django_db

SEE, CLOSE = "rating.view_billingperiod", "rating.close_billingperiod"
LONG = "W" * 200


def text_of(response):
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def address(name, period, kind="billingperiod"):
    return reverse(f"admin:rating_{kind}_{name}", args=[period.pk])


def taxed(usage_class, *parts, name="Austria"):
    """A jurisdiction with a tax code for the class; parts: (name, percent)."""
    jurisdiction = Jurisdiction.objects.create(name=name)
    ClassTaxCategory.objects.create(usage_class=usage_class, category="telecom")
    code = TaxCode.objects.create(jurisdiction=jurisdiction, category="telecom", name="Standard", starts_at=LONG_AGO)
    for position, (part, percent) in enumerate(parts, 1):
        TaxPart.objects.create(code=code, position=position, name=part, percent=percent)
    return jurisdiction


def period_of(rate, value=150, date=MAY, **account):
    """A period with usage of the rate by one account of its own."""
    owner = subscriber(rate.plan, **account)
    waiting(used(rate, owner, value, date=date))
    services.rate_batches(now=NOW)
    return BillingPeriod.objects.get(account=owner.service.account)


@pytest.fixture
def rate():
    return graduated(usage_class=UsageClassFactory(name="voice"))


@pytest.fixture
def period(rate):
    jurisdiction = taxed(rate.usage_class, ("VAT", 20), ("Levy", "1.5"))
    return period_of(rate, jurisdiction=jurisdiction, number="A-1", name="Blue Harbour")


def closed(period):
    services.close_period(period=period, by=None, now=NOW)
    return period


# The page


def test_a_draft_shows_lines_by_tier_taxes_and_totals(period, admin_client):
    page = text_of(admin_client.get(address("statement", period)))
    for shown in ("Statement of May 2026", "draft", "A-1 Blue Harbour", "up to 100", "above 100", "30.00", "5.00"):
        assert shown in page
    for shown in ("VAT 20 %", "Austria, of 35.00", "7.00", "Levy 1.5 %", "0.53", "<strong>42.53</strong>"):
        assert shown in page


def test_an_issued_statement_shows_its_number_and_stays(period, rate, admin_client):
    closed(period)
    before = text_of(admin_client.get(address("statement", period)))
    assert "No. 00000001" in before
    assert "</time>" in before
    assert "</time>" in text_of(admin_client.get(address("statement_print", period)))
    RateFactory(group=rate.group, price="9")
    assert "<strong>42.53</strong>" in text_of(admin_client.get(address("statement", period)))


def test_a_line_leads_to_the_charges_behind_it(period, admin_client):
    page = admin_client.get(address("statement", period))
    line = page.context["parts"][0]["lines"][0]
    charges = admin_client.get(line["charges_url"])
    assert [charge.period_id for charge in charges.context["cl"].result_list] == [period.pk]
    reader = person(SEE)
    assert "/rating/charge/" not in text_of(reader.get(address("statement", period))).split('id="content"')[1]


def test_a_statement_that_cannot_be_closed_says_why(period, admin_client):
    TaxCode.objects.update(ends_at=LONG_AGO.replace(year=2021))
    page = text_of(admin_client.get(address("statement", period)))
    assert "What keeps the period from being closed" in page
    assert "has no tax code" in page
    assert "<strong>not to be billed yet</strong>" in page
    assert '<span class="quiet">not to be billed yet</span>' in page
    assert "<strong>35.00 EUR</strong>" not in page


UNTAXED = (
    "Usage class voice has no tax category: its lines bear no tax. Set one under Tax categories if that is not meant."
)


def test_a_draft_names_the_classes_that_bear_no_tax_for_want_of_a_category(period, admin_client):
    pages = [address(name, period) for name in ("statement", "statement_print")]
    assert not any("no tax category" in text_of(admin_client.get(page)) for page in pages)
    ClassTaxCategory.objects.all().delete()
    assert all(text_of(admin_client.get(page)).count(UNTAXED) == 1 for page in pages)
    assert "<strong>35.00 EUR</strong>" in text_of(admin_client.get(pages[0]))
    closed(period)
    assert not any("no tax category" in text_of(admin_client.get(page)) for page in pages)


def test_no_category_is_missed_where_nothing_is_taxed_anyway(period, rate):
    ClassTaxCategory.objects.all().delete()
    elsewhere = period_of(rate, jurisdiction=Jurisdiction.objects.create(name="No codes"))
    assert services.statement_of(period=elsewhere).notices == ()
    assert services.statement_of(period=period_of(rate)).notices == ()
    TaxExemption.objects.create(account=period.account, certificate="C-17", starts_at=LONG_AGO)
    assert services.statement_of(period=period).notices == ()


def test_adjustments_and_commitments_stand_in_parts_of_their_own(rate, admin_client):
    may = closed(period_of(rate))
    plan = document(rate.plan)
    least = {"name": "Least spend", "kind": "minimum", "amount": "500"}
    activate(rate.plan, {**plan, "commitments": [least]}, starts_at=datetime(2026, 5, 31, 22, tzinfo=UTC))
    owner = may.account.services.get().identifiers.get()
    waiting(used(rate, owner, 10, date=MAY), used(rate, owner, 10, date=JUNE), import_id=2)
    services.rate_batches(now=NOW)
    june = BillingPeriod.objects.exclude(pk=may.pk).get()
    page = text_of(admin_client.get(address("statement", june)))
    parts = [page.index(title) for title in (">Usage<", ">Adjustments of earlier statements<", ">Commitments<")]
    assert parts == sorted(parts)
    assert "of statement 00000001" in page
    assert "true-up to the minimum" in page


def test_an_empty_period_and_long_names_have_a_statement(rate, admin_client):
    long = RateFactory(usage_class=UsageClassFactory(name=LONG), group__plan=RatePlanFactory(name=LONG))
    for one in (
        period_of(long, name=LONG),
        BillingPeriod.objects.create(account=Account.objects.last(), starts_at=JUNE, ends_at=NOW),
    ):
        for name in ("statement", "statement_print", "statement_csv", "statement_xlsx"):
            assert admin_client.get(address(name, one)).status_code == 200
    assert "No charges in this period" in text_of(admin_client.get(address("statement", one)))


@pytest.mark.parametrize("name", ["statement", "statement_print", "statement_csv", "statement_xlsx"])
def test_a_statement_needs_the_permission_to_see_periods_or_statements(name, period):
    assert person("rating.view_charge").get(address(name, period)).status_code == 403
    assert person(SEE).get(address(name, period)).status_code == 200
    assert person("rating.view_statement").get(address(name, period)).status_code == 200


def test_a_statement_on_paper_stands_alone(period, admin_client):
    page = text_of(admin_client.get(address("statement_print", closed(period))))
    assert "<h1>Statement 00000001</h1>" in page
    assert "<strong>42.53</strong>" in page
    assert "nav-sidebar" not in page
    assert "<a href" not in page
    assert "<style" not in page


def test_a_longer_statement_asks_no_more_queries(rate, admin_client):
    def queries(period):
        admin_client.get(address("statement", period))
        with CaptureQueriesContext(connection) as asked:
            admin_client.get(address("statement", period))
        return len(asked)

    rates = [rate, *(RateFactory(group=rate.group) for _ in range(4))]
    owner = subscriber(rate.plan)
    waiting(*(used(one, owner) for one in rates))
    few = queries(closed(period_of(rate)))
    services.rate_batches(now=NOW)
    many = BillingPeriod.objects.get(account=owner.service.account)
    assert queries(closed(many)) == few


# Files


def rows(answer):
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_the_csv_has_every_line_with_exact_numbers_and_its_tax(period, admin_client):
    answer = admin_client.get(address("statement_csv", closed(period)))
    assert answer["Content-Disposition"] == 'attachment; filename="statement-00000001-A-1-2026-05.csv"'
    first, second = rows(answer)
    assert [first[name] for name in ("statement", "account", "usage_class", "tier", "tier_up_to")] == [
        *("00000001", "A-1", "voice", "1", "100")
    ]
    assert (first["rated_quantity"], first["amount"], first["line_amount"], first["tax"]) == (
        "100",
        "30",
        "30.00",
        "6.45",
    )
    assert (second["amount"], second["tax"], second["currency"]) == ("5", "1.08", "EUR")


def test_a_csv_for_spreadsheets_runs_no_formula(rate, admin_client):
    period = period_of(rate, name="=HYPERLINK(1)", number="-1")
    plain, safe = (
        rows(admin_client.get(address("statement_csv", period), asked))[0] for asked in ({}, {"spreadsheet": 1})
    )
    assert (plain["account_name"], plain["account"]) == ("=HYPERLINK(1)", "-1")
    assert (safe["account_name"], safe["account"]) == ("'=HYPERLINK(1)", "'-1")
    assert safe["amount"] == plain["amount"]


def cells(answer, sheet):
    """The cells of a workbook's sheet as they stand in its XML: (type, text)."""
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        text = book.read(f"xl/worksheets/sheet{sheet}.xml").decode()
    return html.unescape(text)


def test_the_workbook_has_head_lines_and_taxes(period, admin_client):
    answer = admin_client.get(address("statement_xlsx", closed(period)))
    assert answer["Content-Disposition"].endswith('"statement-00000001-A-1-2026-05.xlsx"')
    assert "<v>42.53</v>" in cells(answer, 1)
    assert "<t>line amount</t>" in cells(answer, 2)
    assert "<t>VAT</t>" in cells(answer, 3)


def test_a_workbook_keeps_numbers_of_more_than_15_digits_as_texts(rate, admin_client):
    price = RateFactory(group=rate.group, price="1.23456789012", usage_class=UsageClassFactory(name="=1+1"))
    answer = admin_client.get(address("statement_xlsx", period_of(price, "123456.789")))
    lines = cells(answer, 2)
    assert "<t>152415.78751672002</t>" in lines
    assert "<v>123456.789</v>" in lines
    assert "<t>=1+1</t>" in lines
    assert "<f>" not in lines


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("123456789012345", "<v>123456789012345</v>"),
        ("1234567890123456", "<t>1234567890123456</t>"),
        ("-0.00000012345", "<v>-1.2345E-7</v>"),
        ("123456789.123456000", "<v>123456789.123456</v>"),
        ("0.00", "<v>0</v>"),
        ("1E+20", "<t>100000000000000000000</t>"),
    ],
)
def test_a_number_goes_into_a_workbook_with_all_its_digits(value, cell):
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"constant_memory": True}) as book:
        put(book.add_worksheet(), 0, 0, Decimal(value), None)
    with zipfile.ZipFile(out) as unpacked:
        assert cell in unpacked.read("xl/worksheets/sheet1.xml").decode()


# Closing


def closed_at_once(client, *periods, **answers):
    return html.unescape(do(client, "rating_billingperiod", "close", *(one.pk for one in periods), **answers))


def test_closing_says_first_what_will_happen(rate, admin_client):
    over, done, running = period_of(rate), closed(period_of(rate)), period_of(rate)
    BillingPeriod.objects.filter(pk=running.pk).update(ends_at=NOW.replace(year=2999))
    page = closed_at_once(admin_client, over, done, running)
    assert "1 period of 1 account is over" in page
    assert "1 period not over yet" in page
    assert "1 period closed already" in page
    assert not Statement.objects.filter(period=over).exists()


def test_periods_are_closed_one_by_one_and_refusals_are_told_by_their_reason(rate, admin_client):
    first, second, *running = [period_of(rate) for _ in range(4)]
    BillingPeriod.objects.filter(pk__in=[one.pk for one in running]).update(ends_at=datetime(2999, 1, 1, tzinfo=UTC))
    page = closed_at_once(admin_client, first, second, *running, is_confirmed="1")
    assert "2 periods closed" in page
    assert page.count("is not over") == 1
    assert "2 periods not closed" in page
    assert list(Statement.objects.order_by("number").values_list("number", flat=True)) == [1, 2]


def test_more_than_a_request_can_bear_are_left_to_the_workers(rate, admin_client, monkeypatch):
    monkeypatch.setattr(closing, "MOST_AT_ONCE", 1)
    periods = [period_of(rate) for _ in range(2)]
    assert "closed by the workers" in closed_at_once(admin_client, *periods)
    assert "2 periods will be closed by the workers" in closed_at_once(admin_client, *periods, is_confirmed="1")
    assert "not asked for already" in closed_at_once(admin_client, *periods, is_confirmed="1")
    assert services.close_asked(now=NOW) == 2
    assert list(Statement.objects.order_by("number").values_list("number", flat=True)) == [1, 2]


def test_closing_many_needs_its_permission(period):
    closed_at_once(person(SEE), period, is_confirmed="1")
    assert not Statement.objects.exists()
    assert "statement 00000001" in closed_at_once(person(SEE, CLOSE), period, is_confirmed="1")


def test_closing_names_first_the_classes_that_bear_no_tax(period, rate, admin_client, monkeypatch):
    another = period_of(rate, jurisdiction=period.account.jurisdiction)
    assert "no tax category" not in closed_at_once(admin_client, period, another)
    ClassTaxCategory.objects.all().delete()
    assert closed_at_once(admin_client, period, another).count(UNTAXED) == 1
    monkeypatch.setattr(closing, "MOST_AT_ONCE", 1)
    assert f"Of the first 1: {UNTAXED}" in closed_at_once(admin_client, period, another)


# Lists and taxes


def test_statements_lines_and_taxes_are_listed_and_lead_to_the_page(period, admin_client):
    statement = Statement.objects.get(period=closed(period))
    page = text_of(admin_client.get(reverse("admin:rating_statement_changelist")))
    assert "00000001" in page
    assert "42.53" in page
    assert address("statement", period) in page
    lines = admin_client.get(reverse("admin:rating_statementline_changelist"), {"statement": statement.pk})
    assert "30.00" in text_of(lines)
    taxes = text_of(admin_client.get(reverse("admin:rating_statementtax_changelist"), {"statement": statement.pk}))
    assert "Levy" in taxes
    line = statement.lines.first()
    assert address("statement", period) in text_of(admin_client.get(address("change", line, "statementline")))
    assert admin_client.post(address("delete", statement, "statement"), {"post": "yes"}).status_code == 403


def test_a_tax_code_is_made_with_its_parts(rate, admin_client):
    jurisdiction = Jurisdiction.objects.create(name="Austria")
    parts = {"TOTAL_FORMS": 1, "INITIAL_FORMS": 0, "0-position": 1, "0-name": "VAT", "0-percent": "20"}
    answers = {"jurisdiction": jurisdiction.pk, "category": "telecom", "name": "Standard"}
    answers |= {"starts_at_0": "2020-01-01", "starts_at_1": "00:00:00"}
    answers |= {f"parts-{name}": value for name, value in parts.items()}
    admin_client.post(reverse("admin:rating_taxcode_add"), answers)
    assert TaxCode.objects.get().parts.get().percent == 20
    assert "VAT 20 %" in text_of(admin_client.get(address("change", jurisdiction, "jurisdiction")))
    answers["parts-0-percent"] = "101"
    assert "less than or equal to 100" in text_of(admin_client.post(reverse("admin:rating_taxcode_add"), answers))


def test_an_account_has_its_jurisdiction_and_its_exemptions(period, admin_client):
    account = period.account
    url = address("change", account, "account")
    page = text_of(admin_client.get(url))
    assert "Austria" in page
    answers = {"number": account.number, "name": account.name, "currency": "EUR", "time_zone": account.time_zone}
    answers |= {"jurisdiction": account.jurisdiction_id, "rate_plan": account.rate_plan_id}
    answers |= {"services-TOTAL_FORMS": 0, "services-INITIAL_FORMS": 0}
    exemption = {"TOTAL_FORMS": 1, "INITIAL_FORMS": 0, "0-certificate": "C-17", "0-account": account.pk}
    exemption |= {"0-starts_at_0": "2020-01-01", "0-starts_at_1": "00:00:00"}
    answers |= {f"tax_exemptions-{name}": value for name, value in exemption.items()}
    assert admin_client.post(url, answers).status_code == 302
    assert TaxExemption.objects.get().certificate == "C-17"
    assert "<strong>35.00</strong>" in text_of(admin_client.get(address("statement", period)))


def test_tax_screens_need_their_permissions(period):
    jurisdiction = Jurisdiction.objects.get()
    reader = person("rating.view_jurisdiction")
    assert "Add a tax code" not in text_of(reader.get(address("change", jurisdiction, "jurisdiction")))
    assert reader.get(reverse("admin:rating_taxcode_add")).status_code == 403
    assert reader.get(reverse("admin:rating_statement_changelist")).status_code == 403
