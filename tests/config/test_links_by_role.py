"""No role is shown a link that it may not follow."""

import re
from html import unescape
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest

from tests.config.addresses import browser_of
from tests.config.crowd import crowd
from tests.config.test_roles import somebody

HOUSE = "http://testserver"
LINK = re.compile(r'<a\b[^>]*\bhref="([^"]+)"')


def links_of(answer, address):
    """Where a page leads to inside of the admin."""
    if answer.status_code in (301, 302):
        found = [answer["Location"]]
    elif answer.streaming or not answer["Content-Type"].startswith("text/html"):
        found = []
    else:
        found = LINK.findall(answer.content.decode())
    whole = (urldefrag(urljoin(f"{HOUSE}{address}", unescape(one))).url for one in found)
    return [one.removeprefix(HOUSE) for one in whole if one.startswith(f"{HOUSE}/admin/")]


def kind(address):
    """One of each kind of page is opened: numbers and filters do not count."""
    return re.sub(r"\d+", "", urlsplit(address).path)


@pytest.mark.django_db
@pytest.mark.parametrize("letter", "BOFon")
def test_whatever_a_role_is_led_to_opens(letter):
    """By every link from the front page on, a page of each kind."""
    crowd(1, 1)
    client = browser_of(somebody(letter))
    known, waiting, refused = {kind("/admin/")}, [("/admin/", "")], []
    while waiting:
        address, shown_on = waiting.pop()
        answer = client.get(address)
        if answer.status_code == 403:
            refused.append((address, shown_on))
            continue
        for one in links_of(answer, address):
            if kind(one) not in known and "/logout/" not in one:
                known.add(kind(one))
                waiting.append((one, address))
    assert refused == []
