"""Asking for a second person, and deciding: approved acts are done at once, as the person who asked, in one go."""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from knox.models import AuthToken

from config.approving.acts import ACTS, Act
from config.models import Approval, AuditEntry
from ingestion import services as ingestion
from mediation import services as mediation
from mediation.services.approving import Asked, in_force
from rating import services as rating

LIFETIME = timedelta(days=7)
LONG = ("arguments", "fingerprint")  # of a million rows the arguments are megabytes, which no list shows
DECIDE = "config.decide_approval"
Status = Approval.Status
REFUSALS = (
    ingestion.FaultyRuleError,
    ingestion.UnableToCorrect,
    ingestion.UnableToFix,
    ingestion.UnableToReceive,
    ingestion.UnableToReprocess,
    ingestion.UnableToRetryLater,
    ingestion.UnableToUndo,
    ingestion.UnableToVoid,
    ingestion.UnableToBackfill,
    ingestion.UnableToWriteOff,
    mediation.UnableToActivate,
    rating.UnableToActivatePlan,
    rating.UnableToClosePeriod,
    rating.UnableToRerate,
    rating.UnableToWriteOff,
)


class UnableToDecide(Exception):
    """What was asked for cannot be decided like this, by this person, or any more."""


def ask_for_approval(*, asked: Asked, why: str, now: datetime) -> Approval:
    """Keep what needs a second person until somebody decides; what waits already is not asked for twice."""
    request_hash = _hash([asked.act, asked.arguments])
    Approval.objects.filter(request_hash=request_hash, status=Status.WAITING, expires_at__lte=now).update(
        status=Status.EXPIRED
    )
    fingerprint = _hash(ACTS[asked.act].state(asked.arguments))
    waiting = Approval.objects.filter(request_hash=request_hash, status=Status.WAITING)
    try:
        with transaction.atomic():
            # What changed since somebody asked is asked for anew, by whoever asks now.
            waiting.exclude(fingerprint=fingerprint).update(status=Status.EXPIRED)
            known = waiting.first()
            return known or _keep(asked, request_hash, fingerprint, why, now)
    except IntegrityError:  # its twin was faster
        return waiting.get()


def _keep(asked: Asked, request_hash: str, fingerprint: str, why: str, now: datetime) -> Approval:
    label, key = asked.subject
    return Approval.objects.create(
        act=asked.act,
        summary=asked.summary,
        arguments=dict(asked.arguments),
        value=asked.value,
        subject_label=label,
        subject_id=key,
        feeds=sorted(ACTS[asked.act].feeds(asked.arguments)),
        request_hash=request_hash,
        fingerprint=fingerprint,
        asked_at=now,
        asked_by=asked.by,
        why=why.strip(),
        expires_at=now + LIFETIME,
    )


def approve(*, approval: Approval, by: User, now: datetime, why: str = "") -> str:
    """Carry out what was asked for, once, as the person who asked; returns what was done. Raises UnableToDecide."""
    _expire(approval, now)
    with transaction.atomic():
        locked = _decidable(approval, by, now)
        act = ACTS[locked.act]
        if _has_changed(locked, act):
            raise UnableToDecide(
                "What this is about has changed since it was asked for. Refuse it, and have it asked for anew."
            )
        agreed = f"Approved by {by.get_username()} (approval {locked.pk})."
        with mediation.acting(by=locked.asked_by, why=locked.why, agreed=agreed), in_force(act.kind):
            locked.outcome = _carry_out(locked, act, now)
        _decide(locked, Status.APPROVED, by, why, now)
    return locked.outcome


def _carry_out(approval: Approval, act: Act, now: datetime) -> str:
    try:
        return act.run(approval.arguments, approval.asked_by, now)
    except PermissionDenied:
        refusal = f"{approval.asked_by}, who asked for this, may not do it any more. Refuse it."
        raise UnableToDecide(refusal) from None
    except REFUSALS as refused:
        raise UnableToDecide(str(refused)) from None


def refuse(*, approval: Approval, by: User, why: str, now: datetime) -> None:
    """Decide against it, with a reason. Raises UnableToDecide."""
    if not why.strip():
        raise UnableToDecide("Say why it is refused: the person who asked reads it.")
    _expire(approval, now)
    with transaction.atomic():
        _decide(_decidable(approval, by, now), Status.REFUSED, by, why, now)


def withdraw(*, approval: Approval, by: User, now: datetime) -> None:
    """Take back what one asked for oneself. Raises UnableToDecide."""
    with transaction.atomic():
        locked = _open(approval, now)
        if locked.asked_by_id != by.pk:
            raise UnableToDecide(f"{locked.asked_by} asked for this, who alone can withdraw it. You can refuse it.")
        _decide(locked, Status.WITHDRAWN, by, "", now)


def _decidable(approval: Approval, by: User, now: datetime) -> Approval:
    """The approval under lock, where `by` may decide it."""
    mediation.require_permission(by, DECIDE)
    locked = _open(approval, now)
    if locked.asked_by_id == by.pk:
        raise UnableToDecide("Nobody approves their own: another person has to decide this.")
    act = ACTS[locked.act]
    mediation.require_permission(by, act.permission)
    mediation.require_feeds(by, act.feeds(locked.arguments))
    if _holds_token_of(locked, by):
        raise UnableToDecide(
            f"You issued a token of {locked.asked_by}, with which this can have been asked for:"
            " somebody else has to decide it."
        )
    return locked


def _holds_token_of(approval: Approval, by: User) -> bool:
    """Whether `by` was ever shown a token that was not expired, with which the one who asks can be spoken for.

    The audit knows who issued it. One that is gone by now may have asked before.
    """
    issued = AuditEntry.objects.filter(
        owner_table=User._meta.db_table,
        owner_id=str(approval.asked_by_id),
        table_name=AuthToken._meta.db_table,
        operation=AuditEntry.Operation.INSERT,
        actor_id=by.pk,
        at__lte=approval.asked_at,
    )
    expiries = [(row or {}).get("expiry") for row in issued.values_list("after", flat=True)]
    return any(expiry is None or datetime.fromisoformat(expiry) > approval.asked_at for expiry in expiries)


def _open(approval: Approval, now: datetime) -> Approval:
    rows = Approval.objects.select_for_update(of=("self",)).select_related("asked_by")
    locked = rows.get(pk=approval.pk)
    if not locked.is_open(now):
        state = "expired" if locked.status == Status.WAITING else locked.get_status_display()
        raise UnableToDecide(f"It is {state} already, so there is nothing to decide.")
    return locked


def _expire(approval: Approval, now: datetime) -> None:
    """Kept even though the decision is refused: so it is not part of that transaction."""
    late = Approval.objects.filter(pk=approval.pk, status=Status.WAITING, expires_at__lte=now)
    late.update(status=Status.EXPIRED)


def _decide(locked: Approval, status: str, by: User, why: str, now: datetime) -> None:
    locked.status, locked.decided_by, locked.decided_at, locked.decision = status, by, now, why.strip()
    locked.save(update_fields=["status", "decided_by", "decided_at", "decision", "outcome"])


def _has_changed(approval: Approval, act: Act) -> bool:
    try:
        return _hash(act.state(approval.arguments)) != approval.fingerprint
    except ObjectDoesNotExist:
        return True


def _hash(document: Any) -> str:
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def approvals_waiting(user: User, now: datetime) -> QuerySet[Approval]:
    """What waits for this person: asked for by others, and of the acts that the person may do too."""
    acts = [name for name, act in ACTS.items() if user.has_perm(DECIDE) and user.has_perm(act.permission)]
    waiting = Approval.objects.filter(status=Status.WAITING, expires_at__gt=now, act__in=acts)
    return seen_approvals(waiting.exclude(asked_by=user), user).order_by("pk")


def seen_approvals(approvals: QuerySet[Approval], user: User) -> QuerySet[Approval]:
    """Those about feeds that the person may see, and what the person asked for.

    What is about no feed, such as a plan or a billing period, is for those who may do such a thing themselves.
    """
    approvals, feeds = approvals.defer(*LONG), mediation.feeds_seen(user)
    if feeds is None:
        return approvals
    own = [name for name, act in ACTS.items() if user.has_perm(act.permission)]
    about_feeds = Q(feeds__contained_by=sorted(feeds)) & ~Q(feeds=[])
    return approvals.filter(about_feeds | Q(feeds=[], act__in=own) | Q(asked_by=user))


def waiting_for(label: str, key: Any, now: datetime) -> QuerySet[Approval]:
    """What waits for a decision about this very row."""
    waiting = Approval.objects.filter(
        subject_label=label, subject_id=str(key), status=Status.WAITING, expires_at__gt=now
    )
    return waiting.select_related("asked_by").defer(*LONG).order_by("pk")
