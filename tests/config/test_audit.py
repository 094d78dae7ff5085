"""The audit: whatever is changed is entered once, with before, after, who, when and why, by whatever path it came."""

import io
import time
from datetime import timedelta
from decimal import Decimal

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, connection, transaction
from django.db.models import Case, F, TextField, Value, When
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from knox.models import AuthToken
from rest_framework.test import APIClient

from config.auditing.tables import AUDITED, NOT_AUDITED
from config.auditing.triggers import audited_tables, set_triggers
from config.models import AuditEntry
from ingestion.models import ImportException, UsageImport
from ingestion.services import reprocess_exceptions, reprocess_imports, retry_due, retry_later, write_off_exceptions
from mediation import services as mediation
from mediation.models import LookupTable, UsageClass
from rating import services as rating
from rating.models import Account, BillingPeriod, BucketGrant, Service, ServiceIdentifier
from tests.config.crowd import crowd, person
from tests.config.working import worked
from tests.ingestion.factories import NOW, FeedFactory, event, feed_of, posted, user_with, work
from tests.rating.factories import NOW as LONG_AFTER
from tests.rating.factories import RateFactory, subscriber, used, waiting

pytestmark = pytest.mark.django_db


def entries(table, **filters):
    return list(AuditEntry.objects.filter(table_name=table, **filters).order_by("id"))


def last(table):
    return entries(table)[-1]


def open_exceptions(count=1):
    usage_import = posted(feed_of(), *(event(f"e{number}", "x") for number in range(count)))
    work()
    return ImportException.objects.filter(usage_import=usage_import)


def test_every_table_is_audited_or_has_a_reason_not_to_be():
    """A new model without a decision is missing here: say in config/auditing/tables.py whether it is audited."""
    models = {model._meta.label for model in apps.get_models(include_auto_created=True)}
    audited = {each.model for each in AUDITED}
    assert audited | set(NOT_AUDITED) == models
    assert not audited & set(NOT_AUDITED)
    assert all(NOT_AUDITED.values())


def test_a_change_on_a_screen_is_entered_with_who_and_how(admin_client, admin_user):
    kept = UsageClass.objects.create(name="calls")
    page = reverse("admin:mediation_usageclass_change", args=[kept.pk])
    answers = {"name": "calls", "unit": "time", "paid_by": "usage", "usage_class_type": ""}
    assert admin_client.post(page, answers).status_code == 302
    entry = last("mediation_usageclass")
    assert (entry.operation, entry.before, entry.after) == ("update", {"unit": "count"}, {"unit": "time"})
    assert (entry.actor_id, entry.actor_name, entry.source) == (admin_user.pk, "admin", "screen")
    assert entry.request_id


def test_a_change_by_the_api_is_entered_as_the_token_s_user_s():
    [exception] = open_exceptions()
    clerk = user_with("ingestion.writeoff_importexception", "ingestion.view_importexception")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {AuthToken.objects.create(user=clerk)[1]}")
    client.post(f"/api/v1/exceptions/{exception.pk}/write-off", {"reason": "test data"}, format="json")
    entry = last("ingestion_importexception")
    assert (entry.after["status"], entry.before["status"]) == ("written_off", "open")
    assert (entry.actor_id, entry.actor_name, entry.source) == (clerk.pk, clerk.username, "API")
    assert entry.why == "test data"


def test_a_bulk_update_is_entered_once_for_each_row():
    classes = UsageClass.objects.bulk_create(UsageClass(name=f"class {number}") for number in range(3))
    somebody = User.objects.create_user("operator")
    with mediation.acting(by=somebody, why="100 % are \\ 'timed'"):
        UsageClass.objects.filter(name__startswith="class").update(unit="time")
    found = entries("mediation_usageclass", operation="update")
    assert [entry.object_id for entry in found] == [str(each.pk) for each in classes]
    assert {(entry.actor_name, entry.why) for entry in found} == {("operator", "100 % are \\ 'timed'")}
    assert len({entry.transaction_id for entry in found}) == 1


def test_a_change_that_changes_nothing_is_not_entered():
    UsageClass.objects.create(name="calls")
    UsageClass.objects.update(unit="count")
    assert not entries("mediation_usageclass", operation="update")


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_change_by_sql_is_entered_as_the_database_user_s_and_nothing_leaks_on_a_connection():
    UsageClass.objects.create(name="calls")
    with mediation.acting(by=User.objects.create_user("operator"), why="because"):
        UsageClass.objects.update(unit="time")
        connection.connection.execute("UPDATE mediation_usageclass SET unit = 'data'")
    (_, by_service, by_sql) = entries("mediation_usageclass")
    assert (by_service.source, by_service.actor_name, by_service.why) == ("command line", "operator", "because")
    assert (by_sql.source, by_sql.actor_id, by_sql.why) == ("SQL", None, "")
    assert by_sql.actor_name == connection.settings_dict["USER"]
    assert (by_sql.before, by_sql.after) == ({"unit": "time"}, {"unit": "data"})


def touch_classes():
    UsageClass.objects.update(unit="time")


def test_what_a_worker_does_is_entered_as_the_house_s_unless_somebody_asked():
    UsageClass.objects.create(name="calls")
    worked("tests.config.test_audit.touch_classes")
    entry = last("mediation_usageclass")
    assert (entry.source, entry.actor_name, entry.actor_id) == ("worker", "the house", None)
    assert entry.request_id
    UsageClass.objects.update(unit="count")
    assert last("mediation_usageclass").source == "command line"


def test_a_statement_that_a_worker_writes_is_the_deed_of_who_asked_for_it():
    rate, clerk = RateFactory(), user_with("rating.close_billingperiod")
    waiting(used(rate, subscriber(rate.plan)))
    rating.rate_batches(now=LONG_AFTER)
    rating.ask_to_close(periods=BillingPeriod.objects.all(), by=clerk, now=LONG_AFTER)
    worked("rating.services.close_asked", now=LONG_AFTER)
    entry = last("rating_statement")
    assert (entry.actor_name, entry.source, entry.operation) == (clerk.username, "worker", "insert")
    assert entry.owner_table == "rating_billingperiod"


def test_deeds_nest_and_an_aborted_transaction_leaves_the_outer_one():
    outer, inner = (User.objects.create_user(name) for name in ("outer", "inner"))
    kept = UsageClass.objects.create(name="calls")
    with mediation.acting(by=outer, why="first"):
        with pytest.raises(IntegrityError), transaction.atomic(), mediation.acting(by=inner):
            UsageClass.objects.create(name="calls")
        with mediation.acting(by=inner, why="second"):
            UsageClass.objects.update(unit="time")
        with mediation.acting(by=None):
            UsageClass.objects.update(unit="data")
    kept.delete()
    told = [(entry.actor_name, entry.why) for entry in entries("mediation_usageclass")[1:]]
    assert told == [("inner", "second"), ("outer", "first"), ("the house", "")]


def test_a_reason_may_be_noted_once_it_is_known_and_ends_with_its_deed():
    kept = UsageClass.objects.create(name="calls")
    with mediation.acting(by=User.objects.create_user("operator")):
        mediation.note_reason("as agreed")
        UsageClass.objects.update(unit="time")
    mediation.note_reason("nobody is at anything")
    kept.delete()
    assert [entry.why for entry in entries("mediation_usageclass")] == ["", "as agreed", ""]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_statements_with_many_parameters_say_who_acts_too():
    kept = UsageClass.objects.create(name="calls")
    somebody = User.objects.create_user("operator")
    with mediation.acting(by=somebody), connection.cursor() as cursor:
        statement = "UPDATE mediation_usageclass SET unit = %s WHERE id = %s"
        cursor.executemany(statement, [("time", kept.pk), ("data", kept.pk)])
    assert [entry.actor_name for entry in entries("mediation_usageclass", operation="update")] == ["operator"] * 2


def test_a_request_that_changes_nothing_audited_asks_the_database_nothing_more():
    with CaptureQueriesContext(connection) as asked:
        list(UsageClass.objects.all())
    assert not [query for query in asked if "set_config" in query["sql"]]


def test_secrets_are_never_told():
    somebody = User.objects.create_user("operator", password="correct horse")
    somebody.set_password("battery staple")
    somebody.save()
    issued, token = AuthToken.objects.create(user=somebody)
    digest = issued.digest
    issued.delete()
    assert last("auth_user").before == {"password": "hidden"}
    assert last("auth_user").after == {"password": "hidden, another one"}
    told = "".join(str((each.object_id, each.before, each.after)) for each in AuditEntry.objects.all())
    assert somebody.password not in told
    assert digest not in told
    assert token not in told
    assert {entry.object_id for entry in entries("knox_authtoken")} == {issued.token_key}


def test_rows_that_come_by_copy_are_told_of_too():
    somebody = User.objects.create_superuser("operator")
    table = LookupTable.objects.create(name="zones", columns=["zone"])
    content = io.BytesIO(b"key,zone\n43,near\n44,far\n")
    mediation.load_lookup_rows(table=table, stream=content, by=somebody, now=NOW, keep_rows=True)
    told = entries("mediation_lookuprow")
    assert [(entry.after["key"], entry.actor_name) for entry in told] == [("43", "operator"), ("44", "operator")]


def test_signing_in_is_no_change():
    somebody = User.objects.create_user("operator")
    Client().force_login(somebody)
    assert not entries("auth_user", operation="update")


def test_a_long_text_is_kept_by_its_beginning_length_and_hash():
    FeedFactory(description="x" * 3_000)
    said = last("ingestion_feed").after["description"]
    assert (said["begins"], said["length"]) == ("x" * 500, 3_000)
    assert len(said["sha256"]) == 64


def test_bookkeeping_makes_no_entry():
    open_exceptions().update(last_tried_at=NOW, retry_attempts=3)
    assert not entries("ingestion_importexception")


def test_mediating_an_import_again_is_entered_and_its_counting_is_not():
    usage_import = posted(feed_of(), event("a"))
    work()
    UsageImport.objects.filter(pk=usage_import.pk).update(record_count=1)
    assert not entries("ingestion_usageimport")
    UsageImport.objects.filter(pk=usage_import.pk).update(attempt=2)
    assert last("ingestion_usageimport").after == {"attempt": 2}


def test_of_grants_only_those_given_by_hand_are_entered():
    crowd(1, 1)
    told = entries("rating_bucketgrant")
    by_hand = BucketGrant.objects.exclude(given_by=None, reason="")
    assert sorted(entry.object_id for entry in told) == sorted(str(each.pk) for each in by_hand)


def test_members_of_a_group_are_part_of_the_person_s_story():
    somebody, group = User.objects.create_user("operator"), Group.objects.create(name="desk")
    somebody.groups.add(group)
    entry = last("auth_user_groups")
    assert (entry.owner_table, entry.owner_id) == ("auth_user", str(somebody.pk))


@pytest.mark.parametrize(
    "statement",
    ["UPDATE config_auditentry SET why = ''", "DELETE FROM config_auditentry"],
)
def test_entries_are_neither_changed_nor_removed(statement):
    UsageClass.objects.create(name="calls")
    with pytest.raises(IntegrityError, match="stays"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_audit_is_not_emptied():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE config_auditentry ENABLE TRIGGER keep_audit_whole")
        with pytest.raises(IntegrityError, match="stays"), transaction.atomic():
            cursor.execute("TRUNCATE config_auditentry")
        cursor.execute("ALTER TABLE config_auditentry DISABLE TRIGGER keep_audit_whole")


def test_an_emptied_table_is_entered():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE mediation_lookuprow ENABLE TRIGGER audit_truncate")
        cursor.execute("TRUNCATE mediation_lookuprow")
        cursor.execute("ALTER TABLE mediation_lookuprow DISABLE TRIGGER audit_truncate")
    assert last("mediation_lookuprow").operation == "truncate"


def test_triggers_are_set_once_and_come_back_after_a_migrate():
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER audit_insert ON mediation_usageclass")
        UsageClass.objects.create(name="unseen")
        set_triggers()
        with CaptureQueriesContext(connection) as asked:
            set_triggers()
    assert not [query for query in asked if "TRIGGER " in query["sql"]]
    UsageClass.objects.create(name="seen")
    assert [entry.after["name"] for entry in entries("mediation_usageclass")] == ["seen"]
    assert "mediation_usageclass" in audited_tables()


def test_a_write_off_of_ten_thousand_takes_not_much_longer_with_its_entries():
    """The figure in config/README.md; here only that it stays within bounds that a busy machine keeps."""
    usage_import = posted(feed_of(), event("a"))
    ImportException.objects.bulk_create(
        (
            ImportException(
                usage_import=usage_import,
                attempt=1,
                feed=usage_import.feed,
                record_number=number,
                raw=event(str(number)),
                code="bad_number",
                message="“x” is not a number.",
                created_at=NOW,
                last_tried_at=NOW,
            )
            for number in range(10, 10_010)
        ),
        batch_size=1_000,
    )
    started = time.perf_counter()
    written_off = write_off_exceptions(exceptions=ImportException.objects.all(), reason="test data", by=None, now=NOW)
    took_seconds = Decimal(str(time.perf_counter() - started))
    assert (written_off, len(entries("ingestion_importexception"))) == (10_000, 10_000)
    assert took_seconds < 60


def test_tries_that_change_nothing_are_not_entered_and_those_of_a_person_are():
    exceptions = open_exceptions()
    retry_later(exceptions=exceptions, by=None, now=NOW)
    at = NOW
    for _ in range(3):
        at += timedelta(days=2)
        retry_due(now=at)
        work(at)
    table = ImportException._meta.db_table
    assert exceptions.get().retry_round == 3
    assert not entries(table)
    by = user_with("ingestion.reprocess_importexception")
    with mediation.acting(by=by):
        reprocess_exceptions(exceptions=exceptions, by=by, now=at)
    (asked,) = entries(table)
    assert (asked.before, asked.after, asked.actor_id) == ({"status": "open"}, {"status": "reprocessing"}, by.pk)
    ImportException.objects.update(status="resolved")
    assert last(table).after["status"] == "resolved"


def test_a_service_s_story_tells_of_its_identifiers_in_words():
    crowd(1, 1)
    service, somebody = Service.objects.get(), User.objects.create_user("operator")
    other = Account.objects.create(number="A-7", name="Other", currency="EUR")
    with mediation.acting(by=somebody, why="moved house"):
        Service.objects.update(account=other)
        ServiceIdentifier.objects.update(identifier="4369")
    reader = person("config.view_auditentry", "rating.view_service")
    page = reader.get(reverse("admin:rating_service_history", args=[service.pk])).content.decode()
    for said in ("operator", "moved house", "A-7 Other", "4369", "Service identifier"):
        assert said in page


def test_a_story_costs_the_same_queries_for_2_changes_and_20():
    table = LookupTable.objects.create(name="zones", columns=["zone"])
    reader = person("config.view_auditentry", "mediation.view_lookuptable")
    page = reverse("admin:mediation_lookuptable_history", args=[table.pk])
    asked = []
    for first, after in ((0, 2), (2, 20)):
        for number in range(first, after):
            LookupTable.objects.update(description=f"version {number}")
        with CaptureQueriesContext(connection) as queries:
            assert f"version {after - 1}" in reader.get(page).content.decode()
        asked.append(len(queries))
    assert asked[0] == asked[1]


def test_a_long_story_is_told_in_pages():
    table = LookupTable.objects.create(name="zones", columns=["zone"])
    for number in range(50):
        LookupTable.objects.update(description=f"version {number:03}")
    reader = person("config.view_auditentry", "mediation.view_lookuptable")
    page = reverse("admin:mediation_lookuptable_history", args=[table.pk])
    newest = reader.get(page)
    assert "version 049" in newest.content.decode()
    older = reader.get(page, {"before": newest.context["older"]})
    assert "version 005" in older.content.decode()
    assert older.context["older"] is None


def test_what_is_gone_still_has_its_story():
    table = LookupTable.objects.create(name="zones", columns=["zone"])
    gone = table.pk
    table.delete()
    reader = person("config.view_auditentry", "mediation.view_lookuptable")
    page = reader.get(reverse("admin:mediation_lookuptable_history", args=[gone])).content.decode()
    assert "It is not there any more" in page
    assert reader.get(reverse("admin:mediation_lookuptable_history", args=[10**9])).status_code == 404


def test_who_may_not_read_the_audit_is_refused():
    table = LookupTable.objects.create(name="zones", columns=["zone"])
    page, every = reverse("admin:mediation_lookuptable_history", args=[table.pk]), "admin:config_auditentry_changelist"
    blind = person("mediation.view_lookuptable")
    assert blind.get(page).status_code == 403
    assert blind.get(reverse(every)).status_code == 403
    assert page not in blind.get(reverse("admin:mediation_lookuptable_change", args=[table.pk])).content.decode()
    of_one_feed = person("config.view_auditentry", feeds=[])
    assert of_one_feed.get(reverse(every)).status_code == 403


def test_the_list_is_filtered_by_table_person_door_and_row():
    somebody = User.objects.create_user("operator")
    with mediation.acting(by=somebody):
        kept = UsageClass.objects.create(name="calls")
    reader = person("config.view_auditentry")
    every = reverse("admin:config_auditentry_changelist")
    asked = {"table_name": "mediation_usageclass", "actor_id": somebody.pk, "object_id": kept.pk}
    page = reader.get(every, {**asked, "source": "command line"}).content.decode()
    assert f"usage class {kept.pk}" in page
    assert f"usage class {kept.pk}" not in reader.get(every, {**asked, "source": "SQL"}).content.decode()
    entry = last("mediation_usageclass")
    assert "calls" in reader.get(reverse("admin:config_auditentry_change", args=[entry.pk])).content.decode()


def reprocessed(exceptions, by=None):
    usage_import = exceptions[0].usage_import
    reprocess_imports(imports=UsageImport.objects.filter(pk=usage_import.pk), by=by, now=NOW)
    with mediation.coming_by(source="worker", who=lambda: None):
        work()
    return usage_import


def test_the_exceptions_that_a_reprocess_supersedes_are_one_entry_of_their_import_with_their_number(admin_client):
    exceptions, other = open_exceptions(3), open_exceptions(2)
    usage_import = reprocessed(exceptions, by=user_with("ingestion.reprocess_usageimport"))
    (told,) = entries(ImportException._meta.db_table)
    gone = exceptions.filter(status="superseded")
    assert (told.object_id, told.owner_table, told.owner_id) == ("", "ingestion_usageimport", str(usage_import.pk))
    assert told.before == {"status": "open"}
    assert (told.after["status"], told.after["rows"], gone.count()) == ("superseded", 3, 3)
    assert parse_datetime(told.after["closed_at"]) == gone.values_list("closed_at", flat=True).distinct().get()
    asked = entries("ingestion_usageimport", actor_id__isnull=False)[-1]
    assert (asked.object_id, asked.after["attempt"]) == (str(usage_import.pk), 2)
    assert other.filter(status="open").count() == 2
    page = admin_client.get(reverse("admin:ingestion_usageimport_history", args=[usage_import.pk])).content.decode()
    assert "3 import exceptions" in page
    assert "superseded" in page


@pytest.mark.parametrize("who", ["a person", "SQL"])
def test_exceptions_that_are_superseded_by_hand_are_told_one_by_one(who):
    exceptions = open_exceptions(3)
    if who == "SQL":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('sluice.source', '', false)")
            cursor.cursor.execute("UPDATE ingestion_importexception SET status = 'superseded', closed_at = now()")
    else:
        with mediation.acting(by=User.objects.create_user("somebody")):
            exceptions.update(status="superseded", closed_at=NOW)
    told = entries(ImportException._meta.db_table)
    assert {entry.object_id for entry in told} == {str(each.pk) for each in exceptions}


def test_an_exception_that_is_superseded_and_changed_is_told_by_itself():
    exceptions = open_exceptions(2)
    first = exceptions.order_by("pk")[0]
    with mediation.coming_by(source="worker", who=lambda: None):
        exceptions.update(
            status="superseded",
            closed_at=NOW,
            message=Case(When(pk=first.pk, then=Value("another")), default=F("message"), output_field=TextField()),
        )
    told = entries(ImportException._meta.db_table)
    assert {(entry.object_id, entry.after.get("rows")) for entry in told} == {(str(first.pk), None), ("", 1)}
