"""Screens of what is taxed where: jurisdictions with their tax codes, tax categories of classes, exemptions."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from mediation.admin import kit, marks
from rating.models import ClassTaxCategory, Jurisdiction, TaxCode, TaxExemption, TaxPart


class TaxCodeInline(kit.ReadOnlyInline):
    model = TaxCode
    fields: ClassVar[Any] = ("category", "name", "parts_text", kit.moment("starts_at"), kit.moment("ends_at"))
    ordering = ("category", "starts_at")
    verbose_name_plural = "tax codes (open one to change it)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaxCode]:
        return super().get_queryset(request).prefetch_related("parts")

    @admin.display(description="parts")
    def parts_text(self, code: Any) -> str:
        return parts_of(code)


def parts_of(code: TaxCode) -> str:
    """The parts of a tax code in a row."""
    parts = sorted(code.parts.all(), key=lambda part: part.position)
    return " + ".join(f"{part.name} {marks.exact(part.percent)} %" for part in parts) or marks.NOTHING


@admin.register(Jurisdiction)
class JurisdictionAdmin(kit.ModelAdmin):
    list_display = ("name", "rounding", "prices_include_tax", "mixed_category")
    search_fields = ("name",)
    ordering = ("name",)
    inlines = (TaxCodeInline,)
    empty_text = "No jurisdiction yet. Accounts without one bear no tax; add one, then its tax codes."

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [
            ("Tax codes", marks.list_url("rating_taxcode", jurisdiction__id__exact=target.pk)),
            ("Accounts", marks.list_url("rating_account", jurisdiction__id__exact=target.pk)),
        ]
        if kit.person(request).has_perm("rating.add_taxcode"):
            links.append(
                ("Add a tax code", f"{reverse('admin:rating_taxcode_add')}?{urlencode({'jurisdiction': target.pk})}")
            )
        return links


class TaxPartInline(kit.EditInline):
    model = TaxPart
    ordering = ("position",)
    min_num = 1


@admin.register(TaxCode)
class TaxCodeAdmin(kit.ModelAdmin):
    list_display = ("name", "jurisdiction", "category", "parts_text", kit.moment("starts_at"), kit.moment("ends_at"))
    list_filter = ("jurisdiction", "category")
    list_select_related = ("jurisdiction",)
    search_fields = ("name", "category")
    autocomplete_fields = ("jurisdiction",)
    inlines = (TaxPartInline,)
    export_also = {"jurisdiction": "jurisdiction__name"}
    empty_text = "No tax code yet. A code says what is owed on a category in a jurisdiction, from when to when."

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaxCode]:
        return super().get_queryset(request).prefetch_related("parts")

    @admin.display(description="parts")
    def parts_text(self, code: Any) -> str:
        return parts_of(code)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"starts_at": timezone.now(), **super().get_changeform_initial_data(request)}

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [("Jurisdiction", reverse("admin:rating_jurisdiction_change", args=[target.jurisdiction_id]))]


@admin.register(ClassTaxCategory)
class ClassTaxCategoryAdmin(kit.ModelAdmin):
    list_display = ("usage_class", "category")
    list_filter = ("category",)
    list_select_related = ("usage_class",)
    search_fields = ("usage_class__name", "category")
    autocomplete_fields = ("usage_class",)
    export_also = {"usage_class": "usage_class__name"}
    empty_text = "No tax category yet. Usage of a class without one is not taxed."


class ExemptionInline(kit.EditInline):
    model = TaxExemption
    ordering = ("starts_at",)
