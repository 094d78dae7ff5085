"""Did you get these? Keys of a feed with what became of each, for those who may see the feed."""

import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from ingestion.models import ImportException
from mediation.models import Udr, VoidedUdr
from rating.models import Charge
from tests.config.test_import_records import VIEWER, client_of, feed, rated
from tests.ingestion.factories import NOW, event, feed_of, posted, user_with, work

__all__ = ["feed"]
pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/usage-identifiers/lookup"


def looked_up(feed, *keys, client=None):
    answer = (client or client_of(*VIEWER)).post(ADDRESS, {"feed": feed.api_name, "keys": list(keys)})
    assert answer.status_code == 200, answer.content
    return answer.json()


def outcomes(feed, *keys, **options):
    return [(row["key"], row["outcome"]) for row in looked_up(feed, *keys, **options)["results"]]


def test_keys_are_told_with_what_became_of_them(feed):
    sent = posted(feed, event("e1"), event("e2", "ten"), event("nobody"))
    rated()
    told = looked_up(feed, "e1", "e2", "nobody", "e9")
    charged, refused, kept_back, unknown = told["results"]
    udr = Udr.objects.get(record_number=1)
    assert charged == {
        "key": "e1",
        "outcome": "imported",
        "udr_id": udr.pk,
        "tracking_id": str(sent.tracking_id),
        "record_number": 1,
        "rating": "charged",
        "charge_ids": [Charge.objects.get().pk],
        "exception_ids": [],
    }
    assert (refused["outcome"], refused["exception_ids"]) == ("exception", [ImportException.objects.get().pk])
    assert (kept_back["outcome"], kept_back["rating"]) == ("imported", "exception")
    assert (unknown["outcome"], unknown["udr_id"]) == ("not_seen", None)
    assert (told["is_under_way"], told["has_more_exceptions"]) == (False, False)


def test_keys_may_be_in_usage_that_is_not_mediated_yet(feed):
    posted(feed, event("e1"))
    told = looked_up(feed, "e1")
    assert (told["results"][0]["outcome"], told["is_under_way"]) == ("not_seen", True)


def test_a_key_is_found_in_an_exception_as_a_word_only(feed):
    posted(feed, event("e1.5", "ten"), event("e17", "ten"))
    work()
    assert outcomes(feed, "e1", "e17", "1.5", "7") == [
        ("e1", "exception"),
        ("e17", "exception"),
        ("1.5", "not_seen"),
        ("7", "not_seen"),
    ]


def test_keys_come_back_as_they_were_asked_for_also_twice(feed):
    posted(feed, event("e1"))
    work()
    assert [key for key, _ in outcomes(feed, "e2", "e1", "e2")] == ["e2", "e1", "e2"]


def test_a_voided_key_says_so_until_it_is_sent_again(feed):
    sent = posted(feed, event("e1"))
    work()
    udr = Udr.objects.get()
    VoidedUdr.objects.create(
        pk=udr.pk,
        udr_date=udr.date,
        feed_id=feed.pk,
        key="e5",
        import_id=sent.pk,
        record_number=1,
        requested_at=NOW,
        request_id=sent.tracking_id,
        voided_at=NOW,
        reason="sent in error",
    )
    assert outcomes(feed, "e5") == [("e5", "voided")]
    posted(feed, event("e5"))
    work()
    assert outcomes(feed, "e5") == [("e5", "imported")]


def test_a_key_of_another_feed_is_not_seen(feed):
    posted(feed, event("e1"))
    work()
    assert outcomes(feed_of(), "e1") == [("e1", "not_seen")]


def test_who_may_only_send_is_not_told_by_which_import_of_others_a_key_came(feed):
    sender = user_with("ingestion.add_usageimport", feeds=[feed])
    own, _ = posted(feed, event("e1"), by=sender), posted(feed, event("e2"), event("e3", "ten"))
    rated()
    mine, theirs, refused = looked_up(feed, "e1", "e2", "e3", client=client_of(by=sender))["results"]
    assert (mine["outcome"], mine["tracking_id"], mine["rating"]) == ("imported", str(own.tracking_id), None)
    assert (theirs["outcome"], theirs["tracking_id"]) == ("imported", None)
    assert refused["outcome"] == "not_seen"


def test_others_are_refused_and_other_feeds_are_not_found(feed):
    asked = {"feed": feed.api_name, "keys": ["e1"]}
    assert client_of().post(ADDRESS, asked).status_code == 403
    assert APIClient().post(ADDRESS, asked).status_code == 401
    for client, name in ((client_of(*VIEWER, feeds=[feed_of()]), feed.api_name), (client_of(*VIEWER), "none\0")):
        refused = client.post(ADDRESS, asked | {"feed": name})
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown_feed")


@pytest.mark.parametrize(
    ("asked", "faults"),
    [
        ([], [("", "shape_not_read")]),
        ({"keys": 7, "more": 1}, [("/more", "unknown_member"), ("/feed", "not_text"), ("/keys", "not_a_list")]),
        ({"feed": "f", "keys": []}, [("/keys", "no_keys")]),
        ({"feed": "f", "keys": ["k"] * 1001}, [("/keys", "too_many_keys")]),
        ({"feed": "f", "keys": ["k", 7, "", "a\0"]}, [(f"/keys/{place}", "bad_key") for place in (1, 2, 3)]),
    ],
)
def test_a_request_is_told_all_its_faults(asked, faults):
    answer = client_of(*VIEWER).post(ADDRESS, asked)
    assert answer.status_code == 400
    assert [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]] == faults


def test_a_thousand_keys_ask_no_more_questions_than_two(feed):
    posted(feed, *[event(f"e{number}", "ten" if number % 9 == 0 else "1") for number in range(1000)])
    rated()
    counted = []
    for count in (2, 1000):
        client = client_of(by=user_with(*VIEWER))
        with CaptureQueriesContext(connection) as asked:
            looked_up(feed, *[f"e{number}" for number in range(count)], client=client)
        counted.append(len(asked))
    assert counted[0] == counted[1]


def test_keys_and_exceptions_made_to_match_everywhere_are_told_in_a_moment(feed):
    posted(feed, *["a-" * 1_500] * 200)
    work()
    started = time.process_time()
    told = looked_up(feed, *(f"a{'-a' * length}" for length in range(900)))
    assert time.process_time() - started < 5
    assert told["has_more_exceptions"]
