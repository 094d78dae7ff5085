"""The page and the files of an export: columns to choose, totals that the file adds up to, nothing that would run."""

import csv
import io
from decimal import Decimal, localcontext

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ingestion.models import Feed, FeedGrant, ImportException, UsageImport
from mediation.admin import export
from mediation.services.exporting import Kind
from mediation.services.workbooks import LETTERS_OF_A_CELL, plain, workbook, write_table
from rating.models import Charge
from tests.config.crowd import crowd, person
from tests.config.workbooks import sheets_of

CHARGES, IMPORTS, REJECTS = "rating_charge", "ingestion_usageimport", "ingestion_importexception"


def address(model, page="export", **query):
    return reverse(f"admin:{model}_{page}", query=query or None)


def text_of(response):
    assert response.status_code == 200, response.content
    return b"".join(response.streaming_content).decode()


def rows_of(response):
    return list(csv.DictReader(io.StringIO(text_of(response))))


def charge_more(number, **values):
    """Another charge like the first, with other figures."""
    charge = Charge.objects.first()
    charge.pk += number
    for name, value in values.items():
        setattr(charge, name, value)
    charge.save(force_insert=True)


# What a file holds


@pytest.mark.django_db
def test_only_the_chosen_columns_are_exported_in_the_order_of_the_list(admin_client):
    crowd(1, 2)
    response = admin_client.get(address(CHARGES, column=["amount", "account", "id"]))
    assert text_of(response).splitlines()[0] == "id,account,amount"


@pytest.mark.django_db
def test_names_stand_beside_the_ids_that_they_are_of(admin_client):
    crowd(1, 1)
    response = admin_client.get(address(CHARGES))
    header = text_of(response).splitlines()[0].split(",")
    for name, of in (("account", "account_id"), ("service", "service_id"), ("plan", "plan_id"), ("rate", "rate_id")):
        assert header.index(name) > header.index(of)
    assert header.index("account") < header.index("service_id")


@pytest.mark.django_db
def test_the_history_has_its_counts_and_a_udr_the_name_of_its_feed(admin_client):
    crowd(1, 1)
    [row] = rows_of(admin_client.get(address(IMPORTS)))
    counts = ("record", "imported", "exception", "skipped", "duplicate", "waiting")
    assert [row[f"{name}_count"] for name in counts] == ["4", "1", "1", "1", "1", "0"]
    assert int(row["rated_count"]) + int(row["rating_exception_count"]) == 1
    [udr] = rows_of(admin_client.get(address("mediation_udr")))
    assert udr["feed"] == "Feed 1"


@pytest.mark.django_db
def test_a_column_that_is_not_there_is_refused_in_words(admin_client):
    response = admin_client.get(address(CHARGES, column="password"))
    assert response.status_code == 400
    assert "no column 'password'" in response.content.decode()
    assert admin_client.get(address(CHARGES, "export_page", **{"as": "pdf"})).status_code == 400


@pytest.mark.django_db
def test_an_export_asks_as_many_queries_for_20_rows_as_for_2(admin_client):
    counts = []
    for first, last in ((1, 2), (3, 20)):
        crowd(first, last)
        with CaptureQueriesContext(connection) as asked:
            text_of(admin_client.get(address(CHARGES)))
            admin_client.get(address(CHARGES, "export_page"))
        counts.append(len(asked))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_exports_hold_the_feeds_that_were_granted_and_no_others(admin_client):
    crowd(1, 3)
    user = User.objects.create(username="of one feed", is_staff=True)
    for name in ("view_importexception", "view_charge", "view_udr", "view_usageimport"):
        user.user_permissions.add(Permission.objects.get(codename=name))
    FeedGrant.objects.create(user=user, feed=Feed.objects.get(name="Feed 2"))
    client = Client()
    client.force_login(user)
    for model in (REJECTS, IMPORTS, "mediation_udr"):
        assert [row["feed"] for row in rows_of(client.get(address(model)))] == ["Feed 2"], model
        assert "<strong>1</strong>" in client.get(address(model, "export_page")).content.decode()


# Totals


@pytest.mark.django_db
@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_the_file_adds_up_to_the_totals_on_the_page(admin_client, ending):
    crowd(1, 3)
    charge_more(1, amount=Decimal("12345678901234567890.12345678901"), currency="EUR")
    charge_more(2, amount=Decimal("-0.00000000001"), currency="USD")
    export_ = export_of_charges(admin_client, kind__exact="charge")
    if ending == "csv":
        rows = rows_of(admin_client.get(address(CHARGES, kind__exact="charge")))
    else:
        response = admin_client.get(address(CHARGES, "export_xlsx", kind__exact="charge"))
        sheets = sheets_of(io.BytesIO(b"".join(response.streaming_content)))
        header, *lines = sheets["Rows"]
        rows = [dict(zip(header, line, strict=False)) for line in lines]
        assert_totals_sheet(sheets["Totals"], export_)
    added = {}
    with localcontext(prec=100):
        for row in rows:
            for name in export_.summed:
                key = (row["currency"], name)
                added[key] = added.get(key, 0) + Decimal(row.get(name) or 0)
    counted = {(total.currency, name): found or 0 for total in export_.totals() for name, found in total.sums.items()}
    assert added == counted
    assert {code for code, _ in counted} == {"EUR", "USD"}


def assert_totals_sheet(sheet, export_):
    header, *lines = sheet
    assert header == ["currency", "rows", *export_.summed]
    for line, total in zip(lines, export_.totals(), strict=True):
        padded = [*line, *[None] * (len(header) - len(line))]
        assert (padded[0], int(padded[1])) == (total.currency, total.row_count)
        sums = [None if value is None else Decimal(value) for value in padded[2:]]
        assert sums == list(total.sums.values())


def export_of_charges(client, **query):
    from django.contrib import admin
    from django.http import HttpRequest
    from django.utils.http import urlencode

    screen = admin.site._registry[Charge]
    request = HttpRequest()
    request.user = User.objects.get(pk=client.session["_auth_user_id"])
    rows = export.changelist_of(screen, request, urlencode(query)).queryset
    return export.export_of(screen, rows, tuple(screen.export_columns()))


@pytest.mark.django_db
def test_the_page_shows_count_totals_and_the_filter_in_words(admin_client):
    crowd(1, 2)
    charge_more(1, amount=Decimal("0.10000000001"), currency="USD")
    page = admin_client.get(address(CHARGES, "export_page", kind__exact="charge")).content.decode()
    assert "<strong>3</strong> charges" in page
    assert "0.10000000001" in page
    assert "<dt>kind</dt><dd>charge</dd>" in page
    assert 'name="kind__exact" value="charge"' in page


@pytest.mark.django_db
def test_the_page_of_an_empty_list_opens(admin_client):
    assert "<strong>0</strong> charges" in admin_client.get(address(CHARGES, "export_page")).content.decode()


# From the page to the file


@pytest.mark.django_db
def test_what_is_chosen_on_the_page_stands_in_the_address_of_the_file(admin_client):
    crowd(1, 1)
    chosen = {"column": ["amount", "id"], "as": "xlsx", "kind__exact": "charge", "to": "file"}
    response = admin_client.post(address(CHARGES, "export_page"), chosen)
    assert response.status_code == 302
    assert response["Location"].startswith(address(CHARGES, "export_file"))
    file = admin_client.get(response["Location"])
    assert file["Content-Disposition"].endswith('"charge.xlsx"')
    assert sheets_of(io.BytesIO(b"".join(file.streaming_content)))["Rows"][0] == ["id", "amount"]
    kept = admin_client.post(address(CHARGES, "export_page"), chosen | {"to": "page"})
    page = admin_client.get(kept["Location"]).content.decode()
    assert 'value="amount" checked' in page
    assert 'value="currency" checked' not in page


@pytest.mark.django_db
def test_more_than_fits_in_an_answer_is_shown_the_way_to_the_background(admin_client, monkeypatch):
    crowd(1, 3)
    monkeypatch.setattr(export, "AT_ONCE", dict.fromkeys(Kind, 2))
    response = admin_client.get(address(CHARGES, kind__exact="charge", column="id"))
    assert response.status_code == 302
    page = admin_client.get(response["Location"]).content.decode()
    assert "more than 2" in page
    assert "Make it in the background" in page
    assert ">Download<" not in page


@pytest.mark.django_db
def test_who_may_not_view_a_list_may_not_export_it():
    client = person("rating.view_rateplan")
    for page in ("export", "export_xlsx", "export_page", "export_file"):
        assert client.get(address(CHARGES, page)).status_code == 403
    assert client.post(address(CHARGES, "export_page"), {"to": "file"}).status_code == 403


# What a workbook holds


@pytest.mark.django_db
def test_a_workbook_runs_no_text_and_cuts_what_a_cell_does_not_hold_saying_so(admin_client):
    crowd(1, 1)
    ImportException.objects.update(raw="=cmd()" + "x" * 40_000)
    UsageImport.objects.update(file_name="a\x01b.csv")
    response = admin_client.get(address(REJECTS, "export_xlsx", column="raw"))
    [[_], [raw]] = sheets_of(io.BytesIO(b"".join(response.streaming_content)))["Rows"]
    assert raw.startswith("=cmd()x")
    assert raw.endswith("… (cut: 40,006 characters; a CSV holds them all)")
    assert len(raw) == LETTERS_OF_A_CELL


def test_numbers_of_more_digits_than_excel_keeps_are_texts():
    out = io.BytesIO()
    numbers = ["123456789012345", "1234567890123456", "0.00000000001", "-12.500000", "99999999.99999999999", "0"]
    with workbook(out) as book:
        write_table(book, "Rows", ["n"], [[number] for number in numbers], numbers={"n"})
    out.seek(0)
    [_, *rows] = sheets_of(out)["Rows"]
    assert [cell for [cell] in rows] == [
        Decimal("123456789012345"),
        "1234567890123456",
        Decimal("1E-11"),
        Decimal("-12.5"),
        "99999999.99999999999",
        Decimal(0),
    ]


def test_rows_beyond_a_sheet_go_on_in_the_next():
    out = io.BytesIO()
    with workbook(out) as book:
        assert write_table(book, "Rows", ["n"], [[str(n)] for n in range(7)], rows_of_a_sheet=4) == 7
    out.seek(0)
    sheets = sheets_of(out)
    assert list(sheets) == ["Rows", "Rows 2", "Rows 3"]
    assert [row for sheet in sheets.values() for [row] in sheet[1:]] == [str(n) for n in range(7)]
    assert all(sheet[0] == ["n"] for sheet in sheets.values())


@pytest.mark.parametrize(
    ("number", "text"), [("1200", "1200"), ("0.0500", "0.05"), ("-0.00", "0"), ("1E+3", "1000"), ("0", "0")]
)
def test_a_number_has_no_digit_that_says_nothing(number, text):
    assert plain(Decimal(number)) == text
