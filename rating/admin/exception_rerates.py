"""The screen of what was asked to be rated again: how far workers are, and what came of it."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from mediation import services as mediation
from mediation.admin import filters, kit, marks, workbench
from rating import services
from rating.admin.differences import progress_bar
from rating.admin.groups import group_url, words_of
from rating.models import ExceptionRerate
from rating.selectors import ExceptionGroup

Status = ExceptionRerate.Status
PROGRESS = "admin/workbench/progress.html"


@admin.register(ExceptionRerate)
class ExceptionRerateAdmin(kit.ReadOnlyAdmin):
    list_display = (
        "number",
        kit.status_badge(),
        "about",
        kit.count("exception_count"),
        kit.count("charged_count"),
        kit.moment("created_at", "asked at"),
        "created_by",
        kit.moment("ended_at"),
    )
    list_filter = ("status", ("feed_id", filters.NamedNumberFilter), ("created_at", filters.DayRangeFilter))
    list_select_related = ("created_by",)
    named_numbers = ("feed_id",)
    actions = ("retry",)
    export_also = {"asked_by": "created_by__username"}
    empty_text = "No group was rated again yet. Open a group of rating exceptions, mend what is missing, and rerate it."
    fields: ClassVar[Any] = (
        "about",
        (kit.moment("created_at", "asked at"), "created_by"),
        kit.moment("ended_at"),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.progress_view)
        name = "rating_exceptionrerate_progress"
        return [path("<int:pk>/progress.json", view, name=name), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExceptionRerate]:
        """Those of feeds that the person sees, and the person's own."""
        rows, by = super().get_queryset(request), kit.person(request)
        feeds = mediation.feeds_seen(by)
        return rows if feeds is None else rows.filter(Q(feed_id__in=feeds) | Q(created_by=by))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return kit.person(request).has_perm("rating.view_ratingexception")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_retry_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return kit.person(request).has_perm("rating.rerate_ratingexception")

    @admin.display(description="rerate")
    def number(self, asked: Any) -> str:
        return f"rerate {asked.pk}"

    @admin.display(description="of")
    def about(self, asked: Any) -> Any:
        if not asked.group:
            return "chosen exceptions"
        group = ExceptionGroup.from_json(asked.group)
        return marks.link(words_of(group), group_url(group))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        asked = kwargs["obj"]
        context |= {
            "progress": progress_of(asked),
            "at_rest": asked.status != Status.WAITING,
            "progress_url": reverse("admin:rating_exceptionrerate_progress", args=[asked.pk]),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = get_object_or_404(self.get_queryset(request), pk=pk)
        return workbench.progress_answer(PROGRESS, progress_of(asked), is_at_rest=asked.status != Status.WAITING)

    def offers(self, action: str, target: Any) -> bool:
        return bool(target.status == Status.ERRORED)

    @admin.action(description="Try again", permissions=["retry"])
    def retry(self, request: HttpRequest, chosen: QuerySet[ExceptionRerate]) -> None:
        for asked in chosen.order_by("pk"):
            try:
                services.retry_rerate(asked=asked, by=kit.person(request), now=timezone.now())
            except services.UnableToRerate as refusal:
                self.message_user(request, str(refusal), messages.WARNING)
            else:
                self.message_user(request, f"The {asked} goes on where it stopped.")


def progress_of(asked: ExceptionRerate) -> dict[str, Any]:
    """How far a rerate has come, as its panel shows it."""
    left = asked.tried_count - asked.charged_count
    group = asked.group and ExceptionGroup.from_json(asked.group)
    said = {"cause__exact": group.cause, "feed_id": group.feed_id} if group else {}
    return {
        "badge": marks.badge(asked.status, asked.get_status_display()),
        "words": f"{marks.number(asked.tried_count)} of {kit.counted(asked.exception_count, 'exception')} tried again",
        "bar": progress_bar(asked.tried_count, asked.exception_count),
        "counts": [
            ("charged now", marks.number(asked.charged_count), ""),
            (
                "not charged",
                marks.number(left),
                marks.list_url("rating_ratingexception", status__exact="open", **said),
            ),
        ],
        "error": asked.error,
    }
