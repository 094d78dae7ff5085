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
from mediation.core.codes import Code
from mediation.core.differences import Difference, differences
from mediation.core.previewing import Preview
from mediation.core.transforms.parsing import MAX_TRANSFORMS
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


@dataclass(frozen=True)
class Place:
    """Where an entry goes: into the field's value map, or into the map at a place of its transforms.

    is_new: that map is still to be made, as the last transform; it keeps every text that it has no entry for, where a
    value map would refuse it.
    """

    transform: int | None
    is_new: bool = False


def place_of_entry(sample: Sample, mend: Mend) -> Place | None:
    """Where the group's entry would go; None where the field at fault takes none."""
    mapping = sample.mapping
    if mapping is None or mapping.literal is not None:
        return None
    if mend == Mend.MAP_ENTRY:
        found = transform_asked(sample, Map)
        asked = mapping.transforms[found] if found is not None else None
        lacks = isinstance(asked, Map) and text_before_transform(sample, found or 0) not in asked.values
        return Place(found) if lacks else None
    if mapping.value_map is not None:
        return Place(None)
    if sample.group.code == Code.UNMAPPED_VALUE:
        return None  # what refuses is a map among the transforms
    last = mapping.transforms[-1] if mapping.transforms else None
    if isinstance(last, Map) and last.otherwise.kind == "keep":
        return Place(len(mapping.transforms) - 1)
    return Place(len(mapping.transforms), is_new=True) if len(mapping.transforms) < MAX_TRANSFORMS else None


def key_of(sample: Sample, mend: Mend) -> str:
    """The text that the new entry is for; "" where none can be made."""
    place = place_of_entry(sample, mend)
    if place is None:
        return ""
    return text_before_map(sample) if place.transform is None else text_before_transform(sample, place.transform)


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
    place = place_of_entry(sample, mend)
    if place is None:
        raise UnableToMend(f"{sample.version} has no map for {sample.group.field} that an entry could be added to.")
    document = deepcopy(sample.version.spec)
    field = document["fields"][document_name(sample)]
    if place.transform is None:
        field["value_map"] = {**field["value_map"], key: to}
    elif place.is_new:
        made = {"map": {"values": {key: to}, "otherwise": "keep"}}
        field["transforms"] = [*(field.get("transforms") or []), made]
    else:
        options = field["transforms"][place.transform]["map"]
        options["values"] = {**options["values"], key: to}
    return document
