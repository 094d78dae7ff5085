"""The brake on guessing passwords, at the page to sign in and as a service of many processes."""

import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.db import close_old_connections, connection
from django.test import Client
from django.urls import reverse

from config import tasks
from config.access import braking
from config.access.authentication import address_of
from config.dashboard import noticing
from config.models import AuditEntry, LoginTries
from config.webhooks.addresses import read_networks
from tests.config.crowd import do

pytestmark = pytest.mark.django_db

RIGHT = "correct horse battery"
HERE, THERE = "203.0.113.7", "198.51.100.9"
NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)
CLOCK = SimpleNamespace(now=NOON)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The database's clock stands still until a test lets time pass by."""
    CLOCK.now = NOON
    monkeypatch.setattr(braking, "_now", lambda: CLOCK.now)


@pytest.fixture
def anna():
    return User.objects.create_user("anna", password=RIGHT, is_staff=True)


def signs_in(password, name="anna", address=HERE, client=None, **headers):
    client = client or Client()
    told = {"username": name, "password": password}
    return client.post(reverse("admin:login"), told, REMOTE_ADDR=address, headers=headers)


def fail(times, **who):
    return [signs_in("wrong", **who).status_code for _ in range(times)]


def pass_by(seconds):
    CLOCK.now += timedelta(seconds=seconds)


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


def test_who_is_let_in_again_is_held_up_by_his_address_no_more(anna, admin_client):
    for number in range(110):
        braking.take_try(name=f"name-{number}", address=HERE)
        pass_by(10)
    fail(1, name="another")
    assert signs_in(RIGHT).status_code == 429
    do(admin_client, "auth_user", "let_in_again", anna.pk)
    assert signs_in(RIGHT).status_code == 302


def test_somebody_made_after_tries_in_his_name_is_let_in_again_too(admin_client):
    fail(5)
    anna = User.objects.create_user("anna", password=RIGHT, is_staff=True)
    assert signs_in(RIGHT).status_code == 429
    pass_by(5)
    fail(1)
    do(admin_client, "auth_user", "let_in_again", anna.pk)
    assert signs_in(RIGHT).status_code == 302


def test_right_passwords_keep_no_old_count_alive(anna):
    for number in range(101):
        braking.take_try(name=f"name-{number}", address=HERE)
        pass_by(2)
    for _ in range(3):
        assert signs_in(RIGHT).status_code == 302
        assert LoginTries.objects.get(kind="address").failures == 101
        pass_by(11 * 3600)
    assert noticing.of_logins(CLOCK.now) == []
    assert signs_in(RIGHT).status_code == 302
    assert LoginTries.objects.get(kind="address").failures == 0


def test_a_try_that_was_right_takes_no_wrong_one_back_that_came_meanwhile(anna):
    for _ in range(21):
        braking.take_try(name="anna", address=THERE)
        pass_by(300)
    right = braking.take_try(name="anna", address=HERE)
    pass_by(60)
    braking.take_try(name="anna", address=THERE)
    braking.was_right(right)
    row = LoginTries.objects.get(kind="name")
    assert (row.failures, row.failed_at, row.address) == (22, CLOCK.now, THERE)
    assert row.closed_until > CLOCK.now


def test_a_second_try_that_waited_for_the_first_finds_its_rows(anna):
    tried = braking.take_try(name="anna", address=HERE)
    braking.was_right(tried)
    assert LoginTries.objects.filter(pk__in=[one.pk for one in tried]).count() == len(tried)
    LoginTries.objects.all().delete()
    braking.was_right(tried)


PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("came", "told", "address"),
    [
        (HERE, None, HERE),
        (HERE, THERE, HERE),
        (PROXY, None, PROXY),
        (PROXY, HERE, HERE),
        (PROXY, f"{THERE}, {HERE}", HERE),
        (PROXY, f"{THERE}, {HERE}, 10.0.0.2", HERE),
        (PROXY, f"{THERE}, forged", PROXY),
        (PROXY, "10.0.0.3", "10.0.0.3"),
        (f"::ffff:{PROXY}", f"::ffff:{HERE}", HERE),
        (PROXY, "fe80::1%eth0", "fe80::1"),
        ("", HERE, None),
    ],
)
def test_the_sender_is_who_our_proxies_say_and_nobody_else(settings, came, told, address):
    settings.PROXIES = read_networks("10.0.0.0/24")
    headers = {"REMOTE_ADDR": came} | ({} if told is None else {"HTTP_X_FORWARDED_FOR": told})
    assert address_of(headers) == address


def test_behind_a_named_proxy_a_stranger_holds_up_nobody_elsewhere(anna, settings):
    settings.PROXIES = read_networks("10.0.0.0/24")
    assert fail(6, address=PROXY, **{"x-forwarded-for": THERE}) == [200] * 5 + [429]
    assert signs_in(RIGHT, address=PROXY, **{"x-forwarded-for": HERE}).status_code == 302


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
    [finding] = noticing.of_logins(CLOCK.now)
    assert finding.text == f"Wrong passwords for anna, last from {HERE}. Further tries have to wait."
    pass_by(3700)
    assert noticing.of_logins(CLOCK.now) == []


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
