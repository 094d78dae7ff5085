"""Addresses of the admin that hold what no text of the database can: refused, and no crash."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "address",
    [
        *("mediation/dataprofile/%00/history/", "mediation/bell/%00/change/", "mediation/bell/?pk=%00"),
        *("mediation/lookuptable/?kind__exact=%00", "ingestion/backfill/?status=a%00b"),
    ],
)
def test_an_address_with_a_nul_character_is_refused(address):
    client = Client(raise_request_exception=False)
    assert client.get(f"/admin/{address}").status_code == 302
    client.force_login(User.objects.create_superuser("operator"))
    assert client.get(f"/admin/{address}").status_code == 400


@pytest.mark.parametrize("number", ["9" * 5_000, "1e999999999", "٣" * 30])
def test_a_number_that_is_none_leads_nowhere(number):
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("operator"))
    for address in (f"mediation/dataprofile/{number}/change/", f"mediation/dataprofile/?id__exact={number}"):
        assert client.get(f"/admin/{address}").status_code < 500
