"""The statement of a period: as it stands while that is open, as it was issued once it is closed."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from mediation.admin import kit
from rating.models import BillingPeriod


def statement_page(model_admin: kit.ModelAdmin, request: HttpRequest, period: BillingPeriod) -> HttpResponse:
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    return TemplateResponse(request, "admin/rating/statement.html", {**admin.site.each_context(request)})
