"""The docs that are served: every operation and code in words, without a script; and a page to try them."""

import re
from html import unescape

import pytest

from config.describing.document import document
from config.describing.examples import examples
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


def test_every_example_is_shown_as_it_goes_over_the_wire(page):
    told = unescape(page.content.decode())
    every = [one for told_ in examples().values() for one in told_]
    assert [one["name"] for one in every if f'<pre tabindex="0">{one["method"]} {one["path"]}' not in told] == []
    assert "Content-Type: text/csv\n\n2026-05-01T10:00:00,Unknown," in told
    assert 'DELETE /api/v1/feeds/rows/files/june.csv</pre>\n        <pre tabindex="0">204</pre>' in told
    assert told.count("<details open>\n        <summary>") == len(examples())


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
