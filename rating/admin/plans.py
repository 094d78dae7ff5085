"""Screens of what usage costs: rate plans, their groups, rates and tiers, and allowances."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from mediation.admin import kit, marks
from rating.models import Bucket, Rate, RateGroup, RatePlan, Tier


class BucketForm(forms.ModelForm):
    class Meta:
        model = Bucket
        fields = ("plan", "name", "size", "usage_classes")

    def clean(self) -> dict[str, Any] | None:
        answers = super().clean()
        if plan := self.cleaned_data.get("plan"):
            self.instance.plan = plan
        self.instance.check_usage_classes(self.cleaned_data.get("usage_classes") or ())
        return answers


class GroupInline(kit.EditInline):
    model = RateGroup
    show_change_link = True
    ordering = ("position",)
    verbose_name_plural = "rate groups, searched from the lowest position up; open one to set its rates"


class BucketInline(admin.StackedInline):
    model = Bucket
    form = BucketForm
    extra = 0
    autocomplete_fields = ("usage_classes",)


class RateInline(kit.EditInline):
    model = Rate
    show_change_link = True
    autocomplete_fields = ("usage_class",)
    verbose_name_plural = "rates, one for each usage class; open a graduated one to set its tiers"


class TierInline(kit.EditInline):
    model = Tier
    ordering = ("up_to",)
    verbose_name_plural = "tiers, for the graduated model only"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.is_used) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.is_used) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.is_used) and super().has_delete_permission(request, obj)


@admin.register(RatePlan)
class RatePlanAdmin(kit.ModelAdmin):
    list_display = ("name", "is_default", "description")
    list_filter = ("is_default",)
    search_fields = ("name",)
    ordering = ("name",)
    inlines = (GroupInline, BucketInline)
    empty_text = (
        "No rate plan yet. Add one with a group and its rates; usage without a plan becomes a rating exception."
    )

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [
            ("Rates", marks.list_url("rating_rate", group__plan__id__exact=target.pk)),
            ("Accounts", marks.list_url("rating_account", rate_plan__id__exact=target.pk)),
        ]


@admin.register(RateGroup)
class RateGroupAdmin(kit.ModelAdmin):
    list_display = ("name", "plan", "position", "currency", kit.moment("starts_at"), kit.moment("ends_at"))
    list_filter = ("plan", "currency")
    list_select_related = ("plan",)
    search_fields = ("name", "plan__name")
    autocomplete_fields = ("plan",)
    inlines = (RateInline,)
    export_also = {"plan": "plan__name"}
    empty_text = "No rate group yet. Groups are made inside a rate plan."

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [("Rate plan", reverse("admin:rating_rateplan_change", args=[target.plan_id]))]


@admin.register(Rate)
class RateAdmin(kit.ModelAdmin):
    list_display = ("usage_class", "group", "model", "price_text", "minimum", "increment")
    list_filter = ("model", "group__plan", "usage_class")
    list_select_related = ("usage_class", "group__plan")
    search_fields = ("usage_class__name", "group__name", "group__plan__name")
    autocomplete_fields = ("group", "usage_class")
    inlines = (TierInline,)
    export_also = {"usage_class": "usage_class__name", "group": "group__name", "plan": "group__plan__name"}
    empty_text = "No rate yet. Rates are made inside a rate group, one for each usage class."

    readonly_fields = ("is_used",)

    @admin.display(description="price", ordering="price")
    def price_text(self, rate: Any) -> str:
        return marks.exact(rate.price)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A rate that charges name explains them: end its group and price anew in another, instead of changing it."""
        return not (obj and obj.is_used) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and obj.is_used) and super().has_delete_permission(request, obj)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [("Rate group", reverse("admin:rating_rategroup_change", args=[target.group_id]))]


@admin.register(Bucket)
class BucketAdmin(kit.ModelAdmin):
    form = BucketForm
    list_display = ("name", "plan", "size_text")
    list_filter = ("plan",)
    list_select_related = ("plan",)
    search_fields = ("name",)
    autocomplete_fields = ("plan", "usage_classes")
    export_also = {"plan": "plan__name"}
    empty_text = "No bucket yet. A bucket is an allowance that a plan gives to each service in each period."

    @admin.display(description="size", ordering="size")
    def size_text(self, bucket: Any) -> str:
        return marks.exact(bucket.size)
