"""Data Profiles: drafting a version, and activating it for good."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from mediation.core.spec import Fault, FaultySpecError, parse_spec
from mediation.models import DataProfile, ProfileVersion
from mediation.services.acting import acts
from mediation.services.approving import require_second_person
from mediation.services.golden_samples import check_golden_samples
from mediation.services.lookups import faults_of_tables
from mediation.services.permissions import require_permission


class UnableToActivate(Exception):
    """A version that cannot become active; carries every fault."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("This version cannot be activated. " + " ".join(f"{fault}." for fault in faults))
        self.faults = faults


@acts(why="note")
@transaction.atomic
def create_draft(*, profile: DataProfile, spec: Any, note: str, by: User | None) -> ProfileVersion:
    """A new draft version of `profile`, numbered after the last."""
    require_permission(by, "mediation.add_profileversion")
    DataProfile.objects.select_for_update().get(pk=profile.pk)
    last = profile.versions.aggregate(last=Max("number"))["last"] or 0
    return ProfileVersion.objects.create(profile=profile, number=last + 1, spec=spec, note=note, created_by=by)


@acts(why="note")
def update_draft(*, version: ProfileVersion, spec: Any, note: str, by: User | None) -> None:
    """Change a draft. Raises UnableToActivate for a version that was activated: those never change."""
    require_permission(by, "mediation.change_profileversion")
    drafts = ProfileVersion.objects.filter(pk=version.pk, status=ProfileVersion.Status.DRAFT)
    if not drafts.update(spec=spec, note=note):
        raise UnableToActivate([Fault("/", f"{version} was activated and never changes; make a new draft from it")])


@acts()
@transaction.atomic
def activate_version(*, version: ProfileVersion, by: User | None, now: datetime) -> None:
    """Make a draft the version that new imports use; the one before is retired. Raises UnableToActivate."""
    require_permission(by, "mediation.change_profileversion")
    DataProfile.objects.select_for_update().get(pk=version.profile_id)
    # Until we are through nobody changes the draft: what is checked is what becomes active.
    version.refresh_from_db(from_queryset=ProfileVersion.objects.select_for_update(of=("self",)))
    if version.status != ProfileVersion.Status.DRAFT:
        raise UnableToActivate([Fault("/", f"{version} is {version.status}; make a new draft from it")])
    try:
        spec = parse_spec(version.spec)
    except FaultySpecError as error:
        raise UnableToActivate(error.faults) from None
    if missing := faults_of_tables(spec=spec):
        raise UnableToActivate(missing)
    if broken := check_golden_samples(profile=version.profile, spec=version.spec):
        raise UnableToActivate(broken)
    require_second_person(
        kind="activate_profile",
        act="activate_profile",
        by=by,
        subject=("mediation.ProfileVersion", str(version.pk)),
        arguments={"version": version.pk},
        summary=f"Activate {version}: imports from then on are read by it.",
    )
    version.profile.versions.filter(status=ProfileVersion.Status.ACTIVE).update(status=ProfileVersion.Status.RETIRED)
    version.status, version.activated_at = ProfileVersion.Status.ACTIVE, now
    version.save(update_fields=["status", "activated_at"])
