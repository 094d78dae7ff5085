"""Finance in a browser: charges filtered, columns chosen, downloaded at once and from the background."""

import pytest
from django.urls import reverse

from config import tasks
from config.models import ExportJob
from tests.config.browsing import follow, says
from tests.config.crowd import crowd
from tests.config.workbooks import sheets_of
from tests.ingestion.factories import user_with

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]


@pytest.fixture
def screen(browse):
    finance = user_with("rating.view_charge", "config.add_exportjob", "config.view_exportjob")
    finance.is_staff = True
    finance.save()
    crowd(1, 3)
    ExportJob.objects.all().delete()
    return browse(finance)


def downloaded(page, press):
    with page.expect_download() as awaited:
        press()
    return awaited.value


def test_charges_are_exported_at_once_and_in_the_background(screen):
    screen.goto(reverse("admin:rating_charge_changelist") + "?kind__exact=charge")
    follow(screen.get_by_role("link", name="Export…"))
    says(screen, "3 charges", "#content")
    screen.get_by_label("udr id").uncheck()
    screen.get_by_label("Excel workbook").check()
    file = downloaded(screen, screen.get_by_role("button", name="Download").click)
    assert file.suggested_filename == "charge.xlsx"
    header, *rows = sheets_of(file.path())["Rows"]
    assert "amount" in header
    assert "udr_id" not in header
    assert len(rows) == 3

    follow(screen.get_by_role("button", name="Make it in the background"))
    screen.get_by_text("waiting").wait_for()
    tasks.make_exports()
    screen.get_by_role("link", name="Download").wait_for()  # without a press: the page follows the work
    again = downloaded(screen, screen.get_by_role("link", name="Download").click)
    assert sheets_of(again.path())["Rows"] == [header, *rows]
    assert screen.complaints == []
