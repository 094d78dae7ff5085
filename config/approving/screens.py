"""The screens of four eyes: what waits for a second person, and the page that asks whether to ask for one."""

from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.approving.acts import ACTS
from config.approving.deciding import (
    DECIDE,
    UnableToDecide,
    approve,
    ask_for_approval,
    refuse,
    seen_approvals,
    waiting_for,
    withdraw,
)
from config.models import Approval
from mediation.admin import filters, kit, marks
from mediation.services.approving import Asked, NeedsSecondPerson

SALT = "sluice.approval"
MOST_DECIDED = 20
LONGEST_WAIT_SECONDS = 3600  # between the page that asks and its answer
TONES = {"waiting": "waiting", "approved": "done", "refused": "failed", "withdrawn": "withdrawn", "expired": "expired"}


class ActFilter(admin.SimpleListFilter):
    title = parameter_name = "act"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, act.title) for name, act in ACTS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(act=self.value()) if self.value() else queryset


class AskForm(forms.Form):
    asked = forms.CharField(widget=forms.HiddenInput)
    why = forms.CharField(
        label="Why?",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text="The person who decides reads it, and it stays in the audit.",
    )


@admin.register(Approval)
class ApprovalAdmin(kit.ReadOnlyAdmin):
    list_display = (
        "request_text",
        "status_mark",
        "value_text",
        "asked_by",
        kit.moment("asked_at"),
        kit.moment("expires_at"),
        "decided_by",
    )
    list_filter = ("status", ActFilter, ("asked_at", filters.DayRangeFilter))
    list_select_related = ("asked_by", "decided_by")
    actions = ("approve", "refuse", "withdraw")
    export_without = ("arguments", "request_hash", "fingerprint", "feeds")
    export_also = {"asked_by": "asked_by__username", "decided_by": "decided_by__username"}
    empty_text = "Nothing waits for a second person. What the setting SLUICE_FOUR_EYES names is asked for here."
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("status_mark", "title_text", "summary", "value_text", "row_count", "subject_link")}),
        ("Asked for", {"fields": (("asked_by", kit.moment("asked_at")), "why", kit.moment("expires_at"))}),
        ("Decided", {"fields": (("decided_by", kit.moment("decided_at")), "decision", "outcome")}),
    )

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who asked for something sees what becomes of it."""
        person = kit.person(request)
        return person.has_perm("config.view_approval") or (obj is not None and obj.asked_by_id == person.pk)

    def has_decide_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return kit.person(request).has_perm(DECIDE)

    def has_ask_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # of the services, only the person who asked may withdraw

    def get_queryset(self, request: HttpRequest) -> QuerySet[Approval]:
        return seen_approvals(super().get_queryset(request), kit.person(request))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.ask_view)
        return [path("ask/", view, name="config_approval_ask"), *super().get_urls()]

    @admin.display(description="what is asked for", ordering="pk")
    def request_text(self, approval: Approval) -> Any:
        return marks.clipped(approval.summary)

    @admin.display(description="status", ordering="status")
    def status_mark(self, approval: Approval) -> Any:
        if approval.status == Approval.Status.WAITING and not approval.is_open(timezone.now()):
            return marks.badge("expired")
        return marks.badge(TONES[approval.status], approval.get_status_display())

    @admin.display(description="act")
    def title_text(self, approval: Approval) -> str:
        return ACTS[approval.act].title if approval.act in ACTS else approval.act

    @admin.display(description="value", ordering="value")
    def value_text(self, approval: Approval) -> Any:
        return marks.exact(approval.value) if approval.value is not None else marks.NOTHING

    @admin.display(description="rows")
    def row_count(self, approval: Approval) -> str:
        return marks.number(len(approval.arguments.get("ids", ())) or 1)

    @admin.display(description="about")
    def subject_link(self, approval: Approval) -> Any:
        model = approval.subject_label.lower().replace(".", "_")
        try:
            if approval.subject_id:
                return marks.row_link("Open it", model, approval.subject_id)
            return marks.list_link("Open the list", model)
        except NoReverseMatch:
            return approval.subject_label

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        if target.act == "activate_profile":
            return [("What it changes", reverse("admin:mediation_profileversion_difference", args=[target.subject_id]))]
        return []

    def offers(self, action: str, target: Any) -> bool:
        return bool(target.is_open(timezone.now()))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Nobody is offered to approve what they asked for, nor to withdraw what others did."""
        answer = super().render_change_form(request, context, *args, **kwargs)
        is_own = kwargs["obj"].asked_by_id == kit.person(request).pk
        context["object_actions"] = [pair for pair in context["object_actions"] if (pair[0] == "withdraw") == is_own]
        if isinstance(answer, TemplateResponse) and answer.context_data is not None:
            answer.context_data["object_actions"] = context["object_actions"]
        return answer

    def response_action(self, request: HttpRequest, queryset: QuerySet, *args: Any) -> HttpResponse | None:
        """Decided is what was read: never everything in the filter, and no more than the page between shows."""
        posted: Any = request.POST.copy()
        posted["select_across"] = "0"
        request.POST = posted
        if len(set(request.POST.getlist("_selected_action"))) > MOST_DECIDED:
            said = f"At most {MOST_DECIDED} are decided at once, so that each can be read. Choose fewer."
            self.message_user(request, said, messages.WARNING)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args)

    @admin.action(description="Approve…", permissions=["decide"])
    def approve(self, request: HttpRequest, chosen: QuerySet[Approval]) -> HttpResponse | None:
        if "is_confirmed" not in request.POST:
            lines = [
                f"{each.summary} Asked for by {each.asked_by}: {each.why or 'without a reason'}" for each in chosen
            ]
            lines.append("It is done at once, as the person who asked; the audit names you both.")
            return kit.ask_first(self, request, chosen, action="approve", lines=lines, button="Approve and do it")
        for approval in chosen.order_by("pk"):
            try:
                done = approve(approval=approval, by=kit.person(request), now=timezone.now())
            except (UnableToDecide, PermissionDenied) as refusal:
                self.message_user(request, f"{approval} {refusal}", messages.WARNING)
            else:
                self.message_user(request, f"Approved. {done}")
        return None

    @admin.action(description="Refuse…", permissions=["decide"])
    def refuse(self, request: HttpRequest, chosen: QuerySet[Approval]) -> HttpResponse | None:
        why = request.POST.get("reason", "").strip()
        if not why:
            question = "Why is this refused? The person who asked reads it."
            return kit.ask_reason(self, request, chosen, action="refuse", question=question, button="Refuse")
        for approval in chosen.order_by("pk"):
            try:
                refuse(approval=approval, by=kit.person(request), why=why, now=timezone.now())
            except (UnableToDecide, PermissionDenied) as refusal:
                self.message_user(request, f"{approval} {refusal}", messages.WARNING)
            else:
                self.message_user(request, f"Refused: {approval}")
        return None

    @admin.action(description="Withdraw", permissions=["ask"])
    def withdraw(self, request: HttpRequest, chosen: QuerySet[Approval]) -> None:
        for approval in chosen.order_by("pk"):
            try:
                withdraw(approval=approval, by=kit.person(request), now=timezone.now())
            except UnableToDecide as refusal:
                self.message_user(request, str(refusal), messages.WARNING)
            else:
                self.message_user(request, f"Withdrawn: {approval}")

    def ask_view(self, request: HttpRequest) -> HttpResponse:
        """The answer to the page between: keeps what was asked, which nobody but its page can have written."""
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:index"))
        try:
            asked = _unpacked(request)
        except signing.BadSignature:
            self.message_user(request, "The page was too old. Do it again, and ask from there.", messages.WARNING)
            return HttpResponseRedirect(reverse("admin:index"))
        form = AskForm(request.POST)
        if not form.is_valid():
            return ask_page(request, asked, form)
        approval = ask_for_approval(asked=asked, why=form.cleaned_data["why"], now=timezone.now())
        if approval.asked_by_id == asked.by.pk:
            self.message_user(request, "It waits for a second person now, who decides within 7 days.")
        elif self.has_view_permission(request):
            self.message_user(request, f"{approval.asked_by} asked for this already.")
        else:
            self.message_user(request, f"{approval.asked_by} asked for this already; it waits for a second person.")
            return HttpResponseRedirect(reverse("admin:index"))
        return HttpResponseRedirect(self.object_url(approval.pk))


def ask_page(request: HttpRequest, asked: Asked, form: AskForm | None = None) -> TemplateResponse:
    """The page that says that it needs a second person, and offers to ask for one; nothing was done so far."""
    reason = str(asked.arguments.get("reason", ""))
    context = {
        **admin.site.each_context(request),
        "title": "This needs a second person",
        "button": "Ask for approval",
        "lead": f"{asked.summary.rstrip('.')} – nothing was done yet: another person has to agree.",
        "form": form or AskForm(initial={"asked": _packed(asked), "why": reason}),
        "form_action": reverse("admin:config_approval_ask"),
    }
    return TemplateResponse(request, "admin/form_page.html", context)


def _packed(asked: Asked) -> str:
    value = None if asked.value is None else str(asked.value)
    document = [asked.act, list(asked.subject), dict(asked.arguments), asked.summary, asked.by.pk, value]
    return signing.dumps(document, salt=SALT, compress=True)


def _unpacked(request: HttpRequest) -> Asked:
    """What the page between was asked about, of this very person. Raises BadSignature."""
    document = signing.loads(request.POST.get("asked", ""), salt=SALT, max_age=LONGEST_WAIT_SECONDS)
    act, subject, arguments, summary, number, value = document
    person = kit.person(request)
    if number != person.pk:
        raise signing.BadSignature("another person's page")
    return Asked(act, (subject[0], subject[1]), arguments, summary, person, None if value is None else Decimal(value))


def asked_by_program(error: NeedsSecondPerson) -> tuple[int, str]:
    """Keep what a program asked for; its number and where a person decides it."""
    approval = ask_for_approval(asked=error.asked, why=str(error.asked.arguments.get("reason", "")), now=timezone.now())
    return approval.pk, reverse("admin:config_approval_change", args=[approval.pk])


def notes_of(request: HttpRequest, target: Any) -> list[SafeString]:
    """What waits for a second person about this object."""
    waiting = waiting_for(target._meta.label, target.pk, timezone.now())[:5] if target._meta.label in _LABELS else ()
    return [
        format_html(
            '{} – asked for by {} at {}: <a href="{}">it waits for a second person</a>.',
            approval.summary.rstrip("."),
            approval.asked_by,
            marks.moment(approval.asked_at),
            reverse("admin:config_approval_change", args=[approval.pk]),
        )
        for approval in waiting
    ]


_LABELS = frozenset(
    {
        "mediation.ProfileVersion",
        "rating.PlanVersion",
        "rating.BillingPeriod",
        "rating.Repricing",
        "rating.RatingException",
        "ingestion.ImportException",
        "ingestion.UsageImport",
    }
)
