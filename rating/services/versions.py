"""Versions of rate plans: drafted, checked, activated from a moment on, and never changed after that."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from mediation.core.spec import Fault, FaultySpecError
from mediation.models import UsageClass
from mediation.services import acts, require_permission, require_second_person
from rating.core.plans.document import CURRENCY, read_plan
from rating.core.plans.spec import Plan
from rating.models import Bucket, PlanVersion, Rate, RatePlan


class UnableToActivatePlan(Exception):
    """A version that cannot become active; carries every fault."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("This version cannot be activated. " + " ".join(f"{fault}." for fault in faults))
        self.faults = faults


@acts(why="note")
@transaction.atomic
def create_draft(*, plan: RatePlan, document: Any, note: str, by: User | None, now: datetime) -> PlanVersion:
    """A new draft version of `plan`, numbered after the last. The document may still be faulty."""
    require_permission(by, "rating.add_planversion")
    RatePlan.objects.select_for_update().get(pk=plan.pk)
    last = plan.versions.aggregate(last=Max("number"))["last"] or 0
    return PlanVersion.objects.create(
        plan=plan, number=last + 1, document=as_stored(document), note=note, created_by=by, created_at=now
    )


@acts(why="note")
def update_draft(*, version: PlanVersion, document: Any, note: str, by: User | None) -> None:
    """Change a draft. Raises UnableToActivatePlan for a version that is active: those never change."""
    require_permission(by, "rating.change_planversion")
    drafts = PlanVersion.objects.filter(pk=version.pk, status=PlanVersion.Status.DRAFT)
    if not drafts.update(document=as_stored(document), note=note):
        raise UnableToActivatePlan([Fault("/", f"{version} is active and never changes; draft another from it")])


def faults_of(*, document: Any, plan: RatePlan) -> list[Fault]:
    """Everything that keeps a document from pricing usage of this plan; empty where nothing does."""
    try:
        _read(document)
    except FaultySpecError as faulty:
        return [*_faults_of_place(document, plan), *faulty.faults]
    return _faults_of_place(document, plan)


def _read(document: Any) -> Plan:
    return read_plan(document, usage_classes=set(UsageClass.objects.values_list("name", flat=True)))


def _faults_of_place(document: Any, plan: RatePlan) -> list[Fault]:
    """Another currency than the plan's; one that cannot be read is told where the document is read."""
    said = _stated(document, "currency")
    if said == plan.currency or not CURRENCY.fullmatch(said):
        return []
    return [Fault("/currency", f"is {said}, but plan {plan} is in {plan.currency}")]


def _stated(document: Any, name: str) -> str:
    """A text that a document states, though it may be faulty elsewhere."""
    said = document.get(name) if isinstance(document, dict) else None
    return said if isinstance(said, str) and said.isprintable() else ""


def as_stored(document: Any) -> Any:
    """A document as the database keeps it to the last digit: numbers that are no integers as texts."""
    if isinstance(document, dict):
        return {name: as_stored(value) for name, value in document.items()}
    if isinstance(document, list):
        return [as_stored(value) for value in document]
    return f"{document:f}" if isinstance(document, Decimal) else document


@acts()
@transaction.atomic
def activate_version(*, version: PlanVersion, starts_at: datetime, by: User | None, now: datetime) -> None:
    """Let a draft price usage from `starts_at` until the next version does. Raises UnableToActivatePlan.

    What was charged already stays as it was charged; rerate it where the version starts in the past.
    """
    require_permission(by, "rating.activate_planversion")
    plan = RatePlan.objects.select_for_update().get(pk=version.plan_id)
    # Until we are through nobody changes the draft: what is checked is what becomes active.
    version.refresh_from_db(from_queryset=PlanVersion.objects.select_for_update(of=("self",)))
    if version.status != PlanVersion.Status.DRAFT:
        raise UnableToActivatePlan([Fault("/", f"{version} is active already; draft another from it")])
    if other := plan.versions.filter(status=PlanVersion.Status.ACTIVE, starts_at=starts_at).first():
        raise UnableToActivatePlan(
            [Fault("/", f"version {other.number} starts at {starts_at} too; choose another moment")]
        )
    if faults := faults_of(document=version.document, plan=plan):
        raise UnableToActivatePlan(faults)
    require_second_person(
        kind="activate_plan",
        act="activate_plan",
        by=by,
        subject=("rating.PlanVersion", str(version.pk)),
        arguments={"version": version.pk, "starts_at": starts_at.isoformat()},
        summary=f"Activate {version}: it prices usage from {starts_at.isoformat()} on.",
    )
    name_parts(plan=plan, said=read_plan(version.document))
    version.status, version.starts_at = PlanVersion.Status.ACTIVE, starts_at
    version.activated_at, version.activated_by = now, by
    version.save(update_fields=["status", "starts_at", "activated_at", "activated_by"])


def name_parts(*, plan: RatePlan, said: Plan) -> None:
    """Give every rate and bucket of a plan the number that charges name it by; what has one keeps it."""
    for group in (*said.groups, *said.cost_groups):
        for rate in group.rates:
            Rate.objects.get_or_create(plan=plan, group=group.name, name=rate.name)
    for bucket in said.buckets:
        Bucket.objects.get_or_create(plan=plan, name=bucket.name)


@acts()
@transaction.atomic
def import_plan(*, document: Any, by: User | None, now: datetime) -> PlanVersion:
    """A plan document as a draft version of the plan it names, which is made where there is none.

    Raises FaultySpecError with every fault of the document.
    """
    require_permission(by, "rating.add_planversion")
    plan = RatePlan.objects.filter(name=_stated(document, "name")).first()
    if plan is not None and (faults := faults_of(document=document, plan=plan)):
        raise FaultySpecError(faults)
    if plan is None:
        said = _read(document)
        require_permission(by, "rating.add_rateplan")
        plan = RatePlan.objects.create(name=said.name, currency=said.currency, description=said.description)
    return create_draft(plan=plan, document=document, note="Imported.", by=by, now=now)
