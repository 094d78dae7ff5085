"""The brake on guessing passwords, at the page to sign in and as a service of many processes."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import close_old_connections, connection
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config import tasks
from config.access import braking
from config.dashboard import noticing
from config.models import AuditEntry, LoginTries
from tests.config.crowd import do

pytestmark = pytest.mark.django_db

RIGHT = "correct horse battery"
HERE, THERE = "203.0.113.7", "198.51.100.9"


@pytest.fixture
def anna():
    return User.objects.create_user("anna", password=RIGHT, is_staff=True)


def signs_in(password, name="anna", address=HERE, client=None):
    client = client or Client()
    return client.post(reverse("admin:login"), {"username": name, "password": password}, REMOTE_ADDR=address)


def fail(times, **who):
    return [signs_in("wrong", **who).status_code for _ in range(times)]


def pass_by(seconds):
    """Let so much time be over for all that was tried."""
    by = timedelta(seconds=seconds)
    LoginTries.objects.update(failed_at=F("failed_at") - by, closed_until=F("closed_until") - by)


def test_after_five_wrong_passwords_the_next_is_not_looked_at_though_it_is_right(anna):
    assert fail(6) == [200] * 5 + [429]
    refused = signs_in(RIGHT)
    assert (refused.status_code, refused["Retry-After"]) == (429, "5")
    assert "wait 5 seconds, and try again" in refused.content.decode()
    pass_by(5)
    assert signs_in(RIGHT).status_code == 302


def test_each_further_wrong_password_doubles_the_gap_to_five_minutes_at_most(anna):
    fail(5)
    gaps = []
    for _ in range(8):
        gaps.append(int(signs_in("wrong")["Retry-After"]))
        pass_by(gaps[-1])
        braking.take_try(name="anna", address=HERE)
    assert gaps == [5, 10, 20, 40, 80, 160, 300, 300]


def test_names_that_nobody_has_are_answered_alike(anna):
    told = {}
    for name in ("anna", "nobody"):
        fail(5, name=name)
        answer = signs_in("wrong", name=name)
        words = answer.content.decode().partition('class="errornote"')[2].partition("</p>")[0]
        told[name] = (answer.status_code, answer["Retry-After"], words)
    assert told["anna"] == told["nobody"]


def test_who_is_not_staff_is_counted_as_wrong_with_the_right_password_too(anna):
    User.objects.create_user("source", password=RIGHT)
    assert [signs_in(RIGHT, name="source").status_code for _ in range(6)] == [200] * 5 + [429]


def test_a_right_password_clears_ones_own_count(anna):
    fail(4)
    assert signs_in(RIGHT).status_code == 302
    assert fail(5) == [200] * 5
    assert LoginTries.objects.get(kind="name").failures == 9


def test_others_do_not_hold_up_a_browser_in_which_one_was_signed_in_before(anna):
    client = Client()
    assert signs_in(RIGHT, client=client).status_code == 302
    client.cookies.pop("sessionid")
    fail(6)
    assert signs_in(RIGHT, client=client).status_code == 302
    assert signs_in(RIGHT).status_code == 429


def test_a_browser_that_is_known_has_a_brake_of_its_own(anna):
    client = Client()
    signs_in(RIGHT, client=client)
    client.cookies.pop("sessionid")
    assert fail(6, client=client) == [200] * 5 + [429]
    assert fail(1, name="berta", client=client) == [200]


def test_from_elsewhere_a_name_closes_for_a_minute_at_most(anna):
    for number in range(40):
        braking.take_try(name="anna", address=f"10.0.{number}.1")
        pass_by(60)
    LoginTries.objects.filter(kind="name").update(closed_until=None)
    assert fail(1, address=THERE) == [200]
    assert int(signs_in(RIGHT, address=THERE)["Retry-After"]) == 60


def test_many_names_from_one_address_are_slowed_by_seconds():
    for number in range(100):
        braking.take_try(name=f"name-{number}", address=HERE)
    assert signs_in("wrong", name="another")["Retry-After"] == "1"
    assert fail(1, name="another", address=THERE) == [200]


def test_an_address_of_ipv6_is_as_wide_as_its_network(anna):
    assert [fail(1, address=f"2001:db8::{number}")[0] for number in range(1, 7)] == [200] * 5 + [429]
    assert fail(1, address="2001:db8:0:1::1") == [200]


def test_a_forged_cookie_proves_nothing(anna):
    fail(6)
    client = Client()
    client.cookies["sluice_browser"] = "WyJ4IiwieSJd:1vAbCd:forged"
    assert fail(1, client=client) == [429]


def test_what_was_tried_a_day_ago_counts_no_more(anna):
    fail(5)
    pass_by(25 * 3600)
    assert fail(5) == [200] * 5
    pass_by(25 * 3600)
    tasks.expire_login_tries()
    assert not LoginTries.objects.exists()


def test_a_clock_that_was_put_back_closes_nothing(anna):
    fail(5)
    pass_by(-3600)
    assert signs_in(RIGHT).status_code == 302


def test_a_superuser_lets_in_again_and_nobody_else(anna, admin_client):
    fail(6)
    do(admin_client, "auth_user", "let_in_again", anna.pk)
    assert signs_in(RIGHT).status_code == 302
    with pytest.raises(braking.PermissionDenied):
        braking.let_in_again(people=User.objects.all(), by=anna)


def test_the_audit_tells_of_a_brake_once_and_who_took_it_off(anna, admin_client, admin_user):
    fail(5)
    for _ in range(3):
        pass_by(300)
        fail(1)
    do(admin_client, "auth_user", "let_in_again", anna.pk)
    entries = AuditEntry.objects.filter(table_name="config_logintries", owner_id=str(anna.pk)).order_by("pk")
    assert [(one.actor_name, one.after["braked_since"] is None) for one in entries] == [
        ("the house", False),
        (admin_user.username, True),
    ]
    assert "wrong" not in str(list(entries.values()))


def test_a_notice_tells_whose_password_is_guessed_and_from_where(anna):
    fail(5)
    pass_by(10)
    fail(1)
    [finding] = noticing.of_logins(timezone.now())
    assert finding.text == f"Wrong passwords for anna, last from {HERE}. Further tries have to wait."
    pass_by(3700)
    assert noticing.of_logins(timezone.now()) == []


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_many_tries_at_once_are_no_way_around():
    """Each is counted before its password is looked at, whichever process it came to."""
    taken, refused = [], []

    def run():
        try:
            taken.append(braking.take_try(name="anna", address=HERE))
        except braking.UnableToSignIn as refusal:
            refused.append(refusal.seconds)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close_old_connections()
    assert (len(taken), len(refused)) == (5, 15)
