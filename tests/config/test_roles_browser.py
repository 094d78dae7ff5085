"""The main jobs of each role in a browser, each person signed in by the form with the role that the house gives."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.urls import reverse
from django.utils import timezone

from config import roles
from ingestion.models import ImportException, UsageImport
from mediation.models import IdentifierType, ProfileVersion
from rating.models import PlanVersion
from tests.config.browsing import press, says, submit, text
from tests.ingestion.factories import event, feed_of, posted, work
from tests.rating.factories import RateFactory

PASSWORD = "quite a long pass phrase"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]


@pytest.fixture
def sign_in(browse):
    """A function that signs somebody in with roles and gives the page; each person has a browser of their own."""
    roles.grant_roles()
    IdentifierType.objects.get_or_create(name="Unknown")

    def signed_in(name, *groups):
        user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
        user.groups.set(Group.objects.filter(name__in=groups))
        page = browse()
        page.goto(reverse("admin:login"))
        page.get_by_label("Username:").fill(name)
        page.get_by_label("Password:").fill(PASSWORD)
        press(page, "button", "Log in")
        return page

    return signed_in


def test_a_billing_admin_sets_up_a_profile_and_a_feed_and_imports_a_file(sign_in, tmp_path):
    path = tmp_path / "calls.csv"
    today = timezone.now().strftime("%Y-%m-%d")
    lines = ["start,caller,callee,seconds,kind"]
    path.write_text("\n".join(lines + [f"{today}T00:00:0{n}Z,4030000{n},4040000{n},{n}0,voice" for n in range(1, 9)]))
    page = sign_in("admin-1", roles.BILLING_ADMIN)
    page.goto(reverse("admin:mediation_dataprofile_changelist"))
    press(page, "link", "New from a sample")
    page.get_by_label("Sample file").set_input_files(path)
    press(page, "button", "Suggest")
    page.get_by_label("Name of the new Data Profile").fill("Calls of the switch")
    press(page, "button", "Save and activate")
    says(page, "is active")
    assert ProfileVersion.objects.get(profile__name="Calls of the switch").status == "active"

    page.goto(reverse("admin:ingestion_feed_add"))
    page.get_by_label("Name:", exact=True).fill("Switch")
    page.get_by_label("API name:").fill("switch")
    page.locator(".field-profile .select2-selection").click()
    page.get_by_role("option", name="Calls of the switch").click()
    press(page, "button", "Save")
    press(page, "link", "Upload usage file")
    page.get_by_label("Usage file").set_input_files(path)
    submit(page)
    says(page, "The file calls.csv is received")
    work(timezone.now())
    done = UsageImport.objects.get()
    page.goto(reverse("admin:ingestion_usageimport_change", args=[done.pk]))
    says(page, "completed")
    assert done.record_count == 8
    assert done.imported_count + done.exception_count == 8


def test_an_operator_reprocesses_an_import_of_a_granted_feed_and_sees_no_other(sign_in):
    feed, other = feed_of(name="Mine"), feed_of(name="Somebody else's")
    now = timezone.now()
    for one in (feed, other):
        posted(one, event(date=now.strftime("%Y-%m-%dT00:00:00Z")), event(value="none"), now=now)
    work(now)
    page = sign_in("operator-1", roles.OPERATOR)
    User.objects.get(username="operator-1").feed_grants.create(feed=feed)
    page.goto(reverse("admin:ingestion_usageimport_changelist"))
    says(page, "Mine")
    assert "Somebody else's" not in text(page)
    page.goto(reverse("admin:ingestion_usageimport_change", args=[UsageImport.objects.get(feed=feed).pk]))
    press(page, "button", "Reprocess…")
    submit(page)
    says(page, "will be read again")
    work(timezone.now())
    assert sorted(UsageImport.objects.values_list("feed__name", "attempt")) == [("Mine", 2), ("Somebody else's", 1)]


def test_finance_is_refused_the_operators_page_and_is_not_offered_it(sign_in):
    posted(feed_of(), event(value="none"))
    work()
    refused = ImportException.objects.get()
    page = sign_in("finance-1", roles.FINANCE)
    page.goto(reverse("admin:ingestion_importexception_change", args=[refused.pk]))
    assert page.get_by_role("link", name="Correct…").count() == 0
    assert page.get_by_role("button", name="Write off…").count() == 0
    answer = page.goto(reverse("admin:ingestion_importexception_correct", args=[refused.pk]))
    assert answer.status == 403
    says(page, "Your role does not reach this page.")
    says(page, "with the role Finance")
    press(page, "link", "Go to the front page")
    assert "Add" not in [link.inner_text() for link in page.get_by_role("link").all()]


def test_a_plan_is_activated_by_two_and_nobody_approves_their_own(sign_in, settings):
    settings.FOUR_EYES = {"activate_plan": None}
    plan = RateFactory().group.plan
    document = PlanVersion.objects.get(plan=plan, status="active").document
    draft = PlanVersion.objects.create(plan=plan, number=9, document=document, created_at=timezone.now())
    first = sign_in("admin-1", roles.BILLING_ADMIN)
    first.goto(reverse("admin:rating_planversion_activate", args=[draft.pk]))
    submit(first)
    says(first, "second person")
    first.get_by_label("Why").fill("Prices of the new year")
    press(first, "button", "Ask for approval")
    says(first, "asked")
    draft.refresh_from_db()
    assert draft.status == "draft"
    approval = apps.get_model("config", "Approval").objects.get()
    address = reverse("admin:config_approval_change", args=[approval.pk])
    first.goto(address)
    assert first.get_by_role("button", name="Approve…").count() == 0

    second = sign_in("admin-2", roles.BILLING_ADMIN)
    says(second, "1")
    second.goto(address)
    says(second, "Prices of the new year")
    press(second, "button", "Approve…")
    submit(second)
    says(second, "approved")
    draft.refresh_from_db()
    assert draft.status == "active"
    approval.refresh_from_db()
    assert (approval.asked_by.username, approval.decided_by.username) == ("admin-1", "admin-2")
