"""A group of rating exceptions mended at its source: an identifier given to a service; the way to the rest."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from rating import services
from rating.admin.groups import group_of, group_url
from rating.models import Account, Charge, ExceptionRerate, RatingException, ServiceIdentifier
from tests.mediation.people import user_who_may
from tests.rating.factories import (
    MAY,
    NOW,
    RateFactory,
    ServiceFactory,
    ServiceIdentifierFactory,
    UsageClassFactory,
    subscriber,
    waiting,
)

pytestmark = pytest.mark.django_db


def refused(*udrs):
    waiting(*udrs)
    services.rate_batches(now=NOW)
    return RatingException.objects.filter(status="open")


def unowned(identifier="555", **udr):
    rate = RateFactory()
    return rate, refused({"usage_class": rate.usage_class, "identifier": identifier, **udr})


def page_of(rows, **query):
    address = group_url(group_of(rows.first()), "fix_usage")
    return address + "".join(f"&{name}={value}" for name, value in query.items())


def test_a_service_is_found_and_given_the_identifier_and_the_group_is_charged(admin_client):
    rate, rows = unowned()
    service = ServiceFactory(name="line 7")
    ServiceFactory(name="other")
    Account.objects.filter(pk=service.account_id).update(rate_plan=rate.group.plan)
    assert 'name="q"' in admin_client.get(page_of(rows)).content.decode()
    page = admin_client.get(page_of(rows, q="line")).content.decode()
    assert "1 service found" in page
    assert 'value="555"' in page
    assert "other of" not in page
    answers = {"mend": "identifier", "service": service.pk, "identifier": "555", "starts_at": "2026-05-01 00:00:00"}
    answer = admin_client.post(page_of(rows, q="line"), answers, follow=True)
    assert answer.redirect_chain[0][0] == group_url(group_of(RatingException.objects.get()))
    assert "1 UDR will be rated again" in answer.content.decode()
    assert ServiceIdentifier.objects.get().service == service
    services.rerate_asked(now=NOW)
    assert Charge.objects.count() == 1


def test_the_first_usage_of_the_group_is_offered_as_the_start(admin_client):
    usage_class = UsageClassFactory()
    rows = refused(
        *({"usage_class": usage_class, "identifier": "555", "date": MAY + timedelta(days=n)} for n in (3, 0, 9))
    )
    ServiceFactory(name="line 7")
    page = admin_client.get(page_of(rows, q="line")).content.decode()
    assert MAY.strftime("%Y-%m-%d") in page


def test_an_identifier_that_another_service_has_is_refused_by_name(admin_client):
    _, rows = unowned(date=MAY)
    held = ServiceIdentifierFactory(identifier="555", starts_at=MAY + timedelta(days=3), service__name="holder")
    service = ServiceFactory(name="line 7")
    answers = {"mend": "identifier", "service": service.pk, "identifier": "555", "starts_at": "2026-05-01 00:00:00"}
    text = admin_client.post(page_of(rows, q="line"), answers).content.decode()
    assert "belongs to service holder" in text
    assert list(ServiceIdentifier.objects.all()) == [held]
    assert not ExceptionRerate.objects.exists()


def test_who_had_it_before_and_after_is_told(admin_client):
    rate = RateFactory()
    ServiceIdentifierFactory(identifier="555", starts_at=MAY + timedelta(days=3), service__name="holder")
    rows = refused({"usage_class": rate.usage_class, "identifier": "555", "date": MAY})
    assert rows.get().cause == "identifier_not_valid_at_date"
    text = admin_client.get(page_of(rows)).content.decode()
    assert "holder of" in text
    assert "had it from" in text


def test_a_missing_rate_leads_to_the_plan_with_what_it_lacks(admin_client):
    rate = RateFactory()
    owner = subscriber(rate.group.plan)
    rows = refused({"usage_class": UsageClassFactory(name="video"), "identifier": owner.identifier})
    text = admin_client.get(page_of(rows)).content.decode()
    assert reverse("admin:rating_planversion_add") in text
    assert "&quot;usage_class&quot;: &quot;video&quot;" in text


def test_a_missing_plan_leads_to_account_and_service(admin_client):
    rate = RateFactory()
    owner = subscriber()
    rows = refused({"usage_class": rate.usage_class, "identifier": owner.identifier})
    text = admin_client.get(page_of(rows)).content.decode()
    assert reverse("admin:rating_account_change", args=[owner.service.account_id]) in text
    assert reverse("admin:rating_service_change", args=[owner.service_id]) in text


def test_a_final_bill_leads_to_its_account(admin_client):
    rate = RateFactory()
    owner = subscriber(rate.group.plan, closed_at=MAY)
    rows = refused({"usage_class": rate.usage_class, "identifier": owner.identifier})
    assert rows.get().cause == "final_bill_issued"
    text = admin_client.get(page_of(rows)).content.decode()
    assert reverse("admin:rating_account_change", args=[owner.service.account_id]) in text


def test_usage_without_an_identifier_offers_no_service(admin_client):
    _, rows = unowned(None)
    assert 'name="q" id' not in admin_client.get(page_of(rows)).content.decode()


def signed_in(client, *permissions):
    user = user_who_may("rating.view_ratingexception", *permissions)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(user)
    return user


def test_what_somebody_may_not_do_is_neither_shown_nor_done(client):
    _, rows = unowned()
    signed_in(client)
    assert client.get(page_of(rows)).status_code == 403
    assert "Fix it at the source" not in client.get(group_url(group_of(rows.first()))).content.decode()
    signed_in(client, "rating.rerate_ratingexception")
    assert "Give the identifier" not in client.get(page_of(rows)).content.decode()
    service = ServiceFactory(name="line 7")
    answers = {"mend": "identifier", "service": service.pk, "identifier": "555", "starts_at": "2026-05-01 00:00:00"}
    assert client.post(page_of(rows, q="line"), answers).status_code == 403
    assert not ServiceIdentifier.objects.exists()


def test_groups_of_other_feeds_are_not_found(client):
    _, rows = unowned()
    user = signed_in(client, "rating.rerate_ratingexception", "rating.add_serviceidentifier")
    user.user_permissions.remove(*user.user_permissions.filter(codename="every_feed"))
    assert client.get(page_of(rows)).status_code == 404


def test_the_group_leads_here(admin_client):
    _, rows = unowned()
    assert "Fix it at the source" in admin_client.get(group_url(group_of(rows.first()))).content.decode()
