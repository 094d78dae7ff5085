"""A person in a browser: from a sample file to an active profile in less than ten clicks."""

import json
import shutil
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections
from django.urls import reverse

from mediation.models import DataProfile, IdentifierType, ProfileVersion, UsageClass
from tests.mediation.test_suggesting import CALLS

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
FOCUS = Path(settings.BASE_DIR).parent / "shared" / "samples" / "focus" / "focus_sample.csv"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]


class Walk:
    """A page in a browser that counts what its person clicks."""

    def __init__(self, page):
        self.page, self.clicks = page, 0
        self.complaints = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def click(self, role, name):
        self.clicks += 1
        self.page.get_by_role(role, name=name, exact=True).first.click()

    def choose_file(self, path):
        self.clicks += 2  # the button that opens the choice of files, and the file
        self.page.get_by_label("Sample file").set_input_files(path)

    @property
    def text(self):
        return self.page.inner_text("#content")


@pytest.fixture
def walk(live_server, admin_client, monkeypatch):
    # Connections that persist would keep the test database from being dropped.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    # The browser's driver runs a loop in this thread, which Django takes for code that must not block.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    IdentifierType.objects.get_or_create(name="Unknown")
    cookie = {"name": "sessionid", "value": admin_client.cookies["sessionid"].value, "url": live_server.url}
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(20_000)
        context.add_cookies([cookie])
        page = context.new_page()
        page.goto(live_server.url + reverse("admin:mediation_dataprofile_changelist"))
        yield Walk(page)
        browser.close()
        connections.close_all()  # while the driver's loop runs, this thread has connections of their own


def suggested(walk, path):
    walk.click("link", "New from a sample")
    walk.choose_file(path)
    walk.click("button", "Suggest")
    walk.page.get_by_label("Name of the new Data Profile").fill("My source")


@pytest.mark.skipif(not FOCUS.exists(), reason="the samples lie beside the checkout")
def test_cloud_bills_go_from_upload_to_active_in_less_than_ten_clicks(walk):
    suggested(walk, FOCUS)
    assert "1,000 records" in walk.text
    walk.click("button", "Save as draft")
    walk.click("link", "Preview")
    walk.page.get_by_label("Rows").fill("\n".join(FOCUS.read_text().splitlines()[:6]))
    walk.click("button", "Preview")
    assert "5 records" in walk.text
    walk.click("button", "Activate")
    assert "is the first to be active" in walk.text
    walk.click("button", "Activate")
    assert "is active" in walk.page.inner_text("#container")
    version = ProfileVersion.objects.get(profile__name="My source")
    assert (version.status, UsageClass.objects.count()) == ("active", 10)
    assert walk.clicks < 10
    assert walk.complaints == []


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
    assert "Answer the questions first" in walk.text
    walk.page.get_by_label("%m/%d/%Y").check()
    walk.click("button", "Save as draft")
    assert ProfileVersion.objects.get().spec["fields"]["Date"]["date_format"] == "%m/%d/%Y"
