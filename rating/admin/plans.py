"""Screens of what usage costs: rate plans and their versions, and packages."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode

from mediation.admin import kit, marks
from rating import services
from rating.admin import versions
from rating.admin.quotes import quote_page
from rating.core.plans.ordering import in_reading_order
from rating.models import Package, PlanVersion, RatePlan


class VersionInline(kit.ReadOnlyInline):
    model = PlanVersion
    fields: ClassVar[Any] = (
        kit.status_badge(),
        kit.moment("starts_at"),
        "note_text",
        kit.moment("created_at"),
        "created_by",
        kit.moment("activated_at"),
    )
    ordering = ("-number",)
    verbose_name_plural = "versions (open one to read it, or to change a draft)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanVersion]:
        return super().get_queryset(request).select_related("plan", "created_by").defer("document")

    @admin.display(description="note")
    def note_text(self, version: Any) -> Any:
        return marks.clipped(version.note)


@admin.register(RatePlan)
class RatePlanAdmin(kit.ModelAdmin):
    list_display = ("name", "currency", "version_now", "is_default", "description_text")
    list_filter = ("currency", "is_default")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name", "description", "currency", "is_default")
    inlines = (VersionInline,)
    empty_text = "No rate plan yet. Add one, then draft its first version; usage without a plan is a rating exception."

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(partial(versions.import_page, self))
        return [path("import/", view, name="rating_rateplan_import"), *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Charges were made in the currency of a plan with an active version."""
        is_used = obj is not None and obj.versions.filter(status=PlanVersion.Status.ACTIVE).exists()
        return ("currency",) if is_used else ()

    def dress_rows(self, rows: list[Any]) -> None:
        now = versions.versions_now(rows)
        for row in rows:
            row.version_now = now.get(row.pk)

    @admin.display(description="version now")
    def version_now(self, plan: Any) -> Any:
        return plan.version_now or "none"

    @admin.display(description="description")
    def description_text(self, plan: Any) -> Any:
        return marks.clipped(plan.description)

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        if not kit.person(request).has_perm("rating.add_planversion"):
            return []
        return [("Import", reverse("admin:rating_rateplan_import"))]

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [
            ("Versions", marks.list_url("rating_planversion", plan__id__exact=target.pk)),
            ("Packages", marks.list_url("rating_package", rate_plan__id__exact=target.pk)),
            ("Accounts", marks.list_url("rating_account", rate_plan__id__exact=target.pk)),
            ("Services", marks.list_url("rating_service", rate_plan__id__exact=target.pk)),
        ]
        if kit.person(request).has_perm("rating.add_planversion"):
            address = reverse("admin:rating_planversion_add")
            links.append(("Draft a version", f"{address}?{urlencode({'plan': target.pk})}"))
        return links


FACTS = ("status_mark", kit.moment("starts_at"))
MAKING = (kit.moment("created_at"), "created_by", kit.moment("activated_at"), "activated_by")


@admin.register(PlanVersion)
class PlanVersionAdmin(kit.ModelAdmin):
    form = versions.VersionForm
    list_display = (
        "__str__",
        kit.status_badge(),
        kit.moment("starts_at"),
        "note",
        "created_by",
        kit.moment("created_at"),
    )
    list_filter = ("status", "plan")
    list_select_related = ("plan", "created_by")
    search_fields = ("plan__name", "note")
    autocomplete_fields = ("plan",)
    actions = ("activate",)
    export_also = {"plan": "plan__name"}
    empty_text = "No version yet. Open a rate plan and draft one, or import a plan document."

    has_activate_permission = kit.permission("activate")

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(f"<int:pk>/{name}/", self.admin_site.admin_view(self._page(view)), name=f"rating_planversion_{name}")
            for name, view in (
                ("activate", versions.activation_page),
                ("difference", versions.difference_page),
                ("document", versions.export_page),
                ("quote", quote_page),
            )
        ]
        return [*own, *super().get_urls()]

    def _page(self, page: Callable[[kit.ModelAdmin, HttpRequest, PlanVersion], HttpResponse]) -> Any:
        """A page of one version as a view of its number."""

        def view(request: HttpRequest, pk: int) -> HttpResponse:
            return page(self, request, get_object_or_404(PlanVersion.objects.select_related("plan"), pk=pk))

        return view

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanVersion]:
        """Lists do not carry the documents; a page of one version fetches its own."""
        return super().get_queryset(request).defer("document")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return [(None, {"fields": ("plan", "note", "document")})]
        document = "document" if self.has_change_permission(request, obj) else "document_shown"
        return [(None, {"fields": (FACTS, MAKING, "note", document)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*FACTS, *MAKING, "document_shown") if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_open = obj is None or obj.status == PlanVersion.Status.DRAFT
        return is_open and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_open = obj is not None and obj.status == PlanVersion.Status.DRAFT
        return is_open and super().has_delete_permission(request, obj)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A new draft starts from the version in `from`, from the plan's newest, or from an example."""
        newest = PlanVersion.objects.order_by("-number")
        source = newest.filter(pk=_number(request, "from")).first()
        source = source or newest.filter(plan=_number(request, "plan")).first()
        if source is not None:
            return {"plan": source.plan_id, "document": source.document}
        plan = RatePlan.objects.filter(pk=_number(request, "plan")).first()
        return {"plan": plan, "document": versions.example_document(plan)}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        target = kwargs.get("obj")
        return super().render_change_form(request, context | (versions.told(target) if target else {}), *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: forms.Form, change: bool) -> None:
        by, said = kit.person(request), {"document": obj.document, "note": obj.note}
        try:
            if change:
                services.update_draft(version=obj, by=by, **said)
            else:
                draft = services.create_draft(plan=obj.plan, by=by, now=timezone.now(), **said)
                obj.__dict__.update(draft.__dict__)
        except services.UnableToActivatePlan as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return
        if count := len(services.faults_of(document=obj.document, plan=obj.plan)):
            warning = f"It is kept, but cannot be activated: {kit.counted(count, 'fault')}, told below."
            self.message_user(request, warning, messages.WARNING)

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponseRedirect:
        """A draft that was saved is read next, with its faults or its words."""
        return HttpResponseRedirect(self.object_url(obj.pk))

    response_post_save_change = response_post_save_add

    def offers(self, action: str, target: Any) -> bool:
        return target.status == PlanVersion.Status.DRAFT

    @admin.action(description="Activate…", permissions=["activate"])
    def activate(self, request: HttpRequest, chosen: QuerySet[PlanVersion]) -> HttpResponse | None:
        first, *more = chosen.select_related("plan")
        if more:
            self.message_user(request, "Activate one version at a time, each from its own moment.", messages.WARNING)
            return None
        return versions.activation_page(self, request, first)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [
            ("Try it", reverse("admin:rating_planversion_quote", args=[target.pk])),
            ("Beside another version", reverse("admin:rating_planversion_difference", args=[target.pk])),
            ("Export", reverse("admin:rating_planversion_document", args=[target.pk])),
            ("Rate plan", reverse("admin:rating_rateplan_change", args=[target.plan_id])),
        ]
        if self.has_add_permission(request):
            address = reverse("admin:rating_planversion_add")
            links.append(("Draft from this version", f"{address}?{urlencode({'from': target.pk})}"))
        for more in versions.VERSION_LINKS:
            links += more(request, target)
        return links

    @admin.display(description="status")
    def status_mark(self, version: Any) -> Any:
        return marks.badge(version.status)

    @admin.display(description="document")
    def document_shown(self, version: Any) -> Any:
        return marks.pretty_json(in_reading_order(version.document))


def _number(request: HttpRequest, name: str) -> int:
    """The number of a row in the address; 0, which no row has, where there is none."""
    asked = request.GET.get(name, "")
    return int(asked) if asked.isdecimal() else 0


@admin.register(Package)
class PackageAdmin(kit.ModelAdmin):
    list_display = ("name", "rate_plan", "description_text")
    list_filter = ("rate_plan",)
    list_select_related = ("rate_plan",)
    search_fields = ("name",)
    ordering = ("name",)
    autocomplete_fields = ("rate_plan",)
    export_also = {"rate_plan": "rate_plan__name"}
    empty_text = "No package yet. A package prices the services that have it by its plan."

    @admin.display(description="description")
    def description_text(self, package: Any) -> Any:
        return marks.clipped(package.description)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [
            ("Services that have it", marks.list_url("rating_service", package__id__exact=target.pk)),
            ("Rate plan", reverse("admin:rating_rateplan_change", args=[target.rate_plan_id])),
        ]
