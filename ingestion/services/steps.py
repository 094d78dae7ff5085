"""The steps of an import in time: received, mediated, corrected, rated, billed; each with when it began and ended."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User

from ingestion.models import UsageImport
from ingestion.services.attempts import Attempt


@dataclass(frozen=True)
class ImportStep:
    """Something that happened to an import. ended_at: None while it goes on, the same as began_at for a moment."""

    title: str
    text: str
    began_at: datetime
    ended_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return (self.ended_at - self.began_at).total_seconds() if self.ended_at else None


# Set by the roof, which sees rating: what follows mediation, as far as the reader may see it.
AFTERWARDS: list[Callable[[UsageImport, User], list[ImportStep]]] = []


def steps_of(*, usage_import: UsageImport, attempts: Sequence[Attempt], by: User) -> list[ImportStep]:
    """What happened to an import, the earliest first. attempts: of `attempts_of`."""
    received = ImportStep(
        "Received",
        f"By {usage_import.get_source_display()}, {usage_import.byte_size:,} bytes.",
        usage_import.received_at,
        usage_import.received_at,
    )
    steps = [received, *_waits(usage_import, attempts)]
    for attempt in attempts:
        steps += _of_attempt(attempt, is_current=attempt.number == usage_import.attempt)
    steps += [step for more in AFTERWARDS for step in more(usage_import, by)]
    return sorted(steps, key=lambda step: step.began_at)


def _waits(usage_import: UsageImport, attempts: Sequence[Attempt]) -> Iterator[ImportStep]:
    """Until the first attempt began: its turn had to come, and a file was unpacked and cut into parts."""
    first = attempts[-1] if attempts else None
    if first.number > 1 if first else usage_import.attempt > 1:
        return
    what = "For a worker, that cuts the file into parts." if usage_import.payload else "For a worker."
    ended_at = first.began_at if first else usage_import.ended_at
    yield ImportStep("Waited", what, usage_import.received_at, ended_at)


def _of_attempt(attempt: Attempt, *, is_current: bool) -> Iterator[ImportStep]:
    number = f", attempt {attempt.number}" if attempt.number > 1 else ""
    parts = "in one part" if attempt.part_count == 1 else f"in {attempt.part_count:,} parts"
    if attempt.began_at is not None:
        is_over = attempt.ended_at is not None and not (is_current and attempt.counts["waiting"])
        text = f"By {attempt.version or 'a version that is gone'}, {parts}."
        yield ImportStep(f"Mediated{number}", text, attempt.began_at, attempt.ended_at if is_over else None)
    if attempt.first_corrected_at is not None:
        s = "" if attempt.correction_count == 1 else "s"
        text = f"{attempt.correction_count:,} time{s} exceptions became something else."
        yield ImportStep(f"Corrected{number}", text, attempt.first_corrected_at, attempt.last_corrected_at)
    if attempt.rated_at is not None and attempt.began_at is not None:
        text = "From the first UDR until the last of its batches was rated."
        yield ImportStep(f"Rated{number}", text, attempt.began_at, attempt.rated_at)
    if attempt.reversed_at is not None:
        text = "A later attempt took its place; what was charged was taken back."
        yield ImportStep(f"Replaced{number}", text, attempt.reversed_at, attempt.reversed_at)
