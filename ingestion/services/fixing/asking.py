"""Asking for the correction of a whole group: which exceptions it means is settled at that moment."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Max, Q

from ingestion.models import Feed, GroupCorrection
from ingestion.selectors import Group, exceptions_of_group
from ingestion.services.charged import require_second_person_for_records
from ingestion.services.fixing.rules import parse_rule
from mediation import services as mediation
from mediation.services import acts

UNDER_WAY = (GroupCorrection.Status.WAITING, GroupCorrection.Status.RUNNING)


class UnableToFix(Exception):
    """A correction of a group that cannot be asked for; the message says why."""


@acts(why="reason")
@transaction.atomic
def ask_correction(
    *, group: Group, rule: Any, reason: str, by: User | None, now: datetime, last_id: int | None = None
) -> GroupCorrection:
    """Have workers correct every exception that is in the group now by one rule.

    rule: a document as `parse_rule` takes it. last_id: the newest exception that was seen before it was asked for;
    those that came since stay as they are. Raises FaultyRuleError and UnableToFix.
    """
    mediation.require_permission(by, "ingestion.correct_importexception")
    mediation.require_feeds(by, [group.feed_id])
    if not reason.strip():
        raise UnableToFix("Say why these records are corrected: a correction of many needs a reason.")
    # Locked, so that two people who ask at once are told of each other.
    feed = Feed.objects.select_for_update(no_key=True).get(pk=group.feed_id)
    parse_rule(rule=rule, feed=feed)
    key = {"feed": feed, "code": group.code, "field": group.field}
    # Of the same value, or of any: the two share exceptions.
    alike = Q() if group.value is None else Q(value=group.value) | Q(value=None)
    if other := GroupCorrection.objects.filter(alike, **key, status__in=UNDER_WAY).first():
        raise UnableToFix(f"This group is being corrected already, by correction {other.pk}. Wait for it to end.")
    rows = exceptions_of_group(group) if last_id is None else exceptions_of_group(group).filter(pk__lte=last_id)
    found = rows.aggregate(count=Count("pk"), last=Max("pk"))
    if not found["count"]:
        raise UnableToFix("The group has no open exceptions any more.")
    require_second_person_for_records(
        exceptions=rows,
        does="correct a group of records",
        arguments={"group": asdict(group), "rule": rule, "reason": reason, "last_id": found["last"]},
        by=by,
        now=now,
    )
    correction = GroupCorrection.objects.create(
        **key,
        value=group.value,
        rule=rule,
        reason=reason.strip(),
        created_at=now,
        created_by=by,
        max_exception_id=found["last"],
        record_count=found["count"],
    )
    mediation.ring("mediate", now)
    return correction


@acts()
@transaction.atomic
def try_correction_again(*, correction: GroupCorrection, by: User | None, now: datetime) -> GroupCorrection:
    """Let a correction that crashed too often go on where it stopped. Raises UnableToFix."""
    mediation.require_permission(by, "ingestion.correct_importexception")
    mediation.require_feeds(by, [correction.feed_id])
    locked = GroupCorrection.objects.select_for_update().get(pk=correction.pk)
    if locked.status != GroupCorrection.Status.ERRORED:
        raise UnableToFix(f"This correction is {locked.get_status_display()}; only an errored one is tried again.")
    locked.status, locked.attempts, locked.error = GroupCorrection.Status.RUNNING, 0, ""
    locked.claimed_until = locked.ended_at = None
    locked.save(update_fields=["status", "attempts", "error", "claimed_until", "ended_at"])
    mediation.ring("mediate", now)
    return locked
