"""Profiles as one JSON document: out of this installation, into another, and those that ship with Sluice."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from mediation.core.spec import Fault
from mediation.models import DataProfile, GoldenSample, ProfileVersion, UsageClass, UsageClassType
from mediation.services import lookup_documents
from mediation.services.acting import acts
from mediation.services.approving import asks_for_second_person
from mediation.services.lookup_documents import lookups_named_by
from mediation.services.permissions import require_permission
from mediation.services.profiles import activate_version, create_draft

FORMAT = 1
MEMBERS = {"sluice_profile", "name", "description", "note", "spec", "golden_samples", "usage_classes", "lookups"}
SAMPLE_MEMBERS = {"name": str, "content": str, "is_rows": bool, "expected": list, "note": str}
CLASS_MEMBERS = {"name": str, "type": str, "unit": str, "paid_by": str}
MAX_BYTES = 5 << 20
MAX_NAME = 200


class UnableToImportProfile(Exception):
    """A document that is no profile; carries every fault, each at its place."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("This is no profile that can be taken. " + " ".join(f"{fault}." for fault in faults))
        self.faults = faults


def export_profile(*, version: ProfileVersion) -> dict[str, Any]:
    """One document that holds a profile version, its golden samples, and the classes and tables that it names."""
    profile = version.profile
    return {
        "sluice_profile": FORMAT,
        "name": profile.name,
        "description": profile.description,
        "note": version.note,
        "spec": version.spec,
        "usage_classes": list(_classes_named_by(version.spec)),
        "lookups": lookups_named_by(version.spec),
        "golden_samples": [
            {member: getattr(sample, member) for member in SAMPLE_MEMBERS}
            for sample in profile.golden_samples.order_by("name")
        ],
    }


def _classes_named_by(spec: Any) -> Iterator[dict[str, str]]:
    mapping = spec.get("fields", {}).get("UsageClassName", {}) if isinstance(spec, dict) else {}
    names = {*mapping.get("value_map", {}).values(), mapping.get("literal"), mapping.get("default")}
    known = UsageClass.objects.filter(name__in=[name for name in names if name]).order_by("name")
    for usage_class in known.select_related("usage_class_type"):
        kind = usage_class.usage_class_type
        yield {
            "name": usage_class.name,
            "type": kind.name if kind else "",
            "unit": usage_class.unit,
            "paid_by": usage_class.paid_by,
        }


def parse_document(text: str | bytes) -> dict[str, Any]:
    """The profile document that a text is. Raises UnableToImportProfile with every fault."""
    if len(text) > MAX_BYTES:
        raise UnableToImportProfile([Fault("/", f"is larger than {MAX_BYTES:,} bytes")])
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UnableToImportProfile([Fault("/", f"is no JSON that can be kept: {error}")]) from None
    if "\\u0000" in json.dumps(document):
        raise UnableToImportProfile([Fault("/", "holds a NUL character, which is no text")])
    if faults := list(_faults(document)):
        raise UnableToImportProfile(faults)
    return dict(document)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _faults(document: Any) -> Iterator[Fault]:
    if not isinstance(document, dict) or "sluice_profile" not in document:
        yield Fault("/sluice_profile", 'is missing: a profile of Sluice starts with {"sluice_profile": 1, …}')
        return
    if document["sluice_profile"] != FORMAT:
        yield Fault("/sluice_profile", f"is {document['sluice_profile']!r}; this Sluice reads {FORMAT}. Upgrade it")
        return
    for name in sorted(document.keys() - MEMBERS):
        yield Fault(f"/{name}", f"is not known here; known are {', '.join(sorted(MEMBERS))}")
    if not isinstance(document.get("name"), str) or not 1 <= len(document["name"].strip()) <= MAX_NAME:
        yield Fault("/name", f"must be a text of 1 to {MAX_NAME} characters")
    for name, most in (("description", 10_000), ("note", 500)):
        if not isinstance(document.get(name, ""), str) or len(document.get(name, "")) > most:
            yield Fault(f"/{name}", f"must be a text of at most {most:,} characters")
    if not isinstance(document.get("spec"), dict):
        yield Fault("/spec", "must be the object that says how records are read and mapped")
    yield from _list_faults(document.get("golden_samples", []), "/golden_samples", SAMPLE_MEMBERS, {"name", "content"})
    yield from _list_faults(document.get("usage_classes", []), "/usage_classes", CLASS_MEMBERS, {"name"})
    yield from _list_faults(document.get("lookups", []), "/lookups", lookup_documents.MEMBERS, {"name", "columns"})
    yield from lookup_documents.faults_of_lookups(document.get("lookups", []))
    yield from _choice_faults(document.get("usage_classes", []))


def _list_faults(items: Any, pointer: str, members: Mapping[str, type], needed: set[str]) -> Iterator[Fault]:
    if not isinstance(items, list):
        yield Fault(pointer, "must be a list")
        return
    for place, item in enumerate(items):
        if not isinstance(item, dict) or not needed <= item.keys() <= members.keys():
            yield Fault(f"{pointer}/{place}", f"must be an object of {', '.join(members)}")
            continue
        for name, value in item.items():
            if type(value) is not members[name] or (name == "name" and not 1 <= len(str(value).strip()) <= MAX_NAME):
                yield Fault(f"{pointer}/{place}/{name}", f"must be a {members[name].__name__}, as an export writes it")


def _choice_faults(classes: Any) -> Iterator[Fault]:
    choices: tuple[tuple[str, Any], ...] = (("unit", UsageClass.Unit), ("paid_by", UsageClass.PaidBy))
    for place, item in enumerate(classes if isinstance(classes, list) else []):
        for name, known in choices:
            if isinstance(item, dict) and item.get(name, known.values[0]) not in known.values:
                yield Fault(f"/usage_classes/{place}/{name}", f"must be one of {', '.join(known.values)}")


@acts()
@transaction.atomic
def import_profile(
    *, document: dict[str, Any], by: User | None, now: datetime, name: str = "", activate: bool = False
) -> ProfileVersion:
    """A draft (or active) version of what `parse_document` gave: of a new profile, or of the one with that name.

    Usage classes, lookup tables and golden samples that are missing are added; a golden sample that differs is refused,
    since it is changed only on purpose. It stays a draft where activating needs a second person.
    Raises UnableToImportProfile, and UnableToActivate where it is to be activated.
    """
    profile = _profile(name.strip() or document["name"].strip(), document.get("description", ""), by)
    add_usage_classes(classes=document.get("usage_classes", []), by=by)
    if faults := list(lookup_documents.add_lookups(lookups=document.get("lookups", []), by=by, now=now)):
        raise UnableToImportProfile(faults)
    _add_samples(profile, document.get("golden_samples", []), by, now)
    version = create_draft(profile=profile, spec=document["spec"], note=document.get("note", ""), by=by)
    if activate and not asks_for_second_person("activate_profile", by):
        activate_version(version=version, by=by, now=now)
    return version


def _profile(name: str, description: str, by: User | None) -> DataProfile:
    known = DataProfile.objects.filter(name=name).first()
    if known is not None:
        return known
    require_permission(by, "mediation.add_dataprofile")
    return DataProfile.objects.create(name=name, description=description)


def add_usage_classes(*, classes: list[dict[str, str]], by: User | None) -> int:
    """Add the usage classes that are missing, each with name, type, unit and paid_by; returns how many."""
    known = set(UsageClass.objects.filter(name__in=[one["name"] for one in classes]).values_list("name", flat=True))
    fresh = {one["name"].strip(): one for one in classes if one["name"] not in known}
    if fresh:
        require_permission(by, "mediation.add_usageclass")
    for name, described in fresh.items():
        kind = None
        if described.get("type"):
            kind, _ = UsageClassType.objects.get_or_create(name=described["type"])
        options = {option: described[option] for option in ("unit", "paid_by") if described.get(option)}
        UsageClass.objects.create(name=name, usage_class_type=kind, **options)
    return len(fresh)


def _add_samples(profile: DataProfile, samples: list[dict[str, Any]], by: User | None, now: datetime) -> None:
    known = {sample.name: sample for sample in profile.golden_samples.all()}
    for place, described in enumerate(samples):
        wanted = {"is_rows": False, "expected": [], "note": "", **described}
        sample = known.get(wanted["name"])
        if sample is None:
            require_permission(by, "mediation.add_goldensample")
            GoldenSample.objects.create(profile=profile, created_at=now, created_by=by, **wanted)
        elif (sample.content, sample.is_rows, sample.expected) != tuple(
            wanted[member] for member in ("content", "is_rows", "expected")
        ):
            told = f"differs from the golden sample {sample.name!r} of {profile}. Change or remove that one on purpose"
            raise UnableToImportProfile([Fault(f"/golden_samples/{place}", told)])
