"""Screens of corrections by a rule: their list, the page that follows one at work, and its undoing."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ingestion import selectors, services
from ingestion.admin.groups import group_url, words_of
from ingestion.models import GroupCorrection
from ingestion.selectors import Group
from mediation import selectors as mediation_selectors
from mediation.admin import filters, kit, marks, workbench

Status = GroupCorrection.Status
AT_WORK = (Status.WAITING, Status.RUNNING, Status.UNDOING)
MOST_PAIRS = 5
MOST_TRIED = 100
PROGRESS = "admin/workbench/progress.html"


def rule_words(rule: dict[str, Any]) -> SafeString:
    """A rule as a sentence."""
    where = "the whole record" if rule.get("raw") else rule.get("field", "")
    match rule.get("kind"):
        case "set":
            return format_html("Set <strong>{}</strong> to {}.", where, _text(rule.get("text")))
        case "map":
            pairs = list(rule.get("values", {}).items())
            told = format_html_join(", ", "{} becomes {}", ((_text(a), _text(b)) for a, b in pairs[:MOST_PAIRS]))
            rest = f" and {len(pairs) - MOST_PAIRS} more" if len(pairs) > MOST_PAIRS else ""
            return format_html("In <strong>{}</strong>, {}{}.", where, told, rest)
        case "substitute":
            made = _text(rule.get("replacement"))
            return format_html(
                "In <strong>{}</strong>, replace what matches <code>{}</code> by {}.", where, rule.get("pattern"), made
            )
        case _:
            return format_html("Set <strong>{}</strong> to <code>{}</code>.", where, rule.get("expression", ""))


def _text(text: Any) -> SafeString:
    return format_html("“{}”", workbench.cut(str(text))) if text not in (None, "") else format_html("{}", "nothing")


def group_of_correction(correction: GroupCorrection) -> Group:
    return Group(correction.feed_id, correction.code, correction.field, correction.value)


class UndoForm(workbench.ConfirmForm):
    """The button, bound to what its page told of undoing."""

    as_whole = forms.BooleanField(required=False, widget=forms.HiddenInput)


@admin.register(GroupCorrection)
class GroupCorrectionAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    change_form_template = "admin/ingestion/groupcorrection/change_form.html"
    list_display = (
        "rule_text",
        kit.status_badge(),
        "group_text",
        kit.count("record_count", "records"),
        kit.count("resolved_count", "resolved"),
        kit.count("still_count", "still exceptions"),
        "created_by",
        kit.moment("created_at", "asked for"),
    )
    actions = ("try_again",)
    list_filter = ("status", ("feed", filters.FeedFilter), ("created_at", filters.DayRangeFilter))
    list_select_related = ("feed", "created_by")
    export_also = {"feed": "feed__name", "created_by": "created_by__username"}
    empty_text = (
        "No correction by a rule yet. Open a group of exceptions and correct all of it at once: each such correction "
        "is listed here, with what became of its records, and can be undone. Once the first of them is rated, that "
        "takes mediating their imports again as a whole."
    )
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("rule_sentence", "group_link", "reason")}),
        (
            "Who and when",
            {
                "fields": (
                    ("created_by", kit.moment("created_at", "asked for")),
                    (kit.moment("started_at"), kit.moment("ended_at")),
                    ("undone_by", kit.moment("undone_at")),
                )
            },
        ),
    )

    class Media:
        css: ClassVar[Any] = {"all": ("config/workbench.css",)}

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/progress.json", wrap(self.progress_view), name="ingestion_groupcorrection_progress"),
            path("<int:pk>/undo/", wrap(self.undo_view), name="ingestion_groupcorrection_undo"),
            *super().get_urls(),
        ]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who sees exceptions sees what was done with them."""
        return kit.person(request).has_perm("ingestion.view_importexception") or super().has_view_permission(
            request, obj
        )

    def has_undo_permission(self, request: HttpRequest) -> bool:
        return kit.person(request).has_perm("ingestion.correct_importexception")

    has_correct_permission = has_undo_permission

    @admin.action(description="Try again", permissions=["correct"])
    def try_again(self, request: HttpRequest, corrections: QuerySet[GroupCorrection]) -> None:
        """Those that crashed too often go on where they stopped."""
        count, by, now = 0, kit.person(request), timezone.now()
        for correction in corrections.filter(status=Status.ERRORED)[:MOST_TRIED]:
            try:
                services.try_correction_again(correction=correction, by=by, now=now)
            except services.UnableToFix as refusal:
                self.message_user(request, str(refusal), messages.WARNING)
            else:
                count += 1
        kit.tell(self, request, count, "correction", "will go on")

    def offers(self, action: str, target: Any) -> bool:
        return target.status == Status.ERRORED

    @admin.display(description="rule")
    def rule_text(self, correction: GroupCorrection) -> Any:
        return format_html('<span class="clipped rule-words">{}</span>', rule_words(correction.rule))

    @admin.display(description="rule")
    def rule_sentence(self, correction: GroupCorrection) -> Any:
        return rule_words(correction.rule)

    @admin.display(description="group")
    def group_text(self, correction: GroupCorrection) -> Any:
        group = marks.clipped(words_of(group_of_correction(correction)))
        return format_html('{}<br><span class="quiet">{}</span>', group, marks.clipped(correction.feed.name))

    @admin.display(description="group")
    def group_link(self, correction: GroupCorrection) -> Any:
        group = group_of_correction(correction)
        return format_html("{} of {}", marks.link(words_of(group), group_url(group)), correction.feed)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [("The group", group_url(group_of_correction(target)))]
        if self.has_undo_permission(request) and services.can_undo(
            correction=target, by=kit.person(request), now=timezone.now()
        ):
            links.append(("Undo…", reverse("admin:ingestion_groupcorrection_undo", args=[target.pk])))
        return links

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        found = self.get_queryset(request).filter(pk=object_id).first() if object_id.isdecimal() else None
        context = extra_context or {}
        if found:
            address = reverse("admin:ingestion_groupcorrection_progress", args=[found.pk])
            context |= {"progress": progress_of(found), "progress_url": address}
        return super().change_view(request, object_id, form_url, context)

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        progress = progress_of(get_object_or_404(self.get_queryset(request), pk=pk))
        return workbench.progress_answer(PROGRESS, progress, is_at_rest=progress["at_rest"])

    def undo_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_undo_permission(request):
            raise PermissionDenied
        correction = get_object_or_404(self.get_queryset(request).select_related("feed"), pk=pk)
        by, now, refusal = kit.person(request), timezone.now(), ""
        told = UndoForm(request.POST)
        try:
            undoing = services.undoing_of(correction=correction, by=by, now=now)
            if request.method == "POST" and told.is_valid():
                as_whole = told.cleaned_data["as_whole"]
                undone = services.undo_correction(correction=correction, by=by, now=now, as_whole=as_whole)
                self.message_user(request, self._undone(undone))
                return HttpResponseRedirect(self.object_url(pk))
        except services.UndoingMoved as moved:
            refusal = str(moved)
        except services.UnableToUndo as fault:
            self.message_user(request, str(fault), messages.WARNING)
            return HttpResponseRedirect(self.object_url(pk))
        return workbench.ask_page(
            self,
            request,
            UndoForm(initial={"as_whole": undoing.is_whole}),
            title="Undo",
            button="Undo the correction",
            lines=undo_lines(correction, undoing),
            cancel_url=self.object_url(pk),
            crumbs=[(f"Correction {correction.pk}", self.object_url(pk))],
            refusal=refusal,
        )

    def _undone(self, correction: GroupCorrection) -> SafeString:
        link = marks.link("See the group", group_url(group_of_correction(correction)))
        count = kit.counted(correction.resolved_count, "record")
        if correction.is_undone_as_whole:
            text = "The correction is being undone: it is withdrawn, and its imports will be mediated again. {}."
            return format_html(text, link)
        if correction.status == Status.UNDOING:
            return format_html("The correction is being undone: {} will be open again soon. {}.", count, link)
        return format_html(
            "The correction is undone: {} open again as before. {}.",
            f"{count} are" if correction.resolved_count != 1 else f"{count} is",
            link,
        )


def undo_lines(correction: GroupCorrection, undoing: services.Undoing) -> list[Any]:
    """What undoing does, in sentences."""
    rule = format_html("The rule was: {}", rule_words(correction.rule))
    withdrawn = f"The corrections of {kit.counted(correction.corrected_count, 'record')} are withdrawn"
    if undoing.is_whole:
        return [rule, *_whole_lines(correction, undoing, withdrawn)]
    return [
        rule,
        f"{kit.counted(correction.resolved_count, 'record')} of {correction.feed} that became UDRs, were skipped or "
        "proved duplicates will be open exceptions again, and their UDRs leave.",
        f"{withdrawn}; they stay in sight.",
        "As soon as the first of the UDRs is rated, undoing takes more: the imports are mediated again as a whole.",
    ]


def _whole_lines(correction: GroupCorrection, undoing: services.Undoing, withdrawn: str) -> list[str]:
    imports = selectors.history().filter(pk__in=undoing.imports.values("pk"))
    sums = imports.order_by().aggregate(records=Sum("record_count", default=0), rated=Sum("rated_count", default=0))
    version = mediation_selectors.active_version(correction.feed.profile_id)
    return [
        "Some of its records are rated already, or were mediated again since. So its imports are mediated again as a "
        f"whole, without it: {kit.counted(imports.count(), 'import')} of {correction.feed} with all of their "
        f"{kit.counted(sums['records'], 'record')}, by what is active now: {version}. A request that this cannot read "
        "is mediated by the version that read it when it came.",
        f"{withdrawn}, but for records that were corrected again since; they stay in sight.",
        f"The charges of {kit.counted(sums['rated'], 'UDR')} will be reversed, and the new UDRs rated. What a closed "
        "statement has billed is adjusted in the open period.",
        "What the rule had resolved becomes what it is without it, mostly an open exception. What was made of an "
        "import before counts until its new attempt is complete.",
    ]


def progress_of(correction: GroupCorrection) -> dict[str, Any]:
    """What the progress panel shows, on the page and in its updates."""
    waiting = max(correction.record_count - correction.done_count, 0)
    parts = (
        ("imported", "resolved", correction.resolved_count),
        ("exceptions", "still exceptions", correction.still_count),
        ("skipped", "unchanged by the rule", correction.unchanged_count),
        ("duplicates", "passed over", correction.passed_count),
        ("waiting", "waiting", waiting),
    )
    group = group_of_correction(correction)
    still = group_url(group)
    resolved = marks.list_url(
        "ingestion_importexception", revisions__correction=correction.pk, status__exact="resolved"
    )
    return {
        "at_rest": correction.status not in AT_WORK,
        "badge": marks.badge(correction.status, correction.get_status_display()),
        "words": format_html(
            "<strong>{}</strong> of {} decided",
            marks.number(correction.done_count),
            kit.counted(correction.record_count, "record"),
        ),
        "bar": workbench.bar(parts),
        "counts": [
            ("corrected", marks.number(correction.corrected_count), ""),
            ("resolved", marks.number(correction.resolved_count), resolved),
            ("still exceptions", marks.number(correction.still_count), still),
            ("unchanged by the rule", marks.number(correction.unchanged_count), still),
            ("passed over", marks.number(correction.passed_count), ""),
            ("waiting", marks.number(waiting), ""),
        ],
        "error": correction.error,
    }
