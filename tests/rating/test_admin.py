"""What people do with charges and periods in the admin: rerating, write-offs, closing, statements."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from mediation.models import RestoredUdr, UdrBatch
from rating.models import BillingPeriod, Charge, RatingException, Service, ServiceIdentifier, Statement
from tests.config.crowd import crowd, do, person

EXCEPTIONS, PERIODS = "rating_ratingexception", "rating_billingperiod"
SEE, SEE_PERIODS = "rating.view_ratingexception", "rating.view_billingperiod"

pytestmark = pytest.mark.django_db


def uncharged():
    """A rating exception whose cause has been mended since."""
    crowd(1, 1)
    Charge.objects.all().delete()
    return RatingException.objects.get()


def test_a_udr_whose_cause_is_mended_is_charged_when_it_is_rated_again():
    exception = uncharged()
    page = do(person(SEE, "rating.rerate_ratingexception"), EXCEPTIONS, "rerate", exception.pk)
    assert "1 UDR charged" in page
    exception.refresh_from_db()
    assert exception.status == "resolved"


def test_a_udr_whose_cause_remains_stays_an_exception_with_the_reason(admin_client):
    exception = uncharged()
    ServiceIdentifier.objects.all().delete()
    assert "0 UDRs charged" in do(admin_client, EXCEPTIONS, "rerate", exception.pk)
    exception.refresh_from_db()
    assert (exception.status, exception.cause) == ("open", "no_identifier_match")


def test_what_is_not_open_is_not_rated_again(admin_client):
    exception = uncharged()
    RatingException.objects.update(status="resolved")
    assert "Choose open ones" in do(admin_client, EXCEPTIONS, "rerate", exception.pk)


def test_rating_again_needs_its_permission():
    exception = uncharged()
    do(person(SEE), EXCEPTIONS, "rerate", exception.pk)
    assert not Charge.objects.exists()


def test_a_write_off_keeps_its_reason():
    exception = uncharged()
    client = person(SEE, "rating.writeoff_ratingexception")
    assert "Why is this usage not charged" in do(client, EXCEPTIONS, "write_off", exception.pk)
    assert "1 UDR written off" in do(client, EXCEPTIONS, "write_off", exception.pk, reason="a test line")
    exception.refresh_from_db()
    assert (exception.status, exception.close_reason) == ("written_off", "a test line")


def test_what_is_not_open_is_not_written_off(admin_client):
    exception = uncharged()
    RatingException.objects.update(status="resolved")
    assert "Choose open ones" in do(admin_client, EXCEPTIONS, "write_off", exception.pk, reason="x")


def test_a_write_off_needs_its_permission():
    exception = uncharged()
    do(person(SEE), EXCEPTIONS, "write_off", exception.pk, reason="x")
    exception.refresh_from_db()
    assert exception.status == "open"


def period_to_close():
    crowd(1, 1)
    RestoredUdr.objects.all().delete()  # while usage waits for its charge no period closes
    return BillingPeriod.objects.get(status="open")


def test_a_period_that_is_over_is_closed_with_its_statement():
    period = period_to_close()
    page = do(person(SEE_PERIODS, "rating.close_billingperiod"), PERIODS, "close", period.pk, is_confirmed="1")
    assert "May 2026 of A1 Account 1 is closed" in page
    statement = Statement.objects.get(period=period)
    assert (statement.number, statement.amount) == (2, Decimal("0.84"))


def test_a_period_that_is_not_over_stays_open_and_says_why(admin_client):
    period = period_to_close()
    BillingPeriod.objects.filter(pk=period.pk).update(ends_at=timezone.now() + timedelta(days=3))
    assert "is not over" in do(admin_client, PERIODS, "close", period.pk, is_confirmed="1")


def test_closing_needs_its_permission():
    period = period_to_close()
    do(person(SEE_PERIODS), PERIODS, "close", period.pk, is_confirmed="1")
    period.refresh_from_db()
    assert period.status == "open"


def test_a_charge_leads_to_everything_that_explains_it(admin_client):
    crowd(1, 1)
    charge = Charge.objects.get()
    page = admin_client.get(reverse("admin:rating_charge_change", args=[charge.pk])).content.decode()
    for explained in (
        f"/admin/mediation/udr/{charge.udr_id}/change/",
        f"/admin/rating/serviceidentifier/{charge.service_identifier_id}/change/",
        f"/admin/rating/planversion/{charge.version_id}/change/",
        "Euro / class-1",
        "0.84 EUR",
    ):
        assert explained in page


@pytest.mark.parametrize("by", ["import_id", "udr_id", "period", "period__account"])
def test_charges_are_found_by_what_leads_to_them(by, admin_client):
    crowd(1, 3)
    wanted = Charge.objects.order_by("pk")[1]
    value = wanted.period.account_id if by == "period__account" else getattr(wanted, f"{by}_id", None)
    page = admin_client.get(reverse("admin:rating_charge_changelist"), {by: value or getattr(wanted, by)})
    assert [charge.pk for charge in page.context["cl"].result_list] == [wanted.pk]


def test_errored_batches_are_tried_again(admin_client):
    crowd(1, 1)
    batch = UdrBatch.objects.get()
    assert "nothing was changed" in do(admin_client, "mediation_udrbatch", "retry", batch.pk)
    UdrBatch.objects.update(status="errored")
    assert "1 batch will be tried again" in do(admin_client, "mediation_udrbatch", "retry", batch.pk)


def test_trying_batches_again_needs_its_permission():
    crowd(1, 1)
    UdrBatch.objects.update(status="errored")
    do(person("mediation.view_udrbatch"), "mediation_udrbatch", "retry", UdrBatch.objects.get().pk)
    assert UdrBatch.objects.get().status == "errored"


def test_a_new_identifier_is_one_line_owned_from_the_start_of_its_service(admin_client):
    crowd(1, 1)
    service = Service.objects.get()
    page = admin_client.get(reverse("admin:rating_service_change", args=[service.pk]))
    blank = page.context["inline_admin_formsets"][0].formset.empty_form
    assert 'type="text"' in str(blank["identifier"])
    assert f'value="{timezone.localtime(service.starts_at):%Y-%m-%d}"' in str(blank["starts_at"])


def test_an_identifier_is_added_inside_its_service(admin_client):
    crowd(1, 1)
    service, owned = Service.objects.get(), ServiceIdentifier.objects.get()
    day = f"{timezone.localtime(service.starts_at):%Y-%m-%d}"
    rows = {"TOTAL_FORMS": "2", "INITIAL_FORMS": "1", "0-id": owned.pk, "0-service": service.pk}
    rows |= {"0-identifier": owned.identifier, "1-service": service.pk, "1-identifier": "43699"}
    for place in "01":
        rows |= {f"{place}-starts_at_0": day, f"{place}-starts_at_1": "12:00:00"}
    answers = {"account": service.account_id, "name": service.name, "starts_at_0": day, "starts_at_1": "00:00:00"}
    answers |= {f"identifiers-{name}": value for name, value in rows.items()}
    url = reverse("admin:rating_service_change", args=[service.pk])
    assert admin_client.post(url, answers).status_code == 302
    assert service.identifiers.filter(identifier="43699").exists()


def test_an_identifier_without_its_start_is_refused_at_its_fields(admin_client):
    page = admin_client.post(reverse("admin:rating_serviceidentifier_add"), {"identifier": "a"})
    assert page.status_code == 200
    assert set(page.context["adminform"].form.errors) == {"service", "starts_at"}
