"""The beginning of what came, as text: enough to recognise a file or a request, and never more."""

from dataclasses import dataclass

from django.db.models import BinaryField
from django.db.models.functions import Substr

from ingestion import store
from ingestion.core.bodies import Shape, media_type_of
from ingestion.models import ImportBody, UsageImport

MOST_BYTES = 8_192
MOST_LINES = 20
MOST_CHARS = 400  # of a line


@dataclass(frozen=True)
class Beginning:
    """The first lines; is_cut: there is more; said: why there are none, or of what they are."""

    lines: tuple[str, ...]
    is_cut: bool
    said: str = ""


def beginning_of(usage_import: UsageImport) -> Beginning:
    """The first lines of a file, unpacked where it came packed, or of the body of a request."""
    try:
        start, said = _start(usage_import)
    except (FileNotFoundError, ImportBody.DoesNotExist):
        return Beginning((), False, "The original is not in the file storage any more.")
    if b"\0" in start:
        return Beginning((), True, "It is not text. Download it to look into it.")
    lines = start.decode(errors="replace").splitlines()
    if len(start) == MOST_BYTES and len(lines) > 1:
        lines.pop()  # cut somewhere
    shown = tuple(f"{line[:MOST_CHARS]}…" if len(line) > MOST_CHARS else line for line in lines[:MOST_LINES])
    return Beginning(shown, len(start) == MOST_BYTES or len(lines) > MOST_LINES, said)


def _start(usage_import: UsageImport) -> tuple[bytes, str]:
    """The first bytes, and what is to be said of them."""
    if usage_import.payload:
        return store.payload_start(usage_import, MOST_BYTES), "As it was unpacked." if usage_import.unpacked else ""
    start = Substr("content", 1, MOST_BYTES, output_field=BinaryField())
    body = ImportBody.objects.annotate(start=start).defer("content").get(pk=usage_import.pk)
    return bytes(body.start), "" if body.shape == Shape.JSON else f"Sent as {media_type_of(body.shape)}."
