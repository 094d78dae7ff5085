"""A record is found by whatever one knows of it, and its life is told from the raw row to the statement."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.tracing import searching
from config.tracing.finding import Place, record_at
from config.tracing.life import life_of
from config.tracing.searching import search
from ingestion import services as ingestion
from ingestion.models import ImportException, LeftOutRecord, UsageImport
from ingestion.services.reviewing import comment_exception
from mediation.models import Udr, UsageClass
from rating.models import Account, BillingPeriod, Charge, Statement
from rating.services import rate_batches
from tests.config.crowd import person
from tests.ingestion.factories import BY_EVENT, NOW, event, feed_of, filed, posted, user_with, work
from tests.ingestion.test_parts import CALLS, start, stop
from tests.rating.factories import ServiceIdentifierFactory, graduated

pytestmark = pytest.mark.django_db

SEES_ALL = (
    "ingestion.view_usageimport",
    "ingestion.view_importexception",
    "ingestion.view_leftoutrecord",
    "mediation.view_udr",
    "mediation.view_udrbatch",
    "rating.view_charge",
    "rating.view_ratingexception",
    "rating.view_account",
    "rating.view_statement",
    "rating.view_serviceidentifier",
)


@pytest.fixture
def feed():
    """A feed whose usage is charged to whoever owns “e1”."""
    made = feed_of(BY_EVENT)
    rate = graduated(usage_class=UsageClass.objects.get(name="calls"), tiers=((10, "1"), (None, "0.5")))
    ServiceIdentifierFactory(identifier="e1", service__account__rate_plan=rate.plan)
    return made


def rated():
    work()
    while rate_batches(now=NOW):
        pass


def names(usage_import, number, *permissions):
    """The steps of a record's life by name, for a person of these permissions."""
    record = record_at(Place(usage_import.pk, number))
    return [step.name for step in life_of(record, user_with(*(permissions or SEES_ALL))).steps]


def standing(usage_import, number):
    return [words for _, words in life_of(record_at(Place(usage_import.pk, number)), user_with(*SEES_ALL)).standing]


def found(term, *permissions, **options):
    """What a search came to: {title: [texts]}."""
    by = user_with(*(permissions or SEES_ALL))
    groups = search(term, by=by, now=NOW, **options).groups
    return {group.title: [match.text for match in group.matches] for group in groups}


def texts(page):
    return page.content.decode()


def test_a_charged_record_is_told_from_its_raw_row_to_its_charge(feed):
    taken = filed(feed, event("e1", "12"), name="may.csv")
    rated()
    assert names(taken, 1) == ["received", "mediated", "udr", "charge"]
    assert standing(taken, 1) == ["imported", "charged"]
    page = texts(person(*SEES_ALL).get(reverse("admin:trace_record", args=[taken.pk, 1])))
    assert event("e1", "12") in page
    assert "Value = 12 (from " in page
    assert "Tier 2 (above 10): 2 x 0.5 = 1." in page
    assert reverse("admin:rating_charge_explain", args=[Charge.objects.get().pk]) in page
    assert " style=" not in page


def test_of_the_corrections_of_an_import_those_of_the_traced_record_alone_are_read(feed):
    taken = posted(feed, event("a", "x"), event("b", "x"))
    rated()
    for exception in ImportException.objects.order_by("pk"):
        ingestion.correct_exception(exception=exception, changes={"value": "4"}, reason="typo", by=None, now=NOW)
    rated()
    with CaptureQueriesContext(connection) as asked:
        assert names(taken, 2).count("revision") == 1
    of_import = [one["sql"] for one in asked if "exceptionrevision" in one["sql"] and '"import_id" = ' in one["sql"]]
    assert len(of_import) == 2
    assert all('"record_number" = 2' in sql for sql in of_import)


def test_a_corrected_record_is_told_with_its_exception_and_its_revision(feed):
    taken = filed(feed, event("e1", "2"), event("e2", "many"))
    work()
    exception = ImportException.objects.get()
    assert names(taken, 2) == ["received", "mediated", "exception"]
    assert standing(taken, 2) == ["exception, open"]
    later = NOW + timedelta(hours=1)
    ingestion.correct_exception(exception=exception, raw=event("e2", "4"), reason="a typo", by=None, now=later)
    work(later)
    assert names(taken, 2) == ["received", "mediated", "exception", "revision", "closed", "udr"]
    assert standing(taken, 2) == ["imported", "waits to be rated"]
    assert names(taken, 1) == ["received", "mediated", "udr"]


def test_a_duplicate_leads_to_the_record_that_it_repeats_and_back(feed):
    first = filed(feed, event("e1"))
    work()
    second = posted(feed, event("e9", date="2026-05-02T10:00:00Z"), event("e1"))
    work()
    life = life_of(record_at(Place(second.pk, 2)), user_with(*SEES_ALL))
    assert [step.name for step in life.steps] == ["received", "mediated", "left_out"]
    assert life.steps[-1].records == (Place(first.pk, 1),)
    again = life_of(record_at(Place(first.pk, 1)), user_with(*SEES_ALL)).steps[-1]
    assert (again.name, again.records) == ("repeats", (Place(second.pk, 2),))


def test_a_record_that_was_mediated_again_shows_both_attempts(feed):
    taken = filed(feed, event("e1", "12"))
    rated()
    later = NOW + timedelta(days=1)
    ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=later)
    work(later)
    while rate_batches(now=later):
        pass
    told = names(taken, 1)
    assert sorted(told) == sorted(
        ["received", "mediated", "old_udr", "superseded", "charge", "reversal", "mediated", "udr", "charge"]
    )
    assert told.index("old_udr") < told.index("reversal") < len(told) - 1
    assert standing(taken, 1) == ["imported", "charged"]


def test_a_usage_that_nobody_owns_is_told_as_not_charged(feed):
    taken = filed(feed, event("stranger"))
    rated()
    assert names(taken, 1) == ["received", "mediated", "udr", "uncharged"]
    assert standing(taken, 1) == ["imported", "not charged"]


def test_a_billed_record_names_its_statement(feed):
    taken = filed(feed, event("e1", "12"))
    rated()
    period = BillingPeriod.objects.get()
    statement = Statement.objects.create(
        period=period, number=41, issued_at=NOW, currency="EUR", amount=11, subtotal=11, tax_total=0, total=11
    )
    assert "statement" in names(taken, 1)
    assert standing(taken, 1) == ["imported", "charged and billed"]
    assert found("41")["Statements"] == [f"Statement {statement}"]


def test_the_rows_of_one_record_lead_to_it():
    feed = feed_of(CALLS)
    taken = filed(feed, start("c1"), stop("c1"))
    work()
    carrier = Udr.objects.get().record_number
    other = {1: 2, 2: 1}[carrier]
    assert "udr" in names(taken, carrier)
    assert "left_out" in names(taken, other)


def test_what_a_person_may_not_see_is_named_and_withheld(feed):
    taken = filed(feed, event("e1", "12"))
    rated()
    life = life_of(record_at(Place(taken.pk, 1)), user_with("rating.view_charge"))
    assert [step.name for step in life.steps] == ["charge"]
    assert life.withheld == ("Received", "Mediated", "Became a UDR")
    page = texts(person("rating.view_charge").get(f"/admin/trace/{taken.pk}/1/"))
    assert event("e1", "12") not in page
    assert "There is more that your role does not see: Received, Mediated, Became a UDR." in page


def test_nobody_without_a_permission_finds_anything(feed):
    filed(feed, event("e1"))
    assert person("mediation.view_dataprofile").get(reverse("admin:trace"), {"q": "e1"}).status_code == 403
    assert person("mediation.view_dataprofile").get("/admin/trace/1/1/").status_code == 403
    assert 'id="find-record"' not in texts(person("mediation.view_dataprofile").get("/admin/"))
    assert 'id="find-record"' in texts(person("mediation.view_udr").get("/admin/"))


def test_records_of_feeds_that_were_not_granted_are_not_found(feed):
    taken = filed(feed, event("e1"), name="may.csv")
    rated()
    udr = Udr.objects.get()
    for term in ("e1", "may.csv", "may.csv:1", str(taken.tracking_id), str(udr.pk), str(Charge.objects.get().pk)):
        groups = search(term, by=user_with(*SEES_ALL, feeds=[feed_of(BY_EVENT)]), now=NOW).groups
        assert {group.title for group in groups} <= {"Services that own this identifier, or did"}
    assert person(*SEES_ALL, feeds=()).get(f"/admin/trace/{taken.pk}/1/").status_code == 404


def test_a_record_is_found_by_all_that_one_may_know_of_it(feed):
    taken = filed(feed, event("e0"), event("e1", "many"), event("e1"), name="in/may 2026.csv")
    rated()
    udr, charge = Udr.objects.get(udr_usage_identifier="e1"), Charge.objects.get()
    assert found("in/may 2026.csv:3")["Records"] == ["Record 3 of in/may 2026.csv"]
    assert found(f"{str(taken.tracking_id)[:10]}:3")["Records"] == ["Record 3 of in/may 2026.csv"]
    assert found(str(taken.tracking_id).upper())["Imports"] == ["in/may 2026.csv"]
    assert found("in/may 2026.csv")["Imports"] == ["in/may 2026.csv"]
    assert found(str(udr.pk))["UDRs"] == [f"UDR {udr.pk}"]
    assert found(str(charge.pk))["Charges"] == [f"charge {charge.pk}"]
    by_identifier = found("e1")
    assert by_identifier["Usage with this identifier"] == [f"UDR {udr.pk}"]
    assert by_identifier["Records with this uniqueness key"] == [f"UDR {udr.pk}"]
    assert by_identifier["Exceptions"] == ["Record 2 of in/may 2026.csv"]
    number = Account.objects.get().number
    assert found(number)["Accounts"] == [f"Account {number}"]


def test_a_term_that_names_one_record_leads_straight_to_it(feed):
    taken = filed(feed, event("only"), name="may.csv")
    work()
    client = person(*SEES_ALL)
    for term in ("only", "may.csv:1", str(Udr.objects.get().pk)):
        answer = client.get(reverse("admin:trace"), {"q": term})
        assert answer.url == reverse("admin:trace_record", args=[taken.pk, 1])
    several = client.get(reverse("admin:trace"), {"q": "nothing of the kind"})
    assert "Nothing that you may see is named so" in texts(several)


def test_usage_is_searched_as_far_back_as_asked_and_says_so(feed):
    filed(feed, event("old", date="2026-01-31T10:00:00Z"), event("other"))
    work()
    short = search("old", by=user_with(*SEES_ALL), now=NOW, months=3)
    assert short.searched_since == short.since == date(2026, 3, 1)
    assert "Usage with this identifier" not in {group.title for group in short.groups}
    assert "Usage with this identifier" in found("old", months=12)


def test_a_search_that_takes_too_long_ends_and_says_how_far_it_came(feed, monkeypatch):
    filed(feed, event("e1"))
    work()
    monkeypatch.setattr(searching, "SECONDS", 0)
    asleep = Q(pk__in=RawSQL("SELECT CASE WHEN pg_sleep(1) IS NULL THEN 1 END", []))
    monkeypatch.setattr(searching, "carrying", lambda term: asleep)
    ended = search("slow", by=user_with(*SEES_ALL), now=NOW)
    assert ended.searched_since is None
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_search_lists_fifty_and_says_that_there_are_more(feed, monkeypatch):
    monkeypatch.setattr(searching, "MOST", 2)
    lines = [f"{event(f'e{number}')}" for number in range(3)]
    for number in range(3):
        filed(feed, *lines, event(f"again {number}"), name="same.csv")
    page = search("same.csv", by=user_with(*SEES_ALL), now=NOW)
    assert [(len(group.matches), group.has_more) for group in page.groups] == [(2, True)]


@pytest.mark.parametrize("term", ["", "  ", "\0", ":", ":1", "x:99999999999999999999", "9" * 30, "%", "'", "é" * 600])
def test_no_term_breaks_the_search(term):
    answer = person(*SEES_ALL).get(reverse("admin:trace"), {"q": term, "months": "no"})
    assert answer.status_code == 200


def test_a_record_that_there_never_was_is_not_found(feed):
    taken = filed(feed, event("e1"))
    work()
    client = person(*SEES_ALL)
    assert client.get(f"/admin/trace/{taken.pk}/2/").status_code == 404
    assert client.get(f"/admin/trace/{taken.pk + 1}/1/").status_code == 404
    assert client.get(f"/admin/trace/{taken.pk}/{2**64}/").status_code == 404


def test_the_life_of_a_record_costs_the_same_in_a_large_import(feed):
    small, large = filed(feed, event("e1")), filed(feed, *(event(f"f{number}") for number in range(40)))
    work()
    asked = []
    for one in (small, large):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            names(one, 1)
        asked.append(len(queries))
    assert asked[0] == asked[1]
    assert LeftOutRecord.objects.count() == 0


def test_changed_fields_and_comments_are_steps_of_the_life(feed):
    taken = filed(feed, event("e1", "2"), event("e2", "many"))
    work()
    exception = ImportException.objects.get()
    later = NOW + timedelta(hours=1)
    comment_exception(exception=exception, text="Ask the switch.", by=None, now=later)
    later += timedelta(hours=1)
    ingestion.correct_exception(exception=exception, changes={"value": "4"}, reason="typo", by=None, now=later)
    work(later)
    record = record_at(Place(taken.pk, 2))
    steps = life_of(record, user_with(*SEES_ALL)).steps
    assert [step.name for step in steps] == [
        "received", "mediated", "exception", "comment", "revision", "closed", "udr",
    ]  # fmt: skip
    said = {step.name: [fact.text for fact in step.facts] for step in steps}
    assert "Corrected: field value from “many” to “4”." in said["received"]
    assert "Field value is “4”." in said["revision"]
    assert said["comment"][0].endswith(": Ask the switch.")


def test_the_search_of_the_udrs_list_is_the_search_of_records():
    answer = person("mediation.view_udr").get(reverse("admin:mediation_udr_changelist"), {"q": " 648-1 "})
    assert answer.status_code == 302
    assert answer["Location"] == f"{reverse('admin:trace')}?q=648-1"
