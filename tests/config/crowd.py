"""Fills every table that the admin shows, by the ORM alone, and lets people of few permissions act on it."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ, Schedule, Task
from knox.models import AuthToken

from config.models import (
    Approval,
    ExportJob,
    LoginTries,
    Notice,
    SavedFilter,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from ingestion.models import (
    Backfill,
    ExceptionRevision,
    Feed,
    FeedGrant,
    FileUpload,
    GroupCorrection,
    IdempotencyKey,
    ImportBody,
    ImportChunk,
    ImportException,
    KeyToVoid,
    LeftOutRecord,
    PickupState,
    UploadPart,
    UsageImport,
    UsageVoid,
    WaitingPart,
)
from mediation.models import (
    UDR_ID_BITS,
    BackfillWindow,
    Bell,
    DataProfile,
    GoldenSample,
    GoldenSampleChange,
    IdentifierType,
    LookupRow,
    LookupTable,
    ProfileVersion,
    RestoredUdr,
    Udr,
    UdrBatch,
    UdrKey,
    UsageClass,
    UsageClassType,
    UsageUnit,
    VoidedUdr,
)
from tests.config.charged_crowd import JUNE, MAY, rate
from tests.mediation.profiles import document


def crowd(first: int, last: int) -> None:
    """Make rows number `first` to `last` of everything."""
    for number in range(first, last + 1):
        owner = User.objects.create(username=f"person-{number}")
        arrive(number, owner)
        rate(number)
        operate(number, owner)


def arrive(number: int, owner: User) -> UsageImport:
    kind = UsageClassType.objects.create(name=f"type-{number}")
    usage_class = UsageClass.objects.create(name=f"class-{number}", usage_class_type=kind)
    identifier_type = IdentifierType.objects.create(name=f"identifier-{number}")
    profile = DataProfile.objects.create(name=f"profile-{number}")
    version = ProfileVersion.objects.create(
        profile=profile, number=1, status="active", spec=document(), created_by=owner
    )
    guarded = {"profile": profile, "name": f"sample-{number}", "content": "a", "expected": []}
    GoldenSample.objects.create(created_at=MAY, created_by=owner, **guarded)
    GoldenSampleChange.objects.create(changed_at=MAY, changed_by=owner, reason="on purpose", **guarded)
    table = LookupTable.objects.create(name=f"table-{number}", columns=["zone"], row_count=1)
    LookupRow.objects.create(table=table, key="43", values={"zone": "near"})
    UsageUnit.objects.create(name=f"unit-{number}", kind="data", multiplier=number)
    feed = Feed.objects.create(name=f"Feed {number}", api_name=f"feed-{number}", profile=profile)
    usage_import = UsageImport.objects.create(
        feed=feed,
        profile_version=version,
        source="upload",
        status="completed",
        file_name=f"may-{number}.csv",
        content_hash=f"{number:064d}",
        byte_size=100,
        received_at=MAY + timedelta(hours=number),
        received_by=owner,
        record_count=4,
        imported_count=1,
        exception_count=1,
        skipped_count=1,
        duplicate_count=1,
    )
    batch = UdrBatch.objects.create(
        feed_id=feed.pk, import_id=usage_import.pk, udr_count=1, mediated_at=MAY, status="rated"
    )
    udr_id = batch.pk << UDR_ID_BITS
    ImportChunk.objects.create(
        usage_import=usage_import,
        number=1,
        feed_id=feed.pk,
        profile_version_id=version.pk,
        status="done",
        imported_count=1,
        exception_count=1,
        skipped_count=1,
        duplicate_count=1,
    )
    refused = ImportException.objects.create(
        usage_import=usage_import,
        attempt=1,
        feed=feed,
        record_number=2,
        raw=f"=HYPERLINK({number}),x",
        code="bad_number",
        field="Value",
        message="“x” is not a number.",
        created_at=MAY + timedelta(hours=number),
        last_tried_at=MAY,
    )
    ExceptionRevision.objects.create(exception=refused, number=1, raw="a,1", created_at=MAY, created_by=owner)
    GroupCorrection.objects.create(
        feed=feed,
        code="bad_number",
        field="Value",
        value="x",
        rule={"kind": "set", "field": "value", "text": "1"},
        reason="why",
        created_at=MAY,
        created_by=owner,
        max_exception_id=refused.pk,
    )
    PickupState.objects.create(feed=feed, looked_at=MAY, error="It does not answer.", error_at=MAY)
    upload = FileUpload.objects.create(
        feed=feed, file_name=f"june-{number}.csv", sent_by=owner, total_size=9, started_at=MAY, expires_at=JUNE
    )
    UploadPart.objects.create(upload=upload, byte_start=0, stored=f"uploads/{upload.token}/0")
    for place, outcome in ((3, "skipped"), (4, "duplicate")):
        LeftOutRecord.objects.create(
            usage_import=usage_import, attempt=1, record_number=place, outcome=outcome, reason="why", udr_id=udr_id
        )
    WaitingPart.objects.create(
        feed_id=feed.pk,
        key=f"call-{number}",
        usage_import=usage_import,
        attempt=1,
        record_number=1,
        raw="a,1",
        received_at=MAY,
        expires_at=JUNE,
    )
    ImportBody.objects.create(usage_import=usage_import, content=b"as it came")
    IdempotencyKey.objects.create(feed=feed, key=f"key-{number}", content_hash="0" * 64, usage_import=usage_import)
    Udr.objects.create(
        id=udr_id,
        date=MAY + timedelta(hours=number),
        feed_id=feed.pk,
        import_id=usage_import.pk,
        record_number=1,
        usage_class=usage_class,
        identifier_type=identifier_type,
        udr_usage_identifier=f"4361{number}",
        value=Decimal(94),
        inbound=False,
        reverse_rating=False,
    )
    UdrKey.objects.create(id=udr_id, feed_id=feed.pk, key=f"event-{number}", content_hash=uuid.uuid4())
    void = UsageVoid.objects.create(
        feed=feed,
        status="completed",
        reason=f"test usage {number}",
        received_at=MAY,
        received_by=owner,
        content_hash="0" * 64,
        key_count=1,
        voided_count=1,
    )
    KeyToVoid.objects.create(void=void, number=1, key=f"voided-{number}", outcome="voided", udr_id=udr_id + 1)
    VoidedUdr.objects.create(
        id=udr_id + 1,
        udr_date=MAY,
        feed_id=feed.pk,
        key=f"voided-{number}",
        import_id=usage_import.pk,
        record_number=5,
        requested_at=MAY,
        request_id=void.tracking_id,
        voided_at=MAY,
        voided_by=owner,
        reason=void.reason,
        settled_at=MAY,
    )
    backfill = Backfill.objects.create(
        feed=feed,
        reason=f"lost calls {number}",
        starts_at=MAY,
        ends_at=JUNE,
        opened_at=JUNE,
        opened_by=owner,
    )
    BackfillWindow.objects.create(id=backfill.pk, feed_id=feed.pk, starts_at=MAY, ends_at=JUNE)
    RestoredUdr.objects.create(id=udr_id + 2, udr_date=MAY, restored_at=JUNE)
    Notice.objects.create(
        kind="silence", feed_id=feed.pk, text="Nothing came.", numbers={}, opened_at=MAY, last_seen_at=MAY
    )
    return usage_import


def operate(number: int, owner: User) -> None:
    Bell.objects.create(name=f"bell-{number}")
    ExportJob.objects.create(
        screen="rating.Charge", columns=["id"], kind="csv", created_at=MAY, created_by=owner, row_total=number
    )
    Approval.objects.create(
        act="close_periods",
        summary=f"Close {number} billing periods.",
        arguments={"ids": [number]},
        subject_label="rating.BillingPeriod",
        request_hash=f"{number:064d}",
        fingerprint="0" * 64,
        asked_at=MAY,
        asked_by=owner,
        expires_at=JUNE,
    )
    LoginTries.objects.create(key=f"{number:064d}", kind="name", user=owner, failures=number, failed_at=MAY)
    Group.objects.create(name=f"group-{number}")
    AuthToken.objects.create(user=owner)
    Schedule.objects.create(func="config.tasks.pulse", name=f"schedule-{number}")
    for success in (True, False):
        Task.objects.create(
            id=uuid.uuid4().hex, name=f"task-{number}-{success}", func="f", started=MAY, stopped=MAY, success=success
        )
    SavedFilter.objects.create(
        page="ingestion_usageimport_changelist", name="mine", query="", created_at=MAY, created_by=owner
    )
    OrmQ.objects.create(key=f"queue-{number}", payload="x", lock=MAY)
    endpoint = WebhookEndpoint.objects.create(
        name=f"endpoint-{number}", url="https://outside.example/", owner=owner, events=[], created_at=MAY
    )
    told = WebhookEvent.objects.create(type="test", feed_id=number, occurred_at=MAY, due_at=MAY, spread_at=MAY)
    delivery = WebhookDelivery.objects.create(
        event=told, endpoint=endpoint, body="{}", status="failed", created_at=MAY, give_up_at=JUNE
    )
    WebhookAttempt.objects.create(delivery=delivery, at=MAY, status_code=500, milliseconds=number)


def person(*permissions: str, feeds: Sequence[Feed] | None = None) -> Client:
    """The browser of a member of staff with no more than these permissions, each as app_label.codename.

    For every feed, unless feeds are named.
    """
    user = User.objects.create(username=f"staff-{User.objects.count()}", is_staff=True)
    for name in (*permissions, *(("ingestion.every_feed",) if feeds is None else ())):
        app_label, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app_label, codename=codename))
    FeedGrant.objects.bulk_create(FeedGrant(user=user, feed=feed) for feed in feeds or ())
    client = Client()
    client.force_login(user)
    return client


def do(client: Client, model: str, action: str, *keys: int, query: str = "", **answers: str) -> str:
    """Run an action on rows of a list as its form would, and return the page that follows."""
    chosen = {"action": action, "_selected_action": [str(key) for key in keys], "select_across": "0", "index": "0"}
    if answers.keys() & {"reason", "is_confirmed"}:
        chosen.pop("index")
    response = client.post(reverse(f"admin:{model}_changelist") + query, chosen | answers, follow=True)
    assert response.status_code == 200
    return response.content.decode()
