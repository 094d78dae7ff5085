"""The panel that follows an import: its counts, how fast it goes, how long it will take, and which attempt counts."""

from datetime import datetime
from typing import Any

from django.db.models import F, Q, Sum
from django.utils import timezone

from ingestion.models import ImportChunk, UsageImport
from ingestion.services.attempts import attempts_of
from mediation.admin import kit, marks

Status = UsageImport.Status
AT_REST = (Status.COMPLETED, Status.FAILED, Status.ERRORED)


def progress_of(usage_import: Any) -> dict[str, Any]:
    """What the progress panel shows, on the page and in its updates; a row of `selectors.history`."""
    is_at_rest = usage_import.status in AT_REST
    counts = marks.outcomes(usage_import)
    own = {"usage_import": usage_import.pk}
    addresses = {
        "imported": marks.list_url("mediation_udr", import_id=usage_import.pk),
        "exceptions": marks.list_url("ingestion_importexception", **own),
        "skipped": marks.list_url("ingestion_leftoutrecord", outcome__exact="skipped", **own),
        "duplicates": marks.list_url("ingestion_leftoutrecord", outcome__exact="duplicate", **own),
    }
    return {
        "badge": marks.badge(usage_import.status, usage_import.get_status_display()),
        "at_rest": is_at_rest,
        "bar": marks.outcome_bar(counts),
        "record_count": marks.number(usage_import.record_count),
        "beside": _beside(usage_import),
        "counts": [(name, marks.number(count), addresses.get(name)) for name, count in counts.items()],
        "error": usage_import.error,
        "earlier": _earlier_of(usage_import),
        "pace": "" if is_at_rest else pace_of(usage_import, timezone.now()),
        "unrated": _unrated(usage_import) if is_at_rest else "",
    }


def _beside(usage_import: Any) -> list[tuple[str, str, str]]:
    """The counts that are no outcomes: (name, count, address)."""
    number = usage_import.pk
    return [
        (
            "repaired",
            marks.number(usage_import.repaired_count),
            marks.list_url("mediation_udr", import_id=number, repairs__isnull=0),
        ),
        ("rated", marks.number(usage_import.rated_count), marks.list_url("rating_charge", import_id=number)),
        (
            "rating exceptions",
            marks.number(usage_import.rating_exception_count),
            marks.list_url("rating_ratingexception", import_id=number, status__exact="open"),
        ),
        ("voided", marks.number(usage_import.voided_count), marks.list_url("mediation_voidedudr", import_id=number)),
    ]


def _unrated(usage_import: Any) -> str:
    """What rating has still to take up, in words."""
    decided = usage_import.rated_count + usage_import.rating_exception_count + usage_import.voided_count
    left = usage_import.imported_count - decided
    return f"{kit.counted(left, 'UDR')} {'waits' if left == 1 else 'wait'} to be rated." if left > 0 else ""


def pace_of(usage_import: UsageImport, now: datetime) -> str:
    """How many records a second went through, and how long the rest will take at that, in words.

    A file's records are known only once they are read, so that what is left is reckoned in bytes.
    """
    if usage_import.started_at is None:
        return "It waits for a worker."
    elapsed = (now - usage_import.started_at).total_seconds()
    done = usage_import.record_count - usage_import.waiting_count
    if elapsed < 1 or not done:
        return "The first records are being read."
    chunks = ImportChunk.objects.filter(usage_import=usage_import, attempt=usage_import.attempt)
    length = F("byte_end") - F("byte_start")
    through = Q(status=ImportChunk.Status.DONE)
    size = chunks.aggregate(whole=Sum(length, default=0), done=Sum(length, filter=through, default=0))
    said = f"{done / elapsed:,.0f} records a second"
    if not size["done"] or size["done"] >= size["whole"]:
        return f"{said}."
    left = elapsed * (size["whole"] - size["done"]) / size["done"]
    return f"{said}, {100 * size['done'] // size['whole']} % of the file; about {lasting(left)} left."


def lasting(seconds: float) -> str:
    """A stretch of time in its two largest units: `2 h 5 min`, `40 s`, `0.4 s`, `< 0.1 s`."""
    if seconds < 0.05:
        return "< 0.1 s"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, whole = divmod(whole, size)
        if count or parts:
            parts.append(f"{count} {name}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def _earlier_of(usage_import: UsageImport) -> dict[str, Any] | None:
    """The earlier attempt that counts while a newer one is not complete, with its counts in words."""
    if usage_import.attempt == 1 or usage_import.status == Status.COMPLETED:
        return None
    counting = [one for one in attempts_of(usage_import) if one.is_counting and one.number < usage_import.attempt]
    if not counting:
        return None
    said = ", ".join(f"{count:,} {name}" for name, count in counting[0].counts.items() if count)
    return {"attempt": counting[0].number, "newer": usage_import.attempt, "said": said}
