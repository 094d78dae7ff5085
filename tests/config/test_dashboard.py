"""The front page: what each person sees of it, that pictures and tables agree, and what it costs to open."""

import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from config.dashboard import figures, noticing
from config.dashboard.anomalies import Finding
from config.models import FigureRun, OpenFigure
from ingestion.models import ImportException
from mediation.models import UsageClass
from rating.services import rate_batches
from tests.config.crowd import crowd, person
from tests.ingestion.factories import event, feed_of, posted, work
from tests.rating.factories import RateFactory, subscriber, used, waiting

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert('x')</script> & \"feed\""
LOOKS = ("ingestion.view_usageimport", "ingestion.view_importexception", "rating.view_ratingexception")


def front(client, **query):
    response = client.get(reverse("admin:index"), query)
    assert response.status_code == 200
    return response


def text_of(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


def arrived(**feed):
    """Three records, one of them an exception, received just now."""
    made = feed_of(**feed)
    now = timezone.now()
    date = (now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    posted(made, event("a", date=date), event("b", date=date), event("c", value="x", date=date), now=now)
    work(now)
    return made


def charged(value="10", **names):
    rate = RateFactory(price="0.10", usage_class=UsageClass.objects.create(**names) if names else None)
    waiting(used(rate, subscriber(rate.plan, name=HOSTILE), value))
    while rate_batches(now=timezone.now()):
        pass


def test_an_empty_house_says_what_to_do_first(admin_client):
    response = front(admin_client)
    assert "No usage yet" in text_of(response)
    steps = response.context["first_steps"]
    assert [step["is_done"] for step in steps] == [False] * 5
    for step in steps:
        assert admin_client.get(step["url"]).status_code == 200


def test_a_step_that_is_done_says_so(admin_client):
    feed_of()
    assert [step["is_done"] for step in front(admin_client).context["first_steps"]][:3] == [True, True, False]


def test_what_came_in_is_shown_at_once(admin_client):
    arrived(name="North")
    response = front(admin_client)
    assert response.context["first_steps"] is None
    outcomes = response.context["outcomes"]
    assert outcomes["records"] == "3"
    assert dict(outcomes["counts"]) == {
        "imported": "2",
        "exceptions": "1",
        "skipped": "0",
        "duplicates": "0",
        "waiting": "0",
    }
    assert "North" in text_of(response)


def test_the_table_behind_a_picture_adds_up_to_it(admin_client):
    arrived()
    outcomes = front(admin_client).context["outcomes"]
    pictured = ElementTree.fromstring(outcomes["picture"])
    told = [part.get("aria-label") for part in pictured.findall("a")]
    ((day, _, cells),) = outcomes["table"].rows
    assert told == [f"{day}: {cells[0]} imported", f"{day}: {cells[1]} exceptions"]
    assert list(outcomes["table"].totals[1:]) == list(cells)


def test_every_link_of_the_pictures_leads_to_a_list(admin_client):
    arrived()
    charged()
    page = front(admin_client).content.decode()
    addresses = {found.replace("&amp;", "&") for found in re.findall(r'<a href="(/admin/[^"]+)" tabindex', page)}
    addresses |= {found.replace("&amp;", "&") for found in re.findall(r'class="clipped" href="([^"]+)"', page)}
    assert len(addresses) >= 5
    for address in addresses:
        assert admin_client.get(address).status_code == 200, address


@pytest.mark.parametrize(("asked", "days"), [("7", 7), ("30", 30), ("90", 90), ("4000", 30), ("x", 30), ("", 30)])
def test_the_span_is_chosen_by_a_link(admin_client, asked, days):
    arrived()
    response = front(admin_client, days=asked)
    assert response.context["days"] == days
    first = timezone.now().date() - timedelta(days=days - 1)
    assert response.context["outcomes"]["first"] == f"{first}"


def test_charges_are_told_by_class_and_account(admin_client):
    charged("10", name=HOSTILE, unit="data")
    response = front(admin_client)
    (currency,) = response.context["classes"]["currencies"]
    assert [(row.name, tuple(row.figures)) for row in currency["bars"]] == [(HOSTILE, ("1", "10 B", "1.00 EUR"))]
    (account,) = response.context["accounts"]["bars"]
    assert account.figures == ("1", "1.00 EUR")
    page = response.content.decode()
    assert "<script>alert" not in page
    assert "<style" not in page
    assert ' style="' not in page


def test_many_classes_are_the_largest_and_the_others(admin_client):
    for number in range(12):
        charged(f"{100 - number}", name=f"class {number:02}")
    (currency,) = front(admin_client).context["classes"]["currencies"]
    assert [row.name for row in currency["bars"]] == [*(f"class {number:02}" for number in range(8)), "4 others"]
    assert currency["bars"][-1].figures[0] == "4"


def test_exceptions_are_told_with_their_age_and_value(admin_client):
    arrived()
    exception = ImportException.objects.get()
    ImportException.objects.update(created_at=timezone.now() - timedelta(days=5))
    shown = front(admin_client).context["import_exceptions"]
    assert shown["count"] == "1"
    assert shown["oldest"]["age"] == "5 days"
    assert shown["by_code"][0].name == exception.code.replace("_", " ")
    assert shown["value"] is None


@pytest.mark.parametrize("permission", ["mediation.view_udr", "config.view_notice"])
def test_nobody_sees_what_he_may_not(permission):
    arrived(name="North")
    charged()
    noticing.renew_notices(findings=[Finding("silence", "Quiet.", feed_id=99)], now=timezone.now())
    context = front(person(permission)).context
    hidden = ("outcomes", "last_imports", "feeds", "import_exceptions", "rating_exceptions", "at_risk", "classes")
    assert [context[name] for name in hidden] == [None] * len(hidden)
    assert context["accounts"] is None
    assert (context["notices"] is None) == (permission != "config.view_notice")


def test_who_was_granted_a_feed_sees_its_figures_alone():
    mine = arrived(name="Mine")
    arrived(name="Other")
    charged()
    noticing.renew_notices(
        findings=[Finding("silence", "Quiet.", feed_id=feed) for feed in (mine.pk, mine.pk + 1)], now=timezone.now()
    )
    client = person(*LOOKS, "rating.view_charge", "rating.view_account", "config.view_notice", feeds=[mine])
    response = front(client)
    assert response.context["outcomes"]["records"] == "3"
    assert [row["feed"] for row in response.context["last_imports"]] == ["Mine"]
    assert response.context["import_exceptions"]["count"] == "1"
    assert len(response.context["notices"]["rows"]) == 1
    assert response.context["accounts"] is None
    assert response.context["classes"]["currencies"] == [] or mine.pk == 1
    assert "Other" not in text_of(response)


def test_a_notice_stands_on_the_front_page_until_it_is_acknowledged(admin_client, admin_user):
    feed = arrived(name="North")
    noticing.renew_notices(findings=[Finding("silence", "Quiet since noon.", feed_id=feed.pk)], now=timezone.now())
    response = front(admin_client)
    assert "Quiet since noon." in text_of(response)
    (notice,) = noticing.notices_open(admin_user)
    noticing.acknowledge_notice(notice=notice, comment="Holiday.", by=admin_user, now=timezone.now())
    again = text_of(front(admin_client))
    assert "Quiet since noon." not in again
    assert "1 notice acknowledged" in again


@pytest.mark.parametrize("days", ["7", "90"])
def test_the_page_asks_as_many_queries_for_20_of_everything_as_for_2(admin_client, days):
    found = []
    for first, last in ((1, 2), (3, 20)):
        crowd(first, last)
        FigureRun.objects.all().delete()
        figures.count_due(now=timezone.now())
        with CaptureQueriesContext(connection) as queries:
            front(admin_client, days=days)
        found.append(len(queries))
    assert found[0] == found[1] <= 34


def test_what_is_dear_to_count_is_not_counted_for_a_reader(admin_client):
    crowd(1, 2)
    figures.count_due(now=timezone.now())
    FigureRun.objects.update(took_seconds=60, as_of=timezone.now() - timedelta(days=1))
    OpenFigure.objects.all().delete()
    assert front(admin_client).context["import_exceptions"]["count"] == "0"
