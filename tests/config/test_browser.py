"""A person in a browser: from a sample file to an active profile in less than ten clicks."""

import json
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

from mediation.models import DataProfile, IdentifierType, ProfileVersion, UsageClass
from tests.config.browsing import press, says
from tests.mediation.test_suggesting import CALLS

FOCUS = Path(settings.BASE_DIR).parent / "shared" / "samples" / "focus" / "focus_sample.csv"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]


class Walk:
    """A page in a browser that counts what its person clicks."""

    def __init__(self, page):
        self.page, self.clicks = page, 0

    def click(self, role, name):
        self.clicks += 1
        press(self.page, role, name)

    def choose_file(self, path):
        self.clicks += 2  # the button that opens the choice of files, and the file
        self.page.get_by_label("Sample file").set_input_files(path)

    def says(self, words):
        says(self.page, words)


@pytest.fixture
def walk(open_page):
    IdentifierType.objects.get_or_create(name="Unknown")
    page = open_page()
    page.goto(reverse("admin:mediation_dataprofile_changelist"))
    return Walk(page)


def suggested(walk, path):
    walk.click("link", "New from a sample")
    walk.choose_file(path)
    walk.click("button", "Suggest")
    walk.page.get_by_label("Name of the new Data Profile").fill("My source")


@pytest.mark.skipif(not FOCUS.exists(), reason="the samples lie beside the checkout")
def test_cloud_bills_go_from_upload_to_active_in_less_than_ten_clicks(walk):
    suggested(walk, FOCUS)
    walk.says("1,000 records")
    walk.click("button", "Save as draft")
    walk.click("link", "Preview")
    walk.page.get_by_label("Rows").fill("\n".join(FOCUS.read_text().splitlines()[:6]))
    walk.click("button", "Preview")
    walk.says("5 records")
    walk.click("button", "Activate")
    walk.says("is the first to be active")
    walk.click("button", "Activate")
    walk.says("is active")
    version = ProfileVersion.objects.get(profile__name="My source")
    assert (version.status, UsageClass.objects.count()) == ("active", 10)
    assert walk.clicks < 10
    assert walk.page.complaints == []


def test_what_the_proposal_got_wrong_is_mended_by_choosing(walk, tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text(CALLS.replace("duration", "dings"))
    suggested(walk, path)
    walk.page.get_by_label("Column for Value").select_option("dings")
    walk.page.get_by_label("Fixed text for Value").fill("")
    walk.click("button", "Preview again")
    assert json.loads(walk.page.locator("textarea[name=document]").input_value())["fields"]["Value"] == {
        "source": "dings"
    }
    walk.click("button", "Save and activate")
    assert DataProfile.objects.get().versions.get().status == "active"


def test_a_question_that_the_sample_leaves_open_is_answered_by_a_click(walk, tmp_path):
    path = tmp_path / "days.csv"
    path.write_text("day;quantity;account\n05/06/2026;1;A\n07/08/2026;2;B\n")
    suggested(walk, path)
    walk.click("button", "Save as draft")
    walk.says("Answer the questions first")
    walk.page.get_by_label("%m/%d/%Y").check()
    walk.click("button", "Save as draft")
    assert ProfileVersion.objects.get().spec["fields"]["Date"]["date_format"] == "%m/%d/%Y"
