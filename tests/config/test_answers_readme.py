"""The examples of answers in the roof's README are what is answered."""

import json
import re
from pathlib import Path

import pytest

from ingestion.models import Feed
from tests.config.test_identifier_lookup import looked_up
from tests.config.test_import_records import feed, rated, records
from tests.ingestion.factories import posted

__all__ = ["feed"]
pytestmark = pytest.mark.django_db
README = (Path(__file__).parents[2] / "config" / "README.md").read_text()
EXAMPLES = {
    name: json.loads(block)
    for name, block in re.findall(r"^```json (records|lookup)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
}
NUMBERS = ("id", "ids")


def alike(said, told, name=""):
    """Whether an answer is the example, but for numbers of rows and for texts that the example leaves out."""
    if isinstance(said, dict):
        return list(said) == list(told) and all(alike(value, told[key], key) for key, value in said.items())
    if isinstance(said, list):
        return len(said) == len(told) and all(alike(one, other, name) for one, other in zip(said, told, strict=True))
    if said == "…" or (isinstance(said, int) and name.endswith(NUMBERS)):
        return isinstance(told, type(said))
    return said == told


@pytest.fixture
def sent(feed):
    Feed.objects.update(api_name="calls")
    feed.refresh_from_db()
    request = re.search(r"^Of the request `(.*)`:$", README, re.MULTILINE)[1]
    received = posted(feed, *json.loads(request)["data"])
    rated()
    return received


def test_records_of_an_import_are_told_as_the_readme_says(sent):
    assert alike(EXAMPLES["records"], records(sent))


def test_keys_are_looked_up_as_the_readme_says(sent):
    assert alike(EXAMPLES["lookup"], looked_up(sent.feed, "e1", "e2", "e9"))


def test_an_answer_that_the_readme_does_not_say_is_seen():
    assert not alike({"outcome": "imported"}, {"outcome": "skipped"})
    assert not alike({"udr_ids": [1]}, {"udr_ids": ["1"]})
