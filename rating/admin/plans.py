"""Screens of what usage costs: rate plans and their versions, and packages."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from mediation.admin import kit, marks
from rating.models import Package, PlanVersion, RatePlan


@admin.register(RatePlan)
class RatePlanAdmin(kit.ModelAdmin):
    list_display = ("name", "currency", "is_default", "description")
    list_filter = ("currency", "is_default")
    search_fields = ("name",)
    ordering = ("name",)
    empty_text = "No rate plan yet. Add one, then draft its first version; usage without a plan is a rating exception."

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [
            ("Versions", marks.list_url("rating_planversion", plan__id__exact=target.pk)),
            ("Accounts", marks.list_url("rating_account", rate_plan__id__exact=target.pk)),
        ]


@admin.register(PlanVersion)
class PlanVersionAdmin(kit.ModelAdmin):
    list_display = ("plan", "number", kit.status_badge(), kit.moment("starts_at"), "note")
    list_filter = ("plan", "status")
    list_select_related = ("plan",)
    search_fields = ("plan__name", "note")


@admin.register(Package)
class PackageAdmin(kit.ModelAdmin):
    list_display = ("name", "rate_plan", "description")
    list_select_related = ("rate_plan",)
    search_fields = ("name",)
    autocomplete_fields = ("rate_plan",)
    export_also = {"rate_plan": "rate_plan__name"}
    empty_text = "No package yet. A package prices the services that have it by its plan."
