"""The docs that are served: every operation and code in words, without a script; and a page to try them."""

import re

import pytest

from config.describing.document import document
from mediation.api.codes import CODES, FAULTS

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client):
    return client.get("/api/docs")


def test_every_operation_and_every_code_is_told(page):
    told = page.content.decode()
    operations = [said for methods in document()["paths"].values() for said in methods.values()]
    assert len(operations) > 40
    assert [one["operationId"] for one in operations if f'id="{one["operationId"]}"' not in told] == []
    assert [name for name in {**CODES, **FAULTS} if f"<code>{name}</code>" not in told] == []
    leads = set(re.findall(r'href="#([^"]+)"', told))
    assert leads <= set(re.findall(r'id="([^"]+)"', told))


def test_what_is_marked_as_code_is_shown_so(page):
    prose = re.sub(r"<pre.*?</pre>", "", page.content.decode(), flags=re.DOTALL)
    assert "<code>Content-Encoding: gzip</code>" in prose
    assert "`" not in prose


def test_the_docs_need_no_script_and_nothing_from_elsewhere(page, client):
    assert "<script" not in page.content.decode()
    for address in ("/api/docs", "/api/docs/try"):
        answer = client.get(address)
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert re.findall(r'(?:src|href)="(?:https?:)?//', answer.content.decode()) == []
