"""What is done with every UDR of a group of rating exceptions, asked about first."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from mediation.admin import kit, marks, workbench
from mediation.admin.workbench import RATING_BENCH, Act
from rating import selectors, services
from rating.admin.group_names import asked_group, crumbs, group_url
from rating.models import RatingException
from rating.selectors import ExceptionGroup

ACTS = {
    "rerate": Act(
        text="Rerate all…",
        hint="Rate each again, after what was missing has been set up",
        permission="rating.rerate_ratingexception",
        do=services.ask_rerate,
        lines=(
            "Workers rate each again by the plans, accounts and identifiers of now; you can follow how far they are.",
            "What still lacks something stays open and says what.",
        ),
        button="Rerate",
    ),
    "retry-later": Act(
        text="Retry later…",
        hint="Try again by itself, with growing gaps, for two weeks",
        permission="rating.review_ratingexception",
        do=services.retry_later,
        lines=(
            "Each is tried again by itself: after 1, 5 and 15 minutes, 1 and 4 hours, then once a day for two weeks.",
            "What is charged leaves the schedule; the rest stays open.",
        ),
        button="Retry later",
        done="will be tried again by itself",
    ),
    "stop-retrying": Act(
        text="Stop retrying…",
        hint="End the schedule of tries",
        permission="rating.review_ratingexception",
        do=services.stop_retrying,
        lines=("They stay open and are not tried again by themselves.",),
        button="Stop retrying",
        done="will not be tried again by itself",
    ),
    "write-off": Act(
        text="Write off all…",
        hint="Give the usage up, with a reason",
        permission="rating.writeoff_ratingexception",
        do=services.write_off_rating_exceptions,
        lines=("This usage is given up: it will not be charged. The reason is kept with each.",),
        button="Write off",
        done="written off",
        needs_reason=True,
    ),
}
REFUSALS = (services.UnableToRerate, services.UnableToWriteOff, services.UnableToRetryLater, workbench.RowsMoved)


def act_view(model_admin: kit.ModelAdmin, request: HttpRequest, verb: str) -> HttpResponse:
    """Ask before something is done with all of a group, then do it."""
    act = ACTS.get(verb)
    if act is None:
        raise Http404("There is no such thing to do.")
    if not kit.person(request).has_perm(act.permission):
        raise PermissionDenied
    group = asked_group(request)
    rows = selectors.exceptions_of_group(group)
    sent = act.form(request.POST) if request.method == "POST" else None
    refusal = ""
    if sent is not None and sent.is_valid():
        try:
            told = sent.rows_told(rows)
            return HttpResponseRedirect(_do(model_admin, request, verb, group, told, sent.cleaned_data))
        except REFUSALS as fault:
            refusal = str(fault)
    return workbench.ask_page(
        model_admin,
        request,
        act.form.asking(request, rows),
        title=act.text.rstrip("…"),
        button=act.button,
        lines=[_size(rows), *act.lines],
        cancel_url=group_url(group),
        crumbs=crumbs(group),
        refusal=refusal,
    )


def _do(
    model_admin: kit.ModelAdmin,
    request: HttpRequest,
    verb: str,
    group: ExceptionGroup,
    rows: QuerySet[RatingException],
    answers: dict[str, Any],
) -> str:
    """Do it, say what happened, and where to go on."""
    act, by, now = ACTS[verb], kit.person(request), timezone.now()
    if verb == "rerate":
        asked = services.ask_rerate(exceptions=rows, group=group, by=by, now=now)
        said = f"{kit.counted(asked.exception_count, 'UDR')} will be rated again."
        model_admin.message_user(request, said)
        return reverse("admin:rating_exceptionrerate_change", args=[asked.pk])
    count = act.do(exceptions=rows, by=by, now=now, **act.reason_of(answers))
    link = marks.list_link("See them", "rating_ratingexception", feed_id=group.feed_id, cause__exact=group.cause)
    if count:
        model_admin.message_user(request, format_html("{} {}. {}.", kit.counted(count, "UDR"), act.done, link))
    else:
        model_admin.message_user(request, "None of these is open any more; nothing was changed.", messages.WARNING)
    return group_url(group)


def _size(rows: QuerySet[RatingException]) -> Any:
    value = RATING_BENCH.values.of_rows(rows) if RATING_BENCH.values else ""
    count = kit.counted(rows.count(), "open UDR")
    if value:
        return format_html("<strong>{}</strong>; value at risk, estimated: <strong>{}</strong>.", count, value)
    return format_html("<strong>{}</strong>.", count)
