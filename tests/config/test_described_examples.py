"""Every example of the API's document is sent here, and answered as the document says.

`SLUICE_WRITE_EXAMPLES=1` writes them anew from what is answered.
"""

import json
import os
import re
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from knox.models import AuthToken
from rest_framework.test import APIClient

from config import samples
from config.describing.document import document
from config.describing.examples import FILE, examples
from rating import services as rating
from tests.ingestion.factories import work

MAY = datetime(2026, 5, 20, 12, tzinfo=UTC)
ROW = "2026-05-01T10:00:00,Unknown,4038670001,4038670002,648-688-4180,90,False,False,voice,Voice_1,"
BAD = ROW.replace("05-01", "02-30")
EVENT = {
    "Date": "2026-05-02T08:30:00Z",
    "UdrIdentifierTypeName": "Unknown",
    "OriginatingIdentifier": "acct-100041",
    "TerminatingIdentifier": "GET /weather",
    "UdrUsageIdentifier": "event-1",
    "Value": 3,
    "Inbound": False,
    "UsageClassName": "API Requests",
    "UsageClassTypeName": "Requests",
}
# Operation, name, method and path, body; {…} stands for what an earlier answer named so. "work": what waits is done.
STORY = [
    ("send_usage", "Rows", "POST feeds/rows/usage", {"data": [ROW, BAD]}),
    ("send_usage", "Events", "POST feeds/events/usage", {"data": [EVENT]}),
    ("send_usage", "Nothing in it", "POST feeds/rows/usage", {"data": []}),
    ("send_usage", "A feed that is not there", "POST feeds/nowhere/usage", {"data": [ROW]}),
    "work",
    ("list_imports", "The latest", "GET imports?page_size=5", None),
    ("list_imports", "A filter that is misspelled", "GET imports?statsu=failed", None),
    ("get_an_import", "Events", "GET imports/{tracking_id}", None),
    ("list_the_records_of_an_import", "Imported", "GET imports/{tracking_id}/records?outcome=imported", None),
    (
        "look_up_usage_by_its_keys",
        "Two keys",
        "POST usage-identifiers/lookup",
        {"feed": "events", "keys": ["event-1", "x"]},
    ),
    ("list_exceptions", "Bad dates", "GET exceptions?code=bad_date", None),
    (
        "correct_an_exception",
        "Another text",
        "POST exceptions/{exception}/correct",
        {"raw": ROW.replace("10:00", "11:00"), "reason": "the switch's clock"},
    ),
    ("list_udrs", "Of one class", "GET udrs?usage_class=voice", None),
    ("list_charges", "Of one account", "GET charges?account=100041", None),
    ("sum_up_usage", "Of one account", "GET usage-summary?account=100041", None),
    ("get_an_account_s_usage", "Of May", "GET accounts/100041/usage?from=2026-05-01&to=2026-05-31", None),
    ("void_usage", "One key", "POST feeds/events/usage/void", {"keys": ["event-1"], "reason": "a test call"}),
    ("ask_for_a_rerate", "Of one account", "POST rerates", {"account": "100041", "reason": "a new price"}),
]
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
NUMBER = re.compile(r'("(?:(?:\w+_)?ids?|period)": \[?|/rerates/|/exceptions/)\d+')


class Plain:
    """Makes what differs from run to run the same: numbers of rows, tracking ids, moments of arrival, our address."""

    def __init__(self):
        self.known = {}

    def __call__(self, answer):
        text = json.dumps(answer, ensure_ascii=False)
        text = UUID.sub(self._named, text)
        text = NUMBER.sub(r"\g<1>1", text)
        text = MOMENT.sub("2026-05-20T12:00:00.000000Z", text)
        return json.loads(text.replace("http://testserver/", "https://sluice.example/"))

    def _named(self, found):
        return self.known.setdefault(found[0], f"00000000-0000-4000-8000-{len(self.known) + 1:012d}")


@pytest.fixture
def client():
    samples.load_configuration(now=MAY)
    robot = User.objects.create_user(username="robot", is_superuser=True)
    return APIClient(headers={"Authorization": f"Token {AuthToken.objects.create(user=robot)[1]}"})


def told(client):
    """The story as it goes now, by operation."""
    plain, named, found = Plain(), {}, {}
    for step in STORY:
        if step == "work":
            work(datetime.now(UTC))
            while rating.rate_batches(now=datetime.now(UTC)):
                pass
            continue
        operation, name, request, body = step
        method, path = request.format_map(named).split(" ", 1)
        answer = client.generic(method, f"/api/v1/{path}", json.dumps(body) if body else "", "application/json")
        document_ = answer.json()
        named |= {"tracking_id": document_["tracking_id"]} if "tracking_id" in document_ else {}
        if operation == "list_exceptions":
            named["exception"] = document_["results"][0]["id"]
        one = {"name": name, "path": plain(f"/api/v1/{path}"), "status": answer.status_code, "answer": plain(document_)}
        found.setdefault(operation, []).append(one | ({"body": body} if body else {}))
    return found


@pytest.mark.django_db
def test_every_example_of_the_document_is_answered_as_it_says(client):
    found = told(client)
    if os.environ.get("SLUICE_WRITE_EXAMPLES"):
        FILE.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
        examples.cache_clear()
    assert found == examples()


def test_every_example_is_in_the_document():
    by_name = {one["operationId"]: one for methods in document()["paths"].values() for one in methods.values()}
    for operation, told_ in examples().items():
        for one in told_:
            content = by_name[operation]["responses"][str(one["status"])]["content"]
            shown = [each["value"] for form in content.values() for each in form.get("examples", {}).values()]
            assert one["answer"] in shown
