"""Services, identifiers, classes, rates and buckets that charges name cannot be deleted, by whatever way."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.urls import reverse

from mediation.models import UsageClass
from rating import services
from rating.models import Bucket, Charge, Rate, Service, ServiceIdentifier

from .factories import (
    NOW,
    BucketFactory,
    RateFactory,
    ServiceFactory,
    ServiceIdentifierFactory,
    UsageClassFactory,
    subscriber,
    used,
    waiting,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def charge():
    """The only charge there is, of the only service."""
    rate = RateFactory()
    BucketFactory(rate.plan, 5, [rate.usage_class])
    waiting(used(rate, subscriber(rate.plan), 8))
    services.rate_batches(now=NOW)
    return Charge.objects.get()


@pytest.fixture
def root(client):
    client.force_login(User.objects.create_superuser("root"))
    return client


def refuses(rows):
    with pytest.raises(IntegrityError, match="so it stays"), transaction.atomic():
        rows.all().delete()
    return rows.exists()


@pytest.mark.parametrize("model", [ServiceIdentifier, UsageClass, Rate, Bucket])
def test_what_a_charge_names_is_not_deleted(charge, model):
    assert refuses(model.objects)


def test_a_charged_service_is_not_deleted_even_without_its_identifier(charge):
    ServiceIdentifier.objects.update(service=ServiceFactory(account=charge.account))
    assert refuses(Service.objects.filter(pk=charge.service_id))


def test_a_class_is_kept_by_open_charges_where_no_plan_knows_it_by_its_new_name(charge):
    UsageClass.objects.update(name="renamed")
    assert refuses(UsageClass.objects)


def test_what_was_never_charged_may_be_deleted(charge):
    spare = ServiceIdentifierFactory(service=ServiceFactory(account=charge.account))
    spare.delete()
    spare.service.delete()
    UsageClassFactory().delete()
    assert (Service.objects.count(), UsageClass.objects.count()) == (1, 1)


def test_a_charge_is_billed_though_its_service_is_gone_from_its_account(charge):
    """The service had moved to another account, which no charge binds it to."""
    owner = ServiceIdentifier.objects.get()
    Service.objects.update(account=ServiceFactory().account)
    owner.delete()
    Service.objects.get(pk=charge.service_id).delete()
    statement = services.close_period(period=charge.period, by=None, now=NOW)
    assert statement.amount == charge.amount > 0


@pytest.mark.parametrize(
    ("name", "field", "reason"),
    [
        ("rating_serviceidentifier", "service_identifier_id", "charges name identifier"),
        ("mediation_usageclass", "usage_class_id", "active versions of rate plans price usage class"),
    ],
)
def test_the_admin_says_why_it_does_not_delete(root, charge, name, field, reason):
    address = reverse(f"admin:{name}_delete", args=[getattr(charge, field)])
    for page in (root.get(address), root.post(address, {"post": "yes"})):
        assert reason in page.content.decode()
    assert ServiceIdentifier.objects.exists()
    assert UsageClass.objects.exists()


def test_the_admin_deletes_what_nothing_keeps(root, charge):
    spare = ServiceIdentifierFactory()
    address = reverse("admin:rating_serviceidentifier_delete", args=[spare.pk])
    assert "so it stays" not in root.get(address).content.decode()
    assert ServiceIdentifier.objects.filter(pk=spare.pk).exists()
    assert root.post(address, {"post": "yes"}).status_code == 302
    assert not ServiceIdentifier.objects.filter(pk=spare.pk).exists()


def test_chosen_rows_are_deleted_together_or_the_reason_is_said(root, charge):
    ServiceIdentifierFactory()
    chosen = list(ServiceIdentifier.objects.values_list("pk", flat=True))
    said = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    page = root.post(reverse("admin:rating_serviceidentifier_changelist"), said)
    assert "charges name identifier" in page.content.decode()
    assert ServiceIdentifier.objects.count() == 2


def test_services_are_not_deleted_from_the_page_of_their_account(root, charge):
    page = root.get(reverse("admin:rating_account_change", args=[charge.account_id])).content.decode()
    assert "services-0-name" in page
    assert "services-0-DELETE" not in page
