"""Small marks on the screens: badges, outcome bars, numbers, raw records, links into filtered lists."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from mediation.admin.reach import may_see

NOTHING = "–"

# How each status of the house looks; one that is not named here looks neutral.
TONES = {
    "good": ("completed", "done", "rated", "active", "resolved", "imported", "closed", "reversed", "applied"),
    "busy": (
        "received",
        "waiting",
        "running",
        "claimed",
        "reprocessing",
        "rerating",
        "mediated",
        "held",
        "staged",
        "closing",
        "reverting",
        "abandoning",
        "draft",
        "counting",
    ),
    "warn": ("open", "exception", "superseded", "voided", "not_found", "reverted", "abandoned"),
    "bad": ("failed", "errored", "refused"),
}
TONE_OF = {status: tone for tone, statuses in TONES.items() for status in statuses}

OUTCOMES = ("imported", "exceptions", "skipped", "duplicates", "waiting")


def badge(status: str, label: str = "") -> SafeString:
    return format_html(
        '<span class="badge badge-{}">{}</span>', TONE_OF.get(status, "neutral"), label or status.replace("_", " ")
    )


def number(count: int | None) -> str:
    return NOTHING if count is None else f"{count:,}"


def exact(quantity: Decimal | int | None) -> str:
    """A quantity or an amount with every digit that says something, and none that does not."""
    if quantity is None:
        return NOTHING
    # As text: normalize() would round what has more than 28 digits, as totals may have.
    text = f"{quantity:,f}" if quantity else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(at: datetime | None) -> SafeString | str:
    if at is None:
        return NOTHING
    local = timezone.localtime(at)
    text = local.strftime("%Y-%m-%d %H:%M:%S")
    return format_html('<time datetime="{}" title="{} {}">{}</time>', at.isoformat(), text, local.tzname(), text)


def outcome_bar(counts: Mapping[str, int]) -> SafeString:
    """One bar of the share of each outcome, said in words too; an outcome is never too thin to see."""
    total = sum(counts.values())
    spoken = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count) or "no records"
    shares = (
        {outcome: max(100 * count / total, 2) if count > 0 else 0 for outcome, count in counts.items()} if total else {}
    )
    scale = 100 / max(sum(shares.values()), 1)
    pieces, start = [], 0.0
    for outcome, share in shares.items():
        pieces.append((outcome, f"{start * scale:.2f}", f"{share * scale:.2f}"))
        start += share
    rects = format_html_join("", '<rect class="outcome-{}" x="{}" width="{}" height="6"/>', pieces)
    return format_html(
        '<svg class="outcomes" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{0}">'
        "<title>{0}</title>{1}</svg>",
        spoken,
        rects,
    )


def outcomes(counted: Any) -> dict[str, int]:
    """The counts of an import (or of whatever has its counters) by outcome, as `outcome_bar` takes them."""
    return {
        "imported": counted.imported_count,
        "exceptions": counted.exception_count,
        "skipped": counted.skipped_count,
        "duplicates": counted.duplicate_count,
        "waiting": counted.waiting_count,
    }


def raw(text: str, limit: int | None = None) -> SafeString:
    """A record as received: control characters made visible, whitespace kept."""
    shown = text if limit is None or len(text) <= limit else text[:limit] + "…"
    visible = shown.translate({code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n"})
    kind = "raw" if limit is None else "raw raw-short"
    return format_html('<code class="{}" title="{}">{}</code>', kind, visible if limit else "", visible)


def pretty_json(value: Any) -> SafeString | str:
    if value is None:
        return NOTHING
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="raw" tabindex="0">{}</pre>', text)


def trace(text: str) -> SafeString | str:
    return format_html('<pre class="raw trace" tabindex="0">{}</pre>', text) if text else NOTHING


def list_url(model: str, **filters: Any) -> str:
    """The address of a list, filtered; `model` as in ingestion_importexception."""
    query = urlencode(filters)
    return reverse(f"admin:{model}_changelist") + (f"?{query}" if query else "")


def list_link(text: Any, model: str, **filters: Any) -> SafeString | str:
    """A text that leads to a list, for who may see it."""
    if not may_see(model):
        return str(text)
    return format_html('<a href="{}">{}</a>', list_url(model, **filters), text)


def alarm(count: int, model: str, **filters: Any) -> SafeString | str:
    """A count of what should not be: where there is any, a badge that leads to it, for who may see it."""
    if not count:
        return "0"
    if not may_see(model):
        return format_html('<span class="badge badge-bad">{}</span>', f"{count:,}")
    return format_html('<a class="badge badge-bad" href="{}">{}</a>', list_url(model, **filters), f"{count:,}")


def row_link(text: Any, model: str, pk: Any) -> SafeString | str:
    """What names a row, leading to its page for who may see it."""
    if pk is None:
        return NOTHING
    if not may_see(model):
        return conditional_escape(text)
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{model}_change", args=[pk]), text)


def link(text: Any, address: str) -> SafeString:
    return format_html('<a href="{}">{}</a>', address, text)


def clipped(text: str) -> SafeString:
    """A text of any length in one column: cut by the style, whole on hovering."""
    return format_html('<span class="clipped" title="{0}">{0}</span>', text)
