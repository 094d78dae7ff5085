"""Golden samples: kept from a preview, checked before a version is activated, changed only on purpose."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from mediation.core.differences import MISSING, Difference, differences
from mediation.core.previewing import Preview
from mediation.core.spec import Fault
from mediation.models import DataProfile, GoldenSample, GoldenSampleChange
from mediation.services.acting import acts
from mediation.services.permissions import require_permission
from mediation.services.previewing import UnableToPreview, preview

MAX_CHARS = 100_000
MAX_RECORDS = 200
MAX_TOLD = 20  # differences that a refusal names


class UnableToKeepSample(Exception):
    """A sample that cannot be kept, changed or removed like this."""


@acts()
@transaction.atomic
def keep_golden_sample(
    *,
    profile: DataProfile,
    name: str,
    content: str,
    is_rows: bool,
    spec: Any,
    note: str,
    by: User | None,
    now: datetime,
) -> GoldenSample:
    """Keep rows with what `spec` makes of them today as a golden sample of the profile."""
    require_permission(by, "mediation.add_goldensample")
    if not name.strip():
        raise UnableToKeepSample("A golden sample needs a name. Say what it guards.")
    expected = expected_of(_preview(content, is_rows, spec))
    try:
        with transaction.atomic():
            return GoldenSample.objects.create(
                profile=profile,
                name=name.strip(),
                content=content,
                is_rows=is_rows,
                expected=expected,
                note=note,
                created_at=now,
                created_by=by,
            )
    except IntegrityError:
        told = f"{profile} has a golden sample {name.strip()!r}. Choose another name, or change that one on purpose."
        raise UnableToKeepSample(told) from None


@acts(why="reason")
@transaction.atomic
def change_golden_sample(
    *, sample: GoldenSample, content: str, is_rows: bool, spec: Any, reason: str, by: User | None, now: datetime
) -> None:
    """Let the sample expect what `spec` makes of its rows; what it was is kept, with who changed it, when and why."""
    require_permission(by, "mediation.change_goldensample")
    sample = _remember(sample, reason=reason, by=by, now=now)
    sample.content, sample.is_rows = content, is_rows
    sample.expected = expected_of(_preview(content, is_rows, spec))
    sample.save(update_fields=["content", "is_rows", "expected"])


@acts(why="reason")
@transaction.atomic
def remove_golden_sample(*, sample: GoldenSample, reason: str, by: User | None, now: datetime) -> None:
    """Take a sample away; what it was is kept, with who removed it, when and why."""
    require_permission(by, "mediation.delete_goldensample")
    _remember(sample, reason=reason, by=by, now=now, is_removal=True).delete()


def _remember(
    sample: GoldenSample, *, reason: str, by: User | None, now: datetime, is_removal: bool = False
) -> GoldenSample:
    if not reason.strip():
        raise UnableToKeepSample("A golden sample is changed only on purpose. Say why.")
    locked = GoldenSample.objects.select_for_update().get(pk=sample.pk)
    GoldenSampleChange.objects.create(
        profile_id=locked.profile_id,
        name=locked.name,
        content=locked.content,
        expected=locked.expected,
        is_removal=is_removal,
        reason=reason.strip(),
        changed_at=now,
        changed_by=by,
    )
    return locked


def check_golden_samples(*, profile: DataProfile, spec: Any) -> list[Fault]:
    """How `spec` reads the profile's golden samples otherwise than expected: every difference, none where all hold."""
    samples = profile.golden_samples.order_by("name")
    return [fault for sample in samples for fault in _breaks(sample, spec)]


def _breaks(sample: GoldenSample, spec: Any) -> Iterator[Fault]:
    place = f"/golden_samples/{sample.name}"
    try:
        got = expected_of(_preview(sample.content, sample.is_rows, spec))
    except (UnableToPreview, UnableToKeepSample) as refusal:
        yield Fault(place, f"cannot be read any more: {refusal}")
        return
    found = list(differences(_by_number(sample.expected), _by_number(got)))
    for difference in found[:MAX_TOLD]:
        yield Fault(place + difference.pointer, _words(difference))
    if len(found) > MAX_TOLD:
        yield Fault(place, f"differs in {len(found) - MAX_TOLD:,} more places")


def _by_number(records: list[dict[str, Any]]) -> dict[str, Any]:
    return {str(record["record"]): record for record in records}


def _words(difference: Difference) -> str:
    was, now = (_shown(value) for value in (difference.before, difference.after))
    return f"{was} is expected, {now} came out"


def _shown(value: Any) -> str:
    if value is MISSING or value is None:
        return "nothing"
    return f"“{value}”" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def expected_of(made: Preview) -> list[dict[str, Any]]:
    """What a golden sample keeps of a preview: each record's outcome, and the fields of those that become UDRs."""
    return [
        {
            "record": record.number,
            "outcome": record.outcome,
            "reason": record.reason,
            "fields": {field.name: field.value for field in record.fields if field.value is not None}
            if record.outcome == "imported"
            else {},
        }
        for record in made.records
    ]


def _preview(content: str, is_rows: bool, spec: Any) -> Preview:
    """The preview of a sample, in which every class and identifier type that it names is taken for known.

    A golden sample guards what the profile says; whether this installation knows its classes is another matter.
    """
    if len(content) > MAX_CHARS:
        raise UnableToKeepSample(f"A golden sample has at most {MAX_CHARS:,} characters. Keep the rows that matter.")
    made = preview(spec=spec, content=content, as_rows=is_rows, knows_every_name=True)
    if len(made.records) > MAX_RECORDS or made.is_cut:
        raise UnableToKeepSample(f"A golden sample has at most {MAX_RECORDS} records. Keep the rows that matter.")
    return made
