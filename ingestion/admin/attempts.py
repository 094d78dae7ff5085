"""An import's attempts and its time line on its page, and the page that holds two attempts against each other."""

from decimal import Decimal
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from ingestion.admin.comparing import told_comparison
from ingestion.admin.progress import lasting
from ingestion.services.attempts import MOST_CHARGED, Attempt, Charged, compare_attempts
from ingestion.services.comparing import MAX_RECORDS, UnableToCompare
from ingestion.services.steps import ImportStep
from mediation.admin import kit, marks
from mediation.admin.previews import page

ZERO = Decimal(0)


def told_attempts(attempts: list[Attempt]) -> list[dict[str, Any]]:
    """The rows of the table of attempts."""
    return [
        {
            "number": attempt.number,
            "is_counting": attempt.is_counting,
            "version": attempt.version
            and marks.row_link(attempt.version, "mediation_profileversion", attempt.version.pk),
            "parts": marks.number(attempt.part_count),
            "corrections": marks.number(attempt.correction_count),
            "bar": marks.outcome_bar(attempt.counts),
            "said": _said(attempt),
            "began_at": marks.moment(attempt.began_at),
            "ended_at": marks.moment(attempt.ended_at),
        }
        for attempt in attempts
    ]


def _said(attempt: Attempt) -> str:
    counts = attempt.counts | {"repaired": attempt.repaired_count}
    return " · ".join(f"{count:,}\N{NO-BREAK SPACE}{name}" for name, count in counts.items() if count) or "nothing yet"


def told_steps(steps: list[ImportStep]) -> list[dict[str, Any]]:
    """The rows of the time line; the longest step has the whole bar."""
    longest = max((step.seconds or 0 for step in steps), default=0) or 1
    return [
        {
            "title": step.title,
            "text": step.text,
            "at": marks.moment(step.began_at),
            "took": _took(step),
            "width": f"{max(100 * (step.seconds or 0) / longest, 1):.2f}" if step.seconds else "",
        }
        for step in steps
    ]


def _took(step: ImportStep) -> str:
    if step.seconds is None:
        return "goes on"
    return lasting(step.seconds) if step.seconds else ""


def attempts_page(model_admin: kit.ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Two attempts at an import, record by record; by default the last one beside the one before."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    usage_import = get_object_or_404(model_admin.get_queryset(request), pk=pk)
    after = _asked(request, "after", usage_import.attempt)
    before = _asked(request, "before", max(after - 1, 1))
    context: dict[str, Any] = {
        "original": usage_import,
        "before": before,
        "after": after,
        "most_records": marks.number(MAX_RECORDS),
        "most_charged": marks.number(MOST_CHARGED),
    }
    try:
        compared = compare_attempts(usage_import=usage_import, before=before, after=after, by=kit.person(request))
    except UnableToCompare as refusal:
        context["refusal"] = refusal
    else:
        context["comparison"] = told_comparison(compared.comparison)
        context["charged"] = compared.charged and [_told_charge(*row) for row in compared.charged]
        context["is_uncounted"] = compared.charged is None and kit.person(request).has_perm("rating.view_charge")
    title = f"Attempts {before} and {after}"
    return page(model_admin, request, "admin/ingestion/usageimport/attempts.html", title, context)


def _asked(request: HttpRequest, name: str, default: int) -> int:
    asked = request.GET.get(name, "")
    return int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 5 else default


def _told_charge(usage_class: str, currency: str, before: Charged | None, after: Charged | None) -> dict[str, Any]:
    amounts = [one.amount if one else None for one in (before, after)]
    return {
        "usage_class": usage_class,
        "currency": currency,
        "counts": [marks.number(one.count if one else 0) for one in (before, after)],
        "amounts": [marks.exact(amount) for amount in amounts],
        "change": marks.exact((amounts[1] or ZERO) - (amounts[0] or ZERO))
        if amounts[0] != amounts[1]
        else marks.NOTHING,
    }
