"""One request to one webhook: where it may go, how long it may take, and how it is signed."""

import json
import socket
import time
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
from standardwebhooks import Webhook

from config.webhooks import addresses
from config.webhooks.addresses import UnableToReach, read_networks, resolve
from config.webhooks.sending import post
from config.webhooks.signing import new_salt, secret_of, signed_headers
from tests.config.receiver import receiving

HERE = (ip_network("127.0.0.0/8"),)


def leads_to(monkeypatch, *ips):
    """Let every name lead to these addresses."""
    rows = [(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443)) for ip in ips]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *args, **more: rows)


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1",
        "10.0.0.5",
        "172.16.4.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - nothing binds to it
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.5",
        "64:ff9b::a00:5",
        "2002:a00:5::1",
    ],
)
def test_what_is_not_on_the_open_internet_is_refused(monkeypatch, ip):
    leads_to(monkeypatch, "93.184.216.34", ip)
    with pytest.raises(UnableToReach, match="not on the open internet"):
        resolve("https://innocent.example/hook", ())


def test_a_public_address_is_connected_to_as_it_was_checked(monkeypatch):
    leads_to(monkeypatch, "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946")
    target = resolve("https://innocent.example:8443/hook?x=1", ())
    assert target.addresses == ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946")
    assert (target.host_header, target.path) == ("innocent.example:8443", "/hook?x=1")


def test_a_network_that_is_allowed_is_reached_even_without_encryption(monkeypatch):
    leads_to(monkeypatch, "10.1.2.3")
    assert resolve("http://inside.example/hook", read_networks("10.1.0.0/16, fd00::/8")).port == 80
    leads_to(monkeypatch, "10.2.2.3")
    with pytest.raises(UnableToReach):
        resolve("http://inside.example/hook", read_networks("10.1.0.0/16"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://innocent.example/hook", "https"),
        ("ftp://innocent.example/hook", "https"),
        ("https:///hook", "names a host"),
        ("https://user:word@innocent.example/", "passwords"),
        ("https://innocent.example/#x", "#"),
        ("https://innocent.example/a b", "spaces"),
        ("https://innocent.example/a\r\nX: y", "spaces"),
        ("https://innocent.example:99999/", "no address"),
        ("https://innocent.example/ä", "%XX"),
    ],
)
def test_an_address_that_cannot_be_sent_to_says_why(monkeypatch, url, said):
    leads_to(monkeypatch, "93.184.216.34")
    with pytest.raises(UnableToReach, match=said):
        resolve(url, ())


def test_a_name_that_leads_nowhere_is_refused(monkeypatch):
    def fail(*args, **more):
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", fail)
    with pytest.raises(UnableToReach, match="leads nowhere"):
        resolve("https://nobody.example/", ())


def test_networks_are_read_and_nonsense_is_named():
    assert read_networks("") == ()
    with pytest.raises(ValueError, match=r"10\.1\.0\.0/16"):
        read_networks("10.0.0.1/8")


def test_what_is_sent_arrives_with_the_name_and_the_path():
    with receiving() as receiver:
        answer = post(receiver.url, '{"ä":1}', {"webhook-id": "evt_1"}, allowed=HERE)
    headers, body = receiver.got[0]
    assert (answer.status, answer.text, answer.error, answer.is_taken) == (200, "taken", "", True)
    assert body == '{"ä":1}'
    assert headers["webhook-id"] == "evt_1"
    assert headers["Host"] == receiver.url.split("/")[2]
    assert headers["Content-Type"] == "application/json"


def test_without_leave_nothing_is_sent_to_this_machine():
    with receiving() as receiver:
        answer = post(receiver.url, "{}", {}, allowed=())
    assert answer.status is None
    assert "open internet" in answer.error
    assert receiver.got == []


def test_a_redirect_is_not_followed():
    with receiving() as aim, receiving(302, headers={"Location": aim.url}) as receiver:
        answer = post(receiver.url, "{}", {}, allowed=HERE)
    assert (answer.status, answer.is_taken) == (302, False)
    assert "not followed" in answer.error
    assert aim.got == []


def test_who_does_not_answer_in_time_has_not_taken_it():
    with receiving(late=3) as receiver:
        began = time.monotonic()
        answer = post(receiver.url, "{}", {}, allowed=HERE, timeout=0.5)
        assert time.monotonic() - began < 2
    assert (answer.status, answer.is_taken, answer.error) == (None, False, "no answer within 0.5 s")


def test_an_answer_that_comes_byte_by_byte_is_cut_off_at_the_time_out():
    with receiving(answer=b"x" * 100, slowly=0.2) as receiver:
        began = time.monotonic()
        answer = post(receiver.url, "{}", {}, allowed=HERE, timeout=1.0)
        assert time.monotonic() - began < 3
    assert (answer.status, answer.text.strip("x")) == (200, "")
    assert len(answer.text) < 100


def test_of_a_long_answer_the_first_thousand_characters_are_kept():
    with receiving(500, answer=b"no\0" + b"x" * 5_000) as receiver:
        answer = post(receiver.url, "{}", {}, allowed=HERE)
    assert (answer.status, len(answer.text), answer.text[:3]) == (500, 1_000, "no␀")


def test_a_closed_door_is_an_answer_without_a_status():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        answer = post(f"http://127.0.0.1:{held.getsockname()[1]}/", "{}", {}, allowed=HERE)
    assert answer.status is None
    assert "ConnectionRefusedError" in answer.error


def test_both_secrets_sign_while_one_takes_the_others_place():
    old, new = (secret_of(new_salt(), "house") for _ in range(2))
    body, at = json.dumps({"type": "test"}), datetime.now(UTC)
    headers = signed_headers(message_id="evt_1", at=at, body=body, signing=[new, old])
    for secret in (old, new):
        assert Webhook(secret).verify(body, headers) == {"type": "test"}


def test_a_secret_depends_on_the_houses_own():
    salt = new_salt()
    assert secret_of(salt, "one") != secret_of(salt, "another")
    assert secret_of(salt, "one").startswith("whsec_")
