"""An entry more in a map of the active profile: drafted, shown on the group's first records, activated."""

from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from config.fixing.offers import Mend
from config.fixing.reading import (
    Sample,
    UnableToMend,
    document_name,
    preview_with,
    text_before_map,
    text_before_transform,
    transform_asked,
)
from ingestion.selectors import exceptions_of_group
from ingestion.services import reprocess_exceptions
from mediation import services as mediation
from mediation.core.differences import Difference, differences
from mediation.core.previewing import Preview
from mediation.core.transforms.tables import Map
from mediation.models import ProfileVersion
from mediation.services.golden_samples import check_golden_samples

MAX_TEXT = 1_000


@dataclass(frozen=True)
class Proposal:
    """The active document with an entry more. preview: of the group's first records; broken: failing golden samples."""

    document: Any
    differences: list[Difference]
    preview: Preview | None
    broken: list[str]


def key_of(sample: Sample, mend: Mend) -> str:
    """The text that the new entry is for."""
    if mend == Mend.VALUE_MAP:
        return text_before_map(sample)
    place = transform_asked(sample, Map)
    return text_before_transform(sample, place) if place is not None else ""


def can_be_mapped(sample: Sample, mend: Mend) -> bool:
    """Whether the faulted field is one whose map can take an entry."""
    if sample.mapping is None or sample.mapping.literal is not None:
        return False
    return mend == Mend.VALUE_MAP or transform_asked(sample, Map) is not None


def propose_entry(*, sample: Sample, mend: Mend, key: str, to: str) -> Proposal:
    """What the profile would be with the entry, and what it would make of the first records; nothing is kept."""
    if not key or not to:
        raise UnableToMend("An entry needs both texts: the one that records have, and the one that it stands for.")
    document = _with_entry(sample, mend, key, to)
    return Proposal(
        document=document,
        differences=list(differences(sample.version.spec, document)),
        preview=preview_with(sample, document),
        broken=[str(fault) for fault in check_golden_samples(profile=sample.version.profile, spec=document)],
    )


def draft_entry(*, sample: Sample, mend: Mend, key: str, to: str, by: User | None) -> ProfileVersion:
    """A new draft of the profile: the active version with the entry."""
    proposal = propose_entry(sample=sample, mend=mend, key=key, to=to)
    note = f"“{key[:80]}” stands for “{to[:80]}” in {sample.group.field}, for open exceptions."
    return mediation.create_draft(profile=sample.version.profile, spec=proposal.document, note=note, by=by)


def activate_and_reprocess(*, version: ProfileVersion, sample: Sample, by: User | None, now: datetime) -> int:
    """Make the draft the version that is used, and have the group mediated again; returns how many records.

    The draft stays where it may not be activated: by its faults, or before a second person agrees.
    """
    mediation.require_permission(by, "ingestion.reprocess_importexception")
    mediation.activate_version(version=version, by=by, now=now)
    return reprocess_exceptions(exceptions=exceptions_of_group(sample.group), by=by, now=now)


def _with_entry(sample: Sample, mend: Mend, key: str, to: str) -> Any:
    document = deepcopy(sample.version.spec)
    field = document["fields"][document_name(sample)]
    if mend == Mend.VALUE_MAP:
        field["value_map"] = {**(field.get("value_map") or {}), key: to}
        return document
    place = transform_asked(sample, Map)
    if place is None:
        raise UnableToMend(f"{sample.group.field} has no map among its transforms.")
    options = field["transforms"][place]["map"]
    options["values"] = {**options["values"], key: to}
    return document
